"""Write the demo's resources with their settings, and the diagnostic settings of those that send a log."""

from __future__ import annotations

import re
from typing import Any

from rightsize.demo.tenant import SampleTenant
from rightsize.demo.trust_files import CLUSTER_ISSUER
from rightsize.demo.writing import Folder

_RESOURCE = re.compile(r"^(/subscriptions/[^/]+/resourceGroups/[^/]+/providers/[^/]+/[^/]+/[^/]+)", re.IGNORECASE)
# Providers of extension resources, which have listings of their own.
_OF_OTHERS = ("microsoft.authorization", "microsoft.resources", "microsoft.insights", "microsoft.consumption")
_PROPERTIES: dict[str, dict[str, Any]] = {
    "Microsoft.KeyVault/vaults": {"enableRbacAuthorization": True, "enableSoftDelete": True},
    "Microsoft.Storage/storageAccounts": {"allowSharedKeyAccess": True, "allowBlobPublicAccess": False},
    "Microsoft.ServiceBus/namespaces": {"disableLocalAuth": False},
    "Microsoft.ContainerService/managedClusters": {
        "aadProfile": {"managed": True, "enableAzureRBAC": True},
        "disableLocalAccounts": True,
        "oidcIssuerProfile": {"enabled": True, "issuerURL": CLUSTER_ISSUER},
    },
    "Microsoft.ContainerRegistry/registries": {
        "adminUserEnabled": False,
        "anonymousPullEnabled": False,
        "roleAssignmentMode": "LegacyRegistryPermissions",
    },
}
_CATEGORIES = {
    "Microsoft.KeyVault": ("", ("AuditEvent",)),
    "Microsoft.ServiceBus": ("", ("RuntimeAuditLogs",)),
    "Microsoft.ContainerService": ("", ("kube-audit", "kube-audit-admin")),
    "Microsoft.ContainerRegistry": ("", ("ContainerRegistryRepositoryEvents",)),
    "Microsoft.Storage": ("/blobServices/default", ("StorageRead", "StorageWrite", "StorageDelete")),
}


def write_inventory(tenant: SampleTenant, folder: Folder) -> None:
    """Write one page of resources for each subscription, and the diagnostic settings of logged resources."""
    by_subscription: dict[str, list[dict[str, Any]]] = {}
    for resource in _resources(tenant):
        by_subscription.setdefault(resource.split("/")[2], []).append(_document(resource))
    for subscription, documents in sorted(by_subscription.items()):
        name = f"inventory/resources-{subscription}.json"
        folder.write_json(name, {"value": documents}, records=len(documents))
    settings = [_setting(resource) for resource in logged_resources(tenant)]
    folder.write_json("inventory/diagnostic-settings.json", {"value": settings}, records=len(settings))


def logged_resources(tenant: SampleTenant) -> list[str]:
    """Return the resources that send a log of their data plane, sorted."""
    asked = (habit.scope for habit in tenant.habits if habit.kind in ("storage", "request"))
    return sorted({found[1] for scope in asked if (found := _RESOURCE.match(scope))})


def _resources(tenant: SampleTenant) -> list[str]:
    named = [habit.scope for habit in tenant.habits] + [grant.scope for grant in tenant.grants]
    named += [principal.resource_id for principal in tenant.principals]
    found = {match[1].lower(): match[1] for scope in sorted(named) if (match := _RESOURCE.match(scope))}
    return [resource for _, resource in sorted(found.items()) if resource.split("/")[6].lower() not in _OF_OTHERS]


def _document(resource: str) -> dict[str, Any]:
    parts = resource.split("/")
    kind = f"{parts[6]}/{parts[7]}"
    return {
        "id": resource,
        "name": parts[8],
        "type": kind,
        "location": "westeurope",
        **({"properties": _PROPERTIES[kind]} if kind in _PROPERTIES else {}),
    }


def _setting(resource: str) -> dict[str, Any]:
    part, categories = _CATEGORIES[resource.split("/")[6]]
    return {
        "id": f"{resource}{part}/providers/microsoft.insights/diagnosticSettings/to-archive",
        "type": "Microsoft.Insights/diagnosticSettings",
        "name": "to-archive",
        "properties": {"logs": [{"category": name, "enabled": True} for name in categories], "metrics": []},
    }
