"""A condition moves unchanged with the operations it decides; a grant that cannot carry one stays."""

from __future__ import annotations

import datetime as dt

import pytest

from rightsize.model.plan import Plan
from rightsize.propose.proof import Claim, ProvedGrant
from tests.propose.small_tenant import (
    APP,
    BLOB_READER,
    CONTRIBUTOR,
    OWNER,
    READER,
    SUB,
    VM,
    SmallTenant,
    proposal_for,
    strings,
)

LEAN = {"reads": "none", "unobservable": "drop"}
ASSIGN = "Microsoft.Authorization/roleAssignments/write"
START = "Microsoft.Compute/virtualMachines/start/action"
SOME_ROLES = (
    f"((!(ActionMatches{{'{ASSIGN}'}})) OR (@Request[Microsoft.Authorization/roleAssignments:RoleDefinitionId] "
    "ForAnyOfAnyValues:GuidEquals {acdd72a7-3385-48ef-bd42-f606fba81ae7}))"
)
_ROLE = "Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAllValues:GuidNotEquals {" + OWNER + "}"
PORTAL = (
    f"((!(ActionMatches{{'{ASSIGN}'}})) OR (@Request[{_ROLE})) AND "
    f"((!(ActionMatches{{'Microsoft.Authorization/roleAssignments/delete'}})) OR (@Resource[{_ROLE}))"
)
"""The condition that the portal writes for an Owner who may assign all roles but the privileged ones."""
SOME_READS = SOME_ROLES.replace(f"'{ASSIGN}'", f"'{ASSIGN}', 'Microsoft.Unheard/of/read'")
NAMED = "@Resource[name] StringEquals 'x'"
OTHER = "@Resource[name] StringEquals 'y'"


def _made(plan: Plan, assignment: str) -> list[tuple[str, str | None]]:
    return [(one.scope, one.condition) for one in proposal_for(plan, assignment).assignments]


def _with(condition: str | None, role: str = CONTRIBUTOR) -> tuple[SmallTenant, str, str]:
    """A user with one conditional assignment, beside an owner who is too new to be judged."""
    tenant = SmallTenant()
    user = tenant.principal(1)
    tenant.assign(199, tenant.principal(9), OWNER, SUB, created_on=dt.datetime(2026, 3, 30))
    return tenant, user, tenant.assign(101, user, role, SUB, condition=condition, condition_version="2.0")


@pytest.mark.slow
def test_a_narrower_role_carries_the_condition() -> None:
    tenant, user, assignment = _with(NAMED)
    tenant.use(user, START, VM)
    plan = tenant.plan(**LEAN)
    proposal = proposal_for(plan, assignment)
    assert proposal.kind == "custom"
    assert _made(plan, assignment) == [(VM, NAMED)]
    assert strings(plan, proposal.assignments[0].role) == [START]
    assert proposal.proof.used_subset
    assert proposal.proof.granted_superset


@pytest.mark.nightly
@pytest.mark.parametrize("condition", [SOME_ROLES, PORTAL])
def test_what_the_condition_never_restricts_is_granted_without_it(condition: str) -> None:
    """It speaks of assigning roles only, so that its holder starts machines unconditionally today."""
    tenant, user, assignment = _with(condition, OWNER)
    tenant.use(user, START, VM)
    plan = tenant.plan(**LEAN)
    proposal = proposal_for(plan, assignment)
    assert _made(plan, assignment) == [(VM, None)]
    assert strings(plan, proposal.assignments[0].role) == [START]
    assert proposal.proof.used_subset
    assert proposal.proof.granted_superset


@pytest.mark.slow
def test_an_idle_owner_under_a_condition_ends_as_reader() -> None:
    """As an Owner without one does."""
    tenant, _, assignment = _with(PORTAL, OWNER)
    (made,) = proposal_for(tenant.plan(), assignment).assignments
    assert (made.role, made.scope, made.condition) == (READER, SUB, None)


@pytest.mark.slow
def test_what_a_condition_may_restrict_keeps_the_assignment_where_azure_would_not_take_it() -> None:
    """Its reads in patterns meet an action of the condition that no operation of the catalogue has."""
    tenant, user, assignment = _with(SOME_READS, OWNER)
    tenant.use(user, START, VM)
    assert proposal_for(tenant.plan(unobservable="drop"), assignment).reason.startswith("idle condition")


@pytest.mark.slow
def test_what_the_condition_decides_takes_it_along() -> None:
    tenant, user, assignment = _with(SOME_ROLES, OWNER)
    tenant.use(user, ASSIGN, f"{APP}/providers/Microsoft.Authorization/roleAssignments/x")
    plan = tenant.plan(**LEAN)
    assert _made(plan, assignment) == [(APP, SOME_ROLES)]


@pytest.mark.slow
def test_the_rest_stands_beside_what_the_condition_restricts() -> None:
    """Each where it was used, and only the assignment of roles under the condition."""
    tenant, user, assignment = _with(SOME_ROLES, OWNER)
    tenant.use(user, ASSIGN, f"{APP}/providers/Microsoft.Authorization/roleAssignments/x")
    tenant.use(user, START, VM)
    plan = tenant.plan(unobservable="drop")
    proposal = proposal_for(plan, assignment)
    found = {(one.scope, one.condition): strings(plan, one.role) for one in proposal.assignments if one.role != READER}
    assert found == {(APP, None): [START], (APP, SOME_ROLES): [ASSIGN]}
    assert [(one.scope, one.condition) for one in proposal.assignments if one.role == READER] == [(SUB, None)]
    assert proposal.proof.used_subset
    assert proposal.proof.granted_superset


@pytest.mark.slow
def test_a_part_that_cannot_carry_the_condition_alone_stays_with_the_rest_in_one_role() -> None:
    """Reads at today's scope could not carry it; beside the assignment of roles they can."""
    tenant, user, assignment = _with(SOME_READS, OWNER)
    tenant.use(user, ASSIGN, f"{APP}/providers/Microsoft.Authorization/roleAssignments/x")
    tenant.use(user, START, VM)
    plan = tenant.plan(unobservable="drop")
    proposal = proposal_for(plan, assignment)
    assert _made(plan, assignment) == [(SUB, SOME_READS)]
    assert sorted(strings(plan, proposal.assignments[0].role)) == ["*/read", ASSIGN, START]
    assert "one role at today's scope" in proposal.reason
    assert proposal.proof.used_subset
    assert proposal.proof.granted_superset
    assert proposal.excess_after < proposal.excess_before


@pytest.mark.slow
def test_no_role_stands_under_a_condition_that_it_has_nothing_for() -> None:
    """Reader under it would be refused; its holder has it without the condition."""
    tenant, user, assignment = _with(SOME_ROLES, OWNER)
    tenant.use(user, ASSIGN, f"{SUB}/providers/Microsoft.Authorization/roleAssignments/x")
    proposal = proposal_for(tenant.plan(unobservable="drop"), assignment)
    assert {one.condition for one in proposal.assignments if one.role == READER} == {None}
    assert {one.condition for one in proposal.assignments if one.role != READER} == {SOME_ROLES}


@pytest.mark.slow
def test_no_role_without_the_condition_grants_what_it_restricts() -> None:
    """Owner is wider than what the condition leaves free, so that work beside it gets other roles."""
    tenant, user, assignment = _with(SOME_ROLES, OWNER)
    tenant.use(user, START, VM)
    tenant.use(user, ASSIGN, f"{SUB}/providers/Microsoft.Authorization/roleAssignments/x")
    plan = tenant.plan(unobservable="keep")
    made = proposal_for(plan, assignment).assignments
    reading, working = sorted((one.role for one in made if one.condition is None), key=lambda role: role != READER)
    assert reading == READER
    assert START in strings(plan, working)
    assert ASSIGN not in strings(plan, working)
    assert [strings(plan, one.role) for one in made if one.condition is not None] == [[ASSIGN]]


@pytest.mark.nightly
def test_needs_under_different_conditions_are_not_mixed() -> None:
    """Each part of the work stays under the condition that it was allowed under."""
    tenant, user, first = _with(NAMED)
    second = tenant.assign(102, user, BLOB_READER, SUB, condition=OTHER)
    tenant.use(user, START, VM, role_assignment_id=first)
    blob = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read"
    tenant.use(user, blob, f"{APP}/providers/Microsoft.Storage/storageAccounts/st", role_assignment_id=second)
    plan = tenant.plan(**LEAN)
    made = {
        one.condition: one.role for assignment in (first, second) for one in proposal_for(plan, assignment).assignments
    }
    assert NAMED in made
    assert len(set(made.values())) == len(made)


@pytest.mark.slow
def test_one_role_at_one_place_is_not_made_under_two_conditions() -> None:
    """Azure would refuse the second, so the later assignment stays."""
    tenant, user, first = _with(NAMED)
    second = tenant.assign(102, user, OWNER, SUB, condition=OTHER)
    tenant.use(user, START, VM, role_assignment_id=first)
    tenant.use(user, START, VM, role_assignment_id=second)
    plan = tenant.plan(**LEAN)
    assert _made(plan, first) == [(VM, NAMED)]
    assert proposal_for(plan, second).reason.startswith("other condition")


@pytest.mark.nightly
@pytest.mark.parametrize("there", [None, OTHER])
def test_what_exists_under_another_condition_is_not_made_again(there: str | None) -> None:
    tenant, user, assignment = _with(NAMED)
    tenant.use(user, START, VM)
    plan = tenant.plan(**LEAN)
    role = plan.roles[0].definition
    tenant.roles[role.role_definition_id] = ("Starter", list(role.permissions))
    tenant.custom_roles.add(role.role_definition_id)
    tenant.assign(102, user, role.role_definition_id, VM, condition=there)
    again = tenant.plan(**LEAN)
    for one in again.proposals:
        assert not [made for made in one.assignments if (made.role, made.scope) == (role.role_definition_id, VM)]
    assert proposal_for(again, assignment).kind in ("keep", "remove", "remove_duplicate")


def test_use_without_a_condition_is_not_covered_under_one() -> None:
    """The proof counts only what asks for no more than what is replaced."""
    from tests.propose.proof.test_proof_and_replay import proved  # noqa: PLC0415

    given, held = ProvedGrant("start", APP.lower(), condition=NAMED), (ProvedGrant("wide", SUB.lower()),)
    assert proved(Claim("c", (given,), (), held))[0] is False
    assert proved(Claim("c", (given,), (), held, frozenset([None, NAMED])))[0] is True


@pytest.mark.nightly
def test_an_owner_under_a_condition_is_not_the_last_owner() -> None:
    """Who may assign only readers cannot let anybody back in, so the other one stays."""
    tenant = SmallTenant()
    bound, free = tenant.principal(1), tenant.principal(2)
    tenant.assign(101, bound, OWNER, SUB, condition=SOME_ROLES)
    second = tenant.assign(102, free, OWNER, SUB)
    tenant.use(bound, ASSIGN, f"{APP}/providers/Microsoft.Authorization/roleAssignments/x")
    tenant.use(free, START, VM, days=1)
    assert proposal_for(tenant.plan(**LEAN), second).reason.startswith("last owner")
