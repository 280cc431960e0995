"""Tomorrow's plan differs from today's only where the evidence does."""

from __future__ import annotations

import datetime as dt
import itertools
from pathlib import Path
from typing import Any

import pytest

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.window import choose_window
from rightsize.model.plan import Plan, Proposal
from rightsize.propose.assembly.plan import make_plan
from rightsize.propose.core.options import PlanOptions
from rightsize.store.connection import open_store
from rightsize.workflow.rbac_analysis import analyse_inputs

DAYS = 4


@pytest.fixture(scope="module")
def plans(demo_folder: Path) -> list[Plan]:
    """The plans of four days in a row, each learnt from the ninety days before it."""
    with open_store(demo_folder / "demo.duckdb", read_only=True) as store:
        inputs = Inputs.read(store.table)
    last = choose_window(inputs, None, 1).last_day
    return [_plan(inputs, last - dt.timedelta(days=back)) for back in reversed(range(DAYS))]


def _plan(inputs: Inputs, last_day: dt.date) -> Plan:
    options = PlanOptions(as_of=last_day + dt.timedelta(days=1))
    analysis, _ = analyse_inputs(inputs, as_of=options.as_of, min_window=options.min_window)
    return make_plan(inputs, analysis, options, content_hash="")


def _evidence(proposal: Proposal) -> dict[str, Any]:
    """What was used where, and how the rest is judged: not how often, nor when."""
    told = proposal.evidence
    used = {
        (one["plane"], one["operation"], *map(tuple, (one["principal_ids"], one["scope_ids"])))
        for one in told["operations"]
    }
    return {"used": used, "removed": told.get("removed"), "kept": told.get("kept_unseen"), "granted": told["granted"]}


def _result(proposal: Proposal) -> tuple[object, ...]:
    return proposal.kind, proposal.assignments, proposal.reason, proposal.excess_after, proposal.risk_after


def test_what_the_evidence_did_not_change_is_proposed_as_before(plans: list[Plan]) -> None:
    """And it did change something within these days, so that there is something to tell apart."""
    changed = 0
    for before, after in itertools.pairwise(plans):
        earlier = {one.id: one for one in before.proposals}
        assert set(earlier) == {one.id for one in after.proposals}
        for one in after.proposals:
            if _evidence(one) == _evidence(earlier[one.id]):
                assert _result(one) == _result(earlier[one.id])
            else:
                changed += 1
    assert changed


def test_a_role_that_grants_the_same_keeps_its_id_and_at_the_same_place_its_name(plans: list[Plan]) -> None:
    """Nine of ten roles are there on all four days."""
    ids: dict[object, str] = {}
    names: dict[object, str] = {}
    for plan in plans:
        for role in plan.roles:
            one = role.definition
            content = one.permissions, any("/managementgroups/" in scope.lower() for scope in one.assignable_scopes)
            assert ids.setdefault(content, one.role_definition_id) == one.role_definition_id
            assert names.setdefault((content, one.assignable_scopes), one.role_name) == one.role_name
    lasting = set.intersection(*({one.definition.role_definition_id for one in plan.roles} for plan in plans))
    assert 10 * len(lasting) >= 9 * max(len(plan.roles) for plan in plans)


def test_the_same_day_gives_the_same_plan(plans: list[Plan], demo_folder: Path) -> None:
    with open_store(demo_folder / "demo.duckdb", read_only=True) as store:
        inputs = Inputs.read(store.table)
    assert _plan(inputs, choose_window(inputs, None, 1).last_day) == plans[-1]
