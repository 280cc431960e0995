"""Role definitions wherever they stand: files of every form, ARM templates, Bicep, Terraform, and folders of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rightsize.model.errors import InputError, UsageError
from rightsize.model.nouns import RoleDefinition
from rightsize.model.role_forms import load_json, read_role_definitions
from rightsize.model.role_templates import (
    ROLE_TYPE,
    TERRAFORM_TYPE,
    make_role,
    template_roles,
    terraform_role,
    unknown_value,
)
from rightsize.workflow.text_files import read_bytes

ENDINGS = (".json", ".bicep", ".tf")
# A file of a folder that names none of these defines no role, whatever else is wrong with it.
_SIGNS = re.compile(rb"roledefinitions|azurerm_role_definition|assignable_?scopes", re.IGNORECASE)
_EXTRA = "install the extra that reads it: `pip install 'rightsize[iac]'`"
_DEEPEST = 50


def roles_of_bytes(content: bytes, name: str) -> tuple[RoleDefinition, ...]:
    """Return the roles of a file; its ending says whether it is Bicep or Terraform, else it is JSON of any form.

    Raises:
        InputError: It cannot be read, or what a role grants cannot be known before its deployment.
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
        raise InputError(f"no valid Bicep: {_first(error)}") from error
    variables = {str(name): one.get("value") for name, one in (document.get("variables") or {}).items()}

    def resolve(value: object, place: str) -> object:
        for _ in range(_DEEPEST):
            if not isinstance(value, str) or "/" in value or "*" in value:
                break
            # The parser gives names and strings alike: what has neither slash nor star is no action, so a name.
            if value not in variables:
                raise unknown_value(place, value)
            value = variables[value]
        if isinstance(value, str) and "${" in value:
            raise unknown_value(place, value)
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
        yield make_role(
            properties.get("roleName"),
            config.get("name"),
            properties.get("permissions"),
            properties.get("assignableScopes"),
            resolve,
        )


def _terraform_roles(text: str) -> Iterator[RoleDefinition]:
    try:
        import hcl2  # noqa: PLC0415  an extra
    except ImportError:
        raise UsageError("Terraform is not read by this installation", hint=_EXTRA) from None
    try:
        document: Mapping[str, Any] = hcl2.loads(text)
    except Exception as error:
        raise InputError(f"no valid Terraform: {_first(error)}") from error
    locals_ = {str(name): value for group in document.get("locals", []) for name, value in group.items()}

    def resolve(value: object, place: str) -> object:
        for _ in range(_DEEPEST):
            if not isinstance(value, str) or _is_quoted(value):
                break
            match = re.fullmatch(r"\$\{local\.(\w+)\}", value)
            if match is None or match[1] not in locals_:
                raise unknown_value(place, value)
            value = locals_[match[1]]
        return _unquoted(value, place) if isinstance(value, str) else value

    for group in document.get("resource", []):
        for kind, named in group.items():
            for body in named.values():
                if kind.strip('"') == TERRAFORM_TYPE:
                    yield terraform_role({**body, "name": _shown(body.get("name"))}, resolve)
                elif kind.strip('"').startswith("azapi_") and ROLE_TYPE in str(body.get("type", "")).lower():
                    raise unknown_value("an azapi resource that is a role definition", "body")


def _is_quoted(value: str) -> bool:
    return len(value) > 1 and value[0] == value[-1] == '"'


def _unquoted(value: str, place: str) -> str:
    if "${" in value or "%{" in value:
        raise unknown_value(place, value)
    return value[1:-1]


def _shown(value: object) -> object:
    return value[1:-1] if isinstance(value, str) and _is_quoted(value) else value


def _first(error: Exception) -> str:
    return (str(error).strip().split("\n")[0] or type(error).__name__)[:200]
