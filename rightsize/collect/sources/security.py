"""Declare the security sources: alerts, incidents, risky principals and risk detections.

Alerts and incidents of Graph are requested by their last change, so that their later states are collected too. A
detection can be requested only by its creation time, and people judge it later. So 30 more days are requested again.
Defender for Cloud lists all alerts of a subscription.
Source: Microsoft Learn, "List alerts_v2", "List incidents", "List riskDetections", "List riskyUsers"; REST reference of
Microsoft.Security alerts.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from rightsize.collect.forms import read_records
from rightsize.collect.listing import CollectionUnit, Known, Right, Source, Units
from rightsize.collect.sources.asking import of_each_subscription
from rightsize.collect.sources.directory import P2
from rightsize.collect.sources.reports import by_time

_JUDGED = dt.timedelta(days=30)


def _risk(name: str, title: str, path: str, permission: str, *, made: bool) -> Source:
    column, lateness = ("detectedDateTime", _JUDGED) if made else ("riskLastUpdatedDateTime", None)
    return Source(
        name,
        "graph",
        title,
        Right(permission, "Security Reader", P2),
        by_time(name, f"/identityProtection/{path}", column, "risk", "500", lateness),
        form=read_records,
        pool="risk",
    )


def _of_graph(name: str, title: str, path: str, permission: str, top: str) -> Source:
    units: Units = by_time(name, f"/security/{path}", "lastUpdateDateTime", "alerts", top)
    return Source(name, "graph", title, Right(permission, "Security Reader"), units, form=read_records, pool="alerts")


def _of_defender(known: Known) -> Iterator[CollectionUnit]:
    return of_each_subscription(known, "/providers/Microsoft.Security/alerts", "2022-01-01")


SECURITY_SOURCES = (
    _risk("risky_users", "risky users", "riskyUsers", "IdentityRiskyUser.Read.All", made=False),
    _risk("risk_detections", "risky sign-ins", "riskDetections", "IdentityRiskEvent.Read.All", made=True),
    _risk("risky_service_principals", "risky service principals", "riskyServicePrincipals",
          "IdentityRiskyServicePrincipal.Read.All", made=False),
    _risk("service_principal_risk_detections", "risky sign-ins of service principals",
          "servicePrincipalRiskDetections", "IdentityRiskEvent.Read.All", made=True),
    _of_graph("alerts", "security alerts", "alerts_v2", "SecurityAlert.Read.All", "500"),
    _of_graph("incidents", "security incidents", "incidents", "SecurityIncident.Read.All", "50"),
    Source(
        "defender_alerts", "arm", "alerts of Defender for Cloud", Right("Microsoft.Security/alerts/read",
        "Security Reader"), _of_defender, ("subscriptions",),
    ),
)  # fmt: skip
"""The security sources, in the order in which they are reported."""
