"""Read the role definitions of a Bicep file."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from rightsize.model.nouns import RoleDefinition
from rightsize.model.role_templates import (
    MOST_REFERENCES,
    ROLE_TYPE,
    make_role,
    parsed,
    unknown_value,
)

_EXPRESSION = re.compile(r"(?<!\\)(?:\\\\)*\$\{")
_NO_NAME = re.compile(r"[/*\s@'\"]|^\d")
_ESCAPE = re.compile(r"\\(?:([\\'$nrt])|u\{([0-9A-Fa-f]{1,6})\})")


def bicep_roles(text: str) -> Iterator[RoleDefinition]:
    """Yield the roles of a Bicep file.

    Raises:
        InputError: It is no Bicep, or the permissions of a role are known only at its deployment.
        UsageError: The package that reads Bicep is not installed.
    """
    document = parsed("Bicep", _parse, text)
    variables = {str(name): one.get("value") for name, one in (document.get("variables") or {}).items()}

    def resolve(value: object, place: str) -> object:
        for _ in range(MOST_REFERENCES):
            if not isinstance(value, str) or _NO_NAME.search(value):
                break
            # The parser returns names and strings alike: a value that is no valid Bicep name is a string.
            if value not in variables:
                raise unknown_value(place, value)
            value = variables[value]
        if isinstance(value, str):
            if _EXPRESSION.search(value):
                raise unknown_value(place, value)
            return _bicep_text(value)
        if isinstance(value, Mapping) and ("function" in value or "operator" in value):
            raise unknown_value(place, value)
        return value

    for resource in (document.get("resources") or {}).values():
        if str(resource.get("type", "")).lower() != ROLE_TYPE or resource.get("existing"):
            continue
        config = resource.get("config")
        properties = config.get("properties") if isinstance(config, Mapping) else None
        if not isinstance(properties, Mapping):
            raise unknown_value("a role definition", config)
        scopes = properties.get("assignableScopes")
        yield make_role(
            _bicep_text(properties.get("roleName")),
            config.get("name"),
            properties.get("permissions"),
            list(map(_bicep_text, scopes)) if isinstance(scopes, list) else scopes,
            resolve,
            _bicep_text(properties.get("description")),
        )


def _parse(text: str) -> Mapping[str, Any]:
    from pycep import BicepParser  # noqa: PLC0415  an extra

    return BicepParser().parse(text=text)


def _bicep_text(value: object) -> object:
    """Return a Bicep string with its escapes resolved; the parser leaves them as they are written."""
    return _ESCAPE.sub(_unescape, value) if isinstance(value, str) else value


def _unescape(found: re.Match[str]) -> str:
    if found[2] is not None:
        code = int(found[2], 16)
        return chr(code) if code <= sys.maxunicode else found[0]
    return {"n": "\n", "r": "\r", "t": "\t"}.get(found[1], found[1])
