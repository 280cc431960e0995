"""Build SQL expressions that several modules share, and run statements in one transaction.

Let SQL read frames by name, and rows as lists.

Read and set the values of `base.meta`: the revision of the content, and the days whose rows were pruned.

Each change of what an analysis reads gives the content a random revision, so that a stored analysis is known to be
older. Staged rows that arrive late for a pruned day are dropped.

The revision is in the table `meta`, outside digests, plans and views: two stores of equal content have different ones.

Record for the next watch the days that loads touched and the tables that listings changed.
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb

if TYPE_CHECKING:
    import polars as pl


UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LOWER = "abcdefghijklmnopqrstuvwxyz"

RESOURCE = "^(/subscriptions/[^/]+/resourcegroups/[^/]+/providers/[^/]+/[^/]+/[^/]+)"
"""The pattern that extracts the resource from a folded scope at or below it."""

UNMAPPED = "unmapped/"
"""The prefix of the name of an activity of the directory that no rule knows, used as its operation."""


def folded(expression: str) -> str:
    """Return SQL that trims spaces and folds only ASCII letters, as `model.text.fold` does.

    For ASCII text lower() gives the same as translate(), twenty times faster.
    """
    return (
        f"CASE WHEN strlen({expression}) = length({expression}) THEN lower(trim({expression})) "
        f"ELSE translate(trim({expression}), '{UPPER}', '{LOWER}') END"
    )


def tidy_scope(expression: str) -> str:
    """Return SQL that removes trailing and double slashes of a scope, and spaces around it, as `rbac.scopes` does."""
    return (
        f"CASE WHEN trim({expression}) LIKE '/%' AND (contains({expression}, '//') OR rtrim({expression}) LIKE '_%/') "
        f"THEN coalesce(nullif(rtrim(regexp_replace(trim({expression}), '/+', '/', 'g'), '/'), ''), '/') "
        f"ELSE trim({expression}) END"
    )


def outcome(rank: str) -> str:
    """Return SQL for the outcome of a rank, as in `queries/reduce/collapse.sql`."""
    words = enumerate(("started", "denied", "failed", "succeeded"), start=1)
    return f"CASE {rank} {' '.join(f'WHEN {number} THEN {literal(word)}' for number, word in words)} ELSE 'other' END"


def network_of(ip: str) -> str:
    """Return SQL for the network of an address; an office or a cloud region changes addresses within one."""
    return f"""CASE
            WHEN {ip} LIKE '%.%' THEN nullif(regexp_extract({ip}, '^([0-9]+[.][0-9]+[.][0-9]+)[.]', 1), '') || '.0/24'
            WHEN {ip} LIKE '%:%' THEN
                nullif(regexp_extract({ip}, '^([0-9a-fA-F]*:[0-9a-fA-F]*:[0-9a-fA-F]*)', 1), '') || '::/48'
        END"""


def quoted(name: str) -> str:
    """Return the name of a column or table, quoted for SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: object) -> str:
    """Return a value as an SQL string literal, for places where SQL allows no parameter."""
    return "'" + str(value).replace("'", "''") + "'"


def named(*names: str) -> str:
    """Return names as a quoted list of columns."""
    return ", ".join(quoted(name) for name in names)


@contextmanager
def one_transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Commit what the block wrote, or nothing of it if it raises; the first error is the one that is raised."""
    connection.execute("BEGIN")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # DuckDB ends a transaction itself where the disk is full, and then has none to roll back.
        with suppress(duckdb.Error):
            connection.execute("ROLLBACK")
        raise


def insert_lists(
    con: duckdb.DuckDBPyConnection,
    table: str,
    types: Mapping[str, str],
    rows: Sequence[Sequence[object]],
    stored: Mapping[str, str] | None = None,
) -> None:
    """Insert rows, passed as one list for each column: a frame would import polars in every load.

    Args:
        con: The connection.
        table: The table.
        types: The columns of the values, in order, with the type of each value.
        rows: The rows.
        stored: SQL for what is stored of a value, where that is not the value itself.
    """
    if rows:
        given = ", ".join(f"unnest(${name}::{kind}[]) AS {quoted(name)}" for name, kind in types.items())
        cells = ", ".join((stored or {}).get(name, quoted(name)) for name in types)
        columns = {name: [row[place] for row in rows] for place, name in enumerate(types)}
        con.execute(f"INSERT INTO {table} ({named(*types)}) SELECT {cells} FROM (SELECT {given})", columns)


def nonempty(con: duckdb.DuckDBPyConnection, relations: Mapping[str, str]) -> set[str]:
    """Return the names of the relations that have a row, each given as the text after FROM, in one statement.

    Planning one EXISTS for each takes ten times as long.
    """
    parts = (f"(SELECT '{name}' FROM {text} LIMIT 1)" for name, text in relations.items())
    return {name for (name,) in con.execute(" UNION ALL ".join(parts)).fetchall()}


@dataclass(slots=True)
class _ArrowStream:
    """A frame as nothing but a stream of Arrow: DuckDB makes a table of pyarrow of one of polars, and imports that."""

    frame: pl.DataFrame

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.frame.__arrow_c_stream__(requested_schema)

    def forget(self) -> None:
        """Let go of the rows: DuckDB holds this object until the transaction ends."""
        self.frame = self.frame.clear()


@contextmanager
def registered(con: duckdb.DuckDBPyConnection, frames: Mapping[str, pl.DataFrame]) -> Iterator[None]:
    """Register frames under their names for SQL during the block."""
    streams = {name: _ArrowStream(frame) for name, frame in frames.items()}
    for name, stream in streams.items():
        con.register(name, stream)
    try:
        yield
    finally:
        for name, stream in streams.items():
            con.unregister(name)
            stream.forget()


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


def rows_of(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Return the rows of a query; values are bound to `$name`, never inserted into the text."""
    found = connection.execute(sql, dict(parameters) if parameters else None)
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
