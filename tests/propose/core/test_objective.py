"""Excess, roles, assignments and change: in sequence or as one sum; with the proven bound and the curve."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.model.errors import UsageError
from rightsize.model.plan import Plan
from rightsize.propose.core.objective import Cost, Weights, gap, rank, read_weights
from tests.examples import FEWEST
from tests.propose.small_tenant import APP, CONTRIBUTOR, SUB, VM_CONTRIBUTOR, SmallTenant

LEAN = {"reads": "none", "unobservable": "drop"}
WRITES = (
    "Microsoft.Compute/virtualMachines/start/action",
    "Microsoft.Compute/virtualMachines/restart/action",
    "Microsoft.Compute/virtualMachines/write",
    "Microsoft.Compute/disks/write",
)
MACHINE = f"{APP}/providers/Microsoft.Compute/virtualMachines/vm1"


def _tenant(needs: list[set[int]]) -> SmallTenant:
    """A contributor for each need, who used these operations."""
    tenant = SmallTenant()
    for number, need in enumerate(needs):
        user = tenant.principal(number + 1)
        tenant.assign(101 + number, user, CONTRIBUTOR, SUB)
        for operation in sorted(need):
            tenant.use(user, WRITES[operation], MACHINE)
    return tenant


def _value(plan: Plan) -> Cost:
    return Cost(**plan.optimum["roles"]["value"])


THREE = [{0}, {1}, {0, 1}]


def test_without_weights_excess_decides_first_and_roles_second() -> None:
    """Two roles serve three needs without excess, at the price of one assignment more."""
    plan = _tenant(THREE).plan(roles="max", **LEAN)
    assert _value(plan) == Cost(excess=0, roles=2, assignments=4, change=4)
    assert plan.optimum["roles"]["gap"] == {"excess": 0.0, "roles": 0.0, "assignments": 0.0, "change": 0.0} or (
        plan.optimum["roles"]["lower_bound"]["assignments"] <= 4
    )


def test_fewer_roles_cost_excess() -> None:
    plan = _tenant(THREE).plan(roles=1, **LEAN)
    assert len(plan.roles) == 1
    assert _value(plan).excess > 0
    assert all(one.proof.used_subset and one.proof.granted_superset for one in plan.proposals)


def test_with_no_new_role_the_narrowest_existing_one_is_taken() -> None:
    plan = _tenant(THREE).plan(roles=0, **LEAN)
    assert plan.roles == ()
    assert {made.role for one in plan.proposals for made in one.assignments} == {VM_CONTRIBUTOR}
    assert {one.kind for one in plan.proposals} == {"builtin"}


def test_with_no_new_role_and_none_that_is_narrower_todays_stay() -> None:
    tenant = _tenant(THREE)
    tenant.roles = {CONTRIBUTOR: tenant.roles[CONTRIBUTOR]}
    plan = tenant.plan(roles=0, **LEAN)
    assert {one.kind for one in plan.proposals} == {"narrow_scope"}
    assert {made.role for one in plan.proposals for made in one.assignments} == {CONTRIBUTOR}


def test_weights_on_assignments_set_needs_apart() -> None:
    """Three roles, one for each need, save the assignment that sharing costs."""
    plan = _tenant(THREE).plan(weights=Weights(excess=1_000, roles=1, assignments=100), **LEAN)
    assert _value(plan) == Cost(excess=0, roles=3, assignments=3, change=3)


def test_weights_on_roles_join_needs() -> None:
    plan = _tenant(THREE).plan(weights=Weights(excess=0.001, roles=100), **LEAN)
    assert len(plan.roles) < 2


def test_the_weighted_sum_has_its_bound() -> None:
    plan = _tenant(THREE).plan(weights=Weights(excess=1, roles=2, assignments=3, change=4), **LEAN)
    weighted = plan.optimum["roles"]["weighted"]
    assert weighted["lower_bound"] <= weighted["value"]
    assert 0 <= weighted["gap"] <= 1


@FEWEST  # each of several plans
@given(st.lists(st.sets(st.integers(0, 3), min_size=1), min_size=2, max_size=5))
def test_the_curve_holds_for_every_number_of_roles(needs: list[set[int]]) -> None:
    """What the curve promises the option gives, and what it proves no plan goes below."""
    tenant = _tenant(needs)
    whole = tenant.plan(**LEAN)
    roles = [point["custom_roles"] for point in whole.curve]
    excess = [point["excess"] for point in whole.curve]
    assert roles == sorted(set(roles), reverse=True)
    assert excess == sorted(excess)
    assert whole.curve[-1]["custom_roles"] == 0
    for point in whole.curve:
        assert point["lower_bound"] <= point["excess"]
        plan = tenant.plan(roles=point["custom_roles"], **LEAN)
        assert len(plan.roles) <= point["custom_roles"]
        if point["custom_roles"]:
            assert _value(plan).excess == point["excess"]


def test_weights_are_read_from_a_list() -> None:
    assert read_weights("excess=1, roles=500") == Weights(excess=1, roles=500)
    assert Weights(1, 2, 3, 4).weigh(Cost(1, 10, 100, 1000)) == 4321


@pytest.mark.parametrize("text", ["", "excess", "excess=", "excess=-1", "cost=1", "roles=1,roles=2", "roles=inf"])
def test_what_is_no_list_of_weights_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a list of weights"):
        read_weights(text)


def test_costs_are_compared_in_their_order() -> None:
    assert rank(Cost(0, 9, 9, 9), None) < rank(Cost(1, 0, 0, 0), None)
    assert rank(Cost(1, 0, 0, 0), Weights(excess=1)) > rank(Cost(0, 9, 9, 9), Weights(excess=1))


def test_a_gap_is_a_share_of_what_was_found() -> None:
    assert gap({"excess": 8, "roles": 0}, {"excess": 6, "roles": 0}) == {"excess": 0.25, "roles": 0.0}
