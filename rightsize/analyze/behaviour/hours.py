"""Judge the hours of unusual days one by one, so that a pass over a day tells what a pass after each hour tells."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from rightsize.analyze.behaviour.facts import Behaviour
from rightsize.analyze.behaviour.judge import HIGH, score_days, would_report

_DAY = ["principal_id", "day"]
_TOLD = {"told_on": pl.Datetime("us"), "high_on": pl.Datetime("us")}


def judge_hours(behaviour: Behaviour, found: pl.DataFrame, arrived: pl.DataFrame) -> pl.DataFrame:
    """Return findings with `told_on` and `high_on`: the ends of the hours whose calls made them findings, and high.

    A fact counts from the hour of the call on that shows it, so what a day shows only grows. Where nothing says the
    time, it counts from the last call of the day on: the hours are never too early. `high_on` is null for a finding
    that is not high.

    Args:
        behaviour: The result of `read_behaviour`.
        found: Rows of `judge_behaviour`.
        arrived: `principal_id, day, kind, what, arrived`: the times of places, as `queries/habits/arrived.sql`.
    """
    if found.is_empty():
        return found.with_columns(pl.lit(None, kind).alias(name) for name, kind in _TOLD.items())
    asked = found.select(_DAY)
    steps = behaviour.steps.join(asked, on=_DAY, how="semi", maintain_order="left")
    steps = steps.join(arrived, on=[*_DAY, "kind", "what"], how="left", maintain_order="left")
    steps = steps.with_columns(at=pl.coalesce("arrived", "at")).drop("arrived")
    sought = behaviour.novel.drop_nulls("risk").group_by(_DAY).agg(at=pl.col("first_seen").max())
    creep = behaviour.creep.join(asked, on=_DAY, how="semi").join(sought, on=_DAY, how="left")
    hours = pl.concat([steps.select(*_DAY, "at"), creep.select(*_DAY, "at")]).drop_nulls()
    hours = hours.select(*_DAY, hour=pl.col("at").dt.truncate("1h") + pl.duration(hours=1)).unique()

    def until(rows: pl.DataFrame, time: str) -> pl.DataFrame:
        """Return the rows of each hour and those before it on the day, each hour as a principal of its own."""
        known = rows.join(hours, on=_DAY).filter((pl.col(time) < pl.col("hour")).fill_null(True))
        return known.with_columns(principal_id=_hour_of()).drop("hour")

    shown = until(steps, "at").unique([*_DAY, "kind"], keep="first", maintain_order=True)
    by_hour = replace(
        behaviour, judged=until(behaviour.judged.with_columns(at=None), "at"), facts=shown,
        novel=until(behaviour.novel, "first_seen"), creep=until(creep, "at"),
    )  # fmt: skip
    told = would_report(score_days(by_hour))
    spans = hours.with_columns(key=_hour_of()).join(
        told.select(key="principal_id", day="day", score="score"), on=["key", "day"]
    )
    times = spans.group_by(_DAY).agg(
        told_on=pl.col("hour").min(), high_on=pl.col("hour").filter(pl.col("score") >= HIGH).min()
    )
    return found.join(times, on=_DAY, how="left", maintain_order="left")


def _hour_of() -> pl.Expr:
    return pl.concat_str("principal_id", pl.col("hour").dt.strftime("%H"), separator="\x1f")
