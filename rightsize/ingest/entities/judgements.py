"""Read what other tools say of access, and the risk of Entra ID Protection.

Sources: Microsoft Learn, table OAuthAppInfo of advanced hunting and of Log Analytics; REST reference of
Microsoft.Security assessments and Microsoft.Advisor recommendations; Azure Resource Graph, table securityresources.

Sources: Microsoft Learn, Graph v1.0 resource types riskDetection, servicePrincipalRiskDetection, riskyUser and
riskyServicePrincipal; Log Analytics tables AADUserRiskEvents, AADServicePrincipalRiskEvents, AADRiskyUsers and
AADRiskyServicePrincipals.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from rightsize.ingest.entities import shape
from rightsize.ingest.entities.azure_roles import both, text_of
from rightsize.model.errors import InputError
from rightsize.model.text import GUID, GUID_FORM, fold
from rightsize.rules.attacks import says_of, words_that_mean
from rightsize.store.sql import folded

_Found = Iterator[shape.Row | shape.Unusable]
_SUBSCRIPTION = re.compile(rf"/subscriptions/{GUID}")
_ASSESSMENT = re.compile(rf"/providers/microsoft\.security/assessments/({GUID})")
_SUBSCRIPTIONS = "microsoft.subscriptions/subscriptions"
_IN_USE = {"true": "used", "inuse": "used", "false": "unused", "notinuse": "unused"}
"""What app governance says of a permission: a Boolean in exports that were seen, a word in the documentation."""


def _is_application(look: shape.Look) -> bool:
    return look.has("oauthappid", "permissions")


def _is_assessment(look: shape.Look) -> bool:
    return look.type == "microsoft.security/assessments"


def _is_recommendation(look: shape.Look) -> bool:
    return look.type == "microsoft.advisor/recommendations"


def _read_application(record: Mapping[str, Any]) -> _Found:
    """Yield a row for each permission of an application."""
    fields = shape.fold_keys(record)
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
        part = shape.fold_keys(_opened(permission))
        name = text_of(part, "permissionvalue") or text_of(part, "permissionname")
        access = fold(text_of(part, "permissiontype"))
        if not name or access not in ("application", "delegated"):
            yield shape.Unusable("one of its permissions has no name or no type", permission)
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
    look = shape.look_at(record)
    name = _of(look.inner, "displayname") or _of(_members(look.inner, "metadata"), "displayname")
    says = says_of(text_of(look.outer, "name"), name)
    if says is None:
        return
    status, details = _members(look.inner, "status"), _members(look.inner, "resourcedetails")
    more = _members(look.inner, "additionaldata")
    state = fold(_of(status, "code"))
    named = (_of(more, "resourcename"), _of(more, "resourceid"), _of(details, "id"))
    found = (match[-1] for text in named if (match := GUID_FORM.findall(fold(text).rpartition("/")[2])))
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
    look = shape.look_at(record)
    said, more = _members(look.inner, "shortdescription"), _members(look.inner, "extendedproperties")
    source = _ASSESSMENT.search(fold(_of(_members(look.inner, "resourcemetadata"), "source")))
    title = _of(said, "problem") or _of(said, "solution")
    key = _of(more, "assessmentkey") or (source[1] if source else "")
    says = says_of(key, title)
    if says is None:
        return
    found = GUID_FORM.fullmatch(fold(_of(look.inner, "impactedvalue")))
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


def _subscription(look: shape.Look) -> str:
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
    return shape.fold_keys(found)


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
    shape.ObjectShape(
        "oauth_applications", "oauth_applications", _is_application, "tool_judgements", _read_application
    ),
    shape.ObjectShape("assessments", "assessments", _is_assessment, "tool_judgements", _read_assessment),
    shape.ObjectShape(
        "recommendations", "recommendations", _is_recommendation, "tool_judgements", _read_recommendation
    ),
)


_FIELDS = (
    shape.field("risk_id", *both("id"), kind="id", mandatory=True),
    shape.field("name", *both("riskEventType"), *both("riskType")),
    shape.field("severity", *both("riskLevel")),
    shape.field("status", *both("riskState")),
    shape.field("detail", *both("riskDetail")),
    shape.field("activity_on", *both("activityDateTime"), kind="time"),
    shape.field("detected_on", *both("detectedDateTime"), kind="time"),
    shape.field("updated_on", *both("lastUpdatedDateTime"), *both("riskLastUpdatedDateTime"), kind="time"),
    shape.field("sign_in_id", *both("requestId"), kind="id"),
    shape.field("ip", *both("ipAddress")),
    shape.field("app_id", *both("appId"), kind="id"),
    shape.field("user_id", *both("userId"), kind="id"),
    shape.field("service_principal_id", *both("servicePrincipalId"), kind="id"),
    shape.field("user_name", *both("userPrincipalName")),
)

_DETECTION = ("riskeventtype", "activitydatetime")
_STATE = ("risklastupdateddatetime", "risklevel", "id")


def _is_of(look: shape.Look, source: str) -> bool:
    if source == "risk_detection":
        return look.has(*_DETECTION) and (look.has("userid") or look.has("serviceprincipalid"))
    is_workload = look.has("serviceprincipaltype") or look.has("appid")
    return look.has(*_STATE) and is_workload == (source == "risky_service_principal")


@dataclass(frozen=True, slots=True)
class RiskShape:
    """The risk records of one source; the id of a risky principal is that of the principal."""

    name: str
    source: str
    signal: str

    def recognises(self, look: shape.Look, context: shape.Context) -> bool:  # noqa: ARG002  the record says it all
        """Return whether a record has this shape."""
        return _is_of(look, self.signal) and (
            self.signal != "risk_detection"
            or look.has("serviceprincipalid") == (self.name == "service_principal_risk_detections")
        )

    def stage(self, con: duckdb.DuckDBPyConnection, relation: str) -> None:
        """Insert the records of `relation` into the staging tables."""
        shape.read_fields(con, relation, _FIELDS)
        is_detection = self.signal == "risk_detection"
        kind, name = ("risk_detection", "name") if is_detection else ("risky_principal", f"'{self.signal}'")
        con.execute(f"""
            CREATE OR REPLACE TEMP TABLE risk_rows AS
            SELECT *, '{self.signal}/' || risk_id AS signal_id,
                {"coalesce(service_principal_id, user_id)" if is_detection else "risk_id"} AS principal_id
            FROM entity_rows""")
        con.execute(f"""
            INSERT INTO stage_signals (file_id, line, signal_id, source, kind, product, original_id, name, severity,
                status, classification, first_time, last_time, created_on, updated_on, dismissed)
            SELECT file_id, line, signal_id, '{self.signal}', '{kind}', 'Microsoft Entra ID Protection',
                signal_id, coalesce(nullif(trim({name}), ''), 'unknown'), coalesce({folded("severity")}, 'unknown'),
                {folded("status")}, {folded("detail")}, coalesce(activity_on, detected_on, updated_on),
                coalesce(activity_on, detected_on, updated_on), coalesce(detected_on, updated_on),
                coalesce(updated_on, detected_on, activity_on),
                CASE WHEN {is_confirmed("status", "detail")} THEN false WHEN {is_dismissed("status")} THEN true END
            FROM risk_rows""")
        for entity, value, principal in (
            ("principal", "coalesce(principal_id, trim(user_name))", "principal_id"),
            ("ip", "trim(ip)", "NULL"),
            ("sign_in", "sign_in_id", "NULL"),
        ):
            con.execute(f"""
                INSERT INTO stage_signal_entities (file_id, line, signal_id, entity_kind, value, principal_id)
                SELECT file_id, line, signal_id, '{entity}', {folded(value)}, {principal}
                FROM risk_rows WHERE nullif({value}, '') IS NOT NULL""")
        con.execute("DROP TABLE risk_rows")


def is_confirmed(status: str, detail: str) -> str:
    """Return SQL that is true if the state or detail of a risk means that a person confirmed it."""
    return f"({_said('confirmed', status, 'risk_state')} OR {_said('confirmed', detail, 'risk_detail')})"


def is_dismissed(status: str) -> str:
    """Return SQL that is true if the state of a risk means that it is over."""
    return _said("dismissed", status, "risk_state")


def _said(meaning: str, column: str, field_name: str) -> str:
    words = ", ".join(f"'{word}'" for word in words_that_mean(meaning, field_name))
    return f"coalesce({folded(column)} IN ({words}), false)"


RISK_SHAPES = (
    RiskShape("risk_detections", "risk_detections", "risk_detection"),
    RiskShape("service_principal_risk_detections", "service_principal_risk_detections", "risk_detection"),
    RiskShape("risky_users", "risky_users", "risky_user"),
    RiskShape("risky_service_principals", "risky_service_principals", "risky_service_principal"),
)
