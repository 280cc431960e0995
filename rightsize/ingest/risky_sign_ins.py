"""Stage sign-ins that were risky when they were logged as signals, with their sessions.

A sign-in log has the risk known at that time. If a risk detection names the same sign-in, its later judgement counts.
Source: Microsoft Learn, Graph v1.0 resource type signIn: riskLevelDuringSignIn, riskState, riskDetail.
"""

from __future__ import annotations

from collections.abc import Collection

import duckdb

from rightsize.ingest.entities.risk import is_confirmed, is_dismissed
from rightsize.store.sql import folded

_LEVELS = "'low', 'medium', 'high'"


def stage_risky_sign_ins(con: duckdb.DuckDBPyConnection, file_id: str, without: Collection[int]) -> None:
    """Stage the risky sign-ins of `ingest_rows` as signals.

    Args:
        con: A connection with `ingest_rows` and `raw_sign_ins`.
        file_id: SQL for the id of a row's file.
        without: Numbers of files that will be read again.
    """
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE risky_rows AS
        SELECT {file_id} AS file_id, line, 'risky_sign_in/' || sign_in_id AS signal_id, sign_in_id, time, principal_id,
            principal_name, ip, session_id, {folded("risk_level")} AS severity, {folded("risk_state")} AS status,
            {folded("risk_detail")} AS detail
        FROM ingest_rows JOIN (
            SELECT file_no, line, risk_level, risk_state, risk_detail FROM raw_sign_ins
            WHERE coalesce({folded("risk_state")}, '') NOT IN ('', 'none') OR {folded("risk_level")} IN ({_LEVELS})
        ) USING (file_no, line)
        WHERE problem IS NULL AND sign_in_id IS NOT NULL AND NOT list_contains($without, file_no)""",
        {"without": sorted(without)},
    )
    con.execute(f"""
        INSERT INTO stage_signals (file_id, line, signal_id, source, kind, product, name, severity, status,
            classification, first_time, last_time, created_on, updated_on, dismissed)
        SELECT file_id, line, signal_id, 'risky_sign_in', 'risky_sign_in', 'Microsoft Entra ID Protection',
            'risky sign-in', coalesce(severity, 'unknown'), status, detail, time, time, time, time,
            CASE WHEN {is_confirmed("status", "detail")} THEN false WHEN {is_dismissed("status")} THEN true END
        FROM risky_rows""")
    for kind, value, principal in (
        ("principal", f"coalesce(principal_id, {folded('principal_name')})", "principal_id"),
        ("ip", "ip", "NULL"),
        ("session", "session_id", "NULL"),
        ("sign_in", "sign_in_id", "NULL"),
    ):
        con.execute(f"""
            INSERT INTO stage_signal_entities (file_id, line, signal_id, entity_kind, value, principal_id)
            SELECT file_id, line, signal_id, '{kind}', {value}, {principal} FROM risky_rows
            WHERE {value} IS NOT NULL""")
    con.execute("DROP TABLE risky_rows")
