"""Declare the Graph audit reports as sources: sign-ins of each kind and directory audits.

Version 1.0 lists interactive sign-ins only; the others are requested from the beta, by `signInEventTypes`. A tenant
without Entra ID P1 keeps 7 days, one with it 30. Sign-ins arrive up to two hours late.
Source: Microsoft Learn, "List signIns", "Microsoft Entra data retention", "Microsoft Graph service-specific throttling
limits" (identity and access reports: 5 requests in 10 seconds).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from rightsize.collect.forms import read_records
from rightsize.collect.listing import CollectionUnit, Known, Right, Source, Units
from rightsize.collect.sources.asking import graph, instant, slices

_LATENESS = dt.timedelta(hours=2)
_SLICE_DAYS = 10
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
        for first, last in slices(_since(known, "sign_ins", kind), known.question.until, _SLICE_DAYS):
            condition = _between("createdDateTime", first, last)
            if not is_default:
                condition += f" and signInEventTypes/any(t: t eq '{kind}')"
            request = graph("/auditLogs/signIns", beta=not is_default, budget="reports", filter=condition, top="1000")
            yield CollectionUnit(f"{kind}#{instant(first)}", (request,), "/", first, last)


def _since(known: Known, source: str, stream: str) -> dt.datetime:
    # Requesting more days than the tenant keeps costs only the request.
    day = known.question.until.replace(hour=0, minute=0, second=0, microsecond=0)
    return known.since(source, stream, _LATENESS, day - dt.timedelta(days=_WITH_P1))


def _between(name: str, first: dt.datetime, last: dt.datetime) -> str:
    return f"{name} ge {instant(first)} and {name} lt {instant(last)}"


def by_time(name: str, path: str, column: str, budget: str, top: str, lateness: dt.timedelta | None = None) -> Units:
    """Return a maker of one unit for rows newer than the last run less `lateness`, by the time in `column`."""

    def units(known: Known) -> Iterator[CollectionUnit]:
        first, last = known.since(name, "tenant", lateness or _LATENESS), known.question.until
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
