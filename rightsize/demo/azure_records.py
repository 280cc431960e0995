"""Make the records of Azure's listings that the demo's tenant and the tenants of the suite have alike."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rightsize.demo.suite.model import SuiteScope
    from rightsize.demo.tenant import SampleScope

AUTHORIZATION = "/providers/Microsoft.Authorization"


def group_node(place: SampleScope | SuiteScope, places: Sequence[SampleScope | SuiteScope]) -> dict[str, Any]:
    """Return a node of `az account management-group show --expand --recurse`."""
    is_subscription = place.scope.startswith("/subscriptions/")
    return {
        "children": [group_node(one, places) for one in places if one.parent == place.scope] or None,
        "displayName": place.name,
        "id": place.scope,
        "name": place.scope.rsplit("/", 1)[-1],
        "type": "/subscriptions" if is_subscription else "Microsoft.Management/managementGroups",
    }


def subscription_row(place: SampleScope | SuiteScope, tenant_id: str, *, is_default: bool = False) -> dict[str, Any]:
    """Return a row of `az account list`."""
    return {
        "cloudName": "AzureCloud",
        "homeTenantId": tenant_id,
        "id": place.scope.rsplit("/", 1)[-1],
        "isDefault": is_default,
        "managedByTenants": [],
        "name": place.name,
        "state": "Enabled",
        "tenantId": tenant_id,
    }


def diagnostic_setting(resource: str, part: str, categories: Iterable[str]) -> dict[str, Any]:
    """Return the setting of a resource that sends logs of some categories; `part` is that of the resource."""
    return {
        "id": f"{resource}{part}/providers/microsoft.insights/diagnosticSettings/to-archive",
        "type": "Microsoft.Insights/diagnosticSettings",
        "name": "to-archive",
        "properties": {"logs": [{"category": name, "enabled": True} for name in categories], "metrics": []},
    }


def listed_file(path: str, kind: str, query: str, subscriptions: list[str], rows: int) -> dict[str, Any]:
    """Return what a manifest says of a complete file."""
    asked = {"path": path, "kind": kind, "query": query, "subscriptions": subscriptions}
    return asked | {"complete": True, "rows": rows, "error": None}


def manifest(tenant_id: str, reader: dict[str, str], last_day: dt.date, files: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the manifest of files that a reader read on the morning after the last day."""
    morning = (last_day + dt.timedelta(days=1)).isoformat()
    return {
        "format": "rightsize-exports/1",
        "tenant_id": tenant_id,
        "reader": reader,
        "started": f"{morning}T06:10:00Z",
        "finished": f"{morning}T06:25:00Z",
        "files": files,
    }


def eligibility_instance(
    name: str, scope: str, role: str, holder: tuple[str, str], schedule: str, *, created: str, end: str | None
) -> dict[str, Any]:
    """Return a role eligibility schedule instance; a holder is an id and a type of principal."""
    return {
        "properties": {
            "scope": scope,
            "roleDefinitionId": role,
            "principalId": holder[0],
            "principalType": holder[1],
            "status": "Provisioned",
            "roleEligibilityScheduleId": f"{scope}{AUTHORIZATION}/RoleEligibilitySchedules/{schedule}",
            "startDateTime": created,
            "endDateTime": end,
            "memberType": "Direct",
            "createdOn": created,
            "condition": None,
            "conditionVersion": None,
        },
        "name": name,
        "id": f"{scope}{AUTHORIZATION}/RoleEligibilityScheduleInstances/{name}",
        "type": "Microsoft.Authorization/RoleEligibilityScheduleInstances",
    }


def role_evidence(action: str, assignment: str, role: str, holder: tuple[str, str] | None) -> dict[str, Any]:
    """Return what a log of a storage account says of the assignment that allowed a request; none refuses it."""
    return {
        "action": action,
        "denyAssignmentId": "",
        "type": "RBAC",
        "principals": [{"id": holder[0], "type": holder[1]}] if holder else [],
        "reason": "Policy" if holder else "NoApplicablePolicy",
        "result": "Granted" if holder else "Denied",
        "roleAssignmentId": assignment,
        "roleDefinitionId": role,
    }
