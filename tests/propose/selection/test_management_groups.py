"""No custom role with data actions at a management group: the data part of such a role moves to lower scopes.

Source: Microsoft Learn, "Azure custom roles": a custom role with data actions cannot be assigned at a management group.
"""

from __future__ import annotations

from typing import Any

import pytest

from rightsize.model.nouns import PermissionBlock
from rightsize.model.plan import Plan
from rightsize.model.text import fold
from tests.propose.small_tenant import CONTRIBUTOR, MG, SUB, SUB2, SmallTenant, guid, proposal_for

START = "Microsoft.Compute/virtualMachines/start/action"
BLOB = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read"
WIDE = guid(900)
ACCOUNT = "/resourceGroups/data/providers/Microsoft.Storage/storageAccounts/acct"


def _plan(*used: tuple[str, str], **options: Any) -> Plan:
    tenant = SmallTenant()
    block = PermissionBlock(actions=("Microsoft.Compute/*",), data_actions=("Microsoft.Storage/*",))
    tenant.roles[WIDE] = ("Machines and blobs", [block])
    user = tenant.principal(1)
    tenant.assign(101, user, WIDE, MG)
    for operation, scope in used:
        tenant.use(user, operation, scope)
    return tenant.plan(**options)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"reads": "none", "unobservable": "drop"}])
@pytest.mark.parametrize(
    "used",
    [
        [(START, MG), (BLOB, f"{SUB}{ACCOUNT}"), (BLOB, f"{SUB2}{ACCOUNT}")],
        [(BLOB, f"{SUB}{ACCOUNT}"), (BLOB, f"{SUB2}{ACCOUNT}")],
    ],
)
def test_no_new_role_takes_data_actions_to_a_management_group(
    used: list[tuple[str, str]], options: dict[str, Any]
) -> None:
    plan = _plan(*used, **options)
    placed: dict[str, set[str]] = {}
    for one in proposal_for(plan, guid(101)).assignments:
        placed.setdefault(fold(one.role), set()).add(fold(one.scope))
    for role in plan.roles:
        definition = role.definition
        scopes = placed.get(fold(definition.role_definition_id), set()) | set(map(fold, definition.assignable_scopes))
        if any(block.data_actions for block in definition.permissions):
            assert all(scope.startswith("/subscriptions/") for scope in scopes)
    assert plan.replay["denied"] == 0


@pytest.mark.slow
def test_control_and_data_become_roles_of_their_own_where_the_height_differs() -> None:
    """The one may stand at the management group; the other stands in each subscription that holds its data."""
    used = [(START, MG), (BLOB, f"{SUB}{ACCOUNT}"), (BLOB, f"{SUB2}{ACCOUNT}")]
    plan = _plan(*used, reads="none", unobservable="drop")
    roles = {role.definition.role_definition_id: role.definition for role in plan.roles}
    found = {
        fold(one.scope).startswith("/subscriptions/"): {
            bool(block.data_actions) for block in roles[one.role].permissions
        }
        for one in proposal_for(plan, guid(101)).assignments
        if one.role in roles
    }
    assert found == {False: {False}, True: {True}}


OTHER = "/providers/Microsoft.Management/managementGroups/lab"


def _operators(*scopes: str, **options: Any) -> Plan:
    """Holders of a broad role, each at a scope of its own; all start machines there."""
    tenant = SmallTenant()
    tenant.parents |= {OTHER: "/", SUB2: OTHER}
    tenant.covered = (*tenant.covered, OTHER)
    for number, scope in enumerate(scopes, start=1):
        tenant.assign(100 + number, tenant.principal(number), CONTRIBUTOR, scope)
        tenant.use(guid(number), START, scope)
    return tenant.plan(reads="none", unobservable="drop", **options)


@pytest.mark.slow
@pytest.mark.parametrize("roles", ["auto", "max"])
def test_one_role_serves_a_management_group_and_subscriptions(roles: str) -> None:
    """Azure accepts one management group beside subscriptions: two roles alike would be one too many to review."""
    plan = _operators(MG, SUB, SUB2, roles=roles)
    (role,) = plan.roles
    assert set(role.definition.assignable_scopes) == {MG, SUB, SUB2}
    taken = {one.scope: one.role for proposal in plan.proposals for one in proposal.assignments}
    assert taken == dict.fromkeys((MG, SUB, SUB2), role.definition.role_definition_id)
    assert plan.replay["denied"] == 0


@pytest.mark.nightly
@pytest.mark.parametrize("roles", ["auto", "max"])
def test_two_management_groups_take_a_role_each(roles: str) -> None:
    plan = _operators(MG, OTHER, SUB, roles=roles)
    scopes = {role.definition.assignable_scopes for role in plan.roles}
    assert len(scopes) == 2
    assert all(sum(scope in (MG, OTHER) for scope in each) == 1 for each in scopes)
    assert plan.replay["denied"] == 0
