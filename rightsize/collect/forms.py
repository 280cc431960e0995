"""Parse each form of answer into the lines to write to disk and the link or token of the next page.

A page of a listing is kept unchanged on one line, because its readers need its context and its next link. A page of a
log is long, so each of its records becomes a line.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from rightsize.azure.wire import BadAnswerError

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
    """Return an answer of Log Analytics, with each row of its first table as a record keyed by column names.

    Rows are read in parts, so that an answer of 100 MB is never in memory as objects.
    """
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
