"""Reduce the bipartite graph of role mining without search, and count members of bitsets.

Rows are users, columns are permissions, an edge is a permission that a user holds. A role is a biclique: a set of
rows and a set of columns with every edge between them. The fewest roles that give all users exactly their
permissions are the fewest bicliques that cover every edge.

Before any search the graph shrinks (after Ene, Horne, Milosavljevic, Rao, Schreiber, Tarjan: Fast exact and heuristic
methods for role minimization problems, SACMAT 2008):

* Rows with the same columns, and columns with the same rows, count once.
* An edge (v, q) needs no cover of its own if the graph has another edge (u, p) whose row and column are contained in
  those of v and q: every maximal biclique with (u, p) has (v, q) as well. Rows and columns are distinct, so this is a
  strict order, and all edges but the least ones can be removed at once.
* If the neighbours of an edge form a biclique by themselves, that biclique is the only maximal one with the edge, and
  is chosen.

The remaining edges form a graph of *kernel* edges. Two of them are adjacent if one biclique can hold both; bicliques
are its cliques. Sets of rows, columns and kernel edges are integers with one bit for each member.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rightsize.mining.bitsets import bits_of, mask_of, without

_DENSE = 16
"""A relation is dense if at least one in this number of its pairs is there: then it is turned digit by digit."""


def union_at(sets: Sequence[int], members: int) -> int:
    """Return the union of the sets at the given positions."""
    found = 0
    for member in bits_of(members):
        found |= sets[member]
    return found


def _common(sets: Sequence[int], members: int, whole: int) -> int:
    """Return the part of `whole` that is in all of the sets at the given positions."""
    for member in bits_of(members):
        whole &= sets[member]
    return whole


def transpose(relation: Sequence[int], width: int) -> list[int]:
    """Return for each member the positions of the sets that have it."""
    if sum(map(int.bit_count, relation)) * _DENSE > len(relation) * width:
        # The digits of all sets in a row: those of one member are as far apart as a set is long.
        digits = "".join(format(members, f"0{width}b") for members in relation)
        return [int(digits[width - 1 - member :: width][::-1], 2) for member in range(width)]
    inverse: list[list[int]] = [[] for _ in range(width)]
    for index, members in enumerate(relation):
        for member in bits_of(members):
            inverse[member].append(index)
    return [mask_of(holders) for holders in inverse]


def count_in(digits: list[int], members: int, place: int = 0) -> None:
    """Add 2 ** `place` to the count of each member; `digits[k]` has the members whose count has binary digit k set."""
    while members:
        digits.extend([0] * (place + 1 - len(digits)))
        digits[place], members = digits[place] ^ members, digits[place] & members
        place += 1


def counted_at_least(digits: Sequence[int], least: int) -> int:
    """Return the members whose count, as `count_in` keeps it, is at least `least`, which is positive."""
    more, equal = 0, -1
    for place in reversed(range(max(len(digits), least.bit_length()))):
        digit = digits[place] if place < len(digits) else 0
        if least >> place & 1:
            equal &= digit
        else:
            more |= equal & digit
            equal &= ~digit
    return more | equal


@dataclass(frozen=True, slots=True)
class Biclique:
    """A set of rows and a set of columns with every edge between them."""

    rows: int
    columns: int


@dataclass(slots=True)
class PairGraph:
    """A bipartite graph with distinct, non-empty rows and distinct, non-empty columns."""

    rows: list[int]
    columns: list[int]

    @classmethod
    def of_rows(cls, rows: list[int], column_count: int) -> PairGraph:
        """Build the graph from the columns of each row."""
        return cls(rows, transpose(rows, column_count))

    def columns_of_all(self, rows: int) -> int:
        """Return the columns that all of the rows have."""
        return _common(self.rows, rows, (1 << len(self.columns)) - 1)

    def close(self, rows: int) -> Biclique:
        """Return the maximal biclique of the columns that all given rows have, and of all rows with these columns."""
        columns = self.columns_of_all(rows)
        return Biclique(_common(self.columns, columns, (1 << len(self.rows)) - 1), columns)


def _contained_in(sets: list[int], holders: list[int], deadline: float) -> list[int]:
    """Return for each set the sets that contain it, itself included; `holders` has the sets with each member.

    After the deadline only the set itself is returned.
    """
    supersets: list[int] = []
    for index, members in enumerate(sets):
        if time.monotonic() > deadline:
            return [*supersets, *(1 << other for other in range(index, len(sets)))]
        itself, around = 1 << index, (1 << len(sets)) - 1
        for member in bits_of(members):
            around &= holders[member]
            if around == itself:
                break
        supersets.append(around)
    return supersets


def least_edges(graph: PairGraph, deadline: float = math.inf) -> tuple[list[int], list[int]]:
    """Return for each row the columns whose edge no other edge dominates, and for each row the rows that contain it.

    After the deadline, a time of `time.monotonic`, further edges count as dominated by none.
    """
    row_supersets = _contained_in(graph.rows, graph.columns, deadline)
    row_subsets = transpose(row_supersets, len(row_supersets))
    column_supersets = _contained_in(graph.columns, graph.rows, deadline)
    smaller = [members ^ 1 << column for column, members in enumerate(transpose(column_supersets, len(graph.columns)))]
    over_others = mask_of(column for column, members in enumerate(smaller) if members)
    least: list[int] = []
    for row, columns in enumerate(graph.rows):
        if time.monotonic() > deadline:
            return [*least, *graph.rows[len(least) :]], row_supersets
        below = union_at(graph.rows, row_subsets[row] ^ 1 << row)
        kept = without(columns, below)
        for column in bits_of(kept & over_others):
            if (below | columns) & smaller[column]:
                kept ^= 1 << column
        least.append(kept)
    return least, row_supersets


def reduce_graph(graph: PairGraph, deadline: float = math.inf) -> tuple[list[Biclique], list[int]]:
    """Return bicliques that are all part of some minimum cover, and for each row the columns of its kernel edges.

    After the deadline, a time of `time.monotonic`, nothing more is reduced.
    """
    open_columns, row_supersets = least_edges(graph, deadline)
    forced = []
    for row, around in enumerate(row_supersets):
        if time.monotonic() > deadline:
            break
        for column in bits_of(open_columns[row]):
            is_open = open_columns[row] >> column & 1
            if is_open and graph.columns[column] & around == graph.columns[column]:
                biclique = graph.close(graph.columns[column])
                forced.append(biclique)
                for covered in bits_of(biclique.rows):
                    open_columns[covered] = without(open_columns[covered], biclique.columns)
    return forced, open_columns


def maximal_bicliques(graph: PairGraph) -> Iterator[Biclique]:
    """Yield every maximal biclique once, without recursion.

    A column is added only if it brings no new column before it: each set of columns is then reached in exactly one way
    (after Uno, Asai, Uchida, Arimura: LCM, 2003).
    """
    every_row = (1 << len(graph.rows)) - 1
    stack = [(every_row, graph.columns_of_all(every_row), 0)]
    while stack:
        rows, columns, first = stack.pop()
        if columns:
            yield Biclique(rows, columns)
        for column in range(first, len(graph.columns)):
            bit = 1 << column
            if columns & bit:
                continue
            fewer = rows & graph.columns[column]
            if fewer:
                more = graph.columns_of_all(fewer)
                if not (more ^ columns) & (bit - 1):
                    stack.append((fewer, more, column + 1))


def kernel_graph(graph: PairGraph, kernel: list[tuple[int, int]]) -> list[int]:
    """Return, for each kernel edge, the kernel edges that share a biclique with it."""
    by_row = [0] * len(graph.rows)
    by_column = [0] * len(graph.columns)
    for index, (row, column) in enumerate(kernel):
        by_row[row] |= 1 << index
        by_column[column] |= 1 << index
    # (u, p) and (v, q) fit in one biclique if (u, q) and (v, p) are edges: q is a column of u, and v is a row of p.
    with_column_of: dict[int, int] = {}
    with_row_of: dict[int, int] = {}
    adjacent = []
    for index, (row, column) in enumerate(kernel):
        if row not in with_column_of:
            with_column_of[row] = union_at(by_column, graph.rows[row])
        if column not in with_row_of:
            with_row_of[column] = union_at(by_row, graph.columns[column])
        adjacent.append(with_column_of[row] & with_row_of[column] & ~(1 << index))
    return adjacent


def components(adjacent: list[int], vertices: int) -> list[int]:
    """Return the connected components of a graph limited to the given vertices."""
    unseen = vertices
    parts = []
    while unseen:
        part = frontier = unseen & -unseen
        while frontier:
            frontier = union_at(adjacent, frontier) & vertices & ~part
            part |= frontier
        unseen &= ~part
        parts.append(part)
    return parts
