"""Define the keys that hold each field of a log record, detect its log, and build SQL that reads raw columns.

There are two envelopes. `camel` has the records of Azure Monitor's diagnostic settings and Event Hubs, of the Activity
Log's REST interface and its Python SDK (snake_case), and of Microsoft Graph; `pascal` has the rows of Log Analytics
tables. Both may mix records of different logs, so the log is detected for each record.

Many records share the texts of ids and status codes, and extracting costs more than a lookup. DuckDB reads each text
once and joins. On Spark a join would read the logs again, so it extracts in each row.

The same declaration reads them in two ways. If DuckDB parses the file, their columns are structs, and nothing is parsed
twice. If an export or a table has them as text, JSON paths extract them from it.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rightsize.model.text import fold, fold_key
from rightsize.rules.log_source import Spellings, Stage
from rightsize.rules.log_sources import LOG_SOURCES
from rightsize.rules.log_sources.entra import SIGNAL_CATEGORIES, SIGNAL_TABLES

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


KeyPath = tuple[str, ...]

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


def paths_of(names: Mapping[str, tuple[str, ...]], *under: str) -> tuple[KeyPath, ...]:
    """Return the steps to every spelling in `names`; a dot separates steps, except in keys that are URIs."""
    keys = [key for spellings in names.values() for key in spellings]
    return tuple((*under, *((key,) if "://" in key else key.split("."))) for key in keys)


NESTED: Mapping[str, tuple[KeyPath, ...]] = {
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

OTHER_BODIES: tuple[KeyPath, ...] = (("requestBody",), ("responsebody",))
"""Bodies in other capitals, after those of `properties`; a struct, whose members fold, cannot have both."""

FIRST_CLAIM = len(NESTED["authorization_json"])
"""The number of values of `identity` before the claims."""


@dataclass(frozen=True, slots=True)
class Fields:
    """SQL for a relation of fields; with `opened`, the fields of NESTED are read as their values, not as text."""

    sql: str
    opened: bool = False


def json_paths(paths: Sequence[KeyPath]) -> str:
    """Return the SQL list of JSON paths that extract the values from text."""
    return "[" + ", ".join("'$" + "".join(f'."{step}"' for step in path) + "'" for path in paths) + "]"


def struct_type(paths: Sequence[KeyPath]) -> str:
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


def _common(form: str) -> dict[str, tuple[str, ...]]:
    """Return the keys of the fields that many logs have in an envelope, from `log_fields.csv`.

    `AdditionalFields` has the properties of a row of AzureDiagnostics in a workspace without room for more columns.
    """
    text = Path(__file__).with_name("log_fields.csv").read_text(encoding="utf-8")
    rows = csv.reader(text.splitlines(), strict=True)
    return {field: tuple(keys.split("|")) for of, field, keys in rows if of == form}


def _with_own(common: Mapping[str, tuple[str, ...]], own: Iterable[Spellings]) -> dict[str, tuple[str, ...]]:
    """Return the keys of the common fields, and of those that only some logs have."""
    found = dict(common)
    for fields in own:
        for name, keys in fields.items():
            found[name] = tuple(dict.fromkeys((*found.get(name, ()), *keys)))
    return found


_CAMEL = _with_own(_common("camel"), (log.camel for log in LOG_SOURCES))
_PASCAL = _with_own(_common("pascal"), (log.pascal for log in LOG_SOURCES))

FIELDS = tuple(dict.fromkeys((*_CAMEL, *_PASCAL)))
"""All fields that a record of either envelope may have, each under one name."""

SOURCES = {log.name: log.source for log in LOG_SOURCES}
"""The word in `loads` of each log."""

_TIME_KEYS = {"time", "eventtimestamp", "event_timestamp"}
_EVENT_KEYS = {"operationname", "operation_name", "category", "resourceid", "resource_id"}
_SIGN_IN_KEYS = {"ipaddress", "status", "resourcedisplayname", "signineventtypes", "conditionalaccessstatus"}


_SIGNAL_KEYS = ({"systemalertid"}, {"incidentname", "incidentnumber"}, {"riskeventtype"}, {"risklastupdateddatetime"})


def _named(record: Mapping[str, Any]) -> dict[str, Any]:
    return {fold_key(str(key)).partition(" [")[0]: value for key, value in record.items()}


def is_signal(record: Mapping[str, Any]) -> bool:
    """Return whether a record in the envelope of a log is an alert, incident or risk, which a signal shape reads."""
    return _is_signal(_named(record))


def _is_signal(named: Mapping[str, Any]) -> bool:
    table, category = (fold(str(named.get(key) or "")) for key in ("type", "category"))
    if table in SIGNAL_TABLES or category in SIGNAL_CATEGORIES:
        return True
    return not table and any(keys <= named.keys() for keys in _SIGNAL_KEYS)


_JUDGEMENT = frozenset({"oauthappid", "permissions"})
"""Folded members of an application of app governance, which a shape reads."""
_TIMED_WITHIN = {category for log in LOG_SOURCES if log.timed_within for category in log.categories}

POWERSHELL_EVENT = frozenset({"EventTimestamp", "OperationName", "CorrelationId", "Caller"})
"""Members of an event of `Get-AzActivityLog`, which a shape reads; the interface that it asks spells them otherwise."""


REDUCED = frozenset({"received", "first_seen", "last_seen"})
"""Members of a row that a KQL query reduced; the table that a summary rule fills adds columns of its own."""


@dataclass(frozen=True, slots=True)
class Family:
    """Log records of one envelope: `spellings` has the keys that hold each field, the preferred one first."""

    name: str
    spellings: Mapping[str, tuple[str, ...]]

    def has(self, named: Mapping[str, Any]) -> bool:
        """Return whether a record of a log has this envelope, by its values under their folded keys."""
        keys = named.keys()
        # An exported table may lack the time at which it received a row.
        table = fold(str(named.get("type") or ""))
        is_row = "timegenerated" in keys or any(
            log.row_time and log.row_time in keys and table in log.tables for log in LOG_SOURCES
        )
        if self.name == "pascal":
            return (
                (is_row and len(keys) > 2)
                or any(log.row_keys and log.row_keys <= keys for log in LOG_SOURCES)
                or ({"creationtime", "operation"} <= keys and bool({"recordtype", "workload"} & keys))
            )
        # Rows of the sign-in tables also have the keys of Graph's records, with other values under some of them.
        return not is_row and (
            bool(_TIME_KEYS & keys and _EVENT_KEYS & keys)
            or fold(str(named.get("category") or "")) in _TIMED_WITHIN
            or ({"createddatetime", "appid"} <= keys and bool(_SIGN_IN_KEYS & keys))
            or {"activitydatetime", "loggedbyservice"} <= keys
        )


def spelt_keys(family: Family, samples: Sequence[Mapping[str, object]]) -> dict[str, tuple[str, ...]]:
    """Return the keys to look up for each field, the preferred one first, if their capitalisation may vary.

    A key is looked up in the spelling of its family, in lower case, and in the spellings of the samples.
    """
    spelt: dict[str, set[str]] = {}
    for record in samples:
        for key in record:
            spelt.setdefault(fold(str(key)), set()).add(str(key))
    return {
        field: tuple(
            dict.fromkeys(spelling for key in keys for spelling in (key, fold(key), *sorted(spelt.get(fold(key), ()))))
        )
        for field, keys in family.spellings.items()
    }


RECORD_FAMILY = Family("camel", _CAMEL)
"""The envelope of Azure Monitor's records and of the REST interfaces."""

FAMILIES = (RECORD_FAMILY, Family("pascal", _PASCAL))


def family_of(record: Mapping[str, Any]) -> Family | None:
    """Return the envelope of a record in any capitalisation of its keys; None for what is no record of a log."""
    named = _named(record)
    if _is_signal(named) or named.keys() >= _JUDGEMENT or record.keys() >= POWERSHELL_EVENT or record.keys() >= REDUCED:
        return None
    return next((family for family in FAMILIES if family.has(named)), None)


def _one_of(column: str, words: Iterable[str]) -> str:
    return f"{column} IN ({', '.join(repr(word) for word in words)})"


def lowered(column: str) -> str:
    """Return SQL that folds only ASCII letters; lower() does it twenty times faster than translate()."""
    return (
        f"CASE WHEN strlen({column}) = length({column}) THEN lower({column}) ELSE translate({column}, "
        "'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') END"
    )


def _conditions() -> Iterator[tuple[Stage, str, str]]:
    """Yield the conditions under which a record is of a log: what each looks at, its SQL, and the log."""
    for log in LOG_SOURCES:
        if log.tables:
            yield Stage.TABLE, _one_of("table_key", log.tables), log.name
        if log.categories:
            yield log.category_stage, _one_of("category_key", log.categories), log.name
        for stage, condition in log.recognised:
            yield stage, condition, log.name


_LOG = "\n".join(
    f"    WHEN {condition} THEN '{log}'" for _, condition, log in sorted(_conditions(), key=lambda one: one[0])
)
# Holds for nearly all records of the log, without folding their words or checking for each other log.
_PLAIN = next(log for log in LOG_SOURCES if log.plain)
_MARKS = ", ".join(field for log in LOG_SOURCES for field in log.marks)
# What a row of a table is, its table says; only AzureDiagnostics holds rows of many logs.
_TABLES = ("azurediagnostics", *(table for log in LOG_SOURCES for table in log.tables))
_IS_PLAIN = f"{_PLAIN.plain} AND coalesce(table_name, {_MARKS}) IS NULL"


def with_log(fields: str) -> str:
    """Return SQL that adds to a relation of fields the log of each record, null if it is of no known log."""

    def key(field: str) -> str:
        # The last cell of a damaged table ends with a space, which was the first half of its line's end.
        return f"CASE WHEN NOT is_plain THEN rtrim({lowered(field)}) END"

    return f"""
SELECT * EXCLUDE (is_plain, is_unnamed, is_other_table, table_key, category_key, resource_key), CASE
    WHEN is_plain THEN '{_PLAIN.name}'
{_LOG}
END AS log
FROM (
    SELECT *, {key("table_name")} AS table_key, {key("category")} AS category_key, {key("resource_id")} AS resource_key,
        coalesce(table_name, category, '') = '' AS is_unnamed,
        -- DuckDB makes a join of IN with a long list, and a join does not keep the order of records.
        coalesce(table_key, '') <> '' AND NOT list_contains({list(_TABLES)}, table_key) AS is_other_table
    FROM (SELECT *, coalesce({_IS_PLAIN}, false) AS is_plain FROM ({fields}))
)"""
