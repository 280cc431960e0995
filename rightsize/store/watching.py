"""Read and write the state of a watch in the store: touched days, known items, read files, and undelivered changes.

The state is small: days and tables that changed since the last pass, a row for each known item, a row for each
reported event that could appear again, a row for each file of a folder, and the changes that are recent or not yet
delivered. A pass commits its results in one transaction. So a pass that is killed leaves the state before it, and the
next pass reaches the same results.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import polars as pl

from rightsize.model.tables import table
from rightsize.store.connection import Store
from rightsize.store.queries import filled_text
from rightsize.store.sql import named, registered, set_meta

KEEP_DAYS = 90
"""Days before the newest day for which delivered changes are kept."""
HORIZON_DAYS = 120
"""Events that arrive this many days late or later are not reported: earlier reports are no longer known."""

FORGOTTEN = ("event", "granted", "revoked", "asked", "listed", "behaviour")
"""Kinds of items that are reported once, and deleted after `HORIZON_DAYS`."""

SEEN = {"kind": pl.String(), "name": pl.String(), "value": pl.String(), "day": pl.Date()}
_AS_OF = "watch_as_of"
_NUMBER = "watch_number"
# Stands for a store without logs; the clock is never read.
_NO_DAY = dt.date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Touched:
    """The changes by loads since the last pass: days of logs, and names of tables from listings."""

    days: tuple[dt.date, ...]
    tables: frozenset[str]


@dataclass(frozen=True, slots=True)
class Pass:
    """The results of a pass, to be committed in one transaction.

    Attributes:
        as_of: The day up to which the results hold, exclusive.
        seen: The known items of `kinds`, as `SEEN`; they replace the stored items of these kinds.
        kinds: The kinds that `seen` replaces.
        reported: Reported events to add to the known items.
        changes: The changes, as the table `watch_changes`, without numbers.
        touched: The days and tables that the pass has handled.
        unread: Files that could not be read, which `changes` reports: size and modification time in ns, by path.
    """

    as_of: dt.date
    seen: pl.DataFrame
    kinds: tuple[str, ...]
    reported: pl.DataFrame
    changes: pl.DataFrame
    touched: Touched
    unread: Mapping[str, tuple[int, int]]


def read_touched(store: Store) -> Touched:
    """Return the days and tables that loads changed since the last pass, with days sorted."""
    rows = store.connection.execute("SELECT what, day FROM base.touched").fetchall()
    return Touched(
        tuple(sorted(day for _, day in rows if day is not None)), frozenset(what for what, _ in rows if what)
    )


def watched_until(store: Store) -> dt.date | None:
    """Return the day up to which the last pass reported, exclusive; None before the first pass."""
    text = store.remembered(_AS_OF)
    return dt.date.fromisoformat(text) if text else None


def read_seen(store: Store) -> pl.DataFrame:
    """Return the known items, as `SEEN`."""
    return store.frame("SELECT kind, name, value, day FROM base.watch_seen").cast(pl.Schema(SEEN))


def newest_day(store: Store, limit: dt.datetime) -> tuple[dt.date, bool]:
    """Return the newest day with an event, and True; without events, that of a role assignment, and False.

    Args:
        store: The store.
        limit: Rows dated later are ignored.
    """
    for name, column in (("events", "time"), ("role_assignments", "created_on")):
        text = f"SELECT max({column})::DATE FROM base.{name} WHERE {column} <= $limit"
        found = store.connection.execute(text, {"limit": limit}).fetchall()[0][0]
        if found is not None:
            return found, name == "events"
    return _NO_DAY, False


def records_ahead(store: Store, limit: dt.datetime) -> list[tuple[str, int, dt.datetime]]:
    """Return for each log the number of records dated after a time, and the latest date."""
    return store.connection.execute(
        "SELECT source, count(*), max(time) FROM base.events WHERE time > $limit GROUP BY source ORDER BY source",
        {"limit": limit},
    ).fetchall()


def watched_events(store: Store, days: Sequence[dt.date], operations: Collection[str]) -> pl.DataFrame:
    """Return the events of some days with one of some operations, folded.

    Columns: `event_key, time, operation, scope, outcome, actor_id, actor_name, app_id, ip, role, holder,
    request_type`; role and holder are those of a role assignment, from its listing or from the call, or of a
    request to Privileged Identity Management, from the listing of requests.
    """
    return store.frame(
        filled_text("guard/events", watched=_watched(days)),
        {"operations": sorted(operations)},
    )


def watched_keys(store: Store, days: Sequence[dt.date], operations: Collection[str]) -> pl.DataFrame:
    """Return the `event_key` of what `watched_events` returns, at a fraction of its cost."""
    return store.frame(
        "SELECT lower(hex(e.event_key)) AS event_key FROM base.events AS e JOIN base.operation_names AS o "
        f"USING (operation_key) WHERE {_watched(days)}",
        {"operations": sorted(operations)},
    )


def _watched(days: Sequence[dt.date]) -> str:
    """Return the condition on the events `e` of some days that changed something by one of `$operations`."""
    spans = " OR ".join(
        f"(e.time >= TIMESTAMP '{first}' AND e.time < TIMESTAMP '{last + dt.timedelta(days=1)}')"
        for first, last in _spans(days)
    )
    return f"({spans or 'false'}) AND e.rank IN (1, 4) AND o.folded IN (SELECT unnest($operations))"


def _spans(days: Sequence[dt.date]) -> Iterable[tuple[dt.date, dt.date]]:
    """Yield the first and last day of each run of consecutive days."""
    first = last = None
    for day in sorted(days):
        if last is not None and day == last + dt.timedelta(days=1):
            last = day
            continue
        if first is not None and last is not None:
            yield first, last
        first = last = day
    if first is not None and last is not None:
        yield first, last


def commit_pass(store: Store, done: Pass, sinks: Sequence[str]) -> int:
    """Store the results of a pass in one transaction; return the number of new changes.

    Args:
        store: The store.
        done: The pass.
        sinks: The sinks to which its changes are delivered.
    """
    columns = named(*(column.name for column in table("watch_changes").columns))
    number = int(store.remembered(_NUMBER) or 0)
    fresh = done.changes.sort(pl.col("time").fill_null(pl.col("day").cast(pl.Datetime("us"))), "kind", "change_id")
    fresh = fresh.with_columns(
        seq=pl.int_range(number + 1, number + 1 + len(fresh), dtype=pl.Int64),
        pending=pl.lit(list(sinks), dtype=pl.List(pl.String)),
    )
    is_next = done.as_of != watched_until(store)
    is_news = bool(done.kinds or done.unread or done.touched != Touched((), frozenset()))
    if not is_news and not is_next and done.reported.is_empty() and fresh.is_empty():
        return 0
    seen = {"pass_seen": done.seen, "pass_reported": done.reported}
    frames = {"pass_changes": fresh, **seen, "read_files": _stamps(done.unread)}
    # A pass has few of these, and each statement takes its time.
    laid_out = {name: rows for name, rows in frames.items() if rows.height}
    with registered(store.connection, laid_out), store.transaction(changes_content=False) as con:
        con.execute("DELETE FROM base.watch_seen WHERE kind IN (SELECT unnest($kinds))", {"kinds": list(done.kinds)})
        con.execute(
            "DELETE FROM base.touched WHERE day IN (SELECT unnest($days)) OR what IN (SELECT unnest($tables))",
            {"days": list(done.touched.days), "tables": sorted(done.touched.tables)},
        )
        if "pass_changes" in laid_out:
            con.execute(f"INSERT INTO base.watch_changes ({columns}) SELECT {columns} FROM pass_changes")
            set_meta(con, _NUMBER, str(number + len(fresh)))
        for name in seen.keys() & laid_out.keys():
            con.execute(f"INSERT INTO base.watch_seen SELECT kind, name, value, day FROM {name}")
        if "read_files" in laid_out:
            _write_files(con)
        if is_next:
            set_meta(con, _AS_OF, done.as_of.isoformat())
            _prune(con, done.as_of)
    return len(fresh)


def _prune(con: duckdb.DuckDBPyConnection, as_of: dt.date) -> None:
    """Delete events that are too old to be reported, and old changes that were delivered."""
    con.execute("DELETE FROM base.watch_seen WHERE kind IN (SELECT unnest(?)) AND day < ?",
                [list(FORGOTTEN), horizon(as_of)])  # fmt: skip
    con.execute("DELETE FROM base.watch_changes WHERE day < ? AND len(pending) = 0",
                [as_of - dt.timedelta(days=KEEP_DAYS)])  # fmt: skip


def horizon(as_of: dt.date) -> dt.date:
    """Return the first day whose events are reported."""
    return as_of - dt.timedelta(days=HORIZON_DAYS)


def pending_changes(store: Store, sink: str) -> list[dict[str, Any]]:
    """Return the undelivered changes of a sink, in order."""
    return store.frame(
        "SELECT * EXCLUDE (pending) FROM main.watch_changes WHERE list_contains(pending, $sink) ORDER BY seq",
        {"sink": sink},
    ).to_dicts()


def acknowledge(store: Store, sink: str, numbers: Sequence[int]) -> None:
    """Store that changes were delivered to a sink."""
    with store.transaction(changes_content=False) as con:
        con.execute(
            "UPDATE base.watch_changes SET pending = list_filter(pending, lambda one: one <> $sink) "
            "WHERE seq IN (SELECT unnest($numbers))",
            {"sink": sink, "numbers": list(numbers)},
        )


def known_changes(store: Store, kind: str) -> pl.DataFrame:
    """Return the `change_id` of the stored changes of a kind."""
    return store.frame("SELECT change_id FROM base.watch_changes WHERE kind = $kind", {"kind": kind})


def undelivered(store: Store) -> dict[str, int]:
    """Return the number of undelivered changes by sink."""
    rows = store.connection.execute(
        "SELECT sink, count(*) FROM (SELECT unnest(pending) AS sink FROM base.watch_changes) GROUP BY 1 ORDER BY 1"
    ).fetchall()
    return dict(rows)


def known_files(store: Store) -> dict[str, tuple[int, int]]:
    """Return the size and modification time (in ns) of the files that were read, by path."""
    rows = store.connection.execute("SELECT path, size, changed FROM base.watch_files").fetchall()
    return {path: (size, changed) for path, size, changed in rows}


def keep_files(store: Store, files: Mapping[str, tuple[int, int]], gone: Collection[str]) -> None:
    """Store the files that were read, with size and modification time in ns, and delete those that are gone."""
    with registered(store.connection, {"read_files": _stamps(files)}), store.transaction(changes_content=False) as con:
        con.execute("DELETE FROM base.watch_files WHERE path IN (SELECT unnest($gone))", {"gone": list(gone)})
        _write_files(con)


def _stamps(files: Mapping[str, tuple[int, int]]) -> pl.DataFrame:
    columns = {"path": pl.String, "size": pl.Int64, "changed": pl.Int64}
    return pl.DataFrame([(path, *stamp) for path, stamp in files.items()], schema=columns, orient="row")


def _write_files(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("DELETE FROM base.watch_files WHERE path IN (SELECT path FROM read_files)")
    con.execute("INSERT INTO base.watch_files SELECT path, size, changed FROM read_files")
