"""Find the days that the Activity Log lacks between its own days."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from rightsize.analyze.inputs import Inputs, schema_of
from rightsize.analyze.log_days import administrative
from rightsize.analyze.window import Window


def inner_gaps(inputs: Inputs, window: Window) -> pl.DataFrame:
    """Return `(scope, day)`: the days of the window without a log between two days that its log covers.

    A complete export of these days may have no row of them; then the days only have to be declared.
    """
    days = _logged(inputs)
    ends = days.group_by("scope").agg(first=pl.col("day").min(), last=pl.col("day").max())
    every = pl.DataFrame({"day": pl.date_range(window.first_day, window.last_day, eager=True)})
    return (
        ends.join(every, how="cross")
        .filter(pl.col("day").is_between("first", "last"))
        .select("scope", "day")
        .join(days, on=["scope", "day"], how="anti")
        .sort("scope", "day")
    )


def as_ranges(days: pl.DataFrame) -> pl.DataFrame:
    """Return `(scope, first_day, last_day)`: days in a row as one range."""
    run = (pl.col("day").diff().dt.total_days().fill_null(1) != 1).cum_sum().over("scope", order_by="day")
    return (
        days.sort("scope", "day")
        .with_columns(run=run)
        .group_by("scope", "run")
        .agg(first_day=pl.col("day").min(), last_day=pl.col("day").max())
        .select("scope", "first_day", "last_day")
        .sort("scope", "first_day")
    )


def with_declared(inputs: Inputs, window: Window) -> Inputs:
    """Return the tables as if somebody had declared the days between two logged ones as covered."""
    gaps = inner_gaps(inputs, window)
    rows = gaps.select(
        pl.lit("activity_log").alias("source"),
        pl.lit("Administrative").alias("category"),
        "scope",
        "day",
        pl.lit(0, dtype=pl.Int64).alias("events"),
        pl.lit("declared_empty").alias("state"),
    )
    whole = pl.concat([inputs.coverage, rows], how="diagonal").select(*schema_of("coverage"))
    return replace(inputs, coverage=whole)


def _logged(inputs: Inputs) -> pl.DataFrame:
    """Return `(scope, day)` of the days that the Activity Log covers."""
    return administrative(inputs.coverage).select("scope", "day").unique()
