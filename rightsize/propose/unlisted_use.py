"""Patterns for used operations that the catalogue lacks: the narrowest that Azure accepts and today's grant contains.

A new role may not name such an operation: Azure refuses a string that no provider lists. It accepts a pattern under
which a provider lists something (Microsoft Learn, "Azure custom roles"), so the pattern ends where the catalogue ends:
`Microsoft.Network/newThings/write` is granted by `Microsoft.Network/*`, and by `Microsoft.Network/newThings/*` where
the catalogue lists anything of that type.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rightsize.model.nouns import PermissionBlock
from rightsize.propose.operation_sets import OperationIndex, OperationKey, bits_of
from rightsize.propose.reads import PatternPart
from rightsize.propose.roles import KnownRole, RoleBook
from rightsize.rbac.algebra import contains, grants, intersects


def unlisted_parts(role: KnownRole, used: Iterable[OperationKey], book: RoleBook) -> tuple[PatternPart, ...]:
    """Return for each used operation that the catalogue lacks the narrowest pattern out of a role that grants it.

    Args:
        role: The role of today.
        used: (plane, operation) of each.
        book: The roles, and the catalogue.
    """
    found = dict.fromkeys(_narrowest(role, plane, operation, book) for plane, operation in sorted(set(used)))
    return tuple(part for part in found if part is not None)


def _narrowest(role: KnownRole, plane: str, operation: str, book: RoleBook) -> PatternPart | None:
    granting = list(_granting(role, plane, operation))
    if not granting:
        return None
    narrowest = [part for part in granting if not any(_is_strictly_within(other, part) for other in granting)]
    today = min(narrowest, key=lambda part: (-len(part.patterns[0]), part))
    for pattern in _accepted(plane, operation, book.index):
        part = PatternPart((pattern,), _meeting(pattern, today.not_patterns), plane)
        if grants([part.block], operation, plane) == "yes" and _is_strictly_within(part, today):
            return part
    return today


def _granting(role: KnownRole, plane: str, operation: str) -> Iterator[PatternPart]:
    """Yield the patterns of a role that grant an operation without a condition, each with what its block takes out."""
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

    Where the catalogue lists nothing of the provider, the pattern of the provider is the last: the call that succeeded
    shows that Azure has it.
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
    """Return the not-patterns that take something out of a pattern, sorted."""
    single = PermissionBlock(actions=(pattern,))
    return tuple(sorted(text for text in taken_out if intersects([PermissionBlock(actions=(text,))], [single])))


def _is_strictly_within(small: PatternPart, big: PatternPart) -> bool:
    return contains([big.block], [small.block]) is None and contains([small.block], [big.block]) is not None
