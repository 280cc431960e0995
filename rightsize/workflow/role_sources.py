"""Read role definitions from files of every form: JSON, ARM templates, Bicep, Terraform, and folders."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rightsize.model.errors import InputError, UsageError
from rightsize.model.nouns import RoleDefinition
from rightsize.model.role_forms import load_json, read_role_definitions
from rightsize.model.role_templates import (
    ROLE_TYPE,
    TERRAFORM_EXPRESSION,
    TERRAFORM_TYPE,
    make_role,
    template_roles,
    terraform_role,
    terraform_text,
    unknown_value,
)
from rightsize.workflow.text_files import read_bytes

ENDINGS = (".json", ".bicep", ".tf")
# A file in a folder that contains none of these words defines no role, whatever else is wrong with it.
_SIGNS = re.compile(rb"roledefinitions|azurerm_role_definition|assignable_?scopes", re.IGNORECASE)
_TEXTS = ("name", "role_definition_id", "description", "assignable_scopes")
_EXTRA = "install the extra that reads it: `pip install 'rightsize[iac]'`"
_BICEP_EXPRESSION = re.compile(r"(?<!\\)(?:\\\\)*\$\{")
_NO_NAME = re.compile(r"[/*\s@'\"]|^\d")
_BICEP_ESCAPE = re.compile(r"\\(?:([\\'$nrt])|u\{([0-9A-Fa-f]{1,6})\})")
_DEEPEST = 50


def roles_of_bytes(content: bytes, name: str) -> tuple[RoleDefinition, ...]:
    """Return the roles of a file: Bicep or Terraform by its ending, else JSON of any form.

    Raises:
        InputError: The file cannot be read, or the permissions of a role are known only at its deployment.
        UsageError: The package that reads such files is not installed.
    """
    try:
        if name.endswith(".bicep"):
            return tuple(_bicep_roles(_text(content)))
        if name.endswith(".tf"):
            return tuple(_terraform_roles(_text(content)))
        document = load_json(content)
        found = template_roles(document)
        return read_role_definitions(document) if found is None else found
    except InputError as error:
        raise InputError(f"`{name}`: {error.message}", hint=error.hint) from None


def defines_roles(content: bytes) -> bool:
    """Return whether a file may define roles at all."""
    return _SIGNS.search(content) is not None


def read_folder(folder: Path) -> dict[str, tuple[RoleDefinition, ...]]:
    """Return the roles of all files below a folder that define some, by path; links are not followed.

    Raises:
        InputError: A file that defines roles cannot be read.
    """
    found: dict[str, tuple[RoleDefinition, ...]] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix not in ENDINGS or path.is_symlink() or not path.is_file():
            continue
        content = read_bytes(path)
        if defines_roles(content):
            found[str(path)] = roles_of_bytes(content, str(path))
    return found


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError("it is not UTF-8") from None


def _bicep_roles(text: str) -> Iterator[RoleDefinition]:
    try:
        from pycep import BicepParser  # noqa: PLC0415  an extra
    except ImportError:
        raise UsageError("Bicep is not read by this installation", hint=_EXTRA) from None
    try:
        document: Mapping[str, Any] = BicepParser().parse(text=text)
    except Exception as error:
        raise InputError(f"not valid Bicep: {_first(error)}") from error
    variables = {str(name): one.get("value") for name, one in (document.get("variables") or {}).items()}

    def resolve(value: object, place: str) -> object:
        for _ in range(_DEEPEST):
            if not isinstance(value, str) or _NO_NAME.search(value):
                break
            # The parser returns names and strings alike: a value that is no valid Bicep name is a string.
            if value not in variables:
                raise unknown_value(place, value)
            value = variables[value]
        if isinstance(value, str):
            if _BICEP_EXPRESSION.search(value):
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


def _bicep_text(value: object) -> object:
    """Return a Bicep string with its escapes resolved; the parser leaves them as they are written."""
    return _BICEP_ESCAPE.sub(_unescape, value) if isinstance(value, str) else value


def _unescape(found: re.Match[str]) -> str:
    if found[2] is not None:
        code = int(found[2], 16)
        return chr(code) if code <= sys.maxunicode else found[0]
    return {"n": "\n", "r": "\r", "t": "\t"}.get(found[1], found[1])


def _terraform_roles(text: str) -> Iterator[RoleDefinition]:
    try:
        import hcl2  # noqa: PLC0415  an extra
    except ImportError:
        raise UsageError("Terraform is not read by this installation", hint=_EXTRA) from None
    try:
        document: Mapping[str, Any] = hcl2.loads(text)
    except Exception as error:
        raise InputError(f"not valid Terraform: {_first(error)}") from error
    locals_ = {str(name): value for group in _tables(document, "locals") for name, value in group.items()}

    def resolve(value: object, place: str) -> object:
        for _ in range(_DEEPEST):
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


def _first(error: Exception) -> str:
    return (str(error).strip().split("\n")[0] or type(error).__name__)[:200]
