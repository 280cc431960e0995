"""Declare the tables that KQL reads as sources, whole or reduced, in slices of time.

They are in a Log Analytics workspace, an Azure Data Explorer database, or the data lake of Sentinel. The rows of each
hour are counted first. An answer is cut at 500,000 rows, 64 MB (Kusto) or 100 MB (Log Analytics), or ten minutes; what
is partial is asked again in halves. Fewer rows than were counted are an error, since rows only arrive.

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

from rightsize.azure.wire import Service, WireRequest
from rightsize.collect.kql import LATENESS_OF_RULES, REDUCED_TABLES, Asked, Span, span_of, summary_table, timespan
from rightsize.collect.listing import CollectionUnit, Known, Right, Source, Split, Units, instant, read_tables, slices
from rightsize.model.errors import UsageError
from rightsize.rules.log_sources import LOG_SOURCES

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
_LATENESS = dt.timedelta(hours=3)
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
    since = known.since(name, f"{place.name}/{name}", LATENESS_OF_RULES if asked.by_rule else _LATENESS)
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
