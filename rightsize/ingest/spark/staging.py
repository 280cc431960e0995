"""Add the names of a Spark reduction's files, and examples of its unusable records, to the staging tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb

from rightsize.ingest.log_schemas import SOURCES
from rightsize.ingest.spark.reduce import SparkReduction
from rightsize.store.sql import folded

_OF_ASSIGNMENTS = "'microsoft.authorization/roleassignments/write', 'microsoft.authorization/roleassignments/delete'"


def stage_reductions(con: duckdb.DuckDBPyConnection, *, found: Sequence[SparkReduction]) -> None:
    """Name the landed files after the path they were reduced from, and stage the examples of unusable records.

    Args:
        con: A connection whose staging tables hold the landed rows.
        found: The reductions.
    """
    for reduction in found:
        for log, landed in reduction.whole:
            _leave_other_calls(con, landed)
            _name_file(con, landed, f"{reduction.path} ({SOURCES[log]}, calls on role assignments)")
        for log, landed in reduction.results:
            _name_file(con, landed, f"{reduction.path} ({SOURCES[log]}, reduced on Spark)")
    _stage_refused(con, found)


_OF_FILE = "path = $landed OR starts_with(path, $landed || '/')"


def _leave_other_calls(con: duckdb.DuckDBPyConnection, landed: Path) -> None:
    """Delete whole records that only mention role assignments: their use is already in the reduced rows."""
    files = f"SELECT file_id FROM stage_files WHERE {_OF_FILE}"
    values = {"landed": str(landed)}
    con.execute(
        f"DELETE FROM stage_events WHERE file_id IN ({files}) AND operation_no NOT IN ("
        f"SELECT operation_no FROM stage_event_operations WHERE {folded('operation')} IN ({_OF_ASSIGNMENTS}))",
        values,
    )
    # The reduction already counts and shows unusable records.
    con.execute(f"DELETE FROM stage_rejects WHERE file_id IN ({files})", values)
    con.execute(
        f"UPDATE stage_files SET rejected = 0, read = (SELECT count(*) FROM stage_events AS e "
        f"WHERE e.file_id = stage_files.file_id) WHERE {_OF_FILE}",
        values,
    )


def _name_file(con: duckdb.DuckDBPyConnection, landed: Path, name: str) -> None:
    con.execute(
        f"UPDATE stage_files SET path = $name WHERE {_OF_FILE}",
        {"name": name, "landed": str(landed)},
    )


def _stage_refused(con: duckdb.DuckDBPyConnection, reductions: Sequence[SparkReduction]) -> None:
    """Stage the examples of unusable records, for each path as a separate file."""
    (last,) = con.execute("SELECT coalesce(max(file_id), 0) FROM stage_files").fetchall()[0]
    for number, found in enumerate(reductions, last + 1):
        if not found.examples:
            continue
        rows = [(number, line, reason, raw) for line, (reason, raw) in enumerate(found.examples, 1)]
        con.executemany("INSERT INTO stage_rejects (file_id, line, reason, raw) VALUES (?, ?, ?, ?)", rows)
        con.execute(
            "INSERT INTO stage_files (file_id, path, source, sha256, read, rejected) "
            "SELECT $id, $path, 'refused', sha256(string_agg(reason || raw, chr(30) ORDER BY line)), count(*), "
            "count(*) FROM stage_rejects WHERE file_id = $id",
            {"id": number, "path": f"{found.path} (examples of what could not be used)"},
        )
