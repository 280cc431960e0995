"""Define the result of an analysis of Microsoft Graph or of directory roles, and join it to the verdicts of RBAC.

Each of these planes has meanings and logs of its own and a package of its own. This module puts their results beside
those of RBAC: in the same tables, under the same words, told apart by `plane`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import polars as pl

from rightsize.analyze.counting import SETS_SCHEMA
from rightsize.analyze.inputs import schema_of
from rightsize.analyze.reasons import OutOfCoverage, Verdict
from rightsize.analyze.scores import COUNTED, SCORE_COLUMNS
from rightsize.analyze.verdicts.judge import VERDICTS_SCHEMA
from rightsize.analyze.verdicts.usage import ACTIVATIONS_SCHEMA
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
_RISE = 0.3
"""How fast the scores of a plane rise towards the mass that scores 100; as for Azure roles."""
ANSWERS_OF_PLANES = ("credential_verdicts",)
"""The answer tables that one plane alone has."""
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
    def answers(self) -> Mapping[str, pl.DataFrame]:
        """Return further answer tables that only this plane has, by name, among `ANSWERS_OF_PLANES`."""
        return {}


def counts_and_scores(mass: pl.Expr, full: float) -> dict[str, pl.Expr]:
    """Return the aggregates `granted` to `risk` of rows `(verdict, reason)`; `full` is the mass that scores 100.

    What was used before the window is no excess.
    """
    is_used = (pl.col("verdict") == Verdict.USED.value) | pl.col("reason").eq_missing(
        OutOfCoverage.USED_BEFORE_WINDOW.value
    )
    whole, excess = (one.cast(pl.Float64) for one in (mass.sum(), mass.filter(~is_used).sum()))
    return {
        "granted": pl.len().cast(pl.Int64),
        **{word: (pl.col("verdict") == word).sum().cast(pl.Int64) for word in COUNTED},
        "creep": (100 * (excess / whole).fill_nan(0.0) * (excess / full).pow(_RISE).clip(0.0, 1.0)).round(1),
        "risk": (100 * (whole / full).pow(_RISE).clip(0.0, 1.0)).round(1),
    }


def declared(rows: pl.DataFrame, schema: Mapping[str, pl.DataType], **said: str) -> pl.DataFrame:
    """Return the columns of a schema with their types: those that are said, those of the rows, and null for others."""
    rows = rows.with_columns(**{name: pl.lit(text) for name, text in said.items()})
    return rows.select(
        (pl.col(name) if name in rows.columns else pl.lit(None)).cast(type_).alias(name)
        for name, type_ in schema.items()
    )


def with_planes(verdicts: pl.DataFrame, planes: Iterable[PlaneAnalysis]) -> pl.DataFrame:
    """Return the verdicts of all planes, in the order of the table's key."""
    frames = [verdicts, *(plane.verdicts.select(*VERDICTS_SCHEMA) for plane in planes)]
    return pl.concat(frames).sort(list(_KEY), nulls_last=True)


def answers_of(planes: Iterable[PlaneAnalysis]) -> dict[str, pl.DataFrame]:
    """Return the answer tables that one plane alone has; empty where it was not judged."""
    found = {name: frame for plane in planes for name, frame in plane.answers.items()}
    return {name: found.get(name, pl.DataFrame(schema=schema_of(name))) for name in ANSWERS_OF_PLANES}


def sets_of_all(sets: pl.DataFrame, planes: Iterable[PlaneAnalysis]) -> pl.DataFrame:
    """Return the sets of operations behind the counted verdicts of all planes."""
    frames = [sets, *(plane.sets.select(*SETS_SCHEMA) for plane in planes)]
    return pl.concat(frames).unique().sort("set_id", "plane", "operation")
