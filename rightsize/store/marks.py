"""Read and set the values of `base.meta`: the revision of the content, and the days whose rows were pruned.

Each change of what an analysis reads gives the content a random revision, so that a stored analysis is known to be
older. Staged rows that arrive late for a pruned day are dropped.

The revision is in the table `meta`, outside digests, plans and views: two stores of equal content have different ones.

Record for the next watch the days that loads touched and the tables that listings changed.
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Mapping

import duckdb


def meta_of(con: duckdb.DuckDBPyConnection, name: str) -> str | None:
    """Return the value of a name, or None."""
    found = con.execute("SELECT value FROM base.meta WHERE name = ?", [name]).fetchall()
    return str(found[0][0]) if found else None


def set_meta(con: duckdb.DuckDBPyConnection, name: str, value: str) -> None:
    """Set the value of a name, inside the transaction of the caller."""
    con.execute("DELETE FROM base.meta WHERE name = ?", [name])
    con.execute("INSERT INTO base.meta VALUES (?, ?)", [name, value])


CONTENT_REVISION = "content_revision"
"""Its name in the table `meta`."""


def new_revision() -> str:
    """Return a random revision."""
    return secrets.token_hex(16)


def change_revision(con: duckdb.DuckDBPyConnection) -> None:
    """Give the content a new revision, inside the transaction that changes it."""
    set_meta(con, CONTENT_REVISION, new_revision())


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
