"""Read the role definitions of a Terraform file (`.tf`)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from rightsize.model.errors import InputError
from rightsize.model.nouns import RoleDefinition
from rightsize.model.role_templates import (
    MOST_REFERENCES,
    ROLE_TYPE,
    TERRAFORM_EXPRESSION,
    TERRAFORM_TYPE,
    parsed,
    terraform_role,
    terraform_text,
    unknown_value,
)

_TEXTS = ("name", "role_definition_id", "description", "assignable_scopes")


def terraform_roles(text: str) -> Iterator[RoleDefinition]:
    """Yield the roles of a Terraform file.

    Raises:
        InputError: It is no Terraform, or the permissions of a role are known only at its deployment.
        UsageError: The package that reads Terraform is not installed.
    """
    document = parsed("Terraform", _parse, text)
    locals_ = {str(name): value for group in _tables(document, "locals") for name, value in group.items()}

    def resolve(value: object, place: str) -> object:
        for _ in range(MOST_REFERENCES):
            if not isinstance(value, str) or _is_quoted(value):
                break
            match = re.fullmatch(r"\$\{local\.(\w+)\}", value)
            if match is None or match[1] not in locals_:
                raise unknown_value(place, value)
            value = locals_[match[1]]
        return _unquoted(value, place) if isinstance(value, str) else value

    for group in _tables(document, "resource"):
        for kind, named in group.items():
            for body in named.values() if isinstance(named, Mapping) else ():
                if not isinstance(body, Mapping):
                    raise InputError(f"not valid Terraform: a resource {kind} has no name")
                if kind.strip('"') == TERRAFORM_TYPE:
                    yield terraform_role({**body, **{key: _shown(body.get(key)) for key in _TEXTS}}, resolve)
                elif kind.strip('"').startswith("azapi_") and ROLE_TYPE in str(body.get("type", "")).lower():
                    raise unknown_value("an azapi resource that is a role definition", "body")


def _parse(text: str) -> Mapping[str, Any]:
    import hcl2  # noqa: PLC0415  an extra

    found: Mapping[str, Any] = hcl2.loads(text)
    return found


def _tables(document: Mapping[str, Any], name: str) -> Iterator[Mapping[str, Any]]:
    """Yield the blocks of one name, which may also stand as a value where blocks belong."""
    found = document.get(name, [])
    for one in found if isinstance(found, list) else [found]:
        if not isinstance(one, Mapping):
            raise InputError(f"not valid Terraform: `{name}` is not a block")
        yield one


def _is_quoted(value: str) -> bool:
    return len(value) > 1 and value[0] == value[-1] == '"'


def _unquoted(value: str, place: str) -> str:
    if TERRAFORM_EXPRESSION.search(value):
        raise unknown_value(place, value)
    return terraform_text(_hcl_text(value))


def _shown(value: object) -> object:
    """Return a value as Terraform's JSON would have it: text without its quotes."""
    if isinstance(value, list):
        return [_shown(item) for item in value]
    return _hcl_text(value) if isinstance(value, str) and _is_quoted(value) else value


def _hcl_text(quoted: str) -> str:
    """Return the text between quotes; where JSON cannot read it, its escapes stay as they are written."""
    try:
        return str(json.loads(quoted))
    except ValueError:
        return quoted[1:-1]
