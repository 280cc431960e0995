"""The state of a watch is committed in one transaction and stays small; changes wait until delivery is confirmed."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from rightsize.analyze.inputs import schema_of
from rightsize.store.connection import Store, open_store
from rightsize.store.watching import (
    SEEN,
    Pass,
    Touched,
    acknowledge,
    commit_pass,
    known_files,
    pending_changes,
    read_seen,
    read_touched,
    undelivered,
    watched_events,
    watched_keys,
    watched_until,
)
from tests.store.staged import calls, load, record

pytestmark = pytest.mark.slow

DAY = dt.date(2026, 1, 10)
WRITE = "microsoft.authorization/roleassignments/write"


def changes(*ids: str, day: dt.date = DAY) -> pl.DataFrame:
    schema = {name: kind for name, kind in schema_of("watch_changes").items() if name not in ("seq", "pending")}
    rows = [dict.fromkeys(schema) | {"change_id": one, "kind": "grant", "severity": "low", "day": day, "text": one,
                                     "detail": "{}"} for one in ids]  # fmt: skip
    return pl.DataFrame(rows, schema=schema)


def concluded(found: pl.DataFrame, as_of: dt.date = DAY, touched: Touched | None = None, *events: str) -> Pass:
    told = pl.DataFrame([("event", name, "", as_of) for name in events], schema=pl.Schema(SEEN), orient="row")
    nothing = touched or Touched((), frozenset())
    return Pass(as_of, pl.DataFrame(schema=SEEN), (), told, found, nothing, {})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "s.duckdb", read_only=False)


@pytest.mark.nightly
def test_a_load_leaves_the_days_that_it_changed_for_the_next_pass(store: Store) -> None:
    """The same file again leaves none, and what a pass has dealt with is gone."""
    load(store, calls(record(), record("succeeded", "2026-01-02T01:00:00", correlation_id="c2")))
    touched = read_touched(store)
    assert touched.days == (dt.date(2026, 1, 2), dt.date(2026, 1, 5))
    commit_pass(store, concluded(changes(), touched=touched), ())
    assert read_touched(store) == Touched((), frozenset())
    load(store, calls(record()))
    assert read_touched(store).days == ()


def test_each_sink_gets_a_change_until_it_says_that_it_has_it(store: Store) -> None:
    """Numbers go on from pass to pass; one sink's word says nothing of another's."""
    commit_pass(store, concluded(changes("b", "a")), ("stdout", "json:1"))
    commit_pass(store, concluded(changes("c")), ("stdout",))
    assert [(one["seq"], one["change_id"]) for one in pending_changes(store, "stdout")] == [
        (1, "a"),
        (2, "b"),
        (3, "c"),
    ]
    acknowledge(store, "stdout", [1, 2])
    assert [one["change_id"] for one in pending_changes(store, "stdout")] == ["c"]
    assert undelivered(store) == {"json:1": 2, "stdout": 1}


def test_what_is_old_and_delivered_is_forgotten(store: Store) -> None:
    """After months only events that could be met again are known, and changes that are young or undelivered stay."""
    commit_pass(store, concluded(changes("old", "stuck"), DAY, None, "e1"), ("stdout",))
    acknowledge(store, "stdout", [1])
    later = DAY + dt.timedelta(days=121)
    commit_pass(store, concluded(changes("new", day=later), later, None, "e2"), ())
    kept = store.frame("SELECT change_id FROM watch_changes ORDER BY seq")["change_id"].to_list()
    assert kept == ["stuck", "new"]
    assert read_seen(store)["name"].to_list() == ["e2"]
    assert watched_until(store) == later


def test_a_pass_that_fails_leaves_everything_as_it_was(store: Store) -> None:
    """Changes, what is known, the mark and the outbox go together."""
    commit_pass(store, concluded(changes("a")), ("stdout",))
    broken = Pass(DAY, pl.DataFrame({"kind": ["x"]}), ("event",), pl.DataFrame(schema=SEEN), changes("b"),
                  Touched((), frozenset()), {"f": (1, 2)})  # fmt: skip
    with pytest.raises(Exception, match="name"):
        commit_pass(store, broken, ("stdout",))
    assert [one["change_id"] for one in pending_changes(store, "stdout")] == ["a"]
    assert known_files(store) == {}


def test_events_of_some_days_are_found_with_who_did_them(store: Store) -> None:
    """Only those days, only what succeeded or has no end, whatever the capitals."""
    made = {"operation": "Microsoft.Authorization/ROLEASSIGNMENTS/write"}
    load(store, calls(
        record("succeeded", "2026-01-01T01:00:00", correlation_id="a", **made),
        record("succeeded", "2026-01-03T01:00:00", correlation_id="b", **made),
        record("failed", "2026-01-01T01:00:00", correlation_id="c", **made),
        record("succeeded", "2026-01-01T01:00:00", correlation_id="d"),
    ))  # fmt: skip
    found = watched_events(store, [dt.date(2026, 1, 1), dt.date(2026, 1, 2)], [WRITE])
    assert found.select("operation", "outcome").rows() == [(WRITE, "succeeded")]
    assert found["actor_id"].null_count() == 0
    assert watched_keys(store, [dt.date(2026, 1, 1), dt.date(2026, 1, 2)], [WRITE]).equals(found.select("event_key"))
    assert watched_events(store, [], [WRITE]).is_empty()
