"""Prune the events and sign-ins of old days, keep the summary of each day, and compact the file.

A pruned day is sealed: its summaries are never recomputed. Later rows for it are counted as `late` and not stored,
because it is unknown which of them were already counted.
"""

from __future__ import annotations

import datetime as dt
import secrets
from dataclasses import dataclass
from pathlib import Path

import duckdb

from rightsize.store.connection import Store, open_store
from rightsize.store.ddl import base_names
from rightsize.store.limits import in_use
from rightsize.store.quarantine import forget_keys
from rightsize.store.sql import KEPT_EVENTS, literal, quoted, seal, sealed_before

_ROWS = {
    "events": f"time < $before AND NOT ({KEPT_EVENTS})",
    "sign_in_rows": "time < $before",
}
"""The rows to delete. Calls that create or delete role assignments stay, because the history of access needs them."""


@dataclass(frozen=True, slots=True)
class Pruning:
    """The counts of a planned or finished pruning.

    Attributes:
        before: The first day that stays open; all days before it are sealed.
        events: Calls that are deleted.
        sign_ins: Sign-ins that are deleted.
        kept: Calls of sealed days that stay, because the history of role assignments is built from them.
        bytes_before: Size of the store's file before.
        bytes_after: Its size afterwards; None before the pruning.
    """

    before: dt.date
    events: int
    sign_ins: int
    kept: int
    bytes_before: int
    bytes_after: int | None = None


def plan_pruning(store: Store, keep_days: int) -> Pruning | None:
    """Return the counts of a pruning that keeps the last `keep_days` days of logs; None for an empty store.

    Sealed days stay sealed, also if more days are to be kept.
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
    """Delete the rows that `plan_pruning` counted and seal the days, in one transaction."""
    with store.transaction() as con:
        for name, rows in _ROWS.items():
            con.execute(f"DELETE FROM base.{name} WHERE {rows}", {"before": pruning.before})
        con.execute("DELETE FROM base.request_bodies WHERE event_key NOT IN (SELECT event_key FROM base.events)")
        con.execute("DELETE FROM base.changed_objects "
                    "WHERE event_key NOT IN (SELECT lower(hex(event_key)) FROM base.events)")  # fmt: skip
        seal(con, pruning.before)
        forget_keys(con)


def compact(file: Path) -> None:
    """Rewrite the file of a store without the space of deleted rows; if interrupted, the old file stays.

    Raises:
        InputError: The disk has no space for the new file beside the old one, or the store is in use.
    """
    target = file.with_name(f"{file.name}.{secrets.token_hex(4)}.compacting")
    try:
        # Only this connection reaches another file, and it runs nothing that the store holds.
        with open_store(target, read_only=False, loads=True) as store:
            try:
                store.connection.execute(f"ATTACH {literal(file)} AS pruned (READ_ONLY)")
            except duckdb.IOException as error:
                raise in_use(file, "another process") from error
            with store.transaction(changes_content=False) as con:
                for name in (*base_names(), "meta"):
                    _copy(con, name)
            store.connection.execute("CHECKPOINT")
            store.connection.execute("DETACH pruned")
        target.replace(file)
        file.with_name(f"{file.name}.wal").unlink(missing_ok=True)
    finally:
        target.unlink(missing_ok=True)
        target.with_name(f"{target.name}.wal").unlink(missing_ok=True)


def _copy(con: duckdb.DuckDBPyConnection, name: str) -> None:
    # Rows of a day are stored together, so that a query for a few days reads few blocks.
    columns = {row[0] for row in con.execute(f"DESCRIBE base.{quoted(name)}").fetchall()}
    order = next((f" ORDER BY {key}" for key in ("day", "time") if key in columns), "")
    con.execute(f"DELETE FROM base.{quoted(name)}")
    con.execute(f"INSERT INTO base.{quoted(name)} BY NAME SELECT * FROM pruned.base.{quoted(name)}{order}")
