"""The window is whole UTC days before a day from the data, never from the clock."""

from __future__ import annotations

import datetime as dt

import pytest

from rightsize.analyze.window import Window, choose_window
from rightsize.model.errors import UsageError
from tests.analyze.tiny import LAST, Tiny


def test_the_window_ends_with_the_newest_day_that_a_log_of_use_covers(tiny: Tiny) -> None:
    tiny.cover().cover("/", source="sign_in_log", category="interactive", days=[20])
    assert choose_window(tiny.inputs(), days=10) == Window(dt.date(2026, 1, 1), LAST)


def test_missing_days_do_not_stretch_the_window(tiny: Tiny) -> None:
    tiny.cover().cover(days=[12], state="missing")
    assert choose_window(tiny.inputs()).last_day == LAST


def test_as_of_ends_the_window_before_its_day(tiny: Tiny) -> None:
    window = choose_window(tiny.cover().inputs(), dt.date(2026, 1, 8), 7)
    assert (window.first_day, window.last_day, window.days) == (dt.date(2026, 1, 1), dt.date(2026, 1, 7), 7)


@pytest.mark.slow
def test_days_before_the_data_begin_stay_in_the_window_and_are_missing(tiny: Tiny) -> None:
    tiny.role("vm", "Microsoft.Compute/*").assign("a", "p", "vm").cover()
    tiny.window = choose_window(tiny.inputs(), days=90)
    assert tiny.window.days == 90
    assert tiny.judged("a")["Microsoft.Compute/virtualMachines/write"] == ("out_of_coverage", "days_missing")


def test_without_logs_the_window_rests_on_what_is_loaded_and_on_nothing_else(tiny: Tiny) -> None:
    assert choose_window(tiny.inputs()).last_day == dt.date(1970, 1, 1)
    tiny.role("vm", "*").assign("a", "p", "vm")
    assert choose_window(tiny.inputs()).last_day == dt.date(2025, 1, 1)


def test_a_window_without_days_is_refused(tiny: Tiny) -> None:
    with pytest.raises(UsageError, match="is too short"):
        choose_window(tiny.inputs(), days=0)


@pytest.mark.parametrize(("as_of", "days"), [(None, 99_999_999), (dt.date(1, 1, 1), 1), (dt.date(1, 1, 5), 5)])
def test_a_window_before_the_calendar_is_refused(tiny: Tiny, as_of: dt.date | None, days: int) -> None:
    with pytest.raises(UsageError, match="before the year 1"):
        choose_window(tiny.inputs(), as_of, days)
    assert choose_window(tiny.inputs(), dt.date(1, 1, 5), 4).first_day == dt.date(1, 1, 1)
