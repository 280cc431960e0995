"""Read use and sign-ins that were reduced where the logs are: the rows of the queries in `queries/kql/`.

The key of a row ends with `received`, the hour in which its calls were received. One answer has all rows of an hour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from rightsize.ingest.records import MAX_RAW_CHARACTERS
from rightsize.ingest.shapes import Context

_GUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_COUNTS = ("succeeded", "failed", "started", "denied", "other")
_TIMES = ("received", "first_seen", "last_seen")


@dataclass(frozen=True, slots=True)
class ReducedShape:
    """The rows of one reduction.

    Attributes:
        table: The staging table that they fill.
        texts: Columns of text; an empty text means unknown.
        ids: Columns of text that are GUIDs or unknown.
        counts: Columns of numbers.
        newer: Columns that an older query does not return.
        problem: SQL for the reason why a row cannot be used, apart from wrong types; null if it can.
    """

    name: str
    source: str
    table: str
    texts: tuple[str, ...]
    ids: tuple[str, ...]
    counts: tuple[str, ...]
    problem: str
    newer: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Return all columns, in order."""
        return (*self.texts, *self.ids, "day", *_TIMES, *self.counts)

    def recognises(self, record: Mapping[str, Any], context: Context) -> bool:  # noqa: ARG002  the record says it all
        """Return whether a record has exactly the columns of the reduction, or of an older one."""
        return record.keys() in (set(self.columns), set(self.columns) - set(self.newer))

    def stage(self, con: duckdb.DuckDBPyConnection, relation: str) -> None:
        """Insert the rows of `relation` into the staging table, and unusable rows into `stage_rejects`."""
        values = [f"nullif(record ->> '$.{name}', '') AS {name}" for name in (*self.texts, *self.ids)]
        values.append("TRY_CAST(substr(record ->> '$.day', 1, 10) AS DATE) AS day")
        values += [
            f"TRY_CAST(rtrim(substr(record ->> '$.{name}', 1, 26), 'Z') AS TIMESTAMP) AS {name}" for name in _TIMES
        ]
        values += [f"{self._count(name)} AS {name}" for name in self.counts]
        unknown = " OR ".join(f"{name} IS NULL" for name in ("day", *_TIMES, *self.counts))
        wrong = " OR ".join(f"NOT regexp_full_match({name}, '{_GUID}')" for name in self.ids)
        con.execute(f"""
            CREATE OR REPLACE TEMP TABLE reduced_rows AS
            SELECT *, CASE
                WHEN {unknown} THEN 'one of its times or counts cannot be read'
                WHEN {" OR ".join(f"{name} < 0" for name in self.counts)} THEN 'one of its counts is below zero'
                WHEN first_seen > last_seen OR first_seen::DATE <> day OR last_seen::DATE <> day
                    THEN 'its calls are not within its day'
                WHEN first_seen < TIMESTAMP '2010-01-01 00:00:00' OR last_seen >= TIMESTAMP '2050-01-01 00:00:00'
                    THEN 'its time is before 2010 or after 2049'
                WHEN {wrong} THEN 'one of its ids is not a GUID'
                ELSE {self.problem} END AS problem
            FROM (SELECT file_id, line, record, {", ".join(values)} FROM {relation})""")
        con.execute(f"""
            INSERT INTO {self.table} (file_id, line, {", ".join(self.columns)})
            SELECT file_id, line, {", ".join(self.columns)} FROM reduced_rows WHERE problem IS NULL""")
        con.execute(f"""
            INSERT INTO stage_rejects (file_id, line, reason, raw)
            SELECT file_id, line, problem, CAST(record AS VARCHAR)[:{MAX_RAW_CHARACTERS}]
            FROM reduced_rows WHERE problem IS NOT NULL""")
        con.execute("DROP TABLE reduced_rows")

    def _count(self, name: str) -> str:
        value = f"TRY_CAST(record ->> '$.{name}' AS BIGINT)"
        return f"CASE WHEN json_exists(record, '$.{name}') THEN {value} ELSE 0 END" if name in self.newer else value


REDUCED_SHAPES = (
    ReducedShape(
        "reduced_usage",
        "reduced_usage",
        "stage_reduced_usage",
        ("log", "category", "plane", "principal_name", "principal_type", "operation", "scope", "access"),
        ("principal_id", "app_id", "role_assignment_id"),
        _COUNTS,
        """CASE
            WHEN log IS NULL OR log NOT IN ('activity_log', 'storage_log') THEN 'its log is unknown'
            WHEN plane IS NULL OR plane NOT IN ('control', 'data') THEN 'its plane is neither control nor data'
            WHEN operation IS NULL THEN 'it names no operation'
            WHEN scope IS NULL OR scope NOT LIKE '/%' THEN 'it names no resource or scope'
            WHEN access IS NOT NULL AND (log <> 'storage_log'
                OR access NOT IN ('roles', 'key', 'sas', 'anonymous', 'unsaid', 'unmapped'))
                THEN 'its way of access is unknown' END""",
        newer=("access", "other"),
    ),
    ReducedShape(
        "reduced_sign_ins",
        "reduced_sign_ins",
        "stage_reduced_sign_ins",
        ("sign_in_kind", "principal_name", "resource_name"),
        ("principal_id", "app_id", "resource_id"),
        ("succeeded", "failed"),
        """CASE
            WHEN sign_in_kind IS NULL OR sign_in_kind NOT IN
                ('interactive', 'non_interactive', 'service_principal', 'managed_identity',
                'microsoft_service_principal')
                THEN 'its kind of sign-in is unknown'
            WHEN coalesce(principal_id, principal_name) IS NULL THEN 'it names nobody who signed in' END""",
    ),
)
