"""Know role assignments: Azure's limits and built-in roles, ids of planned ones, and the Owner assignments to keep.

Ids come from the content, so that every run and file has the same id. Every subscription keeps an Owner who can act: an
Owner counts who is enabled and whose assignment is permanent and unconditional; a group counts by enabled members.
Sources: Microsoft Learn, "Troubleshoot Azure RBAC limits", "Azure custom roles" and "Azure built-in roles".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid5

from rightsize.model.text import fold

_NAMESPACE = UUID("2f0a4c9e-6f0b-5d51-9c0e-5a7f0f6f7f21")


def assignment_id(scope: str, role: str, principal_id: str, condition: str | None) -> str:
    """Return the GUID of an assignment, made of its content; case matters only in the condition."""
    return str(uuid5(_NAMESPACE, "|".join((fold(scope), fold(role), fold(principal_id), condition or ""))))


def role_path(scope: str, role: str) -> str:
    """Return the role definition id for an assignment at a scope: below the subscription, if the scope is in one."""
    home = "/".join(scope.split("/")[:3]) if fold(scope).startswith("/subscriptions/") else ""
    return f"{home}/providers/Microsoft.Authorization/roleDefinitions/{role}"


def arm_principal_type(principal_type: str) -> str:
    """Return the principal type that Resource Manager uses: a managed identity is a `ServicePrincipal` there."""
    return "ServicePrincipal" if principal_type == "ManagedIdentity" else principal_type


@dataclass(frozen=True, slots=True)
class Owner:
    """An assignment of the role Owner.

    Attributes:
        id: Its folded id.
        scope: Its folded scope.
        principal_id: Its holder.
        is_lasting: Whether it is active, permanent and unconditional.
    """

    id: str
    scope: str
    principal_id: str
    is_lasting: bool


def owners_to_keep(
    owners: Sequence[Owner],
    going: Collection[str],
    *,
    enabled: Collection[str],
    members: Mapping[str, Collection[str]],
    tree: Mapping[str, str],
    subscriptions: Collection[str],
) -> dict[str, bool]:
    """Return the Owner assignments that must stay, among those that are to be removed.

    The value is true for the last one: it can act, or there is no other. It is false for those that stay since none of
    several is known to be able to act.

    Args:
        owners: Every known assignment of Owner, the preferred ones first.
        going: Folded ids of those that are to be removed.
        enabled: Principals known to be enabled, folded.
        members: Members of each group, nested ones included.
        tree: Parent of each folded management group and subscription.
        subscriptions: The folded subscriptions to look at.
    """
    able = {one.id for one in owners if one.is_lasting and _can_act(one.principal_id, enabled, members)}
    kept: dict[str, bool] = {}
    for subscription in sorted(subscriptions):
        above = _above(subscription, tree)
        here = [one for one in owners if one.scope == subscription]
        higher = [one for one in owners if one.scope in above]
        for some, others in ((here, here), (higher, [*here, *higher])):
            leaving = [one.id for one in some if one.id in going]
            if not leaving or any(one.id in able and (one.id not in going or one.id in kept) for one in others):
                continue
            last = next((one for one in leaving if one in able), None)
            # One Owner who can act is enough; where nobody can, all of them stay.
            kept |= {last: True} if last is not None else dict.fromkeys(leaving, len(others) == 1)
    return kept


def _can_act(principal: str, enabled: Collection[str], members: Mapping[str, Collection[str]]) -> bool:
    return principal in enabled or any(one in enabled for one in members.get(principal, ()))


def _above(subscription: str, tree: Mapping[str, str]) -> set[str]:
    found, current = {"/"}, tree.get(subscription)
    while current and fold(current) not in found:
        found.add(fold(current))
        current = tree.get(fold(current))
    return found


OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"
"""The role definition ids of built-in roles, the same in every tenant."""
ACCESS_ADMINISTRATORS = (OWNER, "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9", "f58310d9-a9f6-439a-9e8d-f62e7b41a168")
"""Owner, User Access Administrator and Role Based Access Control Administrator: they can give anybody rights."""
ASSIGNMENTS_PER_SUBSCRIPTION = 4_000
ASSIGNMENTS_PER_MANAGEMENT_GROUP = 500
CUSTOM_ROLES_PER_TENANT = 5_000
