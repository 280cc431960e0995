"""The first look at a file: its form, and a few records to recognise it by. Python, and only the head of the file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Form = Literal["lines", "array", "documents", "csv", "parquet", "empty", "other"]

ENVELOPES = ("value", "records", "tables")
"""Keys of a page under which the records stand: REST and Graph, Event Hubs, Log Analytics."""

_SAMPLES = 50
_SPACE = " \t\r\n\ufeff"
_DECODER = json.JSONDecoder()
# What a hostile document makes the parser raise: no JSON, digits without end, brackets without end.
_UNREADABLE = (ValueError, RecursionError)
_DELIMITERS = ",;\t"


@dataclass(frozen=True, slots=True)
class Sniff:
    """What the head of a file shows.

    Attributes:
        form: JSON lines, one JSON array, JSON documents (pages, pretty-printed objects, arrays one after another),
            CSV, Parquet, nothing, or something else.
        samples: The first records that could be read; of a CSV file its first row.
        envelope: Members of the first page beside its records; empty without a page.
        header: Columns of a CSV file, in order.
        delimiter: Of a CSV file.
        excerpt: Its first characters, for a person.
    """

    form: Form
    samples: tuple[Mapping[str, Any], ...] = ()
    envelope: Mapping[str, Any] | None = None
    header: tuple[str, ...] = ()
    delimiter: str = ","
    excerpt: str = ""


def sniff(head: bytes) -> Sniff:
    """Look at the first bytes of a file, decompressed and UTF-8."""
    if head.startswith(b"PAR1"):
        return Sniff("parquet")
    text = head.decode("utf-8", "replace").lstrip(_SPACE)
    excerpt = text[:200]
    if not text:
        return Sniff("empty")
    if text[0] == "[":
        return _sniff_array(text, excerpt)
    if text[0] == "{":
        return _sniff_objects(text, excerpt)
    return _sniff_csv(text, excerpt)


def _sniff_array(text: str, excerpt: str) -> Sniff:
    values = list(_elements(text, 1))
    pages = [value for value in values if isinstance(value, dict) and _records_of(value) is not None]
    if pages or any(isinstance(value, list) for value in values):
        return Sniff("documents", _samples_of(pages), pages[0] if pages else None, excerpt=excerpt)
    if not values and _skip(text, 1) < len(text) and text[_skip(text, 1)] == "]":
        return Sniff("empty", excerpt=excerpt)
    return Sniff("array", tuple(value for value in values if isinstance(value, dict)), excerpt=excerpt)


def _sniff_objects(text: str, excerpt: str) -> Sniff:
    lines = text.split("\n")
    single = [_parse(line) for line in lines[:_SAMPLES] if line.strip(_SPACE)]
    objects = [value for value in single if isinstance(value, dict) and value]
    # One damaged line must not turn a file of lines into a document that cannot be read.
    if isinstance(single[0], dict) or len(objects) * 2 >= len(single):
        pages = [value for value in objects if _records_of(value) is not None]
        if pages:
            return Sniff("documents", _samples_of(pages), pages[0], excerpt=excerpt)
        return Sniff("lines", tuple(objects), excerpt=excerpt)
    first = _whole(text)
    if first is None:
        first = dict(_members(text))
    if _records_of(first) is not None:
        return Sniff("documents", _samples_of([first]), first, excerpt=excerpt)
    return Sniff("documents", (first,) if first else (), excerpt=excerpt)


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
    names = [str(column.get("name")) for column in table["columns"] if isinstance(column, dict)]
    for row in table["rows"] or [[]]:
        yield dict(zip(names, row, strict=False)) if row else dict.fromkeys(names)


def _records_of(page: Mapping[str, Any]) -> list[Any] | None:
    return next((page[key] for key in ENVELOPES if isinstance(page.get(key), list)), None)


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except _UNREADABLE:
        return None


def _whole(text: str) -> dict[str, Any] | None:
    """Return the object that `text` begins with, or None where it is cut or damaged."""
    try:
        value, _ = _DECODER.raw_decode(text)
    except _UNREADABLE:
        return None
    return value if isinstance(value, dict) else None


def _members(text: str) -> Iterator[tuple[str, Any]]:
    """Yield the members of an object that goes on beyond the text: of a list that is cut, its whole elements."""
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
            yield key, list(_elements(text, at + 1)) if text[at : at + 1] == "[" else None
            return
        yield key, value
        at = _skip(text, at)
        if text[at : at + 1] != ",":
            return
        at += 1


def _elements(text: str, at: int) -> Iterator[Any]:
    """Yield the first elements of the list whose bracket stands before `at`; of an object that is cut, its members."""
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
