"""Where a subscription would get too many assignments, needs move to wider scopes, with a proven minimum of cost."""

from __future__ import annotations

import pytest

from rightsize.propose.core.role_patterns import AzureLimits
from tests.propose.small_tenant import CONTRIBUTOR, MG, SUB, SmallTenant, guid, proposal_for

START = "Microsoft.Compute/virtualMachines/start/action"
RESTART = "Microsoft.Compute/virtualMachines/restart/action"
LEAN = {"reads": "none", "unobservable": "drop"}
GROUPS = 3


def _tenant(scope: str = SUB, role: str = CONTRIBUTOR, *, second: str = START) -> tuple[SmallTenant, str]:
    """One user, one assignment, and use of machines in three resource groups."""
    tenant = SmallTenant()
    user = tenant.principal(1)
    assignment = tenant.assign(101, user, role, scope)
    for number in range(GROUPS):
        machine = f"{SUB}/resourceGroups/rg{number}/providers/Microsoft.Compute/virtualMachines/vm"
        tenant.use(user, START if number % 2 else second, machine)
    return tenant, assignment


def _limit(number: int) -> AzureLimits:
    return AzureLimits(assignments_per_subscription=number, headroom=0)


@pytest.mark.slow
def test_with_room_the_narrowest_places_win() -> None:
    tenant, assignment = _tenant()
    plan = tenant.plan(_limit(1 + GROUPS), roles="max", **LEAN)
    assert len(proposal_for(plan, assignment).assignments) == GROUPS


@pytest.mark.nightly
def test_without_room_one_principal_gets_it_at_the_subscription() -> None:
    """One assignment less would do, but what moves up moves as a whole: three places become one."""
    tenant, assignment = _tenant()
    plan = tenant.plan(_limit(GROUPS), roles="max", **LEAN)
    (made,) = proposal_for(plan, assignment).assignments
    assert made.scope == SUB


@pytest.mark.slow
def test_needs_that_differ_meet_at_the_subscription() -> None:
    tenant, assignment = _tenant(second=RESTART)
    plan = tenant.plan(_limit(3), **LEAN)
    proposal = proposal_for(plan, assignment)
    assert {made.scope for made in proposal.assignments} == {SUB}
    assert proposal.proof.used_subset
    assert proposal.proof.granted_superset


@pytest.mark.nightly
def test_those_move_whose_moving_costs_least() -> None:
    """Of two, the one with the lighter operation moves up."""
    tenant, first = _tenant()
    other = tenant.principal(2)
    second = tenant.assign(102, other, CONTRIBUTOR, SUB)
    for number in range(GROUPS):
        tenant.use(
            other,
            "Microsoft.Storage/storageAccounts/listKeys/action",
            f"{SUB}/resourceGroups/rg{number}/providers/Microsoft.Storage/storageAccounts/st",
        )
    plan = tenant.plan(_limit(2 + GROUPS + 1), **LEAN)
    assert [made.scope for made in proposal_for(plan, first).assignments] == [SUB]
    assert len(proposal_for(plan, second).assignments) == GROUPS


@pytest.mark.slow
def test_what_fits_nowhere_is_kept_and_said() -> None:
    tenant, assignment = _tenant()
    plan = tenant.plan(_limit(1), **LEAN)
    assert proposal_for(plan, assignment).reason.startswith("assignment limit")


@pytest.mark.slow
def test_nothing_moves_above_todays_scope() -> None:
    """Granted at the resource groups one by one, the needs cannot meet at the subscription."""
    tenant = SmallTenant()
    user = tenant.principal(1)
    for number in range(GROUPS):
        scope = f"{SUB}/resourceGroups/rg{number}"
        tenant.assign(101 + number, user, CONTRIBUTOR, scope)
        for machine in range(4):
            tenant.use(user, START, f"{scope}/providers/Microsoft.Compute/virtualMachines/vm{machine}")
    plan = tenant.plan(_limit(GROUPS + 2), **LEAN)
    kept = [one for one in plan.proposals if one.reason.startswith("assignment limit")]
    assert len(kept) == GROUPS - 2
    assert {made.scope for one in plan.proposals for made in one.assignments} == {
        f"{SUB}/resourceGroups/rg0",
        f"{SUB}/resourceGroups/rg1",
    }


@pytest.mark.slow
def test_assigned_at_a_management_group_it_may_meet_there() -> None:
    tenant, assignment = _tenant(MG)
    limits = AzureLimits(assignments_per_subscription=0, assignments_per_management_group=2, headroom=0)
    plan = tenant.plan(limits, roles="max", **LEAN)
    assert [made.scope for made in proposal_for(plan, assignment).assignments] == [MG]
    assert guid(1) in {made.principal_id for made in proposal_for(plan, assignment).assignments}


@pytest.mark.slow
def test_what_two_assignments_need_moves_no_higher_than_the_lower_one() -> None:
    """The needs of the higher one meet at the subscription; the lower one is granted nothing there."""
    tenant, high = _tenant()
    group = f"{SUB}/resourceGroups/rg1"
    low = tenant.assign(102, guid(1), CONTRIBUTOR, group)
    for assignment in (high, low):
        machine = f"{group}/providers/Microsoft.Compute/virtualMachines/vm"
        tenant.use(guid(1), START, machine, role_assignment_id=assignment)
    plan = tenant.plan(_limit(GROUPS + 1), **LEAN)
    assert {made.scope for made in proposal_for(plan, high).assignments} == {SUB}
    assert (proposal_for(plan, low).kind, proposal_for(plan, low).assignments) == ("remove", ())
