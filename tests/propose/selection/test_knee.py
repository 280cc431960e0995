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


def test_people_with_nearly_one_job_share_a_role() -> None:
    """One operation more for each is a small share of what they hold today."""
    plan = _tenant(APPS[:11], APPS[1:]).plan(**LEAN)
    assert len(plan.roles) == 1
    assert _roles_of(plan, 1) == _roles_of(plan, 2)
    assert len(_tenant(APPS[:11], APPS[1:]).plan(roles="max", **LEAN).roles) == 2


def test_nobody_gets_a_role_for_another_job() -> None:
    """It would cost as little, but most of its strings would be foreign to one of them."""
    plan = _tenant(APPS, FARMS).plan(**LEAN)
    assert [_granted(plan, 1), _granted(plan, 2)] == [set(APPS), set(FARMS)]


@pytest.mark.parametrize(("role", "operation"), [(CONTRIBUTOR, KEYS), (OWNER, ASSIGN)])
def test_no_merge_gives_privilege_or_secrets(role: str, operation: str) -> None:
    """Without that operation the two would share a role."""
    tenant = _tenant(APPS, [*APPS, operation], role=role)
    tenant.assign(160, tenant.principal(60), OWNER, SUB)
    plan = tenant.plan(exclude=(guid(60),), **LEAN)
    assert _granted(plan, 1) == set(APPS)
    assert operation in _granted(plan, 2)


def _storage_admins(*needs: list[str], days: int = 30) -> Plan:
    """Holders that used some operations in the resource group, the keys of its accounts on many days or few."""
    tenant = _tenant(*needs)
    for number, need in enumerate(needs, start=1):
        if KEYS in need:
            tenant.use(guid(number), KEYS, APP, days=days)
    return tenant.plan(**LEAN)


def test_who_writes_a_type_may_share_a_role_with_who_reads_its_secrets_daily() -> None:
    """Deployers of the same sites share a role, though one of them alone reads the settings of the sites."""
    plan = _storage_admins([WRITE_ACCOUNT, *APPS], [WRITE_ACCOUNT, *APPS, KEYS])
    assert _roles_of(plan, 1) == _roles_of(plan, 2)
    assert KEYS in _granted(plan, 1)


@pytest.mark.parametrize(
    ("own", "days"), [([], 30), ([WRITE_ACCOUNT], 3)], ids=["writes no such type", "few days only"]
)
def test_nobody_else_gets_secrets_by_a_merge(own: list[str], days: int) -> None:
    plan = _storage_admins([*own, *APPS], [WRITE_ACCOUNT, *APPS, KEYS], days=days)
    assert KEYS not in _granted(plan, 1)
    assert KEYS in _granted(plan, 2)


def test_what_azure_checks_inside_another_write_makes_no_role_foreign() -> None:
    """Ten join actions do nothing alone, so that both holders still have one job; ten changes are another job."""
    joins = [f"Microsoft.Network/things/part{number}/join/action" for number in range(10)]
    for more, roles in ((joins, 1), (OTHERS[:10], 2)):
        tenant = _tenant(APPS, [*APPS, *more])
        tenant.operations |= dict.fromkeys(joins, False)
        assert len(tenant.plan(**LEAN).roles) == roles


def test_who_does_two_jobs_takes_the_roles_of_both() -> None:
    """No role is made for both together: it would fit one holder alone."""
    plan = _tenant(APPS, FARMS, [*APPS, *FARMS]).plan(**LEAN)
    assert len(plan.roles) == 2
    assert _roles_of(plan, 3) == _roles_of(plan, 1) | _roles_of(plan, 2)


def test_work_on_one_resource_joins_work_in_its_group() -> None:
    """A second role for one site in a group with one site saves nothing."""
    tenant = _tenant(APPS[:6])
    for operation in APPS[6:]:
        tenant.use(guid(1), operation, VM)
    plan = tenant.plan(**LEAN)
    assert {one.scope for one in proposal_for(plan, guid(101)).assignments} == {APP}
    assert _granted(plan, 1) == set(APPS)


def test_work_in_two_groups_stays_in_them() -> None:
    """The subscription would be a scope at which nothing was done."""
    tenant = _tenant(APPS[:6])
    for operation in APPS[6:]:
        tenant.use(guid(1), operation, DATA)
    plan = tenant.plan(**LEAN)
    assert {one.scope for one in proposal_for(plan, guid(101)).assignments} == {APP, DATA}


def test_a_role_of_one_action_joins_a_neighbour_that_fits_it() -> None:
    plan = _tenant(APPS[:5], APPS[5:6]).plan(**LEAN)
    assert len(plan.roles) == 1
    assert _granted(plan, 2) == set(APPS[:6])


@pytest.mark.parametrize(
    ("role", "is_taken"),
    [("9980e02c-c2be-4d73-94e8-173b1dc7cf3c", True), ("4436bae4-7702-4c84-919b-c4069ff25ee2", False)],
    ids=["a role for people", "a role for a service"],
)
def test_no_built_in_role_for_a_service_of_azure_is_taken(role: str, *, is_taken: bool) -> None:
    """It may grant exactly what is needed, and yet nobody would give the role of OpenShift to a person."""
    tenant = _tenant(APPS)
    tenant.roles[role] = ("Fits exactly", [PermissionBlock(actions=tuple(APPS))])
    plan = tenant.plan(**LEAN)
    assert (role in _roles_of(plan, 1)) == is_taken


def test_what_saves_too_little_is_not_worth_a_role_and_says_how_much() -> None:
    """Of 50 equal operations one is unused: less than two of a hundred. With ten unused, there is a role."""
    tenant = _tenant()
    tenant.roles[guid(70)] = ("Apps", [PermissionBlock(actions=(*APPS[:10], *OTHERS[:41]))])
    for number, unused in ((1, 1), (2, 11)):
        tenant.assign(100 + number, tenant.principal(number), guid(70), SUB)
        for operation in [*APPS[:10], *OTHERS[:41]][unused:]:
            tenant.use(guid(number), operation, SUB)
    plan = tenant.plan(**LEAN)
    kept = proposal_for(plan, guid(101))
    assert kept.kind == "keep"
    found = re.match(r"not worth a role: a new role would save ([\d.]+)% of .* and 2% is asked", kept.reason)
    assert found is not None
    assert float(found.group(1)) == pytest.approx(100 / 51, abs=0.01)
    assert len(_granted(plan, 2)) == 40


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
    assert proposal_for(plan, guid(101)).reason.startswith("not worth a role: a new role would save ")
    assert len(_roles_of(plan, 2)) == 2


def test_few_owners_do_not_use_up_the_bound() -> None:
    """What an Owner has today is no measure for what a narrow role of somebody else leaves."""
    owners = [APPS[:4]] * 3
    tenant = _tenant(*owners, role=OWNER)
    tenant.roles[guid(70)] = ("Farms", [PermissionBlock(actions=("Contoso.Farms/*",))])
    tenant.assign(150, tenant.principal(50), guid(70), APP)
    tenant.use(guid(50), FARMS[0], APP)
    assert _granted(tenant.plan(**LEAN), 50) == {FARMS[0]}


def test_nobody_gets_more_than_three_assignments_for_one() -> None:
    tenant = _tenant([])
    groups = [f"{SUB}/resourceGroups/group{number}" for number in range(8)]
    for number, group in enumerate(groups):
        tenant.use(guid(1), APPS[number], group)
    plan = tenant.plan(**LEAN)
    assert 0 < len(proposal_for(plan, guid(101)).assignments) <= MOST_ASSIGNMENTS
    assert plan.replay["denied"] == 0
    assert len(proposal_for(tenant.plan(roles="max", **LEAN), guid(101)).assignments) == len(groups)


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


def test_what_gives_privilege_is_granted_with_the_rest_where_a_role_of_its_own_makes_four() -> None:
    """Both stay active at one scope, so the role of its own protects nothing; nothing more is granted."""
    uses = [(one, place) for place, those in ((APP, APPS), (DATA, FARMS)) for one in (*those, ASSIGN)]
    few, many = _busy_owner(*uses, reads=False), _busy_owner(*uses, *((one, NET) for one in OTHERS), reads=False)
    for plan in (few, many):
        made = [(one.scope, one.state) for one in proposal_for(plan, guid(101)).assignments]
        assert len(made) <= MOST_ASSIGNMENTS
        assert plan.replay["denied"] == 0
    assert {DATA, APP, NET} == {one.scope for one in proposal_for(many, guid(101)).assignments}


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
    shared = {one.role for one in proposal_for(both, guid(102)).assignments}
    assert shared < {one.role for one in proposal_for(both, guid(101)).assignments}
    assert len(shared) == 1, "who shares a role with reads in it gets no other assignment for reads"


def test_a_narrower_assignment_of_what_a_wider_one_grants_is_not_made() -> None:
    """The use out of coverage stays at the subscription; the same operation at the group needs nothing more."""
    tenant = _tenant(APPS[:6])
    tenant.use(guid(1), APPS[6], SUB)
    plan = tenant.plan(**LEAN)
    scopes = [one.scope for one in proposal_for(plan, guid(101)).assignments]
    assert len(scopes) == len(set(scopes)) <= 2


def _busy() -> SmallTenant:
    return _tenant(APPS[:11], APPS[1:], FARMS, FARMS[1:])


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


def test_an_adopted_role_leaves_where_nobody_needs_it() -> None:
    before = _busy().plan(**LEAN)
    previous = tuple(role.definition for role in before.roles)
    after = _tenant(APPS[:11], APPS[1:]).plan(previous=previous, **LEAN)
    assert len(after.roles) == 1
    assert _granted(after, 1) == set(APPS)


def test_the_same_plan_names_the_same_roles_again() -> None:
    before = _busy().plan(**LEAN)
    after = _busy().plan(previous=tuple(role.definition for role in before.roles), **LEAN)
    assert [role.definition for role in after.roles] == [role.definition for role in before.roles]


def test_the_whole_curve_is_kept_and_its_bounds_hold() -> None:
    """The more roles, the less excess; and a proof for some number of roles holds for fewer."""
    plan = _busy().plan(**LEAN)
    numbers = [point["custom_roles"] for point in plan.curve]
    assert numbers == list(range(numbers[0], -1, -1))
    assert numbers[0] >= 4
    assert len(plan.roles) in numbers
    bounds = [point["lower_bound"] for point in plan.curve]
    assert bounds == sorted(bounds)
    assert all(point["lower_bound"] <= point["excess"] for point in plan.curve)


def test_a_number_of_roles_is_a_limit() -> None:
    assert len(_busy().plan(roles=1, **LEAN).roles) <= 1
    assert PlanOptions(roles="3").as_json()["roles"] == 3


@pytest.mark.parametrize("value", ["few", "-1", -1, "1.5"])
def test_what_is_no_number_of_roles_is_refused(value: str | int) -> None:
    with pytest.raises(UsageError, match="is not a number of roles"):
        PlanOptions(roles=value)
