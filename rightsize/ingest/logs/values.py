"""Build SQL that reads raw columns: ids, codes, times, addresses, and nested values of Activity Log records.

Many records share the texts of ids and status codes, and extracting costs more than a lookup. DuckDB reads each text
once and joins. On Spark a join would read the logs again, so it extracts in each row.

The same declaration reads them in two ways. If DuckDB parses the file, their columns are structs, and nothing is parsed
twice. If an export or a table has them as text, JSON paths extract them from it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

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


Path = tuple[str, ...]

_OBJECT_ID = "http://schemas.microsoft.com/identity/claims/objectidentifier"
_DELEGATED_SCOPE = "http://schemas.microsoft.com/identity/claims/scope"
_XMLSOAP = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims"

CLAIMS: Mapping[str, tuple[str, ...]] = {
    "claim_object_id": (_OBJECT_ID, "oid"),
    "claim_upn": (f"{_XMLSOAP}/upn", "upn"),
    "claim_email": (f"{_XMLSOAP}/emailaddress", "email"),
    "claim_unique_name": (f"{_XMLSOAP}/name", "unique_name"),
    "claim_display_name": ("name",),
    "claim_app_id": ("appid", "azp"),
    "claim_token_type": ("idtyp",),
    "claim_delegated_scope": (_DELEGATED_SCOPE, "scp"),
    "claim_resource": ("xms_mirid",),
    "claim_ip": ("ipaddr",),
    "claim_token_id": ("uti",),
    "claim_session_id": ("sid",),
}
AUTHORIZATION: Mapping[str, tuple[str, ...]] = {
    "auth_action": ("action",),
    "auth_scope": ("scope",),
    "role_assignment_id": ("evidence.roleAssignmentId",),
    "role_definition_id": ("evidence.roleDefinitionId",),
    "evidence_principal_id": ("evidence.principalId",),
    "evidence_principal_type": ("evidence.principalType",),
}


def paths_of(names: Mapping[str, tuple[str, ...]], *under: str) -> tuple[Path, ...]:
    """Return the steps to every spelling in `names`; a dot separates steps, except in keys that are URIs."""
    keys = [key for spellings in names.values() for key in spellings]
    return tuple((*under, *((key,) if "://" in key else key.split("."))) for key in keys)


NESTED: Mapping[str, tuple[Path, ...]] = {
    "identity": (*paths_of(AUTHORIZATION, "authorization"), *paths_of(CLAIMS, "claims")),
    "authorization_json": paths_of(AUTHORIZATION),
    "claims": paths_of(CLAIMS),
    "properties": (("eventCategory",), ("statusCode",), ("statusMessage",), ("requestbody",), ("responseBody",)),
    "http_request": (("clientIpAddress",), ("client_ip_address",)),
}
"""The fields that are objects, with the paths of the values read from each, in order."""

VALUES = {
    "identity": "identity_values",
    "authorization_json": "authorization_values",
    "claims": "claim_values",
    "properties": "property_values",
    "http_request": "request_values",
}
"""The name of the values within each of these fields."""

OTHER_BODIES: tuple[Path, ...] = (("requestBody",), ("responsebody",))
"""Bodies in other capitals, after those of `properties`; a struct, whose members fold, cannot have both."""

FIRST_CLAIM = len(NESTED["authorization_json"])
"""The number of values of `identity` before the claims."""


@dataclass(frozen=True, slots=True)
class Fields:
    """SQL for a relation of fields; with `opened`, the fields of NESTED are read as their values, not as text."""

    sql: str
    opened: bool = False


def json_paths(paths: Sequence[Path]) -> str:
    """Return the SQL list of JSON paths that extract the values from text."""
    return "[" + ", ".join("'$" + "".join(f'."{step}"' for step in path) + "'" for path in paths) + "]"


def struct_type(paths: Sequence[Path]) -> str:
    """Return the type of a column with the values, for DuckDB's JSON reader."""
    first_steps = dict.fromkeys(path[0] for path in paths)
    members = []
    for step in first_steps:
        rest = [path[1:] for path in paths if path[0] == step and len(path) > 1]
        members.append(f'"{step}" {struct_type(rest) if rest else "VARCHAR"}')
    return f"STRUCT({', '.join(members)})"


def struct_values(columns: Sequence[str], field: str) -> Iterator[str]:
    """Yield a select item for each value of a field, from the first of `columns` that is not null.

    Each value is a column, named as in `value_at`: a list would be built and taken apart for every record.
    """
    for place, path in enumerate(NESTED[field], start=1):
        steps = "".join(f'."{step}"' for step in path)
        first, *others = columns
        value = first + steps
        if others:
            whens = "".join(f" WHEN {column} IS NOT NULL THEN {column}{steps}" for column in columns)
            value = f"CASE{whens} END"
        yield f"{value} AS {value_at(VALUES[field], place, opened=True)}"


def value_at(values: str, place: int, *, opened: bool) -> str:
    """Return SQL for a value of a field: a column if the file's objects are read as structs, else a list element."""
    return f"{values}_{place}" if opened else f"{values}[{place}]"


def values_as_columns(
    names: Mapping[str, tuple[str, ...]],
    *lists: tuple[str, int],
    opened: bool = False,
    needed: Mapping[str, str] | None = None,
) -> str:
    """Return a select list with each of `names` as the first value of its spellings.

    Args:
        names: The columns.
        lists: Each is the name of values, one for each spelling, and the number of values before the first.
        opened: Whether values are columns, as in `value_at`.
        needed: Conditions under which columns are wanted; they are null elsewhere.
    """
    columns = []
    place = 1
    for column, spellings in names.items():
        values = [
            value_at(values, start + place + n, opened=opened) for values, start in lists for n in range(len(spellings))
        ]
        text = _first_text(values, opened)
        if needed and column in needed:
            text = f"CASE WHEN {needed[column]} THEN {text} END"
        columns.append(f"{text} AS {column}")
        place += len(spellings)
    return ",\n    ".join(columns)


def _first_text(values: Sequence[str], opened: bool) -> str:
    """Return SQL for the first value that is not null or empty; for columns, CASE copies less than coalesce()."""
    if opened:
        whens = "".join(f" WHEN {value} <> '' THEN {value}" for value in values)
        return f"CASE{whens} END"
    picked = [f"nullif({value}, '')" for value in values]
    return f"coalesce({', '.join(picked)})" if len(picked) > 1 else picked[0]
