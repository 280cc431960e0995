"""Compute from signals and decisions what is suspect: time windows, addresses, sign-ins, sessions and tokens.

The results are stored by signal (`quarantine_windows`, `quarantine_keys`), so that a load can find the signals that
now concern other calls. These are few, and only their calls are searched in all days.
"""

from __future__ import annotations

import datetime as dt

import duckdb

from rightsize.rules.attacks import window_of
from rightsize.store.ddl import RESOLVED
from rightsize.store.merging.days import days_between
from rightsize.store.queries import filled_text
from rightsize.store.sql import folded

FAMILIAR_DAYS, FRESH_DAYS = 30, 2
"""An address used in the month before is familiar; the last days do not count, for the attacker may have used it."""
SESSION_DAYS = 90
"""Days that an unused session stays valid, and so the most days before a signal that it can have started."""

_SILENT = "'informational', 'none'"
_KINDS = ("alert", "risk_detection", "risky_sign_in", "risky_principal", "confirmed_principal")
# Consecutive days without rows that do not end a stretch of days, and the least days of a stretch.
_SILENCE_DAYS, _STRETCH_DAYS = 7, 3
NEWEST_DAY = f"""
    SELECT coalesce(max(last) FILTER (WHERE days >= {_STRETCH_DAYS}), min(last)) FROM (
        SELECT max(day) AS last, count(*) AS days FROM (
            SELECT day, sum(begins) OVER (ORDER BY day) AS stretch FROM (
                SELECT day, coalesce(day - lag(day) OVER (ORDER BY day) > {_SILENCE_DAYS}, true)::INTEGER AS begins
                FROM (
                    SELECT day FROM base.observed_days UNION SELECT last_seen::DATE FROM base.reduced_usage
                    UNION SELECT coalesce(last_time, first_time)::DATE FROM base.signals
                ) WHERE day IS NOT NULL)
        ) GROUP BY stretch)"""
"""SQL for the newest day of logs and signals, the last one of a stretch of several days."""


def find_standing(con: duckdb.DuckDBPyConnection) -> None:
    """Find the signals that count, and the decisions that have not expired on the newest day of the store.

    A record dated years ahead would end every decision. So the newest day is the last of a stretch of several days.
    """
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE standing_decisions AS
        SELECT d.* EXCLUDE (principal), coalesce(alias.principal_id, {folded("d.principal")}) AS principal_id
        FROM base.signal_decisions AS d LEFT JOIN ({RESOLVED}) AS alias ON alias.alias = {folded("d.principal")}
        WHERE expires >= coalesce(({NEWEST_DAY}), expires)""")
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE standing_signals AS
        SELECT signal_id, CASE WHEN status = 'confirmedcompromised' AND kind = 'risky_principal'
                THEN 'confirmed_principal' ELSE kind END AS kind,
            first_time, greatest(first_time, coalesce(last_time, first_time)) AS last_time
        FROM main.signals AS s
        WHERE kind <> 'incident' AND first_time IS NOT NULL AND CASE
            WHEN signal_id IN (SELECT {folded("signal_id")} FROM standing_decisions WHERE decision = 'quarantine')
                THEN true
            WHEN signal_id IN (SELECT {folded("signal_id")} FROM standing_decisions WHERE decision = 'trust')
                THEN false
            ELSE NOT dismissed AND severity NOT IN ({_SILENT}) END""")


def make_windows(con: duckdb.DuckDBPyConnection) -> None:
    """Fill `suspect_windows`, as `quarantine_windows`, and `standing_keys` with the keys that need no logs.

    Keys have the columns of `base.quarantine_keys`.
    """
    margins = ", ".join(
        f"('{kind}', '{basis}', {hours[0]}, {hours[1]})"
        for kind in _KINDS
        for basis in ("principal", "address")
        if (hours := window_of(kind, basis))
    )
    windows = filled_text("quarantine/windows", margins=margins)
    con.execute(f"CREATE OR REPLACE TEMP TABLE suspect_windows AS {windows}")
    keys = filled_text("quarantine/keys", resolved=RESOLVED, session_days=str(SESSION_DAYS))
    con.execute(f"CREATE OR REPLACE TEMP TABLE standing_keys AS {keys}")


def find_changed(con: duckdb.DuckDBPyConnection) -> None:
    """Fill `changed_signals` with the signals that now concern other calls, by new keys or by changed days.

    Reads `touched_days`, the days whose calls or sign-ins changed.
    """
    kept = "SELECT * FROM base.quarantine_keys WHERE kind NOT IN ('session', 'token', 'session_token', 'familiar')"
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE changed_signals AS
        SELECT signal_id FROM (FROM suspect_windows EXCEPT FROM base.quarantine_windows)
        UNION SELECT signal_id FROM (FROM base.quarantine_windows EXCEPT FROM suspect_windows)
        UNION SELECT signal_id FROM (FROM standing_keys EXCEPT {kept})
        UNION SELECT signal_id FROM ({kept} EXCEPT FROM standing_keys)
        -- Calls of the month before make an address familiar.
        UNION SELECT w.signal_id FROM suspect_windows AS w
        JOIN touched_days AS t ON t.day::TIMESTAMP < w.start_on - to_days({FRESH_DAYS})
            AND t.day::TIMESTAMP >= w.start_on - to_days({FAMILIAR_DAYS + 1})
        WHERE w.signal_id IN (SELECT signal_id FROM standing_keys WHERE kind = 'ip')""")
    days = days_between(con)
    if days is None:
        return
    trace(con, days, "SELECT signal_id FROM changed_signals", of_changed=False)
    before = """SELECT * EXCLUDE (end_on) FROM base.quarantine_keys SEMI JOIN touched_days USING (day)
        WHERE kind IN ('session', 'token', 'session_token')"""
    con.execute(f"""
        INSERT INTO changed_signals SELECT DISTINCT signal_id FROM (
            (FROM traces EXCEPT {before}) UNION ALL ({before} EXCEPT FROM traces)
        ) WHERE signal_id NOT IN (SELECT signal_id FROM changed_signals)""")


def trace(con: duckdb.DuckDBPyConnection, days: str, signals: str, *, of_changed: bool) -> None:
    """Follow the sign-ins that signals name to their sessions, and the sessions to their tokens.

    Fills `traces`: `signal_id, kind, value, day, start_on`, with the day of the sign-in and the time from which calls
    count.

    Args:
        con: The store's connection.
        days: A condition on the time of the sign-ins.
        signals: SQL for some signals.
        of_changed: Whether to trace these signals and ignore their stored keys; else all other signals are traced.
    """
    asked = f"signal_id {'' if of_changed else 'NOT'} IN ({signals})"
    stored = f"UNION SELECT signal_id, value FROM base.quarantine_keys WHERE kind = 'session' AND {asked}"
    known = "" if of_changed else stored
    traces = filled_text("quarantine/traces", asked=asked, days=days, known=known, session_days=str(SESSION_DAYS))
    con.execute(f"CREATE OR REPLACE TEMP TABLE traces AS {traces}")


def earliest_trace(con: duckdb.DuckDBPyConnection) -> dt.datetime | None:
    """Return the time from which sign-ins count for signals that changed; None if none counts."""
    first: dt.datetime | None
    ((first,),) = con.execute("""
        SELECT min(start_on) FROM standing_keys SEMI JOIN changed_signals USING (signal_id)
        WHERE kind IN ('sign_in', 'named_session')""").fetchall()
    return first
