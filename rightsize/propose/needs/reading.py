"""Read once from the tables and the verdicts what a plan is made from, and what its options set apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from rightsize.analyze.duplicates import find_duplicates
from rightsize.analyze.holders import classify_holders
from rightsize.analyze.inputs import Inputs, empty
from rightsize.analyze.pim_findings import seldom_at_work
from rightsize.analyze.role_requests import read_role_requests
from rightsize.analyze.text import folded, place_of
from rightsize.analyze.verdicts import Analysis
from rightsize.model.progress import step
from rightsize.propose.core.azure_limits import AzureLimits
from rightsize.propose.core.bitsets import index_operations, union
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.core.role_catalog import RoleBook, open_role_book
from rightsize.propose.core.weights import read_reach, read_scale
from rightsize.propose.needs.access_weights import AccessWeights
from rightsize.propose.needs.assignments import place_uses, read_profiles, read_quarantined, read_subjects, read_uses
from rightsize.propose.needs.delegation import read_delegations
from rightsize.propose.needs.drafts import Key, Subject
from rightsize.propose.needs.eligibility import read_eligibility
from rightsize.propose.needs.groups import read_groups
from rightsize.propose.needs.keep_rules import find_keeps
from rightsize.propose.needs.linked_checks import CheckEvidence
from rightsize.propose.needs.needs import Profile, Use
from rightsize.propose.needs.parts import Part, read_parts
from rightsize.propose.needs.privileged import Privilege, read_privilege
from rightsize.propose.needs.risky_changes import RiskyChanges, risky_changes
from rightsize.propose.needs.touched_types import with_untouched
from rightsize.propose.needs.unruled_checks import read_check_evidence, with_untargeted
from rightsize.propose.needs.use_rows import UseRows
from rightsize.rbac.text import Folded

_PLACED = (
    "role_assignment_id",
    "state",
    "principal_id",
    "plane",
    "name",
    "bit",
    "place",
    "target",
    "inside",
    "earlier",
)
"""The columns of single uses that are still needed after they are summed: a tenant has millions of uses."""


@dataclass(frozen=True, slots=True)
class TodaysAccess:
    """The assignments and roles of today.

    Attributes:
        subjects: The assignments, sorted by id and state.
        book: The roles.
        orphans: Assignments whose holder is proved to be deleted.
        containers: For each assignment that other assignments contain, those other assignments.
        spelling: Folded scope to the scope as it is spelled.
        custom_roles: The number of custom roles of the tenant.
    """

    subjects: tuple[Subject, ...]
    book: RoleBook
    orphans: frozenset[Key]
    containers: Mapping[Key, Sequence[Key]]
    spelling: Mapping[Folded, str]
    custom_roles: int


@dataclass(frozen=True, slots=True)
class ObservedUse:
    """The use that the logs show, in columns.

    Attributes:
        placed: Use with the scope at which it has to be granted: the columns `_PLACED` of `assignments.place_uses`.
        rows: The use of the window, summed for the evidence.
        earlier_rows: Use before the window that still counts, summed in the same way.
        requests: The role and principal type that each call to assign a role asked for.
    """

    placed: pl.DataFrame
    rows: UseRows
    earlier_rows: UseRows
    requests: pl.DataFrame


@dataclass(frozen=True, slots=True)
class AssignmentEvidence:
    """What the logs and listings say of each assignment, as sets of operations.

    Attributes:
        profiles: The verdicts on its unused operations.
        uses: Its use, by the folded scope at which it has to be granted.
        quarantined: The operations that calls in quarantine used under it, by such a scope.
    """

    profiles: Mapping[Key, Profile]
    uses: Mapping[Key, Mapping[Folded, Use]]
    quarantined: Mapping[Key, Mapping[Folded, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """The assignments that a plan does not narrow.

    Attributes:
        untouched: By assignment, the reason why it is left alone whatever it is needed for.
        undecided: By assignment, the reason why it cannot be narrowed.
    """

    untouched: Mapping[Key, str]
    undecided: Mapping[Key, str]


@dataclass(frozen=True, slots=True)
class TenantReading:
    """The data of one analysis that its plans share, whatever their options.

    No stage takes it: `assembly.plan` makes the input of each stage from it.

    Attributes:
        inputs: The tables.
        analysis: The verdicts.
        today: Today's assignments and roles.
        use: The use, in columns.
        evidence: The evidence on each assignment.
        parts: The assignments that can be decided in parts, since the subscriptions below them differ in coverage.
        checks: The evidence on linked checks that no rule pairs with a write.
        weights: The weights of access.
        risky: The risky changes.
    """

    inputs: Inputs
    analysis: Analysis
    today: TodaysAccess
    use: ObservedUse
    evidence: AssignmentEvidence
    parts: Mapping[Key, Part]
    checks: CheckEvidence
    weights: AccessWeights
    risky: RiskyChanges


@dataclass(frozen=True, slots=True)
class PlanSettings:
    """The options of one plan and what they set apart.

    Attributes:
        options: The options that the person chose.
        limits: Azure's limits.
        left_alone: The assignments that are not narrowed.
        privilege: The operations that get roles of their own, and the rules on who may become eligible.
    """

    options: PlanOptions
    limits: AzureLimits
    left_alone: LeftAlone
    privilege: Privilege


def with_needed_calls(analysis: Analysis, options: PlanOptions) -> Analysis:
    """Return an analysis with only those calls of the window that the reading of a plan needs.

    The option `standing_hours` needs all of them, to know when people work; without it, those in quarantine suffice.
    """
    return analysis if options.standing_hours else _quarantined_only(analysis)


def without_single_uses(reading: TenantReading) -> TenantReading:
    """Return a reading without the single uses, which are most of its memory; calls in quarantine stay."""
    inputs = replace(reading.inputs, usage_days=empty("usage_days"))
    return replace(reading, inputs=inputs, analysis=_quarantined_only(reading.analysis))


def _quarantined_only(analysis: Analysis) -> Analysis:
    return replace(analysis, usage=analysis.usage.filter("quarantined"), credited=analysis.credited.clear())


def read_tenant(inputs: Inputs, analysis: Analysis) -> TenantReading:
    """Return what a plan is made from, read from the tables and the verdicts."""
    step("gathering use by assignment")
    tenant = analysis.tenant
    index = index_operations(tenant.operations, inputs.role_operations)
    today = _read_today(inputs, analysis, open_role_book(inputs, index))
    placed = place_uses(inputs, analysis, tenant, index)
    risky = risky_changes(tenant.operations, index)
    apart = union(mask for kind, mask in risky.items() if kind != "secret")
    profiles = with_untouched(read_profiles(analysis, index), placed, inputs, analysis, index, apart)
    uses = read_uses(placed, index)
    return TenantReading(
        inputs=inputs,
        analysis=analysis,
        today=today,
        use=ObservedUse(
            placed.select(_PLACED),
            UseRows.of(placed.filter(~pl.col("earlier")), inputs.role_assignments),
            UseRows.of(placed.filter("earlier"), inputs.role_assignments, analysis.window.end.date()),
            read_role_requests(inputs, analysis.window.remembered),
        ),
        evidence=AssignmentEvidence(
            with_untargeted(profiles, analysis, index), uses, read_quarantined(inputs, analysis, index)
        ),
        parts=read_parts(analysis, today.subjects, placed, uses, inputs, index, apart),
        checks=read_check_evidence(inputs, tenant.operations, index),
        weights=AccessWeights(
            read_scale(tenant.operations, index),
            read_reach(inputs.scopes, tenant.tree),
            read_groups(inputs, tenant, analysis.window, placed, index),
        ),
        risky=risky,
    )


def _read_today(inputs: Inputs, analysis: Analysis, book: RoleBook) -> TodaysAccess:
    """Return today's access, with the orphaned and duplicate assignments that the analysis proves."""
    orphans = classify_holders(inputs).filter(pl.col("holder") == "orphan")
    containers: dict[Key, list[Key]] = {}
    for id_, state, other in find_duplicates(analysis.tenant).iter_rows():
        containers.setdefault((id_, state), []).append((other, "active"))
    return TodaysAccess(
        subjects=tuple(read_subjects(inputs)),
        book=book,
        orphans=frozenset(orphans.select("role_assignment_id", "state").iter_rows()),
        containers=containers,
        spelling=_spelling(inputs),
        custom_roles=inputs.role_definitions.filter(pl.col("role_type") == "CustomRole").height,
    )


def read_plan_settings(reading: TenantReading, options: PlanOptions, limits: AzureLimits | None = None) -> PlanSettings:
    """Return the options of a plan with the assignments and operations that they set apart.

    Args:
        reading: The reading, with its single uses.
        options: The options.
        limits: Azure's limits; None means the limits of the public cloud.
    """
    inputs, analysis, today, use = reading.inputs, reading.analysis, reading.today, reading.use
    return PlanSettings(
        options,
        limits or AzureLimits(),
        _left_alone(inputs, analysis, use.placed, options),
        read_privilege(
            analysis.tenant.operations,
            today.book.index,
            use.rows,
            analysis.window.days,
            read_eligibility(inputs),
            _seldom(inputs, analysis, options),
            read_delegations(use.placed, use.requests, today.subjects, today.book),
        ),
    )


def with_options(reading: TenantReading, settings: PlanSettings, options: PlanOptions) -> PlanSettings:
    """Return the settings for other options, without reading again what no option changes."""
    if options.standing_hours != settings.options.standing_hours:
        return read_plan_settings(reading, options, settings.limits)
    left_alone = _left_alone(reading.inputs, reading.analysis, reading.use.placed, options)
    return replace(settings, options=options, left_alone=left_alone)


def _left_alone(inputs: Inputs, analysis: Analysis, placed: pl.DataFrame, options: PlanOptions) -> LeftAlone:
    keeps = find_keeps(inputs, analysis, options)
    outside = placed.filter(~pl.col("inside")).select("role_assignment_id", "state").unique()
    undecided = dict.fromkeys(outside.iter_rows(), "scope_tree_unknown")
    waits = dict.fromkeys(_waiting(inputs, analysis, placed), "waits")
    return LeftAlone(_words(keeps, "untouched"), waits | undecided | _words(keeps, "undecided"))


def _waiting(inputs: Inputs, analysis: Analysis, placed: pl.DataFrame) -> Iterator[Key]:
    """Yield the assignments of holders without use at scopes that wait: without a resource, or for recovery.

    A scope is known to be empty only by complete listings.
    """
    absences = analysis.absences
    hidden = absences.hidden.with_columns(why=pl.lit("empty"))
    rows = absences.waiting.filter(pl.col("why").is_in(["empty", "recovery"])).join(analysis.tenant.assignments, on="a")
    waiting = rows.join(hidden, on=["place", "why"], how="anti")
    held = inputs.role_assignments.select("role_assignment_id", "state", holder=folded(pl.col("principal_id")))
    idle = held.filter(~pl.col("holder").is_in(active_holders(inputs, placed).implode()))
    keys = waiting.join(idle, on=["role_assignment_id", "state"], how="semi").filter(pl.col("state") == "active")
    yield from keys.select("role_assignment_id", "state").iter_rows()


def active_holders(inputs: Inputs, placed: pl.DataFrame) -> pl.Series:
    """Return the folded principals of which a log shows any use, themselves or through a member.

    `placed` has use under assignments, as `assignments.place_uses` returns it.
    """
    key = ["role_assignment_id", "state"]
    used = inputs.role_assignments.join(placed.select(key).unique(), on=key, how="semi")
    named = [folded(frame["principal_id"].drop_nulls().unique()) for frame in (used, placed)]
    return pl.concat(named).unique().alias("principal_id")


def _words(keeps: pl.DataFrame, column: str) -> dict[Key, str]:
    rows = keeps.filter(pl.col(column).is_not_null()).select("role_assignment_id", "state", column)
    return {(id_, state): word for id_, state, word in rows.iter_rows()}


def _spelling(inputs: Inputs) -> dict[Folded, str]:
    """Return the spelling of each folded scope: from the table of scopes, else from today's assignments."""
    named = inputs.role_assignments.select("scope").unique().sort("scope", descending=True)
    listed = inputs.scopes.select("scope").sort("scope", descending=True)
    return dict(pl.concat([named, listed]).select(place_of(pl.col("scope")), text="scope").iter_rows())


def _seldom(inputs: Inputs, analysis: Analysis, options: PlanOptions) -> dict[Key, dict[str, Any]]:
    """Return the assignments used fewer hours a month than `standing_hours`; none if that option is 0."""
    if not options.standing_hours:
        return {}
    rows = seldom_at_work(inputs, analysis, options.standing_hours)
    return {(row["role_assignment_id"], row["state"]): row for row in rows.iter_rows(named=True)}
