"""Judge from the days that a log covers whether its silence is evidence for the observation window.

A log that covers every day of the window shows all use. A log that covers a part of it shows the use of those days, and
that is evidence too if the days are many, recent, without a long gap, and have ends of months. With less, nothing is
concluded.
"""

from __future__ import annotations

import polars as pl

from rightsize.analyze.reasons import SHOWN, OutOfCoverage, Unused
from rightsize.analyze.scoping import ScopeTree
from rightsize.analyze.text import folded, place_of
from rightsize.analyze.window import Window

NEWEST_DAYS = 14
LONGEST_GAP = 7
MONTH_ENDS = 2
_ADMINISTRATIVE = ("administrative", "*")


def administrative(coverage: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of the table `coverage` on which an Activity Log of administrative calls is covered."""
    rows = coverage.filter((pl.col("source") == "activity_log") & (pl.col("state") != "missing"))
    return rows.filter(folded(rows["category"]).is_in(_ADMINISTRATIVE))


def days_of_scopes(rows: pl.DataFrame, tree: ScopeTree) -> pl.DataFrame:
    """Return `(place, day)` that rows of coverage cover, with repeats.

    Rows of a log cover their own scope; a declaration also covers everything below its scope.
    """
    places = rows.select(pl.col("scope").unique())
    rows = rows.join(places.with_columns(place=place_of(places["scope"])), on="scope")
    declared = rows.filter(pl.col("declared_by").is_not_null()).select(ancestor="place", day="day")
    inherited = tree.chain.join(declared, on="ancestor").select(place="node", day="day")
    return pl.concat([rows.select("place", "day"), inherited])


def judge_days(days: pl.DataFrame, window: Window, since: pl.DataFrame) -> pl.DataFrame:
    """Return `(*key, days, state)`, one row a log: the number of covered days, and what they are evidence of.

    A state is `covered`, `covered_in_part`, or `days_missing`, also where no day is covered. The newest days and the
    ends of months are those of the log's own days, where these are fewer than the window's. A gap lies between two
    covered days: a log may begin late.

    Args:
        days: `(*key, day)`, without repeats: the covered days.
        window: The window.
        since: `(*key, since)`: the logs, and the first day of the window that each of them has to cover.
    """
    key = [name for name in since.columns if name != "since"]
    last = pl.lit(window.last_day)
    day = pl.col("day")
    counted = (
        days.join(since, on=key)
        .filter(day.is_between(pl.col("since"), last))
        .sort(*key, "day")
        .group_by(key)
        .agg(
            days=pl.len().cast(pl.Int64),
            newest=(day > last - pl.duration(days=NEWEST_DAYS)).sum().cast(pl.Int64),
            ends=(day == day.dt.month_end()).sum().cast(pl.Int64),
            gap=day.diff().dt.total_days().max() - 1,
        )
    )
    length = (last - pl.col("since")).dt.total_days() + 1
    judged = since.join(counted, on=key, how="left").with_columns(
        pl.col("days", "newest", "ends", "gap").fill_null(0),
        length=length,
        asked=pl.min_horizontal(length, window.days_asked_of(length)),
        # The ends of months from one day to another are the months between the days after them.
        ends_asked=pl.min_horizontal(MONTH_ENDS, _month(last.dt.offset_by("1d")) - _month(pl.col("since"))),
    )
    is_evidence = (
        (pl.col("days") >= pl.col("asked"))
        & (pl.col("newest") >= pl.min_horizontal(NEWEST_DAYS, "length"))
        & (pl.col("ends") >= pl.col("ends_asked"))
        & (pl.col("gap") <= LONGEST_GAP)
    )
    whole = (pl.col("length") > 0) & (pl.col("days") == pl.col("length"))
    state = (
        pl.when(whole)
        .then(pl.lit(Unused.COVERED.value))
        .when((pl.col("days") > 0) & is_evidence)
        .then(pl.lit(Unused.COVERED_IN_PART.value))
        .otherwise(pl.lit(OutOfCoverage.DAYS_MISSING.value))
    )
    return judged.select(*key, "days", state=state)


def missing_days(days: pl.DataFrame, window: Window, since: pl.DataFrame) -> pl.DataFrame:
    """Return `(*key, day)`: the days of the window since `since` that a log does not cover.

    The arguments are those of `judge_days`.
    """
    key = [name for name in since.columns if name != "since"]
    every = pl.DataFrame({"day": pl.date_range(window.first_day, window.last_day, eager=True)})
    asked = since.join(every, how="cross").filter(pl.col("day") >= pl.col("since"))
    return asked.select(*key, "day").join(days, on=[*key, "day"], how="anti")


def judge_log(days: pl.Series, window: Window) -> str:
    """Return what one log of the whole tenant is evidence of, as `judge_days` does; `days` may repeat."""
    one = pl.DataFrame({"log": ["/"], "since": [window.first_day]})
    covered = pl.DataFrame({"day": days.unique()}).select(pl.lit("/").alias("log"), "day")
    return str(judge_days(covered, window, one)["state"].item())


def days_missing(covered: pl.Series, window: Window) -> pl.Series:
    """Return the days of the window that are not among the covered ones."""
    every = pl.date_range(window.first_day, window.last_day, eager=True)
    return every.filter(~every.is_in(covered.implode())).alias("day")


def is_shown(state: pl.Expr) -> pl.Expr:
    """Return whether the silence of a log in this state is evidence that nothing was used."""
    return state.is_in(SHOWN)


def _month(day: pl.Expr) -> pl.Expr:
    return day.dt.year().cast(pl.Int64) * 12 + day.dt.month().cast(pl.Int64)
