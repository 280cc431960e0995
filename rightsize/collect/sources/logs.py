"""Declare the logs as sources: Activity Log, Graph audit reports, exported blobs, alerts and risk.

These are separate APIs, and none returns the events of the others' scopes. Azure keeps 90 days; a row arrives up to
twenty minutes late.
Source: Microsoft Learn, REST reference "Activity Logs", "Tenant Activity Logs"; "Azure Activity Log".

Version 1.0 lists interactive sign-ins only; the others are requested from the beta, by `signInEventTypes`. A tenant
without Entra ID P1 keeps 7 days, one with it 30. Sign-ins arrive up to two hours late.
Source: Microsoft Learn, "List signIns", "Microsoft Entra data retention", "Microsoft Graph service-specific throttling
limits" (identity and access reports: 5 requests in 10 seconds).

A blob has the records received in one hour, and the blob of the current hour still grows. So a blob is identified by
its name and entity tag, and a blob that was fetched before is not fetched again.
Source: Microsoft Learn, "Diagnostic settings in Azure Monitor", "Destinations", Azure Storage.

Alerts and incidents of Graph are requested by their last change, so that their later states are collected too. A
detection can be requested only by its creation time, and people judge it later. So 30 more days are requested again.
Defender for Cloud lists all alerts of a subscription.
Source: Microsoft Learn, "List alerts_v2", "List incidents", "List riskDetections", "List riskyUsers"; REST reference of
Microsoft.Security alerts.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from urllib.parse import quote

from rightsize.azure.wire import WireRequest
from rightsize.collect.listing import (
    CollectionUnit,
    Known,
    Right,
    Source,
    Units,
    arm,
    graph,
    instant,
    of_each_subscription,
    read_blob,
    read_pages,
    read_records,
    slices,
    subscription_scope,
)
from rightsize.collect.sources.directory import P2
from rightsize.model.errors import UsageError

RETENTION_DAYS = 90
_NAME = "activity_log"
_VALUES = "/providers/Microsoft.Insights/eventtypes/management/values"
_LATENESS = dt.timedelta(minutes=30)
# Long enough that quiet subscriptions need few requests, short enough that restarting one costs little.
_SLICE_DAYS = 30


def _units(known: Known) -> Iterator[CollectionUnit]:
    scopes = [(subscription_scope(identifier), "2015-04-01") for identifier in known.subscriptions()]
    if not known.question.subscriptions:
        scopes += [(scope, "2017-03-01-preview") for scope in known.management_groups()]
        scopes.append(("", "2015-04-01"))
    for scope, version in scopes:
        since = known.since(_NAME, scope or "/", _LATENESS, _oldest(known.question.until))
        for first, last in slices(since, known.question.until, _SLICE_DAYS):
            condition = f"eventTimestamp ge '{instant(first)}' and eventTimestamp le '{instant(last)}'"
            request = arm(f"{scope}{_VALUES}", version, budget="activity", filter=condition)
            yield CollectionUnit(f"{scope or '/'}#{instant(first)}", (request,), scope or "/", first, last)


def _oldest(until: dt.datetime) -> dt.datetime:
    """Return the oldest whole day that the log still has."""
    day = until.replace(hour=0, minute=0, second=0, microsecond=0)
    return day - dt.timedelta(days=RETENTION_DAYS - 1)


ACTIVITY_SOURCES = (
    Source(
        _NAME,
        "arm",
        "Activity Log",
        Right("Microsoft.Insights/eventtypes/values/Read"),
        _units,
        ("subscriptions", "management_groups"),
        form=read_records,
        log="activity_log",
        retention=lambda _: RETENTION_DAYS,
        pool="activity",
    ),
)
"""One source with many units."""


_REPORTS_LATENESS = dt.timedelta(hours=2)
_SIGN_IN_SLICE_DAYS = 10
_WITHOUT_P1, _WITH_P1 = 7, 30
_P1_PLANS = ("AAD_PREMIUM", "AAD_PREMIUM_P2")
SIGN_IN_KINDS = ("interactiveUser", "nonInteractiveUser", "servicePrincipal", "managedIdentity")


def report_retention(known: Known) -> int:
    """Return the days that the tenant keeps reports: 30 with a visible P1 or P2 licence, else 7."""
    for record in known.records("licences"):
        plans = record.get("servicePlans")
        if not isinstance(plans, list) or record.get("capabilityStatus", "Enabled") not in ("Enabled", "Warning"):
            continue
        if any(isinstance(plan, dict) and plan.get("servicePlanName") in _P1_PLANS for plan in plans):
            return _WITH_P1
    return _WITHOUT_P1


def _sign_ins(known: Known) -> Iterator[CollectionUnit]:
    for kind in SIGN_IN_KINDS:
        is_default = kind == "interactiveUser"
        for first, last in slices(_since(known, "sign_ins", kind), known.question.until, _SIGN_IN_SLICE_DAYS):
            condition = _between("createdDateTime", first, last)
            if not is_default:
                condition += f" and signInEventTypes/any(t: t eq '{kind}')"
            request = graph("/auditLogs/signIns", beta=not is_default, budget="reports", filter=condition, top="1000")
            yield CollectionUnit(f"{kind}#{instant(first)}", (request,), "/", first, last)


def _since(known: Known, source: str, stream: str) -> dt.datetime:
    # Requesting more days than the tenant keeps costs only the request.
    day = known.question.until.replace(hour=0, minute=0, second=0, microsecond=0)
    return known.since(source, stream, _REPORTS_LATENESS, day - dt.timedelta(days=_WITH_P1))


def _between(name: str, first: dt.datetime, last: dt.datetime) -> str:
    return f"{name} ge {instant(first)} and {name} lt {instant(last)}"


def by_time(name: str, path: str, column: str, budget: str, top: str, lateness: dt.timedelta | None = None) -> Units:
    """Return a maker of one unit for rows newer than the last run less `lateness`, by the time in `column`."""

    def units(known: Known) -> Iterator[CollectionUnit]:
        first, last = known.since(name, "tenant", lateness or _REPORTS_LATENESS), known.question.until
        request = graph(path, budget=budget, filter=_between(column, first, last), top=top)
        yield CollectionUnit(f"tenant#{instant(first)}", (request,), "/", first, last)

    return units


_AUDIT_RIGHT = Right("AuditLog.Read.All", "Reports Reader", "Microsoft Entra ID P1")

REPORT_SOURCES = (
    Source(
        "sign_ins", "graph", "sign-ins of each kind", _AUDIT_RIGHT, _sign_ins, ("licences",), form=read_records,
        log="sign_in_log", retention=report_retention, pool="reports",
    ),
    Source(
        "directory_audits", "graph", "directory audit log", Right("AuditLog.Read.All", "Reports Reader"),
        by_time("directory_audits", "/auditLogs/directoryAudits", "activityDateTime", "reports", "999"),
        form=read_records, pool="reports",
    ),
)  # fmt: skip
"""The sources of reports, in the order in which they are reported."""


_CONTAINER = re.compile(r"(?P<account>[a-z0-9]{3,24})/(?P<container>\$?[a-z0-9](?:[a-z0-9-]{1,61}[a-z0-9]))")
_HOUR = re.compile(r"/y=(\d{4})/m=(\d{2})/d=(\d{2})/h=(\d{2})/")
_RIGHT = Right(
    "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read",
    "Storage Blob Data Reader",
    is_data_action=True,
)


def _containers(known: Known) -> Iterator[CollectionUnit]:
    for text in known.question.containers:
        found = _CONTAINER.fullmatch(text)
        if found is None:
            raise UsageError(f"`{text}` is not a container of a storage account", hint="write it as ACCOUNT/CONTAINER")
        yield CollectionUnit(text, (WireRequest("storage", f"/{text}?prefix="),))


def _blobs(known: Known) -> Iterator[CollectionUnit]:
    since, until = known.question.since, known.question.until
    for container, records in known.parts("exported_blobs"):
        for record in records:
            name, size = record.get("name"), record.get("size")
            if not isinstance(name, str) or not size or not _is_within(name, since, until):
                continue
            key = f"{container}/{name}@{record.get('etag')}"
            if not known.is_held("exported_logs", key):
                yield CollectionUnit(key, (WireRequest("storage", f"/{container}/{quote(name, safe='')}"),))


def _is_within(name: str, since: dt.datetime, until: dt.datetime) -> bool:
    """Return whether a blob may have rows of the window; a blob without an hour in its name may.

    Records arrive after their events, so blobs of the day after the window may have some too.
    """
    found = _HOUR.search(name)
    if found is None:
        return True
    try:
        hour = dt.datetime.strptime("".join(found.groups()), "%Y%m%d%H").replace(tzinfo=dt.UTC)
    except ValueError:
        return True
    return since <= hour < until + dt.timedelta(days=1)


EXPORTED_SOURCES = (
    Source("exported_blobs", "storage", "blobs of exported logs", _RIGHT, _containers, form=read_pages, is_raw=True),
    Source(
        "exported_logs", "storage", "exported logs", _RIGHT, _blobs, ("exported_blobs",), form=read_blob
    ),
)  # fmt: skip
"""Blobs are listed first, and then fetched."""


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
