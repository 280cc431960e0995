"""Declare alerts, incidents and risk, which an Event Hub mixes among the records of logs.

The shapes of signals read them; as records of a log they are only found.
"""

from __future__ import annotations

from rightsize.rules.log_source import LogSource, Stage

SIGNAL_TABLES = {
    "securityalert": "security_alerts",
    "securityincident": "security_incidents",
    "aadriskyusers": "risky_users",
    "aaduserriskevents": "risk_detections",
    "aadriskyserviceprincipals": "risky_service_principals",
    "aadserviceprincipalriskevents": "service_principal_risk_detections",
}
"""The tables of alerts, incidents and risk, and the shape that reads their rows."""

SIGNAL_CATEGORIES = {
    "riskyusers": "risky_users",
    "userriskevents": "risk_detections",
    "riskyserviceprincipals": "risky_service_principals",
    "serviceprincipalriskevents": "service_principal_risk_detections",
}
"""The categories of diagnostic records of risk, and the shape that reads them."""

_CATEGORIES = ", ".join(f"'{name}'" for name in SIGNAL_CATEGORIES)

SOURCE = LogSource(
    name="signal",
    source="signals",
    records="signals",
    sent_by="tenant",
    needed=(),
    tables=tuple(SIGNAL_TABLES),
    collected=(
        "SecurityAlert",
        "SecurityIncident",
        "AADUserRiskEvents",
        "AADRiskyUsers",
        "AADServicePrincipalRiskEvents",
        "AADRiskyServicePrincipals",
    ),
    recognised=((Stage.TABLE, f"table_key IS NULL AND (category_key IN ({_CATEGORIES}) OR alert_id IS NOT NULL)"),),
    marks=("alert_id",),
)
