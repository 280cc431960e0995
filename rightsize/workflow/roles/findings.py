"""Find for the check of a drafted role what is wrong with its strings, what it adds, and what goes beside its use.

Azure or its clients ask for some operations beside those that were used. No log shows these, so a draft that leaves
one out may break what was used.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any

from rightsize.model.nouns import PLANES, PermissionBlock, Planes, Witness
from rightsize.model.text import Folded, fold, is_read, loosened, parse_pattern
from rightsize.propose.needs.unlogged import sibling_reads, type_of, types_around
from rightsize.rbac.algebra import grants, grants_alike, witnesses
from rightsize.rbac.expand import Catalogue, GrantedOperation
from rightsize.rbac.permissions import Reading
from rightsize.rbac.scopes import Scope
from rightsize.rules.operations import status_reads
from rightsize.rules.resource_types import linked_writes, names_a_write, rules_out
from rightsize.workflow.tenant_access import TenantAccess

_LISTS = (
    ("actions", "control"),
    ("not_actions", "control"),
    ("data_actions", "data"),
    ("not_data_actions", "data"),
)


def describe_strings(
    blocks: Sequence[PermissionBlock], operations: Sequence[tuple[str, Planes]], used: Collection[tuple[str, Folded]]
) -> list[dict[str, Any]]:
    """Return `{string, list, operations, used, problem}` for each string of permission blocks, in their order.

    Args:
        blocks: The blocks.
        operations: The catalogue: each name with its known planes, empty if they are unknown.
        used: The (plane, folded operation) of the use that counts in `used`.
    """
    index = Catalogue([name for name, _ in operations])
    rows = []
    for field, plane in _LISTS:
        for text in dict.fromkeys(text for block in blocks for text in getattr(block, field)):
            pattern = parse_pattern(text)
            found = set[int]().union(*(index.matching(one) for one in (pattern, *loosened(pattern))))
            names = [operations[at][0] for at in found if plane in (operations[at][1] or PLANES)]
            rows.append(
                {
                    "string": text,
                    "list": field,
                    "operations": len(names),
                    "used": sum((plane, fold(name)) in used for name in names),
                    "problem": _problem(text, len(names) if operations else None, grants=not field.startswith("not_")),
                }
            )
    return rows


def _problem(text: str, operations: int | None, *, grants: bool) -> str | None:
    """Return what is wrong with a string; `operations` is None where no catalogue is loaded."""
    pattern = parse_pattern(text)
    if not pattern.is_simple:
        return "several_stars: Azure accepts one `*` in a string"
    if operations == 0:
        return "matches_nothing: no operation of the catalogue matches it on this plane"
    if grants and not pattern.is_literal and not is_read(pattern.text):
        return "wildcard: it also grants what Azure adds later"
    return None


_WITNESSES = 5


@dataclass(frozen=True, slots=True)
class HeldAccess:
    """What a principal may do today, to compare a new role with it.

    Attributes:
        is_eligible: Whether the role would be eligible, so that what waits for an activation is held alike.
    """

    tenant: TenantAccess
    principal_id: str
    is_eligible: bool

    def find_wider(
        self, role: Sequence[PermissionBlock], granted: Iterable[GrantedOperation], place: Scope
    ) -> dict[str, Any] | None:
        """Return what a role grants at a scope beyond what the principal holds there; None where that is nothing.

        Args:
            role: The blocks of the role.
            granted: The operations of the catalogue that it grants.
            place: The scope.

        Returns:
            scope: The scope.
            held_otherwise: Whether all of it is held, but only after an activation or under a condition.
            operations: The number of such operations in the catalogue.
            witnesses: These operations; where there are none, some that the algebra makes.
        """
        alike, every = self._held_at(place)
        made = some_witnesses(alike, role)
        if not made:
            return None
        beyond = some_witnesses(every, role)
        big = every if beyond else alike
        real = [_row(one, listed=True) for one in granted if _is_beyond(big, role, one)]
        return {
            "scope": place.text,
            "held_otherwise": not beyond,
            "operations": len(real),
            "witnesses": real or beyond or made,
        }

    def _held_at(self, place: Scope) -> tuple[tuple[PermissionBlock, ...], tuple[PermissionBlock, ...]]:
        """Return the blocks that the principal holds at a scope as the role would be held, and all of them.

        Those are the permanent ones without a condition on their assignment; for an eligible role also those that wait
        for an activation.
        """
        alike: list[PermissionBlock] = []
        others: list[PermissionBlock] = []
        access = self.tenant.access
        held = [(one, one.state != "active") for one, _ in access.reaching(self.principal_id, place)]
        held += [(one, True) for _, some in access.asleep(self.principal_id, place) for one in some]
        for assignment, waits in held:
            is_alike = not assignment.condition and (self.is_eligible or not waits)
            (alike if is_alike else others).extend(self.tenant.blocks_of(assignment.role_definition_id))
        every = [replace(one, condition=None, condition_version=None) for one in (*alike, *others)]
        return tuple(dict.fromkeys(alike)), tuple(dict.fromkeys(every))


def some_witnesses(big: Sequence[PermissionBlock], small: Sequence[PermissionBlock]) -> list[dict[str, Any]]:
    """Return some operations that only `small` grants, as the algebra makes them: none of a catalogue."""
    return [_row(one, listed=False) for one in islice(dict.fromkeys(witnesses(big, small)), _WITNESSES)]


def _is_beyond(big: Sequence[PermissionBlock], role: Sequence[PermissionBlock], one: GrantedOperation) -> bool:
    if grants(big, one.operation, one.plane, Reading.LEAST) == "yes":
        return False
    return not grants_alike(big, role, one.operation, one.plane)


def _row(one: Witness | GrantedOperation, *, listed: bool) -> dict[str, Any]:
    return {"operation": one.operation, "plane": one.plane, "in_catalogue": listed}


_LOCATIONS = "/locations"


class AskedByUse:
    """The operations of the control plane that a principal used.

    Args:
        used: Their names, in any spelling.
    """

    def __init__(self, used: Iterable[str]) -> None:
        self._spelt = {fold(name): name for name in sorted(used)}
        self._writes = sorted(name for name in self._spelt if not is_read(name))

    def reason_for(self, operation: str) -> str | None:
        """Return why an operation may be needed beside what was used; None where no rule says so.

        Returns:
            `checked_inside WRITE`: Azure checks it inside a used write. `read_of_a_used_type`: it reads a type that was
            used, a parent of one, or resource groups. `status_of_a_used_write`: clients follow a used write by it.
        """
        name = fold(operation)
        for text in linked_writes(name):
            pattern, is_known = parse_pattern(text), names_a_write(text)
            causes = (one for one in self._writes if pattern.matches(one) and (is_known or not rules_out(name, one)))
            inside = next(causes, None)
            if inside is not None:
                return f"checked_inside {self._spelt[inside]}"
        if name in self._reads:
            return "read_of_a_used_type"
        above = type_of(name).rpartition("/")[0].removesuffix(_LOCATIONS)
        is_status = any(parse_pattern(pattern).matches(name) for pattern, _ in status_reads())
        return "status_of_a_used_write" if is_status and above in self._types else None

    @cached_property
    def _reads(self) -> set[Folded]:
        used = [("control", name) for name in sorted(self._spelt)]
        return {name for _, name in sibling_reads(used)} if used else set()

    @cached_property
    def _types(self) -> set[str]:
        return {kind for name in self._writes for kind in types_around(type_of(name))}
