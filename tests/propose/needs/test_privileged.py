"""Privileged operations, and rare reads of secrets, get a role of their own, eligible where possible."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from rightsize.model.errors import UsageError
from rightsize.model.nouns import PermissionBlock
from rightsize.model.plan import Plan, Proposal
from rightsize.propose.assembly.assemble import proposal_id
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.needs.holders import WHY_ACTIVE
from tests.propose.small_tenant import (
    APP,
    BLOB_READER,
    CONTRIBUTOR,
    DATA,
    MG,
    OWNER,
    READER,
    SUB,
    SUB2,
    VM,
    SmallTenant,
    as_text,
    guid,
    strings,
)

ASSIGN = "Microsoft.Authorization/roleAssignments/write"
UNASSIGN = "Microsoft.Authorization/roleAssignments/delete"
KEYS = "Microsoft.Storage/storageAccounts/listKeys/action"
START = "Microsoft.Compute/virtualMachines/start/action"
VMS = "Microsoft.Compute/virtualMachines/write"
ACCOUNT = f"{DATA}/providers/Microsoft.Storage/storageAccounts/logs"
UAA = "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9"


def policy(tenant: SmallTenant, role: str, scope: str, number: int = 900, **said: Any) -> None:
    row = {
        "policy_id": guid(number),
        "scope": scope,
        "role_definition_id": role,
        "maximum_activation": "PT4H",
        "requires_mfa": True,
        "requires_justification": False,
        "requires_ticket": False,
        "requires_approval": True,
        "approver_ids": [guid(77)],
        "rules": "[]",
    }
    tenant.add("role_management_policies", **(row | said))


def licensed(tenant: SmallTenant) -> None:
    """Let the export show an eligible assignment of somebody else."""
    other = tenant.principal(800)
    tenant.assign(801, other, READER, SUB2, state="eligible")


def owner(
    *, kind: str = "User", scope: str = SUB, licence: bool = True, known: bool = True, object_type: str | None = None
) -> tuple[SmallTenant, str, str]:
    """A tenant with one Owner whose holder assigns roles in a resource group, beside the one who stays."""
    tenant = SmallTenant()
    holder = tenant.principal(1, kind, object_type=object_type)
    stays = tenant.principal(2)
    kept = tenant.assign(12, stays, OWNER, SUB)
    tenant.use(stays, START, VM, days=60)
    assignment = tenant.assign(11, holder, OWNER, scope, principal_type=kind)
    if licence:
        licensed(tenant)
    if known:
        policy(tenant, OWNER, scope)
    assert kept
    return tenant, holder, assignment


def parts(plan: Plan, assignment: str) -> dict[str, Proposal]:
    """The proposals that speak of an assignment, by their kind."""
    return {one.kind: one for one in plan.proposals if one.replaces == (assignment,)}


def planned(tenant: SmallTenant, **options: Any) -> Plan:
    return tenant.plan(**({"unobservable": "drop", "reads": "none"} | options))


@pytest.mark.slow
def test_what_gives_privilege_becomes_eligible_beside_the_daily_work() -> None:
    """Two proposals replace the assignment together, and the replay counts the activation."""
    tenant, holder, assignment = owner()
    tenant.use(holder, ASSIGN, APP, days=40)
    tenant.use(holder, START, VM, days=40)
    plan = planned(tenant, exclude=(guid(2),))
    found = parts(plan, assignment)
    assert set(found) == {"custom", "make_eligible"}
    (eligible,) = found["make_eligible"].assignments
    assert (eligible.state, eligible.scope, eligible.principal_id) == ("eligible", APP, holder)
    assert strings(plan, eligible.role) == [ASSIGN]
    assert {one.state for one in found["custom"].assignments} == {"active"}
    assert all(ASSIGN not in strings(plan, one.role) for one in found["custom"].assignments)
    assert found["make_eligible"].id == proposal_id(assignment, "active", "eligible")
    assert found["custom"].id == proposal_id(assignment, "active")
    assert plan.replay["needs_activation"] == 1
    assert plan.replay["denied"] == 0


@pytest.mark.slow
def test_the_proposal_says_what_activating_has_to_ask_for() -> None:
    """The settings of today's role at today's scope, to be set on the new role's policy before anybody uses it."""
    tenant, holder, assignment = owner()
    tenant.use(holder, ASSIGN, APP, days=40)
    evidence = parts(planned(tenant, exclude=(guid(2),)), assignment)["make_eligible"].evidence
    settings = evidence["activation"]
    assert settings["maximum_activation"] == "PT4H"
    assert (settings["requires_approval"], settings["approver_ids"]) == (True, [guid(77)])
    assert (settings["requires_mfa"], settings["requires_ticket"]) == (True, False)
    assert (settings["policy_id"], settings["of_role"]) == (guid(900), OWNER)
    (part,) = evidence["privileged"]
    assert (part["state"], part["operation_names"]) == ("eligible", [ASSIGN])
    assert "why_active" not in part


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"kind": "ServicePrincipal"}, "workload_holder"),
        ({"kind": "ManagedIdentity"}, "workload_holder"),
        ({"object_type": "agentUser"}, "agent_holder"),
        ({"licence": False}, "no_licence"),
        ({"known": False}, "policy_unknown"),
    ],
)
def test_what_cannot_become_eligible_stays_active_in_a_role_of_its_own(changed: dict[str, Any], word: str) -> None:
    """And the proposal says why."""
    tenant, holder, assignment = owner(**changed)
    tenant.use(holder, ASSIGN, APP, days=40)
    tenant.use(holder, START, VM, days=40)
    plan = planned(tenant, exclude=(guid(2),))
    found = parts(plan, assignment)
    assert set(found) == {"custom"}
    assert {one.state for one in found["custom"].assignments} == {"active"}
    contents = sorted((strings(plan, one.role) for one in found["custom"].assignments), key=len)
    assert [ASSIGN] in contents
    assert all(ASSIGN not in content for content in contents if content != [ASSIGN])
    (part,) = found["custom"].evidence["privileged"]
    assert (part["why_active"], part["meaning"]) == (word, WHY_ACTIVE[word])
    assert "activation" not in found["custom"].evidence
    assert plan.replay["needs_activation"] == 0


@pytest.mark.slow
def test_a_policy_of_another_role_or_scope_is_none() -> None:
    """Settings are per role and scope, and those of a scope above do not come down."""
    tenant, holder, assignment = owner(known=False)
    policy(tenant, CONTRIBUTOR, SUB, 901)
    policy(tenant, OWNER, MG, 902)
    policy(tenant, OWNER, SUB, 903, rules=None)
    tenant.use(holder, ASSIGN, APP, days=40)
    found = parts(planned(tenant, exclude=(guid(2),)), assignment)
    assert found["custom"].evidence["privileged"][0]["why_active"] == "policy_unknown"


def _group_owner(members: list[str], tenant: SmallTenant, **more: Any) -> str:
    group = tenant.group(3, members, **more)
    tenant.assign(12, tenant.principal(2), OWNER, SUB)
    policy(tenant, OWNER, SUB)
    licensed(tenant)
    return tenant.assign(11, group, OWNER, SUB, principal_type="Group")


@pytest.mark.slow
def test_a_group_of_people_becomes_eligible_as_a_whole() -> None:
    """Its membership stays; the group is eligible."""
    tenant = SmallTenant()
    people = [tenant.principal(number) for number in (21, 22)]
    assignment = _group_owner(people, tenant)
    for one in people:
        tenant.use(one, ASSIGN, APP, days=40)
    plan = planned(tenant, exclude=(guid(2),))
    found = parts(plan, assignment)
    assert found["make_eligible"].assignments[0].principal_id == guid(3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ServicePrincipal", "ManagedIdentity", None])
def test_a_group_with_a_workload_or_a_stranger_in_it_keeps_such_a_need_active(kind: str | None) -> None:
    """A workload cannot activate anything; what is not known may be one."""
    tenant = SmallTenant()
    person = tenant.principal(21)
    member = tenant.principal(22, kind or "Unknown")
    assignment = _group_owner([person, member], tenant)
    for row in tenant.rows["group_members"]:
        row["member_type"] = None
    for one in (person, member):
        tenant.use(one, ASSIGN, APP, days=40)
    found = parts(planned(tenant, exclude=(guid(2),)), assignment)
    assert "make_eligible" not in found
    assert found["custom"].evidence["privileged"][0]["why_active"] == "workload_member"


@pytest.mark.slow
@pytest.mark.parametrize(("days", "is_split"), [(3, True), (4, False)])
def test_secret_reads_are_split_off_where_they_were_used_on_few_days(days: int, is_split: bool) -> None:
    """At most one day in thirty of the window: three of ninety."""
    tenant, holder, assignment = owner()
    tenant.use(holder, KEYS, ACCOUNT, days=days)
    tenant.use(holder, START, VM, days=40)
    found = parts(planned(tenant, exclude=(guid(2),)), assignment)
    assert ("make_eligible" in found) is is_split


@pytest.mark.slow
def test_at_a_resource_what_can_sleep_sleeps_at_its_group() -> None:
    """Eligible access at a resource cannot be had in the portal, and today's grant reaches the whole group."""
    tenant, holder, assignment = owner()
    tenant.use(holder, KEYS, ACCOUNT)
    (eligible,) = parts(planned(tenant, exclude=(guid(2),)), assignment)["make_eligible"].assignments
    assert (eligible.scope, eligible.state) == (DATA, "eligible")


@pytest.mark.nightly
def test_a_grant_at_a_resource_stays_there_and_active() -> None:
    """Nothing is granted above it today."""
    tenant = SmallTenant()
    holder = tenant.principal(1)
    assignment = tenant.assign(11, holder, CONTRIBUTOR, ACCOUNT)
    licensed(tenant)
    policy(tenant, CONTRIBUTOR, ACCOUNT)
    tenant.use(holder, KEYS, ACCOUNT)
    found = parts(planned(tenant), assignment)
    assert found["custom"].evidence["privileged"][0]["why_active"] == "resource_scope"


@pytest.mark.slow
@pytest.mark.parametrize("operation", [VMS, "Microsoft.Resources/deployments/write", START])
def test_a_developers_daily_work_is_not_split(operation: str) -> None:
    """Deployments and machines run code, and are flagged by reach instead."""
    tenant, holder, assignment = owner()
    tenant.use(holder, operation, APP, days=2)
    found = parts(planned(tenant, exclude=(guid(2),)), assignment)
    assert set(found) == {"custom"}
    assert "privileged" not in found["custom"].evidence


@pytest.mark.nightly
@pytest.mark.parametrize("actions", [(ASSIGN, KEYS, START), (ASSIGN, "Microsoft.Compute/virtualMachines/read")])
def test_privilege_that_no_log_could_show_waits_in_todays_role(actions: tuple[str, ...]) -> None:
    """Nothing becomes eligible, and no new role has it, until a log decides."""
    tenant, _, _ = owner()
    tenant.covered = (MG, "/")
    tenant.roles[UAA] = ("Mixed", [PermissionBlock(actions=actions)])
    other = tenant.principal(5)
    mixed = tenant.assign(15, other, UAA, SUB)
    policy(tenant, UAA, SUB, 905)
    tenant.use(other, START, VM)
    for options in ({}, {"reads": "all", "unobservable": "keep"}):
        plan = planned(tenant, exclude=(guid(1), guid(2)), **options)
        found = parts(plan, mixed)
        assert set(found) == {"keep"}
        assert found["keep"].reason.startswith("waits: ")
        assert not any(ASSIGN in block.actions for role in plan.roles for block in role.definition.permissions)


@pytest.mark.slow
def test_where_the_whole_need_gives_privilege_today_s_role_sleeps_where_it_stands() -> None:
    """Nothing is split: the same role at the same scope, eligible."""
    tenant = SmallTenant()
    tenant.roles[UAA] = ("Access only", [PermissionBlock(actions=(ASSIGN, UNASSIGN))])
    holder = tenant.principal(1)
    assignment = tenant.assign(11, holder, UAA, SUB)
    licensed(tenant)
    policy(tenant, UAA, SUB)
    tenant.use(holder, ASSIGN, SUB, days=40)
    tenant.use(holder, UNASSIGN, SUB, days=40)
    found = parts(planned(tenant), assignment)
    assert set(found) == {"make_eligible"}
    (eligible,) = found["make_eligible"].assignments
    assert (eligible.role, eligible.scope, eligible.state) == (UAA, SUB, "eligible")


@pytest.mark.slow
def test_the_last_owner_is_kept_whole() -> None:
    """A split never weakens what is left alone: an owner that can do nothing before it is activated is none."""
    tenant = SmallTenant()
    holder = tenant.principal(1)
    assignment = tenant.assign(11, holder, OWNER, SUB)
    licensed(tenant)
    policy(tenant, OWNER, SUB)
    tenant.use(holder, ASSIGN, APP, days=40)
    found = parts(planned(tenant), assignment)
    assert set(found) == {"keep"}
    assert found["keep"].reason.startswith("last owner")


@pytest.mark.nightly
def test_somebody_who_is_eligible_already_needs_no_second_eligibility() -> None:
    """The standing access goes, and what it was for rests on the eligible assignment."""
    tenant, holder, assignment = owner()
    sleeping = tenant.assign(16, holder, OWNER, SUB, state="eligible")
    tenant.use(holder, ASSIGN, APP, days=40)
    tenant.use(holder, START, VM, days=40)
    plan = planned(tenant, exclude=(guid(2),))
    (found,) = [one for one in plan.proposals if one.replaces == (assignment,)]
    assert {one.state for one in found.assignments} == {"active"}
    assert sleeping in found.evidence["rests_on"]
    assert plan.replay["denied"] == 0


@pytest.mark.slow
def test_standing_access_never_rests_on_what_has_to_be_activated() -> None:
    """The daily work of somebody who is eligible for more stays standing."""
    tenant, holder, assignment = owner()
    tenant.assign(16, holder, OWNER, SUB, state="eligible")
    tenant.use(holder, START, VM, days=40)
    plan = planned(tenant, exclude=(guid(2),))
    (found,) = [one for one in plan.proposals if one.replaces == (assignment,)]
    assert {one.state for one in found.assignments} == {"active"}
    assert [START] in [strings(plan, one.role) for one in found.assignments]
    assert plan.replay["needs_activation"] == 0


@pytest.mark.nightly
def test_the_plan_is_the_same_whatever_the_order_of_rows() -> None:
    """Policies, members and assignments come in any order."""
    texts = []
    for seed in range(3):
        tenant, holder, _ = owner()
        tenant.use(holder, ASSIGN, APP, days=40)
        tenant.use(holder, KEYS, ACCOUNT)
        tenant.assign(17, tenant.principal(7), BLOB_READER, DATA)
        policy(tenant, CONTRIBUTOR, SUB, 901)
        for rows in tenant.rows.values():
            random.Random(seed).shuffle(rows)  # noqa: S311  an order, no secret
        texts.append(as_text(planned(tenant, exclude=(guid(2),))))
    assert len(set(texts)) == 1


@pytest.mark.slow
def test_evidence_is_json() -> None:
    tenant, holder, _ = owner()
    tenant.use(holder, ASSIGN, APP, days=40)
    for proposal in planned(tenant, exclude=(guid(2),)).proposals:
        json.dumps(proposal.evidence, default=str)


@pytest.mark.nightly
def test_access_used_a_few_hours_a_month_becomes_eligible_where_the_option_says_so() -> None:
    """The reads of the role stay standing, the changes become eligible, and the proposal says for how long."""
    tenant, holder, assignment = owner()
    tenant.use(holder, START, VM, days=3)
    by_default = parts(planned(tenant, exclude=(guid(2),)), assignment)
    assert set(by_default) == {"custom"}
    found = parts(planned(tenant, exclude=(guid(2),), standing_hours=8), assignment)
    assert set(found) == {"make_eligible"}
    (eligible,) = found["make_eligible"].assignments
    assert eligible.state == "eligible"
    assert found["make_eligible"].evidence["seldom"]["activation"].startswith("PT")


@pytest.mark.nightly
@pytest.mark.parametrize("changed", [{"kind": "ServicePrincipal"}, {"licence": False}, {"known": False}])
def test_what_cannot_sleep_is_not_split_for_working_seldom(changed: dict[str, Any]) -> None:
    """A role of its own that stands would be no help to anybody."""
    tenant, holder, assignment = owner(**changed)
    tenant.use(holder, START, VM, days=3)
    plan = planned(tenant, exclude=(guid(2),), standing_hours=8)
    assert plan.proposals == planned(tenant, exclude=(guid(2),)).proposals
    assert set(parts(plan, assignment)) == {"custom"}


@pytest.mark.parametrize("hours", [-1, 745])
def test_hours_that_no_month_has_are_refused(hours: float) -> None:
    with pytest.raises(UsageError, match="standing-hours"):
        PlanOptions(standing_hours=hours)
