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
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE suspect_windows AS
        WITH named AS (
            SELECT DISTINCT signal_id, principal_id, 'principal' AS basis FROM main.signal_entities
            WHERE entity_kind = 'principal' AND principal_id IS NOT NULL
        ), machines AS (
            SELECT DISTINCT e.signal_id, i.principal_id, 'machine' AS basis
            FROM base.signal_entities AS e JOIN (
                SELECT scope, principal_id FROM base.resource_identities
                WHERE principal_id IS NOT NULL AND kind <> 'self'
                UNION SELECT {folded("name")}, principal_id
                FROM (SELECT unnest(alternative_names) AS name, principal_id FROM base.principals)
            ) AS i ON i.scope = e.value
            WHERE e.entity_kind = 'resource'
        ), who AS (FROM named UNION ALL FROM machines),
        margins (kind, wide, before_hours, after_hours) AS (VALUES {margins})
        SELECT s.signal_id, w.principal_id,
            CASE WHEN m.wide = 'address' THEN 'address' ELSE w.basis END AS basis,
            s.first_time - to_hours(m.before_hours) AS start_on, s.last_time + to_hours(m.after_hours) AS end_on
        FROM standing_signals AS s JOIN margins AS m USING (kind) LEFT JOIN who AS w USING (signal_id)
        WHERE (w.principal_id IS NOT NULL OR m.wide = 'address') AND (m.wide <> 'address' OR s.signal_id IN (
            SELECT signal_id FROM base.signal_entities WHERE entity_kind = 'ip'))
        UNION ALL
        SELECT 'decision/' || principal_id, principal_id, 'decision', from_time, to_time FROM standing_decisions
        WHERE decision = 'quarantine' AND principal_id IS NOT NULL""")
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE standing_keys AS
        WITH trusted AS (
            SELECT 'trust/' || principal_id AS signal_id, principal_id, from_time, to_time FROM standing_decisions
            WHERE decision = 'trust' AND signal_id IS NULL AND principal_id IS NOT NULL
        )
        SELECT DISTINCT signal_id, kind, value, NULL::DATE AS day, start_on, end_on FROM (
            SELECT signal_id, 'standing' AS kind, kind AS value, first_time AS start_on, last_time AS end_on
            FROM standing_signals
            UNION ALL SELECT signal_id, 'standing', 'decision', NULL, NULL FROM suspect_windows WHERE basis = 'decision'
            UNION ALL SELECT signal_id, 'trust', principal_id, from_time, to_time FROM trusted
            UNION ALL SELECT w.signal_id, 'name', w.principal_id || ' ' || alias.alias, NULL, NULL
            FROM (SELECT signal_id, principal_id FROM suspect_windows UNION SELECT signal_id, principal_id FROM trusted)
                AS w JOIN ({RESOLVED}) AS alias USING (principal_id)
            UNION ALL SELECT signal_id, CASE entity_kind WHEN 'session' THEN 'named_session' ELSE entity_kind END,
                value, first_time - to_days({SESSION_DAYS}), NULL
            FROM base.signal_entities JOIN standing_signals USING (signal_id)
            WHERE entity_kind IN ('ip', 'session', 'sign_in'))""")


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
    known = f"UNION SELECT signal_id, value FROM base.quarantine_keys WHERE kind = 'session' AND {asked}"
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE traces AS
        WITH rows AS (
            SELECT sign_in_id, session_id, token_id, time, time::DATE AS day FROM base.sign_in_rows WHERE {days}
        ), keys AS (
            SELECT signal_id, kind, value, start_on FROM standing_keys
            WHERE kind IN ('sign_in', 'named_session') AND {asked}
        ), named AS (
            SELECT k.signal_id, i.* FROM keys AS k JOIN rows AS i ON i.sign_in_id = k.value AND i.time >= k.start_on
            WHERE k.kind = 'sign_in'
        ), sessions AS (
            SELECT signal_id, session_id FROM named WHERE session_id IS NOT NULL
            UNION SELECT signal_id, value FROM keys WHERE kind = 'named_session'
            {"" if of_changed else known}
        )
        SELECT signal_id, 'session' AS kind, session_id AS value, day, min(time) - to_days({SESSION_DAYS}) AS start_on
        FROM named WHERE session_id IS NOT NULL GROUP BY ALL
        UNION ALL
        SELECT signal_id, 'token', token_id, day, min(time) - to_days(1) FROM named WHERE token_id IS NOT NULL
        GROUP BY ALL
        UNION ALL
        SELECT s.signal_id, 'session_token', i.token_id, i.day, min(i.time) - to_days(1)
        FROM sessions AS s JOIN rows AS i USING (session_id)
        JOIN standing_signals AS g ON g.signal_id = s.signal_id
            AND i.time >= g.first_time - to_days({SESSION_DAYS})
        WHERE i.token_id IS NOT NULL GROUP BY ALL""")


def earliest_trace(con: duckdb.DuckDBPyConnection) -> dt.datetime | None:
    """Return the time from which sign-ins count for signals that changed; None if none counts."""
    first: dt.datetime | None
    ((first,),) = con.execute("""
        SELECT min(start_on) FROM standing_keys SEMI JOIN changed_signals USING (signal_id)
        WHERE kind IN ('sign_in', 'named_session')""").fetchall()
    return first
