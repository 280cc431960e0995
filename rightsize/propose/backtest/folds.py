"""Choose the training and test days of a backtest from the logged days, and cut the tables at the end of a day."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

import polars as pl

from rightsize.analyze.columns import folded
from rightsize.analyze.inputs import Inputs
from rightsize.analyze.window import Window, choose_window
from rightsize.model.errors import EvidenceError, UsageError
from rightsize.propose.needs.keep_rules import creations_since

LONGEST_TRAINING = 90
USUAL_TEST = 30
SHORTEST_HISTORY = 42
"""Six weeks: four for training and two for the test. In less time a weekly habit is hardly seen twice."""


@dataclass(frozen=True, slots=True)
class Fold:
    """The training days of a plan, and the test days right after them."""

    train: Window
    test: Window


def history_of(inputs: Inputs, as_of: dt.date | None = None) -> Window:
    """Return the days from the first to the last that a log of use covers; `as_of` is the day after the last, if given.

    Raises:
        EvidenceError: No log of use is loaded.
    """
    last = choose_window(inputs, as_of, 1).last_day
    covered = inputs.coverage.filter((pl.col("state") != "missing") & (pl.col("source") != "sign_in_log"))
    days = pl.concat([covered["day"], inputs.usage_days["day"]]).drop_nulls()
    first = days.filter(days <= last).min()
    if not isinstance(first, dt.date):
        raise EvidenceError(
            "no log of use is loaded, so there is nothing to test on",
            hint="load an export of the Activity Log: `rightsize load PATH`",
        )
    return Window(first, last)


def choose_folds(history: Window, train_days: int | None = None, test_days: int | None = None) -> tuple[Fold, ...]:
    """Return all folds that fit into the history, oldest first; their test days do not overlap.

    Args:
        history: The days with logs.
        train_days: Number of training days; without it 90, or the rest beside the test days if that is less.
        test_days: Number of test days; without it at most 30: the rest beside `train_days`, or a third of the history.

    Raises:
        UsageError: A number of days is below 1.
        EvidenceError: The history is shorter than one fold.
    """
    for option, days in (("--train-days", train_days), ("--test-days", test_days)):
        if days is not None and days < 1:
            raise UsageError(f"`{option} {days}` is less than 1 day", hint="give 1 or more")
    left = history.days - train_days if train_days else history.days // 3
    test = test_days or max(1, min(USUAL_TEST, left))
    train = train_days or max(1, min(LONGEST_TRAINING, history.days - test))
    needed = train + test if train_days or test_days else SHORTEST_HISTORY
    if history.days < needed:
        raise EvidenceError(
            f"the logs cover {history.days} days, and a backtest needs {needed}",
            hint="load older exports, or give fewer --train-days and --test-days",
        )
    folds = []
    for back in range((history.days - train) // test):
        last = history.last_day - dt.timedelta(days=back * test)
        cut = last - dt.timedelta(days=test)
        folds.append(Fold(Window(cut - dt.timedelta(days=train - 1), cut), Window(cut + dt.timedelta(days=1), last)))
    return tuple(reversed(folds))


def cut_inputs(inputs: Inputs, last_day: dt.date) -> Inputs:
    """Return the tables as they were at the end of a day, as far as today's listings show it.

    Logs end with the day. Assignments and principals that were made later are left out; where a listing of assignments
    has no time, the log of their creation decides. Deleted assignments are in no listing, so they are missing.
    Memberships have no date, so groups are as they are today.
    """
    midnight = dt.datetime.combine(last_day + dt.timedelta(days=1), dt.time())
    made = creations_since(inputs.usage_days, midnight.date())
    later = (pl.col("created_on") >= midnight).fill_null(False)
    born = inputs.principals.filter(later)["principal_id"].implode()
    unknown = pl.col("created_on").is_null() & folded(pl.col("role_assignment_id")).is_in(made.implode())
    until = pl.col("day") <= last_day
    return replace(
        inputs,
        principals=inputs.principals.filter(~later),
        group_members=inputs.group_members.filter(~_names(born, "group_id", "member_id")),
        group_closure=inputs.group_closure.filter(~_names(born, "group_id", "member_id")),
        role_assignments=inputs.role_assignments.filter(~later & ~unknown & ~_names(born, "principal_id")),
        usage_days=inputs.usage_days.filter(until),
        role_assignment_requests=inputs.role_assignment_requests.filter(pl.col("time") < midnight),
        sign_ins=inputs.sign_ins.filter(until),
        coverage=inputs.coverage.filter(until),
    )


def _names(ids: pl.Series, *columns: str) -> pl.Expr:
    return pl.any_horizontal(pl.col(column).is_in(ids).fill_null(False) for column in columns)
