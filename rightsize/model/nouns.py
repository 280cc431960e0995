"""Define the objects that a person reviews: roles, assignments, denies, decisions; frozen, without RBAC logic.

Bulk data never takes this form; it stays in the columns that `tables` declares.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from rightsize.model.text import Folded

Plane = Literal["control", "data", "graph", "directory", "trust", "vault"]
GrantPlane = Literal["control", "data"]
PLANES: tuple[GrantPlane, ...] = ("control", "data")
Planes = tuple[GrantPlane, ...]
"""The known planes of an operation; empty if they are unknown."""

AssignmentState = Literal["active", "eligible", "activated"]
LAYERS = (
    "host_integrity",
    "compute_isolation",
    "network_segmentation",
    "data_protection",
    "identity_control",
    "monitoring",
)
"""The layers of defence, from the inside to the outside; the order in which layers are shown everywhere."""

DONE_BY = ("all", "most", "few")
"""How many of the holders of a job use an operation; most are at least half."""


@dataclass(frozen=True, slots=True)
class PermissionBlock:
    """One {actions, notActions, dataActions, notDataActions} of a role, with the condition inside the definition."""

    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()
    not_data_actions: tuple[str, ...] = ()
    condition: str | None = None
    condition_version: str | None = None


@dataclass(frozen=True, slots=True)
class RoleDefinition:
    """An Azure RBAC role. `role_definition_id` is the dashed lower-case GUID, or empty where a file has none.

    `is_decided` is false where conditions of a template decide what it grants; it has the blocks of all sides then.
    """

    role_definition_id: Folded
    role_name: str
    permissions: tuple[PermissionBlock, ...]
    role_type: Literal["BuiltInRole", "CustomRole"] = "CustomRole"
    description: str = ""
    assignable_scopes: tuple[str, ...] = ()
    is_decided: bool = field(default=True, compare=False)


@dataclass(frozen=True, slots=True)
class RoleAssignment:
    """A principal, a role and a scope; `state` is active, eligible or activated."""

    role_assignment_id: str
    principal_id: str
    role_definition_id: str
    scope: str
    state: AssignmentState = "active"
    condition: str | None = None


@dataclass(frozen=True, slots=True)
class DenyAssignment:
    """Permissions that are refused, whatever roles grant.

    `principal_ids` may hold the zero GUID, which means everybody; groups match through membership.
    """

    deny_assignment_id: str
    scope: str
    permissions: tuple[PermissionBlock, ...]
    principal_ids: tuple[str, ...]
    exclude_principal_ids: tuple[str, ...] = ()
    does_not_apply_to_child_scopes: bool = False
    condition: str | None = None


@dataclass(frozen=True, slots=True)
class Witness:
    """An operation that one side grants and the other does not.

    `depends_on_reading` is true where it does so only by one reading of `/*/` (see `rbac.permissions`).
    """

    operation: str
    plane: Literal["control", "data"]
    depends_on_reading: bool = False


@dataclass(frozen=True, slots=True)
class Reason:
    """One assignment that decides an answer, and how it reaches the principal.

    `via` lists the group ids from the principal (excluded) to the holder of the assignment, nearest first; it is
    empty for a direct assignment. `condition` is the one that must hold, None where there is none.
    """

    role_assignment_id: str
    role_name: str
    scope: str
    via: tuple[str, ...] = ()
    condition: str | None = None
    state: AssignmentState = "active"


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer whether a principal may perform an operation at a scope, with the reasons."""

    allowed: Literal["yes", "no", "eligible", "conditional"]
    because: tuple[Reason, ...] = ()
    denied_by: tuple[str, ...] = field(default=())
    depends_on_reading: bool = False
