"""Write the demo's Azure Policy listings: assignments with their identities, and their definitions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rightsize.demo.hashing import guid
from rightsize.demo.tenant import Principal, SampleTenant
from rightsize.demo.writing import Folder

_AUTHORIZATION = "/providers/Microsoft.Authorization"
_ASSIGNMENTS = f"{_AUTHORIZATION}/policyAssignments/"


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
    roles = [f"{_AUTHORIZATION}/roleDefinitions/{role}" for role in sorted(_roles(tenant, identity))]
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
    return f"{_AUTHORIZATION}/policyDefinitions/{guid(tenant.spec.seed, 'policy definition', name)}"


def _title(name: str) -> str:
    return name.replace("-", " ").capitalize()
