"""Today's strings for needs that a role grants by one reading of `/*/` only (see `rbac.permissions`).

The operation by its name may be more than is granted today, and to leave it out may take away what is: so the string
stays as it is, with the not-actions that touch it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rightsize.model.nouns import PermissionBlock
from rightsize.propose.operation_sets import OperationKey
from rightsize.propose.reads import PatternPart
from rightsize.propose.roles import KnownRole
from rightsize.rbac.algebra import contains, grants, grants_alike, intersects
from rightsize.rbac.permissions import Reading


def doubtful_parts(role: KnownRole, needed: Iterable[OperationKey]) -> tuple[PatternPart, ...]:
    """Return the narrowest strings of a role that grant what it grants by one reading only, whenever the role does.

    What the role grants for certain, or not at all, is passed over. Mostly an operation takes one string; where several
    strings may each grant it, all stay, since it is not known which one does.
    """
    found = (part for plane, operation in sorted(set(needed)) for part in _narrowest(role, plane, operation))
    return tuple(dict.fromkeys(found))


def _narrowest(role: KnownRole, plane: str, operation: str) -> list[PatternPart]:
    found = list(_granting(role, plane, operation))
    if any(grants([part.block], operation, plane, Reading.LEAST) == "yes" for part in found):
        return []
    breadth = {part: sum(_is_strictly_within(other, part) for other in found) for part in found}
    kept: list[PatternPart] = []
    for part in sorted(breadth, key=lambda part: (breadth[part], -len(part.patterns[0]), part)):
        if not grants_alike([one.block for one in kept], [part.block], operation, plane):
            kept.append(part)
    return kept


def _granting(role: KnownRole, plane: str, operation: str) -> Iterator[PatternPart]:
    """Yield the strings of a role that may grant an operation without a condition, with what their block takes out."""
    for block in role.blocks:
        texts, taken = (
            (block.actions, block.not_actions) if plane == "control" else (block.data_actions, block.not_data_actions)
        )
        for text in texts if block.condition is None else ():
            single = PermissionBlock(actions=(text,))
            meets = tuple(sorted(one for one in taken if intersects([PermissionBlock(actions=(one,))], [single])))
            part = PatternPart((text.strip(),), meets, plane)
            if grants([part.block], operation, plane) == "yes":
                yield part


def _is_strictly_within(small: PatternPart, big: PatternPart) -> bool:
    return contains([big.block], [small.block]) is None and contains([small.block], [big.block]) is not None
