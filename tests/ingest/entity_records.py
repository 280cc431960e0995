"""Minimal records of every entity shape, and a way to stage files that hold them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from rightsize.ingest.pipeline import StageReport, stage
from rightsize.store.merging.staging import create_staging

GRAPH = "https://graph.microsoft.com/v1.0/$metadata#"
SUB = "/subscriptions/11111111-1111-4111-8111-111111111111"
GROUP_SCOPE = "/providers/Microsoft.Management/managementGroups/contoso"


def guid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def arm(kind: str, name: str, properties: dict[str, Any]) -> dict[str, Any]:
    path = f"{SUB}/providers/Microsoft.Authorization/{kind}/{name}"
    return {"id": path, "name": name, "type": f"Microsoft.Authorization/{kind}", "properties": properties}


def role_path(number: int) -> str:
    return f"{SUB}/providers/Microsoft.Authorization/roleDefinitions/{guid(number)}"


GRANT = {"principalId": guid(2), "principalType": "User", "roleDefinitionId": role_path(3), "scope": SUB}
FLAT_ASSIGNMENT = {
    "id": f"{SUB}/providers/Microsoft.Authorization/roleAssignments/{guid(1)}",
    "name": guid(1),
    "type": "Microsoft.Authorization/roleAssignments",
    "principalName": "ada@contoso.com",
    "roleDefinitionName": "Reader",
    "condition": None,
    "createdOn": "2025-03-01T10:00:00+02:00",
    **GRANT,
}
BLOCK = {"actions": ["*/read"], "notActions": [], "dataActions": [], "notDataActions": []}
FLAT_ROLE = {
    "name": guid(3),
    "roleName": "Reader",
    "roleType": "BuiltInRole",
    "type": "Microsoft.Authorization/roleDefinitions",
    "assignableScopes": ["/"],
    "permissions": [BLOCK],
}
ROLE_INPUT = {"Name": "Mine", "Id": guid(4), "IsCustom": True, "Actions": ["*/read"], "AssignableScopes": [SUB]}
DENY = arm(
    "denyAssignments",
    guid(5),
    {
        "denyAssignmentName": "No deletes",
        "permissions": [BLOCK],
        "scope": SUB,
        "principals": [{"id": guid(9), "type": "User"}, {"id": guid(8).upper(), "type": "User"}],
        "excludePrincipals": [],
        "doNotApplyToChildScopes": True,
    },
)
POLICY = {
    "policyDefinitionId": "/providers/Microsoft.Authorization/policyDefinitions/x",
    "displayName": "Tags",
    "scope": SUB,
    "enforcementMode": "Default",
    "identity": {"type": "SystemAssigned", "principalId": guid(9)},
}
ELIGIBILITY = arm(
    "RoleEligibilityScheduleInstances",
    guid(6),
    {**GRANT, "roleEligibilityScheduleId": "x", "startDateTime": "2025-01-01T00:00:00Z", "endDateTime": None},
)
ACTIVATION = arm(
    "RoleAssignmentScheduleInstances",
    guid(7),
    {
        **GRANT,
        "assignmentType": "Activated",
        "originRoleAssignmentId": f"{SUB}/providers/Microsoft.Authorization/roleAssignments/{guid(70)}",
        "linkedRoleEligibilityScheduleInstanceId": guid(6),
        "roleAssignmentScheduleId": "x",
        "startDateTime": "2025-01-01T08:00:00Z",
        "endDateTime": "2025-01-01T16:00:00Z",
        "memberType": "Direct",
    },
)
TREE = {
    "id": GROUP_SCOPE,
    "name": "contoso",
    "type": "Microsoft.Management/managementGroups",
    "displayName": "Contoso",
    "details": {"parent": None},
    "children": [
        {
            "id": f"{GROUP_SCOPE}-land",
            "name": "contoso-land",
            "type": "Microsoft.Management/managementGroups",
            "displayName": "Landing zones",
            "children": [{"id": SUB, "name": SUB[15:], "type": "/subscriptions", "displayName": "Production"}],
        }
    ],
}
ENTITY = {
    "displayName": "Production",
    "id": SUB,
    "inheritedPermissions": "view",
    "name": SUB[15:],
    "parent": {"id": GROUP_SCOPE},
    "permissions": "view",
    "type": "/subscriptions",
}
ACCOUNT = {
    "cloudName": "AzureCloud",
    "id": SUB[15:],
    "isDefault": True,
    "name": "Production",
    "state": "Enabled",
    "tenantId": guid(99),
    "user": {"name": "ada@contoso.com", "type": "user"},
}
ARM_SUBSCRIPTION = {"id": SUB, "subscriptionId": SUB[15:], "displayName": "Production", "state": "Enabled"}
RESOURCE_GROUP = {
    "id": f"{SUB}/resourceGroups/rg",
    "name": "rg",
    "type": "Microsoft.Resources/resourceGroups",
    "location": "westeurope",
    "tags": {"Criticality": "High", "owner": "Team A"},
    "properties": {"provisioningState": "Succeeded"},
}
RESOURCE = {
    "id": f"{SUB}/resourceGroups/rg/providers/Contoso.Boxes/boxes/b1",
    "name": "b1",
    "type": "Contoso.Boxes/boxes",
    "location": "westeurope",
    "resourceGroup": "rg",
    "tags": {"Criticality": "low"},
}
PROVIDER = {
    "id": "/providers/Microsoft.Authorization/providerOperations/Contoso.Boxes",
    "name": "Contoso.Boxes",
    "type": "Microsoft.Authorization/providerOperations",
    "operations": [{"name": "Contoso.Boxes/register/action", "isDataAction": False}],
    "resourceTypes": [
        {
            "name": "boxes",
            "operations": [
                {"name": "Contoso.Boxes/boxes/read", "isDataAction": False, "description": "Reads boxes."},
                {"name": "Contoso.Boxes/boxes/open/action", "isDataAction": True},
            ],
        }
    ],
}
REGISTRATION = {
    "id": f"{SUB}/providers/Contoso.Boxes",
    "namespace": "Contoso.Boxes",
    "registrationPolicy": "RegistrationRequired",
    "registrationState": "NotRegistered",
    "resourceTypes": [{"resourceType": "boxes", "locations": ["West Europe"], "capabilities": "SupportsTags"}],
}
MANIFEST = {
    "format": "rightsize-exports/1",
    "tenant_id": guid(99),
    "reader": {"id": guid(10), "name": "ada@contoso.com"},
    "started": "2026-10-01T02:00:00Z",
    "finished": "2026-10-01T02:05:00Z",
    "files": [],
}
OPERATION_ROW = {"operation": "Contoso.Boxes/boxes/read", "is_data_action": False, "is_data_action_source": "awsles"}
USER = {"id": guid(10), "displayName": "Ada", "userPrincipalName": "ada@contoso.com", "userType": "Member"}
GROUP = {"id": guid(11), "displayName": "Admins", "groupTypes": [], "securityEnabled": True, "mailEnabled": False}
APP = {
    "id": guid(12),
    "appId": guid(13),
    "displayName": "robot",
    "servicePrincipalType": "Application",
    "appOwnerOrganizationId": guid(99),
}
IDENTITY = {
    "id": guid(14),
    "appId": guid(15),
    "displayName": "vm-identity",
    "servicePrincipalType": "ManagedIdentity",
    "alternativeNames": ["isExplicit=False", f"{SUB}/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/vm"],
}


def typed(kind: str, record: dict[str, Any]) -> dict[str, Any]:
    return {"@odata.type": f"#microsoft.graph.{kind}", **record}


def page(context: str, *records: dict[str, Any], more: bool = False) -> dict[str, Any]:
    link = {"@odata.nextLink": "https://graph.microsoft.com/v1.0/next"} if more else {}
    return {"@odata.context": GRAPH + context, **link, "value": list(records)}


_SCHEDULE = {
    "startDateTime": "2026-01-05T08:00:00Z",
    "expiration": {"type": "AfterDuration", "endDateTime": None, "duration": "PT4H"},
}
AZURE_REQUEST = GRANT | {
    "requestType": "SelfActivate",
    "status": "Provisioned",
    "requestorId": guid(2),
    "scheduleInfo": _SCHEDULE,
    "justification": "On call.",
    "createdOn": "2026-01-05T08:00:00Z",
}
DIRECTORY_GRANT = {"id": "aB-1", "principalId": guid(2), "roleDefinitionId": guid(3), "directoryScopeId": "/"}
DIRECTORY_REQUEST = DIRECTORY_GRANT | {
    "id": guid(6),
    "action": "selfActivate",
    "status": "Provisioned",
    "createdDateTime": "2026-01-05T08:00:00Z",
    "scheduleInfo": _SCHEDULE,
    "justification": None,
    "appScopeId": None,
}
GROUP_REQUEST = {
    "id": guid(6),
    "action": "selfActivate",
    "principalId": guid(2),
    "groupId": guid(11),
    "accessId": "member",
    "scheduleInfo": _SCHEDULE,
}
GROUP_INSTANCE = {
    "id": "i-1",
    "principalId": guid(2),
    "groupId": guid(11),
    "accessId": "member",
    "startDateTime": "2026-01-05T08:00:00Z",
    "endDateTime": None,
    "memberType": "direct",
}
DIRECTORY_ROLE = {
    "id": guid(3),
    "templateId": guid(3),
    "displayName": "User Administrator",
    "isBuiltIn": True,
    "isEnabled": True,
    "rolePermissions": [
        {"allowedResourceActions": ["microsoft.directory/users/delete"], "condition": None},
        {"allowedResourceActions": ["microsoft.directory/users/basic/update"], "condition": "$ResourceIsSelf"},
    ],
    "inheritsPermissionsFrom": [{"id": guid(4)}],
}
PUBLISHED_ROLE = {
    "RoleId": guid(3),
    "RoleName": "User Administrator",
    "isPrivileged": True,
    "InheritsPermissionsFrom": [guid(4)],
    "RolePermissions": [{"AuthorizedResourceAction": "microsoft.directory/users/create"}],
    "Classification": {"EAMTierLevelTagValue": "0"},
}
_INSTANCE = {"startDateTime": "2026-01-05T08:00:00Z", "endDateTime": "2026-01-05T12:00:00Z", "memberType": "Direct"}

CREDENTIAL = {
    "id": guid(40),
    "name": "Main",
    "issuer": "https://token.actions.githubusercontent.com",
    "subject": "repo:contoso/shop:ref:refs/heads/main",
    "audiences": ["api://AzureADTokenExchange"],
}
TRUSTING_APPS = page(
    "applications(id,appId,federatedIdentityCredentials())",
    {"id": guid(20), "appId": guid(13).upper(), "federatedIdentityCredentials": [CREDENTIAL]},
    {"id": guid(21), "appId": guid(14), "federatedIdentityCredentials": []},
)
_POD_PATH = (
    f"{SUB}/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/Id1/"
    "federatedIdentityCredentials/Pod"
)
_POD = {"issuer": "https://oidc.example/cluster/", "subject": "system:serviceaccount:shop:worker", "audiences": []}
TRUSTED_POD = {
    "id": _POD_PATH,
    "name": "Pod",
    "type": "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials",
    "properties": _POD,
}
FLAT_TRUST = {"id": _POD_PATH, "name": "Pod", "resourceGroup": "rg", "type": TRUSTED_POD["type"], **_POD}
UNIT = {"id": guid(30).upper(), "displayName": "Wards", "isMemberManagementRestricted": True, "visibility": None}

DOCUMENTS: dict[str, tuple[str, str, Any]] = {
    "activation requests": (
        "a.json",
        "role_assignment_requests",
        {"value": [arm("roleAssignmentScheduleRequests", guid(6), AZURE_REQUEST)]},
    ),
    "eligibility requests": (
        "a.json",
        "role_eligibility_requests",
        {"value": [arm("roleEligibilityScheduleRequests", guid(6), AZURE_REQUEST | {"requestType": "AdminAssign"})]},
    ),
    "directory activation requests": (
        "a.json",
        "directory_assignment_requests",
        page("roleManagement/directory/roleAssignmentScheduleRequests", DIRECTORY_REQUEST),
    ),
    "directory eligibility requests": (
        "a.json",
        "directory_eligibility_requests",
        page("roleManagement/directory/roleEligibilityScheduleRequests", DIRECTORY_REQUEST),
    ),
    "group activation requests": ("a.json", "group_assignment_requests", {"value": [GROUP_REQUEST]}),
    "group eligibility requests": ("eligibility.json", "group_eligibility_requests", {"value": [GROUP_REQUEST]}),
    "group eligibilities": ("a.json", "group_eligibility_instances", {"value": [GROUP_INSTANCE]}),
    "group activations": (
        "a.json",
        "group_assignment_instances",
        {"value": [GROUP_INSTANCE | {"assignmentType": "activated"}]},
    ),
    "directory roles": ("a.json", "directory_roles", page("roleManagement/directory/roleDefinitions", DIRECTORY_ROLE)),
    "published directory roles": ("a.json", "directory_roles", [PUBLISHED_ROLE]),
    "directory assignments": ("a.json", "directory_role_assignments", {"value": [DIRECTORY_GRANT]}),
    "directory eligibilities": (
        "a.json",
        "directory_eligibility_instances",
        {"value": [DIRECTORY_GRANT | _INSTANCE | {"roleEligibilityScheduleId": guid(7)}]},
    ),
    "directory activations": (
        "a.json",
        "directory_assignment_instances",
        {"value": [DIRECTORY_GRANT | _INSTANCE | {"assignmentType": "Activated", "roleAssignmentOriginId": "xY-2"}]},
    ),
    "az assignments": ("a.json", "role_assignments", [FLAT_ASSIGNMENT]),
    "arm assignments": ("a.json", "role_assignments", {"value": [arm("roleAssignments", guid(1), GRANT)]}),
    "assignments without type": ("a.json", "role_assignments", [{"id": "x/y", **GRANT}]),
    "az roles": ("a.json", "role_definitions", [FLAT_ROLE]),
    "arm role": (
        "a.json",
        "role_definitions",
        arm("roleDefinitions", guid(3), {"roleName": "R", "permissions": [BLOCK], "assignableScopes": ["/"]}),
    ),
    "role input": ("a.json", "role_definitions", ROLE_INPUT),
    "denies": ("a.json", "deny_assignments", {"value": [DENY]}),
    "policy assignments": ("a.json", "policy_assignments", {"value": [arm("policyAssignments", "p", POLICY)]}),
    "az policy assignments": ("a.json", "policy_assignments", [arm("policyAssignments", "p", {}) | POLICY]),
    "policy definitions": (
        "a.json",
        "policy_definitions",
        {"value": [arm("policyDefinitions", "d", {"policyRule": {"if": {}, "then": {"effect": "audit"}}})]},
    ),
    "policy sets": (
        "a.json",
        "policy_set_definitions",
        {"value": [arm("policySetDefinitions", "s", {"policyDefinitions": [{"policyDefinitionId": "/d"}]})]},
    ),
    "eligibilities": ("a.json", "role_eligibility_instances", {"value": [ELIGIBILITY]}),
    "activations": ("a.json", "role_assignment_instances", {"value": [ACTIVATION]}),
    "tree": ("a.json", "management_groups", TREE),
    "entities": ("a.json", "management_groups", [ENTITY]),
    "accounts": ("a.json", "subscriptions", [ACCOUNT]),
    "arm subscriptions": ("a.json", "subscriptions", {"value": [ARM_SUBSCRIPTION]}),
    "tagged subscriptions": ("a.json", "subscriptions", [ARM_SUBSCRIPTION | {"tags": {"Owner": "Team A"}}]),
    "resource groups": ("a.json", "resource_groups", [RESOURCE_GROUP]),
    "arm resource groups": ("a.json", "resource_groups", {"value": [RESOURCE_GROUP]}),
    "resources": ("a.json", "resources", [RESOURCE]),
    "untagged resources": ("a.json", "resources", [{key: RESOURCE[key] for key in RESOURCE if key != "tags"}]),
    "chosen columns of resources": ("a.json", "resources", [{key: RESOURCE[key] for key in ("id", "type")}]),
    "providers": ("a.json", "operations", [PROVIDER]),
    "az registrations": ("a.json", "providers", [REGISTRATION]),
    "arm registrations": ("a.json", "providers", {"value": [REGISTRATION]}),
    "manifest": ("a.json", "manifest", MANIFEST),
    "operation table": ("a.json", "operations", [OPERATION_ROW]),
    "users": ("a.json", "users", page("users", USER)),
    "selected users": ("a.json", "users", page("users(id,displayName)", {"id": guid(10), "displayName": "Ada"})),
    "no users": ("a.json", "users", page("users")),
    "az users": ("a.json", "users", [USER]),
    "groups": ("a.json", "groups", page("groups", GROUP)),
    "az groups": ("a.json", "groups", [GROUP]),
    "apps": ("a.json", "service_principals", page("servicePrincipals", APP)),
    "az apps": ("a.json", "service_principals", [APP]),
    "owners": (
        "a.json",
        "object_owners",
        page("applications(id,appId,owners(id))", {"id": guid(20), "appId": guid(13), "owners": [typed("user", USER)]}),
    ),
    "blueprints": (
        "a.json",
        "agent_blueprints",
        page("applications/microsoft.graph.agentIdentityBlueprint", {"id": guid(20), "appId": guid(13)}),
    ),
    "blueprints without a page": (
        "a.json",
        "agent_blueprints",
        [{"@odata.type": "#microsoft.graph.agentIdentityBlueprint", "id": guid(20), "appId": guid(13), "owners": []}],
    ),
    "inheritable permissions": (
        "a.json",
        "inheritable_permissions",
        page(
            f"applications('{guid(20)}')/inheritablePermissions",
            {"resourceAppId": guid(13), "inheritableScopes": {"kind": "none"}},
        ),
    ),
    "no inheritable permissions": (
        "a.json",
        "inheritable_permissions",
        page(f"applications('{guid(20)}')/inheritablePermissions"),
    ),
    "trust of applications": ("a.json", "application_federated_credentials", TRUSTING_APPS),
    "trust of identities": ("a.json", "identity_federated_credentials", {"value": [TRUSTED_POD]}),
    "az trust of identities": ("a.json", "identity_federated_credentials", [FLAT_TRUST]),
    "units": ("a.json", "administrative_units", page("directory/administrativeUnits", UNIT)),
    "unit members": (
        "a.json",
        "unit_members",
        page(f"directory/administrativeUnits('{guid(30)}')/members(id,displayName)", typed("user", USER)),
    ),
    "unit members by file": (
        f"administrativeUnit-members-{guid(30)}-1.json",
        "unit_members",
        page("directoryObjects", typed("user", USER)),
    ),
    "no unit members": ("a.json", "unit_members", page(f"directory/administrativeUnits('{guid(30)}')/members")),
    "members": ("a.json", "group_members", page(f"groups('{guid(11)}')/members", typed("user", USER))),
    "no members": ("a.json", "group_members", page(f"groups('{guid(11)}')/members")),
    "members by file": (
        f"members-{guid(11)}.json",
        "group_members",
        page("directoryObjects", typed("user", USER)),
    ),
    "az members": (f"members-{guid(11)}.json", "group_members", [typed("user", USER)]),
    "transitive": (
        "a.json",
        "transitive_members",
        page(f"groups('{guid(11)}')/transitiveMembers(id)", typed("user", USER)),
    ),
    "deleted": (
        "a.json",
        "deleted_items",
        page("directory/deletedItems/microsoft.graph.user", {**USER, "deletedDateTime": "2025-01-01T00:00:00Z"}),
    ),
    "deleted as users": ("a.json", "deleted_items", page("users", {**USER, "deletedDateTime": "2025-01-01T00:00:00Z"})),
    "no deleted": ("deletedItems-users.json", "deleted_items", page("users")),
    "by ids": ("a.json", "directory_objects", page("directoryObjects", typed("user", USER), typed("group", GROUP))),
}
"""A document of each form: name of its file, its source, what it holds."""


@dataclass
class Staged:
    """What files gave."""

    con: duckdb.DuckDBPyConnection
    report: StageReport

    def rows(self, table: str, *columns: str) -> list[Any]:
        listed = ", ".join(f'"{column}"' for column in columns)
        found = self.con.execute(f"SELECT {listed} FROM stage_{table} ORDER BY file_id, line, {listed}").fetchall()
        return [row[0] for row in found] if len(columns) == 1 else found

    @property
    def rejects(self) -> list[tuple[int, str]]:
        return self.con.execute("SELECT line, reason FROM stage_rejects ORDER BY file_id, line, reason").fetchall()


def stage_files(*paths: Path) -> Staged:
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    create_staging(con)
    return Staged(con, stage(con, list(paths)))


def stage_document(folder: Path, document: Any, name: str = "a.json") -> Staged:
    path = folder / name
    path.write_text(json.dumps(document), encoding="utf-8")
    return stage_files(path)
