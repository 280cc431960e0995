"""What an answer of each form is made of: what of it lands on disk, and how the listing goes on.

Pages of listings are kept as they came, one a line: who reads them later needs their context and the link to the next
one. Of logs, which are long, each record becomes a line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from rightsize.azure.wire import BadAnswerError

_NEXT = ("nextLink", "@odata.nextLink", "odata.nextLink")


@dataclass(frozen=True, slots=True)
class CollectedPage:
    """An answer.

    Attributes:
        lines: What lands on disk; each line ends with a newline.
        rows: Records in it.
        next_link: Where the rest is, empty at the end.
        skip_token: What to ask with for the rest, where a service has no links.
        is_partial: Whether the service says that it left something out.
        fingerprint: Of the records alone, to tell a page that comes again under another link.
    """

    lines: bytes
    rows: int
    next_link: str = ""
    skip_token: str = ""
    is_partial: bool = False
    fingerprint: int = 0


Form = Callable[[bytes], CollectedPage]


def read_pages(content: bytes) -> CollectedPage:
    """Read a page of a listing, which is kept as it is."""
    document, records = _envelope(content)
    # A newline within JSON stands between its parts only, so that taking it out changes nothing.
    line = content.strip().translate(None, b"\r\n") + b"\n"
    return CollectedPage(line, len(records), _next_of(document), fingerprint=hash(orjson.dumps(records)))


def read_records(content: bytes) -> CollectedPage:
    """Read a page of a log, of which the records are kept."""
    document, records = _envelope(content)
    lines = _lines(records)
    return CollectedPage(lines, len(records), _next_of(document), fingerprint=hash(lines))


def read_graph_query(content: bytes) -> CollectedPage:
    """Read an answer of Resource Graph, which is kept as it is, and goes on with a token instead of a link."""
    document = _object(content)
    records = document.get("data")
    if not isinstance(records, list):
        raise BadAnswerError("a document without `data`")
    token = document.get("$skipToken") or ""
    is_partial = str(document.get("resultTruncated")).lower() == "true" and not token
    return CollectedPage(content.strip().translate(None, b"\r\n") + b"\n", len(records), "", str(token), is_partial)


MOST_ROWS = 500_000
"""Rows that Log Analytics answers with at most; an answer with as many has probably lost some."""


_ROWS = re.compile(rb'"rows"\s*:\s*\[')
_BETWEEN = re.compile(rb"\]\s*,\s*\[")
ROWS_BYTES = 2 << 20
"""Bytes of rows that are read at once: an answer has up to half a million rows, and several come at once."""


def read_tables(content: bytes) -> CollectedPage:
    """Read an answer of Log Analytics, of which each row of its first table becomes a record by the names of columns.

    Rows are read in parts, so that an answer of a hundred megabytes is never there as objects.
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
            raise BadAnswerError("a table that is none") from error
    return CollectedPage(b"".join(lines), rows, is_partial=is_partial or rows >= MOST_ROWS)


def _parts(content: bytes) -> Iterator[Mapping[str, Any]]:
    """Yield an answer of tables in parts, each as if it were the whole answer with some of its first table's rows.

    A place between two brackets parts two rows where what stands before it is whole by itself; within a text or a
    nested list it is not. An answer that is not as services write it comes in one part.
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
    """Read a blob of exported records, which is kept as it is: one record a line, or documents of records."""
    end = b"" if content.endswith(b"\n") or not content else b"\n"
    return CollectedPage(content + end, content.count(b"\n") + len(end))


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
        raise BadAnswerError("something that is no JSON") from error
    if not isinstance(document, dict):
        raise BadAnswerError("JSON that is no object")
    return document


def _next_of(document: Mapping[str, Any]) -> str:
    for key in _NEXT:
        if found := document.get(key):
            if not isinstance(found, str):
                raise BadAnswerError("a next link that is none")
            return found
    return ""
