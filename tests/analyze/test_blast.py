"""The picture of a blast radius stays small, and counts everything that it leaves out."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.analyze.reach.blast import BRANCHES, COLUMNS, ROWS, draw_grid, grow_branches
from rightsize.analyze.reach.closure import Step
from rightsize.analyze.reach.facts import read_facts
from rightsize.analyze.reach.measure import View, read_holdings, view_of
from tests.analyze.test_reach import NSG, RUN, frames, tenant
from tests.analyze.tiny import RG, SUB, Tiny
from tests.examples import FEW

__all__ = ["tenant"]


def view(tenant: Tiny, basis: str = "granted") -> View:
    inputs, analysis = tenant.inputs(), tenant.analyse()
    facts = read_facts(inputs, frames(tenant))
    return view_of(facts, analysis.tenant, inputs, read_holdings(analysis)[basis], with_eligible=False)


def rank(node: str) -> int:
    return ord(node[0])


def things(branches: list) -> int:  # type: ignore[type-arg]
    """Return how many things are told or counted; what is hidden below a branch is counted there."""
    return sum(len(one.nodes) + one.hidden for one in branches)


@pytest.mark.slow
def test_the_grid_tells_what_falls_at_once_from_what_takes_further_steps(tenant: Tiny) -> None:
    tenant.role("ops", RUN).role("net", NSG).assign("a", "p", "ops", RG).assign("b", "mi", "net")
    (row,) = draw_grid("p:p", view(tenant), view(tenant, "used"), None)
    cells = {name: (cell.own, cell.granted, cell.used, cell.proposed) for name, cell in row.cells.items()}
    assert cells["host_integrity"] == (1, 1, 0, None)
    assert cells["network_segmentation"] == (0, 1, 0, None)
    assert cells["monitoring"] == (0, 0, 0, None)
    assert (cells["control"], cells["data"]) == ((1, 1, 0, None), (0, 0, 0, None))


@pytest.mark.slow
def test_subscriptions_beyond_the_widest_are_added_up(tenant: Tiny) -> None:
    many = [f"{SUB}{number}" for number in range(ROWS + 4)]
    tenant.role("net", NSG)
    for scope in many:
        tenant.add("scopes", scope=scope, kind="subscription", parent_scope="/", listed=True)
        tenant.assign(scope, "p", "net", scope)
    found = view(tenant)
    rows = draw_grid("p:p", found, found, found)
    assert [row.subscriptions for row in rows] == [1] * ROWS + [4]
    cell = rows[-1].cells["network_segmentation"]
    assert (rows[-1].scope, cell.granted, cell.used, cell.proposed) == ("", 4, 4, 4)
    assert set(rows[-1].cells) == set(COLUMNS)


@pytest.mark.slow
def test_a_subject_that_nothing_falls_with_has_no_rows(tenant: Tiny) -> None:
    assert draw_grid("p:nobody", view(tenant), view(tenant), None) == []


@pytest.mark.parametrize(("number", "branches"), [(3, 3), (4, 1), (500, 1)])
def test_things_that_are_reached_alike_are_one_branch(number: int, branches: int) -> None:
    ways = {f"s:{at:03}": [Step("p:p", f"s:{at:03}", "reads", True)] for at in range(number)}
    found, left_out = grow_branches(ways, {"s:000"}, rank)
    assert len(found) == branches
    assert sum(one.stays or 0 for one in found) == 1
    assert (things(found), left_out) == (number, 0)


@given(st.lists(st.integers(0, 60), min_size=1, max_size=120))
@FEW
def test_the_picture_is_bounded_and_counts_whatever_it_leaves_out(parents: list[int]) -> None:
    """A way to each thing from one that came before it; every thing is told, or counted below what is."""
    ways: dict[str, list[Step]] = {}
    for number, parent in enumerate(parents, start=1):
        above = f"r:{parent % number}" if parent % number else "p:p"
        ways[f"r:{number}"] = [*ways.get(above, []), Step(above, f"r:{number}", "", bool(number % 3))]
    found, left_out = grow_branches(ways, None, rank)
    assert 0 < len(found) <= BRANCHES
    assert all(one.stays is None for one in found)
    assert things(found) + left_out == len(ways)
    assert all(one.depth <= before.depth + 1 for before, one in pairwise(found))
