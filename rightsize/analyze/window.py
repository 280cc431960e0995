"""Name the observation window: the whole UTC days that the verdicts cover."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

import polars as pl

DEFAULT_DAYS = 90
LEAST_DAYS = 30
"""The shortest window that is chosen where the logs cover fewer than `DEFAULT_DAYS` days."""
DEFAULT_FORGET_DAYS = 400
MOST_DAYS_ASKED = 60
"""A log is evidence if it covers two thirds of the window, or this many days of a long one."""


@dataclass(frozen=True, slots=True)
class Window:
    """The days from `first_day` to `last_day`, both included.

    Attributes:
        first_day: Its first day.
        last_day: Its last day.
        forget_days: Use counts as evidence for this many days, counted from the day after the last, also where it lies
            before the window.
        min_days: The number of days that a log has to cover to be evidence; None for two thirds of the window, at most
            `MOST_DAYS_ASKED`.
    """

    first_day: dt.date
    last_day: dt.date
    forget_days: int = DEFAULT_FORGET_DAYS
    min_days: int | None = None

    @property
    def earlier(self) -> Window | None:
        """Return the days before the window whose use still counts; None where `forget_days` reaches no such day."""
        first = dt.date.fromordinal(max(1, self.end.date().toordinal() - self.forget_days))
        if first >= self.first_day:
            return None
        return Window(first, self.first_day - dt.timedelta(days=1), 0)

    @property
    def remembered(self) -> Window:
        """Return the window together with the days before it whose use still counts."""
        return replace(self, first_day=self.earlier.first_day) if self.earlier is not None else self

    @property
    def days(self) -> int:
        """Return the number of days."""
        return (self.last_day - self.first_day).days + 1

    @property
    def start(self) -> dt.datetime:
        """Return the first instant of the window, UTC without an offset."""
        return dt.datetime.combine(self.first_day, dt.time())

    @property
    def end(self) -> dt.datetime:
        """Return the first instant after the window, UTC without an offset."""
        return dt.datetime.combine(self.last_day + dt.timedelta(days=1), dt.time())

    @property
    def preview(self) -> str | None:
        """Return the sentence that says why conclusions are a preview; None for those of a whole window."""
        asked, whole = self.days_asked, days_asked(DEFAULT_DAYS)
        if self.days < DEFAULT_DAYS:
            return f"it rests on {self.days} days of use, not on {DEFAULT_DAYS}"
        return f"its logs had to cover {asked} days, not {whole}" if asked < whole else None

    def as_json(self) -> dict[str, object]:
        """Return the window in the form of `plan.json`; only that of a preview has the key `preview`."""
        short = {"preview": self.preview} if self.preview else {}
        return {
            "first_day": self.first_day.isoformat(),
            "last_day": self.last_day.isoformat(),
            "days": self.days,
            **short,
        }

    @property
    def days_asked(self) -> int:
        """Return the number of days that a log has to cover to be evidence."""
        return days_asked(self.days, self.min_days)

    def days_asked_of(self, length: pl.Expr) -> pl.Expr:
        """Return the same for the last `length` days of the window."""
        if self.min_days is not None:
            return pl.min_horizontal(length, self.min_days)
        return pl.min_horizontal((length * 2 + 2) // 3, MOST_DAYS_ASKED)

    def days_ago(self, moment: pl.Expr) -> pl.Expr:
        """Return the number of days from a time to the day after the window."""
        return (pl.lit(self.end.date()) - moment.dt.date()).dt.total_days()

    def holds(self, column: str) -> pl.Expr:
        """Return whether a day of `column` is in the window."""
        return pl.col(column).is_between(self.first_day, self.last_day)


def days_asked(days: int, min_days: int | None = None) -> int:
    """Return the number of days that a log has to cover to be evidence for a window of `days` days."""
    return min(-(-2 * days // 3), MOST_DAYS_ASKED) if min_days is None else min_days
