"""Every saved question runs on a store with data, and returns the columns that it declares."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Any

import pytest

from rightsize.ingest.pipeline import stage
from rightsize.model.errors import InternalError, UsageError
from rightsize.store import sandbox_process
from rightsize.store.connection import open_store
from rightsize.store.merging.loads import merge
from rightsize.store.merging.staging import create_staging
from rightsize.store.queries import bind_parameters, parse_question, question_names, read_question
from rightsize.store.sandbox import Answer
from tests.store.plain import fill, open_plain
from tests.store.sql_here import run_here

OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
CUSTOM = "c0000000-0000-0000-0000-000000000001"
ANN, GUS, OPS, NESTED, BOT, GONE = (f"{digit * 8}-0000-0000-0000-000000000000" for digit in "abcdef")
SUB = "/subscriptions/10000000-0000-0000-0000-000000000000"
WRITE = "Microsoft.Authorization/roleAssignments/write"
KEYS = "Microsoft.Storage/storageAccounts/listKeys/action"


def _time(day: int, hour: int = 12) -> dt.datetime:
    return dt.datetime(2026, 1, day, hour)


def _usage(principal: str | None, operation: str, day: int, **counts: Any) -> dict[str, Any]:
    row = {"principal_id": principal, "operation": operation, "scope": SUB, "plane": "control"}
    row |= {"day": dt.date(2026, 1, day), "first_seen": _time(day), "last_seen": _time(day, 13)}
    return row | {"succeeded": 0, "failed": 0, "started": 0, "denied": 0, "suspect": 0} | counts


def _verdict(assignment: str | None, state: str | None, verdict: str, **more: Any) -> dict[str, Any]:
    row = {"role_assignment_id": assignment, "state": state, "plane": "control", "scope": SUB, "verdict": verdict}
    return row | {"reason": "covered", "operations": 1, "events": 0, "days": 0} | more


def _assignment(name: str, principal: str, role: str, state: str = "active", **more: Any) -> dict[str, Any]:
    row = {"role_assignment_id": name, "state": state, "principal_id": principal, "role_definition_id": role}
    return row | {"scope": SUB} | more


ROWS: dict[str, list[dict[str, Any]]] = {
    "principals": [
        {"principal_id": ANN, "principal_type": "User", "display_name": "Ann", "listed": True, "account_enabled": True}
        | {"user_type": "Member", "user_principal_name": "Ann@contoso.example"},
        {"principal_id": GUS, "principal_type": "User", "display_name": "Gus", "listed": True, "user_type": "Guest"}
        | {"account_enabled": False, "last_sign_in": dt.datetime(2025, 6, 1)},
        {"principal_id": OPS, "principal_type": "Group", "display_name": "Operators", "listed": True}
        | {"group_types": ["DynamicMembership"]},
        {"principal_id": NESTED, "principal_type": "Group", "display_name": "Night", "listed": True},
        {"principal_id": BOT, "principal_type": "ServicePrincipal", "display_name": "=bot\x1b[2J", "listed": True}
        | {"app_id": "of-bot"},
        {"principal_id": GONE, "principal_type": "Unknown", "listed": False},
        {"principal_id": "agent", "principal_type": "ServicePrincipal", "display_name": "Agent", "listed": True}
        | {"blueprint_app_id": "of-bot"},
    ],
    "app_role_assignments": [{"app_role_assignment_id": "r", "principal_id": BOT, "app_role_id": "mail"}],
    "tool_judgements": [
        {"judgement_id": "j", "tool": "app_governance", "plane": "graph", "says": "unused", "app_id": "of-bot"}
        | {"access": "application", "permission": "Mail.Read"}
    ],
    "principal_aliases": [{"kind": "upn", "alias": "ann@contoso.example", "principal_id": ANN}],
    "group_closure": [
        {"group_id": OPS, "member_id": NESTED, "depth": 1},
        {"group_id": OPS, "member_id": GUS, "depth": 2},
        {"group_id": NESTED, "member_id": GUS, "depth": 1},
    ],
    "scopes": [{"scope": "/", "kind": "root"}, {"scope": SUB.upper(), "kind": "subscription"}],
    "role_definitions": [
        {"role_definition_id": OWNER, "role_name": "Owner", "role_type": "BuiltInRole"},
        {"role_definition_id": CUSTOM, "role_name": "Storage all", "role_type": "CustomRole"},
    ],
    "role_permissions": [
        {"role_definition_id": OWNER, "block": 0, "kind": "action", "pattern": "*"},
        {"role_definition_id": CUSTOM, "block": 0, "kind": "action", "pattern": "Microsoft.Storage/*"},
        {"role_definition_id": CUSTOM, "block": 0, "kind": "not_action", "pattern": "*/delete"},
    ],
    "operations": [
        {"operation": WRITE, "is_data_action": False, "risk": "privilege", "observable_by": "activity_log"},
        {"operation": KEYS, "is_data_action": False, "risk": "secret", "observable_by": "activity_log"},
    ],
    "role_operations": [
        {"role_definition_id": OWNER, "operation": WRITE, "plane": "control", "conditional": False},
        {"role_definition_id": OWNER, "operation": KEYS, "plane": "control", "conditional": False},
        {"role_definition_id": CUSTOM, "operation": KEYS, "plane": "control", "conditional": False},
    ],
    "role_assignments": [
        _assignment("a1", ANN, OWNER, created_on=_time(1), condition="x"),
        _assignment("a2", OPS, OWNER),
        _assignment("a3", BOT, OWNER, end_on=_time(30)),
        _assignment("a4", GONE, CUSTOM, principal_type="Unknown", principal_name=""),
        _assignment("e1", ANN, CUSTOM, "eligible"),
        _assignment("e2", GUS, CUSTOM, "eligible", principal_type="User"),
        _assignment("x1", GUS, CUSTOM, "activated", eligibility_id="e2"),
    ],
    "activations": [
        {"activation_id": "x1", "plane": "control", "principal_id": GUS, "role_definition_id": CUSTOM, "scope": SUB}
        | {"eligibility_id": "e2", "start_on": _time(3), "hours": 4.0, "events": 1, "done": [KEYS]}
    ],
    "deny_assignments": [
        {"deny_assignment_id": "d1", "scope": SUB, "principal_ids": ["00000000-0000-0000-0000-000000000000"]}
    ],
    "granted": [
        {"grant_id": grant, "state": "active", "plane": plane, "granted": name, "principal_id": GUS, "scope": SUB}
        | {"access": "role", "conditional": False}
        for grant, plane, name in (("e2", "control", "Reader"), ("e3", "directory", "Global Reader"))
    ],
    "usage_days": [
        _usage(ANN, KEYS.lower(), 2, succeeded=3, failed=1, role_assignment_id="a1"),
        _usage(ANN, KEYS.lower(), 5, started=1),
        _usage(ANN, WRITE, 6, succeeded=1),
        _usage(None, WRITE, 3, denied=2, principal_name="who@example.org"),
        _usage(None, KEYS, 3, succeeded=1, principal_name="unknown@example.org"),
        _usage(BOT, WRITE, 4, denied=5, succeeded=1),
    ],
    "declared_needs": [
        {"principal_id": ANN, "operation": "N.S/declared/write", "scope": SUB, "sha256": "0", "file": "main.bicep"}
        | {"resource": "r", "rule": "write", "declared_on": dt.date(2026, 1, 6), "until": dt.date(2027, 1, 6)}
    ],
    "sign_ins": [
        {"principal_id": ANN, "app_id": "x", "resource_id": "y", "kind": "interactive", "day": dt.date(2026, 1, 6)}
        | {"succeeded": 1, "failed": 0, "last_seen": _time(6)}
    ],
    "token_calls": [
        {"token_id": token, "source": "graph_activity_log", "plane": "graph", "principal_id": ANN, "calls": 2}
        | {"operations": 1, "denied": 0, "first_seen": _time(6), "last_seen": _time(6, 13), "addresses": 1}
        for token in ("aB", "Ab")
    ],
    "coverage": [
        {"source": "activity_log", "category": "Administrative", "scope": SUB, "day": dt.date(2026, 1, day)}
        | {"events": 0 if gap else 4, "state": "missing" if gap else "observed"}
        for day, gap in ((1, False), (2, True), (3, True), (4, False), (5, True), (6, False))
    ],
    "rejects": [
        {"sha256": "s1", "line": 9, "reason": "no time", "source": "activity_log", "path": "b.json"},
        {"sha256": "s1", "line": 10, "reason": "no time", "source": "activity_log", "path": "b.json"},
        {"sha256": "s2", "line": 11, "reason": "no time", "source": "activity_log", "path": "a.json"},
    ],
    "unknown_operations": [{"operation": "Contoso/odd", "plane": "control", "events": 2}],
    "request_access": [
        {"source": "storage_log", "resource": f"{SUB}/x", "access": "sas", "day": dt.date(2026, 1, 2), "events": 3},
        {"source": "key_vault_log", "resource": f"{SUB}/y", "access": "access_policy", "principal_id": ANN}
        | {"day": dt.date(2026, 1, 2), "events": 1},
        {"source": "aks_audit_log", "resource": f"{SUB}/z", "access": "own_roles", "day": dt.date(2026, 1, 3)}
        | {"events": 2},
    ],
    "unmapped_operations": [
        {"source": "key_vault_log", "operation": "SecretTeleport", "events": 2, "resources": 1, "last_seen": _time(2)}
    ],
    "resources": [{"scope": f"{SUB}/v", "resource_type": "Microsoft.KeyVault/Vaults", "sku": "standard"}],
    "granted_operations": [
        {"role_assignment_id": "a2", "state": "active", "operation": WRITE, "plane": "control", "principal_id": OPS}
        | {"role_definition_id": OWNER, "scope": SUB, "conditional": False}
    ],
    "verdict_operations": [
        {"role_assignment_id": "a2", "state": "active", "operation": WRITE, "plane": "control", "principal_id": OPS}
        | {
            "scope": SUB,
            "verdict": "out_of_coverage",
            "reason": "used_before_window",
            "events": 2,
            "last_seen": _time(2),
        }
    ],
    "verdicts": [
        _verdict("a1", "active", "used", principal_id=ANN, operation=KEYS, events=4, days=2, first_seen=_time(2)),
        _verdict("a1", "active", "unused", principal_id=ANN, operations=7),
        _verdict("a2", "active", "unused", principal_id=OPS, operations=9),
        _verdict("a2", "active", "unobservable", principal_id=OPS, operations=4, reason="arm_read"),
        _verdict("e1", "eligible", "unused", principal_id=ANN, operations=1),
        _verdict("x1", "activated", "used", principal_id=GUS, operation=KEYS, events=1, days=1),
        _verdict(None, None, "unexplained", principal_id=BOT, operation=WRITE, events=1, days=1, reason="no_grant"),
    ],
    "findings": [
        {"control": control, "subject": subject, "severity": "low", "reason": "it is so"}
        for control, subject in (("orphaned_assignment", "a4"), ("unresolved_principal", "a3"))
    ],
    "credential_verdicts": [
        {"grant_id": f"app/{name}", "object_id": "app", "name": name, "principal_id": BOT, "verdict": verdict}
        | {"risk": "low", "resources": ["ARM"], "subjects": []}
        for name, verdict in (("main", "used"), ("old", "unused"))
    ],
    "operation_layers": [
        {"operation": KEYS, "layer": "data_protection", "plane": "control", "effect": "bypass", "control": "keys"},
        {"operation": "Microsoft.Insights/diagnosticSettings/delete", "layer": "monitoring", "plane": "control"},
    ],
    "layer_defeats": [
        {"principal_id": ANN, "scope": SUB, "basis": "used", "state": "active", "layer": "data_protection"},
    ],
    "escalations": [
        {
            "principal_id": ANN,
            "rule": "runs_code",
            "plane": "control",
            "permission": KEYS,
            "scope": SUB,
            "state": "active",
        }
        | {"gains": "resource", "targets": 2, "certain": True, "what": "runs commands"},
    ],
    "reach": [
        {"subject": f"{SUB}/vm", "kind": "resource", "basis": basis, "state": "active", "cells": cells}
        | {"identities": 1, "layers": ["monitoring"]}
        for basis, cells in (("granted", 4), ("proposed", 1))
    ],
    "signals": [
        {"signal_id": "risk_detection/1", "kind": "risk_detection", "severity": "high", "dismissed": False}
        | {"last_time": _time(6)},
        {"signal_id": "risk_detection/2", "kind": "risk_detection", "severity": "low", "dismissed": True},
    ],
    "signal_entities": [
        {"signal_id": f"risk_detection/{number}", "entity_kind": "principal", "value": ANN, "principal_id": ANN}
        for number in (1, 2)
    ],
    "quarantine": [
        {"signal_id": "risk_detection/1", "principal_id": ANN, "operation": "Microsoft.X/y/delete", "scope": SUB}
        | {"time": _time(6), "outcome": "succeeded", "event_key": "k"}
    ],
    "layer_violations": [
        {"principal_id": ANN, "scope": SUB, "basis": basis, "state": "active", "layers": layers, "layer_count": 2}
        | {"fewest": [KEYS], "whole": True, "reach": 2, "subscriptions": 1}
        for basis, layers in (("granted", ["data_protection", "monitoring"]), ("proposed", ["data_protection"]))
    ],
}


@pytest.fixture(autouse=True)
def _plain_stores_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store whose views are tables is not like the schema, and is asked all the same."""
    monkeypatch.setattr(sandbox_process, "require_store", lambda *_: None)


# What is given where a parameter has no default.
GIVEN: dict[str, dict[str, str]] = {
    "used-operations": {"principal": "ANN@contoso.example"},
    "groups-of-principal": {"principal": GUS},
    "grants-on-every-plane": {"principal": GUS},
    "new-operations": {"since": "2026-01-04"},
}


def _make_store(path: Path, *, backwards: bool) -> Path:
    with open_plain(path) as opened:
        fill(opened, {name: list(reversed(rows)) if backwards else rows for name, rows in ROWS.items()})
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _make_store(tmp_path_factory.mktemp("store") / "forwards.duckdb", backwards=False)


@pytest.fixture(scope="module")
def backward_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _make_store(tmp_path_factory.mktemp("store") / "backwards.duckdb", backwards=True)


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "empty.duckdb"
    open_store(path, read_only=False).close()
    return path


@pytest.fixture(scope="module")
def real_store(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "real.duckdb"
    logs = shared_data / "logs"
    with open_store(path, read_only=False, loads=True) as opened:
        create_staging(opened.connection)
        stage(opened.connection, sorted(logs.glob("Azure_*.jsonl")))
        merge(opened)
    return path


def _ask(store: Path, name: str, **given: str) -> Answer:
    question = read_question(name)
    return run_here(store, question.text, bind_parameters(question, {**GIVEN.get(name, {}), **given}))


def _column(store: Path, name: str, column: str, **given: str) -> list[Any]:
    return [row[column] for row in _ask(store, name, **given).rows]


@pytest.mark.nightly
def test_why_an_operation_is_kept(store: Path) -> None:
    (row,) = _ask(store, "why-kept", operation=f" {WRITE.upper()}").rows
    told = {"name": "Operators", "verdict": "out_of_coverage", "reason": "used_before_window", "calls": 2}
    assert {name: row[name] for name in told} == told


def test_there_are_enough() -> None:
    """An identity team finds its usual questions."""
    assert len(question_names()) >= 18


@pytest.mark.slow
@pytest.mark.parametrize("name", question_names())
def test_a_question_gives_what_it_declares(store: Path, name: str) -> None:
    """It runs over a store with data, answers something, and has the columns of its header."""
    answer = _ask(store, name)
    assert answer.columns == read_question(name).columns
    assert answer.rows


@pytest.mark.slow
@pytest.mark.parametrize("name", question_names())
def test_a_question_runs_over_a_new_store(empty_store: Path, name: str) -> None:
    """It runs over the real views, and of nothing it says nothing."""
    answer = _ask(empty_store, name)
    assert answer.columns == read_question(name).columns
    assert answer.rows == []


@pytest.mark.slow
@pytest.mark.many(12)
@pytest.mark.parametrize("name", question_names())
def test_a_question_runs_over_real_exports(real_store: Path, name: str) -> None:
    """It runs over what real logs give, too."""
    assert _ask(real_store, name).columns == read_question(name).columns


@pytest.mark.slow
@pytest.mark.many(8)
@pytest.mark.parametrize("name", question_names())
def test_the_order_of_rows_does_not_depend_on_the_store(store: Path, backward_store: Path, name: str) -> None:
    """Rows that were stored in another order give the same answer."""
    assert _ask(store, name).rows == _ask(backward_store, name).rows


@pytest.mark.parametrize("name", question_names())
def test_a_question_uses_each_of_its_parameters(name: str) -> None:
    """What the header declares is what the statement takes."""
    question = read_question(name)
    body = re.sub(r"--[^\n]*", "", question.text)
    assert {parameter.name for parameter in question.parameters} == set(re.findall(r"\$([a-z_]+)", body))
    assert question.title[0].isupper() and not question.title.endswith(".")
    assert question.description.endswith(".")


@pytest.mark.slow
def test_standing_owners_include_members_of_groups_and_no_dated_assignment(store: Path) -> None:
    """A group's Owner counts for whoever is in it; an assignment with an end is not standing."""
    rows = _ask(store, "standing-owners").rows
    assert {(row["principal_id"], row["through_group"]) for row in rows} == {
        (ANN, None),
        (OPS, None),
        (NESTED, OPS),
        (GUS, OPS),
    }


@pytest.mark.slow
def test_who_holds_an_operation_is_asked_in_any_case(store: Path) -> None:
    """Operations compare without regard to case."""
    holders = _column(store, "who-holds-operation", "principal_id", operation=f" {WRITE.upper()}")
    assert sorted(holders) == sorted([OPS, NESTED, GUS])


@pytest.mark.slow
def test_an_assignment_with_a_used_operation_is_not_unused(store: Path) -> None:
    """One used operation takes an assignment off the list; what is not known is counted apart."""
    rows = _ask(store, "unused-assignments").rows
    assert [(row["role_assignment_id"], row["unused"], row["unobservable"]) for row in rows] == [
        ("a2", 9, 4),
        ("e1", 1, 0),
    ]


@pytest.mark.slow
def test_use_does_not_contain_refusals(store: Path) -> None:
    """A refused call is demand, a call that failed afterwards is use."""
    assert _column(store, "used-operations", "calls", principal=BOT) == [1]
    assert _column(store, "used-operations", "calls", principal=ANN) == [5, 1]


@pytest.mark.slow
def test_a_principal_is_found_by_its_name(store: Path) -> None:
    """A UPN in any case leads to the same rows as the object id."""
    assert (
        _ask(store, "used-operations", principal=" ann@CONTOSO.example").rows
        == _ask(store, "used-operations", principal=ANN).rows
    )


@pytest.mark.slow
def test_a_name_that_nothing_resolves_is_found_too(store: Path) -> None:
    """What a log knows only by name is shown under that name, refusals left out."""
    assert _ask(store, "used-operations", principal="Who@example.org").rows == []
    assert _column(store, "used-operations", "calls", principal="UNKNOWN@example.org") == [1]


@pytest.mark.slow
def test_an_eligibility_used_through_an_activation_is_used(store: Path) -> None:
    """Use of the activated assignment counts for the eligibility behind it."""
    assert _column(store, "eligible-never-used", "role_assignment_id") == ["e1"]


@pytest.mark.slow
def test_gaps_are_runs_of_days(store: Path) -> None:
    """Days in a row are one gap."""
    rows = _ask(store, "coverage-gaps").rows
    assert [(row["first_day"].day, row["last_day"].day, row["days"]) for row in rows] == [(2, 3, 2), (5, 5, 1)]


@pytest.mark.slow
def test_a_principal_without_any_sign_in_is_silent(store: Path) -> None:
    """Who never signed in stands first; who signed in lately does not stand there."""
    rows = _ask(store, "silent-principals").rows
    assert [(row["principal_id"], row["days_silent"]) for row in rows] == [(BOT, None), (GUS, 219)]
    assert ANN in _column(store, "silent-principals", "principal_id", days="0")


@pytest.mark.slow
def test_only_proof_makes_an_orphan(store: Path) -> None:
    """What the analysis found is listed; a principal that it could not resolve is no orphan."""
    assert _column(store, "orphaned-assignments", "role_assignment_id") == ["a4"]


@pytest.mark.slow
def test_demand_names_the_unresolved(store: Path) -> None:
    """A refusal counts also where only a name stands in the log."""
    rows = _ask(store, "denied-demand").rows
    assert [(row["principal_id"], row["name"] or "", row["denied"]) for row in rows] == [
        (BOT, "=bot\x1b[2J", 5),
        (None, "who@example.org", 2),
    ]
    assert _column(store, "denied-demand", "denied", least="3") == [5]


@pytest.mark.slow
def test_declared_code_beside_what_was_performed(store: Path) -> None:
    """What code declares and nobody performed, and what its principal performed beside it, are two questions."""
    assert _column(store, "declared-never-used", "operation") == ["N.S/declared/write"]
    assert _column(store, "used-never-declared", "operation") == sorted({KEYS.lower(), WRITE})


@pytest.mark.slow
def test_lately_begun_work_needs_earlier_work(store: Path) -> None:
    """A principal that is new altogether did not begin something new."""
    assert _column(store, "new-operations", "operation") == [WRITE]
    assert _column(store, "new-operations", "operation", since="2026-01-01") == []


@pytest.mark.slow
def test_violations_show_what_is_granted_beside_what_was_used_and_is_proposed(store: Path) -> None:
    """The plan's rows stand in the row of the same principal, subscription and state."""
    (row,) = _ask(store, "independence-violations").rows
    assert (row["granted"], row["used"], row["proposed"]) == (
        "data_protection, monitoring",
        "data_protection",
        "data_protection",
    )


@pytest.mark.slow
def test_machines_show_what_the_plan_leaves_of_their_reach(store: Path) -> None:
    """Granted and proposed stand in one row."""
    (row,) = _ask(store, "machines-by-reach").rows
    assert (row["cells"], row["cells_proposed"]) == (4, 1)


@pytest.mark.slow
def test_what_is_in_quarantine_says_whether_anything_else_shows_it(store: Path) -> None:
    (row,) = _ask(store, "quarantined-uses").rows
    assert (row["principal_id"], row["calls"], row["other_calls"], row["signals"]) == (ANN, 1, 0, ["risk_detection/1"])


@pytest.mark.slow
def test_who_is_under_a_signal_does_not_count_what_was_dismissed(store: Path) -> None:
    (row,) = _ask(store, "signals-by-principal").rows
    assert (row["principal_id"], row["signals"], row["severity"], row["odd_days"]) == (ANN, 1, "high", 0)


@pytest.mark.slow
def test_the_example_of_a_reject_is_the_first_place(store: Path) -> None:
    """The example does not change with the order of loads."""
    (row,) = _ask(store, "rejects-by-reason").rows
    assert (row["records"], row["files"], row["example_path"], row["example_line"]) == (3, 2, "a.json", 11)


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        ("most-over-granted", {"top": "many"}, "`many` is not a valid value of `top`"),
        ("activity-by-day", {"from_day": "yesterday"}, "`yesterday` is not a valid value of `from_day`"),
        ("most-over-granted", {"limit": "1"}, "no parameter `limit`"),
        ("standing-owners", {"top": "1"}, "no parameter `top`"),
    ],
)
def test_a_wrong_parameter_is_said(name: str, given: dict[str, str], says: str) -> None:
    """A value of another type and a name that is none are the user's mistakes."""
    with pytest.raises(UsageError) as caught:
        bind_parameters(read_question(name), given)
    assert says in caught.value.message


def test_a_parameter_without_a_default_must_be_given() -> None:
    """The error says what the parameter means."""
    with pytest.raises(UsageError, match="first day") as caught:
        bind_parameters(read_question("new-operations"), {})
    assert "-p since=" in (caught.value.hint or "")


def test_a_question_that_is_none_has_near_names() -> None:
    """A slip of the hand leads to the right name; nothing near leads to the list."""
    with pytest.raises(UsageError) as near:
        read_question("standing-owner")
    assert "`standing-owners`" in (near.value.hint or "")
    with pytest.raises(UsageError) as far:
        read_question("../reduce/normalise")
    assert "queries list" in (far.value.hint or "")


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1",
        "-- title: A\n-- columns: a\nSELECT 1 AS a",
        "-- title: A\n-- description: B.\n-- columns: a\n-- parameter: n number  of what\nSELECT 1 AS a",
        "-- title: A\n-- description: B.\n-- columns: a\n-- parameter: n\nSELECT 1 AS a",
    ],
)
def test_a_header_that_lacks_something_is_our_mistake(text: str) -> None:
    """A saved question cannot be half declared."""
    with pytest.raises(InternalError):
        parse_question("x", text)
