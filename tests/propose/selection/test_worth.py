"""A new role is made where it is worth one: few roles, no privilege for them, and the same roles the day after."""

from __future__ import annotations

import re

import pytest

from rightsize.model.errors import UsageError
from rightsize.model.nouns import PermissionBlock
from rightsize.model.plan import Plan
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.selection.fewer_scopes import MOST_ASSIGNMENTS
from tests.propose.small_tenant import (
    APP,
    CONTRIBUTOR,
    DATA,
    NET,
    OWNER,
    READER,
    SUB,
    VM,
    SmallTenant,
    guid,
    proposal_for,
    strings,
)

LEAN = {"reads": "none", "unobservable": "drop"}
KEYS = "Microsoft.Storage/storageAccounts/listKeys/action"
WRITE_ACCOUNT = "Microsoft.Storage/storageAccounts/write"
ASSIGN = "Microsoft.Authorization/roleAssignments/write"
DELETE = "Microsoft.Authorization/roleAssignments/delete"
APPS, FARMS = (
    [f"Contoso.{name}/items/step{number}/write" for number in range(size)]
    for name, size in (("Apps", 12), ("Farms", 9))
)
OTHERS = [f"Contoso.Other/items/step{number}/write" for number in range(500)]


def _tenant(*needs: list[str], role: str = CONTRIBUTOR) -> SmallTenant:
    """Holders of a broad role, each with the use of some operations in one resource group."""
    tenant = SmallTenant()
    tenant.operations |= dict.fromkeys([*APPS, *FARMS, *OTHERS], False)
    for number, need in enumerate(needs, start=1):
        tenant.assign(100 + number, tenant.principal(number), role, SUB)
        for operation in need:
            tenant.use(guid(number), operation, APP)
    return tenant


def _roles_of(plan: Plan, number: int) -> set[str]:
    return {one.role for one in proposal_for(plan, guid(100 + number)).assignments}


def _granted(plan: Plan, number: int) -> set[str]:
    return {text for role in _roles_of(plan, number) for text in strings(plan, role)}


@pytest.mark.nightly
def test_people_with_nearly_one_job_share_a_role() -> None:
    """An ordinary change that one of them made on a type of the job belongs to the job, for any number of roles."""
    for roles in ("auto", "max"):
        plan = _tenant(APPS[:11], APPS[1:]).plan(roles=roles, **LEAN)
        assert len(plan.roles) == 1
        assert _roles_of(plan, 1) == _roles_of(plan, 2)
        assert _granted(plan, 1) == set(APPS)


@pytest.mark.nightly
def test_nobody_gets_a_role_for_another_job() -> None:
    """It would cost as little, but all of its strings would be foreign to one of them."""
    plan = _tenant(APPS, FARMS).plan(**LEAN)
    assert [_granted(plan, 1), _granted(plan, 2)] == [set(APPS), set(FARMS)]


@pytest.mark.nightly
@pytest.mark.parametrize(("role", "operation"), [(CONTRIBUTOR, KEYS), (OWNER, ASSIGN)])
def test_privilege_and_secrets_are_no_part_of_a_shared_role(role: str, operation: str) -> None:
    """One holder used it, and gets it beside the role that both share."""
    tenant = _tenant(APPS, [*APPS, operation], role=role)
    tenant.assign(160, tenant.principal(60), OWNER, SUB)
    plan = tenant.plan(exclude=(guid(60),), **LEAN)
    assert _granted(plan, 1) == set(APPS)
    assert operation in _granted(plan, 2)


@pytest.mark.nightly
def test_who_does_two_jobs_takes_the_roles_of_both() -> None:
    """No role is made for both together: it would fit one holder alone."""
    plan = _tenant(APPS, FARMS, [*APPS, *FARMS]).plan(**LEAN)
    assert len(plan.roles) == 2
    assert _roles_of(plan, 3) == _roles_of(plan, 1) | _roles_of(plan, 2)


@pytest.mark.nightly
def test_work_on_one_resource_joins_work_in_its_group() -> None:
    """A second role for one site in a group with one site saves nothing."""
    tenant = _tenant(APPS[:6])
    for operation in APPS[6:]:
        tenant.use(guid(1), operation, VM)
    plan = tenant.plan(**LEAN)
    assert {one.scope for one in proposal_for(plan, guid(101)).assignments} == {APP}
    assert _granted(plan, 1) == set(APPS)


@pytest.mark.nightly
def test_work_in_two_groups_stays_in_them() -> None:
    """The subscription would be a scope at which nothing was done."""
    tenant = _tenant(APPS[:6])
    for operation in APPS[6:]:
        tenant.use(guid(1), operation, DATA)
    plan = tenant.plan(**LEAN)
    assert {one.scope for one in proposal_for(plan, guid(101)).assignments} == {APP, DATA}


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("name", "is_taken"), [("Fits exactly", True), ("Azure Red Hat OpenShift Machine API Operator", False)]
)
def test_no_built_in_role_for_a_service_of_azure_is_taken(name: str, *, is_taken: bool) -> None:
    """It may grant exactly what is needed, and yet nobody would give the role of OpenShift to a person."""
    tenant = _tenant(APPS)
    role = "4436bae4-7702-4c84-919b-c4069ff25ee2"
    tenant.roles[role] = (name, [PermissionBlock(actions=tuple(APPS))])
    plan = tenant.plan(**LEAN)
    assert (role in _roles_of(plan, 1)) == is_taken


@pytest.mark.nightly
def test_what_saves_too_little_is_not_worth_a_role_and_says_how_much() -> None:
    """Of 50 equal operations one is unused: less than two of a hundred. With ten unused, there is a role."""
    tenant = _tenant()
    for number, unused in ((1, 1), (2, 11)):
        wide = OTHERS[100 * number : 100 * number + 51]
        tenant.roles[guid(70 + number)] = (f"Custom {number}", [PermissionBlock(actions=tuple(wide))])
        tenant.custom_roles.add(guid(70 + number))
        tenant.assign(100 + number, tenant.principal(number), guid(70 + number), SUB)
        for operation in wide[unused:]:
            tenant.use(guid(number), operation, SUB)
    plan = tenant.plan(**LEAN)
    kept = proposal_for(plan, guid(101))
    assert kept.kind == "keep"
    found = re.match(
        r"not worth a role: a new role would save ([\d.]+)% of .* and 12 of live excess; it has to save 2% and 0$",
        kept.reason,
    )
    assert found is not None
    assert float(found.group(1)) == pytest.approx(100 / 51, abs=0.01)
    assert len(_granted(plan, 2)) == 40


@pytest.mark.nightly
def test_a_small_share_is_not_worth_a_role_however_much_live_excess_it_is() -> None:
    """Beside a smaller role that is worth its place, too: the order in which roles are judged decides nothing."""
    tenant = _tenant()
    for number, wide in ((1, OTHERS), (2, APPS)):
        tenant.roles[guid(70 + number)] = (f"Custom {number}", [PermissionBlock(actions=tuple(wide))])
        tenant.custom_roles.add(guid(70 + number))
    tenant.assign(101, tenant.principal(1), guid(71), SUB)
    tenant.assign(102, tenant.principal(2), guid(72), SUB)
    for operation in OTHERS[9:]:
        tenant.use(guid(1), operation, SUB)
    for operation in APPS[6:]:
        tenant.use(guid(2), operation, SUB)
    plan = tenant.plan(role_worth=10, **LEAN)
    kept = proposal_for(plan, guid(101))
    assert kept.kind == "keep"
    assert kept.reason.startswith("not worth a role: a new role would save 1.80% of the access that its holder has")
    assert _granted(plan, 2) == set(APPS[6:])


@pytest.mark.nightly
def test_parts_that_keep_nearly_everything_together_are_not_worth_their_roles() -> None:
    """What gives privilege has a role of its own; both roles together are today's role without one operation."""
    tenant = _tenant()
    wide = [*APPS, *OTHERS[:80], ASSIGN]
    tenant.roles[guid(70)] = ("Apps", [PermissionBlock(actions=tuple(wide))])
    for number, unused in ((1, 1), (2, 20)):
        tenant.assign(100 + number, tenant.principal(number), guid(70), SUB)
        for operation in wide[unused:]:
            tenant.use(guid(number), operation, SUB)
    plan = tenant.plan(**LEAN)
    assert proposal_for(plan, guid(101)).kind == "keep"
    assert proposal_for(plan, guid(101)).reason.startswith("not worth a role: new roles would save ")
    assert len(_roles_of(plan, 2)) == 2


@pytest.mark.nightly
def test_nobody_gets_more_than_three_assignments_for_one() -> None:
    tenant = _tenant([])
    groups = [f"{SUB}/resourceGroups/group{number}" for number in range(8)]
    for number, group in enumerate(groups):
        tenant.use(guid(1), APPS[number], group)
    for roles in ("auto", "max"):
        plan = tenant.plan(roles=roles, **LEAN)
        assert 0 < len(proposal_for(plan, guid(101)).assignments) <= MOST_ASSIGNMENTS
        assert _granted(plan, 1) == set(APPS[: len(groups)])
        assert plan.replay["denied"] == 0


def _busy_owner(*uses: tuple[str, str], reads: bool, owners: int = 1) -> Plan:
    """An owner with some use, and others with the same use at the subscription alone."""
    tenant = _tenant(*([] for _ in range(owners)), role=OWNER)
    tenant.assign(160, tenant.principal(60), OWNER, SUB)
    for number in range(1, owners + 1):
        for operation, place in uses:
            if number == 1 or place == SUB:
                tenant.use(guid(number), operation, place)
    options = LEAN | {"reads": "all"} if reads else LEAN
    return tenant.plan(exclude=(guid(60),), **options)


@pytest.mark.nightly
def test_what_gives_privilege_is_granted_with_the_rest_where_a_role_of_its_own_makes_four() -> None:
    """Both stay active at one scope, so the role of its own protects nothing; nothing more is granted."""
    uses = [(one, place) for place, those in ((APP, APPS), (DATA, FARMS)) for one in (*those, ASSIGN)]
    few, many = _busy_owner(*uses, reads=False), _busy_owner(*uses, *((one, NET) for one in OTHERS), reads=False)
    for plan in (few, many):
        made = [(one.scope, one.state) for one in proposal_for(plan, guid(101)).assignments]
        assert len(made) <= MOST_ASSIGNMENTS
        assert plan.replay["denied"] == 0
    gathered = {one.scope: strings(many, one.role) for one in proposal_for(many, guid(101)).assignments}
    assert gathered.keys() == {SUB, APP, DATA}
    assert ASSIGN not in gathered[SUB], "what gives privilege does not gather at a wider scope"
    assert ASSIGN in gathered[APP] and ASSIGN in gathered[DATA]


@pytest.mark.nightly
def test_reads_go_into_the_new_role_where_an_assignment_for_them_makes_four() -> None:
    """Two scopes of privilege stay apart; work and reads at the subscription take one role together."""
    uses = [(DELETE, DATA), (ASSIGN, APP), *((one, SUB) for one in APPS)]
    plan = _busy_owner(*uses, reads=True)
    made = proposal_for(plan, guid(101)).assignments
    assert sorted(one.scope for one in made) == sorted([SUB, APP, DATA])
    assert {"*/read", *APPS} <= {text for one in made if one.scope == SUB for text in strings(plan, one.role)}
    apart = proposal_for(_busy_owner(*uses[1:], reads=True), guid(101)).assignments
    assert READER in {one.role for one in apart}
    both = _busy_owner(*uses, reads=True, owners=2)
    reading, working = sorted(_roles_of(both, 2), key=lambda role: role != READER)
    assert reading == READER
    assert set(strings(both, working)) == set(APPS), "who needs two assignments only keeps reads apart from the work"


@pytest.mark.nightly
def test_a_narrower_assignment_of_what_a_wider_one_grants_is_not_made() -> None:
    """The use out of coverage stays at the subscription; the same operation at the group needs nothing more."""
    tenant = _tenant(APPS[:6])
    tenant.use(guid(1), APPS[6], SUB)
    plan = tenant.plan(**LEAN)
    scopes = [one.scope for one in proposal_for(plan, guid(101)).assignments]
    assert len(scopes) == len(set(scopes)) <= 2


def _busy() -> SmallTenant:
    return _tenant(APPS[:11], APPS[1:], FARMS, FARMS[1:])


@pytest.mark.nightly
def test_one_new_owner_does_not_make_other_roles_come_and_go() -> None:
    """With the earlier plan named: without it, the roles may be put together in another way."""
    before = _busy().plan(**LEAN)
    previous = tuple(role.definition for role in before.roles)
    tenant = _busy()
    tenant.assign(150, tenant.principal(50), OWNER, SUB)
    for operation in (*APPS[:7], *FARMS[:6]):
        tenant.use(guid(50), operation, APP)
    after = tenant.plan(previous=previous, **LEAN)
    for number in range(1, 5):
        assert _roles_of(after, number) == _roles_of(before, number)
    assert after.generated_from["options"]["previous"]
    assert "previous" not in before.generated_from["options"]


@pytest.mark.nightly
def test_an_adopted_role_leaves_where_nobody_needs_it() -> None:
    before = _busy().plan(**LEAN)
    previous = tuple(role.definition for role in before.roles)
    after = _tenant(APPS[:11], APPS[1:]).plan(previous=previous, **LEAN)
    assert len(after.roles) == 1
    assert _granted(after, 1) == set(APPS)


@pytest.mark.nightly
def test_the_same_plan_names_the_same_roles_again() -> None:
    before = _busy().plan(**LEAN)
    after = _busy().plan(previous=tuple(role.definition for role in before.roles), **LEAN)
    assert [role.definition for role in after.roles] == [role.definition for role in before.roles]


@pytest.mark.slow
def test_the_whole_curve_is_kept() -> None:
    """More roles never leave more excess."""
    plan = _busy().plan(**LEAN)
    numbers = [point["custom_roles"] for point in plan.curve]
    assert numbers == list(range(numbers[0], -1, -1))
    assert len(plan.roles) in numbers
    excess = [point["excess"] for point in plan.curve]
    assert excess == sorted(excess)


@pytest.mark.nightly
def test_a_number_of_roles_keeps_those_that_save_most() -> None:
    tenant = _tenant(APPS, APPS, FARMS)
    (role,) = tenant.plan(roles=1, **LEAN).roles
    assert set(role.definition.permissions[0].actions) == set(APPS)
    removed = [sum(one.excess_after for one in tenant.plan(roles=number, **LEAN).proposals) for number in range(4)]
    assert removed == sorted(removed, reverse=True)


@pytest.mark.nightly
def test_a_role_has_to_be_worth_owning() -> None:
    """All its holders count together; an adopted role leaves where its worth has halved, and not before."""
    tenant = _tenant(APPS, APPS)
    plan = tenant.plan(**LEAN)
    saved = int(plan.curve[-1]["excess"] - plan.curve[0]["excess"])
    assert len(tenant.plan(role_worth=saved, **LEAN).roles) == 1
    assert tenant.plan(role_worth=saved + 1, **LEAN).roles == ()
    previous = tuple(role.definition for role in plan.roles)
    assert len(tenant.plan(role_worth=2 * saved, previous=previous, **LEAN).roles) == 1
    assert tenant.plan(role_worth=2 * saved + 2, previous=previous, **LEAN).roles == ()
    assert len(tenant.plan(role_worth=saved + 1, roles="max", **LEAN).roles) == 1


@pytest.mark.slow
def test_an_add_on_comes_with_the_role_of_its_job() -> None:
    """It saves too little for itself, and keeps the keys apart from those who never read them."""
    plan = _tenant([WRITE_ACCOUNT, *APPS], [WRITE_ACCOUNT, *APPS], [WRITE_ACCOUNT, *APPS, KEYS]).plan(
        role_worth=200, **LEAN
    )
    assert len(plan.roles) == 2
    assert [KEYS in _granted(plan, number) for number in (1, 2, 3)] == [False, False, True]
    assert PlanOptions(roles="3").as_json()["roles"] == 3


@pytest.mark.parametrize("value", ["few", "-1", -1, "1.5"])
def test_what_is_no_number_of_roles_is_refused(value: str | int) -> None:
    with pytest.raises(UsageError, match="is not a number of roles"):
        PlanOptions(roles=value)
