"""What a log is evidence of: how many days, how recent, with which gaps and ends of months."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import polars as pl
import pytest

from rightsize.analyze.window import Window, days_asked, days_missing, judge_log

LAST = dt.date(2026, 3, 31)
WHOLE, PART, LESS = "covered", "covered_in_part", "days_missing"


def state(back: Iterable[int], days: int = 90, last: dt.date = LAST, min_days: int | None = None) -> str:
    """Return the state of a log that covers the days so many days back from the last of the window."""
    window = Window(last - dt.timedelta(days=days - 1), last, min_days=min_days)
    return judge_log(pl.Series([last - dt.timedelta(days=one) for one in back], dtype=pl.Date), window)


def without(*gone: int, days: int = 90) -> list[int]:
    return [one for one in range(days) if one not in gone]


@pytest.mark.parametrize(
    ("covered", "found"),
    [
        (range(90), WHOLE),
        (range(89), PART),
        (range(65), PART),
        (range(60), PART),
        (range(59), LESS),
        ((), LESS),
    ],
)
def test_two_thirds_of_the_window_are_enough(covered: Iterable[int], found: str) -> None:
    """Days before the log began are no gap."""
    assert state(covered) == found


def test_a_gap_of_seven_days_passes_and_one_of_eight_does_not() -> None:
    assert state(without(*range(40, 47))) == PART
    assert state(without(*range(40, 48))) == LESS
    assert state(without(*range(20, 27), *range(50, 57))) == PART


def test_the_newest_fourteen_days_are_all_there() -> None:
    assert state(without(14)) == PART
    assert state(without(13)) == LESS
    assert state(without(0)) == LESS


def test_two_ends_of_a_month_are_among_them() -> None:
    """The last sixty days before the end of August have one; the day before them is the second."""
    assert state(range(60), last=dt.date(2026, 8, 29)) == LESS
    assert state(range(61), last=dt.date(2026, 8, 29)) == PART


@pytest.mark.parametrize(
    ("days", "least"),
    [(14, None), (15, 14), (30, 20), (31, 21), (45, 32), (60, 40), (120, 60), (365, 60)],
)
def test_other_windows_ask_for_two_thirds_and_at_most_sixty_days(days: int, least: int | None) -> None:
    """A window with one end of a month asks for one, and one of fourteen days for all of them.

    Two thirds of 45 days to the end of December lack the end of November.
    """
    last = dt.date(2026, 12, 31)
    assert state(range(days), days, last) == WHOLE
    if least is None:
        assert state(range(days - 1), days, last) == LESS
    else:
        assert state(range(least), days, last) == PART
        assert state(range(least - 1), days, last) == LESS


def test_a_window_without_an_end_of_a_month_asks_for_none() -> None:
    assert state(range(16), 20, dt.date(2026, 3, 25)) == PART


def test_min_days_asks_for_more_or_less() -> None:
    """The newest days, the gaps and the ends of months are asked for all the same."""
    assert state(range(79), min_days=80) == LESS
    assert state(range(80), min_days=80) == PART
    assert state(range(45), min_days=45) == PART
    assert state(range(44), min_days=45) == LESS
    assert state(range(20), min_days=5) == LESS
    assert state(range(90), min_days=90) == WHOLE
    assert state(range(89), min_days=90) == LESS
    # More than there are days, as in a fold of a backtest: then all of them.
    assert state(range(29), 30, min_days=60) == LESS
    assert state(range(30), 30, min_days=60) == WHOLE


def test_days_outside_the_window_and_repeats_count_for_nothing() -> None:
    assert state([*range(-20, 0), *range(59), *range(90, 200), *range(59)]) == LESS


def test_the_missing_days_are_those_of_the_window() -> None:
    window = Window(dt.date(2026, 1, 1), dt.date(2026, 1, 5))
    covered = pl.Series([dt.date(2025, 12, 31), dt.date(2026, 1, 2), dt.date(2026, 1, 5)])
    assert days_missing(covered, window).to_list() == [dt.date(2026, 1, day) for day in (1, 3, 4)]


@pytest.mark.parametrize(
    ("days", "min_days", "preview"),
    [(90, None, False), (90, 60, False), (90, 80, False), (120, None, False), (30, None, True), (89, 60, True)],
)
def test_less_than_a_whole_window_is_a_preview(days: int, min_days: int | None, preview: bool) -> None:
    last = dt.date(2026, 6, 30)

    def preview_of(days: int, min_days: int | None) -> str | None:
        return Window(last - dt.timedelta(days=days - 1), last, min_days=min_days).preview

    assert (preview_of(days, min_days) is not None) is preview
    assert preview_of(90, 59) == "its logs had to cover 59 days, not 60"
    assert days_asked(90) == 60
