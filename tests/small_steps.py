"""Run thousands of small polars steps without handing each one to another thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import polars as pl

Found = TypeVar("Found")


def in_small_steps(work: Callable[[], Found]) -> Found:
    """Return the result of `work`, which runs many polars steps over few rows.

    Otherwise polars hands each step to a thread of its own and waits, which takes several times as long as such a step.
    In a function that polars itself calls while it streams it hands over nothing, so that its threads do not wait
    for one another. Lazy frames that are collected inside `work` may leave the thread in this state permanently.
    """
    found: list[Found] = []

    def step(rows: pl.DataFrame) -> pl.DataFrame:
        found.append(work())
        return rows

    pl.LazyFrame({"step": [1]}).map_batches(step).collect(engine="streaming")
    return found[0]
