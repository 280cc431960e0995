"""Write the demo's listings of access: assignments, definitions, deny assignments, PIM, scopes, and Azure Policy."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from rightsize.demo.azure_records import (
    AUTHORIZATION,
    eligibility_instance,
    group_node,
    subscription_row,
)
from rightsize.demo.people import built_in_roles, provider_operations, role_definition
from rightsize.demo.tenant import Principal, SampleGrant, SampleScope, SampleTenant
from rightsize.demo.writing import Folder, guid

_ASSIGNMENTS = f"{AUTHORIZATION}/policyAssignments/"


def write_policies(tenant: SampleTenant, folder: Folder) -> None:
    """Write `az policy assignment list`, and the policy definitions as Resource Manager lists them."""
    identities = [one for one in tenant.principals if _ASSIGNMENTS in one.resource_id]
    assignments = [_assignment(tenant, one) for one in identities]
    folder.write_json("access/policy-assignments.json", assignments, records=len(assignments))
    definitions = [_definition(tenant, one) for one in identities]
    folder.write_json("access/policy-definitions.json", {"value": definitions}, records=len(definitions))


def _assignment(tenant: SampleTenant, identity: Principal) -> dict[str, Any]:
    scope, name = identity.resource_id.split(_ASSIGNMENTS)
    return {
        "description": None,
        "displayName": _title(name),
        "enforcementMode": "Default",
        "id": identity.resource_id,
        "identity": {
            "principalId": identity.principal_id,
            "tenantId": tenant.tenant_id,
            "type": "SystemAssigned",
            "userAssignedIdentities": None,
        },
        "location": "westeurope",
        "metadata": {"createdOn": f"{identity.created_on.isoformat()}T08:29:41.2210342Z", "updatedOn": None},
        "name": name,
        "nonComplianceMessages": None,
        "notScopes": [],
        "parameters": {},
        "policyDefinitionId": _definition_id(tenant, name),
        "scope": scope,
        "type": "Microsoft.Authorization/policyAssignments",
    }


def _definition(tenant: SampleTenant, identity: Principal) -> dict[str, Any]:
    """Return a policy definition that names the roles its identity was assigned."""
    name = identity.resource_id.rsplit("/", 1)[-1]
    path = _definition_id(tenant, name)
    roles = [f"{AUTHORIZATION}/roleDefinitions/{role}" for role in sorted(_roles(tenant, identity))]
    details = {"type": "Microsoft.Insights/diagnosticSettings", "roleDefinitionIds": roles}
    return {
        "properties": {
            "displayName": f"{_title(name)} to a workspace",
            "policyType": "BuiltIn",
            "mode": "Indexed",
            "version": "1.0.0",
            "parameters": {},
            "policyRule": {
                "if": {"field": "type", "equals": "Microsoft.KeyVault/vaults"},
                "then": {"effect": "deployIfNotExists", "details": details},
            },
        },
        "id": path,
        "type": "Microsoft.Authorization/policyDefinitions",
        "name": path.rsplit("/", 1)[-1],
    }


def _roles(tenant: SampleTenant, identity: Principal) -> Iterator[str]:
    for grant in tenant.grants:
        if grant.principal_id == identity.principal_id and "policy" in grant.options:
            yield grant.role.role_definition_id


def _definition_id(tenant: SampleTenant, name: str) -> str:
    return f"{AUTHORIZATION}/policyDefinitions/{guid(tenant.spec.seed, 'policy definition', name)}"


def _title(name: str) -> str:
    return name.replace("-", " ").capitalize()


EVERYBODY = "00000000-0000-0000-0000-000000000000"
_OPEN_END = "2027-06-30T22:00:00Z"


def write_access(tenant: SampleTenant, folder: Folder) -> None:
    """Write everything about access and scopes, and the catalogue."""
    _write_assignments(tenant, folder)
    custom = [role_definition(role) for role in tenant.roles if role.role_type == "CustomRole"]
    folder.write_json("access/custom-roles.json", custom, records=len(custom))
    denies = [deny_assignment(tenant)]
    folder.write_json("access/deny-assignments.json", {"value": denies}, records=len(denies))
    _write_pim(tenant, folder)
    write_policies(tenant, folder)
    groups = _group_tree(tenant, tenant.scopes[0])
    folder.write_json("scopes/management-groups.json", groups, records=1)
    subscriptions = [_subscription(tenant, scope) for scope in tenant.scopes if scope.kind == "subscription"]
    folder.write_json("scopes/subscriptions.json", subscriptions, records=len(subscriptions))
    providers = provider_operations()
    folder.write_json("catalog/provider-operations.json", providers, records=len(providers))
    roles = [role_definition(role) for role in built_in_roles()]
    folder.write_json("catalog/built-in-roles.json", roles, records=len(roles))


def _write_assignments(tenant: SampleTenant, folder: Folder) -> None:
    """Write `az role assignment list --all` once a subscription; each lists the assignments above it, too."""
    people = tenant.principals_by_id()
    active = [grant for grant in tenant.grants if grant.listed and grant.state != "eligible"]
    ancestors = _ancestors(tenant)
    subscriptions = [scope for scope in tenant.scopes if scope.kind == "subscription"]
    below: dict[str, list[SampleGrant]] = {}
    for grant in active:
        below.setdefault("/".join(grant.scope.split("/")[:3]), []).append(grant)
    above = [grant for grant in active if not grant.scope.startswith("/subscriptions/")]
    for number, subscription in enumerate(subscriptions, start=1):
        here = [grant for grant in above if grant.scope in ancestors[subscription.scope]]
        here += below.get(subscription.scope, [])
        listing = [_cli_assignment(grant, people[grant.principal_id]) for grant in here]
        folder.write_json(f"access/role-assignments-{number:03d}.json", listing, records=len(listing))
    page = {"value": [_arm_assignment(grant, people[grant.principal_id]) for grant in above]}
    folder.write_json("access/role-assignments-tenant.json", page, records=len(above))


def _ancestors(tenant: SampleTenant) -> dict[str, set[str]]:
    parents = {scope.scope: scope.parent for scope in tenant.scopes}
    found = {}
    for scope, parent in parents.items():
        above, current = {"/"}, parent
        while current:
            above.add(current)
            current = parents[current]
        found[scope] = above
    return found


def _cli_assignment(grant: SampleGrant, principal: Principal) -> dict[str, Any]:
    prefix = "" if grant.scope == "/" else grant.scope
    parts = grant.scope.split("/")
    return {
        "condition": grant.condition,
        "conditionVersion": "2.0" if grant.condition else None,
        "createdBy": guid("created by", grant.grant_id),
        "createdOn": f"{grant.created_on.isoformat()}T09:14:07.318204+00:00",
        "delegatedManagedIdentityResourceId": None,
        "description": None,
        "id": f"{prefix}{AUTHORIZATION}/roleAssignments/{grant.grant_id}",
        "name": grant.grant_id,
        "principalId": grant.principal_id,
        "principalName": _name_in_listing(principal),
        # The directory no longer has a deleted principal's type; the type in Resource Manager differs by age.
        "principalType": "Unknown" if principal.kind == "app" and "gone" in principal.options else principal.arm_type,
        **({"resourceGroup": parts[4]} if len(parts) > 4 and parts[3] == "resourceGroups" else {}),
        "roleDefinitionId": _role_id(grant),
        "roleDefinitionName": grant.role.role_name,
        "scope": grant.scope,
        "type": "Microsoft.Authorization/roleAssignments",
        "updatedBy": guid("created by", grant.grant_id),
        "updatedOn": f"{grant.created_on.isoformat()}T09:14:07.318204+00:00",
    }


def _name_in_listing(principal: Principal) -> str:
    """Return the name that the CLI gets from Graph: UPN, group name or application id; empty after deletion."""
    if principal.options & {"gone", "soft_deleted"}:
        return ""
    return principal.user_principal_name or principal.app_id or principal.name


def _arm_assignment(grant: SampleGrant, principal: Principal) -> dict[str, Any]:
    prefix = "" if grant.scope == "/" else grant.scope
    return {
        "properties": {
            "roleDefinitionId": _role_id(grant),
            "principalId": grant.principal_id,
            "principalType": principal.arm_type,
            "scope": grant.scope,
            "condition": grant.condition,
            "conditionVersion": "2.0" if grant.condition else None,
            "createdOn": f"{grant.created_on.isoformat()}T09:14:07.3182040Z",
            "updatedOn": f"{grant.created_on.isoformat()}T09:14:07.3182040Z",
            "createdBy": guid("created by", grant.grant_id),
            "updatedBy": guid("created by", grant.grant_id),
            "delegatedManagedIdentityResourceId": None,
            "description": None,
        },
        "id": f"{prefix}{AUTHORIZATION}/roleAssignments/{grant.grant_id}",
        "type": "Microsoft.Authorization/roleAssignments",
        "name": grant.grant_id,
    }


def _role_id(grant: SampleGrant) -> str:
    parts = grant.scope.split("/")
    prefix = "/".join(parts[:3]) if grant.scope.startswith("/subscriptions/") else ""
    return f"{prefix}{AUTHORIZATION}/roleDefinitions/{grant.role.role_definition_id}"


def deny_assignment(tenant: SampleTenant) -> dict[str, Any]:
    """Return the deny assignment of a deployment stack that keeps the clinical archive from being deleted."""
    account = tenant.logged_resources[0]
    scope = account.split("/providers/")[0]
    name = guid(tenant.spec.seed, "deny", scope)
    exempt = next(principal for principal in tenant.principals if "deployer" in principal.options)
    return {
        "properties": {
            "denyAssignmentName": "Deny assignment 'keep-archive' created by Deployment Stack 'clinical-archive'.",
            "description": "Created by Deployment Stack.",
            "permissions": [
                {
                    "actions": ["*/delete"],
                    "notActions": ["Microsoft.Authorization/locks/delete"],
                    "dataActions": [],
                    "notDataActions": [],
                }
            ],
            "scope": scope,
            "doNotApplyToChildScopes": False,
            "principals": [{"id": EVERYBODY, "type": "SystemDefined"}],
            "excludePrincipals": [{"id": exempt.principal_id, "type": "ServicePrincipal"}],
            "isSystemProtected": True,
            "createdOn": f"{tenant.spec.day_ago(210).isoformat()}T10:02:11.5513422Z",
            "updatedOn": f"{tenant.spec.day_ago(210).isoformat()}T10:02:11.5513422Z",
        },
        "id": f"{scope}{AUTHORIZATION}/denyAssignments/{name}",
        "type": "Microsoft.Authorization/denyAssignments",
        "name": name,
    }


def _write_pim(tenant: SampleTenant, folder: Folder) -> None:
    people = tenant.principals_by_id()
    eligibilities = [grant for grant in tenant.grants if grant.state == "eligible"]
    eligible = [_eligibility(tenant, grant, people[grant.principal_id]) for grant in eligibilities]
    path = "access/role-eligibility-schedule-instances.json"
    folder.write_json(path, {"value": eligible}, records=len(eligible))
    scopes = {grant.scope for grant in tenant.grants if grant.state == "activated"}
    shown = [grant for grant in tenant.grants if grant.scope in scopes and grant.listed and grant.state != "eligible"]
    active = [_assignment_instance(tenant, grant, people[grant.principal_id]) for grant in shown]
    path = "access/role-assignment-schedule-instances.json"
    folder.write_json(path, {"value": active}, records=len(active))

    requests = [activation_request(tenant, grant) for grant in activations(tenant)]
    path = "access/role-assignment-schedule-requests.json"
    folder.write_json(path, {"value": requests}, records=len(requests))


def activations(tenant: SampleTenant) -> list[SampleGrant]:
    """Return the activations of eligible assignments, present and ended ones, each once, the oldest first."""
    current = {grant.grant_id: grant for grant in tenant.grants if grant.eligibility_id}
    last = tenant.spec.end_day
    for habit in tenant.habits:
        if habit.grant is not None and habit.credited_to not in ("", habit.grant.grant_id):
            day = max(tenant.spec.first_day, last - dt.timedelta(days=habit.first_ago))
            past = replace(habit.grant, eligibility_id=habit.credited_to, created_on=day)
            current.setdefault(past.grant_id, past)
    return sorted(current.values(), key=lambda grant: (grant.created_on, grant.grant_id))


def activation_request(tenant: SampleTenant, grant: SampleGrant) -> dict[str, Any]:
    """Return the request that made an activation; every third one has no justification."""
    seed = tenant.spec.seed
    name = guid(seed, "activation request", grant.grant_id)
    start = f"{grant.created_on.isoformat()}T{'05:41' if grant.state == 'eligible' else '09:14'}:07.318Z"
    return {
        "properties": {
            "requestType": "SelfActivate",
            "status": "Provisioned",
            "scope": grant.scope,
            "roleDefinitionId": _role_id(grant),
            "principalId": grant.principal_id,
            "principalType": "User",
            "requestorId": grant.principal_id,
            "linkedRoleEligibilityScheduleId": guid(seed, "eligibility schedule", grant.eligibility_id),
            "targetRoleAssignmentScheduleId": guid(seed, "assignment schedule", grant.grant_id),
            "targetRoleAssignmentScheduleInstanceId": grant.grant_id,
            "scheduleInfo": {
                "startDateTime": start,
                "expiration": {"type": "AfterDuration", "endDateTime": None, "duration": "PT12H"},
            },
            "ticketInfo": {"ticketNumber": None, "ticketSystem": None},
            "justification": "On call." if grant.created_on.day % 3 else "",
            "approvalId": None,
            "createdOn": start,
            "condition": None,
            "conditionVersion": None,
        },
        "name": name,
        "id": f"{grant.scope}{AUTHORIZATION}/RoleAssignmentScheduleRequests/{name}",
        "type": "Microsoft.Authorization/RoleAssignmentScheduleRequests",
    }


def _eligibility(tenant: SampleTenant, grant: SampleGrant, principal: Principal) -> dict[str, Any]:
    schedule = guid(tenant.spec.seed, "eligibility schedule", grant.grant_id)
    created, holder = f"{grant.created_on.isoformat()}T07:45:10.387Z", (principal.principal_id, principal.arm_type)
    role = _role_id(grant)
    made = eligibility_instance(grant.grant_id, grant.scope, role, holder, schedule, created=created, end=_OPEN_END)
    made["properties"]["expandedProperties"] = _expanded(tenant, grant, principal)
    return made


def _assignment_instance(tenant: SampleTenant, grant: SampleGrant, principal: Principal) -> dict[str, Any]:
    schedule = guid(tenant.spec.seed, "assignment schedule", grant.grant_id)
    linked = guid(tenant.spec.seed, "eligibility schedule", grant.eligibility_id) if grant.eligibility_id else None
    activated = grant.state == "activated"
    return {
        "properties": {
            "originRoleAssignmentId": f"{grant.scope}{AUTHORIZATION}/roleAssignments/{grant.grant_id}",
            "linkedRoleEligibilityScheduleId": linked,
            "linkedRoleEligibilityScheduleInstanceId": grant.eligibility_id or None,
            "assignmentType": "Activated" if activated else "Assigned",
            "scope": grant.scope,
            "roleDefinitionId": _role_id(grant),
            "principalId": grant.principal_id,
            "principalType": principal.arm_type,
            "status": "Provisioned",
            "roleAssignmentScheduleId": f"{grant.scope}{AUTHORIZATION}/RoleAssignmentSchedules/{schedule}",
            "startDateTime": f"{grant.created_on.isoformat()}T09:14:07.318Z",
            "endDateTime": f"{grant.created_on.isoformat()}T17:14:07.318Z" if activated else None,
            "memberType": "Direct",
            "createdOn": f"{grant.created_on.isoformat()}T09:14:07.318Z",
            "condition": grant.condition,
            "conditionVersion": "2.0" if grant.condition else None,
            "expandedProperties": _expanded(tenant, grant, principal),
        },
        "name": grant.grant_id,
        "id": f"{grant.scope}{AUTHORIZATION}/RoleAssignmentScheduleInstances/{grant.grant_id}",
        "type": "Microsoft.Authorization/RoleAssignmentScheduleInstances",
    }


def _expanded(tenant: SampleTenant, grant: SampleGrant, principal: Principal) -> dict[str, Any]:
    name = next((scope.name for scope in tenant.scopes if scope.scope == grant.scope), grant.scope.rsplit("/", 1)[-1])
    return {
        "scope": {"id": grant.scope, "displayName": name, "type": "subscription"},
        "roleDefinition": {
            "id": _role_id(grant),
            "displayName": grant.role.role_name,
            "type": grant.role.role_type,
        },
        "principal": {
            "id": principal.principal_id,
            "displayName": principal.name,
            "type": principal.arm_type,
            **({"email": principal.user_principal_name} if principal.user_principal_name else {}),
        },
    }


def _group_tree(tenant: SampleTenant, scope: SampleScope) -> dict[str, Any]:
    """Return the output of `az account management-group show --name ROOT --expand --recurse`."""
    return group_node(scope, tenant.scopes) | {
        "details": {"managementGroupAncestors": [], "parent": None, "updatedBy": None, "version": 4},
        "tenantId": tenant.tenant_id,
    }


def _subscription(tenant: SampleTenant, scope: SampleScope) -> dict[str, Any]:
    is_default = scope.scope == next(s.scope for s in tenant.scopes if s.kind == "subscription")
    row = subscription_row(scope, tenant.tenant_id, is_default=is_default)
    return row | {"user": {"name": f"amelia.hartley@{tenant.domain}", "type": "user"}}
