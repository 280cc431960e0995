"""Declare the tables of Log Analytics workspaces as sources, whole or reduced by queries, in time slices.

The rows of each hour are counted first. An answer is cut at 500,000 rows, about 100 MB or ten minutes, and a slice with
a partial answer has to be requested again in halves. The bounds are in the query, half open, because a `timespan` alone
would include both ends.
Source: Microsoft Learn, "Azure Monitor service limits", "Log Analytics API: timespan".
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from rightsize.azure.wire import WireRequest
from rightsize.collect.listing import CollectionUnit, Known, Right, Source, Units, instant, read_tables, slices
from rightsize.model.errors import InternalError, UsageError
from rightsize.rules.log_sources import LOG_SOURCES
from rightsize.store.queries import queries_folder

REDUCTIONS = ("azure_activity", "storage_logs", "sign_ins")
"""The names of the queries; the first lines of each describe its rows."""

_BOUND = re.compile(r"^let (Start|End) = datetime\([^)]*\);$", re.MULTILINE)


def reduction_text(name: str, first: dt.datetime, end: dt.datetime) -> str:
    """Return a reduction query over records received from `first` until before `end`, both whole UTC hours.

    The key of a row has the hour in which its calls were received. Two slices within one hour would share keys, and
    their counts would look like the same calls counted twice.

    Raises:
        InternalError: There is no such query, or a bound is not a whole hour.
    """
    if name not in REDUCTIONS:
        raise InternalError(f"there is no reduction `{name}`")
    bounds = {"Start": first.astimezone(dt.UTC), "End": end.astimezone(dt.UTC)}
    if any(bound.minute or bound.second or bound.microsecond for bound in bounds.values()):
        raise InternalError(f"`{first}` to `{end}` is not a range of whole hours")
    text = (queries_folder() / "kql" / f"{name}.kql").read_text(encoding="utf-8")
    return _BOUND.sub(lambda found: f"let {found[1]} = datetime({bounds[found[1]]:%Y-%m-%dT%H:%M:%SZ});", text)


TABLES = tuple(table for log in LOG_SOURCES for table in log.collected)
"""The tables with data on principals and their activity."""

REDUCED = (
    ("reduced_activity", "azure_activity", "use of the control plane, reduced in the workspace", ("AzureActivity",)),
    (
        "reduced_storage",
        "storage_logs",
        "use of storage, reduced in the workspace",
        ("StorageBlobLogs", "StorageFileLogs", "StorageQueueLogs", "StorageTableLogs"),
    ),
    (
        "reduced_sign_ins",
        "sign_ins",
        "sign-ins, reduced in the workspace",
        (
            "SigninLogs",
            "AADNonInteractiveUserSignInLogs",
            "AADServicePrincipalSignInLogs",
            "AADManagedIdentitySignInLogs",
        ),
    ),
)
"""Sources that are reduced to distinct use in the workspace: name, query, title, and the tables that it reads."""

_WORKSPACE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_QUERY = "Microsoft.OperationalInsights/workspaces/query"
_ALSO = ("Microsoft.OperationalInsights/workspaces/read", f"{_QUERY}/read")
_LATENESS = dt.timedelta(hours=3)
_SHORTEST = dt.timedelta(seconds=2)
# A row of AzureActivity has some kilobytes, and an answer about 100 MB.
_ROWS_A_SLICE = 20_000
REDUCED_DAYS = 7
_PATH = "/v1/workspaces/{}/query"
_WAIT = {"Prefer": "wait=600"}


def _query(workspace: str, text: str, first: dt.datetime, last: dt.datetime) -> WireRequest:
    body = {"query": _bounded(text, first, last), "timespan": f"{instant(first)}/{instant(last)}"}
    return WireRequest("logs", _PATH.format(workspace), "POST", json.dumps(body), headers=_WAIT)


_START = re.compile(r"^let Start = datetime\(([^)]*)\);", re.MULTILINE)
_END = re.compile(r"^let End = datetime\(([^)]*)\);", re.MULTILINE)
_HEAD = "let Start = datetime();\nlet End = datetime();\n"
_WITHIN = "where TimeGenerated >= Start and TimeGenerated < End"


def _bounded(text: str, first: dt.datetime, last: dt.datetime) -> str:
    """Return a query with the bounds of a slice in its first statements."""
    return _END.sub(
        f"let End = datetime({instant(last)});", _START.sub(f"let Start = datetime({instant(first)});", text)
    )


def _workspaces(known: Known) -> Iterator[str]:
    for text in known.question.workspaces:
        if not _WORKSPACE.fullmatch(text):
            raise UsageError(f"`{text}` is not a workspace id", hint="copy it from the overview page of the workspace")
        yield text.lower()


def _counts(table: str) -> Units:
    def units(known: Known) -> Iterator[CollectionUnit]:
        for workspace in _workspaces(known):
            first = known.since(table, f"{workspace}/{table}", _LATENESS)
            text = f"{_HEAD}{table} | {_WITHIN} | summarize rows = count() by hour = bin(TimeGenerated, 1h)"
            yield CollectionUnit(workspace, (_query(workspace, text, first, known.question.until),))

    return units


def _rows(table: str) -> Units:
    def units(known: Known) -> Iterator[CollectionUnit]:
        for workspace, records in known.parts(_counts_name(table)):
            since = known.since(table, f"{workspace}/{table}", _LATENESS)
            for first, last in _slices(records, since, known.question.until):
                yield CollectionUnit(
                    f"{workspace}/{table}#{instant(first)}",
                    (_query(workspace, f"{_HEAD}{table} | {_WITHIN}", first, last),),
                    first=first,
                    last=last,
                )

    return units


def _slices(
    records: Iterator[dict[str, Any]], since: dt.datetime, until: dt.datetime
) -> Iterator[tuple[dt.datetime, dt.datetime]]:
    """Yield adjoining slices of about `_ROWS_A_SLICE` rows; hours without rows need no own slice."""
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


def _bounds_of(text: str) -> tuple[dt.datetime, dt.datetime]:
    start, end = _START.search(text), _END.search(text)
    if start is None or end is None:
        raise InternalError("a query has no bounds")
    return dt.datetime.fromisoformat(start[1]), dt.datetime.fromisoformat(end[1])


def halve(request: WireRequest) -> tuple[WireRequest, ...]:
    """Return the same query for the two halves of its time; nothing if its time is under two seconds."""
    body = json.loads(request.body or "{}")
    first, last = _bounds_of(body["query"])
    if last - first < _SHORTEST:
        return ()
    middle = (first + (last - first) / 2).replace(microsecond=0)
    halves = []
    for start, end in ((first, middle), (middle, last)):
        part = {"query": _bounded(body["query"], start, end), "timespan": f"{instant(start)}/{instant(end)}"}
        halves.append(replace(request, body=json.dumps({**body, **part})))
    return tuple(halves)


def _reduced(name: str, text: str) -> Units:
    def units(known: Known) -> Iterator[CollectionUnit]:
        until = known.question.until.replace(minute=0, second=0, microsecond=0)
        for workspace in _workspaces(known):
            since = known.since(name, f"{workspace}/{name}", _LATENESS)
            for first, last in slices(since, until, REDUCED_DAYS):
                # The query also reads a margin beyond its bounds, which a `timespan` would cut off.
                body = {"query": reduction_text(text, first, last)}
                request = WireRequest("logs", _PATH.format(workspace), "POST", json.dumps(body), headers=_WAIT)
                yield CollectionUnit(f"{workspace}/{name}#{instant(first)}", (request,), first=first, last=last)

    return units


def halve_hours(request: WireRequest) -> tuple[WireRequest, ...]:
    """Return the same reduction for the two halves of its time; nothing for one hour, since its rows are hourly."""
    body = json.loads(request.body or "{}")
    first, last = _bounds_of(body["query"])
    hours = (last - first) // dt.timedelta(hours=1)
    if hours < 2:
        return ()
    middle = first + dt.timedelta(hours=hours // 2)
    return tuple(
        replace(request, body=json.dumps({**body, "query": _bounded(body["query"], start, end)}))
        for start, end in ((first, middle), (middle, last))
    )


def _counts_name(table: str) -> str:
    return f"{table}_counts"


def _right(*tables: str) -> Right:
    first, *others = (f"{_QUERY}/{table}/read" for table in tables)
    return Right(first, "Log Analytics Reader", also=(*others, *_ALSO))


def _sources() -> Iterator[Source]:
    for name, text, title, tables in REDUCED:
        yield Source(name, "logs", title, _right(*tables), _reduced(name, text), form=read_tables, split=halve_hours)
    for table in TABLES:
        name = _counts_name(table)
        yield Source(
            name, "logs", f"rows of {table} by hour", _right(table), _counts(table), form=read_tables, split=halve,
            is_raw=True,
        )  # fmt: skip
        yield Source(
            table, "logs", f"rows of {table}", _right(table), _rows(table), (name,), form=read_tables, split=halve
        )


WORKSPACE_SOURCES = tuple(_sources())
"""The reductions; and for each table, the number of rows by hour, then the rows."""


def workspace_source_names(*, raw: bool) -> frozenset[str]:
    """Return the names of the sources for workspaces: reductions where they exist; with `raw`, only rows."""
    reduced = {name for name, *_ in REDUCED}
    tables = [table for table in TABLES if raw or not any(table in of for *_, of in REDUCED)]
    rows = {*tables, *map(_counts_name, tables)}
    return frozenset(rows if raw else rows | reduced)
