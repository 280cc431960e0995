"""Policies and requests merge to the same rows, in any order of files and any number of loads."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from rightsize.store.connection import Store
from tests.store.staged import GROUP, SUBSCRIPTION, at, guid, load, record, rows_of

ASSIGNMENT = f"{GROUP}/providers/Microsoft.Authorization/roleAssignments/{guid(7)}"
WRITE = "Microsoft.Authorization/roleAssignments/write"


def policy(day: str, activation: str, *, role: bool = True, rules: str | None = "[]") -> dict[str, Any]:
    row = {"policy_id": guid(5), "scope": SUBSCRIPTION, "role_definition_id": guid(3) if role else None}
    said = {"maximum_activation": activation, "requires_mfa": True, "approver_ids": [guid(8), guid(9)], "rules": rules}
    return row | (said | {"updated_on": at(day)} if rules is not None else {})


POLICIES = (
    policy("2026-01-01", "PT9H"),
    policy("2026-02-01", "PT2H", role=False),
    policy("2026-03-01", "", rules=None),
)


@pytest.mark.nightly
@pytest.mark.many(3)
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_policy_has_its_newest_rules_and_the_role_of_its_assignment(store: Store, order: tuple[int, ...]) -> None:
    """A listing without rules, however new, takes none away."""
    for number in order:
        load(store, {"role_management_policies": [POLICIES[number]]})
    columns = ("role_definition_id", "maximum_activation", "requires_mfa", "approver_ids", "rules")
    assert rows_of(store, "role_management_policies", *columns) == [
        (guid(3), "PT2H", True, [guid(8), guid(9)], "[]"),
    ]


def request(**said: Any) -> dict[str, Any]:
    keys = {"key_correlation": "c1", "key_operation": WRITE.lower(), "key_scope": ASSIGNMENT.lower()}
    nothing = dict.fromkeys(("assigned_role_id", "assigned_type", "asked_type", "assigned_principal_id"))
    return keys | nothing | said


FILES = (
    {
        "event_rows": [record("started", operation=WRITE, scope=ASSIGNMENT)],
        "request_rows": [request(assigned_type="User")],
    },
    {"event_rows": [record("denied", operation=WRITE, scope=ASSIGNMENT)]},
    {
        "event_rows": [record("started", operation=WRITE, scope=ASSIGNMENT)],
        "request_rows": [request(assigned_role_id=guid(3))],
    },
)


@pytest.mark.nightly
@pytest.mark.many(3)
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_request_is_one_row_a_call_with_its_outcome(store: Store, order: tuple[int, ...]) -> None:
    """What several rows show of one call is joined, and a refused call is no use however it began."""
    for number in (*order, *order):
        load(store, FILES[number])
    columns = ("principal_id", "operation", "outcome", "assigned_role_id", "assigned_type")
    assert rows_of(store, "role_assignment_requests", *columns) == [(guid(100), WRITE, "denied", guid(3), "User")]


@pytest.mark.slow
def test_calls_of_other_operations_are_no_requests(store: Store) -> None:
    load(store, {"event_rows": [record()], "request_rows": []})
    assert rows_of(store, "role_assignment_requests", "operation") == []


AGENTS, FIXER = "/providers/microsoft.authorization/policydefinitions/agents", guid(101)
LISTED = (
    {"is_set": False, "display_name": "Agents", "role_definition_ids": [guid(3)], "updated_on": at("2026-01-01")},
    {"is_set": False, "display_name": "Agents", "role_definition_ids": [guid(4)], "updated_on": at("2026-02-01")},
    {},
)


@pytest.mark.nightly
@pytest.mark.many(3)
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_definition_of_a_policy_names_its_newest_roles(store: Store, order: tuple[int, ...]) -> None:
    """A listing without rules takes none away, and none of an older version stays."""
    for number in order:
        load(store, {"policy_definitions": [{"policy_definition_id": AGENTS} | LISTED[number]]})
    assert rows_of(store, "policy_definitions", "is_set", "role_definition_ids") == [(False, [guid(4)])]
