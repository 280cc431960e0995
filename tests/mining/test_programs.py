"""The solver finds the cheapest 0/1 answer, and its bound is never above it."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.mining.programs import Outcome, Rows, solve
from tests.examples import MANY

INF = math.inf
ENDS = ((0, 1), (1, 2), (0, 2))
"""Three edges between three vertices, each to be covered by one of its ends."""


def triangle() -> Rows:
    rows = Rows()
    for ends in ENDS:
        rows.add_sum(ends, 1.0, INF)
    return rows


@st.composite
def programs(draw: st.DrawFn) -> tuple[Rows, list[float], list[list[int]]]:
    """Small programs with whole and broken costs, and their matrix as rows."""
    width = draw(st.integers(1, 6))
    costs = draw(st.lists(st.sampled_from([0.0, 1.0, 2.0, 2.5, -1.0, -0.25]), min_size=width, max_size=width))
    matrix = draw(st.lists(st.lists(st.integers(-2, 2), min_size=width, max_size=width), max_size=4))
    lower = [draw(st.sampled_from([-INF, -2.0, 0.0, 1.0, 2.0])) for _ in matrix]
    upper = [low + draw(st.integers(0, 3)) if low > -INF else draw(st.sampled_from([-1.0, 0.0, 1.0])) for low in lower]
    rows = Rows()
    for row, low, high in zip(matrix, lower, upper, strict=True):
        rows.add(((column, float(value)) for column, value in enumerate(row) if value), low, high)
    return rows, costs, matrix


@pytest.mark.slow
@MANY
@given(programs())
def test_the_outcome_is_what_trying_everything_finds(case: tuple[Rows, list[float], list[list[int]]]) -> None:
    """The objective is the least of all feasible points, proved; or there is none, and that is said."""
    rows, costs, matrix = case
    feasible = [
        sum(c * x for c, x in zip(costs, point, strict=True))
        for point in itertools.product((0, 1), repeat=len(costs))
        if all(
            low <= sum(a * x for a, x in zip(row, point, strict=True)) <= high
            for row, low, high in zip(matrix, rows.lower, rows.upper, strict=True)
        )
    ]
    outcome = solve(rows, costs)
    if not feasible:
        assert outcome == Outcome(None, INF, INF, optimal=False)
        return
    assert outcome.optimal
    assert outcome.objective == pytest.approx(min(feasible))
    assert outcome.bound <= min(feasible)
    assert outcome.values is not None and set(outcome.values) <= {0.0, 1.0}


def test_a_bound_is_rounded_up_only_where_objectives_are_whole() -> None:
    """Half of each vertex makes 1.5, which proves 2 only where every cost is whole."""
    whole = solve(triangle(), [1.0] * 3)
    broken = solve(triangle(), [1.0, 1.5, 1.0])
    assert (whole.objective, whole.bound) == (2.0, 2.0)
    assert broken.objective == 2.0 and 1.99 < broken.bound < 2.0 and broken.optimal


def test_continuous_columns_take_fractions() -> None:
    """With fractions allowed everywhere, half of each vertex is enough."""
    outcome = solve(triangle(), [1.0] * 3, continuous=[0, 1, 2])
    assert outcome.values == pytest.approx((0.5, 0.5, 0.5))
    assert outcome.optimal and outcome.bound <= 1.5 == pytest.approx(outcome.objective)


def test_rows_make_a_program() -> None:
    """Rows are written one after the other, as pairs or as plain sums."""
    rows = Rows()
    rows.add_sum(ENDS[0], 1.0, INF)
    rows.add([(column, 1.0) for column in ENDS[1]], 1.0, INF)
    rows.add_sum(ENDS[2], 1.0, INF)
    assert solve(rows, [1.0, 3.0, 1.0]) == solve(triangle(), [1.0, 3.0, 1.0])


@pytest.mark.slow
def test_a_search_that_is_cut_short_ends_at_the_same_place() -> None:
    """What limits it is counted, not timed: the same answer and bound however busy the machine is."""
    chance = random.Random(3)  # noqa: S311  any program will do that is not solved at once
    rows = Rows()
    for _ in range(150):
        rows.add_sum(sorted(chance.sample(range(200), 8)), 1.0, INF)
    cut, again = (solve(rows, [1.0] * 200, checks=20) for _ in range(2))
    assert cut == again
    assert not cut.optimal
    assert cut.bound < cut.objective < INF


def test_a_start_survives_a_search_that_may_do_nothing() -> None:
    """Without a node or a second, the start is the answer, with no proof; one that is not feasible is not."""
    rows, costs = triangle(), [1.0, 1.5, 1.0]
    kept = solve(rows, costs, start=[1.0, 1.0, 1.0], seconds=0, nodes=0)
    assert (kept.values, kept.objective, kept.optimal) == ((1.0, 1.0, 1.0), 3.5, False)
    assert solve(rows, costs, start=[0.0, 0.0, 1.0], seconds=0, nodes=0).values is None


def test_nothing_to_decide() -> None:
    """A program without columns is solved, or cannot be."""
    met, unmet = Rows(), Rows()
    met.add_sum((), 0.0, INF)
    unmet.add_sum((), 1.0, INF)
    assert solve(met, []) == Outcome((), 0.0, 0.0, optimal=True)
    assert solve(unmet, []).bound == INF


def test_a_matrix_that_is_none_is_refused() -> None:
    """An entry outside the matrix is an error, not an answer."""
    rows = Rows()
    rows.add_sum([7], 1.0, INF)
    with pytest.raises(ValueError, match="not a program"):
        solve(rows, [1.0])


def test_the_solver_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """Neither its banner nor its progress reach stdout, which is for data."""
    solve(triangle(), [1.0] * 3)
    assert capfd.readouterr() == ("", "")
