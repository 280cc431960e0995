"""Quarantine: calls inside a signal are kept, shown and suspect, whichever was loaded first."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from rightsize.store.connection import Store
from rightsize.store.quarantine import OF_USE, replace_decisions
from rightsize.store.sql import seal
from rightsize.store.stored_analysis import digest_content, kept_digests, renew_digest
from tests.store.staged import VM, File, at, calls, content, guid, load, record, reduced, rows_of, sign_in

ANN = guid(100)
HOME, OFFICE, ATTACKER, OTHER = "198.51.100.1", "198.51.100.2", "203.0.113.7", "203.0.113.8"
NOON = "2026-01-20T12:00:00"
MACHINE = guid(300)


def call(name: str, time: str = NOON, ip: str | None = HOME, **fields: Any) -> dict[str, Any]:
    return record(time=time, correlation_id=name, ip=ip, **fields)


def signal(identifier: str = "1", kind: str = "risk_detection", **fields: Any) -> dict[str, Any]:
    row = {"signal_id": f"{kind}/{identifier}", "source": kind, "kind": kind, "severity": "high", "status": "atrisk"}
    return row | {"first_time": at(NOON), "last_time": at(NOON), "updated_on": at(NOON)} | fields


def named(kind: str, value: str, signal_id: str = "risk_detection/1", **fields: Any) -> dict[str, Any]:
    return {"signal_id": signal_id, "entity_kind": kind, "value": value} | fields


def signals(row: dict[str, Any], *entities: dict[str, Any]) -> File:
    return {"signals": [row], "signal_entities": entities}


OF_ANN = named("principal", ANN, principal_id=ANN)
AN_ADDRESS = named("ip", ATTACKER)
HABIT = [call(f"habit{day}", f"2026-01-{day:02d}T09:00:00") for day in range(2, 12)]


def suspects(store: Store) -> dict[str, str]:
    """The calls in quarantine by their correlation id, with what put them there."""
    rows = store.frame(
        "SELECT e.correlation_id, q.basis FROM quarantine AS q JOIN events AS e USING (event_key)"
    ).rows()
    counted = store.frame("SELECT coalesce(sum(suspect), 0)::BIGINT AS n FROM usage_days").item()
    assert counted == len({name for name, _ in rows}), "the usage counts what is in quarantine"
    return dict(rows)


@pytest.mark.nightly
def test_calls_near_a_detection_are_suspect_and_those_of_other_days_are_not(store: Store) -> None:
    day_before, later = call("before", "2026-01-19T10:00:00"), call("later", "2026-01-22T12:00:00")
    load(store, calls(*HABIT, day_before, call("now"), later), signals(signal(), OF_ANN))
    assert suspects(store) == {"now": "principal"}


@pytest.mark.nightly
def test_a_day_is_split_at_the_time_of_the_signal(store: Store) -> None:
    load(store, calls(call("morning", "2026-01-20T08:00:00"), call("noon")), signals(signal(), OF_ANN))
    assert rows_of(store, "usage_days", "succeeded", "suspect") == [(2, 1)]


@pytest.mark.nightly
def test_known_addresses_go_free_where_the_signal_names_one(store: Store) -> None:
    """The named address is suspect for days around, a new one within hours, and one of the month before not at all."""
    rows = [*HABIT, call("habit"), call("named", ip=ATTACKER), call("new", ip=OTHER), call("unsaid", ip=None)]
    early = [call("early", "2026-01-19T18:00:00", ATTACKER), call("early elsewhere", "2026-01-19T18:00:00", OTHER)]
    load(store, calls(*rows, *early), signals(signal(), OF_ANN, AN_ADDRESS))
    assert suspects(store) == {"named": "address", "new": "principal", "unsaid": "principal", "early": "address"}


@pytest.mark.nightly
def test_a_session_is_followed_through_its_tokens(store: Store) -> None:
    """Calls of the risky session are suspect on any day; those of a session that is known to be another go free."""
    sign_ins = [
        sign_in(time, sign_in_id=name, token_id=token, session_id=session)
        for name, time, token, session in (
            ("s1", NOON, "T1", "bad"),
            ("s2", "2026-01-21T18:00:00", "T2", "bad"),
            ("s3", NOON, "T3", "good"),
        )
    ]
    rows = [
        call("token", token_id="T1"),
        call("refreshed", "2026-01-25T12:00:00", token_id="T2"),
        call("own session", token_id="T3"),
        call("said", session_id="bad"),
        call("nothing said"),
    ]
    load(store, calls(*rows), {"sign_in_rows": sign_ins}, signals(signal(), OF_ANN, named("sign_in", "s1")))
    assert suspects(store) == {
        "token": "token",
        "refreshed": "session",
        "said": "session",
        "nothing said": "principal",
    }


@pytest.mark.nightly
def test_a_late_sign_in_gives_the_session_of_calls_two_days_later(store: Store) -> None:
    """A sign-in that is loaded after the call of its token, and lies two days before it, takes it out of quarantine."""
    risky = sign_in(NOON, sign_in_id="s1", token_id="T1", session_id="bad")
    evening = call("evening", "2026-01-20T18:00:00", token_id="T2")
    load(store, calls(evening), {"sign_in_rows": [risky]}, signals(signal(), OF_ANN, named("sign_in", "s1")))
    assert suspects(store) == {"evening": "principal"}
    load(store, {"sign_in_rows": [sign_in("2026-01-18T19:00:00", sign_in_id="s2", token_id="T2", session_id="good")]})
    assert suspects(store) == {}


@pytest.mark.slow
def test_a_machine_that_an_alert_names_speaks_of_its_identities(store: Store) -> None:
    attached = {"scope": VM, "kind": "system", "identity_scope": "", "principal_id": MACHINE}
    alert = signal("1", "alert", status="new")
    rows = [call("machine", principal_id=MACHINE), call("ann")]
    of_machine = named("resource", VM.lower(), "alert/1", scope=VM)
    load(store, calls(*rows), signals(alert, of_machine), {"resource_identities": [attached]})
    assert suspects(store) == {"machine": "machine"}


@pytest.mark.nightly
def test_an_address_alone_speaks_of_whoever_used_it(store: Store) -> None:
    rows = [call("ann", ip=ATTACKER), call("bob", ip=ATTACKER, principal_id=guid(101)), call("home")]
    load(store, calls(*rows), signals(signal("1", "alert"), named("ip", ATTACKER, "alert/1")))
    assert suspects(store) == {"ann": "address", "bob": "address"}


@pytest.mark.nightly
@pytest.mark.parametrize(
    "fields",
    [{"dismissed": True}, {"severity": "informational"}, {"kind": "incident"}, {"first_time": None}],
    ids=["false positive", "informational", "incident", "without a time"],
)
def test_what_is_no_reason_for_quarantine(fields: dict[str, Any], store: Store) -> None:
    load(store, calls(call("now")), signals(signal(**fields), OF_ANN))
    assert suspects(store) == {}


@pytest.mark.nightly
def test_refused_calls_are_shown_and_count_as_no_use(store: Store) -> None:
    """Counted, they would take from the good use of the day."""
    load(store, calls(call("refused", outcome="denied")), signals(signal(), OF_ANN))
    assert rows_of(store, "quarantine", "outcome") == [("denied",)]
    assert rows_of(store, "usage_days", "denied", "suspect") == [(1, 0)]


@pytest.mark.nightly
def test_who_is_confirmed_compromised_stays_suspect_until_that_ends(store: Store) -> None:
    state = signal("a", "risky_principal", status="confirmedcompromised", dismissed=False)
    later = call("weeks later", "2026-03-20T12:00:00")
    load(
        store, calls(call("now"), later), signals(state, named("principal", ANN, "risky_principal/a", principal_id=ANN))
    )
    assert suspects(store) == {"now": "principal", "weeks later": "principal"}
    load(store, {"signals": [state | {"status": "dismissed", "updated_on": at("2026-03-21"), "dismissed": True}]})
    assert suspects(store) == {}


@pytest.mark.nightly
def test_any_order_of_loads_ends_in_the_same_store(fresh: Callable[[], Store]) -> None:
    """Calls by name before the directory, a detection before its calls, its dismissal before the detection."""
    user = {"principal_id": ANN, "user_principal_name": "ann@x", "listed": True}
    files: list[File] = [
        calls(*HABIT, call("named", ip=ATTACKER, principal_id=None, principal_name="ANN@x")),
        signals(signal(), named("principal", "ann@x"), AN_ADDRESS),
        {"principals": [user]},
        signals(signal("2"), named("principal", ANN, "risk_detection/2", principal_id=ANN)),
        {"signals": [signal("2", updated_on=at("2026-01-21"), status="dismissed", dismissed=True)]},
    ]
    found = set()
    for order in itertools.islice(itertools.permutations(files), 0, None, 29):
        store = fresh()
        for file in order:
            load(store, file)
        found.add((content(store), tuple(sorted(suspects(store).items()))))
    assert [names for _, names in found] == [(("named", "address"),)]


@pytest.mark.nightly
def test_days_whose_calls_were_pruned_are_suspect_as_a_whole(store: Store) -> None:
    """A signal that comes later finds the day only; where it is dismissed, the day is clean again."""
    load(store, calls(call("morning", "2026-01-20T11:30:00"), call("noon"), call("new", "2026-02-20T12:00:00")))
    with store.transaction() as con:
        con.execute("DELETE FROM base.events WHERE time < TIMESTAMP '2026-02-01'")
        seal(con, at("2026-02-01").date())
    load(store, signals(signal(), OF_ANN))
    assert rows_of(store, "usage_days", "succeeded", "suspect") == [(1, 0), (2, 2)]
    load(store, {"signals": [signal(updated_on=at("2026-02-01"), dismissed=True)]})
    assert rows_of(store, "usage_days", "succeeded", "suspect") == [(1, 0), (2, 0)]


@pytest.mark.nightly
@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (2, 1, 0)])
def test_a_call_is_dated_by_its_beginning(order: tuple[int, ...], store: Store) -> None:
    """One that began before the suspect time and ended in it is none of it, and it counts on the day it began.

    One that began in it and ended after it is, whichever of their rows is loaded first.
    """
    since, until = "2026-01-20T00:00:00", "2026-01-20T12:00:00"
    decision = {"signal_id": None, "principal": ANN, "from_time": at(since), "to_time": at(until),
                "decision": "quarantine", "reason": "r", "owner": "o", "expires": at("2026-12-31").date()}  # fmt: skip
    begins = calls(
        call("before", "2026-01-19T23:59:58", outcome="started"),
        call("within", "2026-01-20T11:59:58", outcome="started"),
    )
    ends = calls(call("before", "2026-01-20T00:20:00"), call("within", "2026-01-21T00:20:00"))
    steps = [lambda: load(store, begins), lambda: load(store, ends), lambda: decide(store, decision)]
    for step in order:
        steps[step]()
    assert suspects(store) == {"within": "decision"}
    assert rows_of(store, "usage_days", "day", "succeeded", "suspect") == [
        (at("2026-01-19").date(), 1, 0), (at("2026-01-20").date(), 1, 1),
    ]  # fmt: skip
    assert store.frame("SELECT min(time) FROM quarantine").item() == at("2026-01-20T11:59:58")


def test_kept_digests_are_those_of_the_content(store: Store) -> None:
    """A change of content ends them, and a decision on signals changes those of use alone."""
    load(store, calls(*HABIT, call("now")), signals(signal(), OF_ANN))
    kept = renewed(store, {})
    assert kept == kept_digests(store)
    trust = {"signal_id": "risk_detection/1", "principal": None, "from_time": None, "to_time": None,
             "decision": "trust", "reason": "a test", "owner": "soc", "expires": at("2027-01-01").date()}  # fmt: skip
    decide(store, trust)
    assert kept_digests(store) == {}
    after = renewed(store, {name: one for name, one in kept.items() if name not in OF_USE})
    assert {name for name in kept if kept[name] != after[name]} == {"usage_days"}


def renewed(store: Store, known: dict[str, str]) -> dict[str, str]:
    """Renew the digest from known digests of tables, and return what is kept."""
    assert renew_digest(store, known) == digest_content(store)
    return kept_digests(store)


def decide(store: Store, decision: dict[str, Any]) -> None:
    with store.transaction() as con:
        replace_decisions(con, [decision])


@pytest.mark.nightly
@pytest.mark.parametrize("order", [1, -1])
def test_reduced_use_is_suspect_where_it_reaches_into_a_window(order: int, store: Store) -> None:
    """Its times within the day are gone; a row of another day is clean."""
    days = [reduced(f"2026-01-{day}", principal_id=ANN, succeeded=2) for day in (20, 24)]
    for file in [{"reduced_usage": days}, signals(signal(), OF_ANN)][::order]:
        load(store, file)
    assert sorted(suspect for (suspect,) in rows_of(store, "usage_days", "suspect")) == [0, 2]
