"""Define the result of an analysis of Microsoft Graph or of directory roles, and join it to the verdicts of RBAC.

Each of these planes has meanings and logs of its own and a package of its own. This module puts their results beside
those of RBAC: in the same tables, under the same words, told apart by `plane`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from rightsize.analyze.activation_use import ACTIVATIONS_SCHEMA
from rightsize.analyze.inputs import schema_of
from rightsize.analyze.reasons import OutOfCoverage, Verdict, sentence_on
from rightsize.analyze.scores import SCORE_COLUMNS, bucket_of
from rightsize.analyze.verdict_sets import SETS_SCHEMA
from rightsize.analyze.verdicts import VERDICTS_SCHEMA
from rightsize.analyze.window import Window
from rightsize.model.nouns import Plane

_COUNTS: dict[str, pl.DataType] = {
    name: pl.Float64() if name in {"creep", "risk"} else pl.Int64() for name in SCORE_COLUMNS
}
PRINCIPALS_SCHEMA: dict[str, pl.DataType] = {"principal_id": pl.String(), "plane": pl.String(), **_COUNTS}
ASSIGNMENTS_SCHEMA: dict[str, pl.DataType] = {
    "role_assignment_id": pl.String(),
    "state": pl.String(),
    "principal_id": pl.String(),
    "role_definition_id": pl.String(),
    "role_name": pl.String(),
    "scope": pl.String(),
    "created_on": pl.Datetime("us"),
    "end_on": pl.Datetime("us"),
    "plane": pl.String(),
    **_COUNTS,
}
DENIED_SCHEMA: dict[str, pl.DataType] = {
    "principal_id": pl.String(),
    "operation": pl.String(),
    "plane": pl.String(),
    "scope": pl.String(),
    "denied": pl.Int64(),
    "used": pl.Boolean(),
}
_USE = ("operation", "plane", "scope", "events", "days", "first_seen", "last_seen")
_KEY = ("role_assignment_id", "state", "principal_id", "plane", "scope", "verdict", "reason", "operation")


@dataclass(frozen=True, slots=True)
class PlaneAnalysis:
    """The result of an analysis of one plane; each frame has the columns of its schema here.

    Attributes:
        plane: Its word in every table.
        window: The days of its own logs that it covers.
        verdicts: As the table `verdicts`; `role_assignment_id` is the id of the grant, whatever it is called there.
        principals: One row per principal that holds access: counts and scores.
        assignments: One row per grant: what is granted to whom, with counts and scores.
        denied: Refused calls by principal and operation: demand, never use.
        findings: As the table `findings`.
        sets: As the table `verdict_operation_sets`: the operations behind counted verdicts.
        activations: As the table `activations`.
    """

    plane: Plane
    window: Window
    verdicts: pl.DataFrame
    principals: pl.DataFrame
    assignments: pl.DataFrame
    denied: pl.DataFrame
    findings: pl.DataFrame
    sets: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=SETS_SCHEMA))
    activations: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=ACTIVATIONS_SCHEMA))

    @property
    def is_empty(self) -> bool:
        """Return whether there is no result for anybody."""
        said = (self.verdicts, self.principals, self.assignments, self.denied, self.findings, self.activations)
        return all(rows.is_empty() for rows in said)

    @staticmethod
    def of_nothing(plane: Plane, window: Window) -> PlaneAnalysis:
        """Return the result for a plane where nobody holds access or does anything."""
        return PlaneAnalysis(
            plane=plane,
            window=window,
            verdicts=pl.DataFrame(schema=VERDICTS_SCHEMA),
            principals=pl.DataFrame(schema=PRINCIPALS_SCHEMA),
            assignments=pl.DataFrame(schema=ASSIGNMENTS_SCHEMA),
            denied=pl.DataFrame(schema=DENIED_SCHEMA),
            findings=pl.DataFrame(schema=schema_of("findings")),
        )


def with_planes(verdicts: pl.DataFrame, planes: Iterable[PlaneAnalysis]) -> pl.DataFrame:
    """Return the verdicts of all planes, in the order of the table's key."""
    frames = [verdicts, *(plane.verdicts.select(*VERDICTS_SCHEMA) for plane in planes)]
    return pl.concat(frames).sort(list(_KEY), nulls_last=True)


def sets_of_all(sets: pl.DataFrame, planes: Iterable[PlaneAnalysis]) -> pl.DataFrame:
    """Return the sets of operations behind the counted verdicts of all planes."""
    frames = [sets, *(plane.sets.select(*SETS_SCHEMA) for plane in planes)]
    return pl.concat(frames).unique().sort("set_id", "plane", "operation")


def ledger(plane: PlaneAnalysis, holders: dict[str, list[str]], principal_id: str) -> dict[str, list[dict[str, Any]]]:
    """Return everything known about one principal on a plane, under the names of `explanation.Explanation`.

    An empty analysis gives an empty mapping.

    Args:
        plane: The analysis.
        holders: The principal and the groups that contain it, each with the groups on the way to it.
        principal_id: The principal, folded.
    """
    if plane.is_empty:
        return {}
    held = plane.assignments.filter(pl.col("principal_id").is_in(list(holders)))
    mine = plane.verdicts.join(held.select("role_assignment_id", "state"), on=["role_assignment_id", "state"])
    own = pl.col("principal_id") == principal_id
    used = mine.filter(pl.col("verdict") == Verdict.USED.value)
    days_ago = plane.window.days_ago(pl.col("last_seen"))
    counted = (
        mine.group_by("role_assignment_id", "state", "plane", "verdict", "reason")
        .agg(pl.col("operations").sum(), pl.col("covered_days").min())
        .sort("role_assignment_id", "state", "verdict", "reason")
    )
    counts: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in counted.drop("covered_days").iter_rows(named=True):
        counts.setdefault((row.pop("role_assignment_id"), row.pop("state")), []).append(row)
    totals = counted.group_by("plane", "verdict", "reason").agg(
        pl.col("operations").sum(), pl.col("covered_days").min()
    )
    named = ("role_assignment_id", "state", "role_name", "scope", "created_on", "end_on", "role_definition_id")
    return {
        "assignments": [
            {name: row[name] for name in named}
            | {
                "condition": None,
                "via": holders[row["principal_id"]],
                "verdicts": counts.get((row["role_assignment_id"], row["state"]), []),
            }
            for row in held.sort("role_name", "role_assignment_id", "state").iter_rows(named=True)
        ],
        "scores": [
            row | {"bucket": bucket_of(row["creep"])}
            for row in plane.principals.filter(own).drop("principal_id").to_dicts()
        ],
        "verdicts": [
            {"plane": row["plane"], "verdict": row["verdict"], "reason": row["reason"], "operations": row["operations"]}
            | {"meaning": sentence_on(row["reason"], row["covered_days"], plane.window.days)}
            for row in totals.sort("plane", "verdict", "reason").iter_rows(named=True)
        ],
        "used": used.sort("last_seen", "operation", descending=[True, False], nulls_last=True)
        .select("principal_id", *_USE, "role_assignment_id", "state", "reason")
        .to_dicts(),
        "used_earlier": mine.filter(pl.col("reason") == OutOfCoverage.USED_BEFORE_WINDOW.value)
        .sort("last_seen", "operation", descending=[True, False], nulls_last=True)
        .select("principal_id", *_USE, "role_assignment_id", "state", days_ago=days_ago)
        .to_dicts(),
        "unexplained": plane.verdicts.filter(own & (pl.col("verdict") == Verdict.UNEXPLAINED.value))
        .select(*_USE, "reason")
        .to_dicts(),
        "denied": plane.denied.filter(own).drop("principal_id").sort("operation", "scope").to_dicts(),
        "findings": plane.findings.filter(own).to_dicts(),
        "activations": plane.activations.filter(own).to_dicts(),
    }
