"""New information in the rows of a call, and the merged call, whatever its rows have in common."""

from __future__ import annotations

import random
from typing import Any

import pytest

from rightsize.store.connection import Store
from tests.store.staged import RANKS, Row, at, calls, guid, load, record, rows_of

pytestmark = pytest.mark.slow


_TEXTS = ("principal_name", "role_assignment_id", "event_id", "ip")


class _Call:
    """The plain form of an event: the columns that a row may still move."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def takes(self, row: Row) -> bool:
        """Take a row in, and tell whether it changed anything."""
        offered = {name: (4 - row["rank"], row[name]) for name in _TEXTS if row[name] is not None}
        offered |= {"time": row["time"], "rank": -row["rank"]}
        moved = {name: value for name, value in offered.items() if name not in self.values or value < self.values[name]}
        self.values |= moved
        return bool(moved)

    def event(self) -> tuple[Any, ...]:
        texts = (self.values[name][1] if name in self.values else None for name in _TEXTS)
        return (self.values["time"], -self.values["rank"], *texts)


def _drawn(chance: random.Random) -> Row:
    return record(
        chance.choice(list(RANKS)),
        at(f"2026-01-05T10:00:0{chance.randrange(4)}"),
        correlation_id=f"c{chance.randrange(150)}",
        principal_name=chance.choice((None, "a@x", "b@x")),
        role_assignment_id=chance.choice((None, guid(9), guid(9), guid(10))),
        event_id=chance.choice((None, "e1", "e2", "e3")),
        ip=chance.choice((None, "192.0.2.1", "192.0.2.1")),
    )


def test_new_rows_and_events_are_those_of_merging_row_by_row(store: Store) -> None:
    """Two loads of two files each, of calls of one row and of many, where rows repeat, complete and contradict."""
    chance = random.Random(7)  # noqa: S311 - the same calls each time
    known: dict[str, _Call] = {}
    for _ in range(2):
        files = [[_drawn(chance) for _ in range(200)] for _ in range(2)]
        expected = [sum(known.setdefault(row["correlation_id"], _Call()).takes(row) for row in rows) for rows in files]
        merged = load(store, *(calls(*rows) for rows in files))
        assert [file.new for file in merged] == expected
    outcomes = {rank: outcome for outcome, rank in RANKS.items()}
    events = [(time, outcomes[rank], *texts) for time, rank, *texts in (call.event() for call in known.values())]
    assert rows_of(store, "events", "time", "outcome", *_TEXTS) == sorted(events, key=repr)
