"""Find the fewest roles for a table of users and permissions (minimum biclique cover), with a proven lower bound.

First the reductions of `mining.biclique_kernel` are applied. The known constructions then give
a cover. If the kernel is small enough for a graph of its edges, it is reduced as `cliques` does, and each connected
part of it is a minimum clique cover problem, which `clique_cover` solves from the known cover on. Where the whole table
has few enough bicliques, they are listed once and used for every part. Each step has a share of the time that is left,
and looks at the clock within its loops; counts of work stop the steps before on usual machines.

Cover a table of users and permissions by the known greedy constructions, which need no kernel graph.

A *concept* is a maximal biclique. A cover by concepts is built row by row, from the row with the fewest uncovered
columns. Columns are added one at a time: first the one that the fewest rows have, then the one whose concept covers
most, until one row is left. The best concept on the way is taken (after Belohlavek, Vychodil: Discovery of optimal
factors in binary data via a novel method of matrix decomposition, 2010; the order of the rows after Ene et al., 2008).
The same is done with columns in the place of rows, and for the kernel edges alone. At last the concepts of all these
covers are chosen from anew, the one that covers most first. This finds planted roles that no cover by rows, columns or
the kernel finds alone.

Work is limited by a count of visited rows first, and by a deadline only on slow machines.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rightsize.mining.biclique_kernel import (
    Biclique,
    PairGraph,
    components,
    kernel_graph,
    maximal_bicliques,
    reduce_graph,
    transpose,
    union_at,
)
from rightsize.mining.bitsets import bits_of, mask_of, without
from rightsize.mining.clique_cover import fewest_cliques, part_of_time
from rightsize.mining.cliques import reduce_vertices, spread_sample, without_spare
from rightsize.model.progress import step, through

VISITS = 20_000_000
"""The most rows that all covers together visit: some ten seconds."""
CANDIDATES = 128
"""The number of columns that are compared before one is added."""


@dataclass(slots=True)
class Allowance:
    """The rest of a search's budget: a number of visits, and a deadline as a time of `time.monotonic`."""

    deadline: float
    visits: int

    def spend(self, visits: int) -> bool:
        """Take visits, and return whether any are left before the deadline."""
        self.visits -= visits
        return self.visits > 0 and time.monotonic() < self.deadline


def known_cover(
    graph: PairGraph, forced: Sequence[Biclique], open_: Sequence[int], bound: int, deadline: float
) -> list[Biclique]:
    """Return the smallest cover of the graph that a known construction gives: at most one role a row or a column.

    Args:
        graph: The users and permissions.
        forced: Bicliques of some smallest cover.
        open_: For each row the columns whose cover, with the forced bicliques, is one of the graph.
        bound: The size of cover at which no other is tried.
        deadline: The monotonic time at which only the covers found so far count.
    """
    flipped = PairGraph(graph.columns, graph.rows)
    by_column = transpose(open_, len(graph.columns))
    covers = [
        [Biclique(1 << row, members) for row, members in enumerate(graph.rows)],
        [Biclique(members, 1 << column) for column, members in enumerate(graph.columns)],
    ]
    allowance = Allowance(deadline, VISITS)
    pool: dict[Biclique, None] = {}
    for table, wanted, base in (
        (flipped, flipped.rows, ()),
        (graph, graph.rows, ()),
        (flipped, by_column, forced),
        (graph, open_, forced),
    ):
        found = _concept_cover(table, wanted, allowance)
        if found is None:
            break
        found = found if table is graph else [_flip(one) for one in found]
        pool.update(dict.fromkeys(found))
        covers.append([*base, *found])
        if len(covers[-1]) <= bound:
            return covers[-1]
    if pool:
        covers.append([*forced, *_chosen_from(pool, open_)])
    if time.monotonic() < deadline:
        covers.append([*forced, *(graph.close(1 << row) for row, columns in enumerate(open_) if columns)])
    if time.monotonic() < deadline:
        covers.append([*forced, *(_flip(flipped.close(1 << one)) for one, rows in enumerate(by_column) if rows)])
    best = min(covers, key=len)
    return bicliques_without_spare(best, len(graph.rows)) if time.monotonic() < deadline else best


def independent_edges(graph: PairGraph, open_: Sequence[int], deadline: float) -> int:
    """Return a number of kernel edges of which no biclique has two: as many bicliques are needed at least.

    No two of them are in one row, so each row with few columns adds an edge, of its column with the fewest rows; the
    same is tried with columns in the place of rows. After the deadline no more are added to the first.
    """
    of_columns = _independent(PairGraph(graph.columns, graph.rows), transpose(open_, len(graph.columns)), deadline)
    return max(of_columns, _independent(graph, list(open_), deadline), 1 if any(open_) else 0)


def _independent(graph: PairGraph, open_: list[int], deadline: float) -> int:
    around = [members.bit_count() for members in graph.columns]
    count = 0
    for row in sorted(range(len(graph.rows)), key=lambda row: (graph.rows[row].bit_count(), row)):
        if not open_[row]:
            continue
        if time.monotonic() > deadline:
            break
        count += 1
        column = min(bits_of(open_[row]), key=around.__getitem__)
        for other in bits_of(graph.columns[column]):
            open_[other] = without(open_[other], graph.rows[row])
    return count


def bicliques_without_spare(cover: Sequence[Biclique], row_count: int) -> list[Biclique]:
    """Return the cover without the bicliques whose edges the others cover; the smallest are dropped first."""
    ordered = sorted(cover, key=lambda one: (one.rows.bit_count() * one.columns.bit_count(), one.rows, one.columns))
    of_row: list[dict[int, int]] = [{} for _ in range(row_count)]
    for number, one in enumerate(ordered):
        for row in bits_of(one.rows):
            of_row[row][number] = one.columns
    kept = []
    for number, one in enumerate(ordered):
        if any(_is_alone(of_row[row], number) for row in bits_of(one.rows)):
            kept.append(one)
            continue
        for row in bits_of(one.rows):
            del of_row[row][number]
    return kept


def _is_alone(columns_of: dict[int, int], number: int) -> bool:
    """Return whether a biclique gives a row a column that no other one gives it."""
    left = columns_of[number]
    for other, columns in columns_of.items():
        if other != number:
            left &= ~columns
            if not left:
                return False
    return True


def _concept_cover(graph: PairGraph, wanted: Sequence[int], allowance: Allowance) -> list[Biclique] | None:
    """Return concepts that cover the wanted columns of each row, or None where the allowance does not suffice."""
    left = list(wanted)
    queue = [(columns.bit_count(), row) for row, columns in enumerate(left) if columns]
    heapq.heapify(queue)
    cover = []
    while queue:
        size, row = heapq.heappop(queue)
        if size != left[row].bit_count() or not size:
            continue  # Another entry of this row is later in the queue.
        found = _best_concept(graph, left, row, allowance)
        if found is None:
            return None
        cover.append(found)
        for other in bits_of(found.rows):
            fewer = without(left[other], found.columns)
            if fewer != left[other]:
                left[other] = fewer
                if fewer:
                    heapq.heappush(queue, (fewer.bit_count(), other))
    return cover


def _best_concept(graph: PairGraph, left: Sequence[int], row: int, allowance: Allowance) -> Biclique | None:
    """Return the best concept on the greedy way from all rows to the given one, or None without allowance."""
    rows, columns = (1 << len(graph.rows)) - 1, 0
    best, most = Biclique(rows, columns), 0
    tried = [min(bits_of(left[row]), key=lambda column: (graph.columns[column].bit_count(), column))]
    while rows.bit_count() > 1 and tried:
        further, gained = None, -1
        seen = set()
        for column in tried:
            fewer = rows & graph.columns[column]
            if fewer in seen:
                continue
            seen.add(fewer)
            members = list(bits_of(fewer))
            if not allowance.spend(len(members)):
                return None
            shared = graph.rows[row]
            for member in members:
                shared &= graph.rows[member]
            covered = sum([(left[member] & shared).bit_count() for member in members])
            if covered > gained:
                further, gained = Biclique(fewer, shared), covered
        if further is None:
            break
        rows, columns = further.rows, further.columns
        tried = spread_sample(without(left[row], columns), CANDIDATES)
        if gained > most:
            best, most = further, gained
    return best


def _chosen_from(pool: Iterable[Biclique], wanted: Sequence[int]) -> list[Biclique]:
    """Return bicliques of the pool that cover the wanted columns of each row, the one that covers most first."""
    left = list(wanted)

    def gain(one: Biclique) -> int:
        return sum([(left[row] & one.columns).bit_count() for row in bits_of(one.rows)])

    queue = [(-gain(one), one.rows, one.columns) for one in pool]
    heapq.heapify(queue)
    chosen = []
    while queue:
        _, rows, columns = heapq.heappop(queue)
        one = Biclique(rows, columns)
        now = gain(one)
        if now and queue and -now > queue[0][0]:
            heapq.heappush(queue, (-now, rows, columns))
        elif now:
            chosen.append(one)
            for row in bits_of(rows):
                left[row] = without(left[row], columns)
    return chosen


def _flip(one: Biclique) -> Biclique:
    return Biclique(one.columns, one.rows)


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
    forced, open_ = reduce_graph(graph, part_of_time(REDUCING_SHARE, deadline))
    step("covering by known constructions")
    chosen: Sequence[Biclique] = forced
    bound = len(forced)
    if any(open_):
        bound += independent_edges(graph, open_, part_of_time(REDUCING_SHARE, deadline))
        chosen = known_cover(graph, forced, open_, bound, part_of_time(KNOWN_SHARE, deadline))
    if bound < len(chosen) and sum(map(int.bit_count, open_)) <= KERNEL_EDGES:
        kernel = [(row, column) for row, columns in enumerate(open_) for column in bits_of(columns)]
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
    known_cliques = [union_at(by_row, one.rows) & union_at(by_column, one.columns) for one in known]
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
    found = [*forced, *(graph.close(mask_of(kernel[edge][0] for edge in bits_of(clique))) for clique in whole)]
    return min(found, known, key=len), bound


def _kernel_by_side(graph: PairGraph, kernel: list[tuple[int, int]], among: int) -> tuple[list[int], list[int]]:
    """Return for each row, and for each column, its kernel edges among the given ones."""
    by_row, by_column = [0] * len(graph.rows), [0] * len(graph.columns)
    for vertex in bits_of(among):
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
        cliques[union_at(by_row, biclique.rows) & union_at(by_column, biclique.columns)] = None
    return list(cliques)


def _maximal_in(adjacent: list[int], part: int, cliques: list[int], deadline: float) -> list[int] | None:
    """Return the cliques of the part to which no vertex of the part can be added; None after the deadline."""
    found = []
    for clique in cliques:
        if time.monotonic() > deadline:
            return None
        candidates = part if clique & part else 0
        for vertex in bits_of(clique & part):
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
    return (
        PairGraph(transpose(columns, len(distinct)), columns),
        list(row_groups.values()),
        list(column_groups.values()),
    )


def _expand(members: int, groups: list[int]) -> int:
    expanded = 0
    for member in bits_of(members):
        expanded |= groups[member]
    return expanded


def _cliques_by(kernel: list[tuple[int, int]], part: int, side: int) -> list[int]:
    """Return the trivial cover: one clique for each row (side 0) or each column (side 1)."""
    groups: dict[int, int] = {}
    for edge in bits_of(part):
        groups[kernel[edge][side]] = groups.get(kernel[edge][side], 0) | 1 << edge
    return list(groups.values())
