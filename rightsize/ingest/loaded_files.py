"""Describe the files of a load by what was staged of them, to compare them with what is said about them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import duckdb

from rightsize.ingest.logs import NO_LOG, file_id
from rightsize.ingest.recognise import Recognised
from rightsize.ingest.sources import SourceFile
from rightsize.store.sql import folded

RESOURCES, PROVIDERS = "resources", "providers"
"""The sources that list what exists in a subscription."""

_NEXT = ("nextLink", "@odata.nextLink", "$skipToken", "skip_token")
_TOTALS = ("totalRecords", "total_records")


@dataclass(slots=True)
class LoadedFile:
    """A file of the load with its content.

    Attributes:
        file_id: Its number in `stage_files`.
        name: Its name for a person.
        sources: What it holds, as `load` prints it; only `empty` for a file without records.
        read: The number of its records; `rejected` of them could not be used.
        size: Its bytes.
        is_blank: Whether it has no content at all, not even an empty list.
        is_query: Whether it is an answer of Resource Graph.
        is_ended: Whether its last page was read.
        total: For an answer of Resource Graph, the number of records that the query has; None if it is not said.
        used: The number of records that are resources or providers; `things` of them are distinct.
        subscriptions: The subscriptions of these.
    """

    file_id: int
    name: str
    sources: set[str]
    read: int = 0
    rejected: int = 0
    size: int = 0
    is_blank: bool = False
    is_query: bool = False
    is_ended: bool = True
    total: int | None = None
    used: int = 0
    things: int = 0
    subscriptions: set[str] = field(default_factory=set)


def loaded_files(
    recognised: Iterable[Recognised], parts: Mapping[int, tuple[SourceFile, str, int]]
) -> dict[int, LoadedFile]:
    """Return the files of a load by their number in `stage_files`.

    Args:
        recognised: The files.
        parts: By number, each part of a file with its source and the number of its records.
    """
    files: dict[int, LoadedFile] = {}
    for found in recognised:
        file, look = found.file, found.sniff
        number = file_id(file.number, NO_LOG)
        one = files[number] = LoadedFile(number, file.name, set(), size=file.stored.stat().st_size)
        one.is_blank = look.form == "empty" and not look.excerpt
        # Nothing is staged of an empty page.
        if look.form == "empty" and look.envelope:
            one.is_query = "data" in look.envelope
            one.is_ended = not any(look.envelope.get(key) for key in _NEXT)
            total = next((look.envelope[key] for key in _TOTALS if key in look.envelope), None)
            one.total = total if isinstance(total, int) else None
    for file, source, read in parts.values():
        one = files[file_id(file.number, NO_LOG)]
        one.sources.add(source)
        one.read += read
    return files


_FACTS = (
    ("stage_resources", "scope"),
    ("stage_provider_registrations", "(scope || '|' || namespace)"),
)


def read_facts(con: duckdb.DuckDBPyConnection, files: Mapping[int, LoadedFile]) -> None:
    """Add to the files what the staging tables hold of them."""
    for table, key in _FACTS:
        for found, used, things, subscriptions in _of_files(
            con,
            files,
            f"SELECT file_id, count(DISTINCT line), count(DISTINCT {folded(key)}), "
            f"list(DISTINCT lower(split_part(scope, '/', 3))) FROM {table} GROUP BY file_id",
        ):
            found.used, found.things, found.subscriptions = used, things, set(subscriptions)
    for found, rejected in _of_files(
        con, files, "SELECT file_id, count(DISTINCT line) FROM stage_rejects GROUP BY file_id"
    ):
        found.rejected = rejected
    for found, is_ended in _of_files(
        con, files, "SELECT file_id, bool_or(NOT has_next) FROM stage_pages GROUP BY file_id"
    ):
        found.is_ended = is_ended
    for found, total, is_one in _of_files(
        con,
        files,
        "SELECT file_id, max(total), count(total) = count(*) AND min(total) = max(total) FROM stage_query_pages "
        "GROUP BY file_id",
    ):
        found.is_query, found.total = True, total if is_one else None
    for (found,) in _of_files(con, files, "SELECT DISTINCT file_id FROM stage_query_rows"):
        found.is_query = True


def _of_files(con: duckdb.DuckDBPyConnection, files: Mapping[int, LoadedFile], query: str) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a query whose first column is the number of a file, with the file in its place."""
    for number, *values in con.execute(query).fetchall():
        if number in files:
            yield files[number], *values
