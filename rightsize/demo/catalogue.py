"""Read the demo's own small catalogue of Azure operations and built-in roles, in the Azure CLI's shapes.

The facts are from Microsoft's pages on provider operations and built-in roles. `data/operations.txt` has one resource
type a line: its control-plane operations, then a bar, then its data actions.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from rightsize.model.nouns import RoleDefinition
from rightsize.model.role_forms import read_permission_blocks, strings_of

_DATA = files("rightsize.demo") / "data"
_VERBS = {"read": "Read", "write": "Create or update", "delete": "Delete"}


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of a resource type."""

    name: str
    resource_type: str
    is_data_action: bool


def read_data(name: str) -> str:
    """Return the text of a data file of the demo."""
    return (_DATA / name).read_text(encoding="utf-8")


def record_form(name: str) -> dict[str, Any]:
    """Return the form of a record, with the slots of `writing.Template`."""
    form: dict[str, Any] = json.loads(read_data("records.json"))[name]
    return form


@cache
def operations() -> tuple[Operation, ...]:
    """Return the operations, in the file's order."""
    return tuple(_parse_operations(read_data("operations.txt")))


@cache
def built_in_roles() -> tuple[RoleDefinition, ...]:
    """Return the built-in roles, in the file's order."""
    return tuple(
        RoleDefinition(
            role["id"],
            role["role_name"],
            read_permission_blocks([{name: found for name, found in role.items() if isinstance(found, list)}]),
            "BuiltInRole",
            role["description"],
            ("/",),
        )
        for role in json.loads(read_data("roles.json"))
    )


def provider_operations() -> list[dict[str, Any]]:
    """Return the catalogue as `az provider operation list` prints it."""
    providers: dict[str, dict[str, Any]] = {}
    for operation in operations():
        provider, _, type_name = operation.resource_type.partition("/")
        entry = providers.setdefault(provider.casefold(), _provider(provider))
        listing = entry["operations"] if not type_name else _type_entry(entry, type_name)["operations"]
        listing.append(_operation(operation, type_name or provider))
    return list(providers.values())


def role_definition(role: RoleDefinition) -> dict[str, Any]:
    """Return a role as `az role definition list` prints it."""
    scope = "" if role.assignable_scopes == ("/",) else role.assignable_scopes[0]
    return {
        "assignableScopes": list(role.assignable_scopes),
        "createdBy": None,
        "createdOn": "2015-02-02T21:55:09.880642+00:00",
        "description": role.description,
        "id": f"{scope}/providers/Microsoft.Authorization/roleDefinitions/{role.role_definition_id}",
        "name": role.role_definition_id,
        "permissions": [
            dict(sorted({**strings_of(block), "condition": None, "conditionVersion": None}.items()))
            for block in role.permissions
        ],
        "roleName": role.role_name,
        "roleType": role.role_type,
        "type": "Microsoft.Authorization/roleDefinitions",
        "updatedBy": None,
        "updatedOn": "2024-06-18T15:11:17.317016+00:00",
    }


def _parse_operations(text: str) -> Iterator[Operation]:
    for line in text.splitlines():
        resource_type, *verbs = line.split()
        is_data_action = False
        for verb in verbs:
            if verb == "|":
                is_data_action = True
            else:
                yield Operation(f"{resource_type}/{verb}", resource_type, is_data_action)


def _provider(name: str) -> dict[str, Any]:
    return {
        "displayName": name.replace(".", " "),
        "id": f"/providers/Microsoft.Authorization/providerOperations/{name}",
        "name": name,
        "operations": [],
        "resourceTypes": [],
        "type": "Microsoft.Authorization/providerOperations",
    }


def _type_entry(provider: dict[str, Any], type_name: str) -> dict[str, Any]:
    entry: dict[str, Any]
    for entry in provider["resourceTypes"]:
        if entry["name"] == type_name:
            return entry
    entry = {"displayName": type_name.rsplit("/", 1)[-1], "name": type_name, "operations": []}
    provider["resourceTypes"].append(entry)
    return entry


def _operation(operation: Operation, type_name: str) -> dict[str, Any]:
    verb = operation.name[len(operation.resource_type) + 1 :].removesuffix("/action").removesuffix("/Action")
    label = f"{_VERBS.get(verb.lower(), verb)} {type_name.rsplit('/', 1)[-1]}"
    return {
        "description": f"{label}.",
        "displayName": label,
        "isDataAction": operation.is_data_action,
        "name": operation.name,
        "origin": "user,system",
        "properties": None,
    }
