"""Serve writes of role definitions and role assignments, with Resource Manager's limits and refusals.

Sources: Microsoft Learn, "Azure custom roles", "Troubleshoot Azure RBAC", "Troubleshoot Azure RBAC limits".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rightsize.rules.operations import dual_operations
from tests.loopback.pim_writes import write_rules, write_schedule
from tests.loopback.wire import Answer, RefusalError, Request, arm_error

if TYPE_CHECKING:
    from tests.loopback.content import Content, Document

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_MAX_PER_SUBSCRIPTION, _MAX_PER_GROUP, _MAX_CUSTOM_ROLES = 4000, 500, 5000
_OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
_FIXED = ("principalId", "roleDefinitionId", "scope")


def write_role_object(content: Content, request: Request, scope: str, kind: str, name: str) -> Answer:
    """Answer a PUT, PATCH or DELETE of `{scope}/providers/Microsoft.Authorization/{kind}/{name}`.

    Raises:
        RefusalError: With the error that Resource Manager would answer.
    """
    if request.method == "PUT" and kind.endswith("schedulerequests"):
        return write_schedule(content, request, scope, kind, name)
    if request.method == "PATCH" and kind == "rolemanagementpolicies":
        return write_rules(content, request, name)
    if kind not in ("roledefinitions", "roleassignments"):
        return arm_error(405, "MethodNotAllowed", f"'{kind}' cannot be written here.")
    if not _GUID.fullmatch(name):
        code = "InvalidRoleDefinitionId" if kind == "roledefinitions" else "InvalidRoleAssignmentId"
        return arm_error(400, code, f"The name '{name}' is not a valid GUID.")
    locked = _lock_over(content, scope, request.method)
    if locked:
        text = f"The scope '{scope}' cannot perform the operation because following scope(s) are locked: '{locked}'."
        return arm_error(409, "ScopeLocked", text)
    if request.method == "DELETE":
        return _delete_definition(content, name) if kind == "roledefinitions" else _delete_assignment(content, name)
    document = request.json()
    properties = document.get("properties") if isinstance(document, dict) else None
    if not isinstance(properties, dict):
        return arm_error(400, "InvalidRequestContent", "The request content has no properties.")
    if kind == "roledefinitions":
        return _put_definition(content, scope, name, properties)
    return _put_assignment(content, scope, name, properties)


def _lock_over(content: Content, scope: str, method: str) -> str | None:
    """Return the scope of a lock at or above a scope that forbids a method there.

    Source: Microsoft Learn, "Lock your Azure resources": CanNotDelete forbids the deletion of role assignments.
    """
    for lock in content.locks:
        place = lock["id"].partition("/providers/Microsoft.Authorization/locks/")[0]
        is_over = f"{scope.lower()}/".startswith(f"{place.lower()}/")
        if is_over and (method == "DELETE" or lock["properties"]["level"] == "ReadOnly"):
            return place
    return None


def _named(listing: list[Document], name: str) -> Document | None:
    return next((item for item in listing if item["name"].lower() == name.lower()), None)


def _put_definition(content: Content, scope: str, name: str, properties: Document) -> Answer:
    listing = content.role_definitions
    known = _named(listing, name)
    if known is not None and known["properties"]["type"] == "BuiltInRole":
        return arm_error(403, "RoleDefinitionUpdateNotPermitted", "A built-in role cannot be changed.")
    role_name, places = str(properties.get("roleName", "")), properties.get("assignableScopes") or []
    _check_places(content, places, properties.get("permissions") or [])
    if not role_name or len(role_name) > 512:
        return arm_error(400, "RoleDefinitionNameInvalid", "The role name must have 1 to 512 characters.")
    if any(r is not known and r["properties"]["roleName"].lower() == role_name.lower() for r in listing):
        text = f"Another custom role with the name '{role_name}' exists in the tenant."
        return arm_error(409, "RoleDefinitionWithSameNameExists", text)
    custom = sum(role["properties"]["type"] == "CustomRole" for role in listing)
    if known is None and custom >= _MAX_CUSTOM_ROLES:
        return arm_error(403, "RoleDefinitionLimitExceeded", "Role definition limit exceeded.")
    _check_patterns(content, properties.get("permissions") or [])
    made = {
        "properties": {**properties, "type": "CustomRole"},
        "id": f"{scope}/providers/Microsoft.Authorization/roleDefinitions/{name}",
        "type": "Microsoft.Authorization/roleDefinitions",
        "name": name,
    }
    if known is not None:
        listing.remove(known)
    listing.append(made)
    return Answer(201 if known is None else 200, made)


def _check_places(content: Content, places: list[str], permissions: list[Document]) -> None:
    groups = [place for place in places if place.lower().startswith("/providers/microsoft.management/")]
    if not places or any(place in ("/", "*") for place in places) or len(places) > 2000:
        raise RefusalError(arm_error(400, "InvalidAssignableScopes", "The assignable scopes are not valid."))
    if len(groups) > 1:
        text = "Only one management group can be defined in the assignable scopes of a custom role."
        raise RefusalError(arm_error(400, "InvalidAssignableScopes", text))
    if groups and any(block.get("dataActions") for block in permissions):
        text = "You cannot add data action permissions when you have a management group as an assignable scope"
        raise RefusalError(arm_error(400, "InvalidDataActionsWithManagementGroup", text))
    known = {scope.scope.lower() for scope in content.tenant.scopes}
    for place in places:
        parts = place.lower().split("/")
        if "/".join(parts[:3] if parts[1:2] == ["subscriptions"] else parts[:5]) not in known:
            text = f"The scope '{place}' is not found or the client has no right at it."
            raise RefusalError(arm_error(403, "LinkedAuthorizationFailed", text))


def _check_patterns(content: Content, permissions: list[Document]) -> None:
    names: dict[bool, set[str]] = {False: set(), True: set()}
    for provider in content.provider_operations:
        for holder in (provider, *provider["resourceTypes"]):
            for operation in holder["operations"]:
                names[bool(operation["isDataAction"])].add(operation["name"].lower())
    # Azure lists these on both planes, the sample's catalogue on one.
    names[True] |= dual_operations()
    for block in permissions:
        for field, data in (("actions", False), ("notActions", False), ("dataActions", True), ("notDataActions", True)):
            for pattern in block.get(field) or []:
                if pattern.count("*") > 1:
                    text = f"'{pattern}' has more than one wildcard."
                    raise RefusalError(arm_error(400, "InvalidActionOrNotAction", text))
                if "*" not in pattern and pattern.lower() not in names[data]:
                    text = f"'{pattern}' does not match any of the actions supported by the providers."
                    raise RefusalError(arm_error(400, "InvalidActionOrNotAction", text))


def _delete_definition(content: Content, name: str) -> Answer:
    known = _named(content.role_definitions, name)
    if known is None:
        return Answer(204)
    if known["properties"]["type"] == "BuiltInRole":
        return arm_error(403, "RoleDefinitionDeleteNotPermitted", "A built-in role cannot be deleted.")
    holders = [*content.role_assignments, *content.eligibility_instances, *content.assignment_instances]
    if any(holder["properties"]["roleDefinitionId"].lower().endswith(name.lower()) for holder in holders):
        return arm_error(
            409, "RoleDefinitionHasAssignments", "There are existing role assignments referencing the role."
        )
    content.role_definitions.remove(known)
    return Answer(200, known)


def _put_assignment(content: Content, scope: str, name: str, properties: Document) -> Answer:
    listing = content.role_assignments
    known = _named(listing, name)
    wanted = {**properties, "scope": scope or "/"}
    if known is not None:
        if any(str(known["properties"][field]).lower() != str(wanted.get(field)).lower() for field in _FIXED):
            text = "Tenant ID, application ID, principal ID, and scope are not allowed to be updated."
            return arm_error(400, "RoleAssignmentUpdateNotPermitted", text)
        known["properties"].update(properties)
        return Answer(200, known)
    role = _named(content.role_definitions, str(wanted.get("roleDefinitionId", "")).rsplit("/", 1)[-1])
    if role is None:
        return arm_error(404, "RoleDefinitionDoesNotExist", "The specified role definition does not exist.")
    if not any(content.is_within(scope or "/", place) for place in role["properties"]["assignableScopes"]):
        return arm_error(400, "RoleDefinitionNotAssignableAtScope", f"The role cannot be assigned at '{scope}'.")
    of_group = scope.lower().startswith("/providers/microsoft.management/")
    if of_group and any(block.get("dataActions") for block in role["properties"]["permissions"]):
        builtin = role["properties"]["type"] == "BuiltInRole"
        if not builtin:
            return arm_error(400, "InvalidRoleAssignment", "A role with data actions cannot be assigned here.")
    same = ("principalId", "scope")
    for item in listing:
        held = item["properties"]
        if all(str(held[field]).lower() == str(wanted.get(field)).lower() for field in same) and _named(
            [role], held["roleDefinitionId"].rsplit("/", 1)[-1]
        ):
            return arm_error(409, "RoleAssignmentExists", "The role assignment already exists.")
    _check_room(content, scope, of_group)
    made = {
        "properties": {"principalType": "ServicePrincipal", "condition": None, "conditionVersion": None,
                       "createdOn": "2026-10-01T00:00:00.0000000Z",
                       "updatedOn": "2026-10-01T00:00:00.0000000Z", **wanted},
        "id": f"{scope}/providers/Microsoft.Authorization/roleAssignments/{name}",
        "type": "Microsoft.Authorization/roleAssignments",
        "name": name,
    }  # fmt: skip
    listing.append(made)
    return Answer(201, made)


def _check_room(content: Content, scope: str, of_group: bool) -> None:
    home = scope if of_group else "/".join(scope.split("/")[:3])
    places = [item["properties"]["scope"].lower() for item in content.role_assignments]
    inside = home.lower() + "/"
    taken = sum(place == home.lower() or (not of_group and place.startswith(inside)) for place in places)
    if taken >= (_MAX_PER_GROUP if of_group else _MAX_PER_SUBSCRIPTION):
        raise RefusalError(arm_error(400, "RoleAssignmentLimitExceeded", "No more role assignments can be created."))


def _delete_assignment(content: Content, name: str) -> Answer:
    listing = content.role_assignments
    known = _named(listing, name)
    if known is None:
        return Answer(204)
    held = known["properties"]
    if held["roleDefinitionId"].lower().endswith(_OWNER) and held["scope"].count("/") == 2:
        others = [
            item for item in listing
            if item is not known and item["properties"]["scope"].lower() == held["scope"].lower()
            and item["properties"]["roleDefinitionId"].lower().endswith(_OWNER)
        ]  # fmt: skip
        if not others:
            return arm_error(403, "Forbidden", "Cannot delete the last RBAC admin assignment")
    listing.remove(known)
    return Answer(200, known)
