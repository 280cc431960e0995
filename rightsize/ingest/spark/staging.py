"""What a reduction adds to the staging tables beside its rows: names, and the records that could not be used."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb

from rightsize.ingest.log_schemas import SOURCES
from rightsize.ingest.spark.reduce import SparkReduction
from rightsize.store.sql import folded

_OF_ASSIGNMENTS = "'microsoft.authorization/roleassignments/write', 'microsoft.authorization/roleassignments/delete'"


def stage_reductions(con: duckdb.DuckDBPyConnection, *, found: Sequence[SparkReduction]) -> None:
    """Name what landed after the path that it was reduced from, and stage the examples of what could not be used.

    Args:
        con: A connection whose staging tables hold what landed.
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
    """Take out of whole records those that only mention what was looked for: all of their use is reduced already."""
    files = f"SELECT file_id FROM stage_files WHERE {_OF_FILE}"
    values = {"landed": str(landed)}
    con.execute(
        f"DELETE FROM stage_events WHERE file_id IN ({files}) AND operation_no NOT IN ("
        f"SELECT operation_no FROM stage_event_operations WHERE {folded('operation')} IN ({_OF_ASSIGNMENTS}))",
        values,
    )
    # What cannot be used is counted, and shown, by the reduction.
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
    """Stage the examples of records that could not be used, one part a path, as a file that has nothing else."""
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
