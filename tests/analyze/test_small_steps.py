"""Small steps of polars run in the calling thread."""

from __future__ import annotations

import resource
import threading
from concurrent.futures import ThreadPoolExecutor

import polars as pl
import pytest

from rightsize.analyze.small_steps import in_small_steps
from rightsize.model.errors import UsageError

STEPS = 200


def _take_steps() -> tuple[int, int]:
    """Take steps over few rows; return how often this thread waited for another, and what the last step left."""
    rows = pl.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]})
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
    for number in range(STEPS):
        left = rows.filter(pl.col("a") > number % 3).join(rows, on="b")
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - before, len(left)


def test_a_step_waits_for_no_other_thread() -> None:
    """Outside, polars hands each step over and waits; inside it does not, and finds the same."""
    with ThreadPoolExecutor(max_workers=1) as fresh:
        # What an earlier test asked for in small steps may have left this thread as it is inside.
        waited, left = fresh.submit(_take_steps).result()
    assert waited >= STEPS
    waited_inside, left_inside = in_small_steps(_take_steps)
    assert waited_inside < STEPS
    assert left_inside == left


def test_what_is_done_in_small_steps_is_done_here_and_once() -> None:
    """What has to be done by the thread that opened the store is."""
    done: list[threading.Thread] = []

    def work() -> int:
        done.append(threading.current_thread())
        return len(pl.DataFrame({"a": [1, 2]}).filter(pl.col("a") > 1))

    assert in_small_steps(work) == 1
    assert done == [threading.current_thread()]


def test_an_error_in_small_steps_is_the_one_that_was_raised() -> None:
    """Its type, message and hint are those of the error; polars does not wrap it."""

    def refuse() -> None:
        raise UsageError("nobody is called `x`", hint="try another")

    with pytest.raises(UsageError) as caught:
        in_small_steps(refuse)
    assert (caught.value.message, caught.value.hint) == ("nobody is called `x`", "try another")
