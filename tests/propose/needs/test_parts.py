"""An assignment at a management group is decided in parts where its subscriptions differ in coverage."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import pytest

from rightsize.model.plan import Plan, Proposal
from tests.propose.histories import bounds_of
from tests.propose.needs.test_partial_coverage import LEAN, START, cover
from tests.propose.small_tenant import (
    APP,
    CONTRIBUTOR,
    MG,
    OWNER,
    READER,
    SUB,
    SUB2,
    VM,
    SmallTenant,
    guid,
    proposal_for,
    strings,
)
from tests.propose.written_plans import Written, named

CHILD = "/providers/Microsoft.Management/managementGroups/child"
DARK = [f"/subscriptions/00000000-0000-0000-0000-0000000000b{number}" for number in range(1, 6)]
RESTART = "Microsoft.Compute/virtualMachines/restart/action"
WRITE = "Microsoft.Compute/virtualMachines/write"
JOIN = "Microsoft.Network/virtualNetworks/subnets/join/action"
ASSIGN = "Microsoft.Authorization/roleAssignments/write"
FAR = f"{SUB2}/resourceGroups/far/providers/Microsoft.Compute/virtualMachines/vm9"


def corporate(covered: Iterable[str] = (SUB, MG, "/"), parents: dict[str, str] | None = None) -> SmallTenant:
    """A contributor of a group over two subscriptions, of which the second has no log; it works in both."""
    tenant = SmallTenant(covered=tuple(covered))
    tenant.parents |= parents or {}
    tenant.assign(101, tenant.principal(1), CONTRIBUTOR, MG)
    tenant.use(guid(1), START, VM)
    tenant.use(guid(1), RESTART, FAR)
    return tenant


def widen(tenant: SmallTenant) -> None:
    """Let the first subscription have more resource groups."""
    tenant.principal(900)
    for group in range(1, 9):
        tenant.assign(900 + group, guid(900), READER, f"{SUB}/resourceGroups/g{group}")


def whole_at(proposal: Proposal) -> list[str]:
    """Return the scopes at which a proposal assigns today's role again."""
    return [one.scope for one in proposal.assignments if one.role == CONTRIBUTOR]


def _narrow(plan: Plan, proposal: Proposal) -> dict[str, list[str]]:
    """Return the strings of the new roles of a proposal, by scope."""
    new = {role.definition.role_definition_id for role in plan.roles}
    return {one.scope: strings(plan, one.role) for one in proposal.assignments if one.role in new}


@pytest.fixture(scope="module")
def plan() -> Plan:
    return corporate().plan(**LEAN)


def test_the_role_stays_where_nothing_can_be_said_and_is_narrowed_elsewhere(plan: Plan) -> None:
    found = proposal_for(plan, guid(101))
    assert whole_at(found) == [SUB2]
    narrow = {one.scope: strings(plan, one.role) for one in found.assignments if one.role != CONTRIBUTOR}
    assert narrow[VM] == [START]
    # What waits in the other subscription brings nothing along here.
    assert set(narrow) == {VM}
    assert found.proof.used_subset and found.proof.granted_superset
    assert plan.replay["denied"] == 0
    assert found.excess_after < found.excess_before / 2


@pytest.mark.slow
def test_what_a_write_where_the_role_stays_may_refer_to_stays_at_the_group() -> None:
    """A machine of the subscription without a log may join a network of any other."""
    tenant = corporate()
    tenant.use(guid(1), WRITE, FAR)
    plan = tenant.plan(**LEAN)
    found = proposal_for(plan, guid(101))
    assert whole_at(found) == [SUB2]
    (above,) = [one for one in found.assignments if one.scope == MG]
    assert JOIN in strings(plan, above.role)
    assert WRITE not in strings(plan, above.role)


@pytest.mark.nightly
def test_it_says_where_and_why_and_what_it_costs(plan: Plan) -> None:
    found = proposal_for(plan, guid(101))
    assert (
        "; today's role stays at 1 scope below, whose logs decide too little: `rightsize status logs` lists"
        in found.reason
    )
    assert "A subscription that joins the group later gets only what stays at the group" in found.reason
    assert found.evidence["cost"] in found.reason
    (one,) = found.evidence["stays_at"]
    assert (one["scope"], one["why"]) == (SUB2, "scope_not_covered")
    assert found.evidence["removed"]["covered"] > 0
    assert found.break_probability_30d > 0


@pytest.mark.slow
def test_the_plan_verifies_until_somebody_works_in_a_new_subscription() -> None:
    """That subscription joined the group after the plan, and the role no longer reaches it."""
    tenant = corporate()
    written = Written.of(tenant, **LEAN)
    assert named(written.verify(tenant)) == []
    tenant.parents[DARK[0]] = MG
    tenant.use(guid(1), START, f"{DARK[0]}/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/v", start=89)
    assert any(what == "use" for what, _, _ in named(written.verify(tenant)))


@pytest.mark.slow
def test_the_default_options_keep_the_reads_at_the_group() -> None:
    found = proposal_for(corporate().plan(), guid(101))
    assert whole_at(found) == [SUB2]
    assert READER in {one.role for one in found.assignments if one.scope == MG}


@pytest.mark.nightly
def test_who_did_nothing_in_the_covered_part_keeps_the_other_part() -> None:
    tenant = SmallTenant(covered=(SUB, MG, "/"))
    user = tenant.principal(1)
    tenant.assign(101, user, CONTRIBUTOR, MG)
    tenant.assign(102, user, CONTRIBUTOR, APP)
    tenant.use(user, START, VM, role_assignment_id=guid(102))
    found = proposal_for(tenant.plan(**LEAN), guid(101))
    assert whole_at(found) == [SUB2]
    assert found.evidence["removed"]["covered"] > 0
    assert found.reason.startswith("keeps 0 of 28 operations at 0 scopes; today's role stays at 1 scope below")


@pytest.mark.nightly
def test_a_log_of_some_days_decides_its_part() -> None:
    tenant = corporate((MG, "/"))
    cover(tenant, range(25, 90), SUB)
    cover(tenant, range(50, 90), SUB2)
    found = proposal_for(tenant.plan(**LEAN), guid(101))
    assert whole_at(found) == [SUB2]
    assert found.evidence["stays_at"][0]["why"] == "days_missing"
    assert found.evidence["covered_days"] == 65
    assert "(covered 65 of 90 days)" in found.reason
    # Its days of work had no log, so that they are no samples.
    estimate = bounds_of(tenant)[guid(101)]
    assert (estimate.basis, estimate.active_days) == ("silent", 0)


@pytest.mark.slow
@pytest.mark.parametrize("number", [3, 4])
def test_at_most_three_assignments_more(number: int) -> None:
    """With four subscriptions without a log the assignment stays as it is."""
    tenant = corporate((SUB, SUB2, MG, "/"), dict.fromkeys(DARK[:number], MG))
    tenant.rows["usage_days"] = [row for row in tenant.rows["usage_days"] if row["scope"] == VM]
    widen(tenant)
    found = proposal_for(tenant.plan(**LEAN), guid(101))
    assert whole_at(found) == (DARK[:3] if number == 3 else [])
    assert ("stays_at" in found.evidence) is (number == 3)
    assert len(found.assignments) == (4 if number == 3 else 0)
    assert number == 3 or found.reason.startswith("waits: 11 of 28 operations are out of coverage")


@pytest.mark.slow
@pytest.mark.parametrize(("groups", "scopes"), [(1, 3), (2, 2), (3, 2), (9, 2)])
def test_scopes_of_use_take_assignments_too(groups: int, scopes: int) -> None:
    """Beside the scope where the role stays there is room for two; more of them are granted at the group."""
    tenant = corporate()
    for number in range(1, groups + 1):
        tenant.use(guid(1), START, f"{SUB}/resourceGroups/g{number}/providers/Microsoft.Compute/virtualMachines/v")
    plan = tenant.plan(roles="max", **LEAN)
    found = proposal_for(plan, guid(101))
    assert len(found.assignments) == scopes
    assert whole_at(found) == [SUB2]
    assert (_narrow(plan, found) == {MG: [START]}) is (scopes == 2)
    assert plan.replay["denied"] == 0


@pytest.mark.nightly
def test_a_group_that_needs_two_roles_has_no_room_for_a_third() -> None:
    """The reads and the privilege at the group are two, so the reads go into the role of the daily work."""
    tenant = corporate()
    tenant.rows["role_assignments"][0]["role_definition_id"] = OWNER
    tenant.assign(102, tenant.principal(2), OWNER, MG, created_on=dt.datetime(2026, 3, 30))
    tenant.use(guid(1), ASSIGN, MG)
    tenant.use(guid(1), START, f"{SUB}/resourceGroups/g1/providers/Microsoft.Compute/virtualMachines/v")
    plan = tenant.plan(roles="max")
    found = proposal_for(plan, guid(101))
    assert "in fewer, wider roles: " in found.reason
    above = sorted(strings(plan, one.role) for one in found.assignments if one.scope == MG)
    assert above == [["*/read", START], [ASSIGN]]
    assert [(one.scope, one.role) for one in found.assignments if one.scope != MG] == [(SUB2, OWNER)]
    assert plan.replay["denied"] == 0


@pytest.mark.slow
def test_it_is_not_divided_where_little_would_go() -> None:
    """The options take reads and unlogged operations from the whole; at three of the nodes they would be back."""
    tenant = corporate((SUB, SUB2, MG, "/"), dict.fromkeys(DARK[:3], MG))
    assert "stays_at" not in proposal_for(tenant.plan(**LEAN), guid(101)).evidence


@pytest.mark.nightly
def test_subscriptions_without_a_log_below_one_group_are_one_scope() -> None:
    tenant = corporate((SUB, SUB2, MG, CHILD, "/"), {CHILD: MG, **dict.fromkeys(DARK, CHILD)})
    tenant.rows["usage_days"] = [row for row in tenant.rows["usage_days"] if row["scope"] == VM]
    widen(tenant)
    found = proposal_for(tenant.plan(**LEAN), guid(101))
    assert whole_at(found) == [CHILD]
    # One subscription of the child group has a log: then its others are scopes of their own.
    tenant.covered = (SUB, SUB2, MG, CHILD, "/", *DARK[:3])
    assert whole_at(proposal_for(tenant.plan(**LEAN), guid(101))) == DARK[3:]


@pytest.mark.slow
def test_a_subscription_that_may_be_elsewhere_prevents_it() -> None:
    """To give the role there could give somebody access that the group does not."""
    tenant = corporate((SUB, SUB2, MG, "/"))
    tenant.use(guid(2), START, f"{DARK[0]}/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/v")
    assert "stays_at" not in proposal_for(tenant.plan(**LEAN), guid(101)).evidence


@pytest.mark.slow
def test_an_assignment_that_is_there_already_is_not_made_twice() -> None:
    tenant = corporate()
    tenant.assign(102, guid(1), CONTRIBUTOR, SUB2)
    plan = tenant.plan(**LEAN)
    found = proposal_for(plan, guid(101))
    assert whole_at(found) == []
    assert guid(102) in found.evidence["rests_on"]
    assert proposal_for(plan, guid(102)).kind == "keep"
    assert plan.replay["denied"] == 0


@pytest.mark.nightly
def test_a_group_of_people_keeps_it_as_a_group() -> None:
    tenant = SmallTenant(covered=(SUB, MG, "/"))
    members = [tenant.principal(number) for number in range(1, 10)]
    tenant.assign(101, tenant.group(20, members), CONTRIBUTOR, MG)
    tenant.use(members[0], START, VM)
    tenant.use(members[1], RESTART, FAR)
    found = proposal_for(tenant.plan(**LEAN), guid(101))
    assert [(one.principal_id, one.scope) for one in found.assignments if one.role == CONTRIBUTOR] == [(guid(20), SUB2)]


@pytest.mark.nightly
def test_below_the_group_nothing_changes() -> None:
    """An assignment at one subscription is decided by its own log."""
    tenant = corporate()
    tenant.assign(102, tenant.principal(2), CONTRIBUTOR, APP)
    tenant.assign(103, tenant.principal(3), CONTRIBUTOR, SUB2)
    plan = tenant.plan(**LEAN)
    assert proposal_for(plan, guid(102)).kind == "remove"
    assert "stays_at" not in proposal_for(plan, guid(103)).evidence
