"""Read what other tools say of access: applications of app governance, identities of Defender for Cloud, Advisor.

Sources: Microsoft Learn, table OAuthAppInfo of advanced hunting and of Log Analytics; REST reference of
Microsoft.Security assessments and Microsoft.Advisor recommendations; Azure Resource Graph, table securityresources.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from rightsize.ingest.entities.definitions import text_of
from rightsize.ingest.entities.look import Look, fold_keys, look_at
from rightsize.ingest.entities.shape import ObjectShape, Row, Unusable
from rightsize.model.errors import InputError
from rightsize.rbac.text import fold
from rightsize.rules.tool_recommendations import says_of

_Found = Iterator[Row | Unusable]
_GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_SUBSCRIPTION = re.compile(rf"/subscriptions/{_GUID.pattern}")
_ASSESSMENT = re.compile(rf"/providers/microsoft\.security/assessments/({_GUID.pattern})")
_SUBSCRIPTIONS = "microsoft.subscriptions/subscriptions"
_IN_USE = {"true": "used", "inuse": "used", "false": "unused", "notinuse": "unused"}
"""What app governance says of a permission: a Boolean in exports that were seen, a word in the documentation."""


def _is_application(look: Look) -> bool:
    return look.has("oauthappid", "permissions")


def _is_assessment(look: Look) -> bool:
    return look.type == "microsoft.security/assessments"


def _is_recommendation(look: Look) -> bool:
    return look.type == "microsoft.advisor/recommendations"


def _read_application(record: Mapping[str, Any]) -> _Found:
    """Yield a row for each permission of an application."""
    fields = fold_keys(record)
    app_id = fold(text_of(fields, "oauthappid"))
    if not app_id:
        raise InputError("it has no application id")
    about = {
        "tool": "app_governance",
        "plane": "graph",
        "principal_id": fold(text_of(fields, "serviceprincipalid")) or None,
        "app_id": app_id,
        "principal_name": text_of(fields, "appname") or None,
        "status": text_of(fields, "appstatus") or None,
        "last_used": text_of(fields, "lastusedtime") or None,
        "read_on": text_of(fields, "timestamp") or text_of(fields, "timegenerated") or None,
    }
    for permission in _listed(fields.get("permissions")):
        part = fold_keys(_opened(permission))
        name = text_of(part, "permissionvalue") or text_of(part, "permissionname")
        access = fold(text_of(part, "permissiontype"))
        if not name or access not in ("application", "delegated"):
            yield Unusable("one of its permissions has no name or no type", permission)
            continue
        api = fold(text_of(part, "targetappid"))
        used = fold(str(part.get("inuse", part.get("usagestatus", "")))).replace(" ", "")
        yield about | {
            "judgement_id": "/".join(("app_governance", app_id, access, api, fold(name))),
            "says": _IN_USE.get(used, "unknown"),
            "access": access,
            "api_app_id": api or None,
            "permission": name,
        }


def _read_assessment(record: Mapping[str, Any]) -> _Found:
    """Yield the row of an assessment about the access of an identity; other assessments have none."""
    look = look_at(record)
    name = _of(look.inner, "displayname") or _of(_members(look.inner, "metadata"), "displayname")
    says = says_of(text_of(look.outer, "name"), name)
    if says is None:
        return
    status, details = _members(look.inner, "status"), _members(look.inner, "resourcedetails")
    more = _members(look.inner, "additionaldata")
    state = fold(_of(status, "code"))
    named = (_of(more, "resourcename"), _of(more, "resourceid"), _of(details, "id"))
    found = (match[-1] for text in named if (match := _GUID.findall(fold(text).rpartition("/")[2])))
    yield {
        "tool": "defender_ciem",
        "judgement_id": f"defender_ciem/{look.text('id')}",
        "plane": "control",
        "says": says if state == "unhealthy" else "used" if (state, says) == ("healthy", "inactive") else "unknown",
        "principal_id": next(found, None),
        "principal_name": _of(more, "displayname") or None,
        "scope": _subscription(look),
        "title": name or None,
        "status": _of(status, "code") or None,
        "read_on": _of(status, "statuschangedate") or _of(status, "firstevaluationdate") or None,
    }


def _read_recommendation(record: Mapping[str, Any]) -> _Found:
    """Yield the row of a recommendation of Advisor about access, which it takes over from Defender for Cloud."""
    look = look_at(record)
    said, more = _members(look.inner, "shortdescription"), _members(look.inner, "extendedproperties")
    source = _ASSESSMENT.search(fold(_of(_members(look.inner, "resourcemetadata"), "source")))
    title = _of(said, "problem") or _of(said, "solution")
    key = _of(more, "assessmentkey") or (source[1] if source else "")
    says = says_of(key, title)
    if says is None:
        return
    found = _GUID.fullmatch(fold(_of(look.inner, "impactedvalue")))
    yield {
        "tool": "azure_advisor",
        "judgement_id": f"azure_advisor/{look.text('id')}",
        "plane": "control",
        "says": says,
        "principal_id": found[0] if found and fold(_of(look.inner, "impactedfield")) != _SUBSCRIPTIONS else None,
        "scope": _subscription(look),
        "title": title or None,
        "read_on": _of(look.inner, "lastupdated") or None,
    }


def _subscription(look: Look) -> str:
    """Return the subscription of a record; InputError if it names none."""
    found = _SUBSCRIPTION.match(look.text("id"))
    if found is None:
        raise InputError("its id names no subscription")
    return found[0]


def _of(fields: Mapping[str, Any], key: str) -> str:
    value = fields.get(key)
    return value.strip() if isinstance(value, str) else ""


def _members(fields: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = _opened(fields.get(key))
    return fold_keys(found)


def _opened(value: Any) -> Mapping[str, Any]:
    """Return an object, also one that an export has as text; empty if it is none."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, Mapping) else {}


def _listed(value: Any) -> list[Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else []
        except ValueError as error:
            raise InputError("`permissions` is not valid JSON") from error
    if value is None:
        return []
    if not isinstance(value, list):
        raise InputError("`permissions` is not a list")
    return value


JUDGEMENT_SHAPES = (
    ObjectShape("oauth_applications", "oauth_applications", _is_application, "tool_judgements", _read_application),
    ObjectShape("assessments", "assessments", _is_assessment, "tool_judgements", _read_assessment),
    ObjectShape("recommendations", "recommendations", _is_recommendation, "tool_judgements", _read_recommendation),
)
