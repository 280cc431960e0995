"""Represent needs as rows of atoms, index roles by atom, and find the fewest roles that cover a row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from heapq import nlargest, nsmallest
from operator import and_

from rightsize.propose.optimize.biclique_kernel import bits, large_bitset

_USEFUL = 40


@dataclass(frozen=True, slots=True, order=True)
class NeedRow:
    """A need as a row of atoms.

    Attributes:
        must: The atoms that have to be granted.
        allowed: The atoms that a new role for it may have.
        columns: For each existing role that it may take, the atoms that the role grants.
        most: The maximum number of roles that it takes; 1 or more.
        number: The number of times that the need occurs in the plan.
        common: A part of `allowed` that many rows share as a whole. Beyond it, they are allowed only the atoms in
            `must`. It makes queries over all rows fast.
    """

    must: int
    allowed: int
    columns: tuple[int, ...] = ()
    most: int = 3
    number: int = 1
    common: int = 0


@dataclass(frozen=True, slots=True)
class Holders:
    """An index of the rows by the atoms that they may be granted.

    Attributes:
        of: For each atom, the rows that may be granted it.
        whole: For each `common` part of rows, the rows that may be granted all of it.
    """

    of: Mapping[int, int]
    whole: Mapping[int, int]

    @classmethod
    def among(cls, rows: Sequence[NeedRow]) -> Holders:
        """Build the index of the given rows."""
        single: dict[int, list[int]] = defaultdict(list)
        sharing: dict[int, list[int]] = defaultdict(list)
        for number, row in enumerate(rows):
            for atom in bits(row.allowed & ~row.common):
                single[atom].append(number)
            if row.common:
                sharing[row.common].append(number)
        of: dict[int, int] = {atom: large_bitset(members) for atom, members in single.items()}
        for common, members in sharing.items():
            those = large_bitset(members)
            for atom in bits(common):
                of[atom] = of.get(atom, 0) | those
        whole = {common: reduce(and_, (of[atom] for atom in bits(common))) for common in sharing}
        return cls(of, whole)

    def all_that(self, row: NeedRow, among: int) -> int:
        """Return those of the rows in `among` that may be granted everything that the given row may."""
        found = among & self.whole.get(row.common, -1)
        for atom in bits(row.allowed & ~row.common):
            found &= self.of[atom]
        return found


@dataclass(frozen=True, slots=True)
class RoleContents:
    """An index of role contents by the rarest atom of each content."""

    listed: Sequence[int]
    _by_atom: Mapping[int, list[int]] = field(init=False)
    _atoms: int = field(init=False)

    def __post_init__(self) -> None:
        counts: dict[int, int] = defaultdict(int)
        for content in self.listed:
            for atom in bits(content):
                counts[atom] += 1
        found: dict[int, list[int]] = defaultdict(list)
        for number, content in enumerate(self.listed):
            found[min(bits(content), key=lambda atom: (counts[atom], atom))].append(number)
        object.__setattr__(self, "_by_atom", found)
        object.__setattr__(self, "_atoms", large_bitset(list(found)))

    def inside(self, row: NeedRow) -> Iterator[int]:
        """Yield the numbers of the contents that a row may be granted and that have an atom it needs."""
        for atom in bits(row.allowed & self._atoms):
            for number in self._by_atom[atom]:
                content = self.listed[number]
                if not content & ~row.allowed and content & row.must:
                    yield number


def most_useful(row: NeedRow, numbers: Iterable[int], contents: Sequence[int]) -> list[int]:
    """Return the contents with the most atoms that a row must be granted, sorted, as candidates for its cover.

    If hundreds of contents fit, nearly all are tiny, and trying all triples of them takes longer than it is worth.
    """
    return sorted(nlargest(_USEFUL, numbers, key=lambda one: ((contents[one] & row.must).bit_count(), -one)))


def is_covered(must: int, columns: Sequence[int], most: int) -> bool:
    """Return whether at most `most` columns together have all atoms in `must`."""
    return smallest_cover(must, columns, [0] * len(columns), most) is not None


def smallest_cover(must: int, columns: Sequence[int], costs: Sequence[int], most: int) -> tuple[int, ...] | None:
    """Return the fewest columns that together have all atoms in `must`, the cheapest such choice, or None.

    Among equally cheap choices, the one with the first columns wins.
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
    """Return the columns that have the rarest of the first atoms."""
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
"""Maximum number of atoms of a row that are tried as cells, those first that the fewest rows may be granted."""


def independent_cells(rows: Sequence[NeedRow], worth: Callable[[int], int] | None = None) -> list[tuple[int, int]]:
    """Return cells (row, atom) such that no role can grant two of them: each needs a new role of its own.

    Args:
        rows: The needs.
        worth: The worth of an atom. Among atoms that equally few rows may be granted, those worth most come first.
    """
    holders = Holders.among(rows).of
    counts = {atom: members.bit_count() for atom, members in holders.items()}
    cells: list[tuple[int, int, int, int]] = []
    for number, row in enumerate(rows):
        hard = row.must
        for column in row.columns:
            hard &= ~column
        ranked = ((counts[atom], -worth(atom) if worth else 0, number, atom) for atom in bits(hard) if atom in counts)
        cells.extend(nsmallest(_CELLS, ranked))
    takers: dict[int, int] = defaultdict(int)
    taken = 0
    found = []
    for _, _, number, atom in sorted(cells):
        if any(takers[other] & holders[atom] for other in bits(rows[number].allowed & taken)):
            continue
        takers[atom] |= 1 << number
        taken |= 1 << atom
        found.append((number, atom))
    return found
