"""A condition moves unchanged with the operations it decides; a grant that cannot carry one stays."""

from __future__ import annotations

import datetime as dt

import pytest

from rightsize.model.plan import Plan
from rightsize.propose.proof.proof import Claim, ProvedGrant
from tests.propose.small_tenant import (
    APP,
    BLOB_READER,
    CONTRIBUTOR,
    OWNER,
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


def test_what_the_condition_decides_nothing_of_keeps_the_assignment() -> None:
    """It speaks of assigning roles only; on a role for machines Azure would not take it."""
    tenant, user, assignment = _with(SOME_ROLES, OWNER)
    tenant.use(user, START, VM)
    assert proposal_for(tenant.plan(**LEAN), assignment).reason.startswith("idle condition")


def test_what_the_condition_decides_takes_it_along() -> None:
    tenant, user, assignment = _with(SOME_ROLES, OWNER)
    tenant.use(user, ASSIGN, f"{APP}/providers/Microsoft.Authorization/roleAssignments/x")
    plan = tenant.plan(**LEAN)
    assert _made(plan, assignment) == [(APP, SOME_ROLES)]


def test_a_part_that_the_condition_decides_nothing_of_stays_with_the_rest_in_one_role() -> None:
    """Reads at today's scope could not carry it; beside the assignment of roles they can."""
    tenant, user, assignment = _with(SOME_ROLES, OWNER)
    tenant.use(user, ASSIGN, f"{APP}/providers/Microsoft.Authorization/roleAssignments/x")
    tenant.use(user, START, VM)
    plan = tenant.plan(unobservable="drop")
    proposal = proposal_for(plan, assignment)
    assert _made(plan, assignment) == [(SUB, SOME_ROLES)]
    assert sorted(strings(plan, proposal.assignments[0].role)) == ["*/read", ASSIGN, START]
    assert "in one role at today's scope" in proposal.reason
    assert proposal.proof.used_subset
    assert proposal.proof.granted_superset
    assert proposal.excess_after < proposal.excess_before


def test_no_role_stands_under_a_condition_that_it_has_nothing_for() -> None:
    """Reader alone would be refused, though it grants a part of the need and is free."""
    tenant, user, assignment = _with(SOME_ROLES, OWNER)
    tenant.use(user, ASSIGN, f"{SUB}/providers/Microsoft.Authorization/roleAssignments/x")
    plan = tenant.plan(unobservable="drop")
    assert [condition for _, condition in _made(plan, assignment)] == [SOME_ROLES]


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


def test_one_role_at_one_place_is_not_made_under_two_conditions() -> None:
    """Azure would refuse the second, so the later assignment stays."""
    tenant, user, first = _with(NAMED)
    second = tenant.assign(102, user, OWNER, SUB, condition=OTHER)
    tenant.use(user, START, VM, role_assignment_id=first)
    tenant.use(user, START, VM, role_assignment_id=second)
    plan = tenant.plan(**LEAN)
    assert _made(plan, first) == [(VM, NAMED)]
    assert proposal_for(plan, second).reason.startswith("other condition")


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


def test_an_owner_under_a_condition_is_not_the_last_owner() -> None:
    """Who may assign only readers cannot let anybody back in, so the other one stays."""
    tenant = SmallTenant()
    bound, free = tenant.principal(1), tenant.principal(2)
    tenant.assign(101, bound, OWNER, SUB, condition=SOME_ROLES)
    second = tenant.assign(102, free, OWNER, SUB)
    tenant.use(bound, ASSIGN, f"{APP}/providers/Microsoft.Authorization/roleAssignments/x")
    tenant.use(free, START, VM, days=1)
    assert proposal_for(tenant.plan(**LEAN), second).reason.startswith("last owner")
