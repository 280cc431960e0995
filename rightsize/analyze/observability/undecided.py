"""Weigh the operations without a decision, by assignment and by what could decide them.

The excess of an operation is its weight by risk times the reach of its assignment, as in the score of creep. An
operation with use of its own is no excess, whatever its verdict.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from rightsize.analyze.planes import PlaneAnalysis
from rightsize.analyze.profiles import operation_facts
from rightsize.analyze.reasons import OutOfCoverage, UnobservableReason, Verdict
from rightsize.analyze.resource_logs import log_rules, rules_of
from rightsize.analyze.scoping import REACH, ROOT
from rightsize.analyze.text import folded
from rightsize.analyze.verdicts import Analysis
from rightsize.rules.directory import weight_of as weight_of_action
from rightsize.rules.graph import level_of
from rightsize.rules.graph import weight_of as weight_of_permission
from rightsize.rules.inventory import decided_type
from rightsize.rules.operations import risk_weights

UNDECIDED = (Verdict.UNOBSERVABLE.value, Verdict.OUT_OF_COVERAGE.value)
ASSIGNMENT = ("role_assignment_id", "state")
CLASS = ("plane", "verdict", "reason", "kind", "log", "is_read", "levels", "is_logged")
"""The columns in which all operations of a class have one value.

`kind` is the type whose absence would decide them, `log` the type of resource whose log would show them, `is_read`
whether only a token of Azure Resource Manager shows them, `levels` at which levels of scope they happen,
`is_logged` whether the Activity Log shows them.
"""
CELLS: dict[str, pl.DataType] = {
    "role_assignment_id": pl.String(),
    "state": pl.String(),
    "principal_id": pl.String(),
    "place": pl.String(),
    "level": pl.String(),
    "plane": pl.String(),
    "verdict": pl.String(),
    "reason": pl.String(),
    "kind": pl.String(),
    "log": pl.String(),
    "is_read": pl.Boolean(),
    "levels": pl.String(),
    "is_logged": pl.Boolean(),
    "operations": pl.Int64(),
    "excess": pl.Int64(),
}
"""The columns of the rows here, one an assignment and class: number of operations, and their excess."""


def weigh_cells(analysis: Analysis, spared: pl.Series) -> pl.DataFrame:
    """Return all operations of Azure roles without use of their own, decided or not, as `CELLS` has them.

    Activations are left out, since their eligible assignments have the same operations.

    Args:
        analysis: The analysis.
        spared: Folded principals whose assignments no evidence would change: emergency access accounts.
    """
    return _weighed(analysis, operation_classes(analysis), spared)


def operation_classes(analysis: Analysis) -> pl.DataFrame:
    """Return `(profile_id, operation, weight, *CLASS)`: the operations that profiles grant, with what decides them."""
    tenant = analysis.tenant
    said = analysis.profile_operations
    names = said.select("operation", "plane").unique()
    names = names.with_columns(name=folded(names["operation"]))
    facts = operation_facts(tenant, names.select("name", "plane").unique()).select(
        "name", "plane", "levels", "why", "observable_by"
    )
    weights = tenant.operations.group_by("name").agg(weight=pl.col("weight").max())
    rules = rules_of(names).join(log_rules().select("rule", log="kind"), on="rule").select("name", "plane", "log")
    endpoint = (pl.col("why") == UnobservableReason.DATA_ENDPOINT.value).fill_null(False)
    described = (
        names.join(facts.unique(["name", "plane"], keep="any"), on=["name", "plane"], how="left")
        .join(weights, on="name", how="left")
        .join(rules.unique(["name", "plane"], keep="any"), on=["name", "plane"], how="left")
        .with_columns(
            pl.col("weight").fill_null(risk_weights()["change"]),
            log=pl.when(pl.col("why").is_null()).then("log"),
            is_logged=(pl.col("observable_by") == "activity_log").fill_null(False),
            is_read=(pl.col("why") == UnobservableReason.ARM_READ.value).fill_null(False),
        )
    )
    # As in `profiles`: reads of Resource Manager and what happens above subscriptions need no resource.
    lists = (pl.col("plane") == "control") & pl.col("name").str.ends_with("/read") & pl.col("log").is_null() & ~endpoint
    described = described.with_columns(kind=decided_type(described["name"])).with_columns(
        kind=pl.when((pl.col("levels") == "below") & ~lists).then("kind")
    )
    return said.join(described, on=["operation", "plane"]).select("profile_id", "operation", "weight", *CLASS)


def _weighed(analysis: Analysis, classes: pl.DataFrame, spared: pl.Series) -> pl.DataFrame:
    assignments = analysis.tenant.assignments.filter(
        pl.col("state").is_in(["active", "eligible"])
        & ~pl.col("twin")
        & ~pl.col("principal_id").is_in(spared.implode())
    ).select(*ASSIGNMENT, "principal_id", "place", "level")
    held = analysis.profiles.join(assignments, on=list(ASSIGNMENT))
    sums = classes.group_by("profile_id", *CLASS).agg(operations=pl.len().cast(pl.Int64), mass=pl.col("weight").sum())
    own = (
        analysis.verdicts.filter(pl.col("operation").is_not_null() & pl.col("role_assignment_id").is_not_null())
        .select(*ASSIGNMENT, "plane", "operation")
        .unique()
        .join(held.select(*ASSIGNMENT, "profile_id"), on=list(ASSIGNMENT))
        .join(classes, on=["profile_id", "plane", "operation"])
        .group_by(*ASSIGNMENT, *CLASS)
        .agg(known=pl.len().cast(pl.Int64), known_mass=pl.col("weight").sum())
    )
    reach = pl.col("level").replace_strict(REACH, return_dtype=pl.Int64)
    return (
        held.join(sums, on="profile_id")
        .join(own, on=[*ASSIGNMENT, *CLASS], how="left", nulls_equal=True)
        .with_columns(
            operations=pl.col("operations") - pl.col("known").fill_null(0),
            excess=(pl.col("mass") - pl.col("known_mass").fill_null(0)) * reach,
        )
        .filter(pl.col("operations") > 0)
        .select(pl.col(name).cast(kind) for name, kind in CELLS.items())
        .sort(*ASSIGNMENT, *CLASS, nulls_last=True)
    )


def plane_cells(planes: Sequence[PlaneAnalysis]) -> pl.DataFrame:
    """Return the same rows for permissions of Graph and actions of directory roles, whose reach is the tenant."""
    found = [pl.DataFrame(schema=CELLS)]
    for plane in planes:
        counted = plane.verdicts.filter(
            pl.col("verdict").is_in(UNDECIDED) & (pl.col("reason") != OutOfCoverage.USED_BEFORE_WINDOW.value)
        )
        singly = counted.filter(pl.col("operation").is_not_null()).select(*_OF_PLANE, "operation")
        through = counted.filter(pl.col("operation").is_null()).select(*_OF_PLANE, "set_id")
        through = through.join(plane.sets.select("set_id", "operation"), on="set_id").select(*_OF_PLANE, "operation")
        rows = pl.concat([singly, through]).drop_nulls("role_assignment_id")
        weigh = _weight_on.get(plane.plane, weight_of_action)
        names = rows["operation"].unique().sort()
        weights = pl.DataFrame(
            {"operation": names, "weight": pl.Series([weigh(name) for name in names], dtype=pl.Int64)}
        )
        summed = (
            rows.join(weights, on="operation")
            .group_by(_OF_PLANE)
            .agg(operations=pl.len().cast(pl.Int64), excess=pl.col("weight").sum() * REACH["root"])
        )
        found.append(
            summed.with_columns(
                place=pl.lit(ROOT),
                level=pl.lit("root"),
                kind=pl.lit(None, dtype=pl.String),
                log=pl.lit(None, dtype=pl.String),
                is_read=pl.lit(False),
                levels=pl.lit(None, dtype=pl.String),
                is_logged=pl.lit(False),
            ).select(pl.col(name).cast(kind) for name, kind in CELLS.items())
        )
    return pl.concat(found).sort(*ASSIGNMENT, *CLASS, nulls_last=True)


_OF_PLANE = ("role_assignment_id", "state", "principal_id", "plane", "verdict", "reason")


def _weight_of_granted(permission: str) -> int:
    return weight_of_permission(permission, level_of(permission, "application", None))


_weight_on = {"graph": _weight_of_granted}
