"""Work that follows the calendar: month ends, and what comes back after long regular pauses.

Month and quarter ends, recovery drills and the rotation of certificates happen when the calendar says so, and days
without them prove nothing. Where use is like that, the cycles are what was sampled, and not the days.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

MONTH_END = "month_end"
REGULAR = "regular_pause"

_AROUND = 3
"""Days before and after midnight of the last of a month that belong to its end."""
_FEWEST_DAYS = 3
_FEWEST_ENDS = 2
_SHARE_AT_ENDS = 0.8
"""Six of thirty days lie around a month end, so three days that all do come by chance once in 125 times."""
_FEWEST_SPELLS = 3
WEEK = 7
"""A pause longer than this ends a spell of work; a weekend does not, nor does a week's rhythm."""
_LONG = 14
"""Shorter rhythms show often enough in a window for days to be fair samples."""
_SLACK = 3
"""By how many days regular intervals may differ: months do."""
_MONTH = 30


def find_seasons(use: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Return one row for each group of `by` whose use follows the calendar.

    Args:
        use: The columns of `by`, and `day`.
        by: The columns that name what is looked at: an assignment, or an operation of it.

    Returns:
        The columns of `by`; `period`, `month_end` or `regular_pause`; `every`, the days from one cycle to the next.
    """
    days = with_cycles(use, by)
    starts = days.group_by(*by, "spell").agg(start=pl.col("day").min()).sort(*by, "spell")
    between = (
        starts.with_columns(interval=pl.when(pl.col("spell") > 0).then(pl.col("start").diff().dt.total_days()))
        .group_by(by)
        .agg(
            spells=pl.len(),
            shortest=pl.col("interval").min(),
            longest=pl.col("interval").max(),
            every=pl.col("interval").median(),
        )
    )
    at_end = pl.col("month_end").is_not_null()
    ends = days.group_by(by).agg(days=pl.len(), share=at_end.mean(), ends=pl.col("month_end").drop_nulls().n_unique())
    turning = (pl.col("days") >= _FEWEST_DAYS) & (pl.col("share") >= _SHARE_AT_ENDS) & (pl.col("ends") >= _FEWEST_ENDS)
    regular = (
        (pl.col("spells") >= _FEWEST_SPELLS)
        & (pl.col("shortest") >= _LONG)
        & (pl.col("longest") - pl.col("shortest") <= _SLACK)
    )
    period = pl.when(turning).then(pl.lit(MONTH_END)).when(regular).then(pl.lit(REGULAR))
    found = ends.join(between, on=list(by), nulls_equal=True).with_columns(period=period)
    every = pl.when(pl.col("period") == MONTH_END).then(float(_MONTH)).otherwise("every")
    return found.filter(pl.col("period").is_not_null()).select(*by, "period", every=every).sort(by)


def with_cycles(use: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Return the distinct days of use with the `spell` and the `month_end` that each belongs to.

    `spell` counts the spells of a group from 0; `month_end` numbers the ends of months, null for days between them.
    """
    shifted = pl.col("day").dt.offset_by(f"{_AROUND}d")
    number = shifted.dt.year() * 12 + shifted.dt.month()
    # Counted over all rows, less what was counted before the group began: a window function for each of a million
    # groups takes a minute.
    is_first = pl.struct(by).ne_missing(pl.struct(by).shift()) | (pl.int_range(pl.len()) == 0)
    pauses = (~is_first & (pl.col("day").diff().dt.total_days() > WEEK)).cast(pl.Int64).cum_sum()
    return (
        use.select(*by, "day")
        .unique()
        .sort(*by, "day")
        .with_columns(
            spell=pauses - pl.when(is_first).then(pauses).forward_fill(),
            month_end=pl.when(shifted.dt.day() <= 2 * _AROUND).then(number),
        )
    )
