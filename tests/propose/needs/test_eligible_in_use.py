"""Eligible access in use is narrowed to the operations of its activations, and stays eligible."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from rightsize.model.nouns import PermissionBlock
from rightsize.model.plan import Plan, Proposal
from tests.propose.needs.test_privileged import policy
from tests.propose.small_tenant import (
    APP,
    CONTRIBUTOR,
    DATA,
    DAY0,
    OWNER,
    READER,
    SUB,
    VM,
    SmallTenant,
    guid,
    proposal_for,
    strings,
)
from tests.propose.written_plans import Written

LEAN = {"reads": "none", "unobservable": "drop"}
START = "Microsoft.Compute/virtualMachines/start/action"
RESTART = "Microsoft.Compute/virtualMachines/restart/action"


def _tenant(*, role: str = CONTRIBUTOR, known: bool = True, **more: Any) -> tuple[SmallTenant, str, str]:
    """A person with one eligible assignment at a subscription, and what activating it asks for."""
    tenant = SmallTenant()
    tenant.operations = {name: flag for name, flag in tenant.operations.items() if "/join/" not in name}
    person = tenant.principal(1)
    assignment = tenant.assign(101, person, role, SUB, state="eligible", **more)
    if known:
        policy(tenant, role, SUB)
    return tenant, person, assignment


def _of(plan: Plan, assignment: str) -> Proposal:
    proposal = proposal_for(plan, assignment, "eligible")
    assert proposal.proof.used_subset
    assert proposal.proof.granted_superset
    assert plan.replay["denied"] == 0
    return proposal


def _made(proposal: Proposal) -> list[tuple[str, str]]:
    return sorted((one.scope, one.state) for one in proposal.assignments)


@pytest.mark.slow
def test_what_was_done_in_activations_stays_eligible_where_it_was_done() -> None:
    """The group, since nobody is made eligible at a machine in the portal; and the rules of today's role go along."""
    tenant, person, assignment = _tenant()
    tenant.use(person, START, VM)
    plan = tenant.plan(**LEAN)
    proposal = _of(plan, assignment)
    assert (proposal.kind, _made(proposal)) == ("custom", [(APP, "eligible")])
    assert strings(plan, proposal.assignments[0].role) == [START]
    assert plan.replay["needs_activation"] == 1
    activation = proposal.evidence["activation"]
    assert (activation["maximum_activation"], activation["requires_mfa"], activation["of_role"]) == (
        "PT4H",
        True,
        CONTRIBUTOR,
    )
    assert proposal.excess_after < proposal.excess_before


@pytest.mark.slow
def test_reads_that_no_log_shows_stay_eligible_where_they_are() -> None:
    tenant, person, assignment = _tenant()
    tenant.use(person, START, VM)
    proposal = _of(tenant.plan(unobservable="drop"), assignment)
    assert _made(proposal) == [(SUB, "eligible"), (APP, "eligible")]
    assert READER in {one.role for one in proposal.assignments}


@pytest.mark.slow
def test_without_the_rules_of_activation_it_stays() -> None:
    """Somebody could activate the new role without the approval that today's asks for."""
    tenant, person, assignment = _tenant(known=False)
    tenant.use(person, START, VM)
    assert _of(tenant.plan(**LEAN), assignment).reason.startswith("activation rules unknown")


@pytest.mark.slow
@pytest.mark.parametrize("gap", ["no_use", "no_log"])
def test_what_may_have_been_missed_stays_whole(gap: str) -> None:
    tenant, person, assignment = _tenant()
    if gap != "no_use":
        tenant.use(person, START, VM)
    else:
        tenant.add(
            "schedule_requests",
            request_id="r",
            plane="control",
            asks_for="assignment",
            request_type="selfactivate",
            status="provisioned",
            principal_id=person,
            role_definition_id=CONTRIBUTOR,
            scope=SUB,
            start_on=dt.datetime.combine(DAY0 + dt.timedelta(days=30), dt.time(9)),
            end_on=dt.datetime.combine(DAY0 + dt.timedelta(days=30), dt.time(13)),
        )
    if gap == "no_log":
        tenant.covered = ("/",)
    assert _of(tenant.plan(**LEAN), assignment).kind == "keep"


@pytest.mark.slow
def test_standing_access_serves_what_it_grants_anyway() -> None:
    """Nothing becomes standing: what rests on the standing role needs no activation today either."""
    tenant, person, assignment = _tenant()
    tenant.roles[guid(700)] = ("Starter", [PermissionBlock(actions=(START,))])
    standing = tenant.assign(102, person, guid(700), APP, created_on=dt.datetime(2026, 3, 30))
    tenant.use(person, START, VM, role_assignment_id=assignment)
    tenant.use(
        person, "Microsoft.Storage/storageAccounts/write", f"{DATA}/providers/Microsoft.Storage/storageAccounts/s"
    )
    plan = tenant.plan(**LEAN)
    proposal = _of(plan, assignment)
    assert {one.state for one in proposal.assignments} == {"eligible"}
    assert {one.scope for one in proposal.assignments} == {DATA}
    assert proposal.evidence["rests_on"] == [standing]
    assert proposal_for(plan, standing).kind == "keep"


@pytest.mark.slow
def test_a_group_stays_the_holder() -> None:
    """What one member did is asked for by the group: everybody in it was eligible, and nobody gets an own."""
    tenant, _, _ = _tenant(role=READER)
    members = [tenant.principal(number) for number in (11, 12, 13)]
    group = tenant.group(20, members)
    assignment = tenant.assign(103, group, CONTRIBUTOR, SUB, state="eligible", principal_type="Group")
    policy(tenant, CONTRIBUTOR, SUB, 901)
    tenant.use(members[0], START, VM)
    proposal = _of(tenant.plan(**LEAN), assignment)
    assert {one.principal_id for one in proposal.assignments} == {group}
    assert {one.state for one in proposal.assignments} == {"eligible"}


@pytest.mark.nightly
def test_a_running_activation_does_not_hide_what_the_eligibility_loses() -> None:
    """It ends; the replay asks for what stays afterwards, and the plan is verified likewise."""
    tenant, person, assignment = _tenant()
    started = dt.datetime.combine(DAY0 + dt.timedelta(days=89), dt.time(9))
    for state, more in (("activated", {"eligibility_id": assignment, "start_on": started}), ("active", {})):
        tenant.assign(150, person, CONTRIBUTOR, SUB, state=state, created_on=started, **more)
    tenant.use(person, START, VM)
    tenant.use(person, RESTART, VM, days=1, start=89, role_assignment_id=guid(150))
    plan = tenant.plan(roles="max", **LEAN)
    proposal = _of(plan, assignment)
    assert sorted(strings(plan, proposal.assignments[0].role)) == [RESTART, START]
    assert plan.replay == {"allowed": 0, "denied": 0, "needs_activation": 2}
    assert not Written.of(tenant, roles="max", **LEAN).verify(tenant).changes
    tenant.use(person, "Microsoft.Compute/disks/write", f"{APP}/providers/Microsoft.Compute/disks/d", days=1, start=91)
    assert [change.what for change in Written.of(tenant, roles="max", **LEAN).verify(tenant).changes] == ["use"]


@pytest.mark.nightly
def test_an_eligible_owner_stays_where_nobody_else_is_owner() -> None:
    """Beside a permanent Owner it is narrowed like any other eligible access."""
    tenant, person, assignment = _tenant(role=OWNER)
    tenant.use(person, START, VM)
    assert _of(tenant.plan(**LEAN), assignment).reason.startswith("last owner")
    tenant.assign(102, tenant.principal(2), OWNER, SUB)
    assert _of(tenant.plan(**LEAN), assignment).kind == "custom"
