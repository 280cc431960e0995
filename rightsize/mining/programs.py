"""Cover sets of atoms with as few sets as possible, by reduction, search and integer programs, independent of Azure.

`solve` runs 0/1 and linear programs with HiGHS, and returns the best solution found and a sound lower bound.

Every solver is created here, with one thread and one seed, and writes nothing to stdout. The module loads highspy only
when there is a program to solve, and rounds a bound only where rounding is sound.

A limit in seconds makes an answer depend on the machine, but the same inputs must give the same bytes. So counts limit
a 0/1 program: the nodes of the search tree, and the number of times that HiGHS asks whether to go on (`checks`). The
second count also covers the work at the root, where each check stands for some hundred iterations. HiGHS has no limit
of iterations for a 0/1 program, and does not pass their number to callbacks. A linear program has a limit of
iterations. Limits in seconds are only for answers that say that they were cut short.
"""

from __future__ import annotations

import itertools
import math
import os
import sys
from array import array
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rightsize.mining.bitsets import bits_of

TOLERANCE = 1e-6
"""The tolerance of HiGHS in a constraint, an integrality or an objective of ordinary size."""

NODES = 20_000
CHECKS = 5_000
ITERATIONS = 200_000


@dataclass(slots=True)
class Rows:
    """The constraints of a program, `lower` <= A x <= `upper`, added row by row.

    A is sparse, row by row: the entries of row i are `starts[i]` up to `starts[i + 1]` of `columns` and `coefficients`.
    A column occurs at most once in a row. With a coefficient beyond 1e4 the rounding of 0/1 columns could break a
    constraint: scale constraints, do not write large constants for "if".

    Attributes:
        lower: The lower bound of each row; `-math.inf` for none.
        upper: The upper bound of each row; `math.inf` for none.
        starts: The position at which each row begins, and the end of the last row.
        columns: The column of each entry.
        coefficients: The value of each entry.
    """

    lower: array[float] = field(default_factory=lambda: array("d"))
    upper: array[float] = field(default_factory=lambda: array("d"))
    starts: array[int] = field(default_factory=lambda: array("i", [0]))
    columns: array[int] = field(default_factory=lambda: array("i"))
    coefficients: array[float] = field(default_factory=lambda: array("d"))

    def add(self, entries: Iterable[tuple[int, float]], least: float, greatest: float) -> None:
        """Add a row that bounds the sum of (column, coefficient) from below and above; use infinities for no bound."""
        for column, coefficient in entries:
            self.columns.append(column)
            self.coefficients.append(coefficient)
        self._end(least, greatest)

    def add_sum(self, columns: Iterable[int], least: float, greatest: float) -> None:
        """Add a row that bounds the sum of columns, each with the coefficient 1."""
        self.columns.extend(columns)
        self.coefficients.extend([1.0] * (len(self.columns) - len(self.coefficients)))
        self._end(least, greatest)

    def _end(self, least: float, greatest: float) -> None:
        self.starts.append(len(self.columns))
        self.lower.append(least)
        self.upper.append(greatest)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The best solution found, and a lower bound on the cost of every solution.

    Attributes:
        values: The value of each column, exactly 0.0 or 1.0 unless it is continuous; None if no solution was found.
        objective: The cost of the solution; infinite if none was found.
        bound: A lower bound on all costs; infinite if no solution exists, minus infinite if nothing is known.
        optimal: Whether the solution is proved to be a cheapest one.
    """

    values: tuple[float, ...] | None
    objective: float
    bound: float
    optimal: bool


def solve(
    rows: Rows,
    costs: Sequence[float],
    *,
    continuous: Collection[int] = (),
    start: Sequence[float] | None = None,
    nodes: int = NODES,
    checks: int = CHECKS,
    seconds: float = math.inf,
) -> Outcome:
    """Return the best solution of a program within the limits, and a bound.

    The program minimises `costs` · x within the rows; each x is 0 or 1. Values of 0/1 columns are rounded.

    Args:
        rows: The constraints.
        costs: The cost of each column.
        continuous: The columns that may take fractions between 0 and 1.
        start: A solution to start from; one that is not feasible is ignored.
        nodes: Maximum number of nodes that the search opens.
        checks: Maximum number of times that HiGHS asks whether to go on.
        seconds: A time limit. Use it only for answers that say so: an answer cut short by the clock depends on the
            machine.
    """
    if len(costs) == 0:
        return _of_no_columns(rows)
    import highspy  # noqa: PLC0415  loaded only when there is something to solve

    solver = silent_solver()
    solver.setOptionValue("time_limit", seconds)
    solver.setOptionValue("mip_max_nodes", nodes)
    # By default HiGHS calls a solution optimal within 1e-4 of the bound: an error of one role in ten thousand.
    solver.setOptionValue("mip_rel_gap", 0.0)
    _pass(solver, rows, costs, continuous)
    if start is not None:
        solution = highspy.HighsSolution()
        solution.col_value = list(start)
        solver.setSolution(solution)
    linear = len(continuous) == len(costs)
    if linear:
        solver.setOptionValue("solver", "simplex")
        solver.setOptionValue("simplex_iteration_limit", ITERATIONS)
    _run(solver, checks)
    status = solver.getModelStatus()
    # All columns are bounded, so "unbounded or infeasible" means infeasible.
    if status in {highspy.HighsModelStatus.kInfeasible, highspy.HighsModelStatus.kUnboundedOrInfeasible}:
        return Outcome(None, math.inf, math.inf, optimal=False)
    info = solver.getInfo()
    solved = status == highspy.HighsModelStatus.kOptimal
    proven = info.mip_dual_bound if not linear else info.objective_function_value if solved else -math.inf
    bound = _sound(proven, costs, continuous)
    if info.primal_solution_status != highspy.SolutionStatus.kSolutionStatusFeasible:
        return Outcome(None, math.inf, bound, optimal=False)
    values = _exact(solver.getSolution().col_value, continuous)
    objective = math.fsum(cost * value for cost, value in zip(costs, values, strict=True) if value)
    if start is not None and objective > info.objective_function_value + TOLERANCE * max(1.0, abs(objective)):
        # Presolve may improve the start; HiGHS 1.16 then returns the start itself, and calls it optimal at the lower
        # cost. Solve again without a start to avoid that error.
        return solve(rows, costs, continuous=continuous, nodes=nodes, checks=checks, seconds=seconds)
    return Outcome(values, objective, min(bound, objective), optimal=solved or bound >= objective)


def _run(solver: Any, checks: int) -> None:
    """Run the solver in a thread of its own, so that Ctrl-C ends the search itself."""
    asked = itertools.count(1)

    def stop_in_time(event: Any) -> None:
        if next(asked) > checks:
            event.interrupt()

    solver.HandleUserInterrupt = True
    solver.cbMipInterrupt += stop_in_time
    search = solver.startSolve()
    try:
        search.join()
    except KeyboardInterrupt:
        solver.cancelSolve()
        search.join()
        raise


def _of_no_columns(rows: Rows) -> Outcome:
    feasible = all(low <= 0 <= high for low, high in zip(rows.lower, rows.upper, strict=True))
    return Outcome((), 0.0, 0.0, optimal=True) if feasible else Outcome(None, math.inf, math.inf, optimal=False)


def silent_solver() -> Any:
    """Return a solver that writes nothing and has one thread and a fixed seed.

    The first solver of a process prints a banner that bypasses Python's stdout, so the file descriptor is redirected.
    """
    import highspy  # noqa: PLC0415

    sys.stdout.flush()
    stdout = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        solver: Any = highspy.Highs()  # type: ignore[no-untyped-call]  # no signature upstream
        solver.silent()
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)
        os.close(nowhere)
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("random_seed", 0)
    return solver


def _pass(solver: Any, rows: Rows, costs: Sequence[float], continuous: Collection[int]) -> None:
    import highspy  # noqa: PLC0415

    width = len(costs)
    kinds = [int(highspy.HighsVarType.kInteger)] * width
    for column in continuous:
        kinds[column] = int(highspy.HighsVarType.kContinuous)
    status = solver.passModel(
        width,
        len(rows.lower),
        len(rows.columns),
        int(highspy.MatrixFormat.kRowwise),
        int(highspy.ObjSense.kMinimize),
        0.0,
        costs,
        [0.0] * width,
        [1.0] * width,
        rows.lower,
        rows.upper,
        rows.starts,
        rows.columns,
        rows.coefficients,
        kinds,
    )
    if status == highspy.HighsStatus.kError:
        raise ValueError("not a program: a matrix entry outside, or twice in, its row")


def _sound(bound: float, costs: Sequence[float], continuous: Collection[int]) -> float:
    """Return the solver's bound less its tolerance, rounded up to a whole number if all objectives are whole."""
    if not math.isfinite(bound):
        return -math.inf
    lowered = bound - TOLERANCE * max(1.0, abs(bound))
    free = set(continuous)
    is_whole = all(float(cost).is_integer() and (not cost or column not in free) for column, cost in enumerate(costs))
    return float(math.ceil(lowered)) if is_whole else lowered


def _exact(values: Sequence[float], continuous: Collection[int]) -> tuple[float, ...]:
    """Return the values with 0/1 columns rounded, and continuous columns clipped to 0 to 1."""
    exact = [float(value > 0.5) for value in values]
    for column in continuous:
        exact[column] = min(max(values[column], 0.0), 1.0)
    return tuple(exact)


_SCALE = 1e6
_LEAST = 1e-4
"""The price of the whole budget in the objective: of sets that cover as much, the cheaper one is chosen."""

Goal = tuple[int, tuple[frozenset[str], ...]]
"""A weight, and the ways to cover it: of one way every need has to be met."""
_OpenGoal = tuple[int, tuple[frozenset[frozenset[str]], ...]]
"""The same with the things that meet each need in its place."""


def choose_under_budget(
    goals: Sequence[Goal], prices: Mapping[str, float], budget: float, met: Mapping[str, frozenset[str]]
) -> tuple[str, ...]:
    """Return the things of the best set, sorted; a thing that adds nothing to the others is not in it.

    Args:
        goals: What may be covered.
        prices: The price of each thing, the best one first; what has no price here is not chosen.
        budget: The most that the set may cost.
        met: By need: the things of which each meets it.
    """
    affordable = frozenset(item for item, price in prices.items() if price <= budget)
    meets = {need: met[need] & affordable for _, ways in goals for way in ways for need in way}
    possible = [(weight, tuple(way for way in ways if all(meets[need] for need in way))) for weight, ways in goals]
    possible = [(weight, ways) for weight, ways in possible if weight > 0 and ways]
    if not possible:
        return ()
    # What costs nothing is taken first, so that the program has only what costs something.
    free = frozenset(item for item in affordable if not prices[item])
    chosen = free | _solved(_left(possible, meets, free), sorted(affordable - free), prices, budget)
    return _without_idle(chosen, [ways for _, ways in possible], meets, prices)


def _left(goals: Sequence[Goal], met: Mapping[str, frozenset[str]], free: frozenset[str]) -> list[_OpenGoal]:
    """Return the goals that what is free does not cover; their ways have the things that meet each other need."""
    found: dict[tuple[frozenset[frozenset[str]], ...], int] = defaultdict(int)
    for weight, ways in goals:
        rest = {frozenset(met[need] for need in way if met[need].isdisjoint(free)) for way in ways}
        if frozenset() not in rest:
            found[tuple(sorted(rest, key=lambda way: sorted(sorted(some) for some in way)))] += weight
    return [(weight, ways) for ways, weight in found.items()]


def _solved(
    goals: Sequence[_OpenGoal], items: Sequence[str], prices: Mapping[str, float], budget: float
) -> frozenset[str]:
    """Return the set that a program finds: one 0/1 column an item, one column a way and one a goal."""
    if not goals or not items:
        return frozenset()
    place = {item: column for column, item in enumerate(items)}
    largest = max(weight for weight, _ in goals)
    costs = [_LEAST * prices[item] / budget for item in items]
    rows = Rows()
    rows.add(((place[item], prices[item] / budget) for item in items), -math.inf, 1.0)
    continuous = []
    for weight, ways in goals:
        goal = len(costs)
        costs.append(-_SCALE * weight / largest)
        columns = range(goal + 1, goal + 1 + len(ways))
        costs.extend([0.0] * len(ways))
        continuous += [goal, *columns]
        rows.add([(goal, 1.0), *((column, -1.0) for column in columns)], -math.inf, 0.0)
        for column, way in zip(columns, ways, strict=True):
            for some in sorted(way, key=sorted):
                rows.add([(column, 1.0), *((place[item], -1.0) for item in sorted(some))], -math.inf, 0.0)
    values = solve(rows, costs, continuous=continuous).values
    if values is None:
        return frozenset()
    return frozenset(item for item, column in place.items() if values[column] > 0.5)


def _without_idle(
    chosen: frozenset[str],
    goals: Sequence[tuple[frozenset[str], ...]],
    met: Mapping[str, frozenset[str]],
    prices: Mapping[str, float],
) -> tuple[str, ...]:
    """Return the set without what covers nothing more: the dearest such thing goes first, then the last one."""

    def covers(things: frozenset[str], ways: tuple[frozenset[str], ...]) -> bool:
        return any(all(not met[need].isdisjoint(things) for need in way) for way in ways)

    of_item: dict[str, list[tuple[frozenset[str], ...]]] = defaultdict(list)
    for ways in goals:
        for item in {item for way in ways for need in way for item in met[need]} if covers(chosen, ways) else ():
            of_item[item].append(ways)
    place = {item: number for number, item in enumerate(prices)}
    for item in sorted(chosen, key=lambda one: (-prices[one], -place[one])):
        fewer = chosen - {item}
        if all(covers(fewer, ways) for ways in of_item[item]):
            chosen = fewer
    return tuple(sorted(chosen))


def covers(must: int, columns: Sequence[int], most: int) -> bool:
    """Return whether at most so many columns together have all atoms in `must`."""
    return smallest_cover(must, columns, most) is not None


def smallest_cover(must: int, columns: Sequence[int], most: int) -> tuple[int, ...] | None:
    """Return the fewest columns that together have all atoms in `must`, or None.

    Among equally few, the first columns win.
    """
    if not must:
        return ()
    whole = 0
    for column in columns:
        whole |= column
    if must & ~whole:
        return None
    sizes = range(1, most + 1)
    return next((found for size in sizes if (found := _cover_of_size(must, columns, size)) is not None), None)


def _cover_of_size(must: int, columns: Sequence[int], size: int) -> tuple[int, ...] | None:
    if size == 1:
        return next(((number,) for number, column in enumerate(columns) if not must & ~column), None)
    found = []
    for number in _rarest(must, columns):
        rest = _cover_of_size(must & ~columns[number], columns, size - 1)
        if rest is not None:
            found.append(tuple(sorted((number, *rest))))
    return min(found, default=None)


_LOOKED_AT = 48


def _rarest(must: int, columns: Sequence[int]) -> list[int]:
    """Return the columns that have the rarest of the first atoms."""
    fewest: list[int] | None = None
    for turn, atom in enumerate(bits_of(must)):
        if turn == _LOOKED_AT:
            break
        having = [number for number, column in enumerate(columns) if column >> atom & 1]
        if fewest is None or len(having) < len(fewest):
            fewest = having
            if len(having) <= 1:
                break
    return fewest or []
