"""The algebra of permissions: containment, intersection, emptiness and difference, decided for all strings.

A role grants, on each plane, the union over its blocks of (patterns minus not-patterns). To decide whether `big` grants
all that `small` does, each pattern *p* of each small block, minus the block's not-patterns *N*, is looked at alone:

1. The text of *p*, its star read as a letter that nobody names (see `rbac.patterns`), is an operation that small
   grants. If no block of big grants it, it is a witness: done, and this is how most pairs of roles end.
2. If a block grants it and none of the block's not-patterns overlaps *p*, the block grants all of *p*: done.
3. Else that block grants all of *p* but its overlaps with the block's not-patterns. Each overlap is again a
   pattern (or a few, see `intersection`), less *N*, that the other blocks have to grant: back to 1 with one block
   fewer.

Steps 1 and 2 are exact, and so is 3 where strings have one star, as all that Azure accepts. An overlap of patterns
with several stars is handed to the search of `rbac.automaton`, which decides anything.

Whether `X/*/y` matches `X/y` is not known (`rbac.permissions`), so containment has to hold whatever Azure means, where
one string means the same wherever it stands among actions, and likewise among not-actions. For each pattern *p* of a
small block the worst meaning of every string is known at once. Not-actions of the small block are strict: so they are
where big has the same ones, and big's others are generous. Actions of big are strict. Where *p* is a looser form of an
action, big's same action has that form as well: a string that both sides have never speaks against containment.

Conditions: a block of the small side grants at most what it says, so its condition is ignored; a conditional block of
the big side counts only where the small block has the same condition.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import Literal

from rightsize.model.nouns import PermissionBlock, Witness
from rightsize.rbac.automaton import Guard, shortest_string
from rightsize.rbac.patterns import Pattern, intersection, parse_pattern
from rightsize.rbac.permissions import (
    PLANES,
    GrantPlane,
    Loose,
    PatternSet,
    Permissions,
    PlaneBlock,
    ReadBlock,
    Reading,
    Usable,
    answer_of,
    read_permissions,
)
from rightsize.rbac.text import fold
from rightsize.rbac.witness import name_instance

Blocks = Sequence[PermissionBlock] | Permissions
"""A role's permission blocks, or what `read_permissions` made of them: the quicker form when it is asked often."""


def contains(big: Blocks, small: Blocks) -> Witness | None:
    """Return None when `big` grants every string that `small` grants, else an operation that only `small` grants.

    A witness that does not depend on how `/*/` is read comes before one that does.
    """
    first: Witness | None = None
    for witness in witnesses(big, small):
        if not witness.depends_on_reading:
            return witness
        first = first or witness
    return first


def witnesses(big: Blocks, small: Blocks) -> Iterator[Witness]:
    """Yield an operation for each part of `small` that `big` does not grant: control before data.

    A part is a pattern of `small`, or what the not-patterns of `big` cut out of it.
    """
    big, small = read_permissions(big), read_permissions(small)
    for plane in PLANES:
        for block in small.of_plane(plane):
            usable = big.usable(plane, block.condition)
            against = usable.beside(block)
            for pattern in block.allowed.patterns:
                for part in _uncovered(pattern, block.nots, against):
                    yield _witness(part, plane, block, None, against, usable)
            for one in block.loose:
                against = usable.beside(block, one)
                for part in _uncovered(one.form, block.nots, against):
                    yield _witness(part, plane, block, one, against, usable)


def is_empty(blocks: Blocks) -> bool:
    """Return whether blocks grant nothing at all by any reading, on either plane, conditions held to be true."""
    permissions = read_permissions(blocks)
    return not (permissions.control or permissions.data)


def intersects(left: Blocks, right: Blocks) -> bool:
    """Return whether both sides may grant some operation on one plane, conditions held to be true."""
    left, right = read_permissions(left), read_permissions(right)
    return any(
        _blocks_intersect(one, other) for plane in PLANES for one, other in product(left.on(plane), right.on(plane))
    )


def grants(
    blocks: Blocks, operation: str, plane: str, reading: Reading = Reading.MOST
) -> Literal["yes", "no", "conditional"]:
    """Return whether blocks grant an operation by a reading.

    `conditional` means that only blocks with a condition do, whatever the condition says of this operation;
    `rbac.access` asks whether it concerns it.
    """
    return answer_of(read_permissions(blocks).on(plane, reading), fold(operation))


def grants_alike(big: Blocks, small: Blocks, operation: str, plane: str) -> bool:
    """Return whether `big` grants an operation whatever Azure means, as far as `small` does: `contains` for one string.

    Conditions are those of containment.
    """
    big, small, text = read_permissions(big), read_permissions(small), fold(operation)
    for block in small.of_plane(plane):
        usable = big.usable(plane, block.condition)
        for by in (None, *(one for one in block.loose if one.form.matches(text))):
            if block.granting(by).grants(text) and not any(one.grants(text) for one in usable.beside(block, by)):
                return False
    return True


def _uncovered(pattern: Pattern, nots: PatternSet, blocks: Sequence[PlaneBlock]) -> Iterable[Pattern]:
    """Return patterns whose fresh instances are in `pattern`, in none of `nots`, and granted by no block.

    There is none exactly when the blocks grant all of `pattern` but `nots`.
    """
    partial: list[tuple[PlaneBlock, list[Pattern]]] = []
    for block in blocks:
        if block.grants(pattern.text):
            cuts = [cut for cut in block.nots.patterns if cut.overlaps(pattern)]
            if not cuts:
                return ()
            partial.append((block, cuts))
    if not partial:
        return (pattern,)
    holder, cuts = min(partial, key=lambda found: len(found[1]))
    open_cuts = [cut for cut in cuts if not nots.matches(cut.text)]
    if not (pattern.is_simple and all(cut.is_simple for cut in open_cuts)):
        return _search([pattern], nots, blocks)
    return _uncovered_parts(pattern, open_cuts, nots, [block for block in blocks if block is not holder])


def _uncovered_parts(
    pattern: Pattern, cuts: Sequence[Pattern], nots: PatternSet, blocks: Sequence[PlaneBlock]
) -> Iterator[Pattern]:
    """Yield what the blocks leave open of the overlaps of a pattern with others."""
    seen: set[str] = set()
    for cut in cuts:
        for part in intersection(cut, pattern):
            if part.text not in seen and not nots.matches(part.text):
                seen.add(part.text)
                yield from _uncovered(part, nots, blocks)


def _search(required: Sequence[Pattern], nots: PatternSet, blocks: Iterable[PlaneBlock]) -> Iterable[Pattern]:
    guards = [Guard(nots.patterns), *(Guard(block.allowed.patterns, block.nots.patterns) for block in blocks)]
    found = shortest_string(required, guards)
    if found is None:
        return ()
    # No pattern has a space at an end, so whatever matches a string with one there matches it with a letter beside it.
    return (parse_pattern(f"{'*' if found.startswith(' ') else ''}{found}{'*' if found.endswith(' ') else ''}"),)


def _blocks_intersect(one: PlaneBlock, other: PlaneBlock) -> bool:
    nots = PatternSet((*one.nots.patterns, *other.nots.patterns))
    for left, right in product(one.allowed.patterns, other.allowed.patterns):
        if not left.overlaps(right):
            continue
        if left.is_simple and right.is_simple:
            if any(not nots.matches(part.text) for part in intersection(left, right)):
                return True
        elif _search([left, right], nots, ()):
            return True
    return False


def _witness(
    found: Pattern,
    plane: GrantPlane,
    block: ReadBlock,
    by: Loose | None,
    against: Sequence[PlaneBlock],
    usable: Usable,
) -> Witness:
    granting = block.granting(by)

    def is_witness(text: str) -> bool:
        return granting.grants(text) and not any(other.grants(text) for other in against)

    def patterns() -> Iterator[Pattern]:
        for one in (granting, *against):
            yield from one.allowed.patterns
            yield from one.nots.patterns

    name = name_instance(found, plane, is_witness, patterns)
    text = fold(name)
    is_granted = by is None and (not block.loose_nots or block.least.grants(text))
    return Witness(name, plane, depends_on_reading=not is_granted or usable.may_grant(text))
