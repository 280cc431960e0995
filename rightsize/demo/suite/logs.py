"""Write the logs of a suite tenant beside the Activity Log: sign-ins, and those of resources with a diagnostic setting.

Beside the calls of the needs, each log has daily requests that show use of no role: those signed with a key, and the
request without a token that clients send to a vault first. So every day has rows, as in the log of a resource in use.

Whoever makes a call, or is refused, first got a token for the service on that day: Azure Resource Manager, or the
service whose endpoint is called. Reads need a token, too, though no log shows them. Besides, people sign in to mail.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

import polars as pl

from rightsize.demo.activity_files import CATEGORIES, sign_in_record
from rightsize.demo.azure_records import diagnostic_setting, role_evidence
from rightsize.demo.calls import (
    ARM,
    AZURE_CLI,
    AZURE_PORTAL,
    DATA_SERVICES,
    EXCHANGE,
    INTERACTIVE,
    MANAGED_IDENTITY,
    NON_INTERACTIVE,
    SERVICE_PRINCIPAL,
)
from rightsize.demo.suite.listings import activated_days
from rightsize.demo.suite.model import (
    SEEN_DAYS,
    SuiteNeed,
    SuitePrincipal,
    SuiteResource,
    SuiteSignIn,
    SuiteTenant,
    day_of,
)
from rightsize.demo.writing import Folder, below, guid, joined, json_text
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
    settings = [diagnostic_setting(one.scope, *_CATEGORIES[one.resource_type]) for one in logging]
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


def _call(tenant: SuiteTenant, need: SuiteNeed, who: SuitePrincipal, day: int) -> dict[str, Any]:
    """Return the record of a call that a role assignment allowed."""
    resource = "/".join(need.scope.split("/")[:9])
    row = _record(resource, need.operation, day, guid("suite request", need.principal_id, need.operation, need.scope))
    holders = {who.principal_id, *(group for group, members in tenant.members.items() if who.principal_id in members)}
    grant = next(
        one
        for one in tenant.grants
        if one.principal_id in holders and grants(one.role.permissions, need.operation, need.plane) == "yes"
    )
    if row["category"] == "AuditEvent":
        claim = {_OBJECT_ID: who.principal_id, "appid": guid("suite app", who.principal_id)}
        given = {"isRbacAuthorized": True, "appliedAssignmentId": grant.grant_id, "httpStatusCode": 200}
        return row | {"identity": {"claim": claim}, "properties": row["properties"] | given}
    holder = (grant.principal_id, "Group" if grant.principal_id in tenant.members else who.arm_type)
    authorization = role_evidence(need.operation, grant.grant_id, grant.role.role_definition_id, holder)
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


_GRAPH = ("00000003-0000-0000-c000-000000000000", "Microsoft Graph")
_SERVICES = DATA_SERVICES | {
    "Microsoft.ContainerService": ("6dae42f8-4368-4678-94ff-3960e28e3630", "Azure Kubernetes Service AAD Server"),
}
"""The services with own tokens, by provider; registries and the deployment of sites take those of Resource Manager.

Source: GitHub merill/microsoft-info for the ids; Microsoft Learn, "Disable ARM audience tokens for authentication" for
registries, and "Deploy files to App Service" for sites.
"""
_MAIL_DAYS = 3


def sign_ins_of(tenant: SuiteTenant) -> Iterator[SuiteSignIn]:
    """Yield the sign-ins of the seen days, one a principal, service and day, in a fixed order."""
    found = {(need.principal_id, service_of(need), day) for need in tenant.needs for day in need.seen}
    found |= {(one.principal_id, ARM, one.day) for one in tenant.refusals}
    for grant in tenant.grants:
        if grant.state == "eligible":
            found |= {(grant.principal_id, ARM, day) for day in activated_days(tenant, grant)}
    found |= {(one.principal_id, service, day) for one in tenant.principals for service, day in _besides(one)}
    yield from (SuiteSignIn(*one) for one in sorted(found, key=lambda one: (one[2], one[0], one[1])))


def service_of(need: SuiteNeed) -> tuple[str, str]:
    """Return the service whose token a need takes: its own for what runs on an endpoint, else Resource Manager."""
    on_endpoint = need.kind in ("endpoint", "data") or need.by_resource
    return _SERVICES.get(need.operation.split("/")[0], ARM) if on_endpoint else ARM


def _besides(who: SuitePrincipal) -> Iterator[tuple[tuple[str, str], int]]:
    """Yield service and day of the sign-ins that no need asks for."""
    service = EXCHANGE if who.kind == "user" else _GRAPH
    for day in range(SEEN_DAYS):
        is_now = who.signs_in == "daily" or (
            who.signs_in == "some" and who.kind == "user" and not below(_MAIL_DAYS, "suite mail", who.principal_id, day)
        )
        if is_now and day_of(day) >= who.created_on:
            yield service, day


def write_sign_ins(tenant: SuiteTenant, folder: Folder) -> None:
    """Write the logs of sign-ins as diagnostic settings send them, one file a log; none for a tenant without them."""
    if not tenant.sign_ins:
        return
    people = {one.principal_id: one for one in tenant.principals}
    rows: dict[int, list[dict[str, str]]] = {kind: [] for kind in CATEGORIES}
    for one in tenant.sign_ins:
        who = people[one.principal_id]
        for kind in _kinds(who, one):
            rows[kind].append(_slots(who, one, kind))
    for kind, category in CATEGORIES.items():
        text = joined(sign_in_record(tenant.tenant_id, kind).fill(pl.DataFrame(rows[kind])), "\n") + b"\n"
        folder.write(f"sign-ins/{category.lower()}.jsonl", text, records=len(rows[kind]))


def _kinds(who: SuitePrincipal, one: SuiteSignIn) -> tuple[int, ...]:
    """Return the logs that show a sign-in: two of three of a person need no typing."""
    if who.kind != "user":
        return (MANAGED_IDENTITY if who.kind == "identity" else SERVICE_PRINCIPAL,)
    if who.signs_in == "daily":
        return (INTERACTIVE, NON_INTERACTIVE)
    return (NON_INTERACTIVE if below(3, "suite kind", who.principal_id, one.service[0], one.day) else INTERACTIVE,)


def _slots(who: SuitePrincipal, one: SuiteSignIn, kind: int) -> dict[str, str]:
    """Return the texts of a record, by the names of its slots."""
    id_ = guid("suite sign-in", who.principal_id, one.service[0], one.day, kind)
    start = dt.datetime.combine(day_of(one.day), dt.time(6, 30)) + dt.timedelta(minutes=below(25, id_))
    client = guid("suite app", who.principal_id)
    if who.kind == "user":
        client = (AZURE_PORTAL, AZURE_CLI)[below(2, "suite client", who.principal_id)]
    return {
        "id": id_,
        "instant": f"{start.isoformat()}.0000000Z",
        "error_code": "0",
        "signature": "SUCCESS",
        "reason": "Other.",
        "address": f"192.0.2.{1 + below(250, 'suite address', who.principal_id)}",
        "correlation": guid("suite sign-in request", id_),
        "principal_id": who.principal_id,
        "name": json_text(who.name),
        "upn": json_text(who.name),
        "user_type": json_text("member"),
        "credential": json_text(guid("suite credential", who.principal_id)),
        "federated": json_text(""),
        "client": client,
        "client_name": json_text(who.name),
        "resource_id": one.service[0],
        "resource_name": json_text(one.service[1]),
        "token": id_.replace("-", "")[:22],
    }
