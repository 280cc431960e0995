"""`--peers`: what somebody with the same job used is kept for everybody with that job."""

from __future__ import annotations

import pytest

from rightsize.model.plan import Plan
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.needs.peers import TEAM
from tests.propose.small_tenant import (
    APP,
    CONTRIBUTOR,
    DATA,
    OWNER,
    SUB,
    VM,
    VM_CONTRIBUTOR,
    SmallTenant,
    guid,
    proposal_for,
    strings,
)

START = "Microsoft.Compute/virtualMachines/start/action"
RESTART = "Microsoft.Compute/virtualMachines/restart/action"
DISK = "Microsoft.Compute/disks/write"
DISK_AT = f"{APP}/providers/Microsoft.Compute/disks/d1"
OTHER_VM = f"{DATA}/providers/Microsoft.Compute/virtualMachines/vm2"
FIRST = guid(101)


def tenant(role: str = CONTRIBUTOR, scope: str = SUB, place: str = OTHER_VM) -> SmallTenant:
    """Return a tenant with somebody who starts a machine, and somebody else who also restarts another one."""
    made = SmallTenant()
    first, second = made.principal(1), made.principal(2)
    made.assign(101, first, CONTRIBUTOR, SUB)
    made.assign(102, second, role, scope)
    made.use(first, START, VM)
    for operation in (START, RESTART):
        made.use(second, operation, place)
    return made


def granted(plan: Plan, operation: str, assignment: str = FIRST) -> set[str]:
    """Return the scopes at which new roles of a proposal grant an operation."""
    new = {role.definition.role_definition_id for role in plan.roles}
    return {
        one.scope
        for one in proposal_for(plan, assignment).assignments
        if one.role in new and operation in strings(plan, one.role)
    }


def test_what_a_peer_used_is_kept_where_the_holder_used_that_type() -> None:
    """Not where the peer works: the holder has its own machines."""
    plan = tenant().plan(peers=True, roles="max")
    assert granted(plan, RESTART) == granted(plan, START) == {VM}
    assert granted(tenant().plan(roles="max"), RESTART) == set()


def test_holders_with_one_job_share_a_role() -> None:
    plan = tenant().plan(peers=True)
    new = {role.definition.role_definition_id for role in plan.roles}
    first, second = ({one.role for one in proposal_for(plan, guid(number)).assignments} & new for number in (101, 102))
    assert first == second


def test_it_is_the_default() -> None:
    assert PlanOptions().peers


def test_the_role_says_why() -> None:
    """The peer keeps its assignment here, so nobody uses the new role for it."""
    plan = tenant().plan(peers=True, exclude=(guid(2),))
    whys = {one["action"]: one["why"] for role in plan.roles for one in role.evidence["actions"]}
    assert (whys[START], whys[RESTART]) == ("used", "peer")


@pytest.mark.parametrize(
    "more",
    [
        {"role": VM_CONTRIBUTOR},
        {"scope": DATA},
        {"place": f"{DATA}/providers/Microsoft.Compute/virtualMachines/vm3"},
    ],
    ids=["another role", "another kind of scope", "another machine"],
)
def test_a_peer_used_the_same_types_under_any_role(more: dict[str, str]) -> None:
    """Two people with one job often got different roles."""
    assert granted(tenant(**more).plan(peers=True, roles="max"), RESTART)


def test_who_used_other_types_is_no_peer_but_by_a_team() -> None:
    """Members of a small group with the same role are peers whatever they used; what is new to the type stays above."""
    made = tenant()
    made.use(guid(2), DISK, DISK_AT)
    assert (
        granted(made.plan(peers=True, roles="max"), DISK)
        == granted(made.plan(peers=True, roles="max"), RESTART)
        == set()
    )
    made.group(50, [guid(1), guid(2)])
    plan = made.plan(peers=True, roles="max")
    assert granted(plan, RESTART) == {VM}
    assert granted(plan, DISK) == {SUB}


def test_a_group_of_everybody_makes_no_peers() -> None:
    made = tenant()
    made.use(guid(2), DISK, DISK_AT)
    made.group(50, [guid(1), guid(2), *(made.principal(number) for number in range(200, 199 + TEAM))])
    assert granted(made.plan(peers=True), DISK) == set()


def test_a_write_of_a_peer_keeps_its_checks() -> None:
    """Otherwise the kept write would fail."""
    made = tenant()
    made.use(guid(2), "Microsoft.Compute/virtualMachines/write", OTHER_VM)
    plan = made.plan(peers=True)
    assert granted(plan, "Microsoft.Compute/virtualMachines/write") == {VM}
    assert granted(plan, "Microsoft.Network/virtualNetworks/subnets/join/action") == {SUB}


def test_a_holder_without_use_has_no_peers() -> None:
    made = tenant()
    idle = made.assign(103, made.principal(3), CONTRIBUTOR, SUB)
    made.group(50, [guid(2), guid(3)])
    assert granted(made.plan(peers=True), RESTART, idle) == set()


def test_what_gives_privilege_is_kept_for_nobody_else() -> None:
    """Who never assigned a role gets that right by no colleague."""
    made = tenant(role=OWNER)
    made.rows["role_assignments"][0]["role_definition_id"] = OWNER
    assign = "Microsoft.Authorization/roleAssignments/write"
    made.use(guid(2), assign, f"{OTHER_VM}/providers/Microsoft.Authorization/roleAssignments/{guid(7)}")
    made.group(50, [guid(1), guid(2)])
    plan = made.plan(peers=True, exclude=(guid(2),))
    assert granted(plan, RESTART) == {VM}
    assert granted(plan, assign) == set()
