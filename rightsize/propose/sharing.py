"""The fewest new roles for many needs, where nobody may be granted more than is needed.

A *row* is a need: atoms that must be granted, atoms that may be, existing roles that may grant a part, and how many
roles it may take. A new role is a set of atoms; a row may take it where it stays inside what the row may be granted.
Rows and atoms form the bipartite graph of role mining, with two differences: some cells need no cover, and a row takes
few roles, since a person has to review them. `bicliques` and `cover` solve the case without either.

Before any search the instance shrinks. Atoms that no row and no existing role tells apart are one. A row that existing
roles grant goes. A row with a *simplicial* atom (every row that may be granted the atom may be granted all that this
one may) takes a role of its own in some best solution: any role that grants the atom to it may be exchanged for the
largest one that fits it. That role is then there for the others as if it existed. What is left falls into parts that
share no atom; small ones are solved exactly over all intersections of their rows, larger ones greedily. A set of
cells no two of which one role can grant bounds the number of roles from below.

The order of rows matters nowhere: they are sorted by content first, so a part of the answer changes only when the rows
of that part do.
"""

from __future__ import annotations

import math
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from heapq import nsmallest

from rightsize.propose.bicliques import bits
from rightsize.propose.solver import Program, solve

EXACT_ROWS = 120
"""Parts with more rows are solved greedily."""
EXACT_CONTENTS = 1_500
"""So are those whose rows have more intersections."""
SOLVER_SECONDS = 20.0
SOLVER_NODES = 2_000


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


@dataclass(frozen=True, slots=True)
class Sharing:
    """The answer.

    Attributes:
        roles: The atoms of each new role, sorted.
        covers: For each row the roles that it takes: `i` for new role `i`, `-1 - i` for its existing role `i`.
        lower_bound: No answer has fewer new roles.
        is_exact: Every part was solved over all contents that a role could have.
    """

    roles: tuple[int, ...]
    covers: tuple[tuple[int, ...], ...]
    lower_bound: int
    is_exact: bool

    @property
    def assignments(self) -> int:
        """How many roles the rows take."""
        return sum(len(cover) for cover in self.covers)


def share(rows: Sequence[Row]) -> Sharing:
    """Return few new roles that grant each row what it must, and nothing that it may not be granted.

    Args:
        rows: The needs. Each may take a role of its own: `must` lies inside `allowed`.
    """
    compact = _Compact.of(sorted(set(rows)))
    reduced = _reduce(compact.rows)
    contents = list(reduced.roles)
    bound, is_exact = len(contents), True
    for part in _parts(reduced.left):
        found, part_bound, exact = _solve_part(part)
        contents.extend(found)
        bound += part_bound
        is_exact = is_exact and exact
    assigned = _assign(compact.rows, contents)
    return compact.answer(rows, contents, assigned, bound, is_exact=is_exact)


def set_apart(rows: Sequence[Row]) -> Sharing:
    """Return one new role for each distinct need that takes one: the fewest assignments, and the most roles."""
    covers: list[tuple[int, ...]] = []
    contents: list[int] = []
    for row in rows:
        old = smallest_cover(row.must, row.columns, [0] * len(row.columns), row.most)
        if old is None or len(old) > 1:
            beside = smallest_cover(row.must & ~row.allowed, row.columns, [0] * len(row.columns), row.most) or ()
            own = row.must
            for one in beside:
                own &= ~row.columns[one]
            contents.append(own)
            covers.append(tuple(-1 - one for one in beside))
        else:
            contents.append(0)
            covers.append(tuple(-1 - one for one in old))
    roles = tuple(sorted({content for content in contents if content}))
    number_of = {content: number for number, content in enumerate(roles)}
    taken = tuple(
        (*cover, number_of[content]) if content else cover for cover, content in zip(covers, contents, strict=True)
    )
    return Sharing(roles, taken, 0, is_exact=False)


@dataclass(slots=True)
class _Compact:
    """The distinct rows over groups of atoms that nothing tells apart."""

    originals: list[Row]
    rows: list[Row]
    groups: list[int]

    @classmethod
    def of(cls, originals: list[Row]) -> _Compact:
        items = 0
        for row in originals:
            items |= row.must
        masks = sorted({mask & items for row in originals for mask in (row.must, row.allowed, *row.columns)})
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
                allowed=small[row.allowed & items],
                columns=tuple(small[column & items] for column in row.columns),
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
        self, rows: Sequence[Row], contents: list[int], covers: list[tuple[int, ...]], bound: int, *, is_exact: bool
    ) -> Sharing:
        """Leave out of each role what its takers have from existing roles, and drop roles that nobody takes."""
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


@dataclass(slots=True)
class _Reduced:
    """What is decided without search: roles, and the rows that are left, which may take these roles too."""

    roles: list[int]
    left: list[Row]


def _reduce(rows: Sequence[Row]) -> _Reduced:
    open_rows = [row for row in rows if not is_covered(row.must, row.columns, row.most)]
    roles: list[int] = []
    while True:
        found = _simplicial(open_rows)
        if not found:
            return _Reduced(roles, open_rows)
        contents = sorted({open_rows[number].allowed for number in found})
        roles.extend(contents)
        index = _by_atom(contents)
        left = []
        for number, row in enumerate(open_rows):
            if number in found:
                continue
            added = tuple(contents[one] for one in _inside(row, contents, index))
            widened = replace(row, columns=(*row.columns, *added)) if added else row
            if not added or not is_covered(widened.must, widened.columns, widened.most):
                left.append(widened)
        open_rows = left


def _simplicial(rows: Sequence[Row]) -> set[int]:
    """Return the rows that take a role of their own in some best solution."""
    holders: dict[int, int] = defaultdict(int)
    for number, row in enumerate(rows):
        for atom in bits(row.allowed):
            holders[atom] |= 1 << number
    found = set()
    for number, row in enumerate(rows):
        hard = row.must
        for column in row.columns:
            hard &= ~column
        if not hard:
            continue
        wider = -1
        for atom in bits(row.allowed):
            wider &= holders[atom]
            if wider == 1 << number:
                break
        if any(not holders[atom] & ~wider for atom in bits(hard)):
            found.add(number)
    return found


def _by_atom(contents: Sequence[int]) -> dict[int, list[int]]:
    """Return the contents by the atom that fewest of them have."""
    counts: dict[int, int] = defaultdict(int)
    for content in contents:
        for atom in bits(content):
            counts[atom] += 1
    index: dict[int, list[int]] = defaultdict(list)
    for number, content in enumerate(contents):
        index[min(bits(content), key=lambda atom: (counts[atom], atom))].append(number)
    return index


def _inside(row: Row, contents: Sequence[int], index: dict[int, list[int]]) -> Iterator[int]:
    """Yield the contents that a row may be granted and of which it needs something."""
    for atom in bits(row.allowed):
        for number in index.get(atom, ()):
            if not contents[number] & ~row.allowed and contents[number] & row.must:
                yield number


def _parts(rows: Sequence[Row]) -> list[list[Row]]:
    """Return the rows in parts that share no atom which a role could grant to two of them."""
    parent = list(range(len(rows)))

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    first: dict[int, int] = {}
    for number, row in enumerate(rows):
        for atom in bits(row.allowed):
            parent[root(number)] = root(first.setdefault(atom, number))
    parts: dict[int, list[Row]] = defaultdict(list)
    for number, row in enumerate(rows):
        parts[root(number)].append(row)
    return list(parts.values())


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


def _solve_part(rows: list[Row]) -> tuple[list[int], int, bool]:
    """Return the contents of new roles for a part, a lower bound, and whether all contents were considered."""
    greedy = _greedy(rows)
    bound = len(independent_cells(rows))
    if len(greedy) <= bound or len(rows) > EXACT_ROWS:
        return greedy, min(bound, len(greedy)), len(greedy) <= bound
    contents = _intersections(rows)
    if contents is None:
        return greedy, bound, False
    model = _Model.of(rows, contents)
    outcome = solve(model.fewest(), start=model.start(greedy), seconds=SOLVER_SECONDS, nodes=SOLVER_NODES)
    bound = max(bound, math.ceil(outcome.bound) if math.isfinite(outcome.bound) else 0)
    if outcome.values is None:
        return greedy, min(bound, len(greedy)), False
    chosen = model.chosen(outcome.values)
    again = solve(model.briefest(len(chosen)), start=outcome.values, seconds=SOLVER_SECONDS, nodes=SOLVER_NODES)
    if again.values is not None:
        chosen = model.chosen(again.values)
    return chosen, min(bound, len(chosen)), True


def _intersections(rows: Sequence[Row]) -> list[int] | None:
    """Return every intersection of what rows may be granted, or None where there are too many.

    In a best solution each role is the intersection of its takers: a larger one grants no taker less.
    """
    found: set[int] = set()
    for own in sorted({row.allowed for row in rows}):
        found |= {own, *(own & other for other in found)}
        if len(found) > EXACT_CONTENTS:
            return None
    return sorted(content for content in found if content)


def _greedy(rows: Sequence[Row]) -> list[int]:
    """Return contents that suffice: a role for each need, without those that others together replace."""
    contents = sorted({row.allowed for row in rows}, key=lambda content: (-content.bit_count(), content))
    index = _by_atom(contents)
    takers: dict[int, list[Row]] = defaultdict(list)
    options: dict[Row, list[int]] = {}
    for row in rows:
        options[row] = sorted(_inside(row, contents, index))
        for number in options[row]:
            takers[number].append(row)
    alive = set(range(len(contents)))
    for number in range(len(contents)):
        alive.discard(number)
        for row in takers[number]:
            left = [contents[one] for one in options[row] if one in alive]
            if not is_covered(row.must, (*row.columns, *left), row.most):
                alive.add(number)
                break
    return sorted(contents[number] for number in alive)


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


@dataclass(slots=True)
class _Model:
    """A part as a 0/1 program: one column a content, one for each (row, role that it may take)."""

    rows: list[Row]
    contents: list[int]
    takes: list[list[tuple[int, int]]]
    """For each row, its (content, column of the program)."""
    beside: list[list[tuple[int, int]]]
    """For each row, its (existing role, column of the program)."""
    width: int
    _starts: array[int] = field(default_factory=lambda: array("i", [0]))
    _columns: array[int] = field(default_factory=lambda: array("i"))
    _values: array[float] = field(default_factory=lambda: array("d"))
    _lower: array[float] = field(default_factory=lambda: array("d"))
    _upper: array[float] = field(default_factory=lambda: array("d"))

    @classmethod
    def of(cls, rows: list[Row], contents: list[int]) -> _Model:
        width = len(contents)
        takes, beside = [], []
        for row in rows:
            own = [i for i, content in enumerate(contents) if not content & ~row.allowed and content & row.must]
            takes.append([(i, width + position) for position, i in enumerate(own)])
            width += len(own)
            old = [i for i, column in enumerate(row.columns) if column & row.must]
            beside.append([(i, width + position) for position, i in enumerate(old)])
            width += len(old)
        model = cls(rows, contents, takes, beside, width)
        model._constrain()
        return model

    def _add(self, entries: list[tuple[int, float]], lower: float, upper: float) -> None:
        for column, value in entries:
            self._columns.append(column)
            self._values.append(value)
        self._starts.append(len(self._columns))
        self._lower.append(lower)
        self._upper.append(upper)

    def _constrain(self) -> None:
        for row, own, old in zip(self.rows, self.takes, self.beside, strict=True):
            for atom in bits(row.must):
                granting = [column for i, column in own if self.contents[i] >> atom & 1]
                granting += [column for i, column in old if row.columns[i] >> atom & 1]
                self._add([(column, 1.0) for column in granting], 1.0, math.inf)
            self._add([(column, 1.0) for _, column in (*own, *old)], 1.0, float(row.most))
            for i, column in own:
                self._add([(i, 1.0), (column, -1.0)], 0.0, math.inf)

    def _program(self, costs: array[float], most: int | None = None) -> Program:
        starts, columns, values = self._starts[:], self._columns[:], self._values[:]
        lower, upper = self._lower[:], self._upper[:]
        if most is not None:
            columns.extend(range(len(self.contents)))
            values.extend([1.0] * len(self.contents))
            starts.append(len(columns))
            lower.append(0.0)
            upper.append(float(most))
        return Program(costs, lower, upper, starts, columns, values)

    def fewest(self) -> Program:
        """The program for the fewest new roles."""
        costs = array("d", [1.0]) * len(self.contents) + array("d", [0.0]) * (self.width - len(self.contents))
        return self._program(costs)

    def briefest(self, most: int) -> Program:
        """The program for the fewest assignments with so many new roles; then for roles that are one row's whole."""
        whole = {row.allowed for row in self.rows}
        costs = array("d", [0.0 if content in whole else 1.0 for content in self.contents])
        scale = float(len(self.rows) + most + 1)
        for row, own, old in zip(self.rows, self.takes, self.beside, strict=True):
            costs.extend([scale * row.number] * (len(own) + len(old)))
        return self._program(costs, most)

    def start(self, contents: Sequence[int]) -> list[float]:
        """Return a solution of the program with these contents."""
        values = [0.0] * self.width
        number_of = {content: number for number, content in enumerate(self.contents)}
        for content in contents:
            values[number_of[content]] = 1.0
        for row, own, old in zip(self.rows, self.takes, self.beside, strict=True):
            there = [(column, self.contents[i]) for i, column in own if values[i]]
            there += [(column, row.columns[i]) for i, column in old]
            cover = smallest_cover(row.must, [mask for _, mask in there], [0] * len(there), row.most)
            for one in cover or ():
                values[there[one][0]] = 1.0
        return values

    def chosen(self, values: Sequence[float]) -> list[int]:
        """Return the contents of a solution."""
        return [content for content, value in zip(self.contents, values, strict=False) if value]


def _assign(rows: Sequence[Row], contents: Sequence[int]) -> list[tuple[int, ...]]:
    """Return for each row the fewest roles that grant it all: existing ones first, then the smallest."""
    index = _by_atom(contents)
    covers = []
    for row in rows:
        inside = sorted(_inside(row, contents, index))
        columns = [*row.columns, *(contents[one] for one in inside)]
        costs = [0] * len(row.columns) + [1 + (contents[one] & ~row.must).bit_count() for one in inside]
        cover = smallest_cover(row.must, columns, costs, row.most) or ()
        width = len(row.columns)
        covers.append(tuple(-1 - one if one < width else inside[one - width] for one in cover))
    return covers
