"""The fewest roles: minimum biclique cover, exactly where possible, else with the proven bound.

After the reductions of `bicliques`, each connected part of the kernel is a minimum clique cover. Its maximal cliques
are the columns of a set cover that HiGHS solves; a set of kernel edges no two of which share a biclique is a bound from
below, and often meets the cover before any solver runs. Where the maximal cliques are too many to list, the solver
works on the cliques that greedy covers found, and the bound is what is proven.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rightsize.propose.bicliques import Biclique, Graph, bits, bitset, components, kernel_graph, reduce_graph
from rightsize.propose.solver import Program, solve

CLIQUE_LIMIT = 60_000
GREEDY_ROUNDS = 24
SOLVER_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Cover:
    """Roles as (rows, columns) over the input's rows and columns, and the number that no cover can go below."""

    roles: tuple[Biclique, ...]
    lower_bound: int

    @property
    def optimal(self) -> bool:
        """Whether the cover is proved to be a smallest one."""
        return len(self.roles) == self.lower_bound


def minimum_cover(rows: Sequence[int], column_count: int, *, solver_seconds: float = SOLVER_SECONDS) -> Cover:
    """Return the fewest roles that give each row exactly its columns.

    Args:
        rows: For each user the set of permissions, as bits.
        column_count: How many permissions there are.
        solver_seconds: How long the solver may take over all parts of the kernel.
    """
    graph, row_groups, column_groups = _distinct(rows, column_count)
    forced, kernel = reduce_graph(graph)
    adjacent = kernel_graph(graph, kernel)
    chosen = list(forced)
    bound = len(forced)
    parts = components(adjacent)
    for part in parts:
        plain = [_cliques_by(kernel, part, side) for side in (0, 1)]
        cliques, part_bound = _cover_part(adjacent, part, plain, solver_seconds / len(parts))
        chosen.extend(graph.close(bitset(kernel[edge][0] for edge in bits(clique))) for clique in cliques)
        bound += part_bound
    roles = [Biclique(_expand(c.rows, row_groups), _expand(c.columns, column_groups)) for c in chosen]
    return Cover(tuple(sorted(roles, key=lambda role: (role.columns, role.rows))), bound)


def _distinct(rows: Sequence[int], column_count: int) -> tuple[Graph, list[int], list[int]]:
    """Merge equal rows and equal columns; also return the members of each group. Empty ones are in no group."""
    row_groups: dict[int, int] = {}
    for index, members in enumerate(rows):
        if members:
            row_groups[members] = row_groups.get(members, 0) | 1 << index
    distinct = list(row_groups)
    full = Graph.of_rows(distinct, column_count)
    column_groups: dict[int, int] = {}
    for index, members in enumerate(full.columns):
        if members:
            column_groups[members] = column_groups.get(members, 0) | 1 << index
    columns = list(column_groups)
    merged = [0] * len(distinct)
    for index, members in enumerate(columns):
        for row in bits(members):
            merged[row] |= 1 << index
    return Graph(merged, columns), list(row_groups.values()), list(column_groups.values())


def _expand(members: int, groups: list[int]) -> int:
    expanded = 0
    for member in bits(members):
        expanded |= groups[member]
    return expanded


def _cliques_by(kernel: list[tuple[int, int]], part: list[int], side: int) -> list[int]:
    """The trivial cover: one clique a row (side 0) or a column (side 1)."""
    groups: dict[int, int] = {}
    for edge in part:
        groups[kernel[edge][side]] = groups.get(kernel[edge][side], 0) | 1 << edge
    return list(groups.values())


def _cover_part(adjacent: list[int], part: list[int], plain: list[list[int]], seconds: float) -> tuple[list[int], int]:
    """Return a clique cover of one connected part and a lower bound of every such cover."""
    vertices = bitset(part)
    bound = max(_independent(adjacent, vertices, turn) for turn in range(GREEDY_ROUNDS))
    covers = [*plain, *(_greedy_cover(adjacent, vertices, turn) for turn in range(GREEDY_ROUNDS))]
    best = min(covers, key=len)
    if len(best) == bound:
        return best, bound
    cliques: list[int] = []
    complete = True
    for clique in _maximal_cliques(adjacent, vertices):
        if len(cliques) == CLIQUE_LIMIT:
            complete = False
            break
        cliques.append(clique)
    if not complete:
        cliques = sorted({clique for cover in covers for clique in cover})
    solved, solver_bound = _solve_set_cover(part, cliques, best, seconds)
    if solved is not None and len(solved) < len(best):
        best = solved
    return best, max(bound, solver_bound) if complete else bound


def _independent(adjacent: list[int], vertices: int, turn: int) -> int:
    """Size of a set of vertices, no two of them adjacent, found greedily: each needs a clique of its own."""
    left = vertices
    count = 0
    while left:
        pick = min(bits(left), key=lambda v: ((adjacent[v] & left).bit_count() * (4 + _spread(v, turn)), v))
        left &= ~(adjacent[pick] | 1 << pick)
        count += 1
    return count


def _spread(vertex: int, turn: int) -> int:
    """A small number that looks random and is not: the first turn is plain greedy, later ones disturb it."""
    return 0 if turn == 0 else (vertex * 2654435761 + turn * 40503) % 4294967296 % (turn % 4 + 2)


def _greedy_cover(adjacent: list[int], vertices: int, turn: int) -> list[int]:
    """Cover the vertices by maximal cliques, the open vertex with the fewest open neighbours first."""
    left = vertices
    cover = []
    while left:
        seed = min(bits(left), key=lambda v: ((adjacent[v] & left).bit_count() * (4 + _spread(v, turn)), v))
        clique = 1 << seed
        candidates = adjacent[seed] & vertices
        while candidates:
            preferred = candidates & left or candidates
            pick = max(bits(preferred), key=lambda v: ((adjacent[v] & candidates & left).bit_count(), -v))
            clique |= 1 << pick
            candidates &= adjacent[pick]
        left &= ~clique
        cover.append(clique)
    return cover


def _maximal_cliques(adjacent: list[int], vertices: int) -> Iterator[int]:
    """Yield every maximal clique once (Bron and Kerbosch with a pivot of most neighbours), without recursion."""
    stack = [(0, vertices, 0)]
    while stack:
        clique, candidates, excluded = stack.pop()
        if not candidates:
            if not excluded:
                yield clique
            continue
        pivot = max(bits(candidates | excluded), key=lambda v: (adjacent[v] & candidates).bit_count())
        for vertex in bits(candidates & ~adjacent[pivot]):
            bit = 1 << vertex
            stack.append((clique | bit, candidates & adjacent[vertex], excluded & adjacent[vertex]))
            candidates &= ~bit
            excluded |= bit


def _solve_set_cover(
    part: list[int], cliques: list[int], known: list[int], seconds: float
) -> tuple[list[int] | None, int]:
    """Return the fewest cliques that cover the part, or None, and the bound that the solver proved for these cliques.

    The solver starts from the `known` cover, each of its cliques widened to a listed one.
    """
    row_of = {vertex: row for row, vertex in enumerate(part)}
    starts, rows = array("i", [0]), array("i")
    for clique in cliques:
        rows.extend(row_of[vertex] for vertex in bits(clique))
        starts.append(len(rows))
    program = Program(
        costs=array("d", [1.0]) * len(cliques),
        lower=array("d", [1.0]) * len(part),
        upper=array("d", [math.inf]) * len(part),
        starts=starts,
        columns=rows,
        coefficients=array("d", [1.0]) * len(rows),
        by_column=True,
    )
    start = {next(i for i, clique in enumerate(cliques) if not wanted & ~clique) for wanted in known}
    outcome = solve(program, start=[float(i in start) for i in range(len(cliques))], seconds=seconds)
    bound = int(max(outcome.bound, 0.0))
    if outcome.values is None:
        return None, bound
    return [clique for clique, value in zip(cliques, outcome.values, strict=True) if value], bound
