"""Parse days and times as people write them: every form of ISO 8601 that names a day or a time in it.

A day is written by month, by week or by its number in the year, with hyphens or without: `2026-10-01`, `20261001`,
`2026-W40-4`, `2026W404`, `2026-274`, `2026274`. A time follows after `T` or a space: hours, minutes, seconds or a
fraction of the last of these, with colons or without; after it `Z` or an offset. Without an offset it is UTC.

Find the whole days for which logs were fetched completely.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from rightsize.model.errors import UsageError

_DAY = re.compile(
    r"(?P<year>\d{4})(?:"
    r"-(?P<month>\d\d)-(?P<day>\d\d)|(?P<month_>\d\d)(?P<day_>\d\d)"
    r"|-W(?P<week>\d\d)-(?P<weekday>\d)|W(?P<week_>\d\d)(?P<weekday_>\d)"
    r"|-?(?P<number>\d{3}))",
    re.ASCII,
)
_TIME = re.compile(
    r"(?P<hour>\d\d)(?:(?P<colon>:?)(?P<minute>\d\d)(?:(?P=colon)(?P<second>\d\d))?)?(?:[.,](?P<fraction>\d+))?"
    r"(?P<zone>Z|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
)
_UNITS = {"hour": 3_600_000_000, "minute": 60_000_000, "second": 1_000_000}
_FULL_DAY = 24 * _UNITS["hour"]
_EXAMPLES = "write it as 2026-12-31 or 2026-12-31T18:00:00Z, or in another form of ISO 8601"


@dataclass(frozen=True, slots=True)
class Moment:
    """The day or time in a text, as exact as it is written.

    Attributes:
        start: Its first instant, UTC without an offset.
        end: The first instant after it.
    """

    start: dt.datetime
    end: dt.datetime

    @property
    def day(self) -> dt.date:
        """Return the UTC day in which it begins."""
        return self.start.date()


def read_moment(text: str) -> Moment:
    """Return the day or time in a text.

    Raises:
        ValueError: There is none.
    """
    wanted = text.strip().upper()
    found = _DAY.match(wanted)
    if found is None:
        raise ValueError(text)
    try:
        midnight = dt.datetime.combine(_calendar_day(found), dt.time())
        rest = wanted[found.end() :]
        if not rest:
            return Moment(midnight, _later(midnight, _FULL_DAY))
        time = _TIME.fullmatch(rest[1:])
        if rest[0] not in "T " or time is None:
            raise ValueError(text)
        first, unit = _time_of_day(time)
        start = midnight + dt.timedelta(microseconds=first) - _offset(time["zone"])
        return Moment(start, _later(start, unit))
    except OverflowError:
        raise ValueError(text) from None


def read_day(text: str) -> dt.date:
    """Return the UTC day of a day or time.

    Raises:
        UsageError: The text has none.
    """
    return _read(text).day


def read_instant(text: str) -> dt.datetime:
    """Return the first instant of a day or time, UTC without an offset.

    Raises:
        UsageError: The text has none.
    """
    return _read(text).start


def read_last_instant(text: str) -> dt.datetime:
    """Return the last instant of a day or time, UTC without an offset: of `2026-10-01` a microsecond before midnight.

    Raises:
        UsageError: The text has none.
    """
    return _read(text).end - dt.timedelta(microseconds=1)


def read_days(text: str) -> tuple[dt.date, dt.date]:
    """Return the first and the last whole UTC day of `FROM..TO`, both included.

    A day in which a time begins or ends is not whole. A time reaches as far as it is exact: `T23:59` to midnight.

    Raises:
        UsageError: The text has no whole day.
    """
    first, dots, last = text.partition("..")
    hint = "write it as 2026-01-01..2026-03-31, both days included"
    try:
        begin, end = read_moment(first), read_moment(last if dots else "")
    except ValueError:
        raise UsageError(f"`{text}` is not a window of days", hint=hint) from None
    midnight = dt.datetime.combine(begin.day, dt.time())
    first_day = begin.day if begin.start == midnight else begin.day + dt.timedelta(days=1)
    last_day = end.end.date() - dt.timedelta(days=1)
    if last_day < first_day:
        raise UsageError(f"`{text}` holds no whole UTC day", hint=hint)
    return first_day, last_day


def _read(text: str) -> Moment:
    try:
        return read_moment(text)
    except ValueError:
        raise UsageError(f"`{text}` is not a day or time", hint=_EXAMPLES) from None


def _calendar_day(found: re.Match[str]) -> dt.date:
    said = {name.rstrip("_"): int(value) for name, value in found.groupdict().items() if value is not None}
    if "month" in said:
        return dt.date(said["year"], said["month"], said["day"])
    if "week" in said:
        return dt.date.fromisocalendar(said["year"], said["week"], said["weekday"])
    day = dt.date(said["year"], 1, 1) + dt.timedelta(days=said["number"] - 1)
    if day.year != said["year"]:
        raise ValueError(f"{said['year']} has no day {said['number']}")
    return day


def _time_of_day(found: re.Match[str]) -> tuple[int, int]:
    """Return the microseconds since midnight, and the length of the last part that is written, in microseconds."""
    parts = {name: int(found[name]) for name in _UNITS if found[name] is not None}
    if any(parts.get(name, 0) > 59 for name in ("minute", "second")):
        raise ValueError(found.string)
    whole = sum(number * _UNITS[name] for name, number in parts.items())
    unit = _UNITS[list(parts)[-1]]
    if found["fraction"] is not None:
        digits = found["fraction"]
        whole += int(Fraction(int(digits), 10 ** len(digits)) * unit)
        unit = max(1, unit // 10 ** len(digits))
    if whole > _FULL_DAY:
        raise ValueError(found.string)
    return whole, unit


def _later(start: dt.datetime, microseconds: int) -> dt.datetime:
    """Return a later instant, or the last one of the calendar."""
    return start + min(dt.timedelta(microseconds=microseconds), dt.datetime.max - start)


def _offset(zone: str | None) -> dt.timedelta:
    if zone is None or zone == "Z":
        return dt.timedelta()
    hours, minutes = int(zone[1:3]), int(zone[3:].lstrip(":") or 0)
    if hours > 23 or minutes > 59:
        raise ValueError(zone)
    offset = dt.timedelta(hours=hours, minutes=minutes)
    return -offset if zone[0] == "-" else offset


Span = tuple[dt.datetime, dt.datetime]
Days = tuple[dt.date, dt.date]
"""The first and the last of some whole UTC days."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """A statement that a log is complete, for a scope and all below it, from the first to the last UTC day.

    A `user` makes it, or a `manifest`, which says what was exported or collected.
    """

    source: str
    scope: str
    first: dt.date
    last: dt.date
    declared_by: str = "user"


def declared_days(
    source: str, spans: Iterable[tuple[str, Iterable[Span]]], settled: dt.datetime, oldest: dt.date
) -> Iterator[Declaration]:
    """Yield the whole days of a log that manifests declare, from the times that were fetched completely.

    A declaration covers a scope and everything below it. So one for a management group or the tenant is made only for
    days that every stream of the log has.

    Args:
        source: The log.
        spans: The scope of each stream of the log, and the times that were fetched of it.
        settled: Time after it does not count, because its records may not all have arrived.
        oldest: The oldest day that Azure still keeps; records before it may be missing without notice.
    """
    days = [(scope, list(_whole_days(one, settled, oldest))) for scope, one in spans]
    common = _common([own for _, own in days])
    for scope, own in days:
        for first, last in own if scope.lower().startswith("/subscriptions/") else common:
            yield Declaration(source, scope, first, last, "manifest")


def _whole_days(spans: Iterable[Span], settled: dt.datetime, oldest: dt.date) -> Iterator[Days]:
    """Yield the whole days within spans that adjoin or overlap."""
    joined: list[Span] = []
    for first, last in sorted(spans):
        if joined and joined[-1][1] >= first:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    day = dt.timedelta(days=1)
    for first, last in joined:
        start = max(first.date() if first.time() == dt.time() else first.date() + day, oldest)
        end = min(last, settled).date() - day
        if start <= end:
            yield start, end


def _common(streams: Sequence[Sequence[Days]]) -> list[Days]:
    """Return the days that every stream has."""
    found = list(streams[0]) if streams else []
    for windows in streams[1:]:
        pairs = [(max(one[0], two[0]), min(one[1], two[1])) for one in found for two in windows]
        found = [pair for pair in pairs if pair[0] <= pair[1]]
    return found
