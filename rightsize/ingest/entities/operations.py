"""Read the operation catalogue, from providers with nested resource types or from the flat table of a merged catalogue.

Provider, resource type and verb follow from the name, and are not read.
Source: Microsoft Learn, REST reference "Provider Operations Metadata".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rightsize.ingest.entities.definitions import text_of
from rightsize.ingest.entities.fields import field
from rightsize.ingest.entities.look import Look, fold_keys
from rightsize.ingest.entities.shape import ColumnShape, ObjectShape, Row, Unusable
from rightsize.model.errors import InputError
from rightsize.store.sql import folded

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
