"""Days and times are accepted in every form of ISO 8601, and in no other form."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.model.errors import UsageError
from rightsize.model.times import read_day, read_days, read_instant, read_last_instant, read_moment

DAY = dt.date(2026, 10, 1)


@pytest.mark.parametrize(
    "text", ["2026-10-01", "20261001", "2026-W40-4", "2026W404", "2026-274", "2026274", " 2026-w40-4 "]
)
def test_each_form_of_a_day_is_the_same_day(text: str) -> None:
    assert read_day(text) == DAY
    moment = read_moment(text)
    assert moment.end - moment.start == dt.timedelta(days=1)
    assert read_last_instant(text) == dt.datetime.combine(DAY, dt.time.max)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-10-01T00:00:00Z", dt.datetime(2026, 10, 1)),
        ("2026-10-01 06:30", dt.datetime(2026, 10, 1, 6, 30)),
        ("20261001T0630z", dt.datetime(2026, 10, 1, 6, 30)),
        ("2026-274T06", dt.datetime(2026, 10, 1, 6)),
        ("2026-10-01T06,5", dt.datetime(2026, 10, 1, 6, 30)),
        ("2026-10-01T01:00:00+02:00", dt.datetime(2026, 9, 30, 23)),
        ("2026-W40-4T01:00-0530", dt.datetime(2026, 10, 1, 6, 30)),
        ("2026-10-01T24:00", dt.datetime(2026, 10, 2)),
        ("2026-10-01T06:30:15.1234567Z", dt.datetime(2026, 10, 1, 6, 30, 15, 123456)),
    ],
)
def test_a_time_is_utc_unless_it_says_another_offset(text: str, instant: dt.datetime) -> None:
    assert read_instant(text) == instant
    assert read_day(text) == instant.date()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "2026",
        "2026-10",
        "2026-13-01",
        "2026-366",
        "2026-000",
        "2026-W54-1",
        "2026-10-01T",
        "2026-10-01T25",
        "2026-10-1",
        "2026-10-01T12:60",
        "2026-10-01T1230:15",
        "2026-10-01T24:01",
        "2026-10-01T06:00+24:00",
        "٢٠٢٦-10-01",
        "0001-01-01T00+01",
    ],
)
def test_anything_else_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="is not a day or time"):
        read_day(text)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2026-01-01..2026-03-31", (1, 1), (3, 31)),
        ("20260101..2026-090", (1, 1), (3, 31)),
        ("2026-01-01T00:00Z..2026-04-01T00:00:00Z", (1, 1), (3, 31)),
        ("2026-01-01T00:00Z..2026-03-31T23:59Z", (1, 1), (3, 31)),
        ("2026-01-01T05:00Z..2026-03-31T22Z", (1, 2), (3, 30)),
        ("2026-01-01T00:00+02:00..2026-03-31", (1, 1), (3, 31)),
    ],
)
def test_a_window_holds_whole_days_only(text: str, first: tuple[int, int], last: tuple[int, int]) -> None:
    assert read_days(text) == (dt.date(2026, *first), dt.date(2026, *last))


@pytest.mark.parametrize("text", ["2026-01-01", "..", "2026-01-02..2026-01-01", "2026-01-01T01..2026-01-01T23", "a..b"])
def test_a_window_without_a_whole_day_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        read_days(text)


@given(st.dates(), st.times())
def test_what_python_writes_is_read_back(day: dt.date, time: dt.time) -> None:
    year, week, weekday = day.isocalendar()
    forms = [day.isoformat(), f"{day:%Y%m%d}".zfill(8), f"{year:04}-W{week:02}-{weekday}", f"{day.year:04}-{day:%j}"]
    # The last days of the calendar are in a week that ends after it.
    for text in forms:
        assert read_day(text) == day
        assert read_instant(f"{text}T{time.isoformat()}Z") == dt.datetime.combine(day, time)
