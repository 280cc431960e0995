"""Read rows that a KQL query counted: each is a row of a table of Log Analytics, and stands for equal requests.

A row is read by the table's own log, as one record is, and becomes use with the number of its requests. So a query
counts, and only `queries/reduce/` says what a request means.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb

from rightsize.ingest.entities.shape import Context
from rightsize.ingest.files.readers import select_record_fields
from rightsize.ingest.files.records import MAX_RAW_CHARACTERS
from rightsize.ingest.logs.schemas import FAMILIES
from rightsize.rbac.text import fold
from rightsize.rules.log_sources import LOG_SOURCES, diagnostics

# Rows of AzureDiagnostics are of any log of requests; each of them takes its own.
_LOGS = {fold(table): (log,) for log in LOG_SOURCES if log.counted is not None for table in log.collected} | {
    fold(diagnostics.TABLE): tuple(log for log in LOG_SOURCES if log.records == "requests")
}
_OWN = frozenset({"log_table", "received", "first_seen", "last_seen", "records"})
_KEYS = {**FAMILIES[1].spellings, "table_name": ("log_table",), "time": ("first_seen",)}
_COUNTS = {"succeeded": 4, "failed": 3, "started": 1, "denied": 2, "other": 0}
_SEEN = "TRY_CAST(rtrim(substr(record ->> '$.{0}', 1, 26), 'Z') AS TIMESTAMP) AS {0}"

_COUNTED = f"""
SELECT file_id AS file_no, line, record, lower(record ->> '$.log_table') AS log_table,
    {", ".join(_SEEN.format(name) for name in ("received", "first_seen", "last_seen"))},
    TRY_CAST(record ->> '$.records' AS BIGINT) AS records,
    CASE
        WHEN coalesce(log_table, '') NOT IN ({", ".join(map(repr, _LOGS))}) THEN 'its log is unknown'
        WHEN received IS NULL OR first_seen IS NULL OR last_seen IS NULL OR records IS NULL
            THEN 'one of its times or counts cannot be read'
        WHEN records < 1 THEN 'one of its counts is below one'
        WHEN first_seen > last_seen OR first_seen < received OR last_seen >= received + INTERVAL 1 HOUR
            THEN 'its requests are not within its hour'
    END AS problem
FROM """


class CountedShape:
    """Rows of tables that a query counted."""

    name = "counted_rows"
    source = "reduced_usage"

    def recognises(self, record: Mapping[str, Any], context: Context) -> bool:  # noqa: ARG002  the record says it all
        """Return whether a record has the columns that such a query adds."""
        return record.keys() >= _OWN

    def stage(self, con: duckdb.DuckDBPyConnection, relation: str) -> None:
        """Insert the use in rows of `relation` into `stage_reduced_usage`, and unusable rows into `stage_rejects`."""
        from rightsize.ingest.logs.batches import normalise_rows  # noqa: PLC0415  it reads the shapes of signals
        from rightsize.ingest.logs.record_kinds import kind_of, stage_token_permissions  # noqa: PLC0415

        con.execute(f"CREATE OR REPLACE TEMP TABLE counted_rows AS {_COUNTED} {relation}")
        fields = select_record_fields(_KEYS, "(SELECT * FROM counted_rows WHERE problem IS NULL)")
        _reject(con, "SELECT file_no, line, problem FROM counted_rows")
        tables = con.execute("SELECT DISTINCT log_table FROM counted_rows WHERE problem IS NULL").fetchall()
        for log in {log.name: log for (table,) in sorted(tables) for log in _LOGS[table]}.values():
            kind = kind_of(log.name)
            con.execute(f"CREATE OR REPLACE TEMP TABLE ingest_raw AS {kind.project(log)(fields)}")
            normalise_rows(con, log.name)
            con.execute(_STAGED)
            _reject(con, "SELECT file_no, line, problem FROM ingest_rows")
            if kind.relation == "raw_graph_requests":
                stage_token_permissions(con, "file_no", ())
        con.execute("DROP TABLE counted_rows")


_STAGED = f"""
INSERT INTO stage_reduced_usage BY NAME
SELECT file_no AS file_id, line, line AS counted_line, source AS log, category, plane, principal_id, principal_name,
    principal_type, app_id, operation, scope, role_assignment_id, access, first_seen::DATE AS day, received, first_seen,
    last_seen,
    {", ".join(f"CASE WHEN rank = {rank} THEN records ELSE 0 END AS {name}" for name, rank in _COUNTS.items())}
FROM ingest_rows AS n JOIN (SELECT file_no, line, received, first_seen, last_seen, records FROM counted_rows) AS c
    USING (file_no, line)
WHERE n.problem IS NULL"""


def _reject(con: duckdb.DuckDBPyConnection, problems: str) -> None:
    con.execute(f"""
        INSERT INTO stage_rejects (file_id, line, reason, raw)
        SELECT file_no, line, p.problem, CAST(record AS VARCHAR)[:{MAX_RAW_CHARACTERS}]
        FROM ({problems}) AS p JOIN counted_rows AS c USING (file_no, line) WHERE p.problem IS NOT NULL""")
