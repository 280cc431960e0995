"""Read role definitions, deny assignments, role assignments and PIM schedule instances.

ARM has the fields in `properties`; `az role assignment list` has them flat, with names from the directory;
`Get-AzRoleAssignment` has names of its own. An instance of an assignment schedule is an activation
of an eligible assignment, or an assignment that PIM manages.
Source: Microsoft Learn, REST reference of Microsoft.Authorization, versions 2022-04-01 and 2020-10-01.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from rightsize.ingest.entities.shape import ColumnShape, Field, Look, ObjectShape, Row, field, fold_keys, look_at
from rightsize.model.errors import InputError
from rightsize.model.role_forms import permissions_to_json, read_permission_blocks, read_role_definitions
from rightsize.model.text import fold
from rightsize.store.sql import folded

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


def both(name: str) -> tuple[str, str]:
    """Return both paths of a field: under `properties` in ARM and Event Hubs, at the top for a workspace and Graph."""
    return f"properties/{name}", name


def flag_of(fields: Mapping[str, Any], key: str) -> bool:
    """Return the truth of a key, false if it is missing; raise InputError if the value is neither true nor false."""
    value = fields.get(key)
    if value is not None and not isinstance(value, bool):
        raise InputError(f"`{key}` is not true or false")
    return bool(value)


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
        "does_not_apply_to_child_scopes": flag_of(fields, "donotapplytochildscopes"),
        "is_system_protected": flag_of(fields, "issystemprotected"),
        "principal_ids": _principals(fields, "principals"),
        "exclude_principal_ids": _principals(fields, "excludeprincipals"),
        "permissions": permissions_to_json(read_permission_blocks(fields.get("permissions"), "it")),
        "condition": text_of(fields, "condition").strip(" ") or None,
    }


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


_AUTHORIZATION = "microsoft.authorization/"
_MADE_BY_PIM = ("roleeligibilityscheduleid", "roleassignmentscheduleid", "assignmenttype", "requesttype")


def _grant_fields(*identifiers: str) -> tuple[Field, ...]:
    return (
        field("role_assignment_id", *identifiers, kind="id", mandatory=True),
        field("principal_id", *both("principalId"), kind="id", mandatory=True),
        field("role_definition_id", *both("roleDefinitionId"), kind="id", mandatory=True),
        field("scope", *both("scope"), kind="scope", mandatory=True),
        field("principal_type", *both("principalType")),
        field("condition", *both("condition")),
        field("condition_version", *both("conditionVersion")),
        field("created_on", *both("createdOn"), kind="time"),
    )


_ASSIGNMENT_FIELDS = (
    *_grant_fields("name", "id"),
    field("principal_name", "principalName"),
    field("role_name", "roleDefinitionName"),
    field("description", *both("description")),
    field("created_by", *both("createdBy"), kind="id"),
    field("updated_on", *both("updatedOn"), kind="time"),
    field("principal_tenant_id", *both("principalTenantId"), kind="id"),
)

# The columns of `Get-AzRoleAssignment`, by ConvertTo-Json and Export-Csv.
# Source: Microsoft Learn, "List Azure role assignments using Azure PowerShell": the output of its first example. It
# writes `Unknown` as type where its caller may not read the directory (Learn, Get-AzRoleAssignment, description). The
# portal's "Download role assignments" has the same columns, as CSV and JSON, without names and types where its user may
# not read the directory, and without assignments of deleted principals (Learn, "List Azure role assignments using the
# Azure portal"). So a missing name is no sign that a principal was deleted.
_POWERSHELL_FIELDS = (
    field("role_assignment_id", "RoleAssignmentId", "RoleAssignmentName", kind="id", mandatory=True),
    field("principal_id", "ObjectId", kind="id", mandatory=True),
    field("role_definition_id", "RoleDefinitionId", kind="id", mandatory=True),
    field("scope", "Scope", kind="scope", mandatory=True),
    field("principal_type", "ObjectType"),
    field("condition", "Condition"),
    field("condition_version", "ConditionVersion"),
    field("principal_name", "SignInName", "DisplayName"),
    field("role_name", "RoleDefinitionName"),
    field("description", "Description"),
)

_EXPANDED = "properties/expandedProperties"
_INSTANCE_FIELDS = (
    field("principal_name", f"{_EXPANDED}/principal/displayName", "expandedProperties/principal/displayName"),
    field("role_name", f"{_EXPANDED}/roleDefinition/displayName", "expandedProperties/roleDefinition/displayName"),
    field("start_on", *both("startDateTime"), kind="time"),
    field("end_on", *both("endDateTime"), kind="end"),
    field("member_type", *both("memberType")),
)
_ACTIVATION_FIELDS = (
    *_INSTANCE_FIELDS,
    field("assignment_type", *both("assignmentType"), mandatory=True, words=("activated", "assigned")),
    field("eligibility_id", *both("linkedRoleEligibilityScheduleInstanceId"), kind="id"),
)

_COMMON = (
    "role_assignment_id, principal_id, principal_type, principal_name, role_definition_id, role_name, scope, "
    "nullif(trim(condition), ''), nullif(condition_version, ''), created_on"
)
_INTO = (
    "INSERT INTO stage_role_assignments (file_id, line, state, role_assignment_id, principal_id, principal_type, "
    "principal_name, role_definition_id, role_name, scope, condition, condition_version, created_on, "
)

_INSERT_ASSIGNMENTS = f"""
{_INTO} description, created_by, updated_on, principal_tenant_id)
SELECT file_id, line, 'active', {_COMMON}, nullif(description, ''), created_by, updated_on, principal_tenant_id
FROM entity_rows
"""

_INSERT_POWERSHELL = f"""
{_INTO} description)
SELECT file_id, line, 'active', role_assignment_id, principal_id, nullif(nullif(principal_type, 'Unknown'), ''),
    nullif(trim(principal_name), ''), role_definition_id, role_name, scope, nullif(trim(condition), ''),
    nullif(condition_version, ''), NULL,
    nullif(description, '')
FROM entity_rows
"""

_TYPE = folded("assignment_type")


def _insert_instances(state: str, eligibility: str) -> str:
    return f"""
{_INTO} start_on, end_on, member_type, eligibility_id)
SELECT file_id, line, {state}, {_COMMON}, start_on, end_on, nullif(member_type, ''), {eligibility}
FROM entity_rows
"""


def _is_assignment(look: Look) -> bool:
    if look.type:
        return look.type == f"{_AUTHORIZATION}roleassignments"
    return look.has("principalid", "roledefinitionid", "scope") and not any(look.has(key) for key in _MADE_BY_PIM)


def _is_powershell(look: Look) -> bool:
    # Assignments of Synapse have the same ids, and neither a name of the role nor a type of the object.
    return look.has(
        "roleassignmentid", "scope", "objectid", "objecttype", "roledefinitionid", "roledefinitionname"
    ) and not any(look.has(key) for key in _MADE_BY_PIM)


def _is_eligibility(look: Look) -> bool:
    if look.type:
        return look.type == f"{_AUTHORIZATION}roleeligibilityscheduleinstances"
    # Instances of directory roles have a directory scope.
    return look.has("principalid", "roledefinitionid", "roleeligibilityscheduleid", "scope")


def _is_instance(look: Look) -> bool:
    if look.type:
        return look.type == f"{_AUTHORIZATION}roleassignmentscheduleinstances"
    return look.has("principalid", "roledefinitionid", "roleassignmentscheduleid", "assignmenttype", "scope")


ASSIGNMENT_SHAPES = (
    ColumnShape("role_assignments", "role_assignments", _is_assignment, _ASSIGNMENT_FIELDS, _INSERT_ASSIGNMENTS),
    ColumnShape("role_assignments", "role_assignments", _is_powershell, _POWERSHELL_FIELDS, _INSERT_POWERSHELL),
    ColumnShape(
        "role_eligibility_instances",
        "role_eligibility_instances",
        _is_eligibility,
        (*_grant_fields("name", "id"), *_INSTANCE_FIELDS),
        _insert_instances("'eligible'", "NULL"),
    ),
    ColumnShape(
        "role_assignment_instances",
        "role_assignment_instances",
        _is_instance,
        # The instance has a separate name; logs name the assignment behind it.
        (*_grant_fields(*both("originRoleAssignmentId"), "name", "id"), *_ACTIVATION_FIELDS),
        _insert_instances(
            f"CASE {_TYPE} WHEN 'activated' THEN 'activated' ELSE 'active' END",
            f"CASE {_TYPE} WHEN 'activated' THEN eligibility_id END",
        ),
    ),
)
