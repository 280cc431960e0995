"""Parse Azure scopes, find the scopes above them, and know Azure's limits of assignments and the Owners to keep.

A scope is a resource id. Its text alone gives its kind and the scopes above it up to the subscription. The text does
not name the management group above a subscription or another group, so functions that climb take a `tree`: a mapping
from the folded management-group or subscription scope to its parent's scope. The parent of a scope that the tree does
not know is the root.

    /                                                                     root
    /providers/Microsoft.Management/managementGroups/G                    management_group
    /subscriptions/S                                                      subscription
    /subscriptions/S/resourceGroups/R                                     resource_group
    /subscriptions/S/resourceGroups/R/providers/N/type/name               resource
    /subscriptions/S/resourceGroups/R/providers/N/type/name/type2/name2   resource, below the one before
    X/providers/N/type/name                                               extension resource, below X
    /providers/N/type/name                                                tenant_resource

Role assignments are inherited from each scope to all below it, child resources included (Azure docs, "Understand
scope for Azure RBAC"). Ids compare case-folded.

Ids of planned assignments come from the content, so that every run and file has the same id. Every subscription keeps
an Owner who can act: an Owner counts who is enabled and whose assignment is permanent and unconditional; a group counts
by enabled members.
Sources: Microsoft Learn, "Troubleshoot Azure RBAC limits", "Azure custom roles" and "Azure built-in roles".
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal
from uuid import UUID, uuid5

from rightsize.model.errors import InputError
from rightsize.model.text import fold

ScopeKind = Literal["root", "management_group", "subscription", "resource_group", "resource", "tenant_resource"]

ROOT = "/"
MANAGEMENT_GROUPS = "/providers/microsoft.management/managementgroups/"
"""The prefix of the folded id of a management group."""

LONGEST_SCOPE = 8_192
"""The largest accepted length of a scope in characters; no id of Azure is as long, and longer ones are refused."""


@dataclass(frozen=True, slots=True)
class Scope:
    """A scope with the facts that its text gives. Two scopes are equal if their folded ids are.

    Attributes:
        key: The folded id, without a trailing slash; `/` is the root.
        text: The same id in its original spelling.
        kind: `tenant_resource` is any resource above subscriptions, also one that extends a management group.
        parent: The key of the next scope above by the text alone, None for the root and for management groups and
            subscriptions, whose parent only the tree knows.
        subscription_id: GUID of the subscription, folded; None above subscriptions.
        resource_group: Name of the resource group as spelt; None outside of groups.
        resource_type: Provider and types as spelt, such as `Microsoft.Compute/virtualMachines`; None without them.
    """

    key: str
    text: str = field(compare=False)
    kind: ScopeKind = field(compare=False)
    parent: str | None = field(compare=False)
    subscription_id: str | None = field(default=None, compare=False)
    resource_group: str | None = field(default=None, compare=False)
    resource_type: str | None = field(default=None, compare=False)


# The same few scopes are parsed again and again; the cache is bounded.
@lru_cache(maxsize=1 << 16)
def parse_scope(text: str) -> Scope:
    """Return the scope of a resource id.

    Trailing and doubled slashes are dropped. Incomplete ids such as `/subscriptions/S/providers/N`, which occur in
    exports, are resources without a name.

    Raises:
        InputError: `text` does not begin with a slash, or is longer than any id of Azure.
    """
    if len(text) > LONGEST_SCOPE:
        raise InputError(f"a scope of {len(text)} characters is longer than any of Azure")
    trimmed = text.strip(" ")
    if not trimmed.startswith("/"):
        raise InputError(
            f"`{text}` is not a scope",
            hint="a scope begins with a slash: `/subscriptions/ID`, `/subscriptions/ID/resourceGroups/NAME`, or `/`",
        )
    parts = [part for part in trimmed.split("/") if part]
    folded = [part for part in fold(trimmed).split("/") if part]
    if not parts:
        return Scope(ROOT, ROOT, "root", None)
    form = form_of(folded)
    key, spelt = "/" + "/".join(folded), "/" + "/".join(parts)
    subscription = folded[1] if form.in_subscription else None
    group = parts[3] if form.in_resource_group else None
    parent = "/" + "/".join(folded[: form.parent_length])
    resource_type = "/".join(parts[part] for part in form.type_parts) or None
    known_parent = None if form.kind in ("management_group", "subscription") else parent
    return Scope(key, spelt, form.kind, known_parent, subscription, group, resource_type)


@dataclass(frozen=True, slots=True)
class ScopeForm:
    """The form of an id that follows from its fixed words: the same for every id with these words in these places.

    Attributes:
        kind: As in `Scope`.
        parent_length: The number of leading parts that are the id of the next scope above; 0 is the root.
        in_subscription: Whether the second part is a subscription's GUID.
        in_resource_group: Whether the fourth part is a resource group's name.
        type_parts: Indices of the parts that make the resource type.
    """

    kind: ScopeKind
    parent_length: int
    in_subscription: bool
    in_resource_group: bool
    type_parts: tuple[int, ...]


def form_of(folded: list[str]) -> ScopeForm:
    """Return the form of an id from its folded parts: at least one, and none empty."""
    head = _head_length(folded)
    in_subscription = folded[0] == "subscriptions" and len(folded) > 1
    in_group = in_subscription and len(folded) > 3 and folded[2] == "resourcegroups"
    if len(folded) == head:
        kind: ScopeKind = "resource_group" if in_group else "subscription" if in_subscription else "management_group"
        return ScopeForm(kind, 2 if in_group else 0, in_subscription, in_group, ())
    *_, (begin, types) = _resources(folded, head)
    return ScopeForm("resource" if in_subscription else "tenant_resource", begin, in_subscription, in_group, types)


def type_paths(folded: list[str]) -> dict[int, tuple[int, ...]]:
    """Return for each part that is a word of Azure, not a name, the indices of the parts of its full name, itself last.

    A type's full name begins with its provider; the full name of any other word is the word itself.
    """
    head = _head_length(folded)
    paths: dict[int, tuple[int, ...]] = {part: (part,) for part in range(0, head, 2)}
    if head and folded[0] == "providers":
        paths = {0: (0,), 1: (1,), 2: (1, 2)}
    for begin, types in _resources(folded, head):
        paths[begin] = (begin,)
        paths.update((part, types[: index + 1]) for index, part in enumerate(types) if part >= begin)
    return paths


def ancestors(scope: Scope, tree: Mapping[str, str]) -> tuple[str, ...]:
    """Return the keys of all scopes above, nearest first, the root last.

    Args:
        scope: The start, which is not part of the result.
        tree: Folded management-group or subscription scope to its parent's scope. A cycle ends at its first repetition.
    """
    return tuple(_climb(scope, tree))[1:]


def lineage(scope: Scope, tree: Mapping[str, str]) -> tuple[str, ...]:
    """Return the keys of a scope and of all scopes above it; an assignment at any of them reaches the scope."""
    return tuple(_climb(scope, tree))


def is_within(child: Scope, parent: Scope, tree: Mapping[str, str]) -> bool:
    """Return whether an assignment at `parent` reaches `child`: `child` is the same scope or one below."""
    return any(key == parent.key for key in _climb(child, tree))


def _climb(scope: Scope, tree: Mapping[str, str]) -> Iterator[str]:
    seen: set[str] = set()
    current = scope
    while current.key not in seen and current.key != ROOT:
        seen.add(current.key)
        yield current.key
        above = current.parent if current.parent is not None else fold(tree.get(current.key, ROOT))
        current = parse_scope(above if above.startswith("/") else ROOT)
    yield ROOT


def _head_length(folded: list[str]) -> int:
    """Return the number of parts of the management group, subscription or resource group at the start of an id."""
    if folded[:2] == ["providers", "microsoft.management"] and folded[2:3] == ["managementgroups"]:
        return 4 if len(folded) >= 4 else 0
    if folded[0] == "subscriptions" and len(folded) > 1:
        return 4 if len(folded) >= 4 and folded[2] == "resourcegroups" else 2
    return 0


def _resources(folded: list[str], head: int) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield for each resource after the head the index where its own part of the id begins, and those of its type.

    A resource that begins with its provider extends everything before it. A resource of only a type and a name is a
    child of the one before.
    """
    position, types = head, tuple[int, ...]()
    while position < len(folded):
        begin = position
        if folded[position] == "providers":
            types = tuple(range(position + 1, min(position + 2, len(folded))))
            position += 2
        if position < len(folded) and (position == begin or folded[position] != "providers"):
            types = (*types, position) if types else ()
            position += 2
        yield begin, types


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
