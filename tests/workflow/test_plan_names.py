"""Proposals are named by unique beginnings of their ids, and the effort of a step has its chance once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rightsize.model.errors import UsageError
from rightsize.model.plan import Plan
from rightsize.propose.assembly.next_steps import rank_steps
from rightsize.render.next_steps import describe_effort
from rightsize.workflow.names import proposals_called
from tests.propose.small_tenant import CONTRIBUTOR, SUB, VM, SmallTenant


@pytest.fixture(scope="module")
def plan() -> Plan:
    tenant = SmallTenant()
    for number in (1, 2, 3):
        user = tenant.principal(number)
        tenant.assign(100 + number, user, CONTRIBUTOR, SUB)
        tenant.use(user, "Microsoft.Compute/virtualMachines/write", VM)
    made = tenant.plan()
    ids = ("0ab1f00d", "0ab1e00d", "0ab1f00d-1")
    return replace(made, proposals=tuple(map(lambda one, id_: replace(one, id=id_), made.proposals, ids)))


def test_a_proposal_is_named_by_a_unique_beginning(plan: Plan) -> None:
    assert proposals_called(plan, ["0AB1E", "0ab1f00d-", "0ab1e00d"]) == ("0ab1e00d", "0ab1f00d-1")


@pytest.mark.slow
def test_a_whole_id_is_no_beginning_of_another(plan: Plan) -> None:
    assert proposals_called(plan, ["0ab1f00d"]) == ("0ab1f00d",)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "why"), [("0ab", "several"), ("", "several"), ("x", "not a proposal")])
def test_a_name_of_several_proposals_or_of_none_is_an_error(plan: Plan, name: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        proposals_called(plan, [name])


@pytest.mark.slow
def test_effort_may_stand_beside_the_chance(plan: Plan) -> None:
    step = rank_steps(plan).steps[0]
    assert "may break" in describe_effort(step)
    assert "may break" not in describe_effort(step, with_chance=False)
    assert describe_effort(step, with_chance=False).startswith("touches 1 person")
