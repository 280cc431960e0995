"""Calls that went through access that is gone: kept by an assignment that leads on, and not by one that is suspect."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from rightsize.guard.containment_plan import Containment
from rightsize.model.nouns import PermissionBlock
from rightsize.render.plan import plan_files
from tests.guard.contained import contained, contributor
from tests.propose.small_tenant import CONTRIBUTOR, DAY0, SUB, VM, SmallTenant, guid, proposal_for, strings
from tests.propose.written_plans import Written

START, RESTART = (f"Microsoft.Compute/virtualMachines/{verb}/action" for verb in ("start", "restart"))
LATER = dt.datetime.combine(DAY0, dt.time()) + dt.timedelta(days=40)


def caller(**more: Any) -> tuple[SmallTenant, str]:
    """Somebody who started a machine on the days 10 to 12, and has an assignment that leads on."""
    tenant, who = contributor(**more)
    tenant.use(who, START, VM)
    return tenant, who


def kinds(found: Containment) -> set[str]:
    return {str(one.kind) for one in found.plan.proposals}


def kept(found: Containment) -> set[str]:
    """The operations of the new roles."""
    roles = [role.definition.role_definition_id for role in found.plan.roles]
    return {name for role in roles for name in strings(found.plan, role)}


@pytest.mark.nightly
@pytest.mark.parametrize("more", [{"created_on": LATER}, {"end_on": LATER - dt.timedelta(days=38)}])
def test_a_suspect_assignment_keeps_no_call_from_when_it_did_not_exist(more: dict[str, Any]) -> None:
    """Neither from before it was made nor from after it ended; the plan verifies, and the call is reported."""
    tenant, who = caller(**more)
    found = contained(tenant, who, suspect=[(guid(101), "active")]).found
    assert kinds(found) == {"remove"}
    assert found.forgone.select("operation", "role_assignment_id").rows() == [(START, guid(101))]
    checked = Written(dict(plan_files(found.plan))).verify(tenant.inputs())
    assert not checked.changes
    assert checked.replay["denied"] == 0


@pytest.mark.nightly
def test_what_it_allowed_while_it_existed_stays() -> None:
    tenant, who = caller(created_on=LATER)
    tenant.use(who, RESTART, VM, start=50)
    found = contained(tenant, who, suspect=[(guid(101), "active")]).found
    assert kept(found) == {RESTART}
    assert found.forgone["operation"].to_list() == [START]


@pytest.mark.nightly
def test_an_assignment_that_only_leads_on_keeps_the_use_under_its_predecessor() -> None:
    found = contained(*caller(created_on=LATER)).found
    assert kept(found) == {START}
    assert found.forgone.is_empty()


@pytest.mark.slow
def test_a_call_that_another_assignment_allows_that_stays_is_kept_by_that_one() -> None:
    """Though both are younger than the call."""
    tenant, who = caller(created_on=LATER)
    tenant.roles |= {guid(300): ("Starter", [PermissionBlock(actions=(START,))])}
    tenant.assign(102, who, guid(300), SUB, created_on=LATER)
    found = contained(tenant, who, suspect=[(guid(101), "active")]).found
    assert found.contained == ((guid(101), "active"),)
    assert kinds(found) == {"remove"}
    assert found.forgone.is_empty()


@pytest.mark.nightly
@pytest.mark.parametrize("is_suspect", [False, True])
def test_a_call_through_a_group_that_the_caller_has_left_stays_by_an_assignment_of_that_time(is_suspect: bool) -> None:
    tenant, who = caller()
    group = tenant.group(3, [guid(2)])
    tenant.assign(103, group, CONTRIBUTOR, SUB)
    tenant.use(who, RESTART, VM, role_assignment_id=guid(103))
    found = contained(tenant, who, suspect=[(guid(101), "active")] if is_suspect else []).found
    assert kept(found) == {START, RESTART}
    assert found.forgone.is_empty()


@pytest.mark.nightly
def test_a_suspect_keeps_no_role_for_being_nearly_what_it_needs() -> None:
    """An ordinary plan leaves a built-in role that has hardly more than the need; here the rest was not earned."""
    tenant, who = caller()
    tenant.roles |= {guid(300): ("Operator", [PermissionBlock(actions=(START, RESTART))])}
    tenant.assign(102, who, guid(300), SUB)
    tenant.use(who, START, VM, role_assignment_id=guid(102))
    ordinary = proposal_for(tenant.plan(reads="none", unobservable="drop", exclude=(guid(101),)), guid(102))
    assert [one.role for one in ordinary.assignments] == [guid(300)]
    found = contained(tenant, who, suspect=[(guid(101), "active"), (guid(102), "active")]).found
    assert found.contained == ((guid(101), "active"), (guid(102), "active"))
    assert found.stays == {}
    assert kept(found) == {START}
