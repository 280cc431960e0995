"""Tables of Log Analytics workspaces, in slices of time that are small enough to be answered whole.

How many rows each hour has is asked first, since an answer is cut at 500,000 rows, at about 100 MB and at ten minutes,
and a slice that is answered in part has to be asked again in halves. Bounds stand in the query, half open: a
`timespan` alone would include both ends.
Source: Microsoft Learn, "Azure Monitor service limits", "Log Analytics API: timespan".
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from rightsize.azure.wire import Request
from rightsize.collect.forms import read_tables
from rightsize.collect.listing import Known, Right, Source, Unit, Units
from rightsize.collect.sources.asking import instant
from rightsize.model.errors import UsageError

TABLES = (
    "AzureActivity",
    "StorageBlobLogs",
    "StorageFileLogs",
    "StorageQueueLogs",
    "StorageTableLogs",
    "SigninLogs",
    "AADNonInteractiveUserSignInLogs",
    "AADServicePrincipalSignInLogs",
    "AADManagedIdentitySignInLogs",
    "AuditLogs",
    "MicrosoftGraphActivityLogs",
    "AZKVAuditLogs",
    "SecurityAlert",
)
"""Those that say something of principals and what they do."""

_WORKSPACE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_QUERY = "Microsoft.OperationalInsights/workspaces/query"
_ALSO = ("Microsoft.OperationalInsights/workspaces/read", f"{_QUERY}/read")
_LATENESS = dt.timedelta(hours=3)
_SHORTEST = dt.timedelta(seconds=2)
# A row of AzureActivity has some kilobytes, and an answer about 100 MB.
_ROWS_A_SLICE = 20_000
_WAIT = {"Prefer": "wait=600"}


def _query(workspace: str, text: str, first: dt.datetime, last: dt.datetime) -> Request:
    body = {"query": _bounded(text, first, last), "timespan": f"{instant(first)}/{instant(last)}"}
    return Request("logs", f"/v1/workspaces/{workspace}/query", "POST", json.dumps(body), headers=_WAIT)


_START = re.compile(r"^let Start = datetime\(([^)]*)\);", re.MULTILINE)
_END = re.compile(r"^let End = datetime\(([^)]*)\);", re.MULTILINE)
_HEAD = "let Start = datetime();\nlet End = datetime();\n"
_WITHIN = "where TimeGenerated >= Start and TimeGenerated < End"


def _bounded(text: str, first: dt.datetime, last: dt.datetime) -> str:
    """Put the bounds of a slice into a query, which names them in its first statements."""
    return _END.sub(
        f"let End = datetime({instant(last)});", _START.sub(f"let Start = datetime({instant(first)});", text)
    )


def _workspaces(known: Known) -> Iterator[str]:
    for text in known.question.workspaces:
        if not _WORKSPACE.fullmatch(text):
            raise UsageError(f"`{text}` is no workspace id", hint="the overview page of the workspace shows it")
        yield text.lower()


def _counts(table: str) -> Units:
    def units(known: Known) -> Iterator[Unit]:
        for workspace in _workspaces(known):
            first = known.since(table, f"{workspace}/{table}", _LATENESS)
            text = f"{_HEAD}{table} | {_WITHIN} | summarize rows = count() by hour = bin(TimeGenerated, 1h)"
            yield Unit(workspace, (_query(workspace, text, first, known.question.until),))

    return units


def _rows(table: str) -> Units:
    def units(known: Known) -> Iterator[Unit]:
        for workspace, records in known.parts(_counts_name(table)):
            since = known.since(table, f"{workspace}/{table}", _LATENESS)
            for first, last in _slices(records, since, known.question.until):
                yield Unit(
                    f"{workspace}/{table}#{instant(first)}",
                    (_query(workspace, f"{_HEAD}{table} | {_WITHIN}", first, last),),
                    first=first,
                    last=last,
                )

    return units


def _slices(
    records: Iterator[dict[str, Any]], since: dt.datetime, until: dt.datetime
) -> Iterator[tuple[dt.datetime, dt.datetime]]:
    """Yield slices that follow each other without a gap, of about so many rows; hours without rows cost nothing."""
    hours = sorted((_moment(record.get("hour")), int(record.get("rows") or 0)) for record in records)
    start, rows = since, 0
    for hour, count in hours:
        if rows and rows + count > _ROWS_A_SLICE and hour > start:
            yield start, hour
            start, rows = hour, 0
        rows += count
    yield start, until


def _moment(value: object) -> dt.datetime:
    found = dt.datetime.fromisoformat(str(value))
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)


def halve(request: Request) -> tuple[Request, ...]:
    """Return the same query for the halves of its time, nothing where that is a few seconds."""
    body = json.loads(request.body or "{}")
    bounds = _START.search(body["query"]), _END.search(body["query"])
    if bounds[0] is None or bounds[1] is None:
        return ()
    first, last = (dt.datetime.fromisoformat(found[1]) for found in bounds if found is not None)
    if last - first < _SHORTEST:
        return ()
    middle = (first + (last - first) / 2).replace(microsecond=0)
    halves = []
    for start, end in ((first, middle), (middle, last)):
        part = {"query": _bounded(body["query"], start, end), "timespan": f"{instant(start)}/{instant(end)}"}
        halves.append(replace(request, body=json.dumps({**body, **part})))
    return tuple(halves)


def _counts_name(table: str) -> str:
    return f"{table}_counts"


def _sources() -> Iterator[Source]:
    for table in TABLES:
        name = _counts_name(table)
        right = Right(f"{_QUERY}/{table}/read", "Log Analytics Reader", also=_ALSO)
        yield Source(
            name, "logs", f"rows of {table} by hour", right, _counts(table), form=read_tables, split=halve,
            is_raw=True,
        )  # fmt: skip
        yield Source(table, "logs", f"rows of {table}", right, _rows(table), (name,), form=read_tables, split=halve)


WORKSPACE_SOURCES = tuple(_sources())
"""For each table, how many rows its hours have, and then the rows."""
