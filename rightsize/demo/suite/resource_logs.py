"""Write the diagnostic settings of a suite tenant, and the data-plane logs of the resources that have one.

Beside the calls of the needs, each log has daily requests that show use of no role: those signed with a key, and the
request without a token that clients send to a vault first. So every day has rows, as in the log of a resource in use.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

from rightsize.demo.hashing import below, guid
from rightsize.demo.suite.model import SEEN_DAYS, SuiteNeed, SuitePrincipal, SuiteResource, SuiteTenant, day_of
from rightsize.demo.writing import Folder
from rightsize.rbac.algebra import grants

_OBJECT_ID = "http://schemas.microsoft.com/identity/claims/objectidentifier"
_CATEGORIES = {
    "Microsoft.Storage/storageAccounts": ("/blobServices/default", ("StorageRead", "StorageWrite", "StorageDelete")),
    "Microsoft.KeyVault/vaults": ("", ("AuditEvent",)),
}
_REQUESTS = {
    "blobs/read": ("GetBlob", "StorageRead", 200),
    "blobs/write": ("PutBlob", "StorageWrite", 201),
    "blobs/delete": ("DeleteBlob", "StorageDelete", 202),
    "containers/write": ("CreateContainer", "StorageWrite", 201),
    "generateUserDelegationKey/action": ("GetUserDelegationKey", "StorageRead", 200),
    "getSecret/action": ("SecretGet", "AuditEvent", 200),
    "setSecret/action": ("SecretSet", "AuditEvent", 200),
}
"""Request, category and status by the end of an operation."""
_SIGNED = ("blobs/read", "blobs/write", "blobs/delete")


def write_resource_logs(tenant: SuiteTenant, folder: Folder) -> None:
    """Write one file of settings, and one file of logs for each service."""
    logging = [one for one in tenant.resources if one.sends_log]
    settings = [_setting(one) for one in logging]
    folder.write_json("diagnostic-settings.json", {"value": settings}, records=len(settings))
    people = {one.principal_id: one for one in tenant.principals}
    rows = [row for one in logging for day in range(SEEN_DAYS) for row in _daily(one, day)]
    rows += [
        _call(tenant, need, people[need.principal_id], day)
        for need in tenant.needs
        if need.by_resource and need.is_recorded
        for day in need.seen
    ]
    rows.sort(key=lambda row: (row["time"], row["correlationId"]))
    for name, is_vault in (("storage", False), ("vaults", True)):
        lines = [json.dumps(row).encode() + b"\n" for row in rows if (row["category"] == "AuditEvent") is is_vault]
        folder.write(f"resource-logs/{name}.jsonl", lines, records=len(lines))


def _setting(one: SuiteResource) -> dict[str, Any]:
    part, categories = _CATEGORIES[one.resource_type]
    return {
        "id": f"{one.scope}{part}/providers/microsoft.insights/diagnosticSettings/to-archive",
        "type": "Microsoft.Insights/diagnosticSettings",
        "name": "to-archive",
        "properties": {"logs": [{"category": name, "enabled": True} for name in categories], "metrics": []},
    }


def _call(tenant: SuiteTenant, need: SuiteNeed, who: SuitePrincipal, day: int) -> dict[str, Any]:
    """Return the record of a call that a role assignment allowed."""
    resource = "/".join(need.scope.split("/")[:9])
    row = _record(resource, need.operation, day, guid("suite request", need.principal_id, need.operation, need.scope))
    holders = {who.principal_id, *(group for group, members in tenant.members.items() if who.principal_id in members)}
    grant = next(
        one
        for one in tenant.grants
        if one.principal_id in holders and grants(one.role.blocks, need.operation, need.plane) == "yes"
    )
    if row["category"] == "AuditEvent":
        claim = {_OBJECT_ID: who.principal_id, "appid": guid("suite app", who.principal_id)}
        given = {"isRbacAuthorized": True, "appliedAssignmentId": grant.grant_id, "httpStatusCode": 200}
        return row | {"identity": {"claim": claim}, "properties": row["properties"] | given}
    authorization = {
        "action": need.operation,
        "denyAssignmentId": "",
        "principals": [{"id": grant.principal_id, "type": "Group" if grant.principal_id in tenant.members else
                        who.arm_type}],
        "reason": "Policy",
        "result": "Granted",
        "roleAssignmentId": grant.grant_id,
        "roleDefinitionId": grant.role.role_id,
        "type": "RBAC",
    }  # fmt: skip
    requester = {
        "appId": guid("suite app", who.principal_id),
        "audience": "https://storage.azure.com",
        "objectId": who.principal_id,
        "tenantId": tenant.tenant_id,
    }
    return row | {"identity": {"type": "OAuth", "authorization": [authorization], "requester": requester}}


def _daily(one: SuiteResource, day: int) -> Iterator[dict[str, Any]]:
    """Yield requests of a day that show use of no role."""
    if one.resource_type == "Microsoft.KeyVault/vaults":
        row = _record(one.scope, "getSecret/action", day, "challenge")
        asked = row["properties"] | {"httpStatusCode": 401}
        yield row | {"identity": {}, "resultSignature": "Unauthorized", "properties": asked}
        return
    for operation in _SIGNED:
        row = _record(one.scope, operation, day, "signed")
        yield row | {"statusText": "SASSuccess", "identity": {"type": "SAS"}}


def _record(resource: str, operation: str, day: int, whose: str) -> dict[str, Any]:
    """Return a record without its identity, in the form of diagnostic settings."""
    request, category, status = next(one for end, one in _REQUESTS.items() if operation.endswith(end))
    call = guid("suite resource call", resource, operation, day, whose)
    time = dt.datetime.combine(day_of(day), dt.time(7), dt.UTC) + dt.timedelta(minutes=below(500, call))
    name = resource.rsplit("/", 1)[-1]
    shared = {
        "time": time.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "category": category,
        "operationName": request,
        "correlationId": call,
        "durationMs": 11,
    }
    if category == "AuditEvent":
        asked = {
            "id": f"https://{name}.vault.azure.net/secrets/main/0f3c",
            "requestUri": f"https://{name}.vault.azure.net/secrets/main/?api-version=7.4",
        }
        return shared | {
            "operationVersion": "7.4",
            "resourceId": resource.upper(),
            "resultType": "Success",
            "resultSignature": "OK",
            "callerIpAddress": "192.0.2.14",
            "properties": asked,
        }
    return shared | {
        "operationVersion": "2023-11-03",
        "schemaVersion": "1.0",
        "resourceId": f"{resource}/blobServices/default",
        "resourceType": "Microsoft.Storage/storageAccounts/blobServices",
        "statusCode": status,
        "statusText": "Success",
        "callerIpAddress": "192.0.2.14:40112",
        "properties": {"accountName": name, "objectKey": f"/{name}/main/{day}.dat", "serviceType": "blob"},
        "protocol": "HTTPS",
        "uri": f"https://{name}.blob.core.windows.net:443/main/{day}.dat",
    }
