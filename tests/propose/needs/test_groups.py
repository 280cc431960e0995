"""Use by few of many members may move to them; the group keeps the rest, and nobody gets new access."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from rightsize.model.nouns import PermissionBlock
from tests.propose.small_tenant import (
    APP,
    CONTRIBUTOR,
    DATA,
    DAY0,
    NET,
    READER,
    SUB,
    SUB2,
    VM,
    SmallTenant,
    guid,
    proposal_for,
    strings,
)

START = "Microsoft.Compute/virtualMachines/start/action"
STOP = "Microsoft.Compute/virtualMachines/deallocate/action"
RESTART = "Microsoft.Compute/virtualMachines/restart/action"
WRITE_VM = "Microsoft.Compute/virtualMachines/write"
JOIN = "Microsoft.Network/virtualNetworks/subnets/join/action"
DELETE_VM = "Microsoft.Compute/virtualMachines/delete"
KEY = "Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action"
ACCOUNT = f"{DATA}/providers/Microsoft.Storage/storageAccounts/st1"
VNET = f"{NET}/providers/Microsoft.Network/virtualNetworks/v1"
LEAN: dict[str, Any] = {"reads": "none", "unobservable": "drop", "split_groups": True}


def _team(size: int, role: str = CONTRIBUTOR, scope: str = SUB) -> tuple[SmallTenant, list[str], str, str]:
    tenant = SmallTenant()
    members = [tenant.principal(number) for number in range(1, size + 1)]
    group = tenant.group(50, members)
    return tenant, members, group, tenant.assign(101, group, role, scope, principal_type="Group")


def _given(plan: Any, assignment: str) -> dict[str, list[tuple[str, list[str]]]]:
    given: dict[str, list[tuple[str, list[str]]]] = {}
    for one in proposal_for(plan, assignment).assignments:
        given.setdefault(one.principal_id, []).append((one.scope, strings(plan, one.role)))
    return given


@pytest.mark.slow
def test_what_one_of_many_does_becomes_theirs() -> None:
    tenant, members, group, assignment = _team(8)
    for member in members:
        tenant.use(member, START, VM)
    tenant.use(members[0], RESTART, VM)
    plan = tenant.plan(**LEAN)
    given = _given(plan, assignment)
    assert given[members[0]] == [(VM, [RESTART, START])], "the role of the job, which this member does whole"
    assert given[group] == [(VM, [START])]
    assert not any(RESTART in texts for _, texts in given[group])
    assert proposal_for(plan, assignment).proof.holds
    assert plan.replay["denied"] == 0


@pytest.mark.slow
def test_what_comes_along_with_the_work_of_one_becomes_theirs() -> None:
    """A machine may join a network anywhere below today's scope, so this member keeps the check there."""
    tenant, members, group, assignment = _team(8)
    for member in members:
        tenant.use(member, START, VM)
    tenant.use(members[0], WRITE_VM, VM)
    plan = tenant.plan(**LEAN)
    given = _given(plan, assignment)
    ((scope, texts),) = given[members[0]]
    assert scope == SUB
    assert {START, WRITE_VM, JOIN} <= set(texts)
    assert given[group] == [(APP, [START])]
    assert proposal_for(plan, assignment).proof.holds
    assert plan.replay["denied"] == 0


@pytest.mark.slow
def test_what_a_quarter_does_stays_with_the_group_when_more_do_it() -> None:
    tenant, members, group, assignment = _team(8)
    for member in members[:3]:
        tenant.use(member, START, VM)
    assert _given(tenant.plan(**LEAN), assignment) == {group: [(VM, [START])]}


@pytest.mark.slow
def test_a_small_group_is_not_split() -> None:
    tenant, members, group, assignment = _team(3)
    tenant.use(members[0], START, VM)
    assert _given(tenant.plan(**LEAN), assignment) == {group: [(VM, [START])]}


@pytest.mark.nightly
def test_a_group_stays_whole_unless_a_person_asks() -> None:
    tenant, members, group, assignment = _team(8)
    tenant.use(members[0], START, VM)
    assert set(_given(tenant.plan(**LEAN), assignment)) == {members[0]}
    whole = LEAN | {"split_groups": False}
    assert _given(tenant.plan(**whole), assignment) == {group: [(VM, [START])]}


@pytest.mark.slow
def test_what_is_risky_goes_to_the_minority_that_used_it_in_any_case() -> None:
    """The active role of the group never carries a delete of one of eight."""
    tenant, members, group, assignment = _team(8)
    for member in members:
        tenant.use(member, START, VM)
    tenant.use(members[0], DELETE_VM, VM)
    given = _given(tenant.plan(**LEAN | {"split_groups": False}), assignment)
    assert not any(DELETE_VM in texts for _, texts in given[group])
    assert any(DELETE_VM in texts for _, texts in given[members[0]])


@pytest.mark.slow
def test_what_no_log_shows_beside_the_odd_end_of_one_is_no_access_for_the_group() -> None:
    """One of eight made a key for blobs: elsewhere no log shows such keys, and only this member may have made them."""
    tenant, members, group, assignment = _team(8)
    elsewhere = tenant.assign(102, group, CONTRIBUTOR, SUB2, principal_type="Group")
    for member in members:
        tenant.use(member, START, VM)
    tenant.use(members[0], KEY, ACCOUNT)
    plan = tenant.plan(reads="none")
    granted = [texts for one in (assignment, elsewhere) for _, texts in _given(plan, one).get(group, [])]
    assert granted
    assert not any(KEY in texts for texts in granted)
    assert any(KEY in texts for _, texts in _given(plan, assignment)[members[0]])
    assert plan.replay["denied"] == 0


@pytest.mark.slow
def test_the_risky_job_of_one_of_two_is_no_access_for_the_other() -> None:
    """What this one used alone on the same type goes along: the other one has no part of that job."""
    tenant, members, group, assignment = _team(2)
    for member in members:
        tenant.use(member, JOIN, VNET)
    for operation in (WRITE_VM, DELETE_VM):
        tenant.use(members[0], operation, VM)
    given = _given(tenant.plan(**LEAN | {"split_groups": False}), assignment)
    assert not any({WRITE_VM, DELETE_VM} & set(texts) for _, texts in given[group])
    assert {WRITE_VM, DELETE_VM} <= {text for _, texts in given[members[0]] for text in texts}


@pytest.mark.slow
def test_a_young_member_speaks_against_it() -> None:
    """What the newcomer will need is known from the others only."""
    tenant, members, group, assignment = _team(8)
    newcomer = tenant.principal(9, created_on=dt.datetime.combine(DAY0 + dt.timedelta(days=60), dt.time()))
    tenant.add("group_members", group_id=group, member_id=newcomer, listing="members", member_type="User")
    tenant.add("group_closure", group_id=group, member_id=newcomer, depth=1)
    tenant.use(members[0], START, VM)
    assert set(_given(tenant.plan(**LEAN, grace_days=0), assignment)) == {group}


@pytest.mark.nightly
def test_use_by_somebody_who_is_no_member_stays_with_the_group() -> None:
    tenant, _members, group, assignment = _team(8)
    tenant.principal(30)
    tenant.use(guid(30), START, VM, role_assignment_id=assignment)
    plan = tenant.plan(**LEAN)
    assert set(_given(plan, assignment)) <= {group}


@pytest.mark.slow
def test_reads_stay_with_the_group() -> None:
    """No log shows who reads, so everybody keeps reading."""
    tenant, members, group, assignment = _team(8)
    tenant.use(members[0], START, VM)
    plan = tenant.plan(unobservable="drop")
    given = {(one.principal_id, one.role, one.scope) for one in proposal_for(plan, assignment).assignments}
    assert (group, READER, SUB) in given
    assert (group, APP) not in {(principal, scope) for principal, _, scope in given}


@pytest.mark.nightly
def test_a_members_own_assignment_is_not_given_twice() -> None:
    """A member who was given the operation directly rests on that."""
    tenant, members, _group, assignment = _team(8)
    own = tenant.assign(102, members[0], CONTRIBUTOR, DATA)
    for member in members:
        tenant.use(member, START, VM)
    tenant.use(
        members[0], RESTART, f"{DATA}/providers/Microsoft.Compute/virtualMachines/d", role_assignment_id=assignment
    )
    plan = tenant.plan(**LEAN)
    scopes = {one.scope for one in proposal_for(plan, assignment).assignments if one.principal_id == members[0]}
    assert scopes == {f"{DATA}/providers/Microsoft.Compute/virtualMachines/d"}
    assert proposal_for(plan, own).proof.holds


@pytest.mark.slow
def test_what_a_member_may_do_by_an_assignment_that_stays_is_not_given_again() -> None:
    tenant, members, group, assignment = _team(8)
    own = tenant.assign(102, members[0], CONTRIBUTOR, APP, created_on=dt.datetime.combine(DAY0, dt.time()))
    tenant.use(members[0], START, VM, role_assignment_id=assignment)
    plan = tenant.plan(**LEAN)
    assert proposal_for(plan, own).kind == "keep"
    assert {one.principal_id for one in proposal_for(plan, assignment).assignments} <= {group}
    assert proposal_for(plan, assignment).evidence["rests_on"] == [own]
    assert proposal_for(plan, assignment).proof.holds


@pytest.mark.nightly
def test_a_group_counts_for_everybody_in_it() -> None:
    """The same role exposes eight times as much to eight people; what each used counts once."""
    tenant, members, _, assignment = _team(8)
    tenant.use(members[0], START, VM)
    many = proposal_for(tenant.plan(**LEAN), assignment)
    alone = SmallTenant()
    user = alone.principal(1)
    single = alone.assign(101, user, CONTRIBUTOR, SUB)
    alone.use(user, START, VM)
    one = proposal_for(alone.plan(**LEAN), single)
    used = many.risk_before / 8 - one.risk_before
    assert used == 0
    assert many.excess_before > 7 * one.excess_before
    assert many.excess_after == 0


def _may_join(tenant: SmallTenant, group: str, principal: str) -> None:
    row = {"instance_id": "i", "state": "eligible", "access": "member"}
    tenant.add("group_schedule_instances", group_id=group, principal_id=principal, **row)


@pytest.mark.nightly
def test_use_through_an_activated_membership_stays_with_the_group_and_needs_an_activation() -> None:
    """Nobody else does anything, and without that membership the assignment would go."""
    tenant, _, group, assignment = _team(1)
    person = tenant.principal(30)
    tenant.use(person, START, VM)
    assert proposal_for(tenant.plan(**LEAN), assignment).kind == "remove"
    _may_join(tenant, group, person)
    plan = tenant.plan(**LEAN)
    assert _given(plan, assignment) == {group: [(VM, [START])]}
    assert (plan.replay["needs_activation"], plan.replay["denied"]) == (1, 0)


@pytest.mark.nightly
def test_who_has_to_activate_a_membership_is_given_nothing_that_stands() -> None:
    """What one of many does becomes theirs, but not where that would make standing of what sleeps."""
    tenant, members, group, assignment = _team(8)
    for member in members:
        tenant.use(member, START, VM)
    person = tenant.principal(30)
    _may_join(tenant, group, person)
    tenant.use(person, WRITE_VM, VM)
    plan = tenant.plan(**LEAN)
    given = _given(plan, assignment)
    assert set(given) == {group}
    assert {START, WRITE_VM} <= {text for _, texts in given[group] for text in texts}
    assert plan.replay["denied"] == 0


@pytest.mark.nightly
def test_one_role_may_grant_what_somebody_has_directly_and_through_groups() -> None:
    """What is theirs of three assignments at one place is one need, and each part of it was granted before."""
    tenant, members, _, assignment = _team(8, scope=APP)
    other = tenant.group(51, members)
    tenant.roles[guid(77)] = ("Restarts", [PermissionBlock(actions=(RESTART,))])
    tenant.roles[guid(78)] = ("Stops", [PermissionBlock(actions=(STOP, "Microsoft.Compute/disks/write"))])
    second = tenant.assign(102, other, guid(78), APP, principal_type="Group")
    own = tenant.assign(103, members[0], guid(77), APP)
    for operation, through in ((START, assignment), (STOP, second), (RESTART, own)):
        tenant.use(members[0], operation, VM, role_assignment_id=through)
    plan = tenant.plan(**LEAN)
    for one in (assignment, second, own):
        assert _given(plan, one).get(members[0]) == [(VM, [STOP, RESTART, START])]
        assert proposal_for(plan, one).proof.holds
    assert plan.replay["denied"] == 0
