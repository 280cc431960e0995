"""Compute few new roles that grant many needs without granting any principal more than it needs, and a lower bound.

A *row* is a need: the atoms that must be granted, the atoms that may be granted, the existing roles that may grant a
part, and the maximum number of roles. A new role is a set of atoms. A row may take a role if the row may be granted
all atoms of the role. Rows and atoms form the bipartite graph of role mining, with two differences: some cells need no
cover, and a row takes few roles, since a person has to review them. `biclique_kernel` reduces the case without these
differences.

Before any search, the problem is reduced. Atoms that occur in the same rows and existing roles become one. Rows that
existing roles grant are removed. An atom of a row is *simplicial* if every row that may be granted the atom may be
granted everything that this row may. A row with a simplicial atom takes a role of its own in some best solution: any
role that grants it the atom can be replaced by the largest role that fits the row. For the other rows, that role then
counts as an existing one. The remaining rows fall into parts that share no atom. Small parts are solved exactly over
all intersections of their rows; larger ones are searched. A set of cells of which no role can grant two gives a lower
bound on the number of roles, and so does a linear program.

The order of rows does not matter: they are sorted by content first, so a part of the answer changes only when the rows
of that part change.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rightsize.model.errors import InternalError
from rightsize.propose.optimize.biclique_kernel import bits, large_bitset
from rightsize.propose.optimize.role_sharing_exact import solve_part
from rightsize.propose.optimize.rows import Holders, NeedRow, RoleContents, is_covered, most_useful, smallest_cover


@dataclass(frozen=True, slots=True)
class Sharing:
    """New roles, and the roles that each row takes.

    Attributes:
        roles: The atoms of each new role, sorted.
        covers: For each row, the roles that it takes: `i` for new role `i`, `-1 - i` for its existing role `i`.
        lower_bound: A lower bound on the number of new roles of every answer.
        is_exact: Whether every part was solved over all contents that a role could have.
    """

    roles: tuple[int, ...]
    covers: tuple[tuple[int, ...], ...]
    lower_bound: int
    is_exact: bool

    @property
    def assignments(self) -> int:
        """The total number of roles that the rows take."""
        return sum(len(cover) for cover in self.covers)


class UnansweredError(InternalError):
    """No allowed number of roles grants everything that a row must be granted, even with a role of its own."""

    def __init__(self, row: NeedRow) -> None:
        super().__init__(f"no {row.most} roles grant all {row.must.bit_count()} parts of a need")
        self.row = row


def share(rows: Sequence[NeedRow]) -> Sharing:
    """Return few new roles that grant each row all that it must have, and nothing that it may not have.

    Args:
        rows: The needs. Each has to be grantable by existing roles, or by a role of its own beside existing ones.

    Raises:
        UnansweredError: A row cannot be granted in either way.
    """
    for row in rows:
        if not (_may_have_own(row) or is_covered(row.must, row.columns, row.most)):
            raise UnansweredError(row)
    compact = _Compact.of(sorted(set(rows)))
    reduced = _reduce(compact.rows)
    contents = list(reduced.roles)
    bound, is_exact = len(contents), True
    for part in _parts(reduced.left):
        found, part_bound, exact = solve_part(part)
        contents.extend(found)
        bound += part_bound
        is_exact = is_exact and exact
    assigned = _assign(compact, contents)
    return compact.answer(rows, contents, assigned, bound, is_exact=is_exact)


def set_apart(rows: Sequence[NeedRow]) -> Sharing:
    """Return one new role for each distinct need that takes a new role: fewest assignments, most roles.

    Arguments and errors are those of `share`.
    """
    covers: list[tuple[int, ...]] = []
    contents: list[int] = []
    for row in rows:
        old = smallest_cover(row.must, row.columns, [0] * len(row.columns), row.most)
        beside = smallest_cover(row.must & ~row.allowed, row.columns, [0] * len(row.columns), row.most - 1)
        if beside is not None and (old is None or len(old) > 1):
            own = row.must
            for one in beside:
                own &= ~row.columns[one]
            contents.append(own)
            covers.append(tuple(-1 - one for one in beside))
        elif old is not None:
            contents.append(0)
            covers.append(tuple(-1 - one for one in old))
        else:
            raise UnansweredError(row)
    roles = tuple(sorted({content for content in contents if content}))
    number_of = {content: number for number, content in enumerate(roles)}
    taken = tuple(
        (*cover, number_of[content]) if content else cover for cover, content in zip(covers, contents, strict=True)
    )
    return Sharing(roles, taken, 0, is_exact=False)


@dataclass(slots=True)
class _Compact:
    """The distinct rows over groups of atoms, where a group holds atoms that always occur together."""

    originals: list[NeedRow]
    rows: list[NeedRow]
    groups: list[int]

    @classmethod
    def of(cls, originals: list[NeedRow]) -> _Compact:
        items = 0
        for row in originals:
            items |= row.must
        masks = sorted({mask & items for row in originals for mask in _masks(row)})
        holders: dict[int, list[int]] = {atom: [] for atom in bits(items)}
        for number, mask in enumerate(masks):
            for atom in bits(mask):
                holders[atom].append(number)
        grouped: dict[tuple[int, ...], int] = defaultdict(int)
        for atom, members in holders.items():
            grouped[tuple(members)] |= 1 << atom
        groups = sorted(grouped.values(), key=lambda group: group & -group)
        bit_of = {(group & -group).bit_length() - 1: number for number, group in enumerate(groups)}
        firsts = 0
        for group in groups:
            firsts |= group & -group
        small = {mask: sum(1 << bit_of[atom] for atom in bits(mask & firsts)) for mask in masks}
        rows = [
            replace(
                row,
                must=small[row.must],
                allowed=small[row.allowed & ~row.common & items] | small[row.common & items],
                columns=tuple(small[column & items] for column in row.columns),
                common=small[row.common & items],
            )
            for row in originals
        ]
        return cls(originals, rows, groups)

    def expand(self, content: int) -> int:
        found = 0
        for number in bits(content):
            found |= self.groups[number]
        return found

    def answer(
        self, rows: Sequence[NeedRow], contents: list[int], covers: list[tuple[int, ...]], bound: int, *, is_exact: bool
    ) -> Sharing:
        """Return the answer, without unused roles and without atoms that all takers get from existing roles."""
        needed = [0] * len(contents)
        for row, cover in zip(self.rows, covers, strict=True):
            left = row.must
            for one in cover:
                if one < 0:
                    left &= ~row.columns[-1 - one]
            for one in cover:
                if one >= 0:
                    needed[one] |= contents[one] & left
        kept = sorted({self.expand(content) for content in needed if content})
        number_of = {content: number for number, content in enumerate(kept)}
        renamed = [number_of.get(self.expand(content), -1) for content in needed]
        by_row = {
            row: tuple(sorted({renamed[one] if one >= 0 else one for one in cover}))
            for row, cover in zip(self.originals, covers, strict=True)
        }
        return Sharing(tuple(kept), tuple(by_row[row] for row in rows), min(bound, len(kept)), is_exact)


def _masks(row: NeedRow) -> Iterator[int]:
    yield row.must
    yield row.allowed & ~row.common
    yield row.common
    yield from row.columns


@dataclass(slots=True)
class _Reduced:
    """The roles that are decided without search, and the remaining rows, which may take these roles too."""

    roles: list[int]
    left: list[NeedRow]


def _reduce(rows: Sequence[NeedRow]) -> _Reduced:
    open_rows = [row for row in rows if not is_covered(row.must, row.columns, row.most)]
    holders = Holders.among(open_rows)
    left = (1 << len(open_rows)) - 1
    roles: list[int] = []
    while True:
        found = [number for number in bits(left) if _is_simplicial(number, open_rows, holders, left)]
        if not found:
            return _Reduced(roles, [open_rows[number] for number in bits(left)])
        contents = sorted({open_rows[number].allowed for number in found})
        roles.extend(contents)
        index = RoleContents(contents)
        left &= ~large_bitset(found)
        covered = []
        for number in bits(left):
            row = open_rows[number]
            added = tuple(contents[one] for one in index.inside(row))
            if added:
                open_rows[number] = row = replace(row, columns=(*row.columns, *added))
                if is_covered(row.must, row.columns, row.most):
                    covered.append(number)
        left &= ~large_bitset(covered)


def _is_simplicial(number: int, rows: Sequence[NeedRow], holders: Holders, left: int) -> bool:
    """Return whether a row takes a role of its own in some best solution."""
    row = rows[number]
    hard = row.must & row.allowed
    for column in row.columns:
        hard &= ~column
    if not hard:
        return False
    wider = holders.all_that(row, left)
    return any(not holders.of[atom] & left & ~wider for atom in bits(hard))


def _parts(rows: Sequence[NeedRow]) -> list[list[NeedRow]]:
    """Return the rows in parts such that no atom may be granted to rows of two parts."""
    parent = list(range(len(rows)))

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    first: dict[int, int] = {}
    having: dict[int, int] = {}
    for number, row in enumerate(rows):
        if row.common:
            parent[root(number)] = root(having.setdefault(row.common, number))
        for atom in bits(row.allowed if having.get(row.common) == number else row.allowed & ~row.common):
            parent[root(number)] = root(first.setdefault(atom, number))
    parts: dict[int, list[NeedRow]] = defaultdict(list)
    for number, row in enumerate(rows):
        parts[root(number)].append(row)
    return list(parts.values())


def _may_have_own(row: NeedRow) -> bool:
    """Return whether existing roles grant all atoms that a row's own role may not have, with room for that role."""
    return is_covered(row.must & ~row.allowed, row.columns, row.most - 1)


def _assign(compact: _Compact, contents: Sequence[int]) -> list[tuple[int, ...]]:
    """Return for each row the fewest roles that grant all of it, preferring existing roles, then the smallest."""
    index = RoleContents(contents)
    covers = []
    for number, row in enumerate(compact.rows):
        every = sorted(index.inside(row))
        cover = _cheapest(row, most_useful(row, every, contents), contents)
        if cover is None:
            cover = _cheapest(row, every, contents)
        if cover is None:
            raise UnansweredError(compact.originals[number])
        covers.append(cover)
    return covers


def _cheapest(row: NeedRow, own: Sequence[int], contents: Sequence[int]) -> tuple[int, ...] | None:
    columns = [*row.columns, *(contents[one] for one in own)]
    costs = [0] * len(row.columns) + [1 + (contents[one] & ~row.must).bit_count() for one in own]
    cover = smallest_cover(row.must, columns, costs, row.most)
    width = len(row.columns)
    return None if cover is None else tuple(-1 - one if one < width else own[one - width] for one in cover)
