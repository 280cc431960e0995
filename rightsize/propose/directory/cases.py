"""Read the cases of directory role assignments from the verdicts: the actions of each that stay or go, and the reasons.

A case also says why its assignment must not be changed, where that is so.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from rightsize.analyze.coverage import described_principals, groups_with_known_members
from rightsize.analyze.directory.judge import DirectoryAnalysis
from rightsize.analyze.reasons import SHOWN, OutOfCoverage, UnobservableReason, Unused, Verdict
from rightsize.analyze.text import folded
from rightsize.propose.core.options import PlanOptions, Reads
from rightsize.propose.core.options import Unobservable as Unseen
from rightsize.rbac.resource_actions import is_read
from rightsize.rbac.text import fold
from rightsize.rules.directory import roles_that
from rightsize.rules.operations import first_party_tenants, is_emergency_name

REASONS = {
    "activated": "it is an activation; a plan changes the eligible assignment behind it",
    "excluded": "it was excluded by name",
    "emergency_access": "its holder is an emergency access account",
    "last_global_administrator": "without it fewer than two permanent Global Administrators would be left",
    "by_the_service": "a Microsoft service holds it for synchronisation",
    "synced": "its holder is synchronised from another directory, which may restore it",
    "first_party": "its holder is a Microsoft application",
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
        a: Its number.
        row: Its row of `tables.assignments`.
        holder_type: User, Group, ServicePrincipal or ManagedIdentity; empty where it is unknown.
        used: The actions by which its use was allowed, folded.
        earlier: The kept actions that were used before the window, within the days that `--forget-days` counts.
        kept: Actions with another verdict than `used` that stay, each with the reason.
        gone: Actions that are removed, each with the reason.
        places: The folded directory scopes where it was used, before the window too.
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
    places: frozenset[str]
    spelt: Mapping[str, str]
    left: str

    @property
    def needed(self) -> frozenset[str]:
        """The actions that have to be allowed after the plan."""
        return self.used | frozenset(self.kept)


def read_cases(analysis: DirectoryAnalysis, options: PlanOptions) -> list[DirectoryAssignmentCase]:
    """Return the cases in the order of the assignments."""
    tables = analysis.tables
    left = _left_alone(analysis, options)
    types = dict(described_principals(tables.inputs).select("principal_id", "principal_type").iter_rows())
    by_case: dict[int, list[tuple[str, str, str]]] = {}
    for a, name, verdict, reason in analysis.judged.iter_rows():
        by_case.setdefault(a, []).append((name, verdict, reason))
    places: dict[int, dict[str, str]] = {}
    seen = pl.concat([rows.select("a", "place", "scope") for rows in (analysis.earlier, analysis.used)])
    for a, place, scope in seen.iter_rows():
        places.setdefault(a, {})[place] = scope
    found = []
    for row in tables.assignments.iter_rows(named=True):
        judged = by_case.get(row["a"], [])
        kept = {name: reason for name, verdict, reason in judged if _stays(name, verdict, reason, options)}
        found.append(
            DirectoryAssignmentCase(
                a=row["a"],
                row=row,
                holder_type=types.get(row["principal_id"]) or "",
                used=frozenset(name for name, verdict, _ in judged if verdict == Verdict.USED.value),
                earlier=frozenset(name for name, reason in kept.items() if reason == OutOfCoverage.USED_BEFORE_WINDOW),
                kept=kept,
                gone={
                    name: reason
                    for name, verdict, reason in judged
                    if verdict != Verdict.USED.value and name not in kept
                },
                places=frozenset(places.get(row["a"], ())),
                spelt=places.get(row["a"], {}),
                left=left.get(row["a"], ""),
            )
        )
    return found


def _stays(name: str, verdict: str, reason: str, options: PlanOptions) -> bool:
    """Return whether an action without use stays: always if out of coverage, else by `--reads` or `--unobservable`."""
    if verdict == Verdict.OUT_OF_COVERAGE.value:
        return True
    if verdict != Verdict.UNOBSERVABLE.value:
        return False
    if reason == UnobservableReason.DIRECTORY_READ.value or is_read(name):
        return options.reads is not Reads.NONE
    return options.unobservable is not Unseen.DROP


def _left_alone(analysis: DirectoryAnalysis, options: PlanOptions) -> dict[int, str]:
    """Return the first reason why each assignment must not be changed; other assignments are left out."""
    tables = analysis.tables
    rows = tables.assignments.join(_holders(analysis), left_on="principal_id", right_on="holder", how="left")
    excluded = {fold(name) for name in options.exclude}
    window = analysis.plane.window
    excluded |= {fold(one.name) for one in options.exclusions if one.kind == "principal" and one.holds(window)}
    emergency = {fold(name) for name in options.emergency_access}
    young = options.young_from(window)
    known = set(groups_with_known_members(tables.inputs, described_principals(tables.inputs)))
    found: dict[int, str] = {}
    for row in rows.iter_rows(named=True):
        names = {fold(str(row[name] or "")) for name in ("principal_id", "upn", "display_name", "app_id")} - {""}
        whole = _is_whole(analysis, row["a"])
        reason = (
            "activated" if row["state"] == "activated"
            else "excluded" if (names | {row["role"], fold(row["role_name"] or "")}) & excluded
            else "emergency_access" if row["emergency"] or names & emergency
            else "by_the_service" if row["role"] in roles_that("by_the_service")
            else "synced" if row["synced"]
            else "first_party" if row["first_party"]
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


def _is_whole(analysis: DirectoryAnalysis, a: int) -> bool:
    """Return whether all actions are unused for one reason about the whole assignment: no activation or no sign-in."""
    reasons = analysis.judged.filter(pl.col("a") == a)["reason"].unique().to_list()
    return len(reasons) == 1 and reasons[0] in (Unused.NEVER_ACTIVATED.value, Unused.NO_SIGN_IN.value)


def _holders(analysis: DirectoryAnalysis) -> pl.DataFrame:
    """Return the names, kind and age of each principal, and whether it is synced, first-party or for emergencies."""
    names = [folded(pl.col(column)).fill_null("") for column in ("display_name", "user_principal_name")]
    tenants = list(first_party_tenants())
    return analysis.tables.inputs.principals.select(
        "display_name",
        holder=folded(pl.col("principal_id")),
        upn="user_principal_name",
        app_id="app_id",
        kind="principal_type",
        made_on="created_on",
        emergency=pl.any_horizontal(is_emergency_name(name) for name in names)
        & (pl.col("principal_type") == "User").fill_null(False),
        synced=pl.col("is_synced").fill_null(False),
        first_party=folded(pl.col("owner_tenant_id")).is_in(tenants).fill_null(False),
    ).unique("holder", keep="first", maintain_order=True)


def _last_administrators(rows: pl.DataFrame, left: Mapping[int, str]) -> dict[int, str]:
    """Return the permanent Global Administrators that stay so that `LEAST_ADMINISTRATORS` are left, in order of id."""
    permanent = rows.filter(
        pl.col("role").is_in(list(roles_that("last_of_its_kind")))
        & (pl.col("state") == "active")
        & pl.col("end_on").is_null()
        & (pl.col("place") == "/")
    ).sort("role_assignment_id")
    stay = [a for a in permanent["a"] if a in left]
    free: Sequence[int] = [a for a in permanent["a"] if a not in left]
    return dict.fromkeys(free[: max(0, LEAST_ADMINISTRATORS - len(stay))], "last_global_administrator")
