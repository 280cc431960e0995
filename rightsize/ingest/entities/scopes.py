"""Read management groups and subscriptions, from trees, lists of entities, lists of descendants and plain lists.

The id of a node decides its kind, because each listing spells the `type` of a subscription differently.
Source: Microsoft Learn, REST reference of Microsoft.Management and of subscriptions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from rightsize.ingest.entities.definitions import text_of
from rightsize.ingest.entities.look import Look, fold_keys, look_at
from rightsize.ingest.entities.shape import Beside, ObjectShape, Row, Unusable
from rightsize.ingest.entities.tags import GROUP, read_tags
from rightsize.model.errors import InputError
from rightsize.rbac.text import fold

_MANAGEMENT_GROUP = re.compile(r"/providers/microsoft\.management/managementgroups/[^/]+")
_SUBSCRIPTION = re.compile(r"/subscriptions/[^/]+")
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NODE_TYPES = frozenset(
    {
        "microsoft.management/managementgroups",
        "/providers/microsoft.management/managementgroups",
        "microsoft.management/managementgroups/subscriptions",
        "/subscriptions",
    }
)


def _kind_of(scope: str) -> str | None:
    folded = fold(scope)
    if _MANAGEMENT_GROUP.fullmatch(folded):
        return "management_group"
    return "subscription" if _SUBSCRIPTION.fullmatch(folded) else None


def _is_management_group(look: Look) -> bool:
    if look.type:
        return look.type in _NODE_TYPES
    return bool(_MANAGEMENT_GROUP.fullmatch(look.text("id").rstrip("/")))


def _read_management_group(record: Mapping[str, Any]) -> Iterator[Row]:
    waiting: list[tuple[Mapping[str, Any], str | None]] = [(record, None)]
    while waiting:
        document, above = waiting.pop()
        look = look_at(document)
        scope = text_of(look.outer, "id").strip(" ").rstrip("/")
        kind = _kind_of(scope)
        if kind is None:
            raise InputError("the `id` of one of its nodes is not a management group or subscription")
        fields = {**look.outer, **look.inner}
        yield {
            "scope": scope,
            "kind": kind,
            "parent_scope": above or _parent_of(look),
            "display_name": text_of(fields, "displayname"),
        }
        children = look.value("children")
        if children is None:
            continue
        if not isinstance(children, list) or not all(isinstance(child, Mapping) for child in children):
            raise InputError("`children` is not a list of nodes")
        waiting.extend((child, scope) for child in children)


def _parent_of(look: Look) -> str | None:
    """Return the parent that a node names: `parent` itself, or the one in its `details`."""
    details = look.value("details")
    places = (look.value("parent"), fold_keys(details).get("parent") if isinstance(details, Mapping) else None)
    for parent in places:
        if isinstance(parent, Mapping):
            scope = text_of(fold_keys(parent), "id").strip(" ").rstrip("/")
            if scope and _kind_of(scope) != "management_group":
                raise InputError("its `parent` is not a management group")
            if scope:
                return scope
    return None


def _is_subscription(look: Look) -> bool:
    if look.type and look.type not in {"microsoft.resources/subscriptions", "user"}:
        return False
    if _SUBSCRIPTION.fullmatch(look.text("id").rstrip("/")):
        return look.has("subscriptionid")
    is_guid = bool(_GUID.fullmatch(look.text("id")))
    return is_guid and look.has("tenantid", "name", "state") and (look.has("isdefault") or look.has("cloudname"))


def _read_subscription(record: Mapping[str, Any]) -> Iterator[Row | Beside | Unusable]:
    fields = fold_keys(record)
    identifier = text_of(fields, "id").strip(" ").rstrip("/")
    scope = identifier if identifier.startswith("/") else f"/subscriptions/{identifier}"
    if GROUP.fullmatch(fold(identifier)):
        # Resource Graph lists subscriptions and resource groups together.
        yield from read_tags(scope, fields.get("tags"))
    elif not identifier or _kind_of(scope) != "subscription":
        yield Unusable("its `id` is not a subscription" if identifier else "it has no `id`")
    elif "displayname" not in fields and fold(identifier) == fold(text_of(fields, "tenantid")):
        # `az account list` shows a tenant without subscriptions as if it were a subscription.
        yield Unusable("it is a tenant without subscriptions, not a subscription")
    else:
        yield {
            "scope": scope,
            "kind": "subscription",
            "display_name": text_of(fields, "displayname" if "displayname" in fields else "name"),
        }
        yield from read_tags(scope, fields.get("tags"))


SCOPE_SHAPES = (
    ObjectShape(
        "management_groups", "management_groups", _is_management_group, "scope_listings", _read_management_group
    ),
    ObjectShape("subscriptions", "subscriptions", _is_subscription, "scope_listings", _read_subscription),
)
