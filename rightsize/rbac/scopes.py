"""Scopes of Azure: where they stand in the tree, from their text and the tree of management groups.

A scope is a resource id. From its text alone follow its kind and what stands above it, down from a subscription; which
management group holds a subscription or another group is not in the text, so the functions that climb take a `tree`:
a mapping from the folded management-group or subscription scope to its parent's scope. What the tree does not
know hangs below the root.

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
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from rightsize.model.errors import InputError
from rightsize.rbac.text import fold

ScopeKind = Literal["root", "management_group", "subscription", "resource_group", "resource", "tenant_resource"]

ROOT = "/"
MANAGEMENT_GROUPS = "/providers/microsoft.management/managementgroups/"
"""What the folded id of a management group begins with."""

LONGEST_SCOPE = 8_192
"""More characters than any id of Azure has; what is longer is not climbed but refused."""


@dataclass(frozen=True, slots=True)
class Scope:
    """A scope and what its text says about it. Two scopes are equal when their folded ids are.

    Attributes:
        key: The folded id, without a trailing slash; `/` is the root.
        text: The same in the spelling that it came in.
        kind: `tenant_resource` is any resource above subscriptions, also one that extends a management group.
        parent: The key of the next scope above by the text alone, None for the root and for management groups and
            subscriptions, whose parent only the tree knows.
        subscription_id: GUID of the subscription, folded; None above subscriptions.
        resource_group: Name of the resource group as spelt; None outside of groups.
        resource_type: Provider and types as spelt, such as `Microsoft.Compute/virtualMachines`, where there are any.
    """

    key: str
    text: str = field(compare=False)
    kind: ScopeKind = field(compare=False)
    parent: str | None = field(compare=False)
    subscription_id: str | None = field(default=None, compare=False)
    resource_group: str | None = field(default=None, compare=False)
    resource_type: str | None = field(default=None, compare=False)


def parse_scope(text: str) -> Scope:
    """Return what a resource id says about itself.

    Trailing and doubled slashes are dropped. Ids that end in the middle, such as `/subscriptions/S/providers/N`, are
    resources without a name: exports have them.

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
    head = _head_length(folded)
    key, spelt = "/" + "/".join(folded), "/" + "/".join(parts)
    in_subscription = folded[0] == "subscriptions" and len(parts) > 1
    subscription = folded[1] if in_subscription else None
    group = parts[3] if in_subscription and len(parts) > 3 and folded[2] == "resourcegroups" else None
    if len(parts) == head:
        return Scope(key, spelt, *_head_kind(folded), subscription, group)
    cut, resource_type = _last_resource(parts, folded, head)
    parent = "/" + "/".join(folded[:cut]) if cut else ROOT
    kind: ScopeKind = "resource" if in_subscription else "tenant_resource"
    return Scope(key, spelt, kind, parent, subscription, group, resource_type)


def ancestors(scope: Scope, tree: Mapping[str, str]) -> tuple[str, ...]:
    """Return the keys of all scopes above, nearest first, the root last.

    Args:
        scope: Where to start; it is not among them.
        tree: Folded management-group or subscription scope to its parent's scope. A cycle ends at its first repetition.
    """
    return tuple(_climb(scope, tree))[1:]


def lineage(scope: Scope, tree: Mapping[str, str]) -> tuple[str, ...]:
    """Return the key of the scope itself and of all scopes above it: where an assignment has to stand to reach it."""
    return tuple(_climb(scope, tree))


def is_within(child: Scope, parent: Scope, tree: Mapping[str, str]) -> bool:
    """Return whether what is assigned at `parent` holds at `child`: it is the same scope or one below."""
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
    """Return how many parts belong to the management group, subscription or resource group that the id begins with."""
    if folded[:2] == ["providers", "microsoft.management"] and folded[2:3] == ["managementgroups"]:
        return 4 if len(folded) >= 4 else 0
    if folded[0] == "subscriptions" and len(folded) > 1:
        return 4 if len(folded) >= 4 and folded[2] == "resourcegroups" else 2
    return 0


def _head_kind(folded: list[str]) -> tuple[ScopeKind, str | None]:
    if folded[0] == "providers":
        return "management_group", None
    if len(folded) == 2:
        return "subscription", None
    return "resource_group", "/" + "/".join(folded[:2])


def _last_resource(parts: list[str], folded: list[str], head: int) -> tuple[int, str | None]:
    """Return where the parent's id ends, and the type of the resource that the whole id names.

    Behind the head stands a chain of resources: one that begins with its provider extends all that is before it, one
    that is only a type and a name is a child of the one before.
    """
    begin, position, types = head, head, list[str]()
    while position < len(parts):
        begin = position
        if folded[position] == "providers":
            types = parts[position + 1 : position + 2]
            position += 2
        if position < len(parts) and (position == begin or folded[position] != "providers"):
            types = [*types, parts[position]] if types else []
            position += 2
    return begin, "/".join(types) or None
