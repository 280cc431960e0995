"""Hold entries of files that people write against the published JSON Schemas."""

from __future__ import annotations

import datetime as dt
import json
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator, ValidationError

from rightsize.render.schemas import schema_text


def check_entry(name: str, entry: Any) -> None:
    """Raise ValidationError where an entry, or a line of JSON, does not pass the schema of its file."""
    document = json.loads(entry) if isinstance(entry, bytes) else entry
    for error in entry_validator(name).iter_errors(plain(document)):
        raise ValidationError(f"{name}: {error.json_path}: {error.message[:500]}")


@cache
def entry_validator(name: str) -> Draft202012Validator:
    """Return the validator of one entry of a file."""
    schema = json.loads(schema_text(name))
    Draft202012Validator.check_schema(schema)
    entry = {"exemptions": "exemption", "exclusions": "exclusion"}.get(name)
    return Draft202012Validator(schema if entry is None else {"$ref": f"#/$defs/{entry}", "$defs": schema["$defs"]})


def plain(value: Any) -> Any:
    """Return a value of TOML as JSON has it: days are texts."""
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value.isoformat() if isinstance(value, dt.date) else value
