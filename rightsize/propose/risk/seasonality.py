"""Find use that follows the calendar, from days of use: at month ends, or again after long regular pauses.

The calendar decides when month ends, quarter ends, recovery drills and certificate rotations take place, and days
without them prove nothing. For such use the samples are the cycles, not the days.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

MONTH_END = "month_end"
REGULAR = "regular_pause"

_AROUND = 3
"""The number of days before, and after, the midnight at the end of a month that count as its end."""
_FEWEST_DAYS = 3
_FEWEST_ENDS = 2
_SHARE_AT_ENDS = 0.8
"""Six of thirty days lie around a month end, so three days of use all lie there by chance once in 125 times."""
_FEWEST_SPELLS = 3
WEEK = 7
"""The longest pause in days within one spell of work: a weekend or a weekly rhythm does not end a spell."""
_LONG = 14
"""The shortest interval in days of a regular rhythm: with shorter ones, days are fair samples."""
_SLACK = 3
"""The number of days by which regular intervals may differ, since months differ in length."""


def find_seasons(use: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Return one row for each group of `by` whose use follows the calendar.

    Args:
        use: The columns of `by`, and `day`.
        by: The columns of a group: they name an assignment, or an operation of it.

    Returns:
        The columns of `by`, and `period`: `month_end` or `regular_pause`.
    """
    days = _with_cycles(use, by)
    starts = days.group_by(*by, "spell").agg(start=pl.col("day").min()).sort(*by, "spell")
    between = (
        starts.with_columns(interval=pl.when(pl.col("spell") > 0).then(pl.col("start").diff().dt.total_days()))
        .group_by(by)
        .agg(spells=pl.len(), shortest=pl.col("interval").min(), longest=pl.col("interval").max())
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
    found = ends.join(between, on=list(by), nulls_equal=True).select(*by, period=period)
    return found.drop_nulls("period").sort(by)


def _with_cycles(use: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Return the distinct days of use with the `spell` and the `month_end` that each belongs to.

    `spell` counts the spells of a group from 0; `month_end` numbers the ends of months, null for days between them.
    """
    shifted = pl.col("day").dt.offset_by(f"{_AROUND}d")
    number = shifted.dt.year() * 12 + shifted.dt.month()
    # Pauses are counted over all rows, and the count at the start of each group is subtracted: a window function for
    # each of a million groups takes a minute.
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
