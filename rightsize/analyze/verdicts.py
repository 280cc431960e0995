"""Verdicts: each granted operation is used, unused, unobservable or out of coverage, with the reason."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from rightsize.analyze.inputs import schema_of
from rightsize.analyze.window import Window

VERDICTS_SCHEMA = schema_of("verdicts")
PROFILES_SCHEMA: dict[str, pl.DataType] = {
    "role_assignment_id": pl.String(),
    "state": pl.String(),
    "profile_id": pl.Int64(),
}
PROFILE_OPERATIONS_SCHEMA: dict[str, pl.DataType] = {
    "profile_id": pl.Int64(),
    "operation": pl.String(),
    "plane": pl.String(),
    "verdict": pl.String(),
    "reason": pl.String(),
}


@dataclass(frozen=True, slots=True)
class Analysis:
    """What an analysis concludes.

    Attributes:
        window: The days it speaks of.
        verdicts: As the table `verdicts`: used and unexplained rows singly, the rest counted.
        profiles: One row a (role_assignment_id, state); assignments of one profile are judged alike.
        profile_operations: For each profile the verdict of each granted operation *unless a used row of the
            assignment names it*.
    """

    window: Window
    verdicts: pl.DataFrame
    profiles: pl.DataFrame
    profile_operations: pl.DataFrame
