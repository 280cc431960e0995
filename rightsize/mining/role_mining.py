"""The fewest roles: minimum biclique cover, exactly where possible, else with the proven bound.

After the reductions of `bicliques` and `cliques`, each connected part of the kernel is a minimum clique cover, which
`clique_cover` solves. Where the bicliques of the whole table are few enough to be listed, they are, and serve every
part.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from rightsize.mining.clique_cover import fewest_cliques, part_of_time
from rightsize.mining.cliques import reduce_vertices
from rightsize.propose.optimize.biclique_kernel import (
    Biclique,
    PairGraph,
    bits,
    bitset,
    components,
    kernel_graph,
    maximal_bicliques,
    reduce_graph,
    union,
)

LISTED_BICLIQUES = 100_000
REDUCING_SHARE = 0.25
LISTING_SHARE = 0.25
"""Of the time: a dense table has more bicliques than can be listed, and shows it only by the listing not to end."""
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
    deadline = time.monotonic() + solver_seconds
    graph, row_groups, column_groups = _distinct(rows, column_count)
    forced, kernel = reduce_graph(graph)
    adjacent = kernel_graph(graph, kernel)
    reduction = reduce_vertices(adjacent, (1 << len(kernel)) - 1, part_of_time(REDUCING_SHARE, deadline))
    bound = len(forced) + len(reduction.forced)
    cliques: list[int] = []
    parts = components(adjacent, reduction.left)
    listing_ends = part_of_time(LISTING_SHARE, deadline)
    listed = _listed_cliques(graph, kernel, reduction.left, listing_ends) if parts else None
    for number, part in enumerate(parts):
        plain = [_cliques_by(kernel, part, side) for side in (0, 1)]
        its_own = None if listed is None else _maximal_in(adjacent, part, listed, listing_ends)
        seconds = (deadline - time.monotonic()) / (len(parts) - number)
        cover = fewest_cliques(adjacent, part, plain, its_own, seconds)
        cliques.extend(cover.cliques)
        bound += cover.bound
    whole = reduction.lift(cliques)
    chosen = [*forced, *(graph.close(bitset(kernel[edge][0] for edge in bits(clique))) for clique in whole)]
    roles = [Biclique(_expand(c.rows, row_groups), _expand(c.columns, column_groups)) for c in chosen]
    return Cover(tuple(sorted(roles, key=lambda role: (role.columns, role.rows))), bound)


def _listed_cliques(graph: PairGraph, kernel: list[tuple[int, int]], left: int, deadline: float) -> list[int] | None:
    """Return the cliques that the maximal bicliques make of the vertices left, or None where there are too many.

    Too many are also those that are not listed by the deadline, a time of `time.monotonic`.
    """
    by_row, by_column = [0] * len(graph.rows), [0] * len(graph.columns)
    for vertex in bits(left):
        row, column = kernel[vertex]
        by_row[row] |= 1 << vertex
        by_column[column] |= 1 << vertex
    cliques: dict[int, None] = {}
    for number, biclique in enumerate(maximal_bicliques(graph)):
        if number == LISTED_BICLIQUES or time.monotonic() > deadline:
            return None
        cliques[union(by_row, biclique.rows) & union(by_column, biclique.columns)] = None
    return list(cliques)


def _maximal_in(adjacent: list[int], part: int, cliques: list[int], deadline: float) -> list[int] | None:
    """Return those of the cliques that lie in the part and that no vertex of it could join; None after the deadline."""
    found = []
    for clique in cliques:
        if time.monotonic() > deadline:
            return None
        candidates = part if clique & part else 0
        for vertex in bits(clique & part):
            candidates &= adjacent[vertex]
            if not candidates:
                found.append(clique)
                break
    return found


def _distinct(rows: Sequence[int], column_count: int) -> tuple[PairGraph, list[int], list[int]]:
    """Merge equal rows and equal columns; also return the members of each group. Empty ones are in no group."""
    row_groups: dict[int, int] = {}
    for index, members in enumerate(rows):
        if members:
            row_groups[members] = row_groups.get(members, 0) | 1 << index
    distinct = list(row_groups)
    full = PairGraph.of_rows(distinct, column_count)
    column_groups: dict[int, int] = {}
    for index, members in enumerate(full.columns):
        if members:
            column_groups[members] = column_groups.get(members, 0) | 1 << index
    columns = list(column_groups)
    merged = [0] * len(distinct)
    for index, members in enumerate(columns):
        for row in bits(members):
            merged[row] |= 1 << index
    return PairGraph(merged, columns), list(row_groups.values()), list(column_groups.values())


def _expand(members: int, groups: list[int]) -> int:
    expanded = 0
    for member in bits(members):
        expanded |= groups[member]
    return expanded


def _cliques_by(kernel: list[tuple[int, int]], part: int, side: int) -> list[int]:
    """The trivial cover: one clique a row (side 0) or a column (side 1)."""
    groups: dict[int, int] = {}
    for edge in bits(part):
        groups[kernel[edge][side]] = groups.get(kernel[edge][side], 0) | 1 << edge
    return list(groups.values())
