"""Build SQL that reads raw text columns: ids and status codes, times and addresses.

Many records share the texts of ids and status codes, and extracting costs more than a lookup. DuckDB reads each text
once and joins. On Spark a join would read the logs again, so it extracts in each row.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

_HEX = "[0-9A-Fa-f]"
_GUID = "-".join(f"{_HEX}{{{digits}}}" for digits in (8, 4, 4, 4, 12))


def guid(column: str) -> str:
    """Return SQL for the GUID in an id: dashed, bare, in braces, or the last step of a resource id; else empty or null.

    A cast accepts dashes anywhere, so it is used only for 32 digits, where it is faster than an expression.
    """
    return (
        f"CASE WHEN length({column}) = 32 THEN CAST(TRY_CAST({column} AS UUID) AS VARCHAR) "
        f"WHEN {column} LIKE '%-%' THEN lower(regexp_extract({column}, '(^|[/{{])({_GUID})}}?$', 2)) END"
    )


def utc_time(column: str) -> str:
    """Return SQL for an ISO 8601 time as a UTC timestamp, null if it is none; a time without an offset is UTC."""
    return f"""CASE
        WHEN regexp_matches({column}, '^[0-9-]{{10}}[T ][0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}([.][0-9]*)?Z?$')
            THEN TRY_CAST(rtrim(substr({column}, 1, 26), 'Z') AS TIMESTAMP)
        WHEN regexp_matches({column}, '^[0-9-]{{10}}[T ][0-9:.]{{8,20}} ?[+-][0-9]{{2}}:?[0-9]{{2}}$')
            THEN TRY_CAST({column} AS TIMESTAMPTZ) AT TIME ZONE 'UTC'
    END"""


def address(column: str) -> str:
    """Return SQL for the IP address that a text begins with, null if it begins with none."""
    return f"nullif(regexp_extract({column}, '^([0-9.]+|[0-9A-Fa-f:.]+|[[][0-9A-Fa-f:.]+[]])', 1), '')"


TIME_PROBLEMS = """WHEN time IS NULL OR time = '' THEN 'it has no time'
        WHEN event_time IS NULL THEN 'its time cannot be read'
        WHEN event_time < TIMESTAMP '2010-01-01 00:00:00' OR event_time >= TIMESTAMP '2050-01-01 00:00:00'
            THEN 'its time is before 2010 or after 2049'"""
"""Cases of SQL for why a row with the text `time`, read as `event_time`, cannot be used."""

_READINGS: Mapping[str, Mapping[str, str]] = {
    "claim_object_id": {"object_guid": guid("claim_object_id")},
    "claim_app_id": {"app_guid": guid("claim_app_id")},
    "role_assignment_id": {"assignment_guid": guid("role_assignment_id")},
    "role_definition_id": {"definition_guid": guid("role_definition_id")},
    "evidence_principal_id": {"evidence_guid": guid("evidence_principal_id")},
    # 'Forbidden (HTTP Status Code: 403)', 'Failed.Forbidden' and '403' are the same code.
    "sub_status": {
        "sub_status_number": "regexp_extract(sub_status, '([1-5][0-9][0-9])', 1)",
        "sub_status_name": "lower(regexp_extract(sub_status, '([A-Za-z]+) *([(].*)?$', 1))",
    },
}
"""By raw column of text, the columns extracted from it and their SQL."""

READ_COLUMNS = tuple(name for read in _READINGS.values() for name in read)
"""The extracted columns; all are text."""


def with_readings(rows: str, absent: Collection[str], table: str = "") -> str:
    """Return SQL that adds READ_COLUMNS to a relation with raw columns.

    Args:
        rows: The relation.
        absent: Raw columns that it does not have; their READ_COLUMNS are null.
        table: The table that the rows come from, to read each distinct text once.
    """
    read = {column: names for column, names in _READINGS.items() if column not in absent}
    nothing = [f"CAST(NULL AS VARCHAR) AS {name}" for column in absent for name in _READINGS.get(column, ())]
    if not table:
        items = [f"{sql} AS {name}" for names in read.values() for name, sql in names.items()]
        return f"SELECT {', '.join(['*', *items, *nothing])} FROM ({rows})"
    joins = "".join(
        f"\nLEFT JOIN (SELECT {column} AS of_{column}, {', '.join(f'{sql} AS {name}' for name, sql in names.items())} "
        f"FROM (SELECT DISTINCT {column} FROM {table})) ON of_{column} = {column}"
        for column, names in read.items()
    )
    keys = ", ".join(f"of_{column}" for column in read)
    return f"SELECT {', '.join([f'* EXCLUDE ({keys})', *nothing])} FROM ({rows}){joins}"
