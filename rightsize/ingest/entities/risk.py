"""Read the risk of Entra ID Protection: detections and risky principals, from Graph, Log Analytics and Event Hubs.

Sources: Microsoft Learn, Graph v1.0 resource types riskDetection, servicePrincipalRiskDetection, riskyUser and
riskyServicePrincipal; Log Analytics tables AADUserRiskEvents, AADServicePrincipalRiskEvents, AADRiskyUsers and
AADRiskyServicePrincipals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from rightsize.ingest.entities.fields import field, read_fields
from rightsize.ingest.entities.look import Look, look_at
from rightsize.ingest.shapes import Context
from rightsize.rules.signals import words_that_mean
from rightsize.store.sql import folded


def _both(name: str) -> tuple[str, str]:
    """Return both paths of a field: under `properties` for Event Hubs, at the top for a workspace and Graph."""
    return f"properties/{name}", name


_FIELDS = (
    field("risk_id", *_both("id"), kind="id", mandatory=True),
    field("name", *_both("riskEventType"), *_both("riskType")),
    field("severity", *_both("riskLevel")),
    field("status", *_both("riskState")),
    field("detail", *_both("riskDetail")),
    field("activity_on", *_both("activityDateTime"), kind="time"),
    field("detected_on", *_both("detectedDateTime"), kind="time"),
    field("updated_on", *_both("lastUpdatedDateTime"), *_both("riskLastUpdatedDateTime"), kind="time"),
    field("sign_in_id", *_both("requestId"), kind="id"),
    field("ip", *_both("ipAddress")),
    field("app_id", *_both("appId"), kind="id"),
    field("user_id", *_both("userId"), kind="id"),
    field("service_principal_id", *_both("servicePrincipalId"), kind="id"),
    field("user_name", *_both("userPrincipalName")),
)

_DETECTION = ("riskeventtype", "activitydatetime")
_STATE = ("risklastupdateddatetime", "risklevel", "id")


def is_risk(look: Look) -> bool:
    """Return whether a record is a risk detection or a risky principal."""
    return any(_is_of(look, source) for source in ("risk_detection", "risky_user", "risky_service_principal"))


def _is_of(look: Look, source: str) -> bool:
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

    def recognises(self, record: Mapping[str, Any], context: Context) -> bool:  # noqa: ARG002  the record says it all
        """Return whether a record has this shape."""
        look = look_at(record)
        return _is_of(look, self.signal) and (
            self.signal != "risk_detection"
            or look.has("serviceprincipalid") == (self.name == "service_principal_risk_detections")
        )

    def stage(self, con: duckdb.DuckDBPyConnection, relation: str) -> None:
        """Insert the records of `relation` into the staging tables."""
        read_fields(con, relation, _FIELDS)
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
