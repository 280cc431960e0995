"""Read alerts and incidents of Defender for Cloud, Defender XDR and Sentinel, with the entities that they name.

Sources: Microsoft Learn, Log Analytics tables SecurityAlert and SecurityIncident, "Microsoft Sentinel entity types
reference"; REST reference of Microsoft.Security alerts; Graph v1.0 resource types alert and incident (security) and
alertEvidence.

Sentinel and Defender for Cloud have entities, Graph has evidence; both are typed objects, and an account may be inside
another entity. Objects that are only context of an alert (an application where it happened, evidence with only the
role `contextual`) show no activity and are left out.
Sources: Microsoft Learn, "Microsoft Sentinel entity types reference"; Graph v1.0 resource type alertEvidence and those
derived from it.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from rightsize.ingest.entities.azure_roles import text_of
from rightsize.ingest.entities.shape import Beside, Look, ObjectShape, Row, Unusable, fold_keys, look_at
from rightsize.model.errors import InputError
from rightsize.model.text import GUID_FORM, fold
from rightsize.rules.attacks import is_dismissed

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
        if isinstance(found, str) and GUID_FORM.fullmatch(fold(found)):
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
        and GUID_FORM.fullmatch(fold(app_id))
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


_Found = Iterator[Row | Beside | Unusable]


def _is_row(look: Look) -> bool:
    return look.has("systemalertid", "alertseverity")


def _is_arm(look: Look) -> bool:
    """Return whether it is an alert of ARM, or one that Defender for Cloud exports to Event Hubs without envelope."""
    return look.has("systemalertid", "alertdisplayname", "severity") and not look.has("alertseverity")


def _is_graph(look: Look) -> bool:
    return not look.type and look.has("id", "detectionsource", "evidence", "severity")


def _is_incident_row(look: Look) -> bool:
    return look.has("incidentname", "incidentnumber")


def _is_graph_incident(look: Look) -> bool:
    return not look.type and look.has("id", "incidentweburl", "severity")


def _read_row(record: Mapping[str, Any]) -> _Found:
    """Yield the rows of an alert in a workspace, which has a row for each change of an alert."""
    fields = _plain(record)
    signal_id = _signal("security_alert", text_of(fields, "systemalertid"))
    extended = fold_keys(_parsed(fields, "extendedproperties", {}))
    yield _alert(
        signal_id,
        "security_alert",
        fields,
        product=text_of(fields, "productname"),
        original=text_of(fields, "vendororiginalid"),
        name=text_of(fields, "displayname") or text_of(fields, "alertname"),
        severity=text_of(fields, "alertseverity"),
        classification=text_of(extended, "classification"),
        first=text_of(fields, "starttime"),
        last=text_of(fields, "endtime"),
        created=text_of(fields, "processingendtime") or text_of(fields, "timegenerated"),
        updated=text_of(fields, "timegenerated"),
        tactics=_words(fields.get("tactics")),
    )
    named = [{"type": "azure-resource", "resourceid": fields.get(key)} for key in ("resourceid", "_resourceid")]
    yield from _entities(signal_id, [*_listed(fields, "entities"), *named])


def _read_arm(record: Mapping[str, Any]) -> _Found:
    look = look_at(record)
    fields = look.inner or look.outer
    name = text_of(fields, "systemalertid")
    signal_id = _signal("defender_alert", name)
    yield _alert(
        signal_id,
        "defender_alert",
        fields,
        product=text_of(fields, "productname"),
        original=name,
        name=text_of(fields, "alertdisplayname"),
        severity=text_of(fields, "severity") or text_of(fields, "reportedseverity"),
        classification="",
        first=text_of(fields, "starttimeutc"),
        last=text_of(fields, "endtimeutc"),
        created=text_of(fields, "timegeneratedutc"),
        updated=text_of(fields, "processingendtimeutc") or text_of(fields, "timegeneratedutc"),
        tactics=_words(fields.get("intent")),
    )
    named = [
        {"type": "azure-resource", "resourceid": fold_keys(one).get("azureresourceid")}
        for one in _listed(fields, "resourceidentifiers")
        if isinstance(one, Mapping)
    ]
    yield from _entities(signal_id, [*_listed(fields, "entities"), *named])


def _read_graph(record: Mapping[str, Any]) -> _Found:
    fields = fold_keys(record)
    signal_id = _signal("graph_alert", text_of(fields, "id"))
    yield _alert(
        signal_id,
        "graph_alert",
        fields,
        product=text_of(fields, "productname") or text_of(fields, "servicesource"),
        original=text_of(fields, "provideralertid"),
        name=text_of(fields, "title"),
        severity=text_of(fields, "severity"),
        classification=text_of(fields, "classification"),
        first=text_of(fields, "firstactivitydatetime"),
        last=text_of(fields, "lastactivitydatetime"),
        created=text_of(fields, "createddatetime"),
        updated=text_of(fields, "lastupdatedatetime"),
        tactics=_words(fields.get("category")),
    )
    yield from _entities(signal_id, _listed(fields, "evidence"))
    yield from _links(signal_id, "incident", [text_of(fields, "incidentid")])


def _read_incident_row(record: Mapping[str, Any]) -> _Found:
    fields = _plain(record)
    signal_id = _signal("security_incident", text_of(fields, "incidentname"))
    yield _alert(
        signal_id,
        "security_incident",
        fields,
        kind="incident",
        product=text_of(fields, "providername"),
        original=text_of(fields, "incidentname"),
        name=text_of(fields, "title"),
        severity=text_of(fields, "severity"),
        classification=text_of(fields, "classification"),
        first=text_of(fields, "firstactivitytime"),
        last=text_of(fields, "lastactivitytime"),
        created=text_of(fields, "createdtime"),
        updated=text_of(fields, "lastmodifiedtime") or text_of(fields, "timegenerated"),
        tactics=[],
    )
    yield from _links(signal_id, "alert", [one for one in _listed(fields, "alertids") if isinstance(one, str)])


def _read_graph_incident(record: Mapping[str, Any]) -> _Found:
    fields = fold_keys(record)
    signal_id = _signal("graph_incident", text_of(fields, "id"))
    yield _alert(
        signal_id,
        "graph_incident",
        fields,
        kind="incident",
        product="Microsoft Defender XDR",
        original=text_of(fields, "id"),
        name=text_of(fields, "displayname"),
        severity=text_of(fields, "severity"),
        classification=text_of(fields, "classification"),
        first=text_of(fields, "createddatetime"),
        last=text_of(fields, "lastupdatedatetime"),
        created=text_of(fields, "createddatetime"),
        updated=text_of(fields, "lastupdatedatetime"),
        tactics=[],
    )
    alerts = [fold_keys(one) for one in _listed(fields, "alerts") if isinstance(one, Mapping)]
    yield from _links(signal_id, "alert", [text_of(alert, "id") for alert in alerts])


def _signal(source: str, identifier: str) -> str:
    if not fold(identifier):
        raise InputError("it has no id")
    return f"{source}/{fold(identifier)}"


def _alert(
    signal_id: str,
    source: str,
    fields: Mapping[str, Any],
    *,
    kind: str = "alert",
    product: str,
    original: str,
    name: str,
    severity: str,
    classification: str,
    first: str,
    last: str,
    created: str,
    updated: str,
    tactics: list[str],
) -> Row:
    status = text_of(fields, "status")
    return {
        "signal_id": signal_id,
        "source": source,
        "kind": kind,
        "product": product or None,
        "original_id": f"{kind}/{fold(original)}" if fold(original) else None,
        "name": name or None,
        "severity": fold(severity) or "unknown",
        "status": fold(status) or None,
        "classification": fold(classification) or None,
        "first_time": first or last or created,
        "last_time": last or first or created,
        "created_on": created or None,
        "updated_on": updated or created or None,
        "confidence": _share(fields.get("confidencescore")),
        "tactics": tactics or None,
        "dismissed": is_dismissed(status, classification),
    }


def _entities(signal_id: str, entities: list[Any]) -> _Found:
    found: set[tuple[str, str]] = set()
    for entity in entities:
        if not isinstance(entity, Mapping):
            yield Unusable("one of its entities is not an object", entity)
            continue
        for mention in mentions_of(entity):
            key = (mention.kind, fold(mention.value))
            if key not in found:
                found.add(key)
                known = {"principal_id": mention.principal_id, "scope": mention.scope}
                row = {"signal_id": signal_id, "entity_kind": mention.kind, "value": key[1], **known}
                yield Beside("signal_entities", row)


def _links(signal_id: str, kind: str, identifiers: list[str]) -> _Found:
    for identifier in sorted({fold(one) for one in identifiers} - {""}):
        yield Beside("signal_entities", {"signal_id": signal_id, "entity_kind": kind, "value": identifier})


def _plain(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row by folded keys; the portal adds the zone to names of times, and has its own format of times."""
    fields = fold_keys({str(key).partition(" [")[0]: value for key, value in record.items()})
    return {
        key: _portal_time(value) if "time" in key and isinstance(value, str) else value for key, value in fields.items()
    }


def _portal_time(text: str) -> str:
    for form in ("%m/%d/%Y, %I:%M:%S.%f %p", "%m/%d/%Y, %I:%M:%S %p"):
        try:
            return dt.datetime.strptime(text.replace("\u202f", " "), form).isoformat() + "Z"
        except ValueError:
            continue
    return text


def _listed(fields: Mapping[str, Any], key: str) -> list[Any]:
    """Return a list; tables have it as text."""
    found = _parsed(fields, key, [])
    if not isinstance(found, list):
        raise InputError(f"`{key}` is not a list")
    return found


def _parsed(fields: Mapping[str, Any], key: str, empty: Any) -> Any:
    value = fields.get(key)
    if not isinstance(value, str):
        return empty if value is None else value
    try:
        return json.loads(value) if value.strip() else empty
    except ValueError as error:
        raise InputError(f"`{key}` is not valid JSON") from error


def _words(value: Any) -> list[str]:
    """Return the tactics, from a list, a list as text, or words separated by commas."""
    if isinstance(value, str):
        value = re.split(r"[\[\]\",\s]+", value)
    return sorted({one for one in value if isinstance(one, str) and one}) if isinstance(value, list) else []


def _share(value: Any) -> float | None:
    try:
        share = float(value)
    except (TypeError, ValueError):
        return None
    return share if 0 <= share <= 1 else None


ALERT_SHAPES = (
    ObjectShape("security_alerts", "security_alerts", _is_row, "signals", _read_row),
    ObjectShape("defender_alerts", "defender_alerts", _is_arm, "signals", _read_arm),
    ObjectShape("graph_alerts", "graph_alerts", _is_graph, "signals", _read_graph),
    ObjectShape("security_incidents", "security_incidents", _is_incident_row, "signals", _read_incident_row),
    ObjectShape("graph_incidents", "graph_incidents", _is_graph_incident, "signals", _read_graph_incident),
)
