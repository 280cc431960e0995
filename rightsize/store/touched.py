"""Record for the next watch the days that loads touched and the tables that listings changed."""

from __future__ import annotations

import duckdb


def note_touched_days(con: duckdb.DuckDBPyConnection) -> None:
    """Store the days of `touched_days` for the next watch; part of a merge's transaction."""
    con.execute("""
        INSERT INTO base.touched
        SELECT DISTINCT NULL, day FROM touched_days
        WHERE day NOT IN (SELECT day FROM base.touched WHERE day IS NOT NULL)""")


def note_touched_table(con: duckdb.DuckDBPyConnection, name: str) -> None:
    """Store for the next watch that a listing changed a table; part of a merge's transaction."""
    con.execute("INSERT INTO base.touched SELECT $name, NULL WHERE $name NOT IN (SELECT coalesce(what, '') FROM "
                "base.touched)", {"name": name})  # fmt: skip
