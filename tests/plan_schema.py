"""Hold plans against the published JSON Schema: every plan that a test writes passes it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator, ValidationError

from rightsize.render.schemas import schema_text

_SEEN: set[str] = set()
"""The shapes of proposals that passed: checking a proposal costs a millisecond."""


def check_plan(document: Any) -> None:
    """Raise ValidationError where a document is no plan of format version 3, or has a key that the schema lacks."""
    shapes = {_shape_of(one): one for one in document["proposals"]}
    new = {shape: one for shape, one in shapes.items() if shape not in _SEEN}
    for error in validator().iter_errors(document | {"proposals": list(new.values())}):
        raise ValidationError(f"{error.json_path}: {error.message[:500]}")
    _SEEN.update(new)


@cache
def validator(*, strict: bool = True) -> Draft202012Validator:
    """Return a validator of plans; `strict` refuses keys that the schema does not describe."""
    schema = json.loads(schema_text("plan"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(_closed(schema) if strict else schema)


def _closed(schema: Any) -> Any:
    """Return the schema with every object that lists its properties closed to others."""
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _closed(value) for name, value in schema.items()}
    return found | {"additionalProperties": False} if _is_open(schema) else found


def _is_open(schema: dict[str, Any]) -> bool:
    return isinstance(schema.get("properties"), dict) and "additionalProperties" not in schema


def _shape_of(value: Any) -> str:
    return "\n".join(sorted(set(_paths(value, ""))))


def _paths(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        yield f"{path} {{}}"
        for name, one in value.items():
            yield from _paths(one, f"{path}/{name}")
    elif isinstance(value, list):
        yield f"{path} {'[]' if value else 'no'}"
        for one in value:
            yield from _paths(one, f"{path}/*")
    elif path.endswith(("/kind", "/plane", "/state", "/decision", "/because")):
        yield f"{path} {value}"
    else:
        yield f"{path} {type(value).__name__}"
