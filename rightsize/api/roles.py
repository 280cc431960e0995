"""Compare the permissions of roles."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rightsize.api.results import Place
from rightsize.model.nouns import PermissionBlock, RoleDefinition, Witness
from rightsize.model.role_forms import read_role_definitions
from rightsize.rbac.algebra import contains as find_witness
from rightsize.workflow.roles.compare import choose_role, decided, read_role

RoleLike = RoleDefinition | PermissionBlock | Sequence[PermissionBlock] | Mapping[str, Any] | Sequence[Any] | Place


@dataclass(frozen=True, slots=True)
class ContainmentAnswer:
    """The answer of `contains`: true if the one role grants everything that the other grants.

    Attributes:
        witness: An operation that only the other role grants; None if there is none.

    Examples:
        >>> import rightsize
        >>> answer = rightsize.contains([{"actions": ["*/read"]}], [{"actions": ["Microsoft.Compute/*/write"]}])
        >>> if not answer:
        ...     print(answer.witness.operation, answer.witness.plane)
        Microsoft.Compute/resources/write control
    """

    witness: Witness | None

    def __bool__(self) -> bool:
        """Return whether the one role grants everything that the other grants."""
        return self.witness is None


def contains(big: RoleLike, small: RoleLike) -> ContainmentAnswer:
    """Return whether a role grants everything that another one grants, for all possible operations.

    It is the answer of `rightsize roles contains`, by algebra and without a catalogue of operations. A conditional
    block of `big` counts only where the block of `small` has the same condition. Azure does not say whether `/*/` may
    stand for `/`: where that alone decides, the answer is no, and `witness.depends_on_reading` is true.

    Args:
        big: The role that should grant more: a `RoleDefinition`, one or several `PermissionBlock`, a parsed JSON
            document in any form of a role definition (`az role definition list`, ARM, the input of PowerShell, a list
            of permission blocks), or the path of a file with one role, `FILE#NAME` where it has several.
        small: The role that should grant less, in the same forms.

    Raises:
        InputError: A side is not exactly one role, or its file cannot be read.

    Examples:
        >>> import rightsize
        >>> reader = [{"actions": ["*/read"]}]
        >>> operator = rightsize.PermissionBlock(
        ...     actions=("Microsoft.Compute/virtualMachines/*",), not_actions=("*/write", "*/delete", "*/action")
        ... )
        >>> bool(rightsize.contains(reader, {"Name": "VM Reader", "Actions": ["Microsoft.Compute/*/read"]}))
        True
        >>> rightsize.contains(reader, operator).witness
        Witness(operation='Microsoft.Compute/virtualMachines/x', plane='control', depends_on_reading=False)
    """
    return ContainmentAnswer(find_witness(_permissions_of(big, must_be_decided=True), _permissions_of(small)))


def _permissions_of(role: RoleLike, *, must_be_decided: bool = False) -> tuple[PermissionBlock, ...]:
    if isinstance(role, RoleDefinition):
        return (decided(role) if must_be_decided else role).permissions
    if isinstance(role, PermissionBlock):
        return (role,)
    if isinstance(role, str | os.PathLike):
        return read_role(os.fspath(role), must_be_decided=must_be_decided).permissions
    if isinstance(role, Sequence) and all(isinstance(one, PermissionBlock) for one in role):
        return tuple(role)
    return choose_role(read_role_definitions(role), None, "it").permissions
