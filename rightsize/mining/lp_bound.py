"""Compute the fractional clique cover of a graph: a lower bound on every cover by linear programming, and its cliques.

Give each vertex a weight such that no clique weighs more than 1. Then every cover has at least as many cliques as the
sum of the weights. The best weights are the dual of the covering program over all maximal cliques, which are too many
to write down. So a clique is added to the program when its weight is found to exceed 1 (column generation). A vertex is
added when the cliques in use cover it by less than 1; a vertex left out only weakens the bound, and most never matter.

The bound does not depend on floating point. Weights are rounded to whole numbers, and the heaviest clique under them
is found exactly. The bound is their sum divided by that clique's weight, whatever the linear program did.
"""

from __future__ import annotations

import math
import time
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from rightsize.mining.biclique_kernel import count_in, counted_at_least
from rightsize.mining.bitsets import bits_of, mask_of
from rightsize.mining.cliques import heaviest_clique, widen, without_spare
from rightsize.mining.programs import silent_solver

ROUNDS = 400
NODES_A_SEARCH = 20_000
NODES = 200_000
COLUMNS_A_ROUND = 80
ROWS_A_ROUND = 60

WEIGHT = 1 << 20
"""The weight 1 of the linear program as a whole number."""
SMOOTHING = 0.5
"""The share of the best weights so far in the next weights: the duals of a degenerate program change a lot."""
CENTRAL = 1e-2
"""The gap at which the interior-point method stops: its weights lie in the middle of many, and need not be exact."""


@dataclass(slots=True)
class Fractional:
    """The state and result of column generation.

    Attributes:
        cover: The smallest cover found.
        asked: The vertices that are rows of the program.
        weights: Whole-number weights of vertices, with the best proven bound so far.
        heaviest: The weight that no clique exceeds.
    """

    cover: list[int]
    asked: int = 0
    weights: dict[int, int] = field(default_factory=dict)
    heaviest: int = 1

    @property
    def total(self) -> int:
        """The sum of all weights."""
        return sum(self.weights.values())

    def weigh(self, cliques: Sequence[int]) -> list[int]:
        """Return the weight of each of the cliques."""
        return _weigh(cliques, self.weights)

    @property
    def bound(self) -> int:
        """The proven lower bound on the number of cliques of a cover."""
        return -(-self.total // self.heaviest)


def fractional_cover(
    adjacent: Sequence[int],
    vertices: int,
    asked: int,
    covers: Sequence[list[int]],
    listed: Sequence[int] | None,
    deadline: float,
) -> Fractional:
    """Return the fractional cover; it stops when the bound meets the cover, or nothing is left to add.

    Args:
        adjacent: The graph.
        vertices: The vertices to be covered.
        asked: The first vertices of the program, such as independent ones.
        covers: The first covers.
        listed: Every maximal clique, where they could be listed: a pass over the list is faster than a search.
        deadline: The monotonic time at which to stop at the latest; limits of rounds and nodes come first.
    """
    search = _Generation(adjacent, vertices, Fractional(min(covers, key=len), asked), listed, deadline)
    for vertex in bits_of(asked):
        if time.monotonic() >= deadline:
            return search.known
        search.master.add_columns([widen(adjacent, 1 << vertex, vertices, vertices)])
    search.master.add_columns(clique for cover in covers for clique in cover)
    search.master.add_rows(bits_of(asked))
    search.run()
    return search.known


@dataclass(slots=True)
class _Master:
    """The covering program over some rows (vertices) and some columns (cliques)."""

    solver: Any = field(default_factory=silent_solver)
    rows: list[int] = field(default_factory=list)
    row_of: dict[int, int] = field(default_factory=dict)
    columns: list[int] = field(default_factory=list)
    listed: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.solver.setOptionValue("solver", "ipm")
        self.solver.setOptionValue("run_crossover", "off")
        self.solver.setOptionValue("ipm_optimality_tolerance", CENTRAL)

    def add_columns(self, cliques: Iterable[int]) -> int:
        """Add the cliques that are new, and return their number."""
        new = [clique for clique in dict.fromkeys(cliques) if clique not in self.listed]
        self.listed.update(new)
        self.columns.extend(new)
        asked = mask_of(self.rows)
        starts, entries = array("i"), array("i")
        for clique in new:
            starts.append(len(entries))
            entries.extend(self.row_of[vertex] for vertex in bits_of(clique & asked))
        if new:
            ones, none, infinite = array("d", [1.0]), array("d", [0.0]), array("d", [math.inf])
            count, size = len(new), len(entries)
            self.solver.addCols(count, ones * count, none * count, infinite * count, size, starts, entries, ones * size)
        return len(new)

    def add_rows(self, vertices: Iterable[int]) -> None:
        starts, entries = array("i"), array("i")
        for vertex in vertices:
            self.row_of[vertex] = len(self.rows)
            self.rows.append(vertex)
            starts.append(len(entries))
            entries.extend(index for index, clique in enumerate(self.columns) if clique >> vertex & 1)
        ones, infinite = array("d", [1.0]), array("d", [math.inf])
        count, size = len(starts), len(entries)
        self.solver.addRows(count, ones * count, infinite * count, size, starts, entries, ones * size)

    def solve(self, seconds: float) -> tuple[list[tuple[float, int]], dict[int, float]]:
        """Return the columns in use, the most used first, and the price of each row."""
        self.solver.clearSolver()
        self.solver.setOptionValue("time_limit", self.solver.getRunTime() + seconds)
        self.solver.run()
        solution = self.solver.getSolution()
        used = [(x, clique) for x, clique in zip(solution.col_value, self.columns, strict=True) if x > 1e-3]
        used.sort(key=lambda pair: (-pair[0], pair[1]))
        return used, {v: max(price, 0.0) for v, price in zip(self.rows, solution.row_dual, strict=True)}


@dataclass(slots=True)
class _Generation:
    """One run of column generation."""

    adjacent: Sequence[int]
    vertices: int
    known: Fractional
    listed: Sequence[int] | None
    deadline: float
    master: _Master = field(default_factory=_Master)
    stable: dict[int, float] = field(default_factory=dict)
    nodes: int = NODES

    def run(self) -> None:
        for turn in range(ROUNDS):
            left = self.deadline - time.monotonic()
            if left <= 0 or self.nodes <= 0:
                return
            used, prices = self.master.solve(left)
            added = self._add_heavy(used, prices)
            if self.known.bound >= len(self.known.cover):
                return
            short = 0
            if not added or turn % 4 == 3:
                self._round(used)
                short = self._ask_for_short(used)
            if not added and not short:
                return

    def _add_heavy(self, used: list[tuple[float, int]], prices: dict[int, float]) -> int:
        """Add cliques that weigh more than 1, and return their number; smoothed weights come before the plain ones."""
        open_vertices = self.vertices
        for _, clique in used:
            open_vertices &= ~clique
        for mix in (SMOOTHING, 0.0) if self.stable else (0.0,):
            mixed = {v: mix * self.stable.get(v, 0.0) + (1 - mix) * price for v, price in prices.items()}
            heavy = []
            for clique in self._heavy_cliques(mixed):
                if sum(prices[vertex] for vertex in bits_of(clique & self.known.asked)) > 1 + 1e-6:
                    heavy.append(widen(self.adjacent, clique, self.vertices, open_vertices))
                    open_vertices &= ~heavy[-1]
                    if len(heavy) == COLUMNS_A_ROUND:
                        break
            added = self.master.add_columns(heavy)
            if added:
                return added
        return 0

    def _heavy_cliques(self, prices: dict[int, float]) -> Iterator[int]:
        """Yield cliques heavier than 1, heavy ones first, and keep the bound that the search proves."""
        weights = {vertex: int(price * WEIGHT) for vertex, price in prices.items()}
        if self.listed is not None:
            weighed = _weigh(self.listed, weights)
            self._keep(weights, max(weighed, default=WEIGHT), prices)
            heavy_ones = [index for index, weight in enumerate(weighed) if weight > WEIGHT]
            yield from (self.listed[index] for index in sorted(heavy_ones, key=lambda i: (-weighed[i], i)))
            return
        order = sorted((v for v, weight in weights.items() if weight), key=lambda v: (-weights[v], v))
        position = {vertex: index for index, vertex in enumerate(order)}
        weighing = mask_of(order)
        local = [mask_of(position[u] for u in bits_of(self.adjacent[v] & weighing)) for v in order]
        falling = [weights[vertex] for vertex in order]
        heavy = _greedy_heavy(local, falling)
        floor, nodes = max(heavy.values(), default=WEIGHT), min(NODES_A_SEARCH, self.nodes)
        search = heaviest_clique(local, falling, floor, nodes, self.deadline)
        self.nodes -= search.nodes
        if search.complete:
            self._keep(weights, search.most, prices)
        for clique in [*reversed(search.cliques), *sorted(heavy, key=lambda clique: (-heavy[clique], clique))]:
            yield mask_of(order[index] for index in bits_of(clique))

    def _keep(self, weights: dict[int, int], heaviest: int, prices: dict[int, float]) -> None:
        """Keep the weights if they prove a better bound than those known."""
        if sum(weights.values()) * self.known.heaviest > self.known.total * heaviest:
            self.known.weights = {vertex: weight for vertex, weight in weights.items() if weight}
            self.known.heaviest, self.stable = heaviest, prices

    def _round(self, used: list[tuple[float, int]]) -> None:
        """Round the cliques in use to a cover, and keep it if it is the smallest so far."""
        left = self.vertices
        cover: list[int] = []
        while left and len(cover) < len(self.known.cover):
            if time.monotonic() >= self.deadline:
                return
            value, clique = max(((x * (clique & left).bit_count(), clique) for x, clique in used), default=(0.0, 0))
            if value == 0.0:
                clique = widen(self.adjacent, left & -left, self.vertices, left)
            cover.append(clique)
            left &= ~clique
        if not left:
            self.known.cover = min(self.known.cover, without_spare(cover, self.vertices), key=len)

    def _ask_for_short(self, used: list[tuple[float, int]]) -> int:
        """Add vertices that the cliques in use cover by less than 1, no two adjacent, and return their number."""
        short = self.vertices & ~self.known.asked & ~_covered(used)
        picked = 0
        for vertex in sorted(bits_of(short), key=lambda v: ((self.adjacent[v] & self.vertices).bit_count(), v)):
            if short >> vertex & 1:
                picked |= 1 << vertex
                short &= ~self.adjacent[vertex]
                if picked.bit_count() == ROWS_A_ROUND:
                    break
        if picked:
            self.master.add_rows(bits_of(picked))
            self.known.asked |= picked
        return picked.bit_count()


def _weigh(cliques: Sequence[int], weights: dict[int, int]) -> list[int]:
    """Return the weight of each clique, with one count of members for each binary digit of the weights."""
    digits = [
        (1 << place, mask_of(vertex for vertex, weight in weights.items() if weight >> place & 1))
        for place in range(max(weights.values(), default=0).bit_length())
    ]
    return [sum(value * (clique & members).bit_count() for value, members in digits) for clique in cliques]


def _greedy_heavy(local: list[int], weights: list[int]) -> dict[int, int]:
    """Return cliques heavier than 1 with their weights: from each vertex, the heaviest candidate is added next."""
    heavy = {}
    for seed, neighbours in enumerate(local):
        clique, candidates, weight = 1 << seed, neighbours, weights[seed]
        while candidates:
            bit = candidates & -candidates
            vertex = bit.bit_length() - 1
            clique |= bit
            candidates &= local[vertex]
            weight += weights[vertex]
        if weight > WEIGHT:
            heavy[clique] = weight
    return heavy


def _covered(used: list[tuple[float, int]]) -> int:
    """Return the vertices that the cliques in use cover by 1, less a tolerance; all sums are computed at once."""
    scale = 14
    digits: list[int] = []
    for x, clique in used:
        for place in bits_of(round(x * (1 << scale))):
            count_in(digits, clique, place)
    return counted_at_least(digits, round((1 - 2 * CENTRAL) * (1 << scale)))
