"""Return the tenant's data in the forms of the services, from the same files as its exports."""

from __future__ import annotations

import json
import threading
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb

from rightsize.demo.access_files import write_access
from rightsize.demo.calls import sign_in_rows
from rightsize.demo.directory_files import CLUSTER_ISSUER, write_directory, write_trust
from rightsize.demo.directory_roles import write_directory_roles
from rightsize.demo.graph_files import write_agents
from rightsize.demo.inventory_files import vault_properties
from rightsize.demo.tenant import SampleTenant
from rightsize.demo.writing import Folder, guid
from tests.loopback.activity import ActivityOnce

Document = dict[str, Any]
AUTHORIZATION = "/providers/Microsoft.Authorization"


class Content:
    """The tenant's documents, and a database with its logs (filled by `tables` when they are first asked for)."""

    def __init__(self, tenant: SampleTenant, folder: Path) -> None:
        self.tenant = tenant
        self.folder = folder / "content"
        exports = Folder(self.folder)
        write_access(tenant, exports)
        self.sign_ins = sign_in_rows(tenant)
        write_directory(tenant, exports, self.sign_ins)
        write_directory_roles(tenant, exports)
        write_agents(tenant, exports)
        write_trust(tenant, exports)
        self.parents = {scope.scope.lower(): scope.parent.lower() for scope in tenant.scopes}
        self.subscriptions = [scope for scope in tenant.scopes if scope.kind == "subscription"]
        self.management_groups = [scope for scope in tenant.scopes if scope.kind == "management_group"]
        self._database = duckdb.connect(folder / "workspace.duckdb")
        self._opening = threading.Lock()
        self.workspace_id = guid(tenant.spec.seed, "workspace")
        self.activity = ActivityOnce(tenant)
        # What the monitoring reports, by the folded path of its listing: nothing until a test puts it there.
        self.signals: dict[str, list[Document]] = {}
        # Whether the tenant is in a cloud that does not have the newer versions of some listings yet.
        self.refuses_new_versions = False
        self.filling = threading.Lock()
        self.filled = False

    def close(self) -> None:
        """Close the database."""
        with self._opening:
            self._database.close()

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return a connection of its own to the database; one that works refuses whatever another thread asks of it."""
        with self._opening:
            return self._database.cursor()

    def is_within(self, child: str, parent: str) -> bool:
        """Tell whether a scope is another one or lies below it, management groups included."""
        inner, outer = child.lower().rstrip("/"), parent.lower().rstrip("/")
        if not outer or inner == outer or inner.startswith(outer + "/"):
            return True
        parts = inner.split("/")
        home = "/".join(parts[:3] if parts[1:2] == ["subscriptions"] else parts[:5])
        while home:
            if home == outer:
                return True
            home = self.parents.get(home, "")
        return False

    @cached_property
    def role_assignments(self) -> list[Document]:
        """Role assignments in ARM's form, each once, ordered by id; what the CLI's listings say comes first."""
        found: dict[str, Document] = {}
        for path in sorted(self.folder.glob("access/role-assignments-*.json")):
            document = json.loads(path.read_bytes())
            for record in document if isinstance(document, list) else document["value"]:
                found.setdefault(record["id"], record if "properties" in record else _arm_assignment(record))
        return [found[key] for key in sorted(found)]

    @cached_property
    def role_definitions(self) -> list[Document]:
        """Built-in and custom role definitions in ARM's form."""
        names = ("catalog/built-in-roles.json", "access/custom-roles.json")
        return [_arm_definition(role) for name in names for role in json.loads((self.folder / name).read_bytes())]

    def _access(self, name: str) -> list[Document]:
        found: list[Document] = json.loads((self.folder / f"access/{name}.json").read_bytes())["value"]
        return found

    @cached_property
    def deny_assignments(self) -> list[Document]:
        """Deny assignments."""
        return self._access("deny-assignments")

    @cached_property
    def policy_assignments(self) -> list[Document]:
        """Assignments of Azure Policy in ARM's form."""
        beside = {"id", "name", "type", "identity", "location"}
        return [
            {key: record[key] for key in sorted(beside)}
            | {"properties": {k: v for k, v in record.items() if k not in beside}}
            for record in json.loads((self.folder / "access/policy-assignments.json").read_bytes())
        ]

    @cached_property
    def policy_definitions(self) -> list[Document]:
        """Definitions of Azure Policy."""
        return self._access("policy-definitions")

    @cached_property
    def eligibility_instances(self) -> list[Document]:
        """Role eligibility schedule instances."""
        return self._access("role-eligibility-schedule-instances")

    @cached_property
    def assignment_instances(self) -> list[Document]:
        """Role assignment schedule instances."""
        return self._access("role-assignment-schedule-instances")

    @cached_property
    def assignment_requests(self) -> list[Document]:
        """Requests that activated an eligibility, those that have ended since included."""
        return self._access("role-assignment-schedule-requests")

    @cached_property
    def pim_requests(self) -> set[str]:
        """Names of requests to Privileged Identity Management that were made here."""
        return set()

    needs_approval = False
    """Whether requests to Privileged Identity Management wait for somebody's approval."""

    @cached_property
    def locks(self) -> list[Document]:
        """Locks: none until a test puts them there."""
        return []

    @cached_property
    def gone_groups(self) -> set[str]:
        """Resource groups that are not there any more, folded: none until a test says so."""
        return set()

    @cached_property
    def pim_policies(self) -> dict[tuple[str, str], Document]:
        """Policies by folded scope and role, once they were asked for."""
        return {}

    @cached_property
    def provider_operations(self) -> list[Document]:
        """The catalogue of operations."""
        found: list[Document] = json.loads((self.folder / "catalog/provider-operations.json").read_bytes())
        return found

    def directory(self, name: str) -> list[Document]:
        """Return the objects of a listing of the directory, whatever number of pages it has."""
        root = self.folder / "directory"
        paths = sorted(root.glob(f"{name}-page-*.json")) or [root / f"{name}.json"]
        return [record for path in paths if path.exists() for record in json.loads(path.read_bytes())["value"]]

    @cached_property
    def federated_credentials(self) -> list[Document]:
        """Whom user-assigned identities trust."""
        found: list[Document] = json.loads((self.folder / "inventory/federated-credentials.json").read_bytes())["value"]
        return found

    @cached_property
    def resources(self) -> list[Document]:
        """Resources that the tenant's assignments, activity and identities name, with plausible properties."""
        return list_resources(self)


def _arm_assignment(record: Document) -> Document:
    names = (
        "roleDefinitionId", "principalId", "principalType", "scope", "condition", "conditionVersion", "createdOn",
        "updatedOn", "createdBy", "updatedBy", "delegatedManagedIdentityResourceId", "description",
    )  # fmt: skip
    properties = {name: record[name] for name in names}
    for name in ("createdOn", "updatedOn"):
        properties[name] = properties[name].replace("+00:00", "0Z")
    return {"properties": properties, **{name: record[name] for name in ("id", "type", "name")}}


def _arm_definition(role: Document) -> Document:
    names = ("roleName", "description", "assignableScopes", "permissions", "createdOn", "updatedOn")
    properties = {name: role[name] for name in names}
    properties |= {"type": role["roleType"], "createdBy": role["createdBy"], "updatedBy": role["updatedBy"]}
    return {"properties": properties, **{name: role[name] for name in ("id", "type", "name")}}


_PROPERTIES: dict[str, Document] = {
    "microsoft.keyvault/vaults": {"enableRbacAuthorization": True, "accessPolicies": [], "enableSoftDelete": True},
    "microsoft.storage/storageaccounts": {"allowSharedKeyAccess": True, "allowBlobPublicAccess": False},
    "microsoft.documentdb/databaseaccounts": {"disableLocalAuth": False},
    "microsoft.servicebus/namespaces": {"disableLocalAuth": False},
    "microsoft.eventhub/namespaces": {"disableLocalAuth": False},
    "microsoft.containerregistry/registries": {
        "adminUserEnabled": False,
        "roleAssignmentMode": "LegacyRegistryPermissions",
    },
    "microsoft.containerservice/managedclusters": {
        "aadProfile": {"enableAzureRBAC": True},
        "disableLocalAccounts": False,
        "oidcIssuerProfile": {"enabled": True, "issuerURL": CLUSTER_ISSUER},
    },
    "microsoft.cognitiveservices/accounts": {"disableLocalAuth": False},
    "microsoft.operationalinsights/workspaces": {"retentionInDays": 365},
}


def list_resources(content: Content) -> list[Document]:
    """Return the tenant's top-level resources, ordered by id."""
    tenant = content.tenant
    named = [habit.scope for habit in tenant.habits] + [grant.scope for grant in tenant.grants]
    named += [principal.resource_id for principal in tenant.principals] + list(tenant.logged_resources)
    operations = next(scope.scope for scope in content.subscriptions if scope.name == "Operations")
    workspace = f"{operations}/resourceGroups/rg-monitor/providers/Microsoft.OperationalInsights/workspaces/law-avh"
    vaults = vault_properties(tenant)
    named += [workspace, *vaults]
    found: dict[str, str] = {}
    for scope in named:
        parts = scope.split("/")
        if len(parts) >= 9 and parts[1] == "subscriptions" and parts[3].lower() == "resourcegroups":
            resource = "/".join(parts[:9])
            found.setdefault(resource.lower(), resource)
    owners = {principal.resource_id.lower(): principal for principal in tenant.principals if principal.resource_id}
    made = [_resource(content, found[key], owners.get(key), workspace) for key in sorted(found)]
    for one in made:
        one["properties"] = vaults.get(one["id"], one["properties"])
    return made


def _resource(content: Content, resource: str, identity: Any, workspace: str) -> Document:
    parts = resource.split("/")
    kind = f"{parts[6]}/{parts[7]}"
    properties = dict(_PROPERTIES.get(kind.lower(), {}))
    document: Document = {
        "id": resource,
        "name": parts[8],
        "type": kind,
        "location": "westeurope",
        "tags": {"owner": "platform"},
    }
    if resource == workspace:
        properties["customerId"] = content.workspace_id
    if identity is not None and "user_assigned" in identity.options:
        properties |= {
            "principalId": identity.principal_id,
            "clientId": identity.app_id,
            "tenantId": content.tenant.tenant_id,
        }
    elif identity is not None:
        document["identity"] = {
            "type": "SystemAssigned",
            "principalId": identity.principal_id,
            "tenantId": content.tenant.tenant_id,
        }
    return {**document, "properties": properties}
