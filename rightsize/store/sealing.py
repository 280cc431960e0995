"""Seal the days whose rows were pruned, and drop staged rows that arrive late for them."""

from __future__ import annotations

import datetime as dt

import duckdb

SEALED = "sealed_before"
"""The name in `base.meta` of the first open day."""

KEPT_EVENTS = """operation_key IN (
    SELECT operation_key FROM base.operation_names WHERE folded IN (
        'microsoft.authorization/roleassignments/write', 'microsoft.authorization/roleassignments/delete'))"""
"""A condition on events that pruning never deletes, because the history of access needs them."""


def sealed_before(con: duckdb.DuckDBPyConnection) -> dt.date | None:
    """Return the day before which all days are sealed, or None if nothing was pruned."""
    found = con.execute("SELECT value FROM base.meta WHERE name = ?", [SEALED]).fetchall()
    return dt.date.fromisoformat(found[0][0]) if found else None


def seal(con: duckdb.DuckDBPyConnection, before: dt.date) -> None:
    """Seal all days before a day."""
    con.execute("DELETE FROM base.meta WHERE name = ?", [SEALED])
    con.execute("INSERT INTO base.meta VALUES (?, ?)", [SEALED, before.isoformat()])


def drop_late(con: duckdb.DuckDBPyConnection, staged: str, time: str = "time") -> dict[int, int]:
    """Delete the staged rows of sealed days from a table; return the number of late records of each file.

    Args:
        con: The store's connection.
        staged: A temporary table with `file_id` and `line`.
        time: Its column with the time or the day.
    """
    before = sealed_before(con)
    if before is None:
        return {}
    late = con.execute(
        f"SELECT file_id, count(DISTINCT line) FROM {staged} WHERE {time} < $before GROUP BY file_id",
        {"before": before},
    ).fetchall()
    if late:
        con.execute(f"DELETE FROM {staged} WHERE {time} < $before", {"before": before})
    return dict(late)
