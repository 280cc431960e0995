"""Roles over a catalogue: which of its operations each role grants.

Every distinct pattern is looked up once, in an index made for it: a literal in a dictionary, `beginning*` as a range of
the sorted names, `*end` as a range of the reversed ones, anything else by matching the smaller of the two ranges. A
role is then a few set operations.

An operation is on the planes that the caller knows it to be on. One whose plane nobody knows is on both, whatever
roles spell out, so that no grant of it is overlooked: a guess must not hide a permission.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from rightsize.model.nouns import PermissionBlock
from rightsize.rbac.patterns import Pattern
from rightsize.rbac.permissions import PLANES, GrantPlane, PatternSet, Permissions, Reading, answer_of, read_permissions
from rightsize.rbac.text import fold

Planes = tuple[GrantPlane, ...]
"""The planes that an operation is known to be on; none where nobody knows."""


class Catalogue:
    """An index over the names of operations; positions are those of the sequence that it was made from."""

    def __init__(self, operations: Sequence[str]) -> None:
        self.operations = tuple(operations)
        self.folded = tuple(fold(name) for name in self.operations)
        self._positions: dict[str, list[int]] = {}
        for position, name in enumerate(self.folded):
            self._positions.setdefault(name, []).append(position)
        self._sorted = sorted(self._positions)
        self._reversed = sorted(name[::-1] for name in self._sorted)
        self._found: dict[str, frozenset[int]] = {}

    def matching(self, pattern: Pattern) -> frozenset[int]:
        """Return the positions of the operations that a pattern matches."""
        if pattern.text not in self._found:
            names = [pattern.text] if pattern.is_literal else self._names_matching(pattern)
            self._found[pattern.text] = frozenset(chain.from_iterable(self._positions.get(name, ()) for name in names))
        return self._found[pattern.text]

    def matching_any(self, patterns: PatternSet) -> set[int]:
        """Return the positions of the operations that some pattern matches."""
        return set[int]().union(*map(self.matching, patterns.patterns))

    def _names_matching(self, pattern: Pattern) -> list[str]:
        head, tail = pattern.pieces[0], pattern.pieces[-1][::-1]
        heads = _range_of(self._sorted, head)
        tails = _range_of(self._reversed, tail)
        if len(heads) <= len(tails):
            return [name for at in heads if pattern.matches(name := self._sorted[at])]
        return [name for at in tails if pattern.matches(name := self._reversed[at][::-1])]


def _range_of(names: list[str], head: str) -> range:
    width = len(head)
    return range(bisect_left(names, head), bisect_right(names, head, key=lambda name: name[:width]))


class GrantedOperation(NamedTuple):
    """A role grants an operation on a plane, by the reading `MOST`: no grant is overlooked.

    `conditional` where only blocks with a condition do.
    """

    role: str
    operation: str
    plane: GrantPlane
    conditional: bool


def expand_roles(
    roles: Mapping[str, Sequence[PermissionBlock] | Permissions], operations: Sequence[tuple[str, Planes]]
) -> Iterator[GrantedOperation]:
    """Yield every operation of a catalogue that each role grants, role by role, in the order of both.

    Args:
        roles: Any name of a role to its permission blocks.
        operations: Each name with the planes that it is known to be on, none where nobody knows.
    """
    catalogue = Catalogue([name for name, _ in operations])
    on = {plane: {at for at, (_, known) in enumerate(operations) if plane in (known or PLANES)} for plane in PLANES}
    for role, blocks in roles.items():
        permissions = read_permissions(blocks)
        for plane in PLANES:
            always, under_condition = granted_positions(permissions, plane, catalogue)
            for position in sorted((always | under_condition) & on[plane]):
                yield GrantedOperation(role, catalogue.operations[position], plane, position not in always)


def granted_positions(
    permissions: Permissions, plane: str, catalogue: Catalogue, reading: Reading = Reading.MOST
) -> tuple[set[int], set[int]]:
    """Return the positions that some block without a condition grants, and those that one with a condition does."""
    always, under_condition = set[int](), set[int]()
    for block in permissions.on(plane, reading):
        granted = catalogue.matching_any(block.allowed) - catalogue.matching_any(block.nots)
        (always if block.condition is None else under_condition).update(granted)
    return always, under_condition


def doubtful_positions(permissions: Permissions, plane: str, catalogue: Catalogue) -> set[int]:
    """Return the positions that are granted by the reading `MOST`, and not, or only conditionally, by `LEAST`."""
    near = set[int]().union(*map(catalogue.matching, permissions.loose_forms(plane)))
    most, least = permissions.on(plane), permissions.on(plane, Reading.LEAST)
    return {
        position
        for position in near
        if answer_of(most, catalogue.folded[position]) != answer_of(least, catalogue.folded[position])
    }


def planes_spelling_out(permissions: Iterable[Permissions], operation: str) -> tuple[GrantPlane, ...]:
    """Return the planes on which some role spells an operation out in full, granting or excluding it."""
    text, read = fold(operation), tuple(permissions)
    return tuple(plane for plane in PLANES if any(text in one.spelt_out[plane] for one in read))
