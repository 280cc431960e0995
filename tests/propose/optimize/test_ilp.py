"""The solver finds the cheapest 0/1 answer, and its bound is never above it."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.propose.optimize.ilp import Outcome, Program, Rows, solve
from tests.examples import MANY

INF = math.inf
TRIANGLE = ([0, 2, 4, 6], [0, 1, 1, 2, 0, 2], [1.0] * 6)
"""Three vertices, three edges, each to be covered by one of its ends."""


@st.composite
def programs(draw: st.DrawFn) -> tuple[Program, list[list[int]]]:
    """Small programs with whole and broken costs, and their matrix as rows."""
    width = draw(st.integers(1, 6))
    costs = draw(st.lists(st.sampled_from([0.0, 1.0, 2.0, 2.5, -1.0, -0.25]), min_size=width, max_size=width))
    matrix = draw(st.lists(st.lists(st.integers(-2, 2), min_size=width, max_size=width), max_size=4))
    lower = [draw(st.sampled_from([-INF, -2.0, 0.0, 1.0, 2.0])) for _ in matrix]
    upper = [low + draw(st.integers(0, 3)) if low > -INF else draw(st.sampled_from([-1.0, 0.0, 1.0])) for low in lower]
    starts, columns, coefficients = [0], [], []
    for row in matrix:
        for column, coefficient in enumerate(row):
            if coefficient:
                columns.append(column)
                coefficients.append(float(coefficient))
        starts.append(len(columns))
    return Program(costs, lower, upper, starts, columns, coefficients), matrix


@MANY
@given(programs())
def test_the_outcome_is_what_trying_everything_finds(case: tuple[Program, list[list[int]]]) -> None:
    """The objective is the least of all feasible points, proved; or there is none, and that is said."""
    program, matrix = case
    feasible = [
        sum(c * x for c, x in zip(program.costs, point, strict=True))
        for point in itertools.product((0, 1), repeat=len(program.costs))
        if all(
            low <= sum(a * x for a, x in zip(row, point, strict=True)) <= high
            for row, low, high in zip(matrix, program.lower, program.upper, strict=True)
        )
    ]
    outcome = solve(program)
    if not feasible:
        assert outcome == Outcome(None, INF, INF, optimal=False)
        return
    assert outcome.optimal
    assert outcome.objective == pytest.approx(min(feasible))
    assert outcome.bound <= min(feasible)
    assert outcome.values is not None and set(outcome.values) <= {0.0, 1.0}


def test_a_bound_is_rounded_up_only_where_objectives_are_whole() -> None:
    """Half of each vertex makes 1.5, which proves 2 only where every cost is whole."""
    whole = solve(Program([1.0] * 3, [1.0] * 3, [INF] * 3, *TRIANGLE))
    broken = solve(Program([1.0, 1.5, 1.0], [1.0] * 3, [INF] * 3, *TRIANGLE))
    assert (whole.objective, whole.bound) == (2.0, 2.0)
    assert broken.objective == 2.0 and 1.99 < broken.bound < 2.0 and broken.optimal


def test_continuous_columns_take_fractions() -> None:
    """With fractions allowed everywhere, half of each vertex is enough."""
    outcome = solve(Program([1.0] * 3, [1.0] * 3, [INF] * 3, *TRIANGLE, continuous=[0, 1, 2]))
    assert outcome.values == pytest.approx((0.5, 0.5, 0.5))
    assert outcome.optimal and outcome.bound <= 1.5 == pytest.approx(outcome.objective)


def test_rows_make_a_program() -> None:
    """Rows are written one after the other, as pairs or as plain sums."""
    rows = Rows()
    for start in range(2):
        rows.add_sum(TRIANGLE[1][2 * start : 2 * start + 2], 1.0, INF)
    rows.add([(column, 1.0) for column in TRIANGLE[1][4:]], 1.0, INF)
    assert solve(rows.program([1.0, 3.0, 1.0])) == solve(Program([1.0, 3.0, 1.0], [1.0] * 3, [INF] * 3, *TRIANGLE))


def test_a_search_that_is_cut_short_ends_at_the_same_place() -> None:
    """What limits it is counted, not timed: the same answer and bound however busy the machine is."""
    chance = random.Random(3)  # noqa: S311  any program will do that is not solved at once
    rows = Rows()
    for _ in range(150):
        rows.add_sum(sorted(chance.sample(range(200), 8)), 1.0, INF)
    program = rows.program([1.0] * 200)
    cut, again = (solve(program, checks=20) for _ in range(2))
    assert cut == again
    assert not cut.optimal
    assert cut.bound < cut.objective < INF


def test_a_start_survives_a_search_that_may_do_nothing() -> None:
    """Without a node or a second, the start is the answer, with no proof; one that is not feasible is not."""
    program = Program([1.0, 1.5, 1.0], [1.0] * 3, [INF] * 3, *TRIANGLE)
    kept = solve(program, start=[1.0, 1.0, 1.0], seconds=0, nodes=0)
    assert (kept.values, kept.objective, kept.optimal) == ((1.0, 1.0, 1.0), 3.5, False)
    assert solve(program, start=[0.0, 0.0, 1.0], seconds=0, nodes=0).values is None


def test_nothing_to_decide() -> None:
    """A program without columns is solved, or cannot be."""
    assert solve(Program([], [0.0], [INF], [0, 0], [], [])) == Outcome((), 0.0, 0.0, optimal=True)
    assert solve(Program([], [1.0], [INF], [0, 0], [], [])).bound == INF


def test_a_matrix_that_is_none_is_refused() -> None:
    """An entry outside the matrix is an error, not an answer."""
    with pytest.raises(ValueError, match="not a program"):
        solve(Program([1.0], [1.0], [INF], [0, 1], [7], [1.0]))


def test_the_solver_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """Neither its banner nor its progress reach stdout, which is for data."""
    solve(Program([1.0] * 3, [1.0] * 3, [INF] * 3, *TRIANGLE))
    assert capfd.readouterr() == ("", "")
