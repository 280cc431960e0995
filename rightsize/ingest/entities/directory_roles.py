"""Read directory roles and their assignments from Microsoft Graph, and a published catalogue of built-in roles.

Sources: Microsoft Learn, Graph v1.0 resource types unifiedRoleDefinition, unifiedRoleAssignment,
unifiedRoleEligibilityScheduleInstance, unifiedRoleAssignmentScheduleInstance and directoryRole; "Use query parameters"
(an expanded relation of a directory object has at most 20 items); the export of directory roles that the
AzurePrivilegedIAM project publishes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rightsize.ingest.entities.azure_roles import dashed, text_of
from rightsize.ingest.entities.shape import Beside, ColumnShape, Look, ObjectShape, Row, Unusable, field, fold_keys
from rightsize.model.errors import InputError
from rightsize.model.tables import LISTED_MEMBER
from rightsize.store.sql import folded


def _is_role(look: Look) -> bool:
    if look.type:
        return False
    listed = isinstance(look.value("rolepermissions"), list)
    return listed and (look.has("id", "displayname") or look.has("roleid", "rolename"))


def _read_role(record: Mapping[str, Any]) -> Iterator[Row]:
    fields = fold_keys(record)
    published = "roleid" in fields
    # A built-in role has the id of its template in every tenant.
    identifier = dashed(text_of(fields, "roleid") or text_of(fields, "templateid") or text_of(fields, "id"))
    if not identifier:
        raise InputError("it has no `id`")
    actions, conditional = _actions(fields)
    inherits = fields.get("inheritspermissionsfrom") or []
    if not isinstance(inherits, list):
        raise InputError("`inheritsPermissionsFrom` is not a list")
    names = [text_of(fold_keys(one), "id") if isinstance(one, Mapping) else str(one) for one in inherits]
    tier = fields.get("classification")
    yield {
        "directory_role_id": identifier,
        "role_name": text_of(fields, "rolename") or text_of(fields, "displayname"),
        "is_built_in": True if published else _flag(fields, "isbuiltin"),
        "is_enabled": None if published else _flag(fields, "isenabled"),
        "is_privileged": _flag(fields, "isprivileged"),
        "tier": text_of(fold_keys(tier), "eamtierleveltagvalue") or None if isinstance(tier, Mapping) else None,
        "description": text_of(fields, "richdescription") or text_of(fields, "description"),
        "inherits": sorted({dashed(name) for name in names}),
        "actions": sorted(actions),
        "conditional_actions": sorted(conditional),
    }


def _actions(fields: Mapping[str, Any]) -> tuple[set[str], set[str]]:
    """Return the unconditional resource actions, and those with a condition."""
    blocks = fields.get("rolepermissions")
    if not isinstance(blocks, list) or not all(isinstance(block, Mapping) for block in blocks):
        raise InputError("`rolePermissions` is not a list of permissions")
    free: set[str] = set()
    bound: set[str] = set()
    for block in map(fold_keys, blocks):
        listed = block.get("allowedresourceactions")
        found = listed if isinstance(listed, list) else [block.get("authorizedresourceaction")]
        if not all(isinstance(action, str) or action is None for action in found):
            raise InputError("`allowedResourceActions` is not a list of strings")
        into = bound if text_of(block, "condition").strip() else free
        into.update(action.strip(" ") for action in found if action)
    return free, bound - free


def _flag(fields: Mapping[str, Any], key: str) -> bool | None:
    value = fields.get(key)
    if value is not None and not isinstance(value, bool):
        raise InputError(f"`{key}` is not true or false")
    return value


def _has_members(look: Look) -> bool:
    """Return whether it is a directory role of the older listing, with its members."""
    return not look.type and look.has("id", "roletemplateid") and isinstance(look.value("members"), list)


def _read_members(record: Mapping[str, Any]) -> Iterator[Row | Beside | Unusable]:
    """Yield an active assignment at the tenant for each member of an activated role.

    The id is made up of role and member, because the listing has none. It says nothing of assignments at administrative
    units, of eligible ones, and of more than 20 members, at which Microsoft Graph cuts an expanded relation.
    """
    fields = fold_keys(record)
    role = dashed(text_of(fields, "roletemplateid"))
    if not role:
        raise InputError("it has no `roleTemplateId`")
    for member in fields["members"]:
        holder = dashed(text_of(fold_keys(member), "id")) if isinstance(member, Mapping) else ""
        if not holder:
            yield Unusable("one of its members has no `id`", member)
            continue
        yield {
            "role_assignment_id": f"{LISTED_MEMBER}{role}/{holder}",
            "state": "active",
            "principal_id": holder,
            "directory_role_id": role,
            "scope": "/",
        }


# The ids of assignments are not GUIDs, and are case-sensitive.
_HOLDING = (
    field("principal_id", "principalId", kind="id", mandatory=True),
    field("directory_role_id", "roleDefinitionId", kind="id", mandatory=True),
    field("directory_scope", "directoryScopeId"),
    field("app_scope", "appScopeId"),
    field("created_on", "createdDateTime", kind="time"),
)
_BOUND = (
    field("start_on", "startDateTime", kind="time"),
    field("end_on", "endDateTime", kind="end"),
    field("member_type", "memberType"),
)


def _insert(state: str, columns: str = "", values: str = "") -> str:
    return f"""
INSERT INTO stage_directory_role_assignments (file_id, line, role_assignment_id, state, principal_id,
    directory_role_id, scope, created_on{columns})
SELECT file_id, line, trim(assignment_id), {state}, principal_id, directory_role_id,
    coalesce(nullif(trim(directory_scope), ''), nullif(trim(app_scope), ''), '/'), created_on{values}
FROM entity_rows"""


_BOUND_COLUMNS = ", start_on, end_on, member_type"
_BOUND_VALUES = ", start_on, end_on, nullif(member_type, '')"


def _has_scope(look: Look) -> bool:
    return (
        not look.type
        and look.has("principalid", "roledefinitionid")
        and (look.has("directoryscopeid") or look.has("appscopeid"))
    )


def _is_assignment(look: Look) -> bool:
    made_by_pim = ("roleeligibilityscheduleid", "roleassignmentscheduleid", "assignmenttype", "action")
    return _has_scope(look) and look.has("id") and not any(look.has(key) for key in made_by_pim)


def _is_eligibility(look: Look) -> bool:
    return _has_scope(look) and look.has("roleeligibilityscheduleid") and not look.has("action")


def _is_instance(look: Look) -> bool:
    return _has_scope(look) and look.has("assignmenttype") and not look.has("action")


DIRECTORY_ROLE_SHAPES = (
    ObjectShape("directory_roles", "directory_roles", _is_role, "directory_roles", _read_role),
    ObjectShape(
        "directory_role_members",
        "directory_role_members",
        _has_members,
        "directory_role_assignments",
        _read_members,
    ),
    ColumnShape(
        "directory_role_assignments",
        "directory_role_assignments",
        _is_assignment,
        (field("assignment_id", "id", mandatory=True), *_HOLDING),
        _insert("'active'"),
    ),
    ColumnShape(
        "directory_eligibility_instances",
        "directory_eligibility_instances",
        _is_eligibility,
        (field("assignment_id", "id", mandatory=True), *_HOLDING, *_BOUND),
        _insert("'eligible'", _BOUND_COLUMNS, _BOUND_VALUES),
    ),
    ColumnShape(
        "directory_assignment_instances",
        "directory_assignment_instances",
        _is_instance,
        (
            # The instance has its own id; the id of the assignment behind it is another field.
            field("assignment_id", "roleAssignmentOriginId", "id", mandatory=True),
            *_HOLDING,
            *_BOUND,
            field("assignment_type", "assignmentType", mandatory=True, words=("activated", "assigned")),
            field("eligibility_id", "activatedUsing/id", "activatedUsing/roleEligibilityScheduleInstanceId"),
        ),
        _insert(
            f"CASE {folded('assignment_type')} WHEN 'activated' THEN 'activated' ELSE 'active' END",
            _BOUND_COLUMNS + ", eligibility_id",
            _BOUND_VALUES + ", nullif(eligibility_id, '')",
        ),
    ),
)
