"""Demands that share no role: no fewer roles serve their needs, a stronger bound than single atoms give."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from rightsize.propose.optimize.conflict_bound import ConflictDemand, Want, demands_apart, least_paid
from rightsize.propose.optimize.rows import NeedRow, independent_cells, smallest_cover
from tests.examples import SOME

WIDTH = 4
MASKS = st.integers(1, 2**WIDTH - 1)
ROWS = st.builds(lambda must, more, most: NeedRow(must, must | more, (), most), MASKS, MASKS, st.integers(1, 3))


def _fewest(rows: list[NeedRow]) -> int:
    for number in range(len(rows)):
        for roles in itertools.combinations(range(1, 2**WIDTH), number):
            if all(_is_served(row, roles) for row in rows):
                return number
    return len(rows)


def _is_served(row: NeedRow, roles: tuple[int, ...]) -> bool:
    inside = [role for role in roles if not role & ~row.allowed]
    return smallest_cover(row.must, inside, [0] * len(inside), row.most) is not None


def _wants(rows: list[NeedRow]) -> list[Want]:
    return [Want(row.must, row.allowed, row.most) for row in rows]


@SOME
@given(st.lists(ROWS, min_size=1, max_size=4))
def test_there_are_at_least_as_many_roles_as_demands(rows: list[NeedRow]) -> None:
    assert len(demands_apart(_wants(rows))) <= _fewest(rows)


def test_a_need_that_takes_one_role_takes_its_own() -> None:
    """Ten needs of three out of five operations each: single operations prove five roles, and each takes all three."""
    rows = [NeedRow(sum(1 << atom for atom in three), sum(1 << atom for atom in three), (), 1)
            for three in itertools.combinations(range(5), 3)]  # fmt: skip
    assert len(independent_cells(rows)) <= 5
    assert len(demands_apart(_wants(rows))) == 10


def test_of_two_that_share_a_role_one_pays_for_what_it_does_not_need() -> None:
    """Who reaches a part of it pays for the rest; who falls back to an existing role, for that."""
    wants = [Want(0b0011, 0b0011, 1), Want(0b1100, 0b1110, 1)]
    apart = [ConflictDemand(0, 0b0011, 2), ConflictDemand(1, 0b1100, 2)]
    prices = {0: 5, 1: 7, 2: 2, 3: 1}
    assert least_paid(apart, wants, [10, 1], [1000, 1000], prices.__getitem__) == [30, 5]
    assert least_paid(apart, wants, [10, 1], [1000, 4], prices.__getitem__) == [30, 4]
