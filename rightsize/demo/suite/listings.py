"""Write the listings of a suite tenant: what exists, who read it, and what Privileged Identity Management has."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from rightsize.demo.azure_records import (
    AUTHORIZATION,
    eligibility_instance,
    listed_file,
    manifest,
)
from rightsize.demo.suite.model import (
    FIRST_DAY,
    LAST_SEEN,
    READABLE,
    SuiteCatalogue,
    SuiteGrant,
    SuiteResource,
    SuiteScope,
    SuiteTenant,
    day_of,
)
from rightsize.demo.writing import Folder, guid
from rightsize.model.text import fold

_FREE = frozenset(
    {
        "microsoft.authorization",
        "microsoft.billing",
        "microsoft.consumption",
        "microsoft.costmanagement",
        "microsoft.resources",
        "microsoft.support",
    }
)
"""The providers that need no registration."""
_READ_ON = LAST_SEEN + dt.timedelta(days=1)
"""The day after the seen ones, on which everything was read; by its morning the log of the last day has arrived."""
_CREATED = "2025-03-01T08:00:00+00:00"


def write_inventories(tenant: SuiteTenant, catalogue: SuiteCatalogue, folder: Folder) -> None:
    """Write the listings of resources and providers, as far as their reader got them, and `manifest.json`."""
    asked = [one for one in tenant.subscriptions if one.gap != "unlisted"]
    subscriptions = [one.scope.rsplit("/", 1)[-1] for one in asked]
    files: list[dict[str, Any]] = []
    for subscription in subscriptions:
        path = f"resources/{subscription}.json"
        rows = [
            _listed(one) for one in _there(tenant, asked) if one.scope.startswith(f"/subscriptions/{subscription}/")
        ]
        folder.write_json(path, rows, records=len(rows))
        query = f"az resource list --subscription {subscription} -o json"
        files.append(listed_file(path, "resources", query, [subscription], len(rows)))
    graph = [_in_graph(one) for one in _there(tenant, asked)]
    page = {"count": len(graph), "total_records": len(graph), "skip_token": None, "data": graph}
    folder.write_json("resource-graph.json", page, records=len(graph))
    files.append(
        listed_file(
            "resource-graph.json", "resources", 'az graph query -q "resources" -o json', subscriptions, len(graph)
        )
    )
    types = _types(catalogue)
    for subscription in [one.scope.rsplit("/", 1)[-1] for one in asked if one.gap != "unreadable"]:
        path, providers = f"providers/{subscription}.json", _providers(tenant, subscription, types)
        folder.write_json(path, providers, records=len(providers))
        query = f"az provider list --subscription {subscription} -o json"
        files.append(listed_file(path, "providers", query, [subscription], len(providers)))
    files += _write_group_logs(tenant, folder)
    _write_manifest(tenant, files, folder)


def _write_group_logs(tenant: SuiteTenant, folder: Folder) -> list[dict[str, Any]]:
    """Write the log of each management group itself, in which nothing happened, and return the entries of the manifest.

    `rightsize fetch-script` asks for these logs too. What happened below them is in the log of the subscriptions.
    """
    span = f"eventTimestamp ge '{FIRST_DAY}T00:00:00Z' and eventTimestamp le '{_READ_ON}T00:00:00Z'"
    files = []
    for group in [one.scope for one in tenant.scopes if not one.is_subscription]:
        path = f"activity/{group.rsplit('/', 1)[-1]}.json"
        folder.write_json(path, {"value": []}, records=0)
        url = f"{group}/providers/microsoft.insights/eventtypes/management/values?api-version=2017-03-01-preview"
        files.append(listed_file(path, "activity_log", f"GET {url}&$filter={quote(span)}", [], 0))
    return files


def _there(tenant: SuiteTenant, asked: Sequence[SuiteScope]) -> list[SuiteResource]:
    """Return the resources that a listing of some subscriptions has; one that may not be read is left out silently."""
    readable = [f"{one.scope}/resourceGroups/{READABLE}" if one.gap == "unreadable" else one.scope for one in asked]
    return [one for one in tenant.resources if one.listed and any(one.scope.startswith(f"{at}/") for at in readable)]


def _listed(one: SuiteResource) -> dict[str, Any]:
    """Return a row of `az resource list`."""
    return {
        "id": one.scope,
        "name": one.name,
        "type": one.resource_type,
        "resourceGroup": one.scope.split("/")[4],
        "location": "westeurope",
        "tags": {},
        "identity": None,
        "createdTime": _CREATED,
        "changedTime": f"{FIRST_DAY.isoformat()}T08:00:00+00:00",
    }


def _in_graph(one: SuiteResource) -> dict[str, Any]:
    """Return a row of Resource Graph."""
    return {
        "id": one.scope.lower(),
        "name": one.name,
        "type": one.resource_type.lower(),
        "resourceGroup": one.scope.split("/")[4],
        "subscriptionId": one.scope.split("/")[2],
        "location": "westeurope",
        "properties": dict(one.properties),
    }


def _write_manifest(tenant: SuiteTenant, files: list[dict[str, Any]], folder: Folder) -> None:
    reader = {"id": tenant.reader_id, "name": "inventory-reader"}
    folder.write_json("manifest.json", manifest(tenant.tenant_id, reader, LAST_SEEN, files), records=1)


def _types(catalogue: SuiteCatalogue) -> dict[str, tuple[str, dict[str, str]]]:
    """Return by folded namespace its spelling and its types of resource, as far as operations name them."""
    found: dict[str, tuple[str, dict[str, str]]] = {}
    for operation, *_ in catalogue.operations:
        namespace, *rest = operation.split("/")
        _, known = found.setdefault(fold(namespace), (namespace, {}))
        # A type stands between the namespace and the verb.
        if len(rest) > (2 if fold(rest[-1]) == "action" else 1):
            known.setdefault(fold(rest[0]), rest[0])
    return found


def _providers(
    tenant: SuiteTenant, subscription: str, types: dict[str, tuple[str, dict[str, str]]]
) -> list[dict[str, Any]]:
    """Return the output of `az provider list`: those with resources or calls in the subscription are registered."""
    here = f"/subscriptions/{subscription}/"
    used = {fold(one.resource_type.split("/")[0]) for one in tenant.resources if one.scope.startswith(here)}
    used |= {fold(one.operation.split("/")[0]) for one in tenant.needs if f"{one.scope}/".startswith(here)}
    return [
        {
            "namespace": name,
            "registrationPolicy": "RegistrationFree" if key in _FREE else "RegistrationRequired",
            "registrationState": "Registered" if key in used | _FREE else "NotRegistered",
            "resourceTypes": [
                {
                    "resourceType": one,
                    "locations": ["West Europe"],
                    "capabilities": "None" if word in ("locations", "operations") else "SupportsTags, SupportsLocation",
                }
                for word, one in sorted(known.items())
            ],
        }
        for key, (name, known) in sorted(types.items())
    ]


_RULES = (
    {
        "id": "Expiration_EndUser_Assignment",
        "ruleType": "RoleManagementPolicyExpirationRule",
        "isExpirationRequired": True,
        "maximumDuration": "PT8H",
    },
    {
        "id": "Enablement_EndUser_Assignment",
        "ruleType": "RoleManagementPolicyEnablementRule",
        "enabledRules": ["MultiFactorAuthentication", "Justification"],
    },
)


def write_activations(tenant: SuiteTenant, folder: Folder) -> None:
    """Write eligible assignments, each request that activated one in the seen days, and the settings."""
    eligible = [one for one in tenant.grants if one.state == "eligible"]
    types = {one.principal_id: one.arm_type for one in tenant.principals}
    listed = [_eligibility(one, types[one.principal_id]) for one in eligible]
    folder.write_json("access/eligible-assignments.json", {"value": listed}, records=len(listed))
    asked = [_request(one, day) for one in eligible for day in activated_days(tenant, one)]
    folder.write_json("access/activation-requests.json", {"value": asked}, records=len(asked))
    places = sorted({(one.scope, one.role.role_definition_id) for one in eligible})
    settings = [_settings(scope, role) for scope, role in places]
    folder.write_json("access/activation-settings.json", {"value": settings}, records=len(settings))


def activated_days(tenant: SuiteTenant, grant: SuiteGrant) -> list[int]:
    """Return the seen days on which an eligible assignment was activated: for calls, or for a look around."""
    calls = (need for need in tenant.needs if need.principal_id == grant.principal_id and need.is_recorded)
    return sorted({*grant.activated, *(day for need in calls for day in need.seen)})


def activation_of(grant: SuiteGrant, day: int) -> dict[str, str]:
    """Return the evidence of a call that was allowed by an activation of a day, which no listing has any more."""
    return {
        "role": grant.role.role_name,
        "roleAssignmentScope": grant.scope,
        "roleAssignmentId": _made_by(grant, day).replace("-", ""),
        "roleDefinitionId": grant.role.role_definition_id.replace("-", ""),
        "principalId": grant.principal_id.replace("-", ""),
        "principalType": "User",
    }


def _made_by(grant: SuiteGrant, day: int) -> str:
    return guid("suite activation", grant.grant_id, day)


def role_of(grant: SuiteGrant) -> str:
    """Return the path of the role of an assignment."""
    return f"{AUTHORIZATION}/roleDefinitions/{grant.role.role_definition_id}"


def _eligibility(grant: SuiteGrant, holder_type: str) -> dict[str, Any]:
    holder, schedule = (grant.principal_id, holder_type), guid("suite schedule", grant.grant_id)
    created = f"{grant.created_on.isoformat()}T07:45:10Z"
    return eligibility_instance(
        grant.grant_id, grant.scope, role_of(grant), holder, schedule, created=created, end=None
    )


def _request(grant: SuiteGrant, day: int) -> dict[str, Any]:
    """Return the request that activated an eligible assignment for a working day."""
    name = guid("suite activation request", grant.grant_id, day)
    start = f"{day_of(day).isoformat()}T06:41:07Z"
    return {
        "id": f"{grant.scope}{AUTHORIZATION}/RoleAssignmentScheduleRequests/{name}",
        "name": name,
        "type": "Microsoft.Authorization/RoleAssignmentScheduleRequests",
        "properties": {
            "requestType": "SelfActivate",
            "status": "Provisioned",
            "scope": grant.scope,
            "roleDefinitionId": role_of(grant),
            "principalId": grant.principal_id,
            "principalType": "User",
            "requestorId": grant.principal_id,
            "linkedRoleEligibilityScheduleId": guid("suite schedule", grant.grant_id),
            "targetRoleAssignmentScheduleInstanceId": _made_by(grant, day),
            "scheduleInfo": {
                "startDateTime": start,
                "expiration": {"type": "AfterDuration", "endDateTime": None, "duration": "PT10H"},
            },
            "justification": "Work of the day.",
            "approvalId": None,
            "createdOn": start,
            "condition": None,
            "conditionVersion": None,
        },
    }


def _settings(scope: str, role: str) -> dict[str, Any]:
    """Return the assignment of a role management policy, with its rules."""
    policy = guid("suite activation settings", scope, role)
    return {
        "id": f"{scope}{AUTHORIZATION}/roleManagementPolicyAssignments/{policy}_{role}",
        "name": f"{policy}_{role}",
        "type": "Microsoft.Authorization/roleManagementPolicyAssignments",
        "properties": {
            "scope": scope,
            "roleDefinitionId": f"{scope}{AUTHORIZATION}/roleDefinitions/{role}",
            "policyId": f"{scope}{AUTHORIZATION}/roleManagementPolicies/{policy}",
            "effectiveRules": list(_RULES),
        },
    }
