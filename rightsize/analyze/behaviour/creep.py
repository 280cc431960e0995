"""Test the first uses of each principal one after the other: does it gather what attackers seek, a little at a time?

A cumulative sum (CUSUM) of log-likelihood ratios. Under the one hypothesis first uses come at the base rate of the kind
of principal and the class of risk, counted on earlier days. Under the other they come once a week. The sum falls with
each day without one, and never below zero. It is taken in thousandths of a bit, as integers, so that it is exact.
"""

from __future__ import annotations

import polars as pl

from rightsize.analyze.behaviour.context_signals import rarity

LIMIT = 12.0
"""Bits of the sum from which on a day is a finding."""
BURN_IN = 31
"""Days of a principal, and of a log, before a first use says anything."""

_WEEKLY = 1 / 7
_DRIFT = 206
"""Thousandths of a bit that the sum falls a day: a week's rate over the natural logarithm of two."""
_MOST, _MOST_OF_DAY = 6.0, 9.0
"""The most bits of one class of risk and of one day, so that one day alone never is a creep."""
_PRIOR = 365.0
"""Days of one principal without a first use that count beside those of the log."""
_DAY = ["principal_id", "day"]


def find_creep(first: pl.DataFrame, young: pl.DataFrame) -> pl.DataFrame:
    """Return the days with a first use of what attackers seek, with the sum up to each.

    In the first month of the log everything is a first use, so nothing counts.

    Args:
        first: The first use of each operation by each principal, with the class that attackers seek it for or null:
            `principal_id, of, day, start, log_start, risk, peers, known`: the first day of the principal and of its
            log, the principals of the kind by then, and how many of them had used the operation.
        young: For first uses in the first month of a principal, the bits compared with the first days of
            others: `principal_id, day, risk, bits`.

    Returns:
        `principal_id, day, bits` (the sum), `gathered` (what was left of it from the days before), `count` (days with a
        first use since the sum rose from zero), and `since`, the first of them.
    """
    sought = first.filter(pl.col("risk").is_not_null())
    settled = sought.filter(pl.col("day") >= pl.col("start") + pl.duration(days=BURN_IN))
    rare = rarity(pl.col("peers"), pl.col("known"))
    bits = pl.min_horizontal((_WEEKLY / pl.col("rate")).log(2.0), rare, _MOST)
    steps = pl.concat(
        [
            settled.join(_base_rates(first, settled), on=["of", "risk", "day"]).select(*_DAY, "risk", bits=bits),
            young.select(*_DAY, "risk", bits=pl.min_horizontal("bits", _MOST)),
        ]
    )
    return _summed(
        steps.filter(pl.col("bits") > 0).group_by(*_DAY, "risk").agg(pl.col("bits").max())
        .with_columns(step=(1000 * pl.col("bits")).round().cast(pl.Int64))
        .group_by(_DAY).agg(pl.col("step").sum().clip(upper_bound=round(1000 * _MOST_OF_DAY)))
    )  # fmt: skip


def _base_rates(first: pl.DataFrame, settled: pl.DataFrame) -> pl.DataFrame:
    """Return `of, risk, day, rate`: first uses a day and principal of the kind after its first weeks, until a day."""
    starts = first.select("of", "principal_id", "start").unique().sort("start", "principal_id")
    ready = starts.select(
        "of",
        ready=pl.col("start") + pl.duration(days=BURN_IN),
        people=pl.int_range(1, pl.len() + 1).over("of"),
        spent=pl.col("start").cast(pl.Int64).cum_sum().over("of"),
    )
    made = settled.group_by("of", "risk", "day").agg(made=pl.len()).sort("day", "of", "risk")
    made = made.with_columns(before=pl.col("made").cum_sum().over("of", "risk") - pl.col("made"))
    at = made.join_asof(ready, left_on="day", right_on="ready", by="of", check_sortedness=False)
    exposed = pl.col("people") * (pl.col("day").cast(pl.Int64) - BURN_IN) - pl.col("spent")
    return at.select("of", "risk", "day", rate=(1 + pl.col("before")) / (_PRIOR + exposed.fill_null(0)))


def _summed(steps: pl.DataFrame) -> pl.DataFrame:
    """Return the sum up to each step: the total since the last time that it was zero."""
    who = "principal_id"
    rows = steps.sort(_DAY).with_columns(
        fell=_DRIFT * pl.col("day").diff().over(who).dt.total_days().fill_null(0),
    )
    rows = rows.with_columns(total=(pl.col("step") - pl.col("fell")).cum_sum().over(who))
    before = pl.col("total") - pl.col("step")
    rows = rows.with_columns(least=before.cum_min().over(who), before=before)
    # Where the sum before a step is a new low, it was zero, and a run begins.
    rows = rows.with_columns(run=(pl.col("before") == pl.col("least")).cum_sum().over(who))
    return rows.select(
        *_DAY,
        bits=(pl.col("total") - pl.col("least")).cast(pl.Float64) / 1000,
        gathered=(pl.col("before") - pl.col("least")).cast(pl.Float64) / 1000,
        count=pl.int_range(1, pl.len() + 1).over(who, "run"),
        since=pl.col("day").first().over(who, "run"),
    )
