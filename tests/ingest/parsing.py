"""Parse records or bytes into events, for tests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import duckdb

from rightsize.ingest.pipeline import StageReport, normalised_events, stage
from rightsize.store.merging.staging import create_staging


def events_of(*paths: Path) -> list[dict[str, Any]]:
    """Return the events of files."""
    _, chunks = normalised_events([str(path) for path in paths])
    return [event for chunk in chunks for event in chunk]


def write_lines(folder: Path, records: Sequence[Any], name: str = "export") -> Path:
    """Write records one a line; text stands as it is."""
    path = folder / name
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    path.write_text("".join(line + "\n" for line in lines))
    return path


def events_of_records(folder: Path, *records: Any) -> list[dict[str, Any]]:
    """Return the events of records, written one a line."""
    return events_of(write_lines(folder, records))


def event_of_each(folder: Path, records: Sequence[dict[str, Any]], key: str = "correlationId") -> list[dict[str, Any]]:
    """Return the one event of each record; they are read at once, each from a file of its own, with another id."""
    ids = [f"{number:08}-0000-4000-8000-000000000000" for number in range(len(records))]
    told = zip(ids, records, strict=True)
    found = events_of(*(write_lines(folder, [record | {key: one}], f"{one}.json") for one, record in told))
    by_id = {event["correlation_id"]: event for event in found}
    assert len(found) == len(by_id) == len(records)
    return [by_id[one] for one in ids]


def row_of_each(
    folder: Path, records: Iterable[Any], *columns: str, table: str = "event_rows"
) -> list[tuple[Any, ...]]:
    """Return columns of the one row of each record; they are read at once, each from a file of its own."""
    paths = [write_lines(folder, [record], f"{number}.json") for number, record in enumerate(records)]
    con, _ = staged(*paths)
    rows = con.execute(
        f"SELECT path, {', '.join(columns)} FROM stage_{table} JOIN stage_files USING (file_id)"
    ).fetchall()
    by_path = {path: row for path, *row in rows}
    assert len(rows) == len(by_path) == len(paths)
    return [tuple(by_path[str(path)]) for path in paths]


def staged(*paths: Path) -> tuple[duckdb.DuckDBPyConnection, StageReport]:
    """Return a connection with the staging tables filled from files, and the report."""
    con = duckdb.connect()
    create_staging(con)
    return con, stage(con, [str(path) for path in paths])


def rejects_of(*paths: Path) -> list[tuple[int, str, str]]:
    """Return line, reason and text of the rejected records."""
    con, _ = staged(*paths)
    return con.execute("SELECT line, reason, raw FROM stage_rejects ORDER BY file_id, line").fetchall()


FILLED = ("stage_event_rows", "stage_sign_in_rows", "stage_request_rows", "stage_rejects", "stage_files")
"""What the records of logs fill."""


def told(con: duckdb.DuckDBPyConnection, names: dict[int, str]) -> dict[str, list[Any]]:
    """Return all that was staged, in the name of its file."""
    found = {}
    for table in FILLED:
        columns = [name for (name,) in con.execute(f"SELECT column_name FROM (DESCRIBE {table})").fetchall()]
        rest = ", ".join(f"({name})::VARCHAR" for name in columns if name not in ("file_id", "path"))
        rows = con.execute(f"SELECT file_id, {rest} FROM {table}").fetchall()
        found[table] = sorted((names[number // 32], number % 32, *map(str, more)) for number, *more in rows)
    return found
