"""Write rows as JSON, JSON lines, CSV, TSV or Markdown, in the caller's order of rows and keys."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from json.encoder import encode_basestring_ascii
from typing import Any

from rightsize.render.escape import for_csv, for_markdown

Row = Mapping[str, Any]


def plain(value: object) -> object:
    """Return `value` as JSON values: times as RFC 3339 with Z, days as ISO dates, also inside containers."""
    if isinstance(value, dt.datetime):
        utc = value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value
        return utc.isoformat(timespec="microseconds").rstrip("0").rstrip(".") + "Z"
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    if isinstance(value, float) and (not math.isfinite(value)):
        return None
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def indented(value: object, margin: str = "\n") -> str:
    """Return `value` as indented ASCII JSON, as `json.dumps(plain(value), indent=2)` does, in half the time.

    Args:
        value: A value that `plain` takes.
        margin: The text before the closing bracket: a line end and the indentation.
    """
    if isinstance(value, str):
        return encode_basestring_ascii(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    inner = margin + "  "
    if isinstance(value, (dict, Mapping)):
        fields = [f"{encode_basestring_ascii(str(name))}: {indented(item, inner)}" for name, item in value.items()]
        return f"{{{inner}{f',{inner}'.join(fields)}{margin}}}" if fields else "{}"
    if isinstance(value, (list, tuple, Sequence)):
        items = [indented(item, inner) for item in value]
        return f"[{inner}{f',{inner}'.join(items)}{margin}]" if items else "[]"
    return json.dumps(plain(value))


def compact(value: object) -> str:
    """Return `value` as ASCII JSON on one line without spaces."""
    try:
        return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"), default=plain)
    except ValueError:
        # A number that JSON lacks.
        return json.dumps(plain(value), ensure_ascii=True, separators=(",", ":"))


def ascii_line(value: object) -> str:
    """Return `value` as ASCII JSON on one line, so that no name can end its block or turn the direction of its text."""
    return json.dumps(plain(value), ensure_ascii=True, sort_keys=True)


def cell(value: object) -> str:
    """Return `value` as the text of one cell: null as an empty text, containers as compact JSON."""
    simple = plain(value)
    if simple is None:
        return ""
    if isinstance(simple, bool):
        return "true" if simple else "false"
    if isinstance(simple, (dict, list)):
        return json.dumps(simple, ensure_ascii=False, separators=(",", ":"))
    return str(simple)


def write_json(rows: Iterable[Row] | Row) -> str:
    """Return one JSON document, indented, with a newline at its end."""
    document = plain(rows) if isinstance(rows, Mapping) else [plain(row) for row in rows]
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def write_jsonl(rows: Iterable[Row]) -> str:
    """Return one compact JSON object a line."""
    return "".join(jsonl_lines(rows))


def jsonl_lines(rows: Iterable[Row]) -> Iterator[str]:
    """Yield the lines of `write_jsonl`."""
    for row in rows:
        yield json.dumps(plain(row), ensure_ascii=False, separators=(",", ":")) + "\n"


def write_separated(rows: Iterable[Row], columns: Sequence[str], delimiter: str) -> str:
    """Return RFC 4180 text (or its tab form) with a header; formula leads are escaped."""
    return "".join(separated_lines(rows, columns, delimiter))


def separated_lines(rows: Iterable[Row], columns: Sequence[str], delimiter: str) -> Iterator[str]:
    """Yield the text of `write_separated`, a row at a time."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\r\n" if delimiter == "," else "\n")
    writer.writerow([for_csv(name) for name in columns])
    yield out.getvalue()
    for row in rows:
        out.seek(0)
        out.truncate()
        writer.writerow([_separated_cell(row.get(name)) for name in columns])
        yield out.getvalue()


def _separated_cell(value: object) -> str:
    return for_csv(cell(value)) if isinstance(value, (str, list, tuple, Mapping)) else cell(value)


def write_markdown(rows: Sequence[Row], columns: Sequence[str] = ()) -> str:
    """Return a Markdown table; without columns it has those of the first row."""
    return "".join(markdown_lines(rows, columns or list(next(iter(rows), {}))))


def markdown_lines(rows: Iterable[Row], columns: Sequence[str]) -> Iterator[str]:
    """Yield the lines of `write_markdown`."""
    yield "| " + " | ".join(for_markdown(name) for name in columns) + " |\n"
    yield "|" + " --- |" * len(columns) + "\n"
    for row in rows:
        yield "| " + " | ".join(for_markdown(cell(row.get(name))) for name in columns) + " |\n"
