"""Declare how a source is asked: its units, requests, the right to read it, and how its answers are parsed.

A page of a listing is kept unchanged on one line, because its readers need its context and its next link. A page of a
log is long, so each of its records becomes a line.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

import orjson

from rightsize.azure.wire import BadAnswerError, Service, WireRequest

_NEXT = ("nextLink", "@odata.nextLink", "odata.nextLink")


@dataclass(frozen=True, slots=True)
class CollectedPage:
    """One answer, as it is written to disk.

    Attributes:
        lines: The lines to write to disk; each ends with a newline.
        rows: The number of records in it.
        next_link: The URL of the next page; empty at the end.
        skip_token: The token of the next page, for a service that has no links.
        is_partial: Whether the service says that rows are missing.
        fingerprint: A hash of the records alone, to recognise the same page under another link.
        envelope: Its line without the records, for a listing whose readers need the context and the link of each page.
    """

    lines: bytes
    rows: int
    next_link: str = ""
    skip_token: str = ""
    is_partial: bool = False
    fingerprint: str = ""
    envelope: bytes = b""


Form = Callable[[bytes], CollectedPage]


def read_pages(content: bytes) -> CollectedPage:
    """Return a page of a listing, kept unchanged on one line."""
    document, records = _envelope(content)
    # Newlines in JSON are only between its tokens, so removing them changes nothing.
    line = content.strip().translate(None, b"\r\n") + b"\n"
    return CollectedPage(
        line,
        len(records),
        _next_of(document),
        fingerprint=_fingerprint(orjson.dumps(records)),
        envelope=orjson.dumps({**document, "value": []}, option=orjson.OPT_APPEND_NEWLINE),
    )


def read_records(content: bytes) -> CollectedPage:
    """Return a page of a log, with one record a line."""
    document, records = _envelope(content)
    lines = _lines(records)
    return CollectedPage(lines, len(records), _next_of(document), fingerprint=_fingerprint(lines))


def read_graph_query(content: bytes) -> CollectedPage:
    """Return an answer of Resource Graph, kept unchanged; its next page has a token instead of a link."""
    document = _object(content)
    records = document.get("data")
    if not isinstance(records, list):
        raise BadAnswerError("a document without `data`")
    token = document.get("$skipToken") or ""
    is_partial = str(document.get("resultTruncated")).lower() == "true" and not token
    return CollectedPage(content.strip().translate(None, b"\r\n") + b"\n", len(records), "", str(token), is_partial)


MOST_ROWS = 500_000
"""Maximum rows of a Log Analytics answer; an answer with this many is probably cut."""


_ROWS = re.compile(rb'"rows"\s*:\s*\[')
_BETWEEN = re.compile(rb"\]\s*,\s*\[")
ROWS_BYTES = 2 << 20
"""Bytes of rows to parse at once: an answer has up to half a million rows, and several arrive in parallel."""


def read_tables(content: bytes) -> CollectedPage:
    """Return an answer of Log Analytics or Kusto, with each row of its first table as a record keyed by column names.

    Rows are read in parts, so that an answer of 100 MB is never in memory as objects.
    """
    if content.lstrip().startswith(b"["):
        return _read_frames(content)
    lines: list[bytes] = []
    rows = 0
    is_partial = False
    for document in _parts(content):
        tables = document.get("tables")
        is_partial = is_partial or document.get("error") is not None
        if not isinstance(tables, list) or not tables:
            if is_partial:
                return CollectedPage(b"", 0, is_partial=True)
            raise BadAnswerError("a document without `tables`")
        try:
            names = [str(column["name"]) for column in tables[0]["columns"]]
            lines.append(_lines(dict(zip(names, row, strict=True)) for row in tables[0]["rows"]))
            rows += len(tables[0]["rows"])
        except (KeyError, TypeError, ValueError) as error:
            raise BadAnswerError("a table whose rows do not match its columns") from error
    return CollectedPage(b"".join(lines), rows, is_partial=is_partial or rows >= MOST_ROWS)


_LIMITS = ("LimitsExceeded", "E_QUERY_RESULT_SET_TOO_LARGE", "E_RUNAWAY_QUERY", "80DA0003", "80DA0001", "Timeout")
"""Words in an error of Kusto that a smaller query may not have."""


def _read_frames(content: bytes) -> CollectedPage:
    """Return an answer of Kusto, a list of frames; an error may stand among the rows or in the last frame.

    Source: Microsoft Learn, "Query V2 HTTP response".
    """
    try:
        frames = orjson.loads(content)
        table = next(frame for frame in frames if frame.get("TableKind") == "PrimaryResult")
        names = [str(column["ColumnName"]) for column in table["Columns"]]
        rows = [row for row in table["Rows"] if isinstance(row, list)]
        lines = _lines(dict(zip(names, row, strict=True)) for row in rows)
    except (orjson.JSONDecodeError, AttributeError, StopIteration, KeyError, TypeError, ValueError) as error:
        raise BadAnswerError("frames without a result") from error
    errors = [row for row in table["Rows"] if not isinstance(row, list)]
    errors += [frame for frame in frames if frame.get("HasErrors")]
    said = orjson.dumps(errors).decode()
    if errors and not any(word in said for word in _LIMITS):
        raise BadAnswerError(f"an error among its rows: {said[:200]}")
    if not any(frame.get("FrameType") == "DataSetCompletion" for frame in frames):
        raise BadAnswerError("frames without an end")
    return CollectedPage(lines, len(rows), is_partial=bool(errors) or len(rows) >= MOST_ROWS)


def _parts(content: bytes) -> Iterator[Mapping[str, Any]]:
    """Yield a Log Analytics answer in parts; each is a whole answer with some rows of the first table.

    `],[` separates two rows if the JSON before it is complete; within a string or a nested list it is not. An answer
    of unusual layout comes in one part.
    """
    begin = _ROWS.search(content)
    start = begin.end() if begin else 0
    try:
        head = orjson.loads(content[:start] + b"]}]}")
        columns = orjson.dumps(head["tables"][0]["columns"])
    except (orjson.JSONDecodeError, KeyError, TypeError, IndexError):
        yield _object(content)
        return
    front, size = b'{"tables":[{"columns":' + columns + b',"rows":[', ROWS_BYTES
    while between := _BETWEEN.search(content, start + size):
        try:
            part = orjson.loads(front + content[start : between.start() + 1] + b"]}]}")
        except orjson.JSONDecodeError:
            size *= 2
            continue
        if len(part["tables"]) > 1:
            break
        yield part
        start, size = between.end() - 1, ROWS_BYTES
    yield {"error": head.get("error")} | dict(_object(front + content[start:]))


def read_blob(content: bytes) -> CollectedPage:
    """Return a blob of exported records, kept unchanged: one record a line, or documents of records."""
    end = b"" if content.endswith(b"\n") or not content else b"\n"
    return CollectedPage(content + end, content.count(b"\n") + len(end))


def _fingerprint(records: bytes) -> str:
    """Return a hash that a later process computes alike: a run that goes on compares it with the journal's."""
    return hashlib.sha256(records).hexdigest()[:32]


def _lines(records: Iterable[Any]) -> bytes:
    return b"".join(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE) for record in records)


def _envelope(content: bytes) -> tuple[Mapping[str, Any], list[Any]]:
    document = _object(content)
    records = document.get("value")
    if not isinstance(records, list):
        raise BadAnswerError("a document without `value`")
    return document, records


def _object(content: bytes) -> Mapping[str, Any]:
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise BadAnswerError("content that is not JSON") from error
    if not isinstance(document, dict):
        raise BadAnswerError("JSON that is not an object")
    return document


def _next_of(document: Mapping[str, Any]) -> str:
    for key in _NEXT:
        if found := document.get(key):
            if not isinstance(found, str):
                raise BadAnswerError("a next link that is not text")
            return found
    return ""


@dataclass(frozen=True, slots=True)
class Right:
    """The permission, role and licence that reading a source needs.

    Attributes:
        permission: The Azure action, or the Graph permission.
        role: The smallest built-in role that has it: an Azure role for an action, a directory role for people who use
            a Graph permission.
        licence: The licence that the tenant needs, if a missing licence is also a reason for a refusal.
        also: Further actions that are needed.
        is_data_action: Whether it is an Azure dataAction.
    """

    permission: str
    role: str = "Reader"
    licence: str = ""
    also: tuple[str, ...] = ()
    is_data_action: bool = False


@dataclass(frozen=True, slots=True)
class CollectionUnit:
    """A part of a source that is complete or incomplete on its own, and can be resumed where it stopped.

    Attributes:
        key: Its name, unique within its source.
        requests: The requests, in order; each may have further pages.
        instead: For each of `requests` the one to send if it is refused: the same with fewer fields.
        scope: The Azure scope that it covers.
        first: Start of the time that it covers, for logs; `last` is its end.
        rows: The number of rows that the service counted before; fewer are not all.
        label: A text in its file names beside their number, for pages that do not say what they list.
    """

    key: str
    requests: tuple[WireRequest, ...]
    scope: str = ""
    first: dt.datetime | None = None
    last: dt.datetime | None = None
    rows: int = 0
    label: str = ""
    instead: tuple[WireRequest, ...] = ()

    def instead_of(self, request: WireRequest) -> WireRequest:
        """Return the request to send instead of a refused one."""
        return self.instead[self.requests.index(request)]


@dataclass(frozen=True, slots=True)
class CollectionRequest:
    """The choices of a user for a run.

    Attributes:
        until: End of the window of logs; `days` is its length.
        sources: Names of sources; empty for all.
        subscriptions: Ids; empty for all visible subscriptions.
        workspaces: Ids of Log Analytics workspaces; their tables replace the other logs.
        containers: `ACCOUNT/CONTAINER` of exported logs.
        raw: Whether to fetch rows of Log Analytics instead of their reduction to distinct use.
    """

    until: dt.datetime
    days: int = 90
    sources: tuple[str, ...] = ()
    subscriptions: tuple[str, ...] = ()
    workspaces: tuple[str, ...] = ()
    containers: tuple[str, ...] = ()
    raw: bool = False

    @property
    def since(self) -> dt.datetime:
        """Return the start of the window, a whole UTC day."""
        day = self.until.replace(hour=0, minute=0, second=0, microsecond=0)
        return day - dt.timedelta(days=self.days)


class Known(Protocol):
    """The records of sources that were collected before; later sources make their units from them."""

    @property
    def question(self) -> CollectionRequest:
        """Return what the run is asked to collect."""
        ...

    def records(self, source: str) -> Iterator[dict[str, Any]]:
        """Yield the records of a source unchanged."""
        ...

    def parts(self, source: str) -> Iterator[tuple[str, Iterator[dict[str, Any]]]]:
        """Yield each unit of a source as its key and its records."""
        ...

    def subscriptions(self) -> list[str]:
        """Return the ids of the subscriptions that are asked for and visible."""
        ...

    def management_groups(self) -> list[str]:
        """Return the scopes of the visible management groups."""
        ...

    def is_held(self, source: str, key: str) -> bool:
        """Return whether an earlier run has a unit completely."""
        ...

    def since(self, source: str, key: str, lateness: dt.timedelta, oldest: dt.datetime | None = None) -> dt.datetime:
        """Return the start of the time to fetch of a log: the start of the window, or the end of earlier runs.

        Rows arrive late. So the end of an earlier run is moved back by `lateness`, to the start of its UTC day. The
        service no longer has rows from before `oldest`.
        """
        ...


Units = Callable[[Known], Iterable[CollectionUnit]]
Split = Callable[[WireRequest], tuple[WireRequest, ...]]


@dataclass(frozen=True, slots=True)
class Source:
    """A listing or log that can be collected from a tenant.

    Attributes:
        name: Unique; the folder of its pages.
        service: The service that answers its requests.
        title: A description for a person.
        right: The right that reading it needs.
        units: Makes its units from the records of earlier sources.
        after: The sources that its units need.
        form: Parses its answers.
        split: Makes smaller requests of one whose answer was partial; none if it cannot be split further.
        log: The log that its rows belong to, in the terms of coverage, if its windows can be declared.
        retention: Returns the number of days that Azure keeps of it.
        is_raw: Whether its pages are not loaded: they serve only the collection, or look like another listing.
    """

    name: str
    service: Service
    title: str
    right: Right
    units: Units
    after: tuple[str, ...] = ()
    form: Form = read_pages
    log: str = ""
    retention: Callable[[Known], int] | None = None
    is_raw: bool = False
    split: Split | None = None
    pool: str = ""

    @property
    def workers(self) -> str:
        """Return the name of the budget that limits how many of its units are fetched in parallel."""
        return self.pool or self.service


AUTHORIZATION = "/providers/Microsoft.Authorization"


def arm(path: str, version: str, *, budget: str = "", **parameters: str) -> WireRequest:
    """Return a request to ARM; a parameter `filter` is sent as `$filter`."""
    query = {"api-version": version, **{f"${name}": value for name, value in parameters.items()}}
    return WireRequest("arm", f"{quote(path, safe='/()$')}?{_query(query)}", budget=budget or f"arm:{_bucket(path)}")


def graph(path: str, *, beta: bool = False, budget: str = "graph", cost: float = 1.0, **parameters: str) -> WireRequest:
    """Return a request to Graph; a parameter `select` is sent as `$select`."""
    query = {f"${name}": value for name, value in parameters.items()}
    # Only an eventually consistent index answers filters on some properties.
    headers: Mapping[str, str] = {"ConsistencyLevel": "eventual"} if "count" in parameters else {}
    url = f"/{'beta' if beta else 'v1.0'}{quote(path, safe='/()')}" + (f"?{_query(query)}" if query else "")
    return WireRequest("graph", url, headers=headers, budget=budget, cost=cost)


def _query(parameters: Mapping[str, str]) -> str:
    return "&".join(f"{name}={quote(value, safe='(),')}" for name, value in parameters.items())


def _bucket(path: str) -> str:
    """Return the bucket of a path: ARM counts reads per subscription, and those at the tenant together."""
    parts = path.split("/")
    return parts[2].lower() if parts[1:2] == ["subscriptions"] and len(parts) > 2 else "tenant"


def subscription_scope(identifier: str) -> str:
    """Return the scope of a subscription."""
    return f"/subscriptions/{identifier}"


def of_each_subscription(known: Known, path: str, version: str, **parameters: str) -> Iterator[CollectionUnit]:
    """Yield a unit for each subscription that requests `path` below it."""
    for identifier in known.subscriptions():
        scope = subscription_scope(identifier)
        yield CollectionUnit(scope, (arm(f"{scope}{path}", version, **parameters),), scope)


def instant(moment: dt.datetime) -> str:
    """Return a time in the format of filters, in UTC."""
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def slices(first: dt.datetime, last: dt.datetime, days: int) -> Iterator[tuple[dt.datetime, dt.datetime]]:
    """Yield consecutive slices of a time range, each `days` long; the last may be shorter."""
    while first < last:
        end = min(first + dt.timedelta(days=days), last)
        yield first, end
        first = end
