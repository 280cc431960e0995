"""Declare the logs as sources: Activity Log, Graph audit reports, blobs, alerts, risk, and tables that KQL reads.

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

Tables that KQL reads, whole or reduced, in slices of time, are in a Log Analytics workspace, an Azure Data Explorer
database, or the data lake of Sentinel. The rows of each hour are counted first. An answer is cut at 500,000 rows, 64 MB
(Kusto) or 100 MB (Log Analytics), or ten minutes; what is partial is asked again in halves. Fewer rows than were
counted are an error, since rows only arrive.

The range of time stands beside a query where the service takes one, as Basic and Auxiliary tables need it, else within.
Sources: Microsoft Learn, "Azure Monitor service limits", "Log Analytics API: timespan", "Query data in a Basic and
Auxiliary table" (/search), "Query/management HTTP request" and "Query limits" of Kusto, "Run KQL queries on the
Microsoft Sentinel data lake using APIs".
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from rightsize.azure.wire import Service, WireRequest
from rightsize.collect.kql import LATENESS_OF_RULES, REDUCED_TABLES, Asked, Span, span_of, summary_table, timespan
from rightsize.collect.listing import (
    CollectionUnit,
    Known,
    Right,
    Source,
    Split,
    Units,
    arm,
    graph,
    instant,
    of_each_subscription,
    read_blob,
    read_pages,
    read_records,
    read_tables,
    slices,
    subscription_scope,
)
from rightsize.collect.sources.directory import P2
from rightsize.model.errors import UsageError
from rightsize.rules.log_sources import LOG_SOURCES

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


TABLES = tuple(table for log in LOG_SOURCES for table in log.collected)
"""The tables with data on principals and their activity."""

SUMMARY_TABLES = tuple(map(summary_table, REDUCED_TABLES))
"""The tables that summary rules fill; they are read only if they are named."""

_GUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_WORKSPACE = re.compile(rf"(?:(search):)?({_GUID})", re.IGNORECASE)
_LAKE = re.compile(rf"lake:(\S+-{_GUID})", re.IGNORECASE)
_DATABASE = re.compile(r"(https://[A-Za-z0-9.:-]+)/([\w .-]+)")
_QUERY = "Microsoft.OperationalInsights/workspaces/query"
_ALSO = ("Microsoft.OperationalInsights/workspaces/read", f"{_QUERY}/read")
_TABLES_LATENESS = dt.timedelta(hours=3)
# A row of AzureActivity has some kilobytes, a reduced row some 500 bytes, and an answer at most 64 MB.
_ROWS_A_SLICE = {False: 20_000, True: 100_000}
COUNTED_DAYS = 7
_WAIT = {"Prefer": "wait=600"}
_OPTIONS = {"servertimeout": "00:10:00", "request_readonly": True}


@dataclass(frozen=True, slots=True)
class Place:
    """Where tables are, as the user names it.

    Attributes:
        name: The name, for the keys of units.
        service: The service that answers.
        url: The path or URL of its queries.
        database: The database, for Kusto; empty for Log Analytics.
    """

    name: str
    service: Service
    url: str
    database: str = ""

    def request(self, asked: Asked, span: Span) -> WireRequest:
        """Return the request for a span of a table."""
        text = asked.text(span, is_within=bool(self.database))
        if self.database:
            body: dict[str, Any] = {"db": self.database, "csl": text, "properties": {"Options": _OPTIONS}}
            return WireRequest(self.service, self.url, "POST", json.dumps(body))
        body = {"query": text, "timespan": timespan(*asked.reach(span))}
        return WireRequest(self.service, self.url, "POST", json.dumps(body), headers=_WAIT)


def read_place(text: str) -> Place:
    """Return the place of tables that a text names.

    Raises:
        UsageError: It is neither a workspace, a lake nor a database.
    """
    if found := _WORKSPACE.fullmatch(text):
        return Place(text.lower(), "logs", f"/v1/workspaces/{found[2].lower()}/{'search' if found[1] else 'query'}")
    if found := _LAKE.fullmatch(text):
        return Place(text, "lake", "/lake/kql/v2/rest/query", found[1])
    if found := _DATABASE.fullmatch(text):
        return Place(text, "kusto", f"{found[1]}/v2/rest/query", found[2])
    raise UsageError(
        f"`{text}` is not a workspace",
        hint="write the workspace id, search:ID for Basic tables, lake:NAME-ID, or https://CLUSTER/DATABASE",
    )


def right_at(unit: str, right: Right) -> Right:
    """Return the right that the table of a unit needs where it is; `right` is the one in a workspace."""
    if unit.startswith("https://"):
        return Right("Azure Data Explorer database access", "Database Viewer")
    return replace(right, role="Microsoft Sentinel Reader") if unit.startswith("lake:") else right


def _counts(asked: Asked) -> Units:
    def units(known: Known) -> Iterator[CollectionUnit]:
        for place in map(read_place, known.question.workspaces):
            since, until = _window(known, asked, place)
            spans = slices(since, until, COUNTED_DAYS) if asked.reduced else [(since, until)]
            requests = tuple(place.request(replace(asked, counted=True), Span(*span)) for span in spans)
            if requests:
                yield CollectionUnit(place.name, requests)

    return units


def _window(known: Known, asked: Asked, place: Place) -> tuple[dt.datetime, dt.datetime]:
    name, until = source_name(asked), known.question.until
    since = known.since(name, f"{place.name}/{name}", LATENESS_OF_RULES if asked.by_rule else _TABLES_LATENESS)
    return since, until.replace(minute=0, second=0, microsecond=0) if asked.reduced else until


def _rows(asked: Asked) -> Units:
    name = source_name(asked)

    def units(known: Known) -> Iterator[CollectionUnit]:
        places = {place.name: place for place in map(read_place, known.question.workspaces)}
        for key, records in known.parts(f"{name}_counts"):
            since, until = _window(known, asked, places[key])
            for first, last, rows in _slices(records, since, until, _ROWS_A_SLICE[asked.reduced]):
                unit = f"{key}/{name}#{instant(first)}"
                request = places[key].request(asked, Span(first, last))
                yield CollectionUnit(unit, (request,), first=first, last=last, rows=rows)

    return units


def _slices(
    records: Iterator[Mapping[str, Any]], since: dt.datetime, until: dt.datetime, most: int
) -> Iterator[tuple[dt.datetime, dt.datetime, int]]:
    """Yield adjoining slices of at most `most` rows, or of an hour, with their rows; empty hours need no own slice."""
    hours = sorted((_moment(record.get("hour")), int(record.get("rows") or 0)) for record in records)
    start, rows = since, 0
    for hour, count in hours:
        if rows and rows + count > most and hour > start:
            yield start, hour, rows
            start, rows = hour, 0
        rows += count
    if start < until:
        yield start, until, rows


def _moment(value: object) -> dt.datetime:
    found = dt.datetime.fromisoformat(str(value))
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)


def _split(asked: Asked) -> Split:
    def split(request: WireRequest) -> tuple[WireRequest, ...]:
        """Return requests that together have the rows of one; none if it cannot be cut further."""
        body = json.loads(request.body or "{}")
        span = span_of(body["query"] if "query" in body else body["csl"])
        place = Place("", request.service, request.url, body.get("db", ""))
        return tuple(place.request(asked, part) for part in asked.smaller(span))

    return split


def source_name(asked: Asked) -> str:
    """Return the name of the source of rows."""
    if asked.by_rule:
        return summary_table(asked.table)
    return f"reduced_{asked.table}" if asked.reduced else asked.table


def _sources() -> Iterator[Source]:
    reduced = [Asked(table, reduced=True) for table in REDUCED_TABLES]
    by_rules = [replace(asked, by_rule=True) for asked in reduced]
    for asked in (*reduced, *(Asked(table, reduced=False) for table in TABLES), *by_rules):
        name = source_name(asked)
        # One action reads all custom tables (Microsoft Learn: manage access to Log Analytics workspaces).
        table = "Tables.Custom" if asked.by_rule else asked.table
        right = Right(f"{_QUERY}/{table}/read", "Log Analytics Reader", also=_ALSO)
        how = "reduced by a summary rule" if asked.by_rule else "reduced where it is"
        what = f"use in {asked.table}, {how}" if asked.reduced else f"rows of {asked.table}"
        counts = replace(asked, counted=True)
        yield Source(
            f"{name}_counts", "logs", f"{what}: number by hour", right, _counts(asked), form=read_tables,
            split=_split(counts), is_raw=True,
        )  # fmt: skip
        yield Source(
            name, "logs", what, right, _rows(asked), (f"{name}_counts",), form=read_tables, split=_split(asked)
        )


WORKSPACE_SOURCES = tuple(_sources())
"""For each table, reduced or not, the number of rows by hour, then the rows."""


def workspace_source_names(*, raw: bool) -> frozenset[str]:
    """Return the names of the sources for workspaces: reductions where they exist; with `raw`, only rows."""
    reduced = () if raw else tuple(source_name(Asked(table, reduced=True)) for table in REDUCED_TABLES)
    rows = tuple(table for table in TABLES if raw or table not in REDUCED_TABLES)
    return frozenset(name for one in (*reduced, *rows) for name in (one, f"{one}_counts"))
