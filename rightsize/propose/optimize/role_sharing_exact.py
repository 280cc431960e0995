"""Compute few new roles for one independent part of the needs, greedily, by search, or exactly for small parts."""

from __future__ import annotations

import math
from array import array
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, reduce
from operator import or_

from rightsize.propose.optimize.biclique_kernel import bits, bitset
from rightsize.propose.optimize.conflict_bound import Want, demands_apart
from rightsize.propose.optimize.ilp import Program, Rows, solve
from rightsize.propose.optimize.role_sharing_search import search_fewer
from rightsize.propose.optimize.rows import (
    NeedRow,
    RoleContents,
    independent_cells,
    is_covered,
    most_useful,
    smallest_cover,
)

EXACT_ROWS = 120
"""Parts with more rows than this are searched, and a linear program proves a bound."""
SEARCHED_ROWS = 5_000
"""Parts with more rows than this are solved greedily."""
EXACT_CONTENTS = 1_500
"""If rows have more intersections than this, only whole `allowed` sets are tried, and no program proves a bound."""
EXACT_WIDTH = 10_000
RELAXED_WIDTH = 40_000
"""0/1 programs with more columns than `EXACT_WIDTH`, and linear ones with more than `RELAXED_WIDTH`, are not solved."""
SOLVER_NODES = 2_000
SOLVER_CHECKS = 500


def solve_part(rows: list[NeedRow]) -> tuple[list[int], int, bool]:
    """Return the contents of new roles for a part, a lower bound, and whether all contents were considered."""
    if len(rows) > EXACT_ROWS:
        return _solve(rows)
    masks = (mask for row in rows for mask in (row.must, row.allowed, row.common, *row.columns))
    atoms = list(bits(reduce(or_, masks, 0)))
    number_of = {atom: number for number, atom in enumerate(atoms)}

    def numbered(mask: int) -> int:
        return bitset(number_of[atom] for atom in bits(mask))

    contents, bound, is_exact = _solve_once(
        tuple(
            replace(
                row,
                must=numbered(row.must),
                allowed=numbered(row.allowed),
                columns=tuple(map(numbered, row.columns)),
                common=numbered(row.common),
            )
            for row in rows
        )
    )
    return [bitset(atoms[number] for number in bits(content)) for content in contents], bound, is_exact


@lru_cache(maxsize=64)
def _solve_once(rows: tuple[NeedRow, ...]) -> tuple[tuple[int, ...], int, bool]:
    """Return the answer for a small part with atoms numbered from 0.

    Roles are chosen again whenever an assignment is kept, and most parts stay. A 0/1 program takes seconds, which is
    felt: of 35 seconds for 928 holders, 11 were the same programs again.
    """
    contents, bound, is_exact = _solve(list(rows))
    return tuple(contents), bound, is_exact


def _solve(rows: list[NeedRow]) -> tuple[list[int], int, bool]:
    greedy = _greedy(rows)
    bound = max(len(independent_cells(rows)), len(demands_apart([_want(row) for row in rows])))
    if len(greedy) <= bound or len(rows) > SEARCHED_ROWS:
        return greedy, min(bound, len(greedy)), len(greedy) <= bound
    contents = _intersections(rows)
    if contents is None:
        return search_fewer(rows, sorted({row.allowed for row in rows}), greedy), bound, False
    fewer = search_fewer(rows, contents, greedy)
    model = _Model.of(rows, contents)
    if len(rows) > EXACT_ROWS or model.width > EXACT_WIDTH:
        if model.width <= RELAXED_WIDTH:
            relaxed = solve(model.relaxed())
            bound = max(bound, math.ceil(relaxed.bound) if math.isfinite(relaxed.bound) else 0)
        return fewer, min(bound, len(fewer)), len(fewer) <= bound
    outcome = solve(model.fewest(), start=model.start(fewer), nodes=SOLVER_NODES, checks=SOLVER_CHECKS)
    bound = max(bound, math.ceil(outcome.bound) if math.isfinite(outcome.bound) else 0)
    if outcome.values is None:
        return fewer, min(bound, len(fewer)), False
    chosen = model.chosen(outcome.values)
    again = solve(model.briefest(len(chosen)), start=outcome.values, nodes=SOLVER_NODES, checks=SOLVER_CHECKS)
    if again.values is not None:
        chosen = model.chosen(again.values)
    return chosen, min(bound, len(chosen)), True


def _want(row: NeedRow) -> Want:
    hard = row.must & row.allowed
    for column in row.columns:
        hard &= ~column
    return Want(hard, row.allowed, row.most)


def _intersections(rows: Sequence[NeedRow]) -> list[int] | None:
    """Return every intersection of the rows' `allowed` sets, or None if there are too many.

    Some best solution has only such roles: each role can grow to the intersection of its takers' `allowed` sets, and a
    larger role grants no taker less.
    """
    found: set[int] = set()
    for own in sorted({row.allowed for row in rows}):
        found |= {own, *(own & other for other in found)}
        if len(found) > EXACT_CONTENTS:
            return None
    return sorted(content for content in found if content)


def _greedy(rows: Sequence[NeedRow]) -> list[int]:
    """Return contents that serve all rows: a role for each need, without roles that other roles replace."""
    contents = sorted({row.allowed for row in rows}, key=lambda content: (-content.bit_count(), content))
    index = RoleContents(contents)
    takers: dict[int, list[NeedRow]] = defaultdict(list)
    options: dict[NeedRow, list[int]] = {}
    for row in rows:
        options[row] = most_useful(row, index.inside(row), contents)
        for number in options[row]:
            takers[number].append(row)
    alive = set(range(len(contents)))
    for number in range(len(contents)):
        alive.discard(number)
        for row in takers[number]:
            left = [contents[one] for one in options[row] if one in alive]
            if not is_covered(row.must, (*row.columns, *left), row.most):
                alive.add(number)
                break
    return sorted(contents[number] for number in alive)


@dataclass(slots=True)
class _Model:
    """A part as a 0/1 program: one column for each content, and one for each (row, role that it may take)."""

    rows: list[NeedRow]
    contents: list[int]
    takes: list[list[tuple[int, int]]]
    """For each row, pairs (content that it may take, column of the program)."""
    beside: list[list[tuple[int, int]]]
    """For each row, pairs (existing role that it may take, column of the program)."""
    width: int
    constraints: Rows = field(default_factory=Rows)

    @classmethod
    def of(cls, rows: list[NeedRow], contents: list[int]) -> _Model:
        width = len(contents)
        takes, beside = [], []
        for row in rows:
            own = [i for i, content in enumerate(contents) if not content & ~row.allowed and content & row.must]
            takes.append([(i, width + position) for position, i in enumerate(own)])
            width += len(own)
            old = [i for i, column in enumerate(row.columns) if column & row.must]
            beside.append([(i, width + position) for position, i in enumerate(old)])
            width += len(old)
        model = cls(rows, contents, takes, beside, width)
        model._constrain()
        return model

    def _constrain(self) -> None:
        for row, own, old in zip(self.rows, self.takes, self.beside, strict=True):
            for atom in bits(row.must):
                granting = [column for i, column in own if self.contents[i] >> atom & 1]
                granting += [column for i, column in old if row.columns[i] >> atom & 1]
                self.constraints.add_sum(granting, 1.0, math.inf)
            self.constraints.add_sum((column for _, column in (*own, *old)), 1.0, float(row.most))
            for i, column in own:
                self.constraints.add([(i, 1.0), (column, -1.0)], 0.0, math.inf)

    def fewest(self) -> Program:
        """Return the program for the fewest new roles."""
        costs = array("d", [1.0]) * len(self.contents) + array("d", [0.0]) * (self.width - len(self.contents))
        return self.constraints.program(costs)

    def relaxed(self) -> Program:
        """Return the linear relaxation of `fewest`: its bound holds for the 0/1 program too."""
        return replace(self.fewest(), continuous=range(self.width))

    def briefest(self, most: int) -> Program:
        """Return the program for the fewest assignments with `most` new roles, preferring whole `allowed` sets."""
        whole = {row.allowed for row in self.rows}
        costs = array("d", [0.0 if content in whole else 1.0 for content in self.contents])
        scale = float(len(self.rows) + most + 1)
        for row, own, old in zip(self.rows, self.takes, self.beside, strict=True):
            costs.extend([scale * row.number] * (len(own) + len(old)))
        limited = self.constraints.copy()
        limited.add_sum(range(len(self.contents)), 0.0, float(most))
        return limited.program(costs)

    def start(self, contents: Sequence[int]) -> list[float]:
        """Return the values of all columns for a solution with the given contents."""
        values = [0.0] * self.width
        number_of = {content: number for number, content in enumerate(self.contents)}
        for content in contents:
            values[number_of[content]] = 1.0
        for row, own, old in zip(self.rows, self.takes, self.beside, strict=True):
            there = [(column, self.contents[i]) for i, column in own if values[i]]
            there += [(column, row.columns[i]) for i, column in old]
            cover = smallest_cover(row.must, [mask for _, mask in there], [0] * len(there), row.most)
            for one in cover or ():
                values[there[one][0]] = 1.0
        return values

    def chosen(self, values: Sequence[float]) -> list[int]:
        """Return the contents of a solution."""
        return [content for content, value in zip(self.contents, values, strict=False) if value]
