"""Read the principals, addresses and resources that an alert names, from its entities or its Graph evidence.

Sentinel and Defender for Cloud have entities, Graph has evidence; both are typed objects, and an account may be inside
another entity. Objects that are only context of an alert (an application where it happened, evidence with only the
role `contextual`) show no activity and are left out.
Sources: Microsoft Learn, "Microsoft Sentinel entity types reference"; Graph v1.0 resource type alertEvidence and those
derived from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from rightsize.ingest.entities.look import fold_keys
from rightsize.rbac.text import fold

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_OBJECT_IDS = ("aaduserid", "azureaduserid", "serviceprincipalobjectid", "serviceprincipalid", "objectid", "objectguid")
_RESOURCE_IDS = ("resourceid", "azureid", "azureresourceid")
_WITHIN = ("account", "useraccount", "vmmetadata", "loggedonusers", "storageresource")
_CONTEXT = {"contextual", "scanned", "destination"}


@dataclass(frozen=True, slots=True)
class Mention:
    """An entity that an alert names, with a kind of the table `signal_entities`."""

    kind: str
    value: str
    principal_id: str | None = None
    scope: str | None = None


def mentions_of(entity: Mapping[str, Any]) -> Iterator[Mention]:
    """Yield the mentions of an entity and of the entities within it."""
    fields = fold_keys(entity)
    roles = fields.get("roles")
    if isinstance(roles, list) and roles and {fold(str(role)) for role in roles} <= _CONTEXT:
        return
    kind = fold(str(fields.get("type") or fields.get("@odata.type") or ""))
    yield from _principal(fields, kind)
    for key in ("address", "ipaddress"):
        address = _address(fields.get(key))
        if address:
            yield Mention("ip", address)
    for key in _RESOURCE_IDS:
        scope = fields.get(key)
        if isinstance(scope, str) and fold(scope).startswith("/subscriptions/"):
            yield Mention("resource", scope.strip().rstrip("/"), scope=scope.strip().rstrip("/"))
    if "logon" in kind:
        for key, named in (("sessionid", "session"), ("requestid", "sign_in")):
            if isinstance(fields.get(key), str) and fields[key].strip():
                yield Mention(named, fields[key])
    for key in _WITHIN:
        inner = fields.get(key)
        for part in inner if isinstance(inner, list) else [inner]:
            if isinstance(part, Mapping):
                yield from mentions_of(part)


def _principal(fields: Mapping[str, Any], kind: str) -> Iterator[Mention]:
    for key in _OBJECT_IDS:
        found = fields.get(key)
        if isinstance(found, str) and _GUID.fullmatch(fold(found)):
            yield Mention("principal", fold(found), principal_id=fold(found))
            return
    name = fields.get("userprincipalname")
    if not isinstance(name, str) or "@" not in name:
        own, suffix = fields.get("name"), fields.get("upnsuffix")
        name = own if isinstance(own, str) and kind in ("account", "") else ""
        if name and "@" not in name:
            name = f"{name}@{suffix}" if isinstance(suffix, str) and suffix else ""
    if name:
        yield Mention("principal", name)
        return
    app_id = fields.get("appid")
    # Other applications are only the place of the activity, and their ids are those of a catalogue.
    if (
        isinstance(app_id, str)
        and _GUID.fullmatch(fold(app_id))
        and ("oauth" in kind or "serviceprincipal" in kind.replace("-", ""))
    ):
        yield Mention("principal", fold(app_id))


def _address(value: object) -> str:
    if not isinstance(value, str):
        return ""
    try:
        return str(ip_address(value.strip().strip("[]")))
    except ValueError:
        return ""
