"""Say what roles may grant in future: patterns, and built-in roles, which Azure changes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from rightsize.model.errors import InternalError
from rightsize.model.nouns import PermissionBlock
from rightsize.model.plan import Growth
from rightsize.propose.core.bitsets import OperationIndex
from rightsize.propose.core.role_catalog import RoleBook, RoleChoice
from rightsize.rbac.algebra import grants
from rightsize.rbac.text import Folded, fold

_STAR = "*"
_MOST_TRIED = 100
_ENDS = ("/action", "/write", "/delete", "/read", "")


@dataclass(frozen=True, slots=True)
class Opening:
    """The future operations that a pattern would match.

    Attributes:
        language: A description of the operations that it matches.
        example: An operation that it matches and that the catalogue does not have.
    """

    language: str
    example: str


def describe_opening(pattern: str, plane: str, taken_out: Sequence[str], index: OperationIndex) -> Opening:
    """Return the operations that a pattern, without its role's not-patterns, would grant once Azure adds them.

    There are always such operations: a pattern matches infinitely many names.
    """
    head, _, tail = pattern.strip().partition(_STAR)
    ending = f" {'and' if head else 'that'} ends in `{tail}`" if tail else ""
    block = _one_block(plane, pattern, taken_out)
    for end, number in product((tail,) if tail else _ENDS, range(1, _MOST_TRIED)):
        name = f"{head or 'New.Provider/'}added{number if number > 1 else ''}{end}"
        if index.bit(plane, fold(name)) is None and grants([block], name, plane) == "yes":
            below = f"that begins with `{head}`" if head else "of any resource provider"
            return Opening(f"every operation {below}{ending}", name)
    raise InternalError(f"no operation can be named that the pattern `{pattern}` leaves open")


def what_may_grow(placements: Iterable[tuple[Folded, RoleChoice]], book: RoleBook) -> tuple[Growth, ...]:
    """Return the assigned roles that may grant more in the future, sorted.

    Args:
        placements: (role id, role choice) of each role that is assigned.
        book: The roles.
    """
    found = set()
    for role_id, choice in placements:
        known = book.roles.get(role_id)
        if choice.content is not None and choice.content.wildcards:
            found.add(Growth(role_id, "patterns"))
        elif choice.content is None and known is not None and known.is_builtin:
            found.add(Growth(role_id, "built_in"))
    return tuple(sorted(found))


def _one_block(plane: str, text: str, taken_out: Sequence[str]) -> PermissionBlock:
    if plane == "control":
        return PermissionBlock(actions=(text,), not_actions=tuple(taken_out))
    return PermissionBlock(data_actions=(text,), not_data_actions=tuple(taken_out))
