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
from rightsize.workflow.analysis.behaviour_inputs import Reader, behaviour_inputs
from tests.analyze.habits import counted
from tests.bench.bench_signals import all_rows
from tests.bench.planted_attacks import ACCESS, KEYS, SNAPSHOT
from tests.bench.quiet_tenant import event_rows, load_frames, operation_rows, scope_of, who

pytestmark = pytest.mark.slow


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


@pytest.mark.nightly
def test_the_first_rows_of_each_habit_say_what_all_rows_say(store: Store, whole: Behaviour) -> None:
    inputs = behaviour_inputs(Reader(store))
    assert inputs.days.height < store.table("usage_days").height / 3
    alike(read_behaviour(inputs), whole)
    assert whole.facts["kind"].n_unique() > 8


def test_a_day_by_itself_is_judged_as_among_all(store: Store, whole: Behaviour) -> None:
    """Those with something to tell, and one of the others; only how often it happens needs the days before."""
    told = judge_behaviour(whole, {}).sort("day")
    judged = whole.judged["day"].sort()
    days = sorted({told["day"][0], told["day"][-1], judged[len(judged) // 2]})
    span = {"first": dt.date.min, "last": days[-1]}
    alone = read_behaviour(behaviour_inputs(Reader(store), span, days))
    alike(alone, whole, days)
    expected = told.filter(pl.col("day").is_in(days)).select("principal_id", "day")
    assert set(reported_days(alone).drop("value").rows()) == set(expected.rows())


@pytest.mark.nightly
def test_snapshots_count_with_disks_but_not_what_a_new_environment_has(tmp_path: Path) -> None:
    """Who creates a snapshot takes the data with that very call; who creates an account reads its keys afterwards."""
    create = "Microsoft.Storage/storageAccounts/write"
    work = [(1, day, SNAPSHOT, "") for day in range(3)]
    work += [(1, 5, operation, str(number)) for number in range(3) for operation in (SNAPSHOT, ACCESS)]
    work += [(2, 5, operation, str(number)) for operation in (create, KEYS) for number in range(6)]
    at = dt.datetime(2026, 1, 5, 10)
    calls = pl.DataFrame(
        [
            {"principal": one, "time": at + dt.timedelta(days=day, minutes=minute), "operation": operation,
             "scope": scope_of(0, operation) + name, "ip": "198.51.100.7"}
            for minute, (one, day, operation, name) in enumerate(work)
        ]
    )  # fmt: skip
    with open_store(tmp_path / "r.duckdb", read_only=False) as store:
        load_frames(store, {"operations": operation_rows(), "event_rows": event_rows(calls)}, "made")
        rows = behaviour_inputs(Reader(store)).breadth.select("principal_id", "risk", "resources", "made")
    assert set(rows.rows()) == {(who(1), "exfiltration", 6, 0), (who(2), "secret", 6, 6)}
