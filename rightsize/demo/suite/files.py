"""Write a suite tenant as its administrators would export it: access, directory, catalogue, and the Activity Log."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from rightsize.demo.activity_texts import authorization_failed, linked_authorization_failed
from rightsize.demo.azure_records import AUTHORIZATION, group_node, subscription_row
from rightsize.demo.suite.listings import activation_of, role_of, write_activations, write_inventories
from rightsize.demo.suite.logs import write_resource_logs, write_sign_ins
from rightsize.demo.suite.model import (
    SEEN_DAYS,
    SuiteCatalogue,
    SuiteGrant,
    SuiteNeed,
    SuitePrincipal,
    SuiteRefusal,
    SuiteTenant,
    day_of,
)
from rightsize.demo.writing import Folder, below, guid
from rightsize.model.errors import EvidenceError
from rightsize.model.nouns import RoleDefinition
from rightsize.model.role_forms import permissions_from_json, permissions_to_json

_GRAPH = "https://graph.microsoft.com/v1.0/$metadata#"


def write_suite_exports(tenant: SuiteTenant, catalogue: SuiteCatalogue, root: Path) -> None:
    """Write the exports of a tenant, without the catalogue, below a folder, which may exist and should be empty."""
    folder = Folder(root)
    _write_directory(tenant, folder)
    _write_access(tenant, folder)
    write_inventories(tenant, catalogue, folder)
    write_resource_logs(tenant, folder)
    write_sign_ins(tenant, folder)
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
    for kind, name in (("User", "users"), ("ServicePrincipal", "servicePrincipals"), ("Group", "groups")):
        page = [_entry(one, tenant.tenant_id) for one in tenant.principals if one.arm_type == kind]
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
        entry |= {"userPrincipalName": one.name, "userType": "Guest" if one.is_guest else "Member",
                  "accountEnabled": True}  # fmt: skip
    elif one.kind == "identity":
        entry |= {"appId": guid("suite app", one.principal_id), "servicePrincipalType": "ManagedIdentity",
                  "accountEnabled": True, "appOwnerOrganizationId": None}  # fmt: skip
    elif one.kind == "app":
        app_id = guid("suite app", one.principal_id)
        entry |= {"appId": app_id, "servicePrincipalType": "Application", "accountEnabled": True,
                  "servicePrincipalNames": [app_id], "appOwnerOrganizationId": one.owner or tenant_id}  # fmt: skip
    elif one.kind == "agent":
        entry |= {"@odata.type": "#microsoft.graph.agentIdentity", "servicePrincipalType": "ServiceIdentity",
                  "agentIdentityBlueprintId": one.blueprint, "accountEnabled": True}  # fmt: skip
    elif one.kind == "blueprint":
        entry |= {"@odata.type": "#microsoft.graph.agentIdentityBlueprintPrincipal", "appId": one.blueprint,
                  "servicePrincipalType": "Application", "accountEnabled": True,
                  "servicePrincipalNames": [one.blueprint], "appOwnerOrganizationId": tenant_id}  # fmt: skip
    else:
        entry |= {"groupTypes": [], "mailEnabled": False, "securityEnabled": True}
    return entry


def _write_access(tenant: SuiteTenant, folder: Folder) -> None:
    people = {one.principal_id: one for one in tenant.principals}
    active = [_assignment(one, people[one.principal_id]) for one in tenant.grants if one.state == "active"]
    folder.write_json("access/role-assignments.json", active, records=len(active))
    write_activations(tenant, folder)
    tree = group_node(tenant.scopes[0], tenant.scopes) | {"tenantId": tenant.tenant_id}
    folder.write_json("scopes/management-groups.json", tree, records=1)
    subscriptions = [subscription_row(one, tenant.tenant_id) for one in tenant.subscriptions]
    folder.write_json("scopes/subscriptions.json", subscriptions, records=len(subscriptions))


def _assignment(grant: SuiteGrant, holder: SuitePrincipal) -> dict[str, Any]:
    """Return a row of `az role assignment list --all`."""
    created = f"{grant.created_on.isoformat()}T09:14:07+00:00"
    return {
        "id": f"{grant.scope}{AUTHORIZATION}/roleAssignments/{grant.grant_id}",
        "name": grant.grant_id,
        "type": "Microsoft.Authorization/roleAssignments",
        "principalId": grant.principal_id,
        "principalName": holder.name,
        "principalType": holder.arm_type,
        "roleDefinitionId": role_of(grant),
        "roleDefinitionName": grant.role.role_name,
        "scope": grant.scope,
        "condition": None,
        "conditionVersion": None,
        "createdOn": created,
        "updatedOn": created,
    }


def _write_activity(tenant: SuiteTenant, folder: Folder) -> None:
    people = {one.principal_id: one for one in tenant.principals}
    eligible = {one.principal_id: one for one in tenant.grants if one.state == "eligible"}
    rows = [
        row
        for need in tenant.needs
        if need.is_recorded and not need.by_resource
        for day in need.seen
        for row in _records(need, day, people[need.principal_id], eligible.get(need.principal_id))
    ]
    rows += [row for one in tenant.refusals for row in _refused(one, people[one.principal_id])]
    lines = (json.dumps(row).encode() + b"\n" for row in sorted(rows, key=lambda one: str(one["eventTimestamp"])))
    folder.write("activity/activity.jsonl", lines, records=len(rows))


def _records(need: SuiteNeed, day: int, who: SuitePrincipal, eligible: SuiteGrant | None) -> Iterator[dict[str, Any]]:
    """Yield the two records of a call that was allowed."""
    call = guid("suite call", need.principal_id, need.operation, need.scope, day)
    evidence = activation_of(eligible, day) if eligible is not None else None
    for status in ("Started", "Succeeded"):
        yield _record(need.operation, need.scope, day, who, call, status, evidence)


def _refused(one: SuiteRefusal, who: SuitePrincipal) -> Iterator[dict[str, Any]]:
    """Yield the two records of a call that Azure refused, for its own operation or for one that it checks within."""
    call = guid("suite refusal", one.principal_id, one.operation, one.scope, one.linked, one.day)
    told = _caller(who), one.principal_id, one.operation, one.scope
    text = (
        linked_authorization_failed(*told, one.linked, one.linked_scope) if one.linked else authorization_failed(*told)
    )
    for status in ("Started", "Failed"):
        row = _record(one.operation, one.scope, one.day, who, call, status, None)
        if status == "Failed":
            row |= {
                "level": "Error",
                "subStatus": {"value": "Forbidden"},
                "properties": {"statusCode": "Forbidden", "serviceRequestId": None, "statusMessage": text},
            }
        yield row


def _record(
    operation: str, scope: str, day: int, who: SuitePrincipal, call: str, status: str, evidence: dict[str, str] | None
) -> dict[str, Any]:
    """Return a record of a call, as the REST API of the Activity Log has it."""
    begins = status == "Started"
    start = dt.datetime.combine(day_of(day), dt.time(7), dt.UTC) + dt.timedelta(minutes=below(500, call))
    return {
        "authorization": {"action": operation, "scope": scope} | ({"evidence": evidence} if evidence else {}),
        "caller": _caller(who),
        "claims": {
            "http://schemas.microsoft.com/identity/claims/objectidentifier": who.principal_id,
            "idtyp": "user" if who.kind == "user" else "app",
        },
        "category": {"value": "Administrative"},
        "correlationId": call,
        "eventDataId": guid("suite event", call, status),
        "eventName": {"value": "BeginRequest" if begins else "EndRequest"},
        "eventTimestamp": (start + dt.timedelta(seconds=0 if begins else 3)).isoformat(),
        "level": "Informational",
        "operationName": {"value": operation},
        "resourceId": scope,
        "status": {"value": status},
        "subStatus": {"value": "OK" if status == "Succeeded" else ""},
        "subscriptionId": scope.split("/")[2],
    }


def _caller(who: SuitePrincipal) -> str:
    return who.name if who.kind == "user" else who.principal_id


_LEAST_OPERATIONS = 15_000
"""Azure had more than 21,000 operations in 2026; a smaller catalogue is a part, and its figures would say little."""


def read_catalogue(operations: pl.DataFrame, definitions: pl.DataFrame) -> SuiteCatalogue:
    """Return the catalogue of the tables `operations` and `role_definitions`.

    Raises:
        EvidenceError: It is not the whole catalogue of Azure.
    """
    if operations.height < _LEAST_OPERATIONS:
        raise EvidenceError(
            f"the catalogue has {operations.height:,} operations, and the suite needs Azure's whole catalogue",
            hint="give `--catalogue` the outputs of `az provider operation list -o json` and "
            "`az role definition list -o json`",
        )
    built_in = definitions.filter(pl.col("role_type") == "BuiltInRole").sort("role_definition_id")
    columns = ("role_definition_id", "role_name", "permissions", "description")
    rows = built_in.select(columns).drop_nulls("role_name").iter_rows()
    return SuiteCatalogue(
        tuple(operations.select("operation", "is_data_action", "is_data_action_source").sort("operation").iter_rows()),
        {
            name: RoleDefinition(id_, name, permissions_from_json(permissions), "BuiltInRole", description or "")
            for id_, name, permissions, description in rows
        },
    )


def write_catalogue(catalogue: SuiteCatalogue, folder: Folder) -> None:
    """Write the operations as a table, and the roles as `az role definition list` prints them."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("operation", "is_data_action", "is_data_action_source"))
    for operation, is_data, source in catalogue.operations:
        writer.writerow((operation, "" if is_data is None else str(is_data).lower(), source or ""))
    folder.write("catalogue/operations.csv", text.getvalue().encode(), records=len(catalogue.operations))
    roles = [
        {
            "id": f"/providers/Microsoft.Authorization/roleDefinitions/{role.role_definition_id}",
            "name": role.role_definition_id,
            "type": "Microsoft.Authorization/roleDefinitions",
            "roleName": role.role_name,
            "description": role.description,
            "roleType": "BuiltInRole",
            "assignableScopes": ["/"],
            "permissions": json.loads(permissions_to_json(role.permissions)),
        }
        for role in catalogue.roles.values()
    ]
    folder.write_json("catalogue/roles.json", roles, records=len(roles))
