"""Find the narrowest patterns of today's role that grant operations which no explicit action can grant for certain.

Two kinds of use need them. First, an operation that the catalogue lacks: Azure refuses an action that no provider
lists. It accepts a pattern under which a provider lists something (Microsoft Learn, "Azure custom roles"), so the
pattern ends where the catalogue ends: `Microsoft.Network/newThings/write` is granted by `Microsoft.Network/*`, and by
`Microsoft.Network/newThings/*` if the catalogue lists anything of that type. Second, an operation that today's role
grants by only one reading of `/*/`: it keeps today's string.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rightsize.model.nouns import PermissionBlock
from rightsize.propose.core.bitsets import OperationIndex, OperationKey, bits_of
from rightsize.propose.core.read_patterns import PatternPart
from rightsize.propose.core.role_catalog import KnownRole, RoleBook
from rightsize.rbac.algebra import contains, grants, grants_alike, intersects
from rightsize.rbac.permissions import Reading


def unlisted_parts(role: KnownRole, used: Iterable[OperationKey], book: RoleBook) -> tuple[PatternPart, ...]:
    """Return the narrowest patterns within a role that grant the used operations which the catalogue lacks.

    Args:
        role: The role of today.
        used: (plane, operation) of each such operation.
        book: The roles, and the catalogue.
    """
    return tuple(
        dict.fromkeys(
            part for plane, operation in sorted(set(used)) for part in _narrowest(role, plane, operation, book)
        )
    )


def parts_granting(role: KnownRole, plane: str, operation: str) -> list[PatternPart]:
    """Return the narrowest strings of a role that together grant an operation by every reading by which the role does.

    Usually one string is enough. If none grants it for certain, several may be needed: it is not known which one
    grants it.
    """
    granting = list(_granting(role, plane, operation))
    by_any = [part for part in granting if grants([part.block], operation, plane, Reading.LEAST) == "yes"]
    granting = by_any or granting
    outside = [sum(_is_strictly_within(other, part) for other in granting) for part in granting]
    ranked = sorted(zip(outside, granting, strict=True), key=lambda it: (it[0], -len(it[1].patterns[0]), it[1]))
    kept: list[PatternPart] = []
    for _, part in ranked:
        if not grants_alike([one.block for one in kept], [part.block], operation, plane):
            kept.append(part)
    return kept


def _narrowest(role: KnownRole, plane: str, operation: str, book: RoleBook) -> Sequence[PatternPart]:
    today = parts_granting(role, plane, operation)
    if len(today) != 1:
        return today
    for pattern in _accepted(plane, operation, book.index):
        part = PatternPart((pattern,), _meeting(pattern, today[0].not_patterns), plane)
        is_certain = grants([part.block], operation, plane, Reading.LEAST) == "yes"
        if is_certain and _is_strictly_within(part, today[0]):
            return (part,)
    return today


def _granting(role: KnownRole, plane: str, operation: str) -> Iterator[PatternPart]:
    """Yield the patterns of a role that may grant an operation without a condition, with their not-patterns."""
    for block in role.blocks:
        patterns, taken = (
            (block.actions, block.not_actions) if plane == "control" else (block.data_actions, block.not_data_actions)
        )
        for pattern in patterns if block.condition is None else ():
            part = PatternPart((pattern.strip(),), _meeting(pattern, taken), plane)
            if grants([part.block], operation, plane) == "yes":
                yield part


def _accepted(plane: str, operation: str, index: OperationIndex) -> Iterator[str]:
    """Yield the patterns above an operation that Azure accepts, the narrowest first, in the catalogue's spelling.

    If the catalogue lists nothing of the provider, the last pattern is that of the provider: the successful call shows
    that Azure has the provider.
    """
    segments = operation.split("/")
    for length in range(len(segments) - 1, 0, -1):
        pattern = "/".join(segments[:length]) + "/*"
        block = PatternPart((pattern,), (), plane).block
        listed = next(bits_of(index.granted_by([block]) & index.listed), None)
        if listed is not None:
            yield "/".join(index.names[listed][1].split("/")[:length]) + "/*"
        elif length == 1:
            yield pattern


def _meeting(pattern: str, taken_out: Iterable[str]) -> tuple[str, ...]:
    """Return the not-patterns that overlap with a pattern, sorted."""
    single = PermissionBlock(actions=(pattern,))
    return tuple(sorted(text for text in taken_out if intersects([PermissionBlock(actions=(text,))], [single])))


def _is_strictly_within(small: PatternPart, big: PatternPart) -> bool:
    return contains([big.block], [small.block]) is None and contains([small.block], [big.block]) is not None
