"""Sealed days: those whose rows were pruned. What comes later for them is late, and changes nothing."""

from __future__ import annotations

import datetime as dt

import duckdb

SEALED = "sealed_before"
"""Under what the store remembers the first day that is open."""

KEPT_EVENTS = """operation_key IN (
    SELECT operation_key FROM base.operation_names WHERE folded IN (
        'microsoft.authorization/roleassignments/write', 'microsoft.authorization/roleassignments/delete'))"""
"""The events that no pruning takes: the history of access is made of them."""


def sealed_before(con: duckdb.DuckDBPyConnection) -> dt.date | None:
    """Return the day before which all days are sealed, None where nothing was pruned."""
    found = con.execute("SELECT value FROM base.meta WHERE name = ?", [SEALED]).fetchall()
    return dt.date.fromisoformat(found[0][0]) if found else None


def seal(con: duckdb.DuckDBPyConnection, before: dt.date) -> None:
    """Remember that all days before one are sealed."""
    con.execute("DELETE FROM base.meta WHERE name = ?", [SEALED])
    con.execute("INSERT INTO base.meta VALUES (?, ?)", [SEALED, before.isoformat()])


def drop_late(con: duckdb.DuckDBPyConnection, staged: str, time: str = "time") -> dict[int, int]:
    """Take the rows of sealed days out of a relation of staged rows; return how many records of each file were late.

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
