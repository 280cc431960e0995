"""Read the arguments of the Python interface: days, times and lists, in the forms that people have them."""

from __future__ import annotations

import datetime as dt
import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rightsize.model.errors import RightsizeError, UsageError
from rightsize.model.times import read_day, read_instant

Place = str | os.PathLike[str]
Texts = str | Iterable[str]
Places = Place | Iterable[Place]
Day = dt.date | str


def day_of(day: Day | None) -> dt.date | None:
    """Return a day, also of a time or a text in ISO 8601, in UTC."""
    if isinstance(day, dt.datetime):
        return _in_utc(day).date()
    return read_day(day) if isinstance(day, str) else day


def time_of(time: Day | None) -> dt.datetime | None:
    """Return a time in UTC without an offset, also of a day, which begins at midnight, or of a text in ISO 8601."""
    if isinstance(time, dt.datetime):
        return _in_utc(time)
    if isinstance(time, dt.date):
        return dt.datetime.combine(time, dt.time())
    return None if time is None else read_instant(time)


def texts_of(texts: Texts) -> tuple[str, ...]:
    """Return texts; one text is a list of itself."""
    return (texts,) if isinstance(texts, str) else tuple(texts)


def paths_of(places: Places) -> list[Path]:
    """Return paths; one path is a list of itself."""
    return [Path(places)] if isinstance(places, str | os.PathLike) else [Path(one) for one in places]


def path_of(place: Place | None) -> Path | None:
    """Return a path, or None."""
    return None if place is None else Path(place)


def require_least(least: float, **numbers: float | None) -> None:
    """Check that numbers are finite and not below the least that their options take.

    Raises:
        UsageError: A number is below it, or not finite.
    """
    for name, number in numbers.items():
        if number is not None and not (math.isfinite(number) and number >= least):
            raise UsageError(f"`{name}={number}` is not a number from {least:g} up")


@contextmanager
def explained() -> Iterator[None]:
    """Raise the error of the program where the engine finds a store that is damaged.

    Raises:
        InputError: The store is damaged.
    """
    try:
        yield
    except RightsizeError:
        raise
    except Exception as error:
        from rightsize.store.limits import explain_damage  # noqa: PLC0415  only where something went wrong

        damage = explain_damage(error)
        if damage is None:
            raise
        raise damage from error


def _in_utc(time: dt.datetime) -> dt.datetime:
    return time if time.tzinfo is None else time.astimezone(dt.UTC).replace(tzinfo=None)
