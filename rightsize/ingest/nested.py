"""Declare the nested values of Activity Log records (claims, authorization, properties) and build SQL that reads them.

The same declaration reads them in two ways. If DuckDB parses the file, their columns are structs, and nothing is parsed
twice. If an export or a table has them as text, JSON paths extract them from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

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
