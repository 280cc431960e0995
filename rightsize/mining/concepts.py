"""Cover a table of users and permissions by the known greedy constructions, which need no kernel graph.

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

from rightsize.mining.biclique_kernel import Biclique, PairGraph, bits
from rightsize.mining.cliques import spread_sample

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
    graph: PairGraph, forced: Sequence[Biclique], kernel: Iterable[tuple[int, int]], deadline: float
) -> list[Biclique]:
    """Return the smallest cover of the graph that a known construction gives: at most one role a row or a column.

    Args:
        graph: The users and permissions.
        forced: Bicliques of some smallest cover.
        kernel: The edges (row, column) whose cover, with the forced bicliques, is one of the graph.
        deadline: The monotonic time at which only the covers found so far count.
    """
    flipped = PairGraph(graph.columns, graph.rows)
    by_row, by_column = _by_side(graph, kernel)
    rows = [*forced, *(graph.close(1 << row) for row, open_ in enumerate(by_row) if open_)]
    columns = [*forced, *(_flip(flipped.close(1 << column)) for column, open_ in enumerate(by_column) if open_)]
    covers = [rows, columns] if time.monotonic() < deadline else []
    covers.append([Biclique(1 << row, members) for row, members in enumerate(graph.rows)])
    covers.append([Biclique(members, 1 << column) for column, members in enumerate(graph.columns)])
    allowance = Allowance(deadline, VISITS)
    pool: dict[Biclique, None] = {}
    for table, wanted, base in (
        (graph, by_row, forced),
        (flipped, by_column, forced),
        (graph, graph.rows, ()),
        (flipped, flipped.rows, ()),
    ):
        found = _concept_cover(table, wanted, allowance)
        if found is None:
            break
        found = found if table is graph else [_flip(one) for one in found]
        pool.update(dict.fromkeys(found))
        covers.append([*base, *found])
    if pool:
        covers.append([*forced, *_chosen_from(pool, by_row)])
    covers.sort(key=len)
    return without_spare(covers[0], len(graph.rows)) if time.monotonic() < deadline else covers[0]


def independent_edges(graph: PairGraph, kernel: Sequence[tuple[int, int]], deadline: float) -> int:
    """Return a number of kernel edges of which no biclique has two: as many bicliques are needed at least.

    No two of them are in one row, so each row with few columns adds an edge, of its column with the fewest rows; the
    same is tried with columns in the place of rows. After the deadline no more are added to the first.
    """
    by_row, by_column = _by_side(graph, kernel)
    of_columns = _independent(PairGraph(graph.columns, graph.rows), by_column, deadline)
    return max(of_columns, _independent(graph, by_row, deadline), 1 if kernel else 0)


def _by_side(graph: PairGraph, kernel: Iterable[tuple[int, int]]) -> tuple[list[int], list[int]]:
    """Return for each row its columns, and for each column its rows, in edges of the kernel."""
    by_row, by_column = [0] * len(graph.rows), [0] * len(graph.columns)
    for row, column in kernel:
        by_row[row] |= 1 << column
        by_column[column] |= 1 << row
    return by_row, by_column


def _independent(graph: PairGraph, open_: list[int], deadline: float) -> int:
    around = [members.bit_count() for members in graph.columns]
    count = 0
    for row in sorted(range(len(graph.rows)), key=lambda row: (graph.rows[row].bit_count(), row)):
        if not open_[row]:
            continue
        if time.monotonic() > deadline:
            break
        count += 1
        column = min(bits(open_[row]), key=around.__getitem__)
        for other in bits(graph.columns[column]):
            open_[other] &= ~graph.rows[row]
    return count


def without_spare(cover: Sequence[Biclique], row_count: int) -> list[Biclique]:
    """Return the cover without the bicliques whose edges the others cover; the smallest are dropped first."""
    ordered = sorted(cover, key=lambda one: (one.rows.bit_count() * one.columns.bit_count(), one.rows, one.columns))
    of_row: list[dict[int, int]] = [{} for _ in range(row_count)]
    for number, one in enumerate(ordered):
        for row in bits(one.rows):
            of_row[row][number] = one.columns
    kept = []
    for number, one in enumerate(ordered):
        if any(_is_alone(of_row[row], number) for row in bits(one.rows)):
            kept.append(one)
            continue
        for row in bits(one.rows):
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
        for other in bits(found.rows):
            fewer = left[other] & ~found.columns
            if fewer != left[other]:
                left[other] = fewer
                if fewer:
                    heapq.heappush(queue, (fewer.bit_count(), other))
    return cover


def _best_concept(graph: PairGraph, left: Sequence[int], row: int, allowance: Allowance) -> Biclique | None:
    """Return the best concept on the greedy way from all rows to the given one, or None without allowance."""
    rows, columns = (1 << len(graph.rows)) - 1, 0
    best, most = Biclique(rows, columns), 0
    tried = [min(bits(left[row]), key=lambda column: (graph.columns[column].bit_count(), column))]
    while rows.bit_count() > 1 and tried:
        further, gained = None, -1
        seen = set()
        for column in tried:
            fewer = rows & graph.columns[column]
            if fewer in seen:
                continue
            seen.add(fewer)
            members = list(bits(fewer))
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
        tried = spread_sample(left[row] & ~columns, CANDIDATES)
        if gained > most:
            best, most = further, gained
    return best


def _chosen_from(pool: Iterable[Biclique], wanted: Sequence[int]) -> list[Biclique]:
    """Return bicliques of the pool that cover the wanted columns of each row, the one that covers most first."""
    left = list(wanted)

    def gain(one: Biclique) -> int:
        return sum([(left[row] & one.columns).bit_count() for row in bits(one.rows)])

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
            for row in bits(rows):
                left[row] &= ~columns
    return chosen


def _flip(one: Biclique) -> Biclique:
    return Biclique(one.columns, one.rows)
