"""The incremental update of quarantine gives the same as all calls against all signals."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable
from typing import Any

import pytest

from rightsize.store.connection import Store
from rightsize.store.pruning import plan_pruning, prune
from rightsize.store.quarantine import derive_quarantine, forget_keys, replace_decisions
from tests.store.staged import File, at, calls, guid, load, record, rows_of, sign_in

pytestmark = pytest.mark.slow

ANN, BOB = guid(100), guid(101)
PEOPLE, ADDRESSES = (ANN, BOB, guid(102)), ("198.51.100.1", "198.51.100.2", "203.0.113.7")
STATE = {
    "base.quarantined_calls": "event_key, day, signal_id, basis",
    "base.quarantine_windows": "*",
    "base.quarantine_keys": "*",
    "base.usage_days": "actor_key, operation_key, scope_key, day, succeeded, suspect",
}


def days_of_calls(chance: random.Random) -> list[File]:
    """Some calls a day of six weeks, by id or by name, with and without tokens and sessions."""
    files = []
    for day in range(0, 42, 6):
        rows = []
        for number in range(24):
            time = dt.datetime(2026, 1, 1) + dt.timedelta(days=day + number % 6, minutes=chance.randrange(1440))
            who = chance.choice(PEOPLE)
            named = (
                {"principal_id": None, "principal_name": "ANN@x"} if chance.random() < 0.2 else {"principal_id": who}
            )
            token = f"T{chance.randrange(8)}" if chance.random() < 0.4 else None
            session = chance.choice(("good", "bad")) if chance.random() < 0.1 else None
            rows.append(record(time=time, correlation_id=f"c{day}-{number}", ip=chance.choice(ADDRESSES), **named,
                               token_id=token, session_id=session))  # fmt: skip
        files.append(calls(*rows))
    return files


def signal(name: str, time: str, kind: str = "risk_detection", **fields: Any) -> dict[str, Any]:
    row = {"signal_id": f"{kind}/{name}", "source": kind, "kind": kind, "severity": "high", "status": "atrisk"}
    return row | {"first_time": at(time), "last_time": at(time), "updated_on": at(time)} | fields


def signals(row: dict[str, Any], **named: str) -> File:
    entities = [
        {"signal_id": row["signal_id"], "entity_kind": kind, "value": value}
        | {"principal_id": value if kind == "principal" and value in PEOPLE else None}
        for kind, value in named.items()
    ]
    return {"signals": [row], "signal_entities": entities}


def files(chance: random.Random) -> list[File]:
    sign_ins = [
        sign_in(f"2026-01-{5 + 4 * number:02d}T12:00:00", sign_in_id=f"s{number}", token_id=f"T{number}",
                session_id="bad" if number % 2 else "good", principal_id=PEOPLE[number % 2])
        for number in range(6)
    ]  # fmt: skip
    risky = signal("1", "2026-01-20T12:00:00")
    return [
        *days_of_calls(chance),
        *({"sign_in_rows": sign_ins[number::3]} for number in range(3)),
        signals(risky, principal=ANN, ip=ADDRESSES[2]),
        signals(signal("2", "2026-01-13T12:00:00"), principal="ann@x", sign_in="s1", ip=ADDRESSES[1]),
        signals(signal("3", "2026-02-05T12:00:00", "alert"), ip=ADDRESSES[2]),
        signals(signal("4", "2026-02-08T09:00:00"), principal=BOB, session="good"),
        signals(signal("5", "2026-01-28T12:00:00"), principal=PEOPLE[2]),
        {"signals": [risky | {"updated_on": at("2026-01-25"), "dismissed": True}]},
        {"principals": [{"principal_id": ANN, "user_principal_name": "ann@x", "listed": True}]},
    ]


def decision(kind: str, who: str, first: int, last: int) -> dict[str, Any]:
    times = {"from_time": at(f"2026-01-{first:02d}"), "to_time": at(f"2026-01-{last:02d}")}
    about = {"signal_id": None, "principal": who, "decision": kind, "reason": "known", "owner": "me"}
    return about | times | {"expires": dt.date(2027, 1, 1)}


def state(store: Store) -> dict[str, list[str]]:
    return {
        name: sorted(repr(row) for row in store.connection.execute(f"SELECT {columns} FROM {name}").fetchall())
        for name, columns in STATE.items()
    }


def same_as_from_scratch(store: Store) -> dict[str, list[str]]:
    """The state, which a look at everything does not change."""
    con = store.connection
    found = state(store)
    con.execute("BEGIN")
    forget_keys(con)
    con.execute("DELETE FROM base.quarantined_calls")
    derive_quarantine(con)
    again = state(store)
    con.execute("ROLLBACK")
    assert found == again
    return found


@pytest.mark.nightly
@pytest.mark.parametrize("seed", [1, 2])
def test_any_order_of_arrival_ends_in_what_a_look_at_everything_finds(seed: int, fresh: Callable[[], Store]) -> None:
    """Signals before and after their calls, late sign-ins and names, a dismissal first, decisions that come and go."""
    chance = random.Random(seed)  # noqa: S311  nothing rests on it
    arriving = files(random.Random(7))  # noqa: S311
    chance.shuffle(arriving)
    decided = {6: [decision("trust", ANN, 10, 22)], 10: [decision("quarantine", BOB, 3, 9)], 13: []}
    store = fresh()
    for number, file in enumerate(arriving):
        load(store, file)
        if number in decided:
            with store.transaction() as con:
                replace_decisions(con, decided[number])
        if number % 7 == 3 or number in decided:
            same_as_from_scratch(store)
    found = same_as_from_scratch(store)
    assert {basis for (basis,) in rows_of(store, "quarantine", "basis")} >= {"token", "session", "address", "principal"}
    at_once, shown = fresh(), ("event_key", "signal_id", "basis")
    load(at_once, *files(random.Random(7)))  # noqa: S311
    assert rows_of(store, "quarantine", *shown) == rows_of(at_once, "quarantine", *shown)
    assert rows_of(store, "usage_days", "day", "suspect") == rows_of(at_once, "usage_days", "day", "suspect")
    assert len(found["base.quarantined_calls"]) > 20


def test_after_a_pruning_the_open_days_go_on(fresh: Callable[[], Store]) -> None:
    store = fresh()
    arriving = files(random.Random(7))  # noqa: S311
    load(store, *arriving[:5], *arriving[7:])
    planned = plan_pruning(store, 12)
    assert planned is not None
    prune(store, planned)
    for file in arriving[5:7]:
        load(store, file)
        same_as_from_scratch(store)
    load(store, signals(signal("9", "2026-02-09T12:00:00"), principal=BOB))
    same_as_from_scratch(store)


@pytest.mark.nightly
def test_a_record_of_the_future_ends_no_decision(fresh: Callable[[], Store]) -> None:
    """The decision holds while the days of the logs go on to its last one, and no longer."""
    store = fresh()
    trusted = decision("trust", ANN, 19, 22) | {"expires": dt.date(2026, 1, 26)}
    near = [record(time=f"2026-01-{day}T12:00:00", correlation_id=f"d{day}") for day in range(19, 25)]
    load(store, calls(*near), signals(signal("1", "2026-01-20T12:00:00"), principal=ANN))
    with store.transaction() as con:
        replace_decisions(con, [trusted])
    assert rows_of(store, "quarantine", "time") == []
    load(store, calls(record(time="2031-05-05T12:00:00", correlation_id="bogus")))
    load(store, signals(signal("odd", "2032-05-05T12:00:00"), principal=BOB))
    assert rows_of(store, "quarantine", "time") == []
    load(store, calls(*(record(time=f"2026-01-{day}T12:00:00", correlation_id=f"d{day}") for day in (25, 26, 27))))
    assert len(rows_of(store, "quarantine", "time")) == 2
