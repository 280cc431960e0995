"""Read role definitions and deny assignments, which are few and nested, with the parser of role files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from rightsize.ingest.entities.look import Look, fold_keys, look_at
from rightsize.ingest.entities.shape import ObjectShape, Row
from rightsize.model.errors import InputError
from rightsize.model.role_forms import permissions_to_json, read_permission_blocks, read_role_definitions
from rightsize.rbac.text import fold

_STRINGS = ("actions", "notactions", "dataactions", "notdataactions")


def dashed(text: str) -> str:
    """Return the last segment of an id, folded; a GUID gets its dashes."""
    name = fold(fold(text).rstrip("/").rsplit("/", 1)[-1])
    try:
        return str(UUID(name)) if len(name) == 32 else name
    except ValueError:
        return name


def text_of(fields: Mapping[str, Any], key: str) -> str:
    """Return the text of a key, empty if it is missing; raise InputError if the value is not a string."""
    value = fields.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InputError(f"`{key}` is not a string")
    return value


def _is_role_definition(look: Look) -> bool:
    if "/" in look.type:
        return look.type == "microsoft.authorization/roledefinitions"
    has_permissions = isinstance(look.value("permissions"), list) or any(
        isinstance(look.value(key), list) for key in _STRINGS
    )
    is_bounded = isinstance(look.value("assignablescopes"), list) or isinstance(look.value("iscustom"), bool)
    return has_permissions and is_bounded


def _read_role_definition(record: Mapping[str, Any]) -> Iterator[Row]:
    (role,) = read_role_definitions([record])
    if not role.role_definition_id:
        raise InputError("neither its `name` nor its `id` identifies the role")
    look = look_at(record)
    yield {
        "role_definition_id": dashed(role.role_definition_id),
        "role_name": role.role_name,
        "role_type": role.role_type,
        "description": role.description,
        "assignable_scopes": list(role.assignable_scopes),
        "permissions": permissions_to_json(role.permissions),
        "created_on": text_of({"createdOn": look.value("createdon")}, "createdOn"),
        "updated_on": text_of({"updatedOn": look.value("updatedon")}, "updatedOn"),
    }


def _is_deny_assignment(look: Look) -> bool:
    if "/" in look.type:
        return look.type == "microsoft.authorization/denyassignments"
    return look.has("denyassignmentname", "permissions", "principals")


def _read_deny_assignment(record: Mapping[str, Any]) -> Iterator[Row]:
    look = look_at(record)
    fields = {**look.outer, **look.inner}
    identifier = dashed(text_of(look.outer, "name") or text_of(look.outer, "id"))
    scope = text_of(fields, "scope").strip(" ")
    if not identifier:
        raise InputError("it has no `name`")
    if not scope.startswith("/"):
        raise InputError("`scope` is not a resource id" if scope else "it has no `scope`")
    yield {
        "deny_assignment_id": identifier,
        "deny_assignment_name": text_of(fields, "denyassignmentname"),
        "description": text_of(fields, "description"),
        "scope": scope.rstrip("/") or "/",
        "does_not_apply_to_child_scopes": _flag(fields, "donotapplytochildscopes"),
        "is_system_protected": _flag(fields, "issystemprotected"),
        "principal_ids": _principals(fields, "principals"),
        "exclude_principal_ids": _principals(fields, "excludeprincipals"),
        "permissions": permissions_to_json(read_permission_blocks(fields.get("permissions"), "it")),
        "condition": text_of(fields, "condition").strip(" ") or None,
    }


def _flag(fields: Mapping[str, Any], key: str) -> bool:
    value = fields.get(key)
    if value is not None and not isinstance(value, bool):
        raise InputError(f"`{key}` is not true or false")
    return bool(value)


def _principals(fields: Mapping[str, Any], key: str) -> list[str]:
    value = fields.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise InputError(f"`{key}` is not a list of principals")
    found = {dashed(text_of(fold_keys(item), "id")) for item in value}
    if "" in found:
        raise InputError(f"`{key}` has a principal without an `id`")
    return sorted(found)


def _is_role_table(look: Look) -> bool:
    return look.has("name", "id", "iscustom", "actions", "assignablescopes") and isinstance(
        look.outer.get("actions"), str
    )


def _read_role_table(record: Mapping[str, Any]) -> Iterator[Row]:  # noqa: ARG001  no record of a table has lists
    raise InputError("a table cannot hold the lists of a role definition: export it with ConvertTo-Json")


DEFINITION_SHAPES = (
    ObjectShape("role_definitions", "role_definitions", _is_role_definition, "role_definitions", _read_role_definition),
    ObjectShape("role_definition_table", "role_definitions", _is_role_table, "role_definitions", _read_role_table),
    ObjectShape("deny_assignments", "deny_assignments", _is_deny_assignment, "deny_assignments", _read_deny_assignment),
)
