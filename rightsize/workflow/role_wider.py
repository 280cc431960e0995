"""Find what a role grants at a scope that a principal does not hold there, by the algebra of roles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from rightsize.model.nouns import PermissionBlock, Witness
from rightsize.rbac.algebra import grants, grants_alike, witnesses
from rightsize.rbac.expand import GrantedOperation
from rightsize.rbac.permissions import Reading
from rightsize.rbac.scopes import Scope
from rightsize.workflow.tenant_access import TenantAccess

_WITNESSES = 5


@dataclass(frozen=True, slots=True)
class HeldAccess:
    """What a principal may do today, to compare a new role with it.

    Attributes:
        tenant: The access of the tenant.
        principal_id: The principal.
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
