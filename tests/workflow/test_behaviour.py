"""Behaviour is read from the first rows of each habit, with the same result as from all rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from rightsize.analyze.behaviour.facts import Behaviour, read_behaviour
from rightsize.analyze.behaviour.judge import judge_behaviour, reported_days
from rightsize.store.connection import Store, open_store
from rightsize.workflow.behaviour import behaviour_inputs
from tests.analyze.habits import counted
from tests.bench.bench_signals import all_rows


@pytest.fixture(scope="module")
def store(demo_folder: Path) -> Iterator[Store]:
    with open_store(demo_folder / "demo.duckdb", read_only=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def whole(store: Store) -> Behaviour:
    """What all rows say, counted without the store."""
    inputs = all_rows(store)
    return read_behaviour(replace(inputs, **counted(inputs.days, inputs.places)))


def alike(found: Behaviour, expected: Behaviour, days: list[dt.date] | None = None) -> None:
    for name in ("judged", "facts", "novel"):
        one, other = getattr(found, name), getattr(expected, name)
        if days is not None:
            other = other.filter(pl.col("day").is_in(days))
        options = {"check_row_order": False, "check_column_order": False, "check_dtypes": False, "check_exact": True}
        assert_frame_equal(one.select(other.columns), other, **options)


def test_the_first_rows_of_each_habit_say_what_all_rows_say(store: Store, whole: Behaviour) -> None:
    inputs = behaviour_inputs(store)
    assert inputs.days.height < store.table("usage_days").height / 3
    alike(read_behaviour(inputs), whole)
    assert whole.facts["kind"].n_unique() > 8


def test_a_day_by_itself_is_judged_as_among_all(store: Store, whole: Behaviour) -> None:
    """Those with something to tell, and one of the others; only how often it happens needs the days before."""
    told = judge_behaviour(whole, {}).sort("day")
    judged = whole.judged["day"].sort()
    days = sorted({told["day"][0], told["day"][-1], judged[len(judged) // 2]})
    span = {"first": dt.date.min, "last": days[-1]}
    alone = read_behaviour(behaviour_inputs(store, span, days))
    alike(alone, whole, days)
    expected = told.filter(pl.col("day").is_in(days)).select("principal_id", "day")
    assert set(reported_days(alone).rows()) == set(expected.rows())
