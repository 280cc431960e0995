"""Parse Azure scopes from resource ids, and find the scopes above them with the tree of management groups.

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
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

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


def lineage(scope: Scope, tree: Mapping[str, str]) -> tuple[str, ...]:
    """Return the keys of a scope and of all scopes above it, nearest first, the root last.

    An assignment at any of them reaches the scope.

    Args:
        scope: The start.
        tree: Folded management-group or subscription scope to its parent's scope. A cycle ends at its first repetition.
    """
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
