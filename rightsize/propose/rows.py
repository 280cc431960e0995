"""Needs as rows of atoms, and the fewest columns of atoms that cover one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import nsmallest

from rightsize.propose.bicliques import bits


@dataclass(frozen=True, slots=True, order=True)
class Row:
    """A need.

    Attributes:
        must: The atoms that have to be granted.
        allowed: The atoms that a new role for it may have; all of `must` among them.
        columns: The atoms that each existing role grants which it may take.
        most: How many roles it may take; 1 or more.
        number: How often the need stands in the plan.
    """

    must: int
    allowed: int
    columns: tuple[int, ...] = ()
    most: int = 3
    number: int = 1


def by_atom(contents: Sequence[int]) -> dict[int, list[int]]:
    """Return the contents by the atom that fewest of them have."""
    counts: dict[int, int] = defaultdict(int)
    for content in contents:
        for atom in bits(content):
            counts[atom] += 1
    index: dict[int, list[int]] = defaultdict(list)
    for number, content in enumerate(contents):
        index[min(bits(content), key=lambda atom: (counts[atom], atom))].append(number)
    return index


def inside(row: Row, contents: Sequence[int], index: dict[int, list[int]]) -> Iterator[int]:
    """Yield the contents that a row may be granted and of which it needs something."""
    for atom in bits(row.allowed):
        for number in index.get(atom, ()):
            if not contents[number] & ~row.allowed and contents[number] & row.must:
                yield number


def is_covered(must: int, columns: Sequence[int], most: int) -> bool:
    """Return whether at most so many columns together have all that must be there."""
    return smallest_cover(must, columns, [0] * len(columns), most) is not None


def smallest_cover(must: int, columns: Sequence[int], costs: Sequence[int], most: int) -> tuple[int, ...] | None:
    """Return the fewest columns that have all that must be there, of these the cheapest, or None.

    Among equally cheap ones those that stand first win.
    """
    if not must:
        return ()
    whole = 0
    for column in columns:
        whole |= column
    if must & ~whole:
        return None
    for size in range(1, most + 1):
        best = _cover_of_size(must, columns, costs, size)
        if best is not None:
            return best[1]
    return None


def _cover_of_size(
    must: int, columns: Sequence[int], costs: Sequence[int], size: int
) -> tuple[int, tuple[int, ...]] | None:
    if size == 1:
        found = [(costs[i], (i,)) for i, column in enumerate(columns) if not must & ~column]
        return min(found, default=None)
    best: tuple[int, tuple[int, ...]] | None = None
    for number in _rarest(must, columns):
        rest = _cover_of_size(must & ~columns[number], columns, costs, size - 1)
        if rest is not None:
            whole = (costs[number] + rest[0], tuple(sorted((number, *rest[1]))))
            best = whole if best is None else min(best, whole)
    return best


_LOOKED_AT = 48


def _rarest(must: int, columns: Sequence[int]) -> list[int]:
    """Return the columns that have the atom which fewest of them have, among the first atoms."""
    fewest: list[int] | None = None
    for turn, atom in enumerate(bits(must)):
        if turn == _LOOKED_AT:
            break
        having = [number for number, column in enumerate(columns) if column >> atom & 1]
        if fewest is None or len(having) < len(fewest):
            fewest = having
            if len(having) <= 1:
                break
    return fewest or []


_CELLS = 6
"""So many atoms of a row are tried as cells of their own, those first that the fewest rows may be granted."""


def independent_cells(rows: Sequence[Row], worth: Callable[[int], int] | None = None) -> list[tuple[int, int]]:
    """Return cells (row, atom) of which no role can grant two: each needs a new role of its own.

    Args:
        rows: The needs.
        worth: Of atoms that equally few rows may be granted those worth most are taken first.
    """
    holders: dict[int, int] = defaultdict(int)
    for number, row in enumerate(rows):
        for atom in bits(row.allowed):
            holders[atom] |= 1 << number
    cells: list[tuple[int, int, int, int]] = []
    for number, row in enumerate(rows):
        hard = row.must
        for column in row.columns:
            hard &= ~column
        ranked = (
            (holders[atom].bit_count(), -worth(atom) if worth else 0, number, atom)
            for atom in bits(hard)
            if atom in holders
        )
        cells.extend(nsmallest(_CELLS, ranked))
    chosen: dict[int, list[int]] = defaultdict(list)
    members = 0
    found = []
    for _, _, number, atom in sorted(cells):
        near = holders[atom] & members
        if any(rows[number].allowed >> other & 1 for one in bits(near) for other in chosen[one]):
            continue
        chosen[number].append(atom)
        members |= 1 << number
        found.append((number, atom))
    return found
