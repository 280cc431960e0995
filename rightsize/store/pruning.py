"""Retention: the rows of old days go, what they said of each day stays, and the file becomes as small as its content.

A pruned day is sealed: its tables of days are never computed again, and rows that come later for it are counted as
`late` and not stored, since nobody could tell any more which of them were counted before.
"""

from __future__ import annotations

import datetime as dt
import secrets
from dataclasses import dataclass

import duckdb

from rightsize.store.connection import Store, open_store
from rightsize.store.ddl import base_names
from rightsize.store.limits import shortage_told
from rightsize.store.quarantine import forget_keys
from rightsize.store.sealing import KEPT_EVENTS, seal, sealed_before
from rightsize.store.sql import literal, quoted

_ROWS = {
    "events": f"time < $before AND NOT ({KEPT_EVENTS})",
    "sign_in_rows": "time < $before",
}
"""What goes of each table. Calls that make and delete role assignments stay: the history of access is made of them."""


@dataclass(frozen=True, slots=True)
class Pruning:
    """What a pruning takes or took.

    Attributes:
        before: The first day that stays open; all days before it are sealed.
        events: Calls that go.
        sign_ins: Sign-ins that go.
        kept: Calls of sealed days that stay, since the history of role assignments is made of them.
        bytes_before: Size of the store's file.
        bytes_after: Its size afterwards; None where nothing was done yet.
    """

    before: dt.date
    events: int
    sign_ins: int
    kept: int
    bytes_before: int
    bytes_after: int | None = None


def plan_pruning(store: Store, keep_days: int) -> Pruning | None:
    """Count what a pruning would take that keeps the last `keep_days` days of what was logged; None of an empty store.

    Days that are sealed stay sealed, however many days are to be kept.
    """
    con = store.connection
    ((newest,),) = con.execute("SELECT max(day) FROM base.observed_days").fetchall()
    if newest is None:
        return None
    before = newest - dt.timedelta(days=keep_days - 1)
    before = max(before, sealed_before(con) or before)
    values = {"before": before}
    events, sign_ins, kept = (
        con.execute(f"SELECT count(*) FROM base.{name} WHERE {rows}", values).fetchall()[0][0]
        for name, rows in (*_ROWS.items(), ("events", f"time < $before AND {KEPT_EVENTS}"))
    )
    return Pruning(before, events, sign_ins, kept, store.path.stat().st_size)


def prune(store: Store, pruning: Pruning) -> None:
    """Take out what `plan_pruning` counted and seal the days, in one transaction."""
    with store.transaction() as con:
        for name, rows in _ROWS.items():
            con.execute(f"DELETE FROM base.{name} WHERE {rows}", {"before": pruning.before})
        con.execute("DELETE FROM base.request_bodies WHERE event_key NOT IN (SELECT event_key FROM base.events)")
        seal(con, pruning.before)
        forget_keys(con)


def compact(store: Store) -> None:
    """Close a store and write its file anew without the room that deleted rows left; a kill leaves the old file.

    Raises:
        InputError: The disk has no room for the new file beside the old one.
    """
    file = store.path
    target = file.with_name(f"{file.name}.{secrets.token_hex(4)}.compacting")
    try:
        with shortage_told(file):
            open_store(target, read_only=False).close()
            store.connection.execute(f"ATTACH {literal(target)} AS compacted")
            with store.transaction() as con:
                for name in (*base_names(), "meta"):
                    _copy(con, name)
            store.connection.execute("CHECKPOINT compacted")
            store.connection.execute("DETACH compacted")
        store.close()
        target.replace(file)
        file.with_name(f"{file.name}.wal").unlink(missing_ok=True)
    finally:
        target.unlink(missing_ok=True)
        target.with_name(f"{target.name}.wal").unlink(missing_ok=True)


def _copy(con: duckdb.DuckDBPyConnection, name: str) -> None:
    # Rows of a day stand together, so that a question of few days reads few blocks.
    columns = {row[0] for row in con.execute(f"DESCRIBE base.{quoted(name)}").fetchall()}
    order = next((f" ORDER BY {key}" for key in ("day", "time") if key in columns), "")
    con.execute(f"DELETE FROM compacted.base.{quoted(name)}")
    con.execute(f"INSERT INTO compacted.base.{quoted(name)} BY NAME SELECT * FROM base.{quoted(name)}{order}")
