"""Draw the coverage calendar: a square for each day of each log, with the counts of days."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from rightsize.analyze.window import Window

STATES = ("observed", "declared_empty", "quiet", "missing")
"""States of a day, from full coverage to none."""
_MOST_ROWS = 40
_CELL, _GAP, _HEIGHT = 7, 1, 14


@dataclass(frozen=True, slots=True)
class CalendarRow:
    """One log at one scope.

    Attributes:
        source: The log; `category` its category; `scope` its scope, or the number of scopes of a shared row.
        paths: For each state, the squares of its days as an SVG path.
        days: Number of days of each state.
        covered: Share of the days that the log covers, 0 to 1.
    """

    source: str
    category: str
    scope: str
    paths: tuple[tuple[str, str], ...]
    days: dict[str, int]
    covered: float


@dataclass(frozen=True, slots=True)
class Calendar:
    """The rows, the picture's size, and the labels of months: (x, text)."""

    rows: tuple[CalendarRow, ...]
    width: int
    height: int
    months: tuple[tuple[int, str], ...]
    is_folded: bool


def draw_calendar(coverage: pl.DataFrame, window: Window) -> Calendar:
    """Return the calendar of a window.

    Above 40 logs, those of one source and category share a row; a day in it has the worst state of its scopes.

    Args:
        coverage: `(source, category, scope, day, state)`.
        window: The days.
    """
    by_scope = _by_day(coverage, window)
    names = by_scope.select("source", "category", "scope").unique()
    is_folded = names.height > _MOST_ROWS
    if is_folded:
        many = names.group_by("source", "category").agg(scopes=pl.len())
        by_scope = (
            by_scope.group_by("source", "category", "offset")
            .agg(pl.col("rank").max(), seen=pl.len())
            .join(many, on=["source", "category"])
            .with_columns(rank=pl.when(pl.col("seen") < pl.col("scopes")).then(len(STATES) - 1).otherwise("rank"))
            .select("source", "category", "offset", "rank", scope=pl.format("{} scopes", "scopes"))
        )
    rows = tuple(_rows(by_scope, window))
    return Calendar(
        rows=rows,
        width=window.days * (_CELL + _GAP),
        height=_HEIGHT,
        months=tuple(_months(window)),
        is_folded=is_folded,
    )


def _by_day(coverage: pl.DataFrame, window: Window) -> pl.DataFrame:
    """Return `(source, category, scope, offset, rank)`: one row for each day in the table."""
    ranks = {state: rank for rank, state in enumerate(STATES)}
    return (
        coverage.filter(window.holds("day"))
        .with_columns(
            rank=pl.col("state").replace_strict(ranks, default=len(STATES) - 1, return_dtype=pl.Int64),
            offset=(pl.col("day") - window.first_day).dt.total_days(),
        )
        .group_by("source", "category", "scope", "offset")
        .agg(pl.col("rank").min())
    )


def _rows(by_day: pl.DataFrame, window: Window) -> Iterator[CalendarRow]:
    keys = ["source", "category", "scope"]
    for group in by_day.sort(*keys, "offset").partition_by(keys, maintain_order=True):
        rank_of = dict(group.select("offset", "rank").iter_rows())
        states = [STATES[rank_of.get(day, len(STATES) - 1)] for day in range(window.days)]
        days = {state: states.count(state) for state in STATES}
        found: dict[str, Any] = group.row(0, named=True)
        yield CalendarRow(
            source=found["source"],
            category=found["category"],
            scope=found["scope"],
            paths=tuple((state, _squares(states, state)) for state in STATES if days[state]),
            days=days,
            covered=1 - days["missing"] / window.days,
        )


def _squares(states: list[str], wanted: str) -> str:
    size = f"h{_CELL}v{_HEIGHT - 2}h-{_CELL}z"
    return "".join(f"M{day * (_CELL + _GAP)} 1{size}" for day, state in enumerate(states) if state == wanted)


def _months(window: Window) -> Iterator[tuple[int, str]]:
    for offset in range(window.days):
        day = window.start.date().fromordinal(window.first_day.toordinal() + offset)
        if day.day == 1 or (offset == 0 and day.day < 25):
            yield (
                offset * (_CELL + _GAP),
                day.strftime("%b %Y") if offset == 0 or day.month == 1 else day.strftime("%b"),
            )
