"""Find the suspect calls inside the windows of security signals, and quarantine them from the analysis.

A call is suspect, for one of these reasons:

- by `token` or `session`: it has the token of a sign-in that a signal names, or belongs to its session;
- by `address`: the principal that the signal names made it from an address that the signal names, within days of the
  signal;
- by `principal`: that principal made it within hours of the signal. Not suspect are calls of another session, if the
  signal names one and the log has the session of the call. Nor, if the signal names addresses, are calls from another
  address that the principal had used in the month before, except in the last two days of that month;
- by `machine`: the same for the identities of a resource that a signal names: an attacker on it can use them;
- by `decision`: a person decided so.

A signal without a principal and without an identity concerns only its addresses. The hours are rows of
`rules/signal_windows.csv`. What a person trusts is not suspect. The result depends only on the loaded data: a signal
that arrives later, is dismissed, or whose principal becomes known later recomputes the usage of the days it changes.
A load checks the calls of the days that it touched for all signals, and all calls only for signals that changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb

from rightsize.model.tables import table
from rightsize.store.ddl import RESOLVED, RESOLVED_ACTORS
from rightsize.store.merging.days import days_between, recompute_days
from rightsize.store.queries import filled_text
from rightsize.store.sql import literal, note_touched_days, sealed_before
from rightsize.store.suspicion import (
    FAMILIAR_DAYS,
    FRESH_DAYS,
    earliest_trace,
    find_changed,
    find_standing,
    make_windows,
    trace,
)

OF_USE = ("usage_days", "graph_usage_days", "m365_usage_days")
"""The digested tables that say how many calls are suspect: no other changes with a decision on signals."""

# A token is used for at most a day and a few hours after its sign-in; clocks differ.
_TOKEN_BEFORE, _TOKEN_AFTER = 1, 2
_TABLES = (
    "standing_signals", "suspect_windows", "standing_keys", "changed_signals", "changed_windows", "traces", "new_keys",
    "looked_days", "window_calls", "asked_windows", "asked_keys", "suspect_calls", "removed_calls",
)  # fmt: skip


def derive_quarantine(con: duckdb.DuckDBPyConnection) -> None:
    """Update `quarantine_windows` and `quarantined_calls`, and recompute the usage of the days that change.

    Reads `touched_days`, if it exists: the days whose calls or sign-ins changed.
    """
    con.execute("CREATE TEMP TABLE IF NOT EXISTS touched_days (day DATE)")
    (counted,) = con.execute(
        "SELECT (SELECT count(*) FROM base.signals) + (SELECT count(*) FROM base.signal_decisions) "
        "+ (SELECT count(*) FROM base.quarantined_calls) + (SELECT count(*) FROM base.quarantine_windows)"
    ).fetchall()
    if not counted[0]:
        return
    find_standing(con)
    make_windows(con)
    find_changed(con)
    _look_at_days(con)
    _find_calls_of_days(con)
    _find_calls_of_changed(con)
    _replace_calls(con)
    _find_changed_days(con)
    con.execute("DELETE FROM base.quarantine_windows")
    con.execute("INSERT INTO base.quarantine_windows BY NAME FROM suspect_windows")
    con.execute("DELETE FROM base.quarantine_keys")
    con.execute("INSERT INTO base.quarantine_keys BY NAME FROM new_keys")
    recompute_days(con)
    note_touched_days(con)
    _judge_sealed_days(con)
    for name in _TABLES:
        con.execute(f"DROP TABLE IF EXISTS temp.{name}")


def forget_keys(con: duckdb.DuckDBPyConnection) -> None:
    """Make the next derivation check all calls for all signals, because rows that it used were deleted."""
    con.execute("DELETE FROM base.quarantine_keys")


def _look_at_days(con: duckdb.DuckDBPyConnection) -> None:
    """Fill `looked_days` with the days whose calls may now be suspect for other reasons, for any signal.

    A sign-in gives the session of calls with its token, from a day before it to two days after. A new or withdrawn
    decision of trust affects the days that it covers.
    """
    kept = "SELECT value, start_on, end_on FROM base.quarantine_keys WHERE kind = 'trust'"
    now = "SELECT value, start_on, end_on FROM standing_keys WHERE kind = 'trust'"
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE looked_days AS
        SELECT DISTINCT t.day + n::INTEGER AS day
        FROM touched_days AS t, range(-{_TOKEN_BEFORE}, {_TOKEN_AFTER} + 1) AS r(n)
        UNION SELECT DISTINCT o.day FROM (
            ({kept} EXCEPT {now}) UNION ({now} EXCEPT {kept})
        ) AS c JOIN (SELECT DISTINCT day FROM base.observed_days) AS o
            ON o.day BETWEEN c.start_on::DATE AND c.end_on::DATE""")


def _find_calls_of_days(con: duckdb.DuckDBPyConnection) -> None:
    """Find the suspect calls of `looked_days` for the signals that did not change, and create `new_keys`."""
    con.execute("""
        CREATE OR REPLACE TEMP TABLE new_keys AS
        SELECT * FROM base.quarantine_keys
        WHERE kind IN ('session', 'token', 'session_token', 'familiar')
            AND signal_id NOT IN (SELECT signal_id FROM changed_signals)
        UNION ALL SELECT * FROM standing_keys""")
    con.execute("CREATE OR REPLACE TEMP TABLE suspect_calls "
                "(event_key UHUGEINT, day DATE, signal_id VARCHAR, basis VARCHAR)")  # fmt: skip
    days = days_between(con, "looked_days")
    if days is not None:
        _ask(con, "NOT IN")
        _gather(con, days)
        _judge(con)


def _find_calls_of_changed(con: duckdb.DuckDBPyConnection) -> None:
    """Find the suspect calls of all days for the signals that changed, and complete `new_keys`."""
    if con.execute("SELECT 1 FROM changed_signals LIMIT 1").fetchone() is None:
        return
    first = earliest_trace(con)
    trace(con, f"time >= {literal(first)}::TIMESTAMP" if first else "false", "SELECT signal_id FROM changed_signals",
          of_changed=True)  # fmt: skip
    con.execute("INSERT INTO new_keys BY NAME SELECT *, NULL::TIMESTAMP AS end_on FROM traces")
    _ask(con, "IN")
    ((first, last),) = con.execute(f"""
        SELECT least((SELECT min(start_on) - to_days({FAMILIAR_DAYS}) FROM asked_windows), min(start_on)),
            CASE WHEN count(*) = 0 THEN (SELECT max(end_on) FROM asked_windows) END
        FROM asked_keys WHERE kind IN ('named_session', 'session', 'token', 'session_token')""").fetchall()
    if first is None:
        return
    until = f" AND time <= {literal(last)}::TIMESTAMP" if last is not None else ""
    _gather(con, f"time >= {literal(first)}::TIMESTAMP{until}")
    con.execute(f"""
        INSERT INTO new_keys BY NAME
        SELECT DISTINCT w.signal_id, 'familiar' AS kind, c.principal_id || ' ' || c.ip AS value
        FROM asked_windows AS w JOIN window_calls AS c ON c.principal_id = w.principal_id
            AND c.time < w.start_on - to_days({FRESH_DAYS}) AND c.time >= w.start_on - to_days({FAMILIAR_DAYS})
        WHERE w.basis IN ('principal', 'machine') AND c.ip IS NOT NULL
            AND w.signal_id IN (SELECT signal_id FROM asked_keys WHERE kind = 'ip')""")
    _ask(con, "IN")
    _judge(con)


def _ask(con: duckdb.DuckDBPyConnection, among: str) -> None:
    """Fill `asked_windows` and `asked_keys` for the signals that changed (IN), or for all others (NOT IN)."""
    for name, source in (("asked_windows", "suspect_windows"), ("asked_keys", "new_keys")):
        con.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT * FROM {source} "
                    f"WHERE signal_id {among} (SELECT signal_id FROM changed_signals)")  # fmt: skip


def _gather(con: duckdb.DuckDBPyConnection, times: str) -> None:
    """Fill `window_calls` with the calls that a window, address, token or session of the asked signals may concern.

    Args:
        con: The store's connection.
        times: A condition on `time`, with literals, so that a scan skips the stored rows of other days.
    """
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE window_calls AS
        SELECT e.event_key, e.time, p.principal_id, substr(e.ip, 2) AS ip, substr(e.token_id, 2) AS token_id,
            substr(e.session_id, 2) AS own_session
        FROM base.events AS e LEFT JOIN ({RESOLVED_ACTORS}) AS p USING (actor_key)
        WHERE {times} AND (p.principal_id IN (SELECT principal_id FROM asked_windows)
            OR substr(e.ip, 2) IN (SELECT value FROM asked_keys WHERE kind = 'ip')
            OR substr(e.token_id, 2) IN (SELECT value FROM asked_keys WHERE kind IN ('token', 'session_token'))
            OR substr(e.session_id, 2) IN (SELECT value FROM asked_keys WHERE kind IN ('session', 'named_session')))""")


def _judge(con: duckdb.DuckDBPyConnection) -> None:
    """Add to `suspect_calls` the suspect ones of `window_calls`, with the strongest reason of each signal."""
    ((first, last),) = con.execute(f"""
        SELECT min(time) - to_days({_TOKEN_AFTER}), max(time) + to_days({_TOKEN_BEFORE}) FROM window_calls
        WHERE token_id IS NOT NULL AND own_session IS NULL""").fetchall()
    signed_in = f"i.time BETWEEN {literal(first)} AND {literal(last)}" if first else "false"
    calls = filled_text(
        "quarantine/calls", signed_in=signed_in, token_after=str(_TOKEN_AFTER), token_before=str(_TOKEN_BEFORE)
    )
    con.execute(f"INSERT INTO suspect_calls BY NAME {calls}")


def _replace_calls(con: duckdb.DuckDBPyConnection) -> None:
    """Replace the stored calls of the same days and signals (`removed_calls`) by `suspect_calls`."""
    con.execute("""
        CREATE OR REPLACE TEMP TABLE removed_calls AS
        SELECT rowid AS place, event_key, day FROM base.quarantined_calls
        WHERE day IN (SELECT day FROM looked_days) OR signal_id IN (SELECT signal_id FROM changed_signals)
            OR signal_id NOT IN (SELECT signal_id FROM new_keys)""")
    con.execute("DELETE FROM base.quarantined_calls WHERE rowid IN (SELECT place FROM removed_calls)")


def _find_changed_days(con: duckdb.DuckDBPyConnection) -> None:
    """Fill `touched_days` with days whose suspect calls changed, and days of reduced use in a changed window."""
    con.execute("""
        CREATE OR REPLACE TEMP TABLE changed_windows AS
        SELECT * FROM (FROM suspect_windows UNION FROM base.quarantine_windows)
        SEMI JOIN changed_signals USING (signal_id)""")
    # The beginning of a call, loaded after its end, moves the call to another day: both days count.
    days = days_between(con, "looked_days") or "false"
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE touched_days AS
        WITH changed AS (
            SELECT event_key, any_value(day) AS day FROM (
                SELECT DISTINCT event_key, day, 'before' AS said FROM removed_calls
                UNION ALL SELECT DISTINCT event_key, day, 'now' FROM suspect_calls
            ) GROUP BY event_key HAVING count(DISTINCT said) = 1
                AND event_key NOT IN (SELECT event_key FROM base.quarantined_calls)
        )
        SELECT DISTINCT day FROM changed
        UNION SELECT DISTINCT time::DATE FROM base.events SEMI JOIN changed USING (event_key) WHERE {days}
        UNION SELECT DISTINCT r.day FROM base.reduced_usage AS r
            JOIN changed_windows AS w ON r.last_seen >= w.start_on AND r.first_seen <= w.end_on""")
    con.execute("INSERT INTO base.quarantined_calls BY NAME FROM suspect_calls")


def _judge_sealed_days(con: duckdb.DuckDBPyConnection) -> None:
    """Update the suspect counts of sealed days, whose calls were pruned: a window decides for a row as a whole.

    A row that only the window of an address touches keeps the count from when its day was sealed. A row whose principal
    has no signal any more is not suspect.
    """
    before = sealed_before(con)
    if before is None or con.execute("SELECT 1 FROM changed_windows LIMIT 1").fetchone() is None:
        return
    con.execute(
        filled_text("quarantine/sealed_days", resolved=RESOLVED),
        {"before": before},
    )


def replace_decisions(con: duckdb.DuckDBPyConnection, rows: Sequence[Mapping[str, object]]) -> None:
    """Replace the decisions of people, inside a transaction, and derive the quarantine again.

    Args:
        con: The store's connection.
        rows: The columns of `analyze.behaviour.judge`.
    """
    columns = [column.name for column in table("signal_decisions").columns]
    con.execute("DELETE FROM base.signal_decisions")
    if rows:
        con.executemany(
            f"INSERT INTO base.signal_decisions ({', '.join(columns)}) VALUES ({', '.join('?' for _ in columns)})",
            [[row[name] for name in columns] for row in rows],
        )
    derive_quarantine(con)
    con.execute("DROP TABLE IF EXISTS temp.standing_decisions; DROP TABLE IF EXISTS temp.touched_days")
