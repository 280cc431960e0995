"""Who holds eligible access only is contained: by the plan, or by requests where activation rules are not loaded."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from tests.guard.contained import contained
from tests.propose.needs.test_privileged import policy
from tests.propose.small_tenant import CONTRIBUTOR, OWNER, SUB, VM, SmallTenant, guid

WRITE = "Microsoft.Compute/virtualMachines/write"
ENDS = dt.datetime(2026, 4, 1, 8)
ADMIN = "62e90394-69f5-4237-9190-012177145e10"


def holder(*, running: bool = False, **more: Any) -> tuple[SmallTenant, str]:
    """A person who uses an eligible Contributor, beside an Owner."""
    tenant = SmallTenant()
    who, other = tenant.principal(1), tenant.principal(2)
    tenant.assign(200, other, OWNER, SUB)
    tenant.assign(101, who, CONTRIBUTOR, SUB, state="eligible", **more)
    if running:
        since = dt.datetime(2026, 3, 31, 23)
        tenant.assign(
            102, who, CONTRIBUTOR, SUB, state="activated", eligibility_id=guid(101), start_on=since, end_on=ENDS
        )
        # Azure lists a running activation a second time.
        tenant.assign(102, who, CONTRIBUTOR, SUB, created_on=since)
    tenant.use(who, WRITE, VM)
    return tenant, who


def bodies(option: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    assert option.undo is not None
    return option.request["body"]["properties"], option.undo["body"]["properties"]


@pytest.mark.nightly
@pytest.mark.parametrize("running", [False, True])
def test_where_no_activation_rules_are_loaded_requests_end_the_eligibility_and_the_activation(running: bool) -> None:
    """The activation first, back to its own end; both stay in the plan, and nothing else is asked of Azure."""
    result = contained(*holder(running=running))
    assert result.found.plan.proposals == ()
    asked = {one.name: one for one in result.options if one.request["path"].startswith(SUB)}
    assert list(asked) == ["end_activation", "end_eligibility"][0 if running else 1 :]
    taken, given = bodies(asked["end_eligibility"])
    assert (taken["requestType"], given["requestType"]) == ("AdminRemove", "AdminAssign")
    assert given["scheduleInfo"]["expiration"] == {"type": "NoExpiration"}
    assert given["principalId"] == guid(1)
    assert given["roleDefinitionId"].endswith(CONTRIBUTOR)
    assert "/roleEligibilityScheduleRequests/" in asked["end_eligibility"].request["path"]
    assert asked["end_eligibility"].request["path"].endswith("?api-version=2020-10-01")
    assert asked["end_eligibility"].request["path"] != asked["end_eligibility"].undo["path"], "a name is taken once"
    if running:
        _, given = bodies(asked["end_activation"])
        assert given["scheduleInfo"]["expiration"] == {"type": "AfterDateTime", "endDateTime": "2026-04-01T08:00:00Z"}
    assert result.found.places[guid(101), "eligible"] == ("Contributor", SUB)
    counts = result.reach.counts
    assert counts["after"]["cells"] > counts["while_tokens_last"]["cells"]


@pytest.mark.nightly
def test_the_way_back_has_the_condition_and_the_end_of_the_eligibility() -> None:
    """Else the undo would give more than there was."""
    condition = "@Resource[x] StringEquals 'a'"
    tenant, who = holder(end_on=ENDS, condition=condition, condition_version="2.0")
    (option,) = [one for one in contained(tenant, who).options if one.name == "end_eligibility"]
    _, given = bodies(option)
    assert (given["condition"], given["conditionVersion"]) == (condition, "2.0")
    assert given["scheduleInfo"]["expiration"]["endDateTime"] == "2026-04-01T08:00:00Z"


@pytest.mark.nightly
def test_where_the_rules_are_loaded_the_plan_narrows_and_a_request_ends_what_runs() -> None:
    """The eligibility has no request, since the plan replaces it."""
    tenant, who = holder(running=True)
    policy(tenant, CONTRIBUTOR, SUB)
    result = contained(tenant, who)
    assert [(one.assignment, one.assignments[0].state) for one in result.found.plan.proposals] == [
        ((guid(101), "eligible"), "eligible")
    ]
    assert [one.name for one in result.options if one.request["path"].startswith(SUB)] == ["end_activation"]


def governed(state: str, access: str = "member", **more: Any) -> tuple[SmallTenant, str]:
    """A person whose membership of a group under PIM is eligible or activated; the group is Contributor."""
    tenant = SmallTenant()
    who = tenant.principal(1)
    group = tenant.group(50, [who] if state == "activated" else [])
    tenant.assign(101, group, CONTRIBUTOR, SUB, principal_type="Group")
    tenant.add("group_schedule_instances", instance_id="i", state=state, principal_id=who, group_id=group,
               access=access, member_type="direct", **more)  # fmt: skip
    return tenant, who


@pytest.mark.nightly
@pytest.mark.parametrize("access", ["member", "owner"])
def test_an_eligible_membership_of_a_group_that_has_a_role_ends_by_request(access: str) -> None:
    """Nothing else shows that its holder can have the role."""
    result = contained(*governed("eligible", access))
    (option,) = [one for one in result.options if one.name == "end_eligibility"]
    assert option.request["path"] == "/identityGovernance/privilegedAccess/group/eligibilityScheduleRequests"
    assert (option.request["body"]["action"], option.request["body"]["accessId"]) == ("adminRemove", access)
    assert option.undo is not None
    assert option.undo["body"]["scheduleInfo"]["expiration"] == {"type": "noExpiration"}
    assert result.reach.counts["today"]["cells"] > 0
    assert result.reach.counts["while_tokens_last"]["cells"] == 0


@pytest.mark.slow
def test_an_activated_membership_ends_and_never_comes_back_as_a_permanent_one() -> None:
    """Leaving the group by the directory would have a permanent membership as its way back."""
    result = contained(*governed("activated", end_on=ENDS))
    assert "leave_group" not in {one.name for one in result.options}
    (option,) = [one for one in result.options if one.name == "end_activation"]
    assert option.undo is not None
    assert option.undo["body"]["scheduleInfo"]["expiration"]["endDateTime"] == "2026-04-01T08:00:00Z"


@pytest.mark.slow
def test_an_activated_directory_role_comes_back_until_its_end_only() -> None:
    """The plain listing has the activation a second time, as a permanent assignment; it is not asked for twice."""
    tenant = SmallTenant()
    who = tenant.principal(1)
    about = {"principal_id": who, "directory_role_id": ADMIN, "scope": "/"}
    held = [
        about | {"role_assignment_id": "a", "state": "activated", "end_on": ENDS, "member_type": "Direct"},
        about | {"role_assignment_id": "b", "state": "active"},
        about | {"role_assignment_id": "c", "state": "eligible", "member_type": "Direct"},
    ]
    asked = [
        one for one in contained(tenant, who, directory_role_assignments=held).options
        if one.name == "remove_directory_role"
    ]  # fmt: skip
    undone = {one.text.split(" for ")[0]: one.undo["body"]["scheduleInfo"]["expiration"] for one in asked if one.undo}
    assert undone == {
        "ends the running activation": {"type": "afterDateTime", "endDateTime": "2026-04-01T08:00:00Z"},
        "ends the eligibility": {"type": "noExpiration"},
    }
