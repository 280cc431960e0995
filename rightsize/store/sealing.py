"""Seal the days whose rows were pruned, and drop staged rows that arrive late for them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import duckdb

from rightsize.store.meta import meta_of, set_meta

SEALED = "sealed_before"
"""The name in `base.meta` of the first open day."""

KEPT_EVENTS = """operation_key IN (
    SELECT operation_key FROM base.operation_names WHERE folded IN (
        'microsoft.authorization/roleassignments/write', 'microsoft.authorization/roleassignments/delete'))"""
"""A condition on events that pruning never deletes, because the history of access needs them."""

NOT_REJECTED = "(file_id, line) NOT IN (SELECT (file_id, line) FROM stage_rejects WHERE line IS NOT NULL)"
"""A condition on staged rows: their records are not rejected, not even in part."""


def sealed_before(con: duckdb.DuckDBPyConnection) -> dt.date | None:
    """Return the day before which all days are sealed, or None if nothing was pruned."""
    found = meta_of(con, SEALED)
    return dt.date.fromisoformat(found) if found is not None else None


def seal(con: duckdb.DuckDBPyConnection, before: dt.date) -> None:
    """Seal all days before a day."""
    set_meta(con, SEALED, before.isoformat())


def drop_late(con: duckdb.DuckDBPyConnection, staged: Mapping[str, str]) -> dict[int, int]:
    """Delete the staged rows of sealed days; return the number of late records of each file.

    Fills the temporary table `late_lines (file_id, line)` with these records. A rejected record is no late one.

    Args:
        con: The store's connection.
        staged: Temporary tables with `file_id` and `line`, each with its column of the time or the day.
    """
    con.execute("CREATE OR REPLACE TEMP TABLE late_lines (file_id INTEGER, line BIGINT)")
    before = sealed_before(con)
    if before is None:
        return {}
    for table, time in staged.items():
        ((count,),) = con.execute(
            f"INSERT INTO late_lines SELECT DISTINCT file_id, line FROM {table} WHERE {time} < $before",
            {"before": before},
        ).fetchall()
        if count:
            con.execute(f"DELETE FROM {table} WHERE {time} < $before", {"before": before})
    return dict(
        con.execute(
            f"SELECT file_id, count(DISTINCT line) FROM late_lines WHERE {NOT_REJECTED} GROUP BY file_id"
        ).fetchall()
    )
