"""What a reduction adds to the staging tables beside its rows: names, and the records that could not be used."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb

from rightsize.ingest.families import SOURCES
from rightsize.ingest.spark.reduce import Reduction


def stage_reductions(
    con: duckdb.DuckDBPyConnection, *, files: Sequence[tuple[str, str, Path]], found: Sequence[Reduction]
) -> None:
    """Name what landed after the path that it was reduced from, and stage the examples of what could not be used.

    Args:
        con: A connection whose staging tables hold what landed.
        files: What landed, as (path, log, file or folder).
        found: The reductions.
    """
    _name_files(con, files)
    _stage_refused(con, found)


def _name_files(con: duckdb.DuckDBPyConnection, files: Sequence[tuple[str, str, Path]]) -> None:
    """Give what landed the name of the path that it was reduced from."""
    for path, log, landed in files:
        con.execute(
            "UPDATE stage_files SET path = $name WHERE path = $landed OR starts_with(path, $landed || '/')",
            {"name": f"{path} ({SOURCES[log]}, reduced on Spark)", "landed": str(landed)},
        )


def _stage_refused(con: duckdb.DuckDBPyConnection, reductions: Sequence[Reduction]) -> None:
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
