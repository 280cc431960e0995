"""Signals: the newest state wins in any order, false positives spread, and names become principals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rightsize.store.connection import Store
from tests.store.staged import at, content, guid, load, rows_of

BOTH_ORDERS = pytest.mark.parametrize("order", [1, -1], ids=["older first", "newer first"])


def signal(signal_id: str, updated: str = "2026-01-05T11:00:00", **fields: Any) -> dict[str, Any]:
    row = {"signal_id": signal_id, "source": signal_id.split("/", maxsplit=1)[0], "kind": "alert", "severity": "high"}
    return row | {"first_time": at("2026-01-05T10:00:00"), "updated_on": at(updated)} | fields


def named(signal_id: str, kind: str, value: str, **fields: Any) -> dict[str, Any]:
    return {"signal_id": signal_id, "entity_kind": kind, "value": value} | fields


@pytest.mark.nightly
@BOTH_ORDERS
def test_the_newest_state_of_a_signal_wins_whole(store: Store, order: int) -> None:
    old = signal("graph_alert/1", status="new", severity="high", name="Zeta")
    new = signal("graph_alert/1", "2026-01-06T11:00:00", status="resolved", classification="falsepositive")
    for row in [old, new | {"severity": "low", "dismissed": True}][::order]:
        load(store, {"signals": [row]})
    columns = ("status", "severity", "name", "dismissed")
    assert rows_of(store, "signals", *columns) == [("resolved", "low", None, True)]


@pytest.mark.nightly
@BOTH_ORDERS
def test_a_false_positive_in_one_export_is_one_in_every_other(store: Store, order: int) -> None:
    open_ = signal("security_alert/a", original_id="alert/x")
    closed = signal("graph_alert/b", "2026-01-06T11:00:00", original_id="alert/x", dismissed=True)
    other = signal("security_alert/c", original_id="alert/y")
    for row in [open_, closed, other][::order]:
        load(store, {"signals": [row]})
    assert rows_of(store, "signals", "signal_id", "dismissed") == [
        ("graph_alert/b", True),
        ("security_alert/a", True),
        ("security_alert/c", False),
    ]


@pytest.mark.slow
def test_an_alert_that_was_opened_again_stands(store: Store) -> None:
    closed = signal("graph_alert/b", original_id="alert/x", dismissed=True)
    reopened = signal("security_alert/a", "2026-01-06T11:00:00", original_id="alert/x")
    load(store, {"signals": [closed, reopened]})
    assert {dismissed for _, dismissed in rows_of(store, "signals", "signal_id", "dismissed")} == {False}


@pytest.mark.slow
@pytest.mark.parametrize(("judged", "expected"), [(None, True), (False, False)])
def test_an_incident_takes_its_alerts_with_it_but_not_a_confirmed_one(
    fresh: Callable[[], Store], judged: bool | None, expected: bool
) -> None:
    incident = signal("security_incident/i", kind="incident", dismissed=True)
    by_graph = signal("graph_incident/7", kind="incident", dismissed=True)
    alerts = [signal("security_alert/a", dismissed=judged), signal("graph_alert/b", dismissed=judged)]
    links = [named("security_incident/i", "alert", "a"), named("graph_alert/b", "incident", "7")]
    store = fresh()
    load(store, {"signals": [incident, by_graph, *alerts], "signal_entities": links})
    found = dict(rows_of(store, "signals", "signal_id", "dismissed"))
    assert (found["security_alert/a"], found["graph_alert/b"]) == (expected, expected)


@pytest.mark.slow
@pytest.mark.parametrize(("judged", "expected"), [(None, False), (True, True)])
def test_a_detection_judges_the_sign_in_that_it_names(
    fresh: Callable[[], Store], judged: bool | None, expected: bool
) -> None:
    """The sign-in log says what was known then, whatever it is loaded after."""
    sign_in = signal("risky_sign_in/s1", kind="risky_sign_in", status="atrisk")
    detection = signal("risk_detection/d", kind="risk_detection", dismissed=judged)
    store = fresh()
    load(store, {"signals": [sign_in, detection], "signal_entities": [named("risk_detection/d", "sign_in", "s1")]})
    assert dict(rows_of(store, "signals", "signal_id", "dismissed"))["risky_sign_in/s1"] is expected


@pytest.mark.nightly
@BOTH_ORDERS
def test_names_become_principals_whenever_the_directory_comes(store: Store, order: int) -> None:
    user = {"principal_id": guid(100), "user_principal_name": "Ann@x", "listed": True}
    robot = {"principal_id": guid(101), "app_id": guid(7), "listed": True}
    entities = [named("s/1", "principal", "ann@x"), named("s/1", "principal", guid(7)), named("s/1", "ip", "1.2.3.4")]
    for file in [{"principals": [user, robot]}, {"signals": [signal("s/1")], "signal_entities": entities}][::order]:
        load(store, file)
    assert rows_of(store, "signal_entities", "value", "principal_id") == [
        (guid(7), guid(101)),
        ("1.2.3.4", None),
        ("ann@x", guid(100)),
    ]


@pytest.mark.nightly
def test_the_same_signals_twice_change_nothing(store: Store) -> None:
    file = {"signals": [signal("s/1")], "signal_entities": [named("s/1", "ip", "1.2.3.4")]}
    load(store, file)
    before = content(store)
    assert [merged.new for merged in load(store, file)] == [0]
    assert content(store) == before
