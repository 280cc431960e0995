"""Tomorrow's plan differs from today's only where the evidence does."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.window import choose_window
from rightsize.model.plan import Plan, Proposal
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.pipeline import make_plan
from rightsize.store.connection import open_store
from rightsize.workflow.analysis.keep_analysis import analyse_inputs

pytestmark = pytest.mark.slow

DAYS = 4


@pytest.fixture(scope="module")
def plans(demo_folder: Path) -> list[Plan]:
    """The plans of four days in a row, each learnt from the ninety days before it."""
    return _plans(demo_folder, reversed(range(DAYS)))


def _plans(demo_folder: Path, days_back: Iterable[int]) -> list[Plan]:
    with open_store(demo_folder / "demo.duckdb", read_only=True) as store:
        inputs = Inputs.read(store.table)
    last = choose_window(inputs, None, 1).last_day
    return [_plan(inputs, last - dt.timedelta(days=back)) for back in days_back]


def _plan(inputs: Inputs, last_day: dt.date, **more: Any) -> Plan:
    options = PlanOptions(as_of=last_day + dt.timedelta(days=1), **more)
    analysis, _ = analyse_inputs(inputs, options)
    return make_plan(inputs, analysis, options, content_hash="")


def _evidence(plan: Plan) -> dict[str, dict[str, Any]]:
    """What was used where under each proposal, and how the rest is judged: not how often, nor when."""
    used: dict[str, set[Any]] = {one.id: set() for one in plan.proposals}
    uses = pl.DataFrame(plan.uses).filter(pl.col("period") == "window")
    for id_, *use, people, scopes in uses.select(
        "proposal_id", "plane", "operation", "principal_ids", "scope_ids"
    ).iter_rows():
        used[id_].add((*use, tuple(people), tuple(scopes)))
    return {one.id: _judged(one) | {"used": used[one.id]} for one in plan.proposals}


def _judged(proposal: Proposal) -> dict[str, Any]:
    told = proposal.evidence
    return {"removed": told.get("removed"), "kept": told.get("kept_unseen"), "granted": told["granted"]}


def _result(proposal: Proposal) -> tuple[object, ...]:
    return proposal.kind, proposal.assignments, proposal.reason, proposal.excess_after, proposal.risk_after


@pytest.mark.nightly
def test_what_the_evidence_did_not_change_is_proposed_as_before(plans: list[Plan]) -> None:
    """And it did change something within these days, so that there is something to tell apart."""
    changed = 0
    for before, after in itertools.pairwise(plans):
        earlier = {one.id: one for one in before.proposals}
        assert set(earlier) == {one.id for one in after.proposals}
        evidence, evidence_before = _evidence(after), _evidence(before)
        for one in after.proposals:
            if evidence[one.id] == evidence_before[one.id]:
                assert _result(one) == _result(earlier[one.id])
            else:
                changed += 1
    assert changed


@pytest.fixture(scope="module")
def ends(demo_folder: Path) -> list[Plan]:
    """The first and the last of these plans."""
    return _plans(demo_folder, (DAYS - 1, 0))


def test_a_role_that_grants_the_same_keeps_its_id_and_nearly_always_its_name(ends: list[Plan]) -> None:
    """Nine of ten roles are there three days later; a name at the same place changes only with the use behind it."""
    ids: dict[object, str] = {}
    names: dict[object, set[str]] = {}
    for plan in ends:
        for role in plan.roles:
            one = role.definition
            content = one.permissions, any("/managementgroups/" in scope.lower() for scope in one.assignable_scopes)
            assert ids.setdefault(content, one.role_definition_id) == one.role_definition_id
            names.setdefault((content, one.assignable_scopes), set()).add(one.role_name)
    lasting = set.intersection(*({one.definition.role_definition_id for one in plan.roles} for plan in ends))
    assert 10 * len(lasting) >= 9 * max(len(plan.roles) for plan in ends)
    assert 20 * sum(len(found) > 1 for found in names.values()) <= len(names)


@pytest.mark.nightly
def test_with_an_earlier_plan_its_roles_keep_their_names(plans: list[Plan], demo_folder: Path) -> None:
    """What is observed three days later renames nothing."""
    earlier = {role.definition.role_definition_id: role.definition for role in plans[0].roles}
    with open_store(demo_folder / "demo.duckdb", read_only=True) as store:
        inputs = Inputs.read(store.table)
    plan = _plan(inputs, choose_window(inputs, None, 1).last_day, previous=tuple(earlier.values()))
    again = {role.definition.role_definition_id: role.definition for role in plan.roles}
    assert {id_: again[id_].role_name for id_ in again.keys() & earlier} == {
        id_: earlier[id_].role_name for id_ in again.keys() & earlier
    }
    assert 20 * len(again.keys() & earlier) >= 19 * len(earlier)


@pytest.mark.nightly
def test_the_same_day_gives_the_same_plan(plans: list[Plan], demo_folder: Path) -> None:
    with open_store(demo_folder / "demo.duckdb", read_only=True) as store:
        inputs = Inputs.read(store.table)
    assert _plan(inputs, choose_window(inputs, None, 1).last_day) == plans[-1]
