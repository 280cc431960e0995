"""The temporary tables between ingest and the store: what files said, before it is merged.

A staged row names its file and line, so that a load can say of each file what was new in it.
"""

from __future__ import annotations

import duckdb

from rightsize.model.schema import Table
from rightsize.model.tables import TABLES
from rightsize.model.tables.usage import EVENT_COLUMNS
from rightsize.store.sql import folded

_BOOKKEEPING = ("loads", "rejects", "declared_windows", "grant_listings", "grant_sightings", "signal_decisions")

STAGED_TABLES: tuple[Table, ...] = tuple(
    table for table in TABLES if table.kind == "loaded" and table.name not in _BOOKKEEPING
)
"""The tables that entity shapes fill."""

EVENT_KEY = (
    "CASE WHEN key_correlation IS NOT NULL AND key_operation IS NOT NULL AND key_scope IS NOT NULL "
    "THEN md5_number(concat(key_correlation, chr(31), key_operation, chr(31), key_scope)) END"
)
"""SQL for the key of a call, as it is staged and stored, over the folded texts that normalised rows have of it.

concat() writes the text once where `||` would four times, but leaves out what is null.
"""

CALL_ROWS = f"""
SELECT *, event_key AS key_correlation, {folded("operation")} AS key_operation, {folded("scope")} AS key_scope
FROM stage_event_rows"""
"""The staged rows as `queries/reduce/collapse.sql` reads them, to which keys are opaque."""

_EVENT_COLUMNS = ", ".join(f'"{column.name}" {column.type.value}' for column in EVENT_COLUMNS)

_LOG_TABLES = {
    "stage_files": "file_id INTEGER, path VARCHAR, source VARCHAR, sha256 VARCHAR, read BIGINT, rejected BIGINT",
    "stage_rejects": "file_id INTEGER, line BIGINT, reason VARCHAR, raw VARCHAR",
    "stage_event_rows": (
        f"file_id INTEGER, line BIGINT, {_EVENT_COLUMNS}, "
        "event_key UHUGEINT, category VARCHAR, access VARCHAR, token_id VARCHAR, session_id VARCHAR, rank INTEGER, "
        "problem VARCHAR"
    ),
    "stage_request_rows": (
        "file_id INTEGER, line BIGINT, event_key UHUGEINT, "
        "assigned_role_id VARCHAR, assigned_type VARCHAR, asked_type VARCHAR, assigned_principal_id VARCHAR"
    ),
    "stage_reduced_usage": (
        "file_id INTEGER, line BIGINT, log VARCHAR, category VARCHAR, plane VARCHAR, principal_id VARCHAR, "
        "principal_name VARCHAR, principal_type VARCHAR, app_id VARCHAR, operation VARCHAR, scope VARCHAR, "
        "role_assignment_id VARCHAR, access VARCHAR, day DATE, received TIMESTAMP, first_seen TIMESTAMP, "
        "last_seen TIMESTAMP, succeeded BIGINT, failed BIGINT, started BIGINT, denied BIGINT, other BIGINT"
    ),
    "stage_reduced_sign_ins": (
        "file_id INTEGER, line BIGINT, sign_in_kind VARCHAR, principal_id VARCHAR, principal_name VARCHAR, "
        "app_id VARCHAR, resource_id VARCHAR, resource_name VARCHAR, day DATE, received TIMESTAMP, "
        "first_seen TIMESTAMP, last_seen TIMESTAMP, succeeded BIGINT, failed BIGINT"
    ),
    "stage_sign_in_rows": (
        "file_id INTEGER, line BIGINT, time TIMESTAMP, sign_in_id VARCHAR, principal_id VARCHAR, "
        "principal_name VARCHAR, app_id VARCHAR, resource_id VARCHAR, resource_name VARCHAR, kind VARCHAR, "
        "succeeded BOOLEAN, correlation_id VARCHAR, token_id VARCHAR, session_id VARCHAR, ip VARCHAR, "
        "country VARCHAR, network_number VARCHAR"
    ),
}


def create_staging(con: duckdb.DuckDBPyConnection) -> None:
    """Create the staging tables, empty; those of an earlier load are replaced."""
    tables = dict(_LOG_TABLES)
    for table in STAGED_TABLES:
        columns = ", ".join(f'"{column.name}" {column.type.value}' for column in table.columns)
        tables[f"stage_{table.name}"] = f"file_id INTEGER, line BIGINT, {columns}"
    con.execute(";\n".join(f"CREATE OR REPLACE TEMP TABLE {name} ({columns})" for name, columns in tables.items()))
