"""What a watch keeps in the store: what loads touched, what is known, which files were read, and the outbox.

Everything here is small: days and names of tables that changed since the last pass, a row for each thing that stands,
a row for each event that was told and could be met again, a row for each file of a folder, and the changes that are
young or not delivered yet. What a pass concludes is committed at once, so that a pass that is killed leaves the state
before it, and the next one concludes the same again.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import duckdb
import polars as pl

from rightsize.model.tables import table
from rightsize.store.connection import Store
from rightsize.store.sql import named

KEEP_DAYS = 90
"""How long delivered changes stay, in days before the newest."""
HORIZON_DAYS = 120
"""Events that come so many days late, or later, are not told any more: what was told before them is forgotten."""

FORGOTTEN = ("event", "granted", "revoked", "asked", "listed", "behaviour")
"""Kinds of what was told once, and is forgotten after `HORIZON_DAYS`."""

SEEN = {"kind": pl.String(), "name": pl.String(), "value": pl.String(), "day": pl.Date()}
_AS_OF = "watch_as_of"
_NUMBER = "watch_number"
# Says nothing but that there is no log; the clock is never read.
_NO_DAY = dt.date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Touched:
    """What loads changed since the last pass: days of logs, and names of listed tables."""

    days: tuple[dt.date, ...]
    tables: frozenset[str]


@dataclass(frozen=True, slots=True)
class Pass:
    """What a pass concluded, to be committed at once.

    Attributes:
        as_of: The day up to which conclusions speak, exclusive.
        seen: What is known now, as `SEEN`, of the kinds in `kinds`; it takes the place of what was known of them.
        kinds: These kinds.
        told: Events that are known besides what was known.
        changes: As the table `watch_changes`, without numbers.
        touched: What the pass has dealt with.
        unread: Files that could not be read, which is among the changes: by path, size and time of change in ns.
    """

    as_of: dt.date
    seen: pl.DataFrame
    kinds: tuple[str, ...]
    told: pl.DataFrame
    changes: pl.DataFrame
    touched: Touched
    unread: Mapping[str, tuple[int, int]]


def read_touched(store: Store) -> Touched:
    """Return what loads changed since the last pass, days in order."""
    rows = store.connection.execute("SELECT what, day FROM base.touched").fetchall()
    return Touched(
        tuple(sorted(day for _, day in rows if day is not None)), frozenset(what for what, _ in rows if what)
    )


def watched_until(store: Store) -> dt.date | None:
    """Return the day up to which the last pass drew conclusions, exclusive; None before the first."""
    text = store.remembered(_AS_OF)
    return dt.date.fromisoformat(text) if text else None


def read_seen(store: Store, kinds: Collection[str]) -> pl.DataFrame:
    """Return what is known of some kinds, as `SEEN`."""
    return store.frame("SELECT kind, name, value, day FROM base.watch_seen WHERE kind IN (SELECT unnest($kinds))",
                       {"kinds": list(kinds)}).cast(pl.Schema(SEEN))  # fmt: skip


def newest_day(store: Store, limit: dt.datetime) -> tuple[dt.date, bool]:
    """Return the newest day with an event, and true; where there is none, that of an assignment, and false.

    Args:
        store: The store.
        limit: What is dated later is not believed.
    """
    for name, column in (("events", "time"), ("role_assignments", "created_on")):
        text = f"SELECT max({column})::DATE FROM base.{name} WHERE {column} <= $limit"
        found = store.connection.execute(text, {"limit": limit}).fetchall()[0][0]
        if found is not None:
            return found, name == "events"
    return _NO_DAY, False


def records_ahead(store: Store, limit: dt.datetime) -> list[tuple[str, int, dt.datetime]]:
    """Return of each log how many records are dated later than a time, and the latest date."""
    return store.connection.execute(
        "SELECT source, count(*), max(time) FROM base.events WHERE time > $limit GROUP BY source ORDER BY source",
        {"limit": limit},
    ).fetchall()


def watched_events(store: Store, days: Sequence[dt.date], operations: Collection[str]) -> pl.DataFrame:
    """Return the events of some days that name one of some operations, folded.

    Columns: `event_key, time, operation, scope, outcome, actor_id, actor_name, app_id, ip, role, holder,
    request_type`; role and holder are those of a role assignment, by its listing or by what the call says, or of a
    request to Privileged Identity Management, by the listing of requests.
    """
    spans = " OR ".join(
        f"(e.time >= TIMESTAMP '{first}' AND e.time < TIMESTAMP '{last + dt.timedelta(days=1)}')"
        for first, last in _spans(days)
    )
    return store.frame(
        f"""
        SELECT lower(hex(e.event_key)) AS event_key, e.time, o.folded AS operation, s.spelling AS scope,
            CASE e.rank WHEN 4 THEN 'succeeded' WHEN 1 THEN 'started' END AS outcome,
            coalesce(substr(e.principal_id, 2), u.principal_id) AS actor_id,
            substr(coalesce(e.principal_name, e.app_id), 2) AS actor_name, substr(e.app_id, 2) AS app_id,
            substr(e.ip, 2) AS ip, coalesce(b.assigned_role_id, a.role_definition_id, q.role_definition_id) AS role,
            coalesce(b.assigned_principal_id, a.principal_id, q.principal_id) AS holder, q.request_type
        FROM base.events AS e
        JOIN base.operation_names AS o USING (operation_key) JOIN base.scope_names AS s USING (scope_key)
        LEFT JOIN base.request_bodies AS b USING (event_key)
        LEFT JOIN (
            SELECT role_assignment_id, min(role_definition_id) AS role_definition_id, min(principal_id) AS principal_id
            FROM base.role_assignments GROUP BY 1
        ) AS a ON o.folded LIKE 'microsoft.authorization/roleassignments/%'
            AND a.role_assignment_id = lower(string_split(s.folded, '/')[-1])
        LEFT JOIN base.schedule_requests AS q ON o.folded LIKE 'microsoft.authorization/role%schedulerequests/write'
            AND q.request_id = lower(string_split(s.folded, '/')[-1])
        LEFT JOIN (
            SELECT alias, min(principal_id) AS principal_id FROM base.principal_aliases
            GROUP BY 1 HAVING count(DISTINCT principal_id) = 1
        ) AS u ON e.principal_id IS NULL AND u.alias = lower(substr(coalesce(e.principal_name, e.app_id), 2))
        WHERE ({spans or "false"}) AND e.rank IN (1, 4) AND o.folded IN (SELECT unnest($operations))""",
        {"operations": sorted(operations)},
    )


def _spans(days: Sequence[dt.date]) -> Iterable[tuple[dt.date, dt.date]]:
    """Yield runs of days, first and last."""
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
    """Write down all that a pass concluded, in one transaction; return how many changes are new.

    Args:
        store: The store.
        done: The pass.
        sinks: Where its changes are to be delivered.
    """
    columns = named(*(column.name for column in table("watch_changes").columns))
    number = int(store.remembered(_NUMBER) or 0)
    fresh = done.changes.sort(pl.col("time").fill_null(pl.col("day").cast(pl.Datetime("us"))), "kind", "change_id")
    fresh = fresh.with_columns(
        seq=pl.int_range(number + 1, number + 1 + len(fresh), dtype=pl.Int64),
        pending=pl.lit(list(sinks), dtype=pl.List(pl.String)),
    )
    laid_out = {
        "pass_changes": fresh,
        "pass_seen": done.seen,
        "pass_told": done.told,
        "read_files": _stamps(done.unread),
    }
    with _registered(store.connection, laid_out), store.transaction() as con:
        con.execute(f"INSERT INTO base.watch_changes ({columns}) SELECT {columns} FROM pass_changes")
        con.execute("DELETE FROM base.watch_seen WHERE kind IN (SELECT unnest($kinds))", {"kinds": list(done.kinds)})
        for name in ("pass_seen", "pass_told"):
            con.execute(f"INSERT INTO base.watch_seen SELECT kind, name, value, day FROM {name}")
        con.execute(
            "DELETE FROM base.touched WHERE day IN (SELECT unnest($days)) OR what IN (SELECT unnest($tables))",
            {"days": list(done.touched.days), "tables": sorted(done.touched.tables)},
        )
        _write_files(con)
        _remember(con, _NUMBER, str(number + len(fresh)))
        _remember(con, _AS_OF, done.as_of.isoformat())
        _prune(con, done.as_of)
    return len(fresh)


@contextmanager
def _registered(con: duckdb.DuckDBPyConnection, frames: Mapping[str, pl.DataFrame]) -> Iterator[None]:
    """Let SQL see frames by their names meanwhile."""
    for name, frame in frames.items():
        con.register(name, frame)
    try:
        yield
    finally:
        for name in frames:
            con.unregister(name)


def _remember(con: duckdb.DuckDBPyConnection, name: str, value: str) -> None:
    con.execute("DELETE FROM base.meta WHERE name = ?", [name])
    con.execute("INSERT INTO base.meta VALUES (?, ?)", [name, value])


def _prune(con: duckdb.DuckDBPyConnection, as_of: dt.date) -> None:
    """Forget events that are not told any more, and changes that are old and delivered."""
    con.execute("DELETE FROM base.watch_seen WHERE kind IN (SELECT unnest(?)) AND day < ?",
                [list(FORGOTTEN), horizon(as_of)])  # fmt: skip
    con.execute("DELETE FROM base.watch_changes WHERE day < ? AND len(pending) = 0",
                [as_of - dt.timedelta(days=KEEP_DAYS)])  # fmt: skip


def horizon(as_of: dt.date) -> dt.date:
    """Return the first day whose events are told."""
    return as_of - dt.timedelta(days=HORIZON_DAYS)


def pending_changes(store: Store, sink: str) -> list[dict[str, Any]]:
    """Return the changes that a sink still has to get, in order."""
    return store.frame(
        "SELECT * EXCLUDE (pending) FROM main.watch_changes WHERE list_contains(pending, $sink) ORDER BY seq",
        {"sink": sink},
    ).to_dicts()


def acknowledge(store: Store, sink: str, numbers: Sequence[int]) -> None:
    """Write down that a sink has changes."""
    with store.transaction() as con:
        con.execute(
            "UPDATE base.watch_changes SET pending = list_filter(pending, lambda one: one <> $sink) "
            "WHERE seq IN (SELECT unnest($numbers))",
            {"sink": sink, "numbers": list(numbers)},
        )


def known_changes(store: Store, kind: str) -> pl.DataFrame:
    """Return the `change_id` of the changes of a kind that are kept."""
    return store.frame("SELECT change_id FROM base.watch_changes WHERE kind = $kind", {"kind": kind})


def undelivered(store: Store) -> dict[str, int]:
    """Return how many changes each sink still has to get."""
    rows = store.connection.execute(
        "SELECT sink, count(*) FROM (SELECT unnest(pending) AS sink FROM base.watch_changes) GROUP BY 1 ORDER BY 1"
    ).fetchall()
    return dict(rows)


def known_files(store: Store) -> dict[str, tuple[int, int]]:
    """Return size and time of change (in ns) of the files that were read, by path."""
    rows = store.connection.execute("SELECT path, size, changed FROM base.watch_files").fetchall()
    return {path: (size, changed) for path, size, changed in rows}


def keep_files(store: Store, files: Mapping[str, tuple[int, int]], gone: Collection[str]) -> None:
    """Write down which files were read, with size and time of change in ns, and forget those that are gone."""
    with _registered(store.connection, {"read_files": _stamps(files)}), store.transaction() as con:
        con.execute("DELETE FROM base.watch_files WHERE path IN (SELECT unnest($gone))", {"gone": list(gone)})
        _write_files(con)


def _stamps(files: Mapping[str, tuple[int, int]]) -> pl.DataFrame:
    columns = {"path": pl.String, "size": pl.Int64, "changed": pl.Int64}
    return pl.DataFrame([(path, *stamp) for path, stamp in files.items()], schema=columns, orient="row")


def _write_files(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("DELETE FROM base.watch_files WHERE path IN (SELECT path FROM read_files)")
    con.execute("INSERT INTO base.watch_files SELECT path, size, changed FROM read_files")
