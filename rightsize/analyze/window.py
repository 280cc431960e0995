"""Choose the observation window by the days that logs cover, and judge by it what silence proves.

The window is the whole UTC days that the verdicts cover.

A log that covers every day of the window shows all use. A log that covers a part of it shows the use of those days, and
that is evidence too if the days are many, recent, without a long gap, and have ends of months. With less, nothing is
concluded.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, replace

import polars as pl

from rightsize.analyze.inputs import Inputs, ScopeTree, folded, place_of, read_tree
from rightsize.analyze.reasons import BY_EXISTENCE, SHOWN, OutOfCoverage, Unused, Verdict, sentence
from rightsize.model.errors import UsageError
from rightsize.model.options import DEFAULT_FORGET_DAYS

DEFAULT_DAYS = 90
LEAST_DAYS = 30
"""The shortest window that is chosen where the logs cover fewer than `DEFAULT_DAYS` days."""
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


@dataclass(frozen=True, slots=True)
class ShortLog:
    """The longest log of use where no log covers enough days: it shows use, and its silence decides nothing.

    Attributes:
        days: The number of days of the window that it covers; 0 where no log covers one.
        first_day: The first of these days, or None.
        last_day: The last of these days, or None.
        preview_on: The first day on which its silence decides, in a preview, if each further day is covered.
        whole_on: The same for a window of `DEFAULT_DAYS`.
        shows_use: Whether any use is loaded, with or without a covered day.
        others: What other logs decide, such as sign-in logs: the meaning of their reasons.
    """

    days: int = 0
    first_day: dt.date | None = None
    last_day: dt.date | None = None
    preview_on: dt.date | None = None
    whole_on: dt.date | None = None
    shows_use: bool = False
    others: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """Return what the log is, and what follows, as sentences."""
        decided = f"other logs decide their own part: {'; '.join(self.others)}" if self.others else ""
        if not self.days:
            first = "use was not judged: no loaded log of use covers a day of the window"
            if self.shows_use:
                first = "the loaded use counts, and absence of use decides nothing: no log covers a day of the window"
            return f"Azure roles: {first}", decided or (
                "nothing goes for want of use; the plan has what needs no log: assignments whose holder no longer "
                "exists, and those that another assignment covers"
            )
        return (
            f"the log of Azure roles is short: its longest part covers {self.days} days, {self.first_day} to "
            f"{self.last_day}",
            "it shows use, and absence of use decides nothing yet; "
            f"it decides from {self.preview_on} on in a preview, and from {self.whole_on} on without one, if each day "
            "until then is loaded",
            *filter(None, [decided]),
        )

    def as_json(self) -> dict[str, object]:
        """Return it in the form of `plan.json`."""
        found = {name: getattr(self, name) for name in ("first_day", "last_day", "preview_on", "whole_on")}
        dates = {name: day.isoformat() for name, day in found.items() if day is not None}
        return {"days": self.days, **dates}


def short_log(inputs: Inputs, window: Window, verdicts: pl.DataFrame) -> ShortLog | None:
    """Return the longest log where the silence of no log of use is evidence for a window; None where it is of one.

    Args:
        inputs: The tables; coverage and scopes are read.
        window: The window.
        verdicts: As the table `verdicts`, judged for the window: they show what other logs decide.
    """
    covered = _days_of_logs(inputs)
    if _is_evidence(covered, window):
        return None
    unused = verdicts.filter((pl.col("verdict") == Verdict.UNUSED.value) & ~pl.col("reason").is_in(BY_EXISTENCE))
    others = tuple(sentence(reason) for reason in unused["reason"].unique().sort())
    inside = covered.filter(window.holds("day"))
    if inside.is_empty():
        return ShortLog(shows_use=not inputs.usage_days.is_empty(), others=others)
    longest = inside.group_by("log").agg(pl.len(), last=pl.col("day").max()).sort("len", "last", "log").row(-1)[0]
    days = inside.filter(pl.col("log") == longest)["day"].sort()
    return ShortLog(
        days.len(),
        days[0],
        days[-1],
        _decides_on(days, window, lambda end, known: fitting_days(known, end, window.min_days)),
        _decides_on(days, window, lambda _end, _known: DEFAULT_DAYS),
        shows_use=True,
        others=others,
    )


def _decides_on(days: pl.Series, window: Window, length_of: Callable[[dt.date, pl.DataFrame], int]) -> dt.date | None:
    """Return the first day on which a log is evidence for a window of some length, if it covers each further day."""
    for later in range(2 * DEFAULT_DAYS):
        end = window.last_day + dt.timedelta(days=later)
        further = pl.date_range(days[-1] + dt.timedelta(days=1), end, eager=True)
        known = pl.DataFrame({"log": "/", "day": pl.concat([days, further])})
        if _is_evidence(known, _ending(end, length_of(end, known), window.min_days)):
            return end + dt.timedelta(days=1)
    return None


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
