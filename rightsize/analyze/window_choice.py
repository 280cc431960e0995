"""Choose the observation window, by what the logs cover."""

from __future__ import annotations

import datetime as dt

import polars as pl

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.log_days import administrative, days_of_scopes, is_shown, judge_days
from rightsize.analyze.scoping import read_tree
from rightsize.analyze.text import place_of
from rightsize.analyze.window import DEFAULT_DAYS, DEFAULT_FORGET_DAYS, LEAST_DAYS, Window
from rightsize.model.errors import UsageError

# A day for stores without any log: it gives them a window, so that the clock is never read.
_WITHOUT_LOGS = dt.date(1970, 1, 1)


def choose_window(
    inputs: Inputs,
    as_of: dt.date | None = None,
    days: int | None = None,
    forget_days: int = DEFAULT_FORGET_DAYS,
    min_days: int | None = None,
) -> Window:
    """Return the `days` whole UTC days before the day `as_of`.

    Without `days` it is `DEFAULT_DAYS`, or what `fitting_days` finds where the logs cover fewer. Without `as_of` the
    window ends with the newest day that a log of use covers, else that any log covers, else that anything loaded
    names; never with the clock's. Days before the data begin stay in the window as missing days. `forget_days` and
    `min_days` are as `Window` has them.

    Raises:
        UsageError: A number of days makes no sense.
    """
    if days is not None and days < 1:
        raise UsageError(f"a window of `{days}` days is too short", hint="give `--min-window` 1 or more")
    if forget_days < 0:
        raise UsageError(f"`--forget-days {forget_days}` is below zero")
    longest = days or DEFAULT_DAYS
    if min_days is not None and not 1 <= min_days <= longest:
        raise UsageError(
            f"`--min-days {min_days}` does not fit a window of {longest} days",
            hint=f"give a number from 1 to {longest}, or another `--min-window`",
        )
    end = as_of or _newest_day(inputs) + dt.timedelta(days=1)
    if longest >= end.toordinal():
        raise UsageError(f"a window of `{longest}` days before {end} begins before the year 1")
    last_day = end - dt.timedelta(days=1)
    if days is None:
        days = fitting_days(_days_of_logs(inputs), last_day, min_days)
    return Window(last_day - dt.timedelta(days=days - 1), last_day, forget_days, min_days)


def fitting_days(covered: pl.DataFrame, last_day: dt.date, min_days: int | None = None) -> int:
    """Return the days of the window that ends with `last_day` and fits what the logs cover.

    It is `DEFAULT_DAYS` if a log is evidence for so many days. Else it is the longest window, of `LEAST_DAYS` or more,
    that begins with a covered day of a log which is evidence for it. Where no log is, it stays `DEFAULT_DAYS`.

    Args:
        covered: `(log, day)`, without repeats: the days that each log covers.
        last_day: The last day of the window.
        min_days: As `Window` has it.
    """
    whole = _ending(last_day, DEFAULT_DAYS, min_days)
    recent = covered.filter(whole.holds("day"))
    if _is_evidence(recent, whole):
        return DEFAULT_DAYS
    shortest = max(LEAST_DAYS, min_days or 0)
    for first_day in recent["day"].unique().sort():
        length: int = (last_day - first_day).days + 1
        begun = recent.filter(pl.col("log").is_in(recent.filter(pl.col("day") == first_day)["log"].implode()))
        if length >= shortest and _is_evidence(begun, _ending(last_day, length, min_days)):
            return length
    return DEFAULT_DAYS


def shortfall(inputs: Inputs, window: Window) -> int | None:
    """Return the days of the window that fits the logs, where it is shorter than a window of a fixed length.

    Args:
        inputs: The tables; coverage and scopes are read.
        window: The window.
    """
    fitting = fitting_days(_days_of_logs(inputs), window.last_day, window.min_days)
    return fitting if fitting < window.days else None


def _ending(last_day: dt.date, days: int, min_days: int | None) -> Window:
    return Window(last_day - dt.timedelta(days=days - 1), last_day, min_days=min_days)


def _is_evidence(covered: pl.DataFrame, window: Window) -> bool:
    """Return whether the silence of any of these logs is evidence for a window."""
    logs = covered.select("log").unique().with_columns(since=pl.lit(window.first_day))
    return bool(judge_days(covered, window, logs).select(is_shown(pl.col("state")).any()).item())


def _days_of_logs(inputs: Inputs) -> pl.DataFrame:
    """Return `(log, day)`: the days that each Activity Log covers; without one, that each other log of use covers."""
    rows = administrative(inputs.coverage)
    if not rows.is_empty():
        tree = read_tree(inputs.scopes, place_of(rows["scope"].unique()))
        return days_of_scopes(rows, tree).select("day", log="place").unique()
    others = inputs.coverage.filter((pl.col("state") != "missing") & (pl.col("source") != "sign_in_log"))
    return others.select(
        "day", log=pl.concat_str("source", "category", "scope", separator=" ", ignore_nulls=True)
    ).unique()


def _newest_day(inputs: Inputs) -> dt.date:
    covered = inputs.coverage.filter(pl.col("state") != "missing")
    of_use = covered.filter(pl.col("source") != "sign_in_log")
    assignments = inputs.role_assignments
    candidates = (
        of_use["day"].max(),
        covered["day"].max(),
        inputs.usage_days["day"].max(),
        inputs.sign_ins["day"].max(),
        assignments["created_on"].dt.date().max(),
    )
    for day in candidates:
        if isinstance(day, dt.date):
            return day
    return _WITHOUT_LOGS
