"""Shared roles: everybody gets exactly what is needed, with the fewest possible roles."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.propose.optimize import role_sharing_exact as sharing_parts
from rightsize.propose.optimize.role_sharing import Sharing, UnansweredError, set_apart, share
from rightsize.propose.optimize.role_sharing_search import search_fewer
from rightsize.propose.optimize.rows import NeedRow, independent_cells, smallest_cover
from tests.examples import SOME

WIDTH = 5
SETS = st.integers(0, 2**WIDTH - 1)


@st.composite
def needs(draw: st.DrawFn) -> list[NeedRow]:
    """Rows over five atoms, some with existing roles."""
    rows = []
    for _ in range(draw(st.integers(1, 5))):
        must = draw(st.integers(1, 2**WIDTH - 1))
        columns = tuple(draw(st.lists(SETS.filter(bool), max_size=2)))
        rows.append(NeedRow(must, must | draw(SETS), columns, draw(st.integers(1, 3)), draw(st.integers(1, 4))))
    return rows


def _check(rows: list[NeedRow], found: Sharing) -> None:
    for row, cover in zip(rows, found.covers, strict=True):
        granted = 0
        for one in cover:
            if one >= 0:
                assert not found.roles[one] & ~row.allowed
                granted |= found.roles[one]
            else:
                granted |= row.columns[-1 - one]
        assert not row.must & ~granted
        assert len(cover) <= row.most


def _fewest(rows: list[NeedRow]) -> int:
    for count in range(len(rows) + 1):
        for roles in itertools.combinations(range(1, 2**WIDTH), count):
            if all(
                smallest_cover(
                    row.must,
                    own := [*row.columns, *(role for role in roles if not role & ~row.allowed)],
                    [0] * len(own),
                    row.most,
                )
                is not None
                for row in rows
            ):
                return count
    raise AssertionError("each row may have a role of its own")


@SOME
@given(needs())
def test_shared_roles_are_enough_and_as_few_as_trying_everything_finds(rows: list[NeedRow]) -> None:
    found = share(rows)
    _check(rows, found)
    assert found.is_exact
    assert found.lower_bound == len(found.roles) == _fewest(rows)


@SOME
@given(needs(), st.integers(0, 1000))
def test_the_order_of_needs_matters_nowhere(rows: list[NeedRow], seed: int) -> None:
    order = list(range(len(rows)))
    random.Random(seed).shuffle(order)  # noqa: S311  not for secrets
    found, again = share(rows), share([rows[number] for number in order])
    assert again.roles == found.roles
    assert again.covers == tuple(found.covers[number] for number in order)


@SOME
@given(needs())
def test_set_apart_each_need_takes_one_new_role_at_most(rows: list[NeedRow]) -> None:
    found = set_apart(rows)
    _check(rows, found)
    assert all(sum(one >= 0 for one in cover) <= 1 for cover in found.covers)


@SOME
@given(needs())
def test_cells_apart_need_a_role_each(rows: list[NeedRow]) -> None:
    """No role that is inside what is allowed grants two of the cells."""
    cells = independent_cells(rows)
    for (one, atom), (other, another) in itertools.combinations(cells, 2):
        both = 1 << atom | 1 << another
        assert both & ~(rows[one].allowed & rows[other].allowed)


@SOME
@given(needs())
def test_a_part_that_is_searched_keeps_to_the_same_rules(rows: list[NeedRow]) -> None:
    """Too large to be solved, the roles still suffice, and what is proved still holds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharing_parts, "EXACT_ROWS", 0)
        found = share(rows)
    _check(rows, found)
    assert found.lower_bound <= _fewest(rows) <= len(found.roles)


@SOME
@given(needs())
def test_search_never_ends_with_more_roles_than_it_began_with(rows: list[NeedRow]) -> None:
    plain = [NeedRow(row.must, row.allowed, (), row.most) for row in rows]
    contents = sorted({row.allowed for row in plain})
    fewer = search_fewer(plain, contents, contents)
    assert set(fewer) <= set(contents)
    for row in plain:
        own = [content for content in fewer if not content & ~row.allowed]
        assert smallest_cover(row.must, own, [0] * len(own), row.most) is not None


def test_an_existing_role_comes_before_a_new_one() -> None:
    found = share([NeedRow(0b011, 0b011, (0b011,)), NeedRow(0b110, 0b110)])
    assert found.roles == (0b110,)
    assert found.covers == ((-1,), (0,))


def test_two_roles_serve_three_needs() -> None:
    found = share([NeedRow(0b01, 0b01), NeedRow(0b10, 0b10), NeedRow(0b11, 0b11)])
    assert found.roles == (0b01, 0b10)
    assert found.covers == ((0,), (1,), (0, 1))


def test_what_one_more_need_changes_is_its_own_part_only() -> None:
    rows = [NeedRow(0b0011, 0b0011), NeedRow(0b0110, 0b0110)]
    more = [*rows, NeedRow(0b11 << 8, 0b11 << 8)]
    assert set(share(rows).roles) < set(share(more).roles)


@pytest.mark.parametrize("method", [share, set_apart])
@pytest.mark.parametrize(
    "row",
    [
        pytest.param(NeedRow(0b11, 0b01), id="a part is allowed to no role"),
        pytest.param(NeedRow(0b11, 0b01, (0b10,), 1), id="the role beside its own is one too many"),
        pytest.param(NeedRow(0b11, 0b00), id="nothing is allowed at all"),
    ],
)
def test_a_need_that_no_roles_answer_is_an_error_that_has_it(
    method: Callable[[list[NeedRow]], Sharing], row: NeedRow
) -> None:
    with pytest.raises(UnansweredError) as caught:
        method([NeedRow(0b01, 0b11), row])
    assert caught.value.row == row


def test_a_need_that_existing_roles_grant_takes_them_though_a_new_one_may_not() -> None:
    found = share([NeedRow(0b11, 0b00, (0b01, 0b10), 2)])
    assert found.roles == ()
    assert found.covers == ((-2, -1),)
