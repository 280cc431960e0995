"""Read the verdicts on the unused operations of each assignment as sets, for whole assignments and for parts of them.

An assignment at a management group whose subscriptions differ in coverage may be decided in parts. Today's role stays
at the nodes below the group where the logs say too little. Everywhere else the assignment is narrowed by what the logs
of the other subscriptions show. A subscription that joins the group later gets only what stays at the group; the
proposal says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from rightsize.analyze.inputs import folded
from rightsize.analyze.observability.undecided import find_gaps
from rightsize.analyze.reasons import BY_EXISTENCE, SHOWN, OutOfCoverage, UnobservableReason, Unused, Verdict
from rightsize.analyze.verdicts.absence import listed_types
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.analyze.verdicts.profiles import MOST_NODES
from rightsize.analyze.verdicts.resource_logs import kind_of, resource_of
from rightsize.mining.bitsets import union
from rightsize.model.options import Reads, Unobservable
from rightsize.model.text import Folded
from rightsize.propose.core.operation_sets import OperationIndex
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.core.role_catalog import KnownRole, RoleBook
from rightsize.propose.needs.assignments import KEY, Key, Subject, Use, masks_of
from rightsize.propose.needs.grant_requests import is_at_or_below
from rightsize.propose.needs.holders import AccessWeights
from rightsize.propose.needs.unlogged import Touched, masks_by_type
from rightsize.rules.resource_types import decided_type, extends_others

_READ_REASONS = (UnobservableReason.ARM_READ, UnobservableReason.NOT_KNOWN_TO_BE_LOGGED)
"""The reasons that a read of Resource Manager may have. Reads of data endpoints have others and count as `hidden`."""
_LEAST_GAIN = 0.1
"""The least share of what would stay that has to go by deciding in parts: less is not worth the assignments."""
_LOCATIONS = "/locations"
"""The end of a type that stands for a region: no listing of resources has it."""


@dataclass(frozen=True, slots=True)
class Profile:
    """The verdicts on the unused operations of an assignment, as sets.

    `reads`, `linked` and `hidden` are unobservable (reads of Resource Manager, linked checks, all others), `open` is
    out of coverage, and `unused` is proved unused. `covered` is the part of `unused` that a log proves; a log shows
    calls, but no linked checks. `reasons` has the set of each (verdict, reason). `untouched` is the part of `hidden` on
    types of the control plane that the holder did not use (see `needs.unlogged`). `lacking` are
    operations on types of which there was no resource, whatever verdict they have. `untargeted` is the part of `linked`
    without a rule on such types (see `needs.linked_checks`). `coverage` is how many days of the window the logs behind
    `unused` cover, and the days of the window; None where they cover all.
    """

    reads: int = 0
    linked: int = 0
    hidden: int = 0
    open: int = 0
    unused: int = 0
    covered: int = 0
    reasons: Mapping[tuple[str, str], int] = field(default_factory=dict)
    untouched: int = 0
    lacking: int = 0
    untargeted: int = 0
    coverage: tuple[int, int] | None = None

    @property
    def shown_in_part(self) -> int:
        """The operations that are unused by a log of a part of the window."""
        return self.reasons.get((Verdict.UNUSED, Unused.COVERED_IN_PART), 0)

    @property
    def absent(self) -> int:
        """The operations that are unused only for want of a resource."""
        return union(self.reasons.get((Verdict.UNUSED, reason), 0) for reason in BY_EXISTENCE)

    @property
    def asleep(self) -> int:
        """The data actions that take effect only when key vaults are switched from policies to roles."""
        return self.reasons.get((Verdict.UNOBSERVABLE, UnobservableReason.POLICIES_DECIDE), 0)

    @property
    def quarantined(self) -> int:
        """The operations that are out of coverage since only calls in quarantine may have used them."""
        return self.reasons.get((Verdict.OUT_OF_COVERAGE, OutOfCoverage.QUARANTINED), 0)

    def kept_hidden(self, choice: Unobservable) -> int:
        """Return the part of `hidden` that stays by an option."""
        if choice is Unobservable.TOUCHED:
            return self.hidden & ~self.untouched
        return self.hidden if choice is Unobservable.KEEP else 0


def read_profiles(analysis: Analysis, touched: Touched, index: OperationIndex) -> dict[Key, Profile]:
    """Return the profile of each assignment: its unused operations by verdict; equal profiles share one object."""
    of_id = _by_id(analysis, index)
    absent = _absent_checks(analysis, union(profile.linked for profile in of_id.values()), index)
    # An assignment that waits for something may have a use for what does not exist yet.
    judged = analysis.tenant.assignments.join(analysis.absences.waiting, on="a", how="anti")
    covered = find_gaps(analysis).covered(analysis.window)
    rows = analysis.profiles.join(covered, on=KEY, how="left", maintain_order="left")
    rows = rows.join(judged.select(*KEY, "place"), on=KEY, how="left", maintain_order="left")
    made: dict[tuple[int, int | None, int | None, int], Profile] = {}
    found: dict[Key, Profile] = {}
    for id_, state, number, days, place in rows.select(*KEY, "profile_id", "covered_days", "place").iter_rows():
        whole = of_id.get(number, Profile())
        stays, untargeted = touched.stays.get((id_, state)), whole.linked & absent.get(place, 0)
        if (said := (number, days, stays, untargeted)) not in made:
            made[said] = replace(
                whole,
                untouched=touched.untouched(whole.hidden, stays) if stays is not None else 0,
                untargeted=untargeted,
                coverage=(days, analysis.window.days) if days is not None else None,
            )
        found[id_, state] = made[said]
    return found


def _by_id(analysis: Analysis, index: OperationIndex) -> dict[int, Profile]:
    """Return the profiles by their number in an analysis, as far as the assignments of one number have them alike."""
    judged = analysis.profile_operations.with_columns(name=folded(pl.col("operation")))
    listed = judged.join(index.frame(), on=["plane", "name"])
    reasons: dict[int, dict[tuple[str, str], int]] = {}
    for number, verdict, reason, mask in masks_of(listed, "profile_id", "verdict", "reason"):
        reasons.setdefault(number, {})[verdict, reason] = mask
    typed = index.frame().with_columns(kind=decided_type(index.frame()["name"])).drop_nulls("kind")
    of_kind = dict(masks_of(typed, "kind"))
    lacking: dict[int, int] = {}
    for number, kind in analysis.absent.select("profile_id", "kind").iter_rows():
        lacking[number] = lacking.get(number, 0) | of_kind.get(kind, 0)
    return {
        number: replace(_profile(found, index), lacking=lacking.get(number, 0)) for number, found in reasons.items()
    }


def _profile(reasons: Mapping[tuple[str, str], int], index: OperationIndex) -> Profile:
    reads = linked = hidden = open_ = unused = 0
    for (verdict, reason), mask in reasons.items():
        if verdict == Verdict.OUT_OF_COVERAGE:
            open_ |= mask
        elif verdict == Verdict.UNUSED:
            unused |= mask
        elif reason == UnobservableReason.LINKED_CHECK:
            linked |= mask
        elif reason in _READ_REASONS:
            reads |= mask & index.reads
            hidden |= mask & ~index.reads
        else:
            hidden |= mask
    covered = union(reasons.get((Verdict.UNUSED, reason), 0) for reason in SHOWN)
    return Profile(reads, linked, hidden, open_, unused, covered, reasons)


def _absent_checks(analysis: Analysis, linked: int, index: OperationIndex) -> dict[Folded, int]:
    """Return by folded scope the linked checks on types of which there was no resource at or below it.

    Only types that a listing can have are judged.
    """
    of_type = masks_by_type(index)
    kinds = pl.DataFrame({"kind": sorted(of_type)}, schema={"kind": pl.String})
    kinds = kinds.filter(
        pl.col("kind").str.contains("/", literal=True)
        & ~pl.col("kind").str.ends_with(_LOCATIONS)
        & ~extends_others(kinds["kind"])
    )
    checks = {kind: mask for kind in kinds["kind"] if (mask := of_type[kind] & linked)}
    there = listed_types(analysis.existence, analysis.absences)
    # Below a resource there is nothing but resources of its own type.
    places = analysis.tenant.assignments.filter(pl.col("level") == "resource").select("place").unique()
    inside = places.with_columns(resource=resource_of("place")).select("place", kind=kind_of("resource")).drop_nulls()
    there |= {place: {kind} for place, kind in inside.iter_rows()}
    whole = union(checks.values())
    return {place: whole & ~union(checks.get(kind, 0) for kind in own) for place, own in there.items()}


@dataclass(frozen=True, slots=True)
class Part:
    """The part of an assignment that the logs decide.

    Attributes:
        profile: The verdicts on its unused operations by the logs that are evidence.
        nodes: The folded nodes where today's role stays, each with the reason why the logs say too little there.
        uses: The use, by the folded scope at which it has to be granted, that the nodes do not grant anyway.
        inside: The folded scopes of the other use.
    """

    profile: Profile
    nodes: Mapping[Folded, str]
    uses: Mapping[Folded, Use]
    inside: frozenset[Folded]

    def is_worth(
        self, whole: Profile, role: KnownRole, place: Folded, options: PlanOptions, weights: AccessWeights
    ) -> bool:
        """Return whether enough more goes by deciding in parts than by the logs of all subscriptions together."""
        used = bool(self.uses.keys() - {place})  # uses at many scopes gather at the one of the assignment
        stays, all_stays = (_stays(one, options) & role.granted for one in (self.profile, whole))
        if used + len(self.nodes) + bool(stays) - 1 > MOST_NODES:
            return False
        weigh, reach = weights.scale.weigh, weights.reach.of
        beside = sum(weigh(role.granted & ~stays) * reach(node) for node in self.nodes)
        return weigh(stays) * reach(place) + beside < weigh(all_stays) * reach(place) * (1 - _LEAST_GAIN)


def _stays(profile: Profile, options: PlanOptions) -> int:
    """Return the operations that stay at the scope of the assignment whatever was used."""
    reads = profile.reads if options.reads is Reads.ALL else 0
    return profile.open | profile.kept_hidden(options.unobservable) | reads


def worthwhile_parts(
    subjects: Sequence[Subject],
    parts: Mapping[Key, Part],
    profiles: Mapping[Key, Profile],
    book: RoleBook,
    options: PlanOptions,
    weights: AccessWeights,
) -> dict[Key, Part]:
    """Return the assignments of which enough more goes if they are decided in parts than by `profiles`."""
    return {
        subject.key: part
        for subject in subjects
        if (part := parts.get(subject.key)) is not None
        and (role := book.roles.get(subject.role_definition_id)) is not None
        and (whole := profiles.get(subject.key)) is not None
        and part.is_worth(whole, role, subject.place, options, weights)
    }


def as_parts(analysis: Analysis, keys: pl.DataFrame) -> Analysis:
    """Return the analysis with the verdicts on some assignments by the part of the logs that is evidence.

    Args:
        analysis: The analysis.
        keys: `(role_assignment_id, state)`.
    """
    if keys.is_empty():
        return analysis
    parts = analysis.parts
    others = analysis.profiles.join(keys, on=KEY, how="anti")
    return replace(
        analysis,
        profiles=pl.concat([others, parts.of.join(keys, on=KEY, how="semi")]),
        profile_operations=pl.concat([analysis.profile_operations, parts.operations]),
        absent=pl.concat([analysis.absent, parts.absent]),
    )


def read_parts(
    analysis: Analysis,
    subjects: Sequence[Subject],
    uses: Mapping[Key, Mapping[Folded, Use]],
    touched: Touched,
    index: OperationIndex,
) -> dict[Key, Part]:
    """Return the assignments that can be decided in parts."""
    keys = analysis.parts.of.select(KEY)
    if keys.is_empty():
        return {}
    profiles = read_profiles(as_parts(analysis, keys), touched, index)
    nodes: dict[Folded, dict[Folded, str]] = {}
    for place, node, state in analysis.parts.nodes.iter_rows():
        nodes.setdefault(place, {})[node] = state
    places, tree = {subject.key: subject.place for subject in subjects}, analysis.tenant.tree
    found = {}
    for key in keys.iter_rows():
        own, below = uses.get(key, {}), nodes[places[key]]
        inside = frozenset(target for target in own if any(is_at_or_below(target, node, tree) for node in below))
        beside = {target: use for target, use in own.items() if target not in inside}
        found[key] = Part(profiles[key], below, beside, inside)
    return found
