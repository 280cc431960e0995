"""Write a suite tenant as its administrators would export it: access, directory, inventories, and the Activity Log."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rightsize.demo.hashing import below, guid
from rightsize.demo.suite.activation_files import activation_of, write_activations
from rightsize.demo.suite.inventories import write_inventories
from rightsize.demo.suite.model import (
    SEEN_DAYS,
    SuiteCatalogue,
    SuiteGrant,
    SuiteNeed,
    SuitePrincipal,
    SuiteScope,
    SuiteTenant,
    day_of,
)
from rightsize.demo.writing import Folder

_GRAPH = "https://graph.microsoft.com/v1.0/$metadata#"
_AUTHORIZATION = "/providers/Microsoft.Authorization"


def write_suite_exports(tenant: SuiteTenant, catalogue: SuiteCatalogue, root: Path) -> None:
    """Write the exports of a tenant, without the catalogue, below a folder, which may exist and should be empty."""
    folder = Folder(root)
    _write_directory(tenant, folder)
    _write_access(tenant, folder)
    write_inventories(tenant, catalogue, folder)
    _write_activity(tenant, folder)


def write_suite_truth(tenant: SuiteTenant, file: Path) -> None:
    """Write the planted needs of a tenant, and the assignments that stay by design."""
    needs = [
        {
            "principal_id": need.principal_id,
            "operation": need.operation,
            "plane": need.plane,
            "scope": need.scope,
            "kind": need.kind,
            "days": [day_of(day).isoformat() for day in need.days],
        }
        for need in tenant.needs
    ]
    stays = {grant.grant_id: grant.by_design for grant in tenant.grants if grant.by_design}
    document = {"tenant": tenant.name, "seen_days": SEEN_DAYS, "needs": needs, "stays_by_design": stays}
    file.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _write_directory(tenant: SuiteTenant, folder: Folder) -> None:
    people = {one.principal_id: one for one in tenant.principals}
    for kind, name in (("user", "users"), ("app", "servicePrincipals"), ("group", "groups")):
        page = [_entry(one, tenant.tenant_id) for one in tenant.principals if one.kind == kind]
        folder.write_json(f"directory/{name}.json", {"@odata.context": f"{_GRAPH}{name}", "value": page},
                          records=len(page))  # fmt: skip
    for group, members in sorted(tenant.members.items()):
        page = [
            {"@odata.type": "#microsoft.graph.user", **_entry(people[member], tenant.tenant_id)} for member in members
        ]
        context = f"{_GRAPH}groups('{group}')/members"
        folder.write_json(f"directory/members-{group}.json", {"@odata.context": context, "value": page},
                          records=len(page))  # fmt: skip


def _entry(one: SuitePrincipal, tenant_id: str) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "id": one.principal_id,
        "displayName": one.name,
        "createdDateTime": f"{one.created_on.isoformat()}T08:30:00Z",
    }
    if one.kind == "user":
        entry |= {"userPrincipalName": one.name, "userType": "Member", "accountEnabled": True}
    elif one.kind == "app":
        app_id = guid("suite app", one.principal_id)
        entry |= {"appId": app_id, "servicePrincipalType": "Application", "accountEnabled": True,
                  "servicePrincipalNames": [app_id], "appOwnerOrganizationId": one.owner or tenant_id}  # fmt: skip
    else:
        entry |= {"groupTypes": [], "mailEnabled": False, "securityEnabled": True}
    return entry


def _write_access(tenant: SuiteTenant, folder: Folder) -> None:
    people = {one.principal_id: one for one in tenant.principals}
    active = [_assignment(one, people[one.principal_id]) for one in tenant.grants if one.state == "active"]
    folder.write_json("access/role-assignments.json", active, records=len(active))
    write_activations(tenant, folder)
    tree = _node(tenant, tenant.scopes[0]) | {"tenantId": tenant.tenant_id}
    folder.write_json("scopes/management-groups.json", tree, records=1)
    subscriptions = [
        {
            "id": one.scope.rsplit("/", 1)[-1],
            "name": one.name,
            "state": "Enabled",
            "tenantId": tenant.tenant_id,
            "homeTenantId": tenant.tenant_id,
            "cloudName": "AzureCloud",
            "isDefault": False,
            "managedByTenants": [],
        }
        for one in tenant.subscriptions
    ]
    folder.write_json("scopes/subscriptions.json", subscriptions, records=len(subscriptions))


def _role_of(grant: SuiteGrant) -> str:
    return f"{_AUTHORIZATION}/roleDefinitions/{grant.role.role_id}"


def _assignment(grant: SuiteGrant, holder: SuitePrincipal) -> dict[str, Any]:
    """Return a row of `az role assignment list --all`."""
    created = f"{grant.created_on.isoformat()}T09:14:07+00:00"
    return {
        "id": f"{grant.scope}{_AUTHORIZATION}/roleAssignments/{grant.grant_id}",
        "name": grant.grant_id,
        "type": "Microsoft.Authorization/roleAssignments",
        "principalId": grant.principal_id,
        "principalName": holder.name,
        "principalType": holder.arm_type,
        "roleDefinitionId": _role_of(grant),
        "roleDefinitionName": grant.role.name,
        "scope": grant.scope,
        "condition": None,
        "conditionVersion": None,
        "createdOn": created,
        "updatedOn": created,
    }


def _node(tenant: SuiteTenant, scope: SuiteScope) -> dict[str, Any]:
    """Return a node of `az account management-group show --expand --recurse`."""
    return {
        "children": [_node(tenant, one) for one in tenant.scopes if one.parent == scope.scope] or None,
        "displayName": scope.name,
        "id": scope.scope,
        "name": scope.scope.rsplit("/", 1)[-1],
        "type": "/subscriptions" if scope.is_subscription else "Microsoft.Management/managementGroups",
    }


def _write_activity(tenant: SuiteTenant, folder: Folder) -> None:
    people = {one.principal_id: one for one in tenant.principals}
    eligible = {one.principal_id: one for one in tenant.grants if one.state == "eligible"}
    rows = [
        row
        for need in tenant.needs
        if need.is_recorded
        for day in need.seen
        for row in _records(need, day, people[need.principal_id], eligible.get(need.principal_id))
    ]
    lines = (json.dumps(row).encode() + b"\n" for row in sorted(rows, key=lambda one: str(one["eventTimestamp"])))
    folder.write("activity/activity.jsonl", lines, records=len(rows))


def _records(need: SuiteNeed, day: int, who: SuitePrincipal, eligible: SuiteGrant | None) -> Iterator[dict[str, Any]]:
    """Yield the two records of a call."""
    call = guid("suite call", need.principal_id, need.operation, need.scope, day)
    start = dt.datetime.combine(day_of(day), dt.time(7), dt.UTC)
    start += dt.timedelta(minutes=below(500, call))
    authorization: dict[str, Any] = {"action": need.operation, "scope": need.scope}
    if eligible is not None:
        authorization["evidence"] = activation_of(eligible, day)
    for seconds, event, status in ((0, "BeginRequest", "Started"), (3, "EndRequest", "Succeeded")):
        yield {
            "authorization": authorization,
            "caller": who.name if who.kind == "user" else who.principal_id,
            "claims": {
                "http://schemas.microsoft.com/identity/claims/objectidentifier": who.principal_id,
                "idtyp": "user" if who.kind == "user" else "app",
            },
            "category": {"value": "Administrative"},
            "correlationId": call,
            "eventDataId": guid("suite event", call, status),
            "eventName": {"value": event},
            "eventTimestamp": (start + dt.timedelta(seconds=seconds)).isoformat(),
            "level": "Informational",
            "operationName": {"value": need.operation},
            "resourceId": need.scope,
            "status": {"value": status},
            "subStatus": {"value": "OK" if status == "Succeeded" else ""},
            "subscriptionId": need.scope.split("/")[2],
        }
