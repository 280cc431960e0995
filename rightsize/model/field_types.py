"""Hold the fields of a dataclass that was read from a file against their declared types; write these as a schema."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def mistyped_field(value: DataclassInstance, where: str = "") -> str | None:
    """Return the path of the first field that does not have its declared type, such as `swaps[0].wave`, or None.

    Known are texts, whole numbers, numbers (a whole one is one, too), truth values, None, unions of these, tuples of
    any length, mappings with texts as keys, and dataclasses of all that. `Any` is not checked.
    """
    hints = _hints(type(value))
    for field in fields(value):
        path = f"{where}.{field.name}" if where else field.name
        found = _mistyped(getattr(value, field.name), hints[field.name], path)
        if found is not None:
            return found
    return None


def _mistyped(value: Any, wanted: Any, path: str) -> str | None:
    origin, arguments = get_origin(wanted), get_args(wanted)
    if wanted is Any:
        return None
    if origin in (Union, types.UnionType):
        return None if any(_mistyped(value, one, path) is None for one in arguments) else path
    if origin is tuple:
        if not isinstance(value, tuple):
            return path
        found = (_mistyped(one, arguments[0], f"{path}[{at}]") for at, one in enumerate(value))
        return next((one for one in found if one is not None), None)
    if origin is Mapping:
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            return path
        found = (_mistyped(one, arguments[1], f"{path}.{key}") for key, one in value.items())
        return next((one for one in found if one is not None), None)
    if wanted is float:
        return None if isinstance(value, int | float) and not isinstance(value, bool) else path
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        return path
    return mistyped_field(value, path) if is_dataclass(value) and not isinstance(value, type) else None


def json_schema_of(wanted: Any) -> dict[str, Any]:
    """Return the JSON Schema of a type that `mistyped_field` knows; fields without a default are required."""
    origin, arguments = get_origin(wanted), get_args(wanted)
    if wanted is Any:
        return {}
    if origin in (Union, types.UnionType):
        return {"anyOf": [json_schema_of(one) for one in arguments]}
    if origin is tuple:
        return {"type": "array", "items": json_schema_of(arguments[0])}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": json_schema_of(arguments[1])}
    if is_dataclass(wanted):
        hints = get_type_hints(wanted)
        given = [one.name for one in fields(wanted) if one.default is MISSING and one.default_factory is MISSING]
        return {
            "type": "object",
            "properties": {one.name: json_schema_of(hints[one.name]) for one in fields(wanted)},
            "required": given,
            "additionalProperties": False,
        }
    return {"type": _JSON_TYPES[wanted]}


@cache
def _hints(kind: type) -> Mapping[str, Any]:
    return get_type_hints(kind)


_JSON_TYPES: Mapping[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    types.NoneType: "null",
}
