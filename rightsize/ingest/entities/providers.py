"""Read the registration of resource providers, and the operation catalogue.

A record names the subscription in its `id`. Without one, the manifest of its file does, else a GUID in the file's name.
Source: Microsoft Learn, REST reference of Microsoft.Resources, "Providers - List".

Provider, resource type and verb follow from the name, and are not read.
Source: Microsoft Learn, REST reference "Provider Operations Metadata".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from rightsize.ingest.entities.azure_roles import text_of
from rightsize.ingest.entities.fields import GUID, ROWS, field, read_fields
from rightsize.ingest.entities.shape import ColumnShape, Context, Look, ObjectShape, Row, Unusable, fold_keys, look_at
from rightsize.ingest.files.records import MAX_RAW_CHARACTERS
from rightsize.model.errors import InputError
from rightsize.store.sql import folded, literal

_STATES = ("Registered", "NotRegistered", "Registering", "Unregistering")
_POLICIES = ("RegistrationRequired", "RegistrationFree")
_FIELDS = (
    field("id", "id"),
    field("namespace", "namespace", mandatory=True),
    field("state", "registrationState", mandatory=True, words=tuple(state.lower() for state in _STATES)),
    field("policy", "registrationPolicy", words=tuple(policy.lower() for policy in _POLICIES)),
)
_ID = re.compile(r"(/subscriptions/[^/]+)?/providers/[^/]+")
_NAMESPACE = "[a-z0-9]+([.-][a-z0-9]+)*"
_NO_SUBSCRIPTION = (
    "the subscription of this provider is unknown: name the file after its id, or load it with its manifest"
)

# The name of a file decides only if it has one GUID.
_JUDGE = f"""
CREATE OR REPLACE TEMP TABLE entity_providers AS
SELECT file_id, line, {folded("namespace")} AS namespace, {folded("state")} AS state, {folded("policy")} AS policy,
    coalesce(
        nullif(regexp_extract({folded("id")}, '^/subscriptions/({GUID})/providers/', 1), ''),
        said.subscription,
        CASE WHEN len(named.ids) = 1 THEN named.ids[1] END
    ) AS subscription
FROM {ROWS} LEFT JOIN (
    SELECT file_id, any_value(subscriptions[1]) AS subscription FROM stage_vouched
    WHERE len(subscriptions) = 1 GROUP BY file_id HAVING count(DISTINCT subscriptions[1]) = 1
) AS said USING (file_id)
LEFT JOIN (
    SELECT file_id,
        list_distinct(regexp_extract_all({folded("string_split(place, '/')[-1]")}, '{GUID}')) AS ids
    FROM stage_names
) AS named USING (file_id)"""
_REASON = f"""CASE
    WHEN NOT regexp_full_match(namespace, '{_NAMESPACE}') THEN '`namespace` is not the name of a provider'
    WHEN subscription IS NULL THEN {literal(_NO_SUBSCRIPTION)} END"""


def _spelt(column: str, words: tuple[str, ...]) -> str:
    branches = " ".join(f"WHEN {literal(word.lower())} THEN {literal(word)}" for word in words)
    return f"CASE {column} {branches} END"


@dataclass(frozen=True, slots=True)
class ProviderShape:
    """A listing of the resource providers of a subscription."""

    name: str = "providers"
    source: str = "providers"

    def recognises(self, record: Mapping[str, Any], context: Context) -> bool:  # noqa: ARG002  the record says it all
        """Return whether a record has this shape: a namespace and its state."""
        look = look_at(record)
        has_id = "id" not in look.outer or look.outer["id"] is None or bool(_ID.fullmatch(look.text("id")))
        return has_id and bool(look.text("namespace")) and "registrationstate" in look.outer

    def stage(self, con: duckdb.DuckDBPyConnection, relation: str) -> None:
        """Insert the records of `relation` into the staging tables."""
        read_fields(con, relation, _FIELDS)
        con.execute(_JUDGE)
        con.execute(
            "INSERT INTO stage_rejects (file_id, line, reason, raw) "
            f"SELECT file_id, line, {_REASON} AS reason, CAST(record AS VARCHAR)[:{MAX_RAW_CHARACTERS}] "
            f"FROM entity_providers JOIN {relation} USING (file_id, line) WHERE reason IS NOT NULL"
        )
        con.execute(
            "INSERT INTO stage_provider_registrations (file_id, line, scope, namespace, state, policy) "
            f"SELECT file_id, line, '/subscriptions/' || subscription, namespace, {_spelt('state', _STATES)}, "
            f"{_spelt('policy', _POLICIES)} FROM entity_providers WHERE {_REASON} IS NULL"
        )
        con.execute("DROP TABLE entity_providers")


PROVIDER_SHAPES = (ProviderShape(),)


FROM_PROVIDER = "provider-operations"
"""The value of `is_data_action_source` for Azure's own answer."""

GUESSES = ("arm-api-map", "sibling-inferred")
"""Sources of `is_data_action` that infer it, from the path of a request or from a neighbour in the catalogue."""

_SOURCE = "operations"


def _is_provider(look: Look) -> bool:
    if look.type:
        return look.type == "microsoft.authorization/provideroperations"
    return isinstance(look.outer.get("operations"), list) and isinstance(look.outer.get("resourcetypes"), list)


def _read_provider(record: Mapping[str, Any]) -> Iterator[Row | Unusable]:
    fields = fold_keys(record)
    yield from _read_list(fields)
    for entry in _objects(fields, "resourcetypes"):
        yield from _read_list(fold_keys(entry))


def _read_list(fields: Mapping[str, Any]) -> Iterator[Row | Unusable]:
    for operation in _objects(fields, "operations"):
        try:
            yield _read_operation(fold_keys(operation))
        except InputError as error:
            yield Unusable(error.message, operation)


def _objects(fields: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    value = fields.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise InputError(f"`{key}` is not a list of objects")
    return value


def _read_operation(fields: Mapping[str, Any]) -> Row:
    name = text_of(fields, "name").strip(" ")
    is_data_action = fields.get("isdataaction")
    if not name:
        raise InputError("an operation has no `name`")
    if is_data_action is not None and not isinstance(is_data_action, bool):
        raise InputError("`isDataAction` is not true or false")
    return {
        "operation": name,
        "is_data_action": is_data_action,
        "is_data_action_source": FROM_PROVIDER if is_data_action is not None else None,
        "is_guess": False,
        "description": text_of(fields, "description") or None,
        "display_name": text_of(fields, "displayname") or None,
    }


def _is_table(look: Look) -> bool:
    return {"operation", "is_data_action"} <= look.outer.keys()


_INSERT_TABLE = f"""
INSERT INTO stage_operations (file_id, line, operation, is_data_action, is_data_action_source, is_guess, description,
    display_name)
SELECT file_id, line, trim(operation), is_data_action,
    CASE WHEN is_data_action IS NOT NULL THEN nullif(trim(origin), '') END,
    is_data_action IS NOT NULL AND {folded("coalesce(origin, '')")} IN {GUESSES},
    nullif(trim(description), ''), nullif(trim(display_name), '')
FROM entity_rows
"""

OPERATION_SHAPES = (
    ObjectShape("provider_operations", _SOURCE, _is_provider, "operations", _read_provider),
    ColumnShape(
        "operation_table",
        _SOURCE,
        _is_table,
        (
            field("operation", "operation", mandatory=True),
            field("is_data_action", "is_data_action", kind="bool"),
            field("origin", "is_data_action_source"),
            field("description", "description"),
            field("display_name", "display_name"),
        ),
        _INSERT_TABLE,
    ),
)
