"""Quarantine: which calls lie inside a signal, so that nothing is learnt from them.

A call is suspect

- by `token` or `session`: it carries the token of a sign-in that a signal names, or belongs to its session;
- by `address`: the principal that the signal names made it from an address that the signal names, days around it;
- by `principal`: that principal made it within hours of the signal. Left out are calls of another session, where the
  signal names one and the log says which the call belongs to, and calls from another address that the principal had
  used in the month before, but for the last two days, where the signal names addresses;
- by `machine`: the same for the identities of a resource that a signal names: who is on it can use them;
- by `decision`: a person said so.

A signal without a principal and without an identity speaks of its addresses alone. The hours are rows of
`rules/signal_windows.csv`. What a person trusts is not suspect. Everything is a function of what is loaded: a signal
that comes later, is dismissed, or whose principal becomes known later recomputes the usage of the days it changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb

from rightsize.model.tables import table
from rightsize.rules.signals import window_of
from rightsize.store.days import recompute_days
from rightsize.store.ddl import RESOLVED
from rightsize.store.sealing import sealed_before
from rightsize.store.sql import folded
from rightsize.store.watching import note_touched_days

# An attacker may have come on the days before the signal, too.
_FAMILIAR_DAYS, _FRESH_DAYS = 30, 2
_SILENT = "'informational', 'none'"
_KINDS = ("alert", "risk_detection", "risky_sign_in", "risky_principal", "confirmed_principal")
_TABLES = ("standing_signals", "suspect_windows", "traced_tokens", "traced_sessions", "window_calls", "suspect_calls")


def derive_quarantine(con: duckdb.DuckDBPyConnection) -> None:
    """Fill `quarantine_windows` and `quarantined_calls`, and recompute the usage of the days that this changes."""
    (counted,) = con.execute(
        "SELECT (SELECT count(*) FROM base.signals) + (SELECT count(*) FROM base.signal_decisions) "
        "+ (SELECT count(*) FROM base.quarantined_calls) + (SELECT count(*) FROM base.quarantine_windows)"
    ).fetchall()
    if not counted[0]:
        return
    _find_standing(con)
    _make_windows(con)
    _trace_sessions(con)
    _find_calls(con)
    _find_changed_days(con)
    con.execute("DELETE FROM base.quarantined_calls")
    con.execute("INSERT INTO base.quarantined_calls BY NAME FROM suspect_calls")
    con.execute("DELETE FROM base.quarantine_windows")
    con.execute("INSERT INTO base.quarantine_windows BY NAME FROM suspect_windows")
    recompute_days(con)
    note_touched_days(con)
    _judge_sealed_days(con)
    for name in _TABLES:
        con.execute(f"DROP TABLE IF EXISTS temp.{name}")


def _find_standing(con: duckdb.DuckDBPyConnection) -> None:
    """Find the signals that count, and the decisions of people that still hold on the newest day of the store."""
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE standing_decisions AS
        SELECT d.* EXCLUDE (principal), coalesce(alias.principal_id, {folded("d.principal")}) AS principal_id
        FROM base.signal_decisions AS d LEFT JOIN ({RESOLVED}) AS alias ON alias.alias = {folded("d.principal")}
        WHERE expires >= coalesce((SELECT greatest(
            (SELECT max(time) FROM base.events), (SELECT max(last_seen) FROM base.reduced_usage),
            (SELECT max(coalesce(last_time, first_time)) FROM base.signals)))::DATE, expires)""")
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


def _make_windows(con: duckdb.DuckDBPyConnection) -> None:
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


def _trace_sessions(con: duckdb.DuckDBPyConnection) -> None:
    """Follow the sign-ins that signals name to their sessions, and sessions to the tokens that were issued in them."""
    con.execute("""
        CREATE OR REPLACE TEMP TABLE traced_sessions AS
        SELECT signal_id, value AS session_id FROM base.signal_entities SEMI JOIN standing_signals USING (signal_id)
        WHERE entity_kind = 'session'
        UNION SELECT e.signal_id, i.session_id
        FROM base.signal_entities AS e JOIN base.sign_in_rows AS i ON i.sign_in_id = e.value
        SEMI JOIN standing_signals AS s ON s.signal_id = e.signal_id
        WHERE e.entity_kind = 'sign_in' AND i.session_id IS NOT NULL""")
    con.execute("""
        CREATE OR REPLACE TEMP TABLE traced_tokens AS
        SELECT e.signal_id, i.token_id, 'token' AS basis
        FROM base.signal_entities AS e JOIN base.sign_in_rows AS i ON i.sign_in_id = e.value
        SEMI JOIN standing_signals AS s ON s.signal_id = e.signal_id
        WHERE e.entity_kind = 'sign_in' AND i.token_id IS NOT NULL
        UNION SELECT t.signal_id, i.token_id, 'session'
        FROM traced_sessions AS t JOIN base.sign_in_rows AS i USING (session_id) WHERE i.token_id IS NOT NULL""")


def _find_calls(con: duckdb.DuckDBPyConnection) -> None:
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE window_calls AS
        SELECT * FROM (
            SELECT e.event_key, e.time, coalesce(substr(e.principal_id, 2), alias.principal_id) AS principal_id,
                substr(e.ip, 2) AS ip, substr(e.token_id, 2) AS token_id, substr(e.session_id, 2) AS own_session
            FROM base.events AS e LEFT JOIN ({RESOLVED}) AS alias ON alias.alias = CASE WHEN e.principal_id IS NULL
                THEN {folded("substr(coalesce(e.principal_name, e.app_id), 2)")} END
            WHERE e.time BETWEEN (SELECT min(start_on) - to_days({_FAMILIAR_DAYS}) FROM suspect_windows)
                AND (SELECT max(end_on) FROM suspect_windows)
        )
        WHERE principal_id IN (SELECT principal_id FROM suspect_windows)
            OR ip IN (SELECT value FROM base.signal_entities WHERE entity_kind = 'ip')""")
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE suspect_calls AS
        WITH addresses AS (SELECT signal_id, value AS ip FROM base.signal_entities WHERE entity_kind = 'ip'),
        sessions AS (SELECT token_id, min(session_id) AS session_id FROM base.sign_in_rows
            WHERE token_id IS NOT NULL AND session_id IS NOT NULL GROUP BY token_id),
        calls AS (
            SELECT c.* EXCLUDE (own_session), coalesce(c.own_session, s.session_id) AS session_id
            FROM window_calls AS c LEFT JOIN sessions AS s USING (token_id)
        ), familiar AS (
            SELECT DISTINCT w.signal_id, c.principal_id, c.ip
            FROM suspect_windows AS w JOIN window_calls AS c ON c.principal_id = w.principal_id
                AND c.time < w.start_on - to_days({_FRESH_DAYS}) AND c.time >= w.start_on - to_days({_FAMILIAR_DAYS})
            WHERE w.basis IN ('principal', 'machine') AND c.ip IS NOT NULL
        ), found AS (
            SELECT e.event_key, t.signal_id, t.basis
            FROM base.events AS e JOIN traced_tokens AS t ON substr(e.token_id, 2) = t.token_id
            UNION ALL
            SELECT e.event_key, t.signal_id, 'session'
            FROM base.events AS e JOIN traced_sessions AS t ON substr(e.session_id, 2) = t.session_id
            UNION ALL
            SELECT c.event_key, w.signal_id, 'address'
            FROM suspect_windows AS w JOIN calls AS c ON c.time BETWEEN w.start_on AND w.end_on
                AND (w.principal_id IS NULL OR c.principal_id = w.principal_id)
            JOIN addresses AS a ON a.signal_id = w.signal_id AND a.ip = c.ip
            WHERE w.basis = 'address'
            UNION ALL
            SELECT c.event_key, w.signal_id, w.basis
            FROM suspect_windows AS w JOIN calls AS c
                ON c.principal_id = w.principal_id AND c.time BETWEEN w.start_on AND w.end_on
            WHERE w.basis IN ('principal', 'machine')
                AND NOT (c.session_id IS NOT NULL
                    AND w.signal_id IN (SELECT signal_id FROM traced_sessions)
                    AND (w.signal_id, c.session_id) NOT IN (SELECT (signal_id, session_id) FROM traced_sessions))
                AND NOT (w.signal_id IN (SELECT signal_id FROM addresses) AND c.ip IS NOT NULL
                    AND (w.signal_id, c.principal_id, c.ip) IN (SELECT (signal_id, principal_id, ip) FROM familiar))
            UNION ALL
            SELECT c.event_key, w.signal_id, 'decision' FROM suspect_windows AS w JOIN calls AS c
                ON c.principal_id = w.principal_id AND c.time BETWEEN w.start_on AND w.end_on
            WHERE w.basis = 'decision'
        )
        SELECT event_key, signal_id, arg_min(basis,
            list_position(['decision', 'token', 'session', 'address', 'principal', 'machine'], basis)) AS basis
        FROM found WHERE event_key NOT IN (
            SELECT c.event_key FROM calls AS c JOIN standing_decisions AS d ON d.principal_id = c.principal_id
                AND c.time BETWEEN d.from_time AND d.to_time
            WHERE d.decision = 'trust' AND d.signal_id IS NULL)
        GROUP BY event_key, signal_id""")


def _find_changed_days(con: duckdb.DuckDBPyConnection) -> None:
    """Find the days whose suspect calls are others than before; of reduced use, whatever day a window touches."""
    con.execute("""
        CREATE OR REPLACE TEMP TABLE touched_days AS
        SELECT DISTINCT time::DATE AS day FROM base.events WHERE event_key IN (
            SELECT event_key FROM (SELECT DISTINCT event_key FROM suspect_calls
                EXCEPT SELECT event_key FROM base.quarantined_calls)
            UNION SELECT event_key FROM (SELECT DISTINCT event_key FROM base.quarantined_calls
                EXCEPT SELECT event_key FROM suspect_calls))
        UNION SELECT DISTINCT r.day FROM base.reduced_usage AS r
            JOIN (FROM suspect_windows UNION FROM base.quarantine_windows) AS w
                ON r.last_seen >= w.start_on AND r.first_seen <= w.end_on""")


def _judge_sealed_days(con: duckdb.DuckDBPyConnection) -> None:
    """Judge the rows of days whose calls were pruned: as a whole, by what a window touches.

    A row that only the window of an address touches keeps what was known when its day was sealed; one whose principal
    is under no signal any more is clean.
    """
    before = sealed_before(con)
    if before is None:
        return
    con.execute(
        f"""
        UPDATE base.usage_days AS u SET suspect = CASE judged.how
            WHEN 2 THEN succeeded + failed + started WHEN 1 THEN suspect ELSE 0 END
        FROM (
            SELECT u.rowid AS sealed_row, max(CASE
                WHEN w.signal_id IS NULL THEN 0
                WHEN w.basis = 'address' OR u.last_seen < w.start_on OR u.first_seen > w.end_on THEN 1
                ELSE 2 END) AS how
            FROM base.usage_days AS u JOIN base.actors AS a USING (actor_key)
            LEFT JOIN ({RESOLVED}) AS alias ON alias.alias = a.principal_name
            LEFT JOIN base.quarantine_windows AS w
                ON w.principal_id = coalesce(a.principal_id, alias.principal_id)
            WHERE u.day < $before AND (w.signal_id IS NOT NULL OR u.suspect > 0)
            GROUP BY u.rowid
        ) AS judged
        WHERE judged.sealed_row = u.rowid""",
        {"before": before},
    )


def replace_decisions(con: duckdb.DuckDBPyConnection, rows: Sequence[Mapping[str, object]]) -> None:
    """Put the decisions of people in the place of those before, inside a transaction, and derive the quarantine anew.

    Args:
        con: The store's connection.
        rows: The columns of `signal_decisions`.
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
