"""Decide containment, intersection and emptiness of permission blocks for all strings, with a witness for a difference.

A role grants, on each plane, the union over its blocks of (patterns minus not-patterns). To decide whether `big` grants
all that `small` does, each pattern *p* of each small block, minus the block's not-patterns *N*, is checked alone:

1. The text of *p*, with its star read as a letter that no pattern names (see `model.text`), is an operation that
   small grants. If no block of big grants it, it is a witness and the check ends. Most pairs of roles end here.
2. If a block of big grants it and none of that block's not-patterns overlaps *p*, the block grants all of *p*, and the
   check ends.
3. Else that block grants all of *p* except its overlaps with the block's not-patterns. Each overlap is again a
   pattern (or a few, see `intersection`), less *N*, that the other blocks have to grant: go to step 1 with one block
   fewer.

Steps 1 and 2 are exact. Step 3 is exact for strings with one star, and Azure accepts no others. For an overlap of
patterns with several stars, the search of `rbac.witness` decides, which is exact for all patterns.

It is not known whether `X/*/y` matches `X/y`, but one string means the same wherever it stands (`rbac.permissions`).
Containment has to hold for every combination of meanings. For each pattern *p* of a small block, some are settled: its
not-actions are strict, since where one of them being generous matters, the block does not grant; and where *p* is a
looser form of an action, that action is generous. Of what is left, strict is worst for a string that big has only
among its actions, and generous for one that it has only among its not-actions. So the steps above decide, but for the
looser forms of a string that big has among both:

* If such forms are literals, as with the strings that Azure accepts, the steps decide for all other operations, and
  `granted_by_all` for each of these.
* Else the search of `rbac.witness` asks `granted_by_all` of each operation that it meets.

Conditions: a small block grants at most its patterns, so its condition is ignored. A conditional block of big counts
only where the small block has the same condition.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import Literal

from rightsize.model.nouns import PLANES, GrantPlane, PermissionBlock, Witness
from rightsize.model.text import Pattern, fold, intersection, parse_pattern
from rightsize.rbac.permissions import (
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
from rightsize.rbac.witness import Guard, name_instance, shortest_string

Blocks = Sequence[PermissionBlock] | Permissions
"""A role's permission blocks, or the result of `read_permissions` for them, which is faster for repeated questions."""


def contains(big: Blocks, small: Blocks) -> Witness | None:
    """Return None when `big` grants every string that `small` grants, else an operation that only `small` grants.

    A witness that holds for both readings of `/*/` is preferred.
    """
    first: Witness | None = None
    for witness in witnesses(big, small):
        if not witness.depends_on_reading:
            return witness
        first = first or witness
    return first


def witnesses(big: Blocks, small: Blocks) -> Iterator[Witness]:
    """Yield one operation for each part of `small` that `big` does not grant: control plane before data plane.

    A part is a pattern of `small`, or its overlap with not-patterns of `big`.
    """
    big, small = read_permissions(big), read_permissions(small)
    for plane in PLANES:
        for block in small.of_plane(plane):
            usable = big.usable(plane, block.condition)
            for pattern in block.allowed.patterns:
                for part in _not_granted(pattern, block, None, usable):
                    yield _witness(part, plane, block, None, usable)
            for one in block.loose:
                for part in _not_granted(one.form, block, one, usable):
                    yield _witness(part, plane, block, one, usable)


def intersects(left: Blocks, right: Blocks) -> bool:
    """Return whether both sides may grant a common operation on one plane; conditions count as true."""
    left, right = read_permissions(left), read_permissions(right)
    return any(
        _blocks_intersect(one, other)
        for plane in PLANES
        for one, other in product(left.of_plane(plane), right.of_plane(plane))
    )


def grants(
    blocks: Blocks, operation: str, plane: str, reading: Reading = Reading.MOST
) -> Literal["yes", "no", "conditional"]:
    """Return whether blocks grant an operation by a reading.

    `conditional` means that only blocks with a condition grant it. The condition is not evaluated here; `rbac.access`
    decides whether it concerns the operation.
    """
    return answer_of(read_permissions(blocks).of_plane(plane), fold(operation), reading)


def grants_alike(big: Blocks, small: Blocks, operation: str, plane: str) -> bool:
    """Return whether `big` grants an operation by each meaning by which `small` does: `contains` for one string.

    Conditions count as in `contains`.
    """
    big, small, text = read_permissions(big), read_permissions(small), fold(operation)
    for block in small.of_plane(plane):
        usable = big.usable(plane, block.condition)
        for by in (None, *(one for one in block.loose if one.form.matches(text))):
            if block.granting(by).grants(text) and not usable.grants_beside(text, block, by):
                return False
    return True


def _not_granted(pattern: Pattern, block: ReadBlock, by: Loose | None, usable: Usable) -> Iterator[Pattern]:
    """Yield patterns whose fresh instances a small block grants, and big does not by some combination of meanings.

    Args:
        pattern: What the block grants, but for its not-actions.
        block: The small block.
        by: The looser form of an action that `pattern` is; None if it is an action.
        usable: The blocks of big that count.
    """
    meeting = [one.form for one in usable.open_forms(block, by) if one.form.overlaps(pattern)]
    if all(form.is_literal for form in meeting):
        yield from _uncovered(pattern, block.nots, usable.beside(block, by))
        for form in meeting:
            if not block.nots.matches(form.text) and not usable.grants_beside(form.text, block, by):
                yield form
    else:
        guards = [Guard(block.nots.patterns), *map(_guard, usable.blocks)]
        found = shortest_string([pattern], guards, by.source if by else None, block.loose_not_sources)
        if found is not None:
            yield _part(found)


def _guard(block: ReadBlock) -> Guard:
    actions = tuple((one.source, one.form) for one in block.loose)
    return Guard(
        block.allowed.patterns,
        block.nots.patterns,
        actions,
        tuple((one.source, one.form) for one in block.loose_nots),
    )


def _uncovered(pattern: Pattern, nots: PatternSet, blocks: Sequence[PlaneBlock]) -> Iterable[Pattern]:
    """Return patterns whose fresh instances are in `pattern`, in none of `nots`, and granted by no block.

    The result is empty exactly if the blocks grant all of `pattern` except `nots`.
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
    """Yield the parts of the overlaps of a pattern with `cuts` that the blocks do not grant."""
    seen: set[str] = set()
    for cut in cuts:
        for part in intersection(cut, pattern):
            if part.text not in seen and not nots.matches(part.text):
                seen.add(part.text)
                yield from _uncovered(part, nots, blocks)


def _search(required: Sequence[Pattern], nots: PatternSet, blocks: Iterable[PlaneBlock]) -> Iterable[Pattern]:
    guards = [Guard(nots.patterns), *(Guard(block.allowed.patterns, block.nots.patterns) for block in blocks)]
    found = shortest_string(required, guards)
    return () if found is None else (_part(found),)


def _part(found: str) -> Pattern:
    # No pattern begins or ends with a space, so only a star matches a space at an end of a string. Each pattern
    # therefore matches the string with another letter outside that space as well.
    return parse_pattern(f"{'*' if found.startswith(' ') else ''}{found}{'*' if found.endswith(' ') else ''}")


def _blocks_intersect(left: ReadBlock, right: ReadBlock) -> bool:
    """Return whether both blocks grant a common operation by some combination of meanings."""
    if left.loose_sources.isdisjoint(right.loose_not_sources) and right.loose_sources.isdisjoint(
        left.loose_not_sources
    ):
        return _languages_intersect(left.most, right.most)
    return any(
        _languages_intersect(one, other)
        for by, against in product((None, *left.loose), (None, *right.loose))
        for one, other in [(_cut(left, by, against), _cut(right, against, by))]
    )


def _cut(block: ReadBlock, by: Loose | None, other: Loose | None) -> PlaneBlock:
    """Return what a block grants with one looser form of its own, and a generous string of another block."""
    cutting = [one for one in block.loose_nots if other is not None and one.source == other.source]
    granting = block.granting(by)
    return PlaneBlock(block.condition, granting.allowed, granting.nots.with_forms(cutting))


def _languages_intersect(one: PlaneBlock, other: PlaneBlock) -> bool:
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


def _witness(found: Pattern, plane: GrantPlane, block: ReadBlock, by: Loose | None, usable: Usable) -> Witness:
    granting = block.granting(by)

    def is_witness(text: str) -> bool:
        return granting.grants(text) and not usable.grants_beside(text, block, by)

    def patterns() -> Iterator[Pattern]:
        for one in (granting, *(other.most for other in usable.blocks), *(other.least for other in usable.blocks)):
            yield from one.allowed.patterns
            yield from one.nots.patterns

    name = name_instance(found, plane, is_witness, patterns)
    text = fold(name)
    is_granted = by is None and (not block.loose_nots or block.least.grants(text))
    return Witness(name, plane, depends_on_reading=not is_granted or usable.may_grant(text))
