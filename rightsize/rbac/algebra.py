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
from rightsize.rbac.permissions import PLANES, GrantPlane, PatternSet, Permissions, PlaneBlock, read_permissions
from rightsize.rbac.text import fold
from rightsize.rbac.witness import name_instance

Blocks = Sequence[PermissionBlock] | Permissions
"""A role's permission blocks, or what `read_permissions` made of them: the quicker form when it is asked often."""


def contains(big: Blocks, small: Blocks) -> Witness | None:
    """Return None when `big` grants every string that `small` grants, else an operation that only `small` grants."""
    return next(witnesses(big, small), None)


def witnesses(big: Blocks, small: Blocks) -> Iterator[Witness]:
    """Yield an operation for each part of `small` that `big` does not grant: control before data.

    A part is a pattern of `small`, or what the not-patterns of `big` cut out of it.
    """
    big, small = read_permissions(big), read_permissions(small)
    for plane in PLANES:
        for block in small.on(plane):
            against = big.usable(plane, block.condition)
            for pattern in block.allowed.patterns:
                for part in _uncovered(pattern, block.nots, against):
                    yield _witness(part, plane, block, against)


def is_empty(blocks: Blocks) -> bool:
    """Return whether blocks grant nothing at all, on either plane, conditions held to be true."""
    permissions = read_permissions(blocks)
    return not (permissions.control or permissions.data)


def intersects(left: Blocks, right: Blocks) -> bool:
    """Return whether some operation is granted by both sides on one plane, conditions held to be true."""
    left, right = read_permissions(left), read_permissions(right)
    return any(
        _blocks_intersect(one, other) for plane in PLANES for one, other in product(left.on(plane), right.on(plane))
    )


def grants(blocks: Blocks, operation: str, plane: str) -> Literal["yes", "no", "conditional"]:
    """Return whether blocks grant an operation.

    `conditional` means that only blocks with a condition do, whatever the condition says of this operation;
    `rbac.access` asks whether it concerns it.
    """
    text = fold(operation)
    answer: Literal["no", "conditional"] = "no"
    for block in read_permissions(blocks).on(plane):
        if (block.condition is None or answer == "no") and block.grants(text):
            if block.condition is None:
                return "yes"
            answer = "conditional"
    return answer


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


def _witness(found: Pattern, plane: GrantPlane, block: PlaneBlock, against: Sequence[PlaneBlock]) -> Witness:
    def is_witness(text: str) -> bool:
        return block.grants(text) and not any(other.grants(text) for other in against)

    def patterns() -> Iterator[Pattern]:
        for one in (block, *against):
            yield from one.allowed.patterns
            yield from one.nots.patterns

    return Witness(name_instance(found, plane, is_witness, patterns), plane)
