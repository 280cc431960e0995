"""Find the fewest roles for a table of users and permissions (minimum biclique cover), with a proven lower bound.

First the reductions of `mining.biclique_kernel` are applied. The known constructions of `concepts` then give
a cover. If the kernel is small enough for a graph of its edges, it is reduced as `cliques` does, and each connected
part of it is a minimum clique cover problem, which `clique_cover` solves from the known cover on. Where the whole table
has few enough bicliques, they are listed once and used for every part. Each step has a share of the time that is left,
and looks at the clock within its loops; counts of work stop the steps before on usual machines.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from rightsize.mining.biclique_kernel import (
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
from rightsize.mining.clique_cover import fewest_cliques, part_of_time
from rightsize.mining.cliques import reduce_vertices, without_spare
from rightsize.mining.concepts import independent_edges, known_cover
from rightsize.model.progress import step, through

KERNEL_EDGES = 30_000
"""The most kernel edges whose graph is built, 8 bytes for 64 pairs; larger kernels have known constructions only."""
LISTED_BICLIQUES = 100_000
REDUCING_SHARE = 0.25
KNOWN_SHARE = 0.4
LISTING_SHARE = 0.25
"""The share of the time for the listing: a dense table has too many bicliques, and only an endless listing shows it."""
SOLVER_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Cover:
    """A set of roles as (rows, columns) of the input, and a lower bound on the number of roles of any such set."""

    roles: tuple[Biclique, ...]
    lower_bound: int

    @property
    def optimal(self) -> bool:
        """True if the cover is proved to have the fewest roles."""
        return len(self.roles) == self.lower_bound


def minimum_cover(rows: Sequence[int], column_count: int, *, solver_seconds: float = SOLVER_SECONDS) -> Cover:
    """Return the fewest roles that give each row exactly its columns.

    Args:
        rows: For each user the set of permissions, as bits.
        column_count: The number of permissions.
        solver_seconds: The time limit for all parts of the kernel together.
    """
    deadline = time.monotonic() + solver_seconds
    step("reducing users and permissions")
    graph, row_groups, column_groups = _distinct(rows, column_count)
    forced, kernel = reduce_graph(graph, part_of_time(REDUCING_SHARE, deadline))
    step("covering by known constructions")
    chosen: Sequence[Biclique] = forced
    bound = len(forced)
    if kernel:
        chosen = known_cover(graph, forced, kernel, part_of_time(KNOWN_SHARE, deadline))
        bound += independent_edges(graph, kernel, part_of_time(REDUCING_SHARE, deadline))
    if bound < len(chosen) and len(kernel) <= KERNEL_EDGES:
        chosen, searched = _search(graph, forced, kernel, chosen, deadline)
        bound = max(bound, searched)
    roles = [Biclique(_expand(c.rows, row_groups), _expand(c.columns, column_groups)) for c in chosen]
    return Cover(tuple(sorted(roles, key=lambda role: (role.columns, role.rows))), bound)


def _search(
    graph: PairGraph,
    forced: Sequence[Biclique],
    kernel: list[tuple[int, int]],
    known: Sequence[Biclique],
    deadline: float,
) -> tuple[Sequence[Biclique], int]:
    """Return a cover that is no larger than the known one, from a search part by part, with its lower bound."""
    adjacent = kernel_graph(graph, kernel)
    by_row, by_column = _kernel_by_side(graph, kernel, (1 << len(kernel)) - 1)
    known_cliques = [union(by_row, one.rows) & union(by_column, one.columns) for one in known]
    reduction = reduce_vertices(adjacent, (1 << len(kernel)) - 1, part_of_time(REDUCING_SHARE, deadline))
    bound = len(forced) + len(reduction.forced)
    cliques: list[int] = []
    parts = components(adjacent, reduction.left)
    listing_ends = part_of_time(LISTING_SHARE, deadline)
    listed = _listed_cliques(graph, kernel, reduction.left, listing_ends) if parts else None
    for number, part in enumerate(through(parts, "covering what is left", "parts")):
        plain = [_cliques_by(kernel, part, side) for side in (0, 1)]
        constructed = without_spare([clique & part for clique in known_cliques if clique & part], part)
        its_own = None if listed is None else _maximal_in(adjacent, part, listed, listing_ends)
        seconds = (deadline - time.monotonic()) / (len(parts) - number)
        cover = fewest_cliques(adjacent, part, [constructed, *plain], its_own, seconds)
        cliques.extend(cover.cliques)
        bound += cover.bound
    whole = reduction.lift(cliques)
    found = [*forced, *(graph.close(bitset(kernel[edge][0] for edge in bits(clique))) for clique in whole)]
    return min(found, known, key=len), bound


def _kernel_by_side(graph: PairGraph, kernel: list[tuple[int, int]], among: int) -> tuple[list[int], list[int]]:
    """Return for each row, and for each column, its kernel edges among the given ones."""
    by_row, by_column = [0] * len(graph.rows), [0] * len(graph.columns)
    for vertex in bits(among):
        row, column = kernel[vertex]
        by_row[row] |= 1 << vertex
        by_column[column] |= 1 << vertex
    return by_row, by_column


def _listed_cliques(graph: PairGraph, kernel: list[tuple[int, int]], left: int, deadline: float) -> list[int] | None:
    """Return the cliques of the remaining vertices that the maximal bicliques give, or None where there are too many.

    A list that is not complete by the deadline, a time of `time.monotonic`, counts as too long.
    """
    by_row, by_column = _kernel_by_side(graph, kernel, left)
    cliques: dict[int, None] = {}
    for number, biclique in enumerate(maximal_bicliques(graph)):
        if number == LISTED_BICLIQUES or time.monotonic() > deadline:
            return None
        cliques[union(by_row, biclique.rows) & union(by_column, biclique.columns)] = None
    return list(cliques)


def _maximal_in(adjacent: list[int], part: int, cliques: list[int], deadline: float) -> list[int] | None:
    """Return the cliques of the part to which no vertex of the part can be added; None after the deadline."""
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
    """Return the graph with equal rows and equal columns merged, and the members of each group of rows and columns.

    Empty rows and columns are in no group.
    """
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
    """Return the trivial cover: one clique for each row (side 0) or each column (side 1)."""
    groups: dict[int, int] = {}
    for edge in bits(part):
        groups[kernel[edge][side]] = groups.get(kernel[edge][side], 0) | 1 << edge
    return list(groups.values())
