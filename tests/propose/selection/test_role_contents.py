"""What new roles have: the job's, add-ons of exactly those who used the same, and in each something that was used."""

from __future__ import annotations

import pytest

from rightsize.model.nouns import PermissionBlock
from rightsize.model.plan import Plan
from tests.propose.small_tenant import (
    APP,
    BLOB_READER,
    CONTRIBUTOR,
    DATA,
    SUB,
    SmallTenant,
    guid,
    proposal_for,
    strings,
)

ACCOUNT = f"{DATA}/providers/Microsoft.Storage/storageAccounts/st1"
BLOB = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write"
KEYS = "Microsoft.Storage/storageAccounts/listKeys/action"
JOB = [f"Contoso.Apps/items/step{number}/write" for number in range(6)]
OWN = [f"Contoso.Farms/items/step{number}/write" for number in range(4)]
DELETE = "Contoso.Apps/items/step0/delete"


def _plan(*needs: list[str], suspect: int = 0) -> Plan:
    """A plan for contributors, each with the use of some operations in one resource group."""
    tenant = SmallTenant()
    tenant.operations |= dict.fromkeys([*JOB, *OWN, DELETE], False)
    for number, need in enumerate(needs, start=1):
        tenant.assign(100 + number, tenant.principal(number), CONTRIBUTOR, SUB)
        for operation in need:
            tenant.use(guid(number), operation, APP)
    if suspect:
        tenant.use(guid(suspect), OWN[0], APP, succeeded=1, suspect=1)
    return tenant.plan(reads="none", unobservable="drop", roles="max")


def _contents(plan: Plan, number: int) -> set[frozenset[str]]:
    made = {role.definition.role_definition_id for role in plan.roles}
    given = proposal_for(plan, guid(100 + number)).assignments
    return {frozenset(strings(plan, one.role)) for one in given if one.role in made}


@pytest.mark.slow
def test_an_add_on_goes_to_who_used_it_and_to_nobody_else() -> None:
    """Two of five read keys: both share one role for it, and all five share the role of the job."""
    plan = _plan(JOB, JOB, JOB, [*JOB, KEYS], [*JOB, KEYS])
    assert len(plan.roles) == 2
    for number in (1, 2, 3):
        assert _contents(plan, number) == {frozenset(JOB)}
    for number in (4, 5):
        assert _contents(plan, number) == {frozenset(JOB), frozenset([KEYS])}


@pytest.mark.nightly
def test_who_used_other_risky_changes_gets_another_add_on() -> None:
    plan = _plan(JOB, JOB, JOB, [*JOB, KEYS], [*JOB, DELETE])
    assert _contents(plan, 4) == {frozenset(JOB), frozenset([KEYS])}
    assert _contents(plan, 5) == {frozenset(JOB), frozenset([DELETE])}


@pytest.mark.nightly
def test_what_a_holder_alone_did_is_one_role_of_its_own() -> None:
    plan = _plan(JOB, JOB, [*JOB, *OWN])
    assert _contents(plan, 3) == {frozenset(JOB), frozenset(OWN)}
    assert _contents(plan, 1) == {frozenset(JOB)}


@pytest.mark.nightly
def test_work_on_both_planes_is_one_role_of_the_job_for_each() -> None:
    """Contributor grants no data action, so that nobody may have both parts by one assignment."""
    tenant = SmallTenant()
    tenant.operations |= dict.fromkeys(JOB, False)
    writer = "99999999-0000-4000-8000-000000000001"
    tenant.roles[writer] = ("All of Storage", [PermissionBlock(data_actions=("Microsoft.Storage/*",))])
    for number, left_out in enumerate(JOB[:5], start=1):
        who = tenant.principal(number)
        tenant.assign(100 + number, who, CONTRIBUTOR, SUB)
        tenant.assign(200 + number, who, writer, SUB)
        for operation in JOB:
            if operation != left_out:
                tenant.use(who, operation, APP)
        tenant.use(who, BLOB, ACCOUNT)
    plan = tenant.plan(reads="none", unobservable="drop", roles="max")
    assert len(plan.roles) <= 2
    for number in range(1, 6):
        assert _contents(plan, number) >= {frozenset(JOB)}


@pytest.mark.nightly
def test_a_role_of_today_that_has_hardly_more_stays_beside_a_wider_one() -> None:
    """A copy of a built-in role without one operation would be a role that nobody wants to own."""
    tenant = SmallTenant()
    tenant.operations |= dict.fromkeys(JOB, False)
    who = tenant.principal(1)
    tenant.assign(101, who, CONTRIBUTOR, SUB)
    tenant.assign(201, who, BLOB_READER, SUB)
    for operation in JOB[:2]:
        tenant.use(who, operation, APP)
    tenant.use(who, "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read", ACCOUNT)
    plan = tenant.plan(role_worth=0)
    (role,) = plan.roles
    assert not role.definition.permissions[0].data_actions
    assert proposal_for(plan, guid(201)).kind.keeps
    assert proposal_for(plan, guid(101)).kind.changes


@pytest.mark.nightly
def test_a_new_role_has_something_that_was_used_and_nothing_of_quarantine_alone() -> None:
    plan = _plan(JOB, JOB, [*JOB, *OWN], OWN[:1], suspect=2)
    for role in plan.roles:
        assert any(one["why"] == "used" for one in role.evidence["actions"])
    plan = _plan(JOB, JOB, suspect=2)
    assert not any(OWN[0] in strings(plan, role.definition.role_definition_id) for role in plan.roles)
    waiting = proposal_for(plan, guid(102))
    assert [one.role for one in waiting.assignments] == [CONTRIBUTOR], "it waits until a person decides"
    assert "calls in quarantine wait for a decision" in waiting.reason
