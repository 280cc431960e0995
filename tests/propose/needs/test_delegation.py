"""Principals that assign roles are limited to the roles and principal types in their request bodies."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.analyze.verdicts.judge import analyse
from rightsize.analyze.verdicts.usage import DELETE, WRITE, attributes_of
from rightsize.analyze.window import choose_window
from rightsize.model.nouns import PermissionBlock
from rightsize.model.plan import Plan, Proposal
from rightsize.propose.needs.delegation import ADMINISTRATOR, WHY_UNCONSTRAINED, Delegation
from rightsize.rbac.conditions import truth_of
from tests.examples import SOME
from tests.propose.needs.test_privileged import licensed, policy
from tests.propose.small_tenant import (
    APP,
    BLOB_READER,
    CONTRIBUTOR,
    DATA,
    DAY0,
    DAYS,
    OWNER,
    READER,
    SUB,
    VM,
    SmallTenant,
    guid,
    proposal_for,
    strings,
)
from tests.propose.written_plans import Written, only

LEAN = {"reads": "none", "unobservable": "drop"}
ASSIGN, TAKE = "Microsoft.Authorization/roleAssignments/write", "Microsoft.Authorization/roleAssignments/delete"
ADMINISTRATOR_BLOCK = PermissionBlock(actions=(ASSIGN, TAKE, "*/read", "Microsoft.Support/*"))
NARROW = "00000000-0000-4000-9000-000000000001"


def _tenant(role: str = OWNER) -> tuple[SmallTenant, str, str]:
    """A service principal that may assign any role, beside an owner who is too new to be judged."""
    tenant = SmallTenant()
    tenant.roles[ADMINISTRATOR] = ("Role Based Access Control Administrator", [ADMINISTRATOR_BLOCK])
    tenant.roles[NARROW] = ("Assigner", [PermissionBlock(actions=(ASSIGN, TAKE, "Microsoft.Compute/disks/write"))])
    tenant.assign(199, tenant.principal(9), OWNER, SUB, created_on=dt.datetime(2026, 3, 30))
    deployer = tenant.principal(1, "ServicePrincipal")
    return tenant, deployer, tenant.assign(101, deployer, role, SUB)


def _asks(
    tenant: SmallTenant,
    who: str,
    number: int,
    role: str | None,
    kind: str | None,
    *,
    place: str = APP,
    operation: str = ASSIGN,
    named: bool = True,
    day: int = 20,
    **more: Any,
) -> None:
    """One call that makes or deletes an assignment, with what its bodies show."""
    scope = f"{place}/providers/{ASSIGN.rsplit('/', 1)[0]}/{guid(number)}"
    tenant.use(who, operation, scope, days=1, start=day, **({"succeeded": 1} | more))
    tenant.add(
        "role_assignment_requests",
        correlation_id=f"c{number}-{day}",
        operation=operation,
        scope=scope,
        principal_id=who,
        time=dt.datetime.combine(DAY0 + dt.timedelta(days=day), dt.time(12)),
        outcome="succeeded",
        assigned_role_id=role,
        assigned_type=kind,
        asked_type=kind if named else None,
    )


def _only(plan: Plan, assignment: str) -> Proposal:
    proposal = proposal_for(plan, assignment)
    assert proposal.proof.used_subset
    assert proposal.proof.granted_superset
    return proposal


def _said(proposal: Proposal) -> dict[str, Any]:
    (part,) = [one for one in proposal.evidence["privileged"] if "delegation" in one]
    said: dict[str, Any] = part["delegation"]
    return said


@pytest.mark.slow
def test_it_may_assign_what_it_was_seen_to_assign() -> None:
    """Azure's own role for it, at the group where it does it, under the condition that the portal would write."""
    tenant, deployer, assignment = _tenant()
    _asks(tenant, deployer, 1, READER, "User")
    _asks(tenant, deployer, 2, BLOB_READER, "ServicePrincipal")
    proposal = _only(tenant.plan(**LEAN), assignment)
    (made,) = proposal.assignments
    assert (proposal.kind, made.role, made.scope, made.state) == ("builtin", ADMINISTRATOR, APP, "active")
    asked = "Microsoft.Authorization/roleAssignments"
    assert made.condition == " AND ".join(
        f"((!(ActionMatches{{'{operation}'}})) OR "
        f"(@{source}[{asked}:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {{{BLOB_READER}}} AND "
        f"@{source}[{asked}:PrincipalType] ForAnyOfAnyValues:StringEqualsIgnoreCase {{'ServicePrincipal'}}) OR "
        f"(@{source}[{asked}:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {{{READER}}} AND "
        f"@{source}[{asked}:PrincipalType] ForAnyOfAnyValues:StringEqualsIgnoreCase {{'User'}}))"
        for operation, source in ((ASSIGN, "Request"), (TAKE, "Resource"))
    )
    assert _said(proposal)["may_assign"] == [
        {"role": BLOB_READER, "role_name": "Storage Blob Data Reader", "principal_types": ["ServicePrincipal"]},
        {"role": READER, "role_name": "Reader", "principal_types": ["User"]},
    ]


@pytest.mark.slow
def test_other_work_stays_in_a_role_of_its_own() -> None:
    tenant, deployer, assignment = _tenant()
    _asks(tenant, deployer, 1, READER, "User")
    tenant.use(deployer, "Microsoft.Compute/virtualMachines/start/action", VM)
    made = {
        (one.role == ADMINISTRATOR, one.condition is None) for one in _only(tenant.plan(**LEAN), assignment).assignments
    }
    assert made == {(True, False), (False, True)}


@pytest.mark.slow
def test_each_place_has_its_own_condition() -> None:
    tenant, deployer, assignment = _tenant()
    _asks(tenant, deployer, 1, READER, "User")
    _asks(tenant, deployer, 2, OWNER, "Group", place=DATA)
    made = {one.scope: one.condition or "" for one in _only(tenant.plan(**LEAN), assignment).assignments}
    assert OWNER not in made[APP]
    assert READER not in made[DATA]


@pytest.mark.slow
def test_what_it_takes_away_it_may_not_assign() -> None:
    """Who once deleted an owner's assignment does not get to make owners."""
    tenant, deployer, assignment = _tenant()
    _asks(tenant, deployer, 1, READER, "User")
    _asks(tenant, deployer, 2, OWNER, "Group", operation=TAKE)
    proposal = _only(tenant.plan(**LEAN), assignment)
    condition = proposal.assignments[0].condition
    assert truth_of(condition, WRITE, attributes_of(WRITE, OWNER, "Group")) is False
    assert truth_of(condition, DELETE, attributes_of(DELETE, OWNER, "Group")) is True
    assert truth_of(condition, DELETE, attributes_of(DELETE, READER, "User")) is True


@pytest.mark.slow
def test_a_delete_without_a_body_is_known_by_the_write_of_the_same_assignment() -> None:
    tenant, deployer, assignment = _tenant()
    _asks(tenant, deployer, 1, READER, "User")
    _asks(tenant, deployer, 1, None, None, operation=TAKE, day=30)
    assert _only(tenant.plan(**LEAN), assignment).assignments[0].role == ADMINISTRATOR


@pytest.mark.slow
def test_types_are_no_part_where_a_request_does_not_name_one() -> None:
    """A condition on the type refuses a request that leaves it out, whatever the assignment became."""
    tenant, deployer, assignment = _tenant()
    _asks(tenant, deployer, 1, READER, "User", named=False)
    condition = _only(tenant.plan(**LEAN), assignment).assignments[0].condition or ""
    assert "PrincipalType" not in condition
    assert truth_of(condition, WRITE, attributes_of(WRITE, READER, None)) is True


@pytest.mark.slow
@pytest.mark.parametrize("word", ["no_body", "out_of_coverage", "not_contained", "only_deletes", "own_condition"])
def test_where_not_everything_is_known_nothing_is_constrained(word: str) -> None:
    """The need is granted all the same, at its place, and the proposal says why it may assign any role."""
    tenant, deployer, assignment = _tenant(NARROW if word == "not_contained" else OWNER)
    operation = TAKE if word == "only_deletes" else ASSIGN
    _asks(tenant, deployer, 1, READER, "User", operation=operation)
    if word == "no_body":
        _asks(tenant, deployer, 2, None, "User")
    if word == "out_of_coverage":
        tenant.covered = ("/",)
    if word == "own_condition":
        tenant.rows["role_assignments"][-1] |= {"condition": "@Request[a:b] StringEquals 'c'"}
    proposal = _only(tenant.plan(**LEAN), assignment)
    if proposal.kind == "keep":
        assert word in ("out_of_coverage", "own_condition")
        return
    assert {one.condition for one in proposal.assignments} <= {None, "@Request[a:b] StringEquals 'c'"}
    if word != "only_deletes":
        assert (_said(proposal)["why_unconstrained"], _said(proposal)["meaning"]) == (word, WHY_UNCONSTRAINED[word])


@pytest.mark.slow
def test_a_request_without_its_record_constrains_nothing() -> None:
    """Two calls, one record: the other may have named any role."""
    tenant, deployer, assignment = _tenant()
    _asks(tenant, deployer, 1, READER, "User", succeeded=2)
    assert _said(_only(tenant.plan(**LEAN), assignment))["why_unconstrained"] == "no_body"


@pytest.mark.nightly
def test_quarantined_requests_teach_nothing() -> None:
    """What an intruder assigned is not what it may assign."""
    tenant, deployer, _ = _tenant()
    _asks(tenant, deployer, 1, READER, "User")
    _asks(tenant, deployer, 2, OWNER, "User", suspect=1)
    for one in tenant.plan(**LEAN).proposals:
        assert not any(OWNER in (made.condition or "") for made in one.assignments)


@pytest.mark.slow
def test_the_role_that_is_there_already_is_not_assigned_a_second_time() -> None:
    """Azure takes one assignment of a role for a principal at a scope, so the condition is advice."""
    tenant, deployer, assignment = _tenant(ADMINISTRATOR)
    tenant.rows["role_assignments"][-1] |= {"scope": APP}
    _asks(tenant, deployer, 1, READER, "User")
    proposal = _only(tenant.plan(**LEAN), assignment)
    assert {one.condition for one in proposal.assignments} <= {None}
    if proposal.assignments:
        assert READER in _said(proposal)["condition"]


@pytest.mark.nightly
def test_a_role_that_it_did_not_assign_makes_the_plan_stale() -> None:
    """The condition would refuse it, so verifying on tomorrow's log finds the call that is not covered."""
    tenant, deployer, _ = _tenant()
    _asks(tenant, deployer, 1, READER, "User")
    plan = Written.of(tenant, **LEAN)
    assert not plan.verify(tenant).changes
    _asks(tenant, deployer, 2, READER, "User", day=DAYS + 1)
    assert not plan.verify(tenant).changes
    _asks(tenant, deployer, 3, CONTRIBUTOR, "User", day=DAYS + 1)
    change = only(plan.verify(tenant))
    assert (change.what, change.change, change.operation) == ("use", "not_covered", WRITE)


@pytest.mark.slow
def test_a_person_gets_it_as_eligible_where_that_is_possible() -> None:
    tenant, _, _ = _tenant()
    person = tenant.principal(2)
    assignment = tenant.assign(102, person, OWNER, SUB)
    licensed(tenant)
    policy(tenant, OWNER, SUB)
    _asks(tenant, person, 1, READER, "User", role_assignment_id=assignment)
    plan = tenant.plan(**LEAN)
    made = [one for proposal in plan.proposals if assignment in proposal.replaces for one in proposal.assignments]
    assert [(one.role, one.state, one.condition is not None) for one in made] == [(ADMINISTRATOR, "eligible", True)]
    assert plan.replay["denied"] == 0


ROLES = [guid(number) for number in range(1, 5)]
KINDS = ["User", "Group", "ServicePrincipal"]
ALLOWED = st.dictionaries(
    st.sampled_from(ROLES), st.sets(st.sampled_from(KINDS)).map(lambda kinds: tuple(sorted(kinds))), min_size=1
).map(lambda found: tuple(sorted(found.items())))


@SOME
@given(ALLOWED, ALLOWED)
def test_the_condition_says_exactly_what_is_allowed(assigns: Any, removes: Any) -> None:
    """Read back, it holds for each role and type that is listed, for no other, and for all other operations."""
    condition = Delegation(assigns, removes, 1).condition
    for operation, allowed in ((WRITE, dict(assigns)), (DELETE, dict(removes))):
        for role in ROLES:
            for kind in KINDS:
                expected = role in allowed and (not allowed[role] or kind in allowed[role])
                assert truth_of(condition, operation, attributes_of(operation, role.upper(), kind.lower())) is expected
    assert truth_of(condition, "microsoft.compute/virtualmachines/read") is True
    assert truth_of(condition, WRITE) is None


@pytest.mark.slow
def test_requests_that_prove_nothing_leave_the_analysis_alone() -> None:
    """The verdicts rest on use alone."""
    tenant, deployer, _ = _tenant()
    _asks(tenant, deployer, 1, READER, "User")
    window = choose_window(tenant.inputs(), DAY0 + dt.timedelta(days=DAYS), DAYS)
    with_bodies = analyse(tenant.inputs(), window).verdicts
    del tenant.rows["role_assignment_requests"]
    assert analyse(tenant.inputs(), window).verdicts.equals(with_bodies)


@pytest.mark.nightly
@pytest.mark.parametrize(("at", "keeps_reader"), [(APP, False), (SUB, True)])
def test_reads_that_the_role_brings_need_no_second_role(at: str, keeps_reader: bool) -> None:
    """It reads everything at its place; what is read above it is read through Reader."""
    tenant, deployer, assignment = _tenant()
    tenant.rows["role_assignments"][1]["scope"] = at
    _asks(tenant, deployer, 1, READER, "User")
    tenant.use(deployer, "Microsoft.Compute/virtualMachines/start/action", VM)
    plan = tenant.plan(unobservable="drop")
    made = _only(plan, assignment).assignments
    roles = {(one.role, one.scope) for one in made if one.role in (READER, ADMINISTRATOR)}
    assert roles == {(ADMINISTRATOR, APP)} | ({(READER, at)} if keeps_reader else set())
    assert plan.replay["denied"] == 0
    assert not Written.of(tenant, unobservable="drop").verify(tenant).changes


@pytest.mark.slow
def test_a_role_that_has_to_be_activated_reads_nothing_before() -> None:
    tenant, _, _ = _tenant()
    person = tenant.principal(2)
    assignment = tenant.assign(102, person, OWNER, APP)
    licensed(tenant)
    policy(tenant, OWNER, APP)
    _asks(tenant, person, 1, READER, "User", role_assignment_id=assignment)
    plan = tenant.plan(unobservable="drop")
    made = [one for proposal in plan.proposals if assignment in proposal.replaces for one in proposal.assignments]
    assert {(one.role, one.state) for one in made} >= {(ADMINISTRATOR, "eligible"), (READER, "active")}


@pytest.mark.slow
def test_what_is_assigned_without_a_condition_does_not_rest_on_what_has_one() -> None:
    """The bodies that hold the one to its roles say nothing of the other, which today's grant does not hold."""
    tenant, deployer, first = _tenant()
    tenant.rows["role_assignments"][1]["scope"] = APP
    second = tenant.assign(102, deployer, NARROW, APP, principal_type="ServicePrincipal")
    _asks(tenant, deployer, 1, READER, "User", role_assignment_id=first)
    _asks(tenant, deployer, 2, READER, "User", role_assignment_id=second)
    plan = tenant.plan(**LEAN)
    assert plan.replay["denied"] == 0
    left = proposal_for(plan, second)
    granted = {text for one in left.assignments if one.condition is None for text in strings(plan, one.role)}
    assert left.kind == "keep" or ASSIGN in granted
