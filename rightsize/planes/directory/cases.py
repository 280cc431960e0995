"""Read the cases of directory role assignments from the verdicts: the actions of each that stay or go, and the reasons.

A case also says why its assignment must not be changed, where that is so.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import polars as pl

from rightsize.analyze.inputs import folded
from rightsize.analyze.principals import emergency_accounts
from rightsize.analyze.reasons import SHOWN, OutOfCoverage, UnobservableReason, Unused, Verdict
from rightsize.analyze.verdicts.coverage import described_principals, groups_with_known_members
from rightsize.model.options import Reads
from rightsize.model.options import Unobservable as Unseen
from rightsize.model.text import fold, is_directory_read
from rightsize.planes.directory.judge import DirectoryAnalysis
from rightsize.planes.directory.tables import Holders
from rightsize.propose.core.options import PlanOptions, price_list
from rightsize.rbac.expand import entity_of
from rightsize.rules.directory import is_job_read, roles_that, side_actions
from rightsize.rules.operations import first_party_tenants
from rightsize.rules.resource_types import is_for_recovery

REASONS = {
    "activated": "it is an activation; a plan changes the eligible assignment behind it",
    "excluded": "it was excluded by name",
    "emergency_access": "its holder is an emergency access account",
    "last_global_administrator": "without it fewer than two permanent Global Administrators would be left",
    "last_holder": "nobody else holds this role, which assigns roles",
    "by_the_service": "a Microsoft service holds it for synchronisation",
    "synced": "its holder is synchronised from another directory, which may restore it",
    "first_party": "its holder is a Microsoft application",
    "recovery": "by its name, its holder waits for a failure elsewhere",
    "role_not_loaded": "its role definition is not loaded",
    "unresolved_principal": "no loaded listing has its holder",
    "young": "it or its holder was created within the window or the grace period",
    "time_bound": "it is time-bound and ends by itself",
    "unknown_members": "no complete listing has the members of the group",
    "not_covered": "the audit log does not cover enough days of the window",
}
"""The reasons to leave a directory role unchanged: a sentence for each word."""

LEAST_ADMINISTRATORS = 2
"""The number of permanent, active Global Administrators that stay at least.

Source: Microsoft Learn, "manage emergency access accounts", asks for two.
"""


@dataclass(frozen=True, slots=True)
class DirectoryAssignmentCase:
    """One directory role assignment with its actions by decision.

    Attributes:
        row: Its row of `tables.assignments`.
        holder_type: User, Group, ServicePrincipal or ManagedIdentity; empty where it is unknown.
        used: The actions by which its use was allowed, folded.
        earlier: The kept actions that were used before the window, within the days that `--forget-days` counts.
        kept: Actions with another verdict than `used` that stay while the role does, each with the reason.
        gone: Actions that are removed, each with the reason.
        firm: Those that every replacement has to allow: used ones, and those that are out of coverage.
        hard: Unobservable changes that every replacement has to allow.
        places: The folded directory scopes where it was used, before the window too.
        written: Those of `places` where something was changed.
        spelt: The same scopes as the log spells them, by the folded scope.
        left: The word of `REASONS` why it must not be changed, or empty.
    """

    a: int
    row: Mapping[str, object]
    holder_type: str
    used: frozenset[str]
    earlier: frozenset[str]
    kept: Mapping[str, str]
    gone: Mapping[str, str]
    firm: frozenset[str]
    hard: frozenset[str]
    places: frozenset[str]
    written: frozenset[str]
    spelt: Mapping[str, str]
    left: str

    @property
    def key(self) -> tuple[str, str]:
        """The id and the state of the assignment."""
        return str(self.row["role_assignment_id"]), str(self.row["state"])

    @property
    def holder(self) -> str:
        """The folded id of the holder."""
        return str(self.row["principal_id"])

    @property
    def role(self) -> str:
        """The folded id of the role."""
        return str(self.row["role"])

    @property
    def reads(self) -> frozenset[str]:
        """The reads that stay though no log shows them."""
        return frozenset(name for name in self.kept if is_directory_read(name)) - self.firm

    @property
    def unlogged(self) -> frozenset[str]:
        """The actions whose use no log can show, whether they stay or not."""
        hidden = frozenset(UnobservableReason)
        return frozenset(name for name, reason in (*self.kept.items(), *self.gone.items()) if reason in hidden)

    @property
    def is_idle(self) -> bool:
        """Whether nothing shows or suggests a use."""
        return not self.firm

    @property
    def is_judged(self) -> bool:
        """Whether a log would have shown at least one change that it was not used for."""
        return any(reason in SHOWN and not is_directory_read(name) for name, reason in self.gone.items())


def read_cases(analysis: DirectoryAnalysis, options: PlanOptions, holders: Holders) -> list[DirectoryAssignmentCase]:
    """Return the cases in the order of the assignments."""
    tables = analysis.tables
    left = _left_alone(analysis, options)
    touched = touched_entities(analysis)
    by_case: dict[int, list[tuple[str, str, str]]] = {}
    for a, name, verdict, reason in analysis.judged.iter_rows():
        by_case.setdefault(a, []).append((name, verdict, reason))
    places: dict[int, dict[str, str]] = {}
    written: dict[int, set[str]] = {}
    seen = pl.concat([rows.select("a", "place", "scope", "way") for rows in (analysis.earlier, analysis.used)])
    for a, place, scope, way in seen.iter_rows():
        places.setdefault(a, {})[place] = scope
        if not is_directory_read(way):
            written.setdefault(a, set()).add(place)
    found = []
    for row in tables.assignments.iter_rows(named=True):
        judged = by_case.get(row["a"], [])
        holder = row["principal_id"]
        own, is_workload = touched.get(holder, frozenset()), holder in holders.workloads
        words = {one[0]: _word_of(*one, options, own, is_workload=is_workload) for one in judged}
        used = frozenset(name for name, verdict, _ in judged if verdict == Verdict.USED.value)
        kept = {name: reason for name, _, reason in judged if words[name] and name not in used}
        found.append(
            DirectoryAssignmentCase(
                a=row["a"],
                row=row,
                holder_type=holders.types.get(holder) or "",
                used=used,
                earlier=frozenset(name for name, reason in kept.items() if reason == OutOfCoverage.USED_BEFORE_WINDOW),
                kept=kept,
                gone={name: reason for name, _, reason in judged if not words[name]},
                firm=frozenset(name for name, word in words.items() if word == "firm"),
                hard=frozenset(name for name, word in words.items() if word == "hard"),
                places=frozenset(places.get(row["a"], ())),
                written=frozenset(written.get(row["a"], ())),
                spelt=places.get(row["a"], {}),
                left=left.get(row["a"], ""),
            )
        )
    return found


def touched_entities(analysis: DirectoryAnalysis) -> dict[str, frozenset[str]]:
    """Return by holder the entities that it, or a member of the group, used under any assignment."""
    seen = pl.concat([rows.select("principal_id", "name") for rows in (analysis.earlier, analysis.used)]).unique()
    found: dict[str, set[str]] = {}
    for holder, name in seen.join(analysis.tables.membership, on="principal_id").select("holder", "name").iter_rows():
        found.setdefault(holder, set()).add(entity_of(name))
    return {holder: frozenset(entities) for holder, entities in found.items()}


def _word_of(
    name: str, verdict: str, reason: str, options: PlanOptions, touched: Set[str], *, is_workload: bool
) -> str:
    """Decide by `--reads` and `--unobservable` whether an action of an assignment stays.

    The values mean what they mean for Azure roles: the service that checks an action stands for the resource provider,
    and the kind of object that it acts on (users, groups) for the resource type.

    Args:
        name: The action.
        verdict: Its verdict.
        reason: The reason of the verdict.
        options: The options of the plan.
        touched: The entities that the holder used.
        is_workload: Whether the holder is a workload, which cannot ask for what it misses.

    Returns:
        `firm`, `hard`, `read`, `aside` (stays only while the role does), or an empty text for what goes.
    """
    if verdict in (Verdict.USED.value, Verdict.OUT_OF_COVERAGE.value):
        return "firm"
    if verdict != Verdict.UNOBSERVABLE.value:
        return ""
    if reason == UnobservableReason.DIRECTORY_READ.value or is_directory_read(name):
        return "read" if keeps_read(name, options.reads, touched) else ""
    if options.unobservable is Unseen.DROP:
        return ""
    if options.unobservable is Unseen.KEEP:
        return "hard"
    if name in side_actions():
        return "aside"
    is_hard = reason == UnobservableReason.OTHER_SERVICE.value or (is_workload and not touched)
    return "hard" if is_hard else "aside"


def keeps_read(name: str, reads: Reads, touched: Set[str]) -> bool:
    """Return whether a choice of `--reads` keeps a read without evidence, for a holder that used these entities."""
    if reads is Reads.NAMESPACE:
        service = entity_of(name).partition("/")[0]
        return any(one.partition("/")[0] == service for one in touched)
    return reads is Reads.ALL or (reads is Reads.SIBLING and entity_of(name) in touched)


def price_reads(
    analysis: DirectoryAnalysis,
    cases: Iterable[DirectoryAssignmentCase],
    chosen: Reads,
    holders: Holders,
    default: frozenset[str],
) -> dict[str, Any]:
    """Return the reads that each choice of `--reads` keeps without evidence, as `price_list` does for Azure roles.

    A read counts once for each assignment that allows it today and may change, without those of `default`.
    `sensitive` counts those that are a task of their own, such as the sign-in logs.
    """
    touched = touched_entities(analysis)
    totals = {choice: [0, 0] for choice in Reads}
    for case in cases:
        if case.left:
            continue
        everybody = default if case.holder in holders.members else frozenset()
        unseen = [name for name in case.unlogged - everybody if is_directory_read(name)]
        entities = touched.get(case.holder, frozenset())
        for choice in Reads:
            kept = [name for name in unseen if keeps_read(name, choice, entities)]
            totals[choice][0] += len(kept)
            totals[choice][1] += sum(map(is_job_read, kept))
    return price_list(chosen, totals)


def _left_alone(analysis: DirectoryAnalysis, options: PlanOptions) -> dict[int, str]:
    """Return the first reason why each assignment must not be changed; other assignments are left out."""
    tables = analysis.tables
    rows = tables.assignments.join(_holders(analysis), left_on="principal_id", right_on="holder", how="left")
    window = analysis.window
    excluded = options.excluded_names(window)
    emergency = {fold(name) for name in options.emergency_access}
    young = options.young_from(window)
    known = set(groups_with_known_members(tables.inputs, described_principals(tables.inputs)))
    wholes = _wholes(analysis)
    found: dict[int, str] = {}
    for row in rows.iter_rows(named=True):
        names = {fold(str(row[name] or "")) for name in ("principal_id", "upn", "display_name", "app_id")} - {""}
        whole = row["a"] in wholes
        reason = (
            "activated" if row["state"] == "activated"
            else "excluded" if (names | {row["role"], fold(row["role_name"] or "")}) & excluded
            else "emergency_access" if row["emergency"] or names & emergency
            else "by_the_service" if row["role"] in roles_that("by_the_service")
            else "synced" if row["synced"]
            else "first_party" if row["first_party"]
            else "recovery" if row["recovery"]
            else "role_not_loaded" if not row["role_known"]
            else "unresolved_principal" if row["kind"] is None
            else "young" if _is_young(row, young)
            else "time_bound" if row["state"] == "active" and row["end_on"] is not None
            else "not_covered" if analysis.state not in SHOWN and not whole
            else "unknown_members" if row["kind"] == "Group" and row["principal_id"] not in known and not whole
            else ""
        )  # fmt: skip
        if reason:
            found[row["a"]] = reason
    return found | _last_administrators(rows, found)


def _is_young(row: Mapping[str, object], young: dt.datetime) -> bool:
    times = [row[name] for name in ("created_on", "start_on", "made_on")]
    return any(isinstance(time, dt.datetime) and time >= young for time in times)


def _wholes(analysis: DirectoryAnalysis) -> set[int]:
    """Return the assignments whose actions are all unused for one reason about the whole: no activation or sign-in."""
    whole = [Unused.NEVER_ACTIVATED.value, Unused.NO_SIGN_IN.value]
    reasons = analysis.judged.group_by("a").agg(pl.col("reason").unique())
    one = (pl.col("reason").list.len() == 1) & pl.col("reason").list.first().is_in(whole)
    return set(reasons.filter(one)["a"])


def _holders(analysis: DirectoryAnalysis) -> pl.DataFrame:
    """Return the names, kind and age of each principal, and whether it is synced, first-party or for emergencies."""
    emergency = folded(emergency_accounts(analysis.tables.inputs))
    tenants = list(first_party_tenants())
    return analysis.tables.inputs.principals.select(
        "display_name",
        holder=folded(pl.col("principal_id")),
        upn="user_principal_name",
        app_id="app_id",
        kind="principal_type",
        made_on="created_on",
        emergency=folded(pl.col("principal_id")).is_in(emergency.implode()),
        synced=pl.col("is_synced").fill_null(False),
        first_party=folded(pl.col("owner_tenant_id")).is_in(tenants).fill_null(False),
        # People are called Dr., too.
        recovery=is_for_recovery(pl.col("display_name"))
        & pl.col("principal_type").is_in(["ServicePrincipal", "ManagedIdentity"]).fill_null(False),
    ).unique("holder", keep="first", maintain_order=True)


def _last_administrators(rows: pl.DataFrame, left: Mapping[int, str]) -> dict[int, str]:
    """Return the administrators that stay so that enough of them are left, in order of id.

    `LEAST_ADMINISTRATORS` permanent Global Administrators stay, and one holder of each other role that assigns roles,
    a permanent one where there is one.
    """
    is_permanent = (pl.col("state") == "active") & pl.col("end_on").is_null()
    standing = rows.filter((pl.col("place") == "/") & (pl.col("state") != "activated")).with_columns(
        later=~is_permanent
    )
    found: dict[int, str] = {}
    for word, meaning, least in (
        ("last_global_administrator", "last_of_its_kind", LEAST_ADMINISTRATORS),
        ("last_holder", "last_holder", 1),
    ):
        for role in sorted(roles_that(meaning)):
            held = standing.filter(pl.col("role") == role).sort("later", "role_assignment_id", "state")
            if least > 1:
                held = held.filter(~pl.col("later"))
            stay = [a for a in held["a"] if a in left]
            free: Sequence[int] = [a for a in held["a"] if a not in left]
            found |= dict.fromkeys(free[: max(0, least - len(stay))], word)
    return found
