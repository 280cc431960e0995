"""Write rows as JSON, JSON lines, CSV, TSV or Markdown, in the caller's order; and tables as a workbook."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from json.encoder import encode_basestring_ascii
from typing import Any

from rightsize.model.errors import InputError
from rightsize.render.escape import for_csv, for_markdown, for_terminal

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


_MOST_ROWS = 1_048_575
_LONGEST = 32_767
_SETTINGS = {
    "in_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
    "nan_inf_to_errors": True,
}
_WIDEST = 60
_LOOKED_AT = 200


def write_workbook(tables: Mapping[str, tuple[Sequence[str], Sequence[Mapping[str, Any]]]]) -> bytes:
    """Return tables as one workbook, one sheet a table, as bytes.

    Every text is written as text. A text that a spreadsheet could take for a formula after saving as CSV gets a leading
    quote, as in our CSV. The file holds no time: same tables, same bytes.

    Args:
        tables: For each table by name, in order, the names of its columns and its rows.

    Raises:
        InputError: A table has more rows than a sheet can hold.
    """
    import xlsxwriter  # noqa: PLC0415  of workbooks alone

    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, _SETTINGS)
    # The dates of the zip members and of the properties would come from the clock.
    book.set_properties({"created": dt.datetime(1980, 1, 1)})
    head = book.add_format({"bold": True, "bottom": 1})
    for name, (columns, rows) in tables.items():
        if len(rows) > _MOST_ROWS:
            raise InputError(
                f"`{name}` has {len(rows):,} rows, and a sheet holds {_MOST_ROWS:,}", hint="export it with --format csv"
            )
        sheet = book.add_worksheet(name)
        sheet.freeze_panes(1, 0)
        for at, column in enumerate(columns):
            sheet.write_string(0, at, column, head)
            sheet.set_column(at, at, _width(column, rows))
        for line, row in enumerate(rows, 1):
            for at, column in enumerate(columns):
                _write(sheet, line, at, row.get(column))
        if rows:
            sheet.autofilter(0, 0, len(rows), len(columns) - 1)
    book.close()
    return out.getvalue()


def _write(sheet: Any, line: int, at: int, value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool):
        sheet.write_boolean(line, at, value)
    elif isinstance(value, (int, float)):
        sheet.write_number(line, at, value)
    else:
        text = for_csv(for_terminal(cell(value)))
        sheet.write_string(line, at, text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…")


def _width(column: str, rows: Sequence[Mapping[str, Any]]) -> int:
    longest = max((len(cell(row.get(column))) for row in rows[:_LOOKED_AT]), default=0)
    return min(_WIDEST, max(longest, len(column)) + 2)
