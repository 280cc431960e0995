"""Expand habits into calls, with a day, a minute and an outcome each, as columns without a Python loop."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import polars as pl

from rightsize.demo.hashing import below, mixed, number
from rightsize.demo.spec import TenantSpec
from rightsize.demo.tenant import Habit

# The outcome of a call, in its column `failed`: done, or failed after it was authorised.
DONE, CONFLICT, BAD_REQUEST = 0, 1, 2
# The log rows of a call, in its column `pattern`.
BEGIN_END, BEGIN_ACCEPT_END, END_ONLY, BEGIN_ONLY = 0, 1, 2, 3

CALLS_SCHEMA: dict[str, pl.DataType] = {
    "habit": pl.Int32(),
    "call": pl.Int32(),
    "day": pl.Int32(),
    "time": pl.Datetime("us"),
    "failed": pl.Int8(),
    "pattern": pl.Int8(),
    "has_evidence": pl.Boolean(),
    "has_claims": pl.Boolean(),
}
_MICROSECONDS = 1_000_000
_HOUR = 3600 * _MICROSECONDS
_LOTS = 1_000_000
_NIGHT = (30 * 60 * _MICROSECONDS, 4 * _HOUR)
_OFFICE = (6 * _HOUR, 11 * _HOUR)


def expand_habits(spec: TenantSpec, habits: Sequence[Habit]) -> pl.DataFrame:
    """Return one row a call, as `CALLS_SCHEMA` says, in the order of habits and calls."""
    calendar = _Calendar(spec)
    plans = [calendar.days_of(habit) for habit in habits]
    counts = _counts(spec, habits, plans)
    days = pl.Series([day for plan in plans for day in plan], dtype=pl.Int64)
    per_habit = pl.DataFrame(
        {
            "habit": range(len(habits)),
            "count": counts,
            "length": [len(plan) for plan in plans],
            "night": [habit.cadence == "nightly" for habit in habits],
            "single_row": [habit.outcome in ("denied", "linked") for habit in habits],
            "may_fail": [not habit.outcome and habit.kind == "logged" for habit in habits],
            "bundle": request_numbers(spec, habits),
        },
        schema_overrides={"habit": pl.Int64(), "count": pl.Int64(), "length": pl.Int64(), "bundle": pl.UInt64},
    ).with_columns((pl.col("length").cum_sum() - pl.col("length")).alias("offset"))
    calls = (
        per_habit.filter(pl.col("count") > 0)
        .with_columns(pl.int_ranges(0, "count").alias("call"))
        .explode("call")
        .with_columns(_day_index().alias("index"))
    )
    calls = calls.with_columns(days.gather(calls["offset"] + calls["index"]).alias("day"))
    return _with_chance(spec, calls).select(pl.col(name).cast(type_) for name, type_ in CALLS_SCHEMA.items())


def request_numbers(spec: TenantSpec, habits: Sequence[Habit]) -> pl.Series:
    """Return a request number for each habit; habits of one bundle share a request and have the same number."""
    names = (
        f"bundle:{habit.principal_id}:{habit.bundle}" if habit.bundle else f"habit:{index}"
        for index, habit in enumerate(habits)
    )
    return pl.Series([number(spec.seed, name) for name in names], dtype=pl.UInt64)


def _day_index() -> pl.Expr:
    """Return the day of each call: few calls are spread evenly, the first on the last day; many go round all days."""
    spread = pl.col("length") - 1 - (pl.col("call") * pl.col("length")) // pl.col("count")
    return pl.when(pl.col("count") >= pl.col("length")).then(pl.col("call") % pl.col("length")).otherwise(spread)


def _counts(spec: TenantSpec, habits: Sequence[Habit], plans: Sequence[Sequence[int]]) -> list[int]:
    natural = [
        len(plan)
        if habit.by_lot or not plan
        else max(1, round(habit.rate * (1 if habit.cadence == "once" else len(plan))))
        for habit, plan in zip(habits, plans, strict=True)
    ]
    if spec.events is None:
        return natural
    shown = [count * (habit.kind in ("logged", "storage")) for count, habit in zip(natural, habits, strict=True)]
    free = sum(count for count, habit in zip(shown, habits, strict=True) if _is_free(habit))
    factor = max(0.0, spec.events - sum(shown) + free) / max(free, 1)
    return [
        max(1, round(count * factor)) if count and _is_free(habit) else count
        for count, habit in zip(natural, habits, strict=True)
    ]


def _is_free(habit: Habit) -> bool:
    """Return whether the number of calls of a habit may be scaled to the number of events that a spec asks for.

    Nightly work keeps its number so that days without events are rare, and unique calls stay unique. Silent calls do
    not count. Work once a month or in a cycle keeps its number, or it would not follow the calendar.
    """
    return habit.cadence in ("weekday", "weekly") and not habit.by_lot and habit.kind in ("logged", "storage")


def _with_chance(spec: TenantSpec, calls: pl.DataFrame) -> pl.DataFrame:
    shared = mixed(number(spec.seed, "request"), calls["bundle"], calls["call"])
    own = mixed(number(spec.seed, "call"), calls["habit"], calls["call"])
    start = pl.when(pl.col("night")).then(_NIGHT[0]).otherwise(_OFFICE[0])
    length = pl.when(pl.col("night")).then(_NIGHT[1]).otherwise(_OFFICE[1])
    midnight = pl.lit(dt.datetime.combine(spec.first_day, dt.time())).dt.replace_time_zone(None)
    within = (start + (pl.col("shared") % length.cast(pl.UInt64)).cast(pl.Int64)) + (
        pl.col("own") % (20 * _MICROSECONDS)
    ).cast(pl.Int64)
    chance = (pl.col("own") // 2**20 % 1000).cast(pl.Int64)
    may_fail = pl.when(~pl.col("may_fail")).then(DONE).when(chance < 20).then(CONFLICT)
    failed = may_fail.when(chance < 30).then(BAD_REQUEST).otherwise(DONE)
    rows = (pl.col("own") // 2**32 % 1000).cast(pl.Int64)
    mostly = pl.when(pl.col("single_row")).then(END_ONLY).when(rows < 600).then(BEGIN_END)
    pattern = mostly.when(rows < 900).then(BEGIN_ACCEPT_END).when(rows < 980).then(END_ONLY).otherwise(BEGIN_ONLY)
    return (
        calls.with_columns(shared.alias("shared"), own.alias("own"))
        .with_columns(
            (midnight + pl.duration(days="day") + pl.duration(microseconds=within)).alias("time"),
            failed.alias("failed"),
            pattern.alias("pattern"),
            ((pl.col("own") // 2**44 % 100) >= 8).alias("has_evidence"),
            ((pl.col("own") // 2**52 % 100) >= 4).alias("has_claims"),
        )
        .with_columns(
            pl.when((pl.col("failed") != DONE) & (pl.col("pattern") != END_ONLY))
            .then(BEGIN_END)
            .otherwise("pattern")
            .alias("pattern")
        )
    )


class _Calendar:
    """The days of habits, as offsets from the first day."""

    def __init__(self, spec: TenantSpec) -> None:
        self._spec = spec
        self._dates = [spec.first_day + dt.timedelta(days=offset) for offset in range(spec.days)]

    def days_of(self, habit: Habit) -> list[int]:
        """Return the days on which a habit may happen, oldest first; for a habit by lot, the days drawn for it."""
        days = self._cadence_of(habit)
        if habit.by_lot:
            lot = (self._spec.seed, "lot", habit.principal_id, habit.operation)
            return [day for day in days if below(_LOTS, *lot, day) < habit.rate * _LOTS]
        return days

    def _cadence_of(self, habit: Habit) -> list[int]:
        last = self._spec.days - 1
        span = range(max(0, last - habit.first_ago), last - habit.last_ago + 1)
        chance = number(self._spec.seed, habit.principal_id, habit.bundle or habit.operation, habit.cadence)
        if habit.cadence == "weekday":
            return [day for day in span if self._dates[day].weekday() < 5]
        if habit.cadence == "weekly":
            return [day for day in span if self._dates[day].weekday() == chance % 5]
        if habit.cadence == "four_weekly":
            return [day for day in span if day % 28 == chance % 28]
        if habit.cadence == "month_end":
            return [day for day in span if (self._dates[day] + dt.timedelta(days=2)).day <= 3]
        if habit.cadence == "monthly":
            return [day for day in span if self._dates[day].day == 1 + below(25, chance)]
        return list(span)
