"""Detect the form of a file from its first bytes, and read a few sample records to recognise it by."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Form = Literal["lines", "array", "documents", "csv", "parquet", "empty", "other"]

ENVELOPES = ("value", "records", "tables")
"""Keys of a page that hold the records: REST and Graph, Event Hubs, Log Analytics.

Resource Graph has them under `data`, which counts only beside `count`, since records may have a `data` too. Answers of
advanced hunting have them under `results`, beside `schema`.
"""

_SAMPLES = 50
_SPACE = " \t\r\n\ufeff"
_DECODER = json.JSONDecoder()
# The errors of a parser on a hostile document: invalid JSON, endless digits, endless brackets.
_UNREADABLE = (ValueError, RecursionError)
_DELIMITERS = ",;\t"


@dataclass(frozen=True, slots=True)
class Sniff:
    """The form and first records of a file, read from its head.

    Attributes:
        form: JSON lines, one JSON array, JSON documents (pages, pretty-printed objects, arrays one after another),
            CSV, Parquet, nothing, or something else.
        samples: The first records that could be read; the first row of a CSV file.
        envelope: Members of the first page other than its records; empty without a page.
        header: Columns of a CSV file, in order.
        delimiter: The delimiter of a CSV file.
        excerpt: Its first characters, for a person.
    """

    form: Form
    samples: tuple[Mapping[str, Any], ...] = ()
    envelope: Mapping[str, Any] | None = None
    header: tuple[str, ...] = ()
    delimiter: str = ","
    excerpt: str = ""


def sniff(head: bytes) -> Sniff:
    """Return the form and sample records from the first bytes of a file, decompressed and UTF-8."""
    if head.startswith(b"PAR1"):
        return Sniff("parquet")
    text = head.decode("utf-8", "replace").lstrip(_SPACE)
    excerpt = text[:200]
    if not text:
        return Sniff("empty")
    if text[0] not in "[{":
        return _sniff_csv(text, excerpt)
    if text[0] == "{":
        lines = _sniff_lines(text, excerpt)
        if lines is not None:
            return lines
    values, rest = _values(text)
    if not rest and all(_holds_nothing(value) for value in values):
        # Empty pages may still name their listing.
        return Sniff(
            "empty", envelope=next((value for value in values if isinstance(value, dict)), None), excerpt=excerpt
        )
    if len(values) == 1 and isinstance(values[0], list) and not _pages(values[0]):
        return Sniff(
            "array", tuple(value for value in values[0] if isinstance(value, dict))[:_SAMPLES], excerpt=excerpt
        )
    tops = [top for value in values for top in (value if isinstance(value, list) else [value])]
    pages = _pages(tops)
    bare = [top for top in tops if isinstance(top, dict) and top and _records_of(top) is None]
    samples = (*_samples_of(pages), *bare)[:_SAMPLES]
    return Sniff("documents", samples, pages[0] if pages else None, excerpt=excerpt)


def _values(text: str) -> tuple[list[Any], str]:
    """Return the first values of the text, with the readable part of a truncated last one, and the text after them."""
    values: list[Any] = []
    at = 0
    while at < len(text) and len(values) < _SAMPLES:
        try:
            value, at = _DECODER.raw_decode(text, at)
        except _UNREADABLE:
            begun: Any = list(_elements(text, at + 1)) if text[at] == "[" else dict(_members(text[at:]))
            return [*values, begun], text[at:]
        values.append(value)
        at = _skip(text, at)
    return values, text[at:]


def _holds_nothing(value: Any) -> bool:
    if isinstance(value, list):
        return all(_holds_nothing(item) for item in value)
    records = _records_of(value) if isinstance(value, dict) else None
    return records is not None and not any(
        record.get("rows") if isinstance(record, dict) and "columns" in record else True for record in records
    )


def _pages(values: Sequence[Any]) -> list[dict[str, Any]]:
    return [value for value in values if isinstance(value, dict) and _records_of(value) is not None]


def _sniff_lines(text: str, excerpt: str) -> Sniff | None:
    """Return the form and samples of a text whose lines are records, or None if they are not."""
    single = [_parse(line) for line in text.split("\n", _SAMPLES)[:_SAMPLES] if line.strip(_SPACE)]
    objects = [value for value in single if isinstance(value, dict) and value]
    # One damaged line must not turn a file of lines into a document that cannot be read.
    if not objects or not (isinstance(single[0], dict) or len(objects) * 2 >= len(single)) or _pages(objects):
        return None
    return Sniff("lines", tuple(objects), excerpt=excerpt)


def _samples_of(pages: list[Any]) -> tuple[Mapping[str, Any], ...]:
    found: list[Mapping[str, Any]] = []
    for page in pages:
        for record in _records_of(page) or []:
            if isinstance(record, dict) and {"columns", "rows"} <= record.keys():
                found.extend(_rows_of(record))
            elif isinstance(record, dict):
                found.append(record)
    return tuple(found[:_SAMPLES])


def _rows_of(table: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a table as records; columns and rows that are of another type give none."""
    columns, rows = table["columns"], table["rows"] or [[]]
    if not isinstance(columns, list) or not isinstance(rows, list):
        return
    names = [str(column.get("name")) for column in columns if isinstance(column, dict)]
    for row in rows:
        if isinstance(row, list):
            yield dict(zip(names, row, strict=False)) if row else dict.fromkeys(names)


def _records_of(page: Mapping[str, Any]) -> list[Any] | None:
    beside = {"count": "data", "schema": "results", "Schema": "Results"}
    keys = (*ENVELOPES, *(key for sign, key in beside.items() if sign in page))
    return next((page[key] for key in keys if isinstance(page.get(key), list)), None)


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except _UNREADABLE:
        return None


def _members(text: str) -> Iterator[tuple[str, Any]]:
    """Yield the members of an object that the text truncates; for a truncated list, its complete elements."""
    at = 1
    while True:
        try:
            key, at = _DECODER.raw_decode(text, _skip(text, at))
            at = _skip(text, at)
            if not isinstance(key, str) or text[at] != ":":
                return
            at = _skip(text, at + 1)
        except (*_UNREADABLE, IndexError):
            return
        try:
            value, at = _DECODER.raw_decode(text, at)
        except (*_UNREADABLE, IndexError):
            # An unreadable list must not count as empty.
            begun = list(_elements(text, at + 1)) if text[at : at + 1] == "[" else []
            yield key, begun or None
            return
        yield key, value
        at = _skip(text, at)
        if text[at : at + 1] != ",":
            return
        at += 1


def _elements(text: str, at: int) -> Iterator[Any]:
    """Yield the first elements of the list whose bracket is before `at`; for a truncated object, its members."""
    for _ in range(_SAMPLES):
        at = _skip(text, at)
        try:
            value, end = _DECODER.raw_decode(text, at)
        except _UNREADABLE:
            if text[at : at + 1] == "{" and (cut := dict(_members(text[at:]))):
                yield cut
            return
        yield value
        at = _skip(text, end)
        if text[at : at + 1] != ",":
            return
        at += 1


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at


def _sniff_csv(text: str, excerpt: str) -> Sniff:
    first_line = text.split("\n", 1)[0]
    delimiter = max(_DELIMITERS, key=first_line.count)
    try:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        header = next(rows)
        first = next((row for row in rows if row), [])
    except (csv.Error, StopIteration):
        return Sniff("other", excerpt=excerpt)
    if not first_line.count(delimiter) or not all(name.isprintable() and name for name in header):
        return Sniff("other", excerpt=excerpt)
    record = dict(zip(header, first or [""] * len(header), strict=False))
    return Sniff("csv", (record,), header=tuple(header), delimiter=delimiter, excerpt=excerpt)
