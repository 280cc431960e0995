"""Build the tables of a report: each principal, assignment, role and scope with its counts."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from rightsize.analyze.counting import count_verdicts
from rightsize.analyze.inputs import RBAC_PLANES, Inputs, folded
from rightsize.analyze.planes import score_assignments, score_principals
from rightsize.analyze.principals import principal_names
from rightsize.analyze.reasons import Verdict
from rightsize.analyze.verdicts.judge import Analysis

COUNTS = ("granted", "used", "unused", "unobservable", "out_of_coverage")
_SCORES = ("creep", "risk")


@dataclass(frozen=True, slots=True)
class Overview:
    """The tables of a report. Ids are folded; a count of a role or scope is the sum over its assignments.

    Attributes:
        principals: `principal_id, name, principal_type`, the counts, `creep`, `risk`, and `data_granted`, `data_used`:
            the part of the counts that is of the data plane. Most creep first.
        assignments: `role_assignment_id, state, principal_id, role, scope, created_on, conditional`, counts and scores.
        roles: `role, role_name, role_type, permissions`, `assignments`, `principals`, and the counts.
        scopes: `scope, kind, display_name, assignments, principals`, and the counts.
        reached_by: `principal_id, holder`: the groups whose assignments reach a principal.
        uses: `role_assignment_id, state, principal_id, plane, operation, events, days, scopes, first_seen, last_seen`.
        unexplained: `principal_id, plane, operation, scope, events, last_seen, reason`: no assignment explains it.
        providers: `role, provider, operations`: how much of each provider a role grants.
        reasons: `verdict, reason, operations`: why granted operations have the verdict that they have, the commonest
            first; used operations are not among them.
        totals: The counts of all assignments together, and `unexplained`.
        by_plane: The same of the `control` and of the `data` plane.
    """

    principals: pl.DataFrame
    assignments: pl.DataFrame
    roles: pl.DataFrame
    scopes: pl.DataFrame
    reached_by: pl.DataFrame
    uses: pl.DataFrame
    unexplained: pl.DataFrame
    providers: pl.DataFrame
    reasons: pl.DataFrame
    totals: dict[str, int]
    by_plane: dict[str, dict[str, int]]


def survey(inputs: Inputs, analysis: Analysis) -> Overview:
    """Return the tables of a report."""
    assignments = _assignments(analysis)
    return Overview(
        principals=_principals(inputs, analysis),
        assignments=assignments,
        roles=_roles(inputs, analysis, assignments),
        scopes=_scopes(inputs, assignments),
        reached_by=_reached_by(analysis),
        uses=_uses(analysis),
        unexplained=_unexplained(analysis),
        providers=_providers(inputs, analysis),
        reasons=_reasons(analysis),
        totals=count_verdicts(analysis.verdicts),
        by_plane={plane: count_verdicts(analysis.verdicts.filter(pl.col("plane") == plane)) for plane in RBAC_PLANES},
    )


def _principals(inputs: Inputs, analysis: Analysis) -> pl.DataFrame:
    is_data = pl.col("plane") == "data"
    whole = (
        score_principals(analysis)
        .group_by("principal_id")
        .agg(
            *(pl.col(name).sum() for name in COUNTS),
            *(pl.col(name).max() for name in _SCORES),
            data_granted=pl.col("granted").filter(is_data).sum(),
            data_used=pl.col("used").filter(is_data).sum(),
        )
    )
    return (
        whole.join(principal_names(inputs), on="principal_id", how="left")
        .with_columns(name=pl.coalesce("name", "principal_id"), principal_type=pl.col("principal_type").fill_null(""))
        .sort("creep", "risk", "principal_id", descending=[True, True, False])
    )


def _assignments(analysis: Analysis) -> pl.DataFrame:
    counts = (
        score_assignments(analysis)
        .group_by("role_assignment_id", "state")
        .agg(*(pl.col(name).sum() for name in COUNTS), *(pl.col(name).max() for name in _SCORES))
    )
    return (
        analysis.tenant.assignments.select(
            "role_assignment_id",
            "state",
            "principal_id",
            "role",
            "role_name",
            "scope",
            "created_on",
            conditional=pl.col("condition").is_not_null(),
        )
        .join(counts, on=["role_assignment_id", "state"], how="left", maintain_order="left")
        .with_columns(pl.selectors.by_name(*COUNTS, *_SCORES).fill_null(0))
        .sort("creep", "risk", "role_assignment_id", "state", descending=[True, True, False, False])
    )


def _summed(assignments: pl.DataFrame, by: str) -> pl.DataFrame:
    return assignments.group_by(by).agg(
        *(pl.col(name).sum() for name in COUNTS),
        assignments=pl.len(),
        principals=pl.col("principal_id").n_unique(),
    )


def _roles(inputs: Inputs, analysis: Analysis, assignments: pl.DataFrame) -> pl.DataFrame:
    defined = inputs.role_definitions.select(
        "role_type",
        "permissions",
        role=folded(inputs.role_definitions["role_definition_id"]),
        defined_name="role_name",
    ).unique("role", keep="first", maintain_order=True)
    exported = analysis.tenant.assignments.group_by("role").agg(pl.col("role_name").drop_nulls().min())
    return (
        _summed(assignments, "role")
        .join(defined, on="role", how="left")
        .join(exported, on="role", how="left")
        .with_columns(role_name=pl.coalesce("defined_name", "role_name", "role"))
        .drop("defined_name")
        .sort("granted", "role", descending=[True, False])
    )


def _scopes(inputs: Inputs, assignments: pl.DataFrame) -> pl.DataFrame:
    known = inputs.scopes.select("scope", "kind", "display_name").unique("scope", keep="first", maintain_order=True)
    return (
        _summed(assignments, "scope")
        .join(known, on="scope", how="left")
        .sort("granted", "scope", descending=[True, False])
    )


def _reached_by(analysis: Analysis) -> pl.DataFrame:
    holders = analysis.tenant.assignments["principal_id"].unique()
    return analysis.tenant.membership.filter(
        (pl.col("principal_id") != pl.col("holder")) & pl.col("holder").is_in(holders.implode())
    ).sort("principal_id", "holder")


def _uses(analysis: Analysis) -> pl.DataFrame:
    # A day with use at two scopes may be counted twice; the span from first to last call is the upper bound.
    span = (pl.col("last_seen").dt.date().max() - pl.col("first_seen").dt.date().min()).dt.total_days() + 1
    return (
        analysis.verdicts.filter(pl.col("verdict") == Verdict.USED.value)
        .group_by("role_assignment_id", "state", "principal_id", "plane", "operation")
        .agg(
            pl.col("events").sum(),
            pl.col("first_seen").min(),
            pl.col("last_seen").max(),
            days=pl.min_horizontal(pl.col("days").sum(), span),
            scopes=pl.col("scope").n_unique(),
        )
        .sort("role_assignment_id", "state", "principal_id", "plane", "operation", nulls_last=True)
    )


def _unexplained(analysis: Analysis) -> pl.DataFrame:
    return (
        analysis.verdicts.filter(pl.col("verdict") == Verdict.UNEXPLAINED.value)
        .select("principal_id", "plane", "operation", "scope", "events", "last_seen", "reason")
        .sort("principal_id", "operation", "scope", "plane", nulls_last=True)
    )


def _providers(inputs: Inputs, analysis: Analysis) -> pl.DataFrame:
    provider = inputs.operations.select(
        name=folded(inputs.operations["operation"]), provider=pl.col("provider").fill_null("")
    ).unique("name", keep="first", maintain_order=True)
    return (
        analysis.tenant.grants.join(provider, on="name", how="left")
        .group_by("role", pl.col("provider").fill_null(""))
        .agg(operations=pl.len())
        .sort("role", "operations", "provider", descending=[False, True, False])
    )


def _reasons(analysis: Analysis) -> pl.DataFrame:
    return (
        analysis.verdicts.filter(~pl.col("verdict").is_in([Verdict.USED.value, Verdict.UNEXPLAINED.value]))
        .group_by("verdict", "reason")
        .agg(pl.col("operations").sum())
        .filter(pl.col("operations") > 0)
        .sort("operations", "verdict", "reason", descending=[True, False, False])
    )
