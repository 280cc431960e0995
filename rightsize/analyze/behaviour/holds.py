"""Hold uses that a person should look at first: they are counted as suspect, so that nothing is learnt from them.

Two kinds of uses are held, until somebody decides or the days of `rules/behaviour_holds.csv` are over:

- by `behaviour`: what was used for the first time in a finding about unusual behaviour, and all later uses of it;
- by `signal`: later uses of what was used for the first time while a signal or a decision had it in quarantine.

An operation is looked at by itself and together with its scope. So a known operation at a scope that was new on the
unusual day is held there, and an operation that was new is held at every scope.
"""

from __future__ import annotations

import datetime as dt

import polars as pl

from rightsize.analyze.text import folded, place_of
from rightsize.rules.behaviour import hold_days

HELD = pl.Schema({"row": pl.UInt32(), "basis": pl.String(), "day": pl.Date()})
_WHO = "principal_id"
_COUNTS = ("succeeded", "failed", "started")


def find_held(usage: pl.DataFrame, findings: pl.DataFrame, trusted: pl.DataFrame, newest: dt.date) -> pl.DataFrame:
    """Return the rows of use that are held: `row` (its number), `basis`, and the `day` of the finding or signal.

    Args:
        usage: `usage_days`, or a table of requests with these columns; `failed` and `started` may be missing.
        findings: `behaviour_findings`.
        trusted: `principal_id, from_time, to_time`: times that a person decided to trust.
        newest: The newest day of the logs, by which the days of a hold are counted.
    """
    standing = _untrusted(findings, trusted, "first_time", "first_time").filter(
        pl.col("day") >= newest - dt.timedelta(days=hold_days("behaviour"))
    )
    rows = usage.lazy().select(
        _WHO, "operation", "scope", "day", "first_seen", "last_seen", row=pl.int_range(pl.len(), dtype=pl.UInt32),
        use=_use_of(usage), suspect=pl.col("suspect").fill_null(0),
    ).filter(pl.col("use") > 0)  # fmt: skip
    named = pl.concat([standing[_WHO], usage.filter(pl.col("suspect") > 0)[_WHO].drop_nulls()]).unique()
    some = rows.filter(pl.col(_WHO).is_in(named.implode())).collect()
    if some.is_empty():
        return pl.DataFrame(schema=HELD)
    some = some.with_columns(name=folded(some["operation"]), place=place_of(some["scope"]))
    held = pl.concat([*_by_behaviour(some, standing), *_by_signals(some, newest)])
    held = held.sort("row", "day", "basis", descending=[False, True, False]).unique("row", keep="first")
    left = _untrusted(some.join(held, on="row"), trusted, "first_seen", "last_seen")
    return left.filter(pl.col("suspect") < pl.col("use")).select(
        "row", "basis", day="day_right"
    ).sort("row").cast(HELD)  # fmt: skip


def with_held(usage: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    """Return `usage_days` with every call of the held rows counted as suspect."""
    if held.is_empty():
        return usage
    is_held = pl.int_range(pl.len(), dtype=pl.UInt32).is_in(held["row"].implode())
    return usage.with_columns(suspect=pl.when(is_held).then(_use_of(usage)).otherwise("suspect").cast(pl.Int64))


def _use_of(usage: pl.DataFrame) -> pl.Expr:
    """Return how many calls of a row are use; a log without answers counts all as succeeded."""
    return pl.sum_horizontal(pl.col(name).fill_null(0) for name in _COUNTS if name in usage.columns)


def _untrusted(rows: pl.DataFrame, trusted: pl.DataFrame, first: str, last: str) -> pl.DataFrame:
    numbered = rows.with_row_index("number")
    good = numbered.join(trusted, on=_WHO).filter(
        (pl.col(first) >= pl.col("from_time")) & (pl.col(last) <= pl.col("to_time"))
    )
    return numbered.join(good.select("number").unique(), on="number", how="anti").drop("number")


def _by_behaviour(some: pl.DataFrame, standing: pl.DataFrame) -> list[pl.DataFrame]:
    """Return the rows of operations that findings name, and of places first used on the day of a finding."""
    named = standing.select(_WHO, "day", name="operations").explode("name", empty_as_null=True).drop_nulls("name")
    named = named.with_columns(name=folded(named["name"])).group_by(_WHO, "name").agg(pl.col("day").max())
    begun = some.group_by(_WHO, "name", "place").agg(day=pl.col("day").min())
    there = begun.join(standing.select(_WHO, "day").unique(), on=[_WHO, "day"])
    said = pl.lit("behaviour")
    return [
        some.join(named, on=[_WHO, "name"]).select("row", basis=said, day="day_right"),
        some.join(there, on=[_WHO, "name", "place"]).select("row", basis=said, day="day_right"),
    ]


def _by_signals(some: pl.DataFrame, newest: dt.date) -> list[pl.DataFrame]:
    """Return the rows of what was used first in quarantine alone, while the last such use is recent enough."""
    term = dt.timedelta(days=hold_days("signal"))
    parts = []
    for key in ([_WHO, "name"], [_WHO, "name", "place"]):
        days = some.group_by(*key, "day").agg(
            clean=(pl.col("use") - pl.col("suspect")).sum(), suspect=pl.col("suspect").sum()
        )
        begun = days.sort("day").group_by(key).agg(
            is_held=pl.col("clean").first() <= 0, last=pl.col("day").filter(pl.col("suspect") > 0).max()
        )  # fmt: skip
        standing = begun.filter(pl.col("is_held") & (pl.col("last") >= newest - term))
        parts.append(some.join(standing, on=key).select("row", basis=pl.lit("signal"), day="last"))
    return parts
