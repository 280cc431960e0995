"""Budgets and pauses are kept; every form of a service's wait hint is understood or ignored."""

from __future__ import annotations

import datetime as dt
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.azure.exchange import Clock, Throttle, retry_after
from rightsize.azure.wire import StoppedError
from tests.azure.hurried import Hurried
from tests.examples import MANY, SOME

NOW = dt.datetime(2026, 10, 1, 12, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": " 3 "}, 3.0),
        ({"retry-after": "3600"}, 3600.0),
        ({"retry-after-ms": "200"}, 0.2),
        ({"x-ms-retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "Thu, 01 Oct 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Thu, 01 Oct 2026 12:00:30 GMT", "date": "Thu, 01 Oct 2026 12:00:10 GMT"}, 20.0),
        ({"retry-after": "Thu, 01 Oct 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after-ms": "later", "retry-after": "2"}, 2.0),
        ({"x-ms-user-quota-resets-after": "00:00:05"}, 5.0),
        ({"x-ms-user-quota-resets-after": "00:00:05", "retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_what_a_service_says_of_waiting(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW) == seconds


@given(st.text(max_size=40))
@MANY
def test_no_header_makes_it_fail(text: str) -> None:
    found = retry_after({"retry-after": text, "date": text}, NOW)
    assert found is None or found >= 0


@given(st.lists(st.floats(0, 3), min_size=1, max_size=60))
@SOME
def test_no_window_of_time_sees_more_than_its_budget(pauses: list[float]) -> None:
    """Five reports in ten seconds, and after a burst no more than refills."""
    clock = Hurried()
    throttle = Throttle(clock)
    times: list[float] = []
    for pause in pauses:
        clock.pass_by(pause)
        with throttle.turn("reports"):
            times.append(clock.now())
    for at, start in enumerate(times):
        inside = sum(1 for time in times[at:] if time - start < 10 - 1e-6)
        assert inside <= 10, "a full bucket and a refilled one are the most that ten seconds can see"
    assert times[-1] - times[0] >= (len(times) - 1 - 5) * 2 - 1e-6


def test_a_cost_takes_as_much_of_the_budget() -> None:
    clock = Hurried()
    throttle = Throttle(clock, {"graph": (10, 10)})
    for _ in range(4):
        with throttle.turn("graph", 5):
            pass
    assert clock.now() == pytest.approx(10)


def test_buckets_of_one_budget_do_not_share() -> None:
    clock = Hurried()
    throttle = Throttle(clock, {"arm": (1, 10)})
    for key in ("a", "b", "c"):
        with throttle.turn(f"arm:{key}"):
            pass
    assert clock.waits == []
    with throttle.turn("arm:a"):
        pass
    assert sum(clock.waits) == pytest.approx(10)


def test_a_refusal_pauses_everybody_who_asks_the_same_service() -> None:
    clock = Hurried()
    throttle = Throttle(clock)
    throttle.refused("arm:a", 12)
    with throttle.turn("arm:a"):
        assert clock.now() >= 12


def test_refusals_lower_how_many_ask_at_once_and_answers_raise_it() -> None:
    clock = Hurried()
    throttle = Throttle(clock)
    for _ in range(10):
        throttle.refused("arm:a", 0)
    entered = threading.Event()

    def ask() -> None:
        with throttle.turn("arm:a"):
            entered.set()

    with throttle.turn("arm:a"):
        other = threading.Thread(target=ask)
        other.start()
        assert not entered.wait(0.05), "one at once is left"
    other.join()
    assert entered.is_set()
    for _ in range(100):
        throttle.answered("arm:a")
    with throttle.turn("arm:a"):
        other = threading.Thread(target=ask)
        other.start()
        other.join(5)
        assert not other.is_alive()


def test_who_waits_stops_when_the_run_is_stopped() -> None:
    clock = Clock()
    throttle = Throttle(clock, {"arm": (1, 1000)})
    with throttle.turn("arm:a"):
        pass
    clock.stop()
    with pytest.raises(StoppedError), throttle.turn("arm:a"):
        pass
