"""Listings merge value by value, definitions as a whole, in any order."""

from __future__ import annotations

from typing import Any

import pytest

from rightsize.store.connection import Store
from tests.store.staged import GROUP, SUBSCRIPTION, VM, at, calls, content, guid, load, record, rows_of

BOTH_ORDERS = pytest.mark.parametrize("order", [1, -1], ids=["older first", "newer first"])


def assignment(number: int = 1, state: str = "active", **fields: Any) -> dict[str, Any]:
    row = {"role_assignment_id": guid(number), "state": state, "principal_id": guid(100), "scope": GROUP}
    return row | {"role_definition_id": guid(50)} | fields


def role(name: str, *actions: str, **fields: Any) -> dict[str, Any]:
    text = ", ".join(f'"{action}"' for action in actions)
    blocks = f'[{{"actions": [{text}], "notActions": [], "dataActions": [], "notDataActions": []}}]'
    row = {"role_definition_id": guid(50), "role_name": name, "role_type": "CustomRole", "permissions": blocks}
    return row | {"assignable_scopes": ["/"]} | fields


@pytest.mark.nightly
@BOTH_ORDERS
def test_listings_that_know_different_things_of_a_principal_are_joined(store: Store, order: int) -> None:
    """A value beats none, and of two values the greater one stays."""
    users = {"principal_id": guid(100), "user_principal_name": "a@x", "display_name": "Ann", "listed": True}
    holders = {"principal_id": guid(100), "principal_type": "User", "display_name": "Anna", "listed": False}
    for row in [users, holders][::order]:
        load(store, {"principals": [row]})
    columns = ("user_principal_name", "principal_type", "display_name", "listed")
    assert rows_of(store, "principals", *columns) == [("a@x", "User", "Anna", True)]


@pytest.mark.nightly
@BOTH_ORDERS
def test_an_assignment_has_the_condition_of_its_newest_edition(store: Store, order: int) -> None:
    """Condition, version and description go together; none can be newer than some."""
    old = assignment(condition="z", condition_version="2.0", updated_on=at("2026-01-01"))
    new = assignment(description="no condition any more", updated_on=at("2026-02-01"))
    for row in [old, new][::order]:
        load(store, {"role_assignments": [row]})
    columns = ("condition", "condition_version", "description", "updated_on")
    assert rows_of(store, "role_assignments", *columns) == [(None, None, "no condition any more", at("2026-02-01"))]


@pytest.mark.nightly
@BOTH_ORDERS
def test_a_role_is_wholly_its_newest_version(store: Store, order: int) -> None:
    """Name, permissions and what they grant come from one version; nothing of the old one stays."""
    operations = [{"operation": f"Microsoft.X/y/{verb}", "is_data_action": False} for verb in ("read", "write")]
    old = role("Zeta", "Microsoft.X/y/write", description="old", updated_on=at("2026-01-01"))
    new = role("Alpha", "Microsoft.X/y/read", updated_on=at("2026-02-01"))
    load(store, {"operations": operations})
    for row in [old, new][::order]:
        load(store, {"role_definitions": [row]})
    assert rows_of(store, "role_definitions", "role_name", "description") == [("Alpha", None)]
    assert rows_of(store, "role_permissions", "kind", "pattern") == [("action", "Microsoft.X/y/read")]
    assert rows_of(store, "role_operations", "operation", "plane") == [("Microsoft.X/y/read", "control")]


@pytest.mark.nightly
@BOTH_ORDERS
def test_what_arm_says_of_an_operation_wins_over_a_guess(store: Store, order: int) -> None:
    """Spellings that differ in case are one operation; the bytewise smallest is shown."""
    guess = {"operation": "microsoft.x/y/read", "is_data_action": True, "is_guess": True, "description": "zz"}
    said = {"operation": "Microsoft.X/y/read", "is_data_action": False, "is_guess": False, "description": "said"}
    for row in [guess, said][::order]:
        load(store, {"operations": [row]})
    columns = ("operation", "is_data_action", "is_guess", "description", "provider", "resource_type", "verb")
    expected = ("Microsoft.X/y/read", False, False, "said", "Microsoft.X", "Microsoft.X/y", "read")
    assert rows_of(store, "operations", *columns) == [expected]


@pytest.mark.nightly
@BOTH_ORDERS
def test_operations_and_scopes_are_spelt_as_the_catalogue_does_whenever_it_is_loaded(store: Store, order: int) -> None:
    """Types of a scope too; names of resources stay as the earliest event wrote them."""
    catalogue = {"operations": [{"operation": "Microsoft.Compute/virtualMachines/write", "is_data_action": False}]}
    log = calls(record(operation="MICROSOFT.COMPUTE/VIRTUALMACHINES/WRITE", scope=VM.upper()))
    for file in [catalogue, log][::order]:
        load(store, file)
    expected = f"/subscriptions/{guid(1).upper()}/resourceGroups/RG/providers/Microsoft.Compute/virtualMachines/VM"
    assert rows_of(store, "events", "operation", "scope") == [("Microsoft.Compute/virtualMachines/write", expected)]
    assert rows_of(store, "usage_days", "operation", "scope") == rows_of(store, "events", "operation", "scope")
    assert rows_of(store, "unknown_operations", "operation") == []


@pytest.mark.nightly
@BOTH_ORDERS
def test_without_a_catalogue_the_earliest_event_spells(store: Store, order: int) -> None:
    """An operation that the catalogue lacks is told as unknown, in that spelling."""
    rows = [
        record(operation="microsoft.X/A/write"),
        record(time="2026-01-06T00:00:00", operation="Microsoft.X/a/Write"),
    ]
    for row in rows[::order]:
        load(store, calls(row))
    assert rows_of(store, "events", "operation") == [("microsoft.X/A/write",)]
    assert rows_of(store, "unknown_operations", "operation", "events") == [("microsoft.X/A/write", 1)]


@pytest.mark.nightly
def test_an_activation_is_shown_once(store: Store) -> None:
    """PIM's list and the list of assignments both have it, under one id; the eligibility stands beside it."""
    load(store, {"role_assignments": [assignment(), assignment(2, "eligible"), assignment(3)]})
    load(store, {"role_assignments": [assignment(1, "activated", eligibility_id=guid(2))]})
    expected = [(guid(1), "activated"), (guid(2), "eligible"), (guid(3), "active")]
    assert rows_of(store, "role_assignments", "role_assignment_id", "state") == expected


@pytest.mark.nightly
def test_the_same_assignment_in_two_cases_of_its_scope_is_one(store: Store) -> None:
    """And its scope is spelt as the tenant spells it."""
    load(store, calls(record(scope=VM)))
    (merged,) = load(store, {"role_assignments": [assignment(scope=GROUP.upper()), assignment(scope=GROUP.upper())]})
    assert (merged.new, merged.duplicate) == (1, 1)
    assert rows_of(store, "role_assignments", "scope") == [(GROUP,)]


@pytest.mark.nightly
@pytest.mark.parametrize("scope", [f"{SUBSCRIPTION}/", f" {SUBSCRIPTION}", SUBSCRIPTION.replace("ions/", "ions//")])
def test_slashes_and_spaces_too_many_do_not_make_another_scope(store: Store, scope: str) -> None:
    """Exports have them; `rbac.scopes` reads them as the same scope."""
    load(store, {"role_assignments": [assignment(scope=scope)], "event_rows": [record(scope=scope)]})
    assert rows_of(store, "scopes", "scope", "kind") == [("/", "root"), (SUBSCRIPTION, "subscription")]
    assert rows_of(store, "role_assignments", "scope") == rows_of(store, "events", "scope") == [(SUBSCRIPTION,)]


@pytest.mark.nightly
def test_a_deny_assignment_is_kept_with_its_lists(store: Store) -> None:
    """Lists round-trip, and the scope is named with all above it."""
    deny = {"deny_assignment_id": guid(1), "scope": GROUP, "principal_ids": [guid(2), guid(3)], "permissions": "[]"}
    for _ in range(2):
        load(store, {"deny_assignments": [deny]})
    assert rows_of(store, "deny_assignments", "scope", "principal_ids") == [(GROUP, [guid(2), guid(3)])]
    assert [scope for (scope,) in rows_of(store, "scopes", "scope")] == ["/", SUBSCRIPTION, GROUP]


@pytest.mark.slow
def test_granted_and_verdict_operations_answer_for_an_assignment(store: Store) -> None:
    """What a role grants at each of its assignments, and how often it was used there."""
    operations = [{"operation": f"Microsoft.X/y/{verb}", "is_data_action": False} for verb in ("read", "write")]
    load(
        store,
        {
            "operations": operations,
            "role_definitions": [role("R", "Microsoft.X/*")],
            "role_assignments": [assignment(1), assignment(2, "eligible", condition="c")],
        },
    )
    granted = rows_of(store, "granted_operations", "role_assignment_id", "state", "operation", "conditional")
    expected = [
        (guid(number), state, f"Microsoft.X/y/{verb}", number == 2)
        for number, state in ((1, "active"), (2, "eligible"))
        for verb in ("read", "write")
    ]
    assert granted == expected
    write, read = (f"Microsoft.X/y/{verb}" for verb in ("write", "read"))
    about = {"role_assignment_id": guid(1), "state": "active", "plane": "control", "principal_id": "holder"}
    counted = {"verdict": "unused", "reason": "covered", "set_id": "s", "operations": 1}
    used = {"verdict": "used", "reason": "evidence", "operation": write, "events": 3, "operations": 1}
    for name, found in (
        ("verdicts", [about | counted, about | used | {"principal_id": "member"}]),
        ("verdict_operation_sets", [{"set_id": "s", "operation": one, "plane": "control"} for one in (write, read)]),
    ):
        empty = store.table(name)
        store.write_answer(name, type(empty)(found, schema=empty.schema))
    verdicts = rows_of(store, "verdict_operations", "operation", "verdict", "reason", "events")
    assert verdicts == [(read, "unused", "covered", 0), (write, "used", "evidence", 3)]


HOSTILE = (
    "'; DROP TABLE base.events; --",
    '"quoted" \\back\\slash',
    "tab\tline\nfeed\r\x01\x1b[31m\x1c\x1d\x1e\x1f\x7f",
    "\u202eright to left\u200b",
    "emoji 🦊 and é, e\u0301, K",
    "{{template}} ${x} <script>alert(1)</script> =1+1",
    "n" * 10_000,
)


@pytest.mark.nightly
def test_hostile_text_survives_as_it_was_written(store: Store) -> None:
    """Names and descriptions come back byte for byte, load after load."""
    files = {
        "principals": [{"principal_id": guid(n), "display_name": text} for n, text in enumerate(HOSTILE)],
        "role_assignments": [assignment(n, description=text, condition=text) for n, text in enumerate(HOSTILE)],
        "role_definitions": [
            role(text, "*/read", role_definition_id=guid(n), description=text) for n, text in enumerate(HOSTILE)
        ],
        "event_rows": [
            record(correlation_id=text, principal_id=None, principal_name=text, scope=f"{GROUP}/providers/M.X/y/{n}")
            for n, text in enumerate(HOSTILE)
        ],
        "rejects": [{"reason": text, "raw": text} for text in HOSTILE],
    }
    load(store, files)
    before = content(store)
    load(store, files)
    assert content(store) == before
    texts = sorted(HOSTILE)
    for name, column in (
        ("principals", "display_name"),
        ("role_assignments", "description"),
        ("role_assignments", "condition"),
        ("role_definitions", "role_name"),
        ("events", "correlation_id"),
        ("events", "principal_name"),
        ("rejects", "raw"),
    ):
        assert sorted(store.table(name)[column].to_list()) == texts, f"{name}.{column}"


@pytest.mark.nightly
def test_hostile_names_of_resources_are_scopes_like_others(store: Store) -> None:
    """Whatever stands between the slashes; only slashes and surrounding spaces mean something."""
    names = [text.replace("/", "|") for text in HOSTILE]
    load(store, calls(*(record(scope=f"{GROUP}/providers/M.X/y/{name}", correlation_id=name) for name in names)))
    scopes = [scope for scope, kind in rows_of(store, "scopes", "scope", "kind") if kind == "resource"]
    assert sorted(scope.rsplit("/", 1)[1] for scope in scopes) == sorted(names)
    assert {parent for scope, parent in rows_of(store, "scopes", "scope", "parent_scope") if scope in scopes} == {GROUP}


@pytest.mark.nightly
@BOTH_ORDERS
def test_a_tag_belongs_to_a_scope_however_it_is_spelt(store: Store, order: int) -> None:
    """Listings spell scopes differently; of a tag that changed both values stay, since no listing says which is new."""
    old = {"scope": GROUP.upper(), "name": "env", "value": "Prod"}
    new = {"scope": GROUP + "/", "name": "env", "value": "test"}
    for row in [old, new, old][::order]:
        load(store, {"scope_tags": [row]})
    assert rows_of(store, "scope_tags", "scope", "name", "value") == [
        (GROUP.lower(), "env", "Prod"),
        (GROUP.lower(), "env", "test"),
    ]
