"""Write the data-plane log of the one logged storage account, as records of diagnostic settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from rightsize.demo.calls import address_of, client_of
from rightsize.demo.hashing import below, guid, guids, number
from rightsize.demo.tenant import Habit, Principal, SampleTenant
from rightsize.demo.writing import Folder, Template, gzip_chunks, instant, joined, json_text

# REST operation and category of a data action, by its last segment.
_REQUESTS = {"read": ("GetBlob", "StorageRead", 200), "write": ("PutBlob", "StorageWrite", 201)}
_DELETE = ("DeleteBlob", "StorageDelete", 202)
CATEGORIES = ("StorageRead", "StorageWrite", "StorageDelete")
_SLICE = 20_000


def write_storage(tenant: SampleTenant, folder: Folder) -> pl.DataFrame:
    """Write one file a category; return the calls in them, without those signed with a key."""
    shown = pl.Series([habit.kind == "storage" for habit in tenant.habits])
    calls = tenant.calls.filter(shown.gather(tenant.calls["habit"]))
    principals = tenant.principals_by_id()
    texts = pl.DataFrame(
        [_habit_texts(tenant, habit, principals) for habit in tenant.habits if habit.kind == "storage"]
    )
    position = pl.Series([habit.kind == "storage" for habit in tenant.habits]).cast(pl.Int64).cum_sum() - 1
    calls = calls.with_columns(position.gather(calls["habit"]).alias("text"))
    for category in CATEGORIES:
        held = calls.filter((texts["category"] == category).gather(calls["text"])).sort("time", "habit", "call")
        chunks = [joined(_records(tenant, texts, part), "\n") + b"\n" for part in held.iter_slices(_SLICE)]
        signed = _signed_with_key(tenant, category)
        chunks += [text.encode() + b"\n" for text in signed]
        name = f"storage/insights-logs-{category.lower()}.jsonl.gz"
        folder.write(name, gzip_chunks(chunks), records=held.height + len(signed))
    return calls


def _records(tenant: SampleTenant, texts: pl.DataFrame, calls: pl.DataFrame) -> pl.Series:
    described = texts[calls["text"]].drop("category")
    keys = (calls["habit"], calls["call"])
    frame = calls.drop("text").hstack(described).with_columns(
        guids(number(tenant.spec.seed, "storage"), *keys).alias("request"),
        (pl.col("call") * 7 % 10).cast(pl.String).alias("digit"),
        (pl.col("call") % 40).cast(pl.String).str.zfill(3).alias("blob"),
        (pl.col("call") * 137 % 50_000 + 10_000).cast(pl.String).alias("port"),
    ).with_columns(instant("time", "digit").alias("instant"))  # fmt: skip
    return Template(_RECORD).fill(frame)


def _habit_texts(tenant: SampleTenant, habit: Habit, principals: Mapping[str, Principal]) -> dict[str, str]:
    principal = principals[habit.principal_id]
    request, category, code = _REQUESTS.get(habit.operation.rsplit("/", 1)[-1], _DELETE)
    denied = habit.outcome == "denied"
    account_scope, _, container = habit.scope.partition("/blobServices/default/containers/")
    account = account_scope.rsplit("/", 1)[-1]
    return {
        "category": category,
        "category_json": json_text(category),
        "resource": json_text(f"{account_scope}/blobServices/default"),
        "request_name": json_text(request),
        "code": json_text(403 if denied else code),
        "status": json_text("AuthorizationPermissionMismatch" if denied else "Success"),
        "response": json_text("AuthorizationError" if denied else "Success"),
        "authorization": json_text([_authorization(habit, principals)]),
        "requester": json_text(_requester(tenant, principal)),
        "address": address_of(tenant, principal),
        "account_json": json_text(account),
        "account": json_text(account)[1:-1],
        "container": json_text(container)[1:-1],
    }


def _authorization(habit: Habit, principals: Mapping[str, Principal]) -> dict[str, Any]:
    entry: dict[str, Any] = {"action": habit.operation, "denyAssignmentId": "", "type": "RBAC"}
    if habit.grant is None:
        return entry | {
            "principals": [],
            "reason": "NoApplicablePolicy",
            "result": "Denied",
            "roleAssignmentId": "",
            "roleDefinitionId": "",
        }
    holder = principals[habit.grant.principal_id]
    return entry | {
        "principals": [{"id": holder.principal_id, "type": holder.arm_type}],
        "reason": "Policy",
        "result": "Granted",
        "roleAssignmentId": habit.grant.grant_id,
        "roleDefinitionId": habit.grant.role.role_definition_id,
    }


def _requester(tenant: SampleTenant, principal: Principal) -> dict[str, str]:
    requester = {
        "appId": client_of(tenant, principal),
        "audience": "https://storage.azure.com",
        "objectId": principal.principal_id,
        "tenantId": tenant.tenant_id,
        "tokenIssuer": f"https://sts.windows.net/{tenant.tenant_id}/",
    }
    if principal.user_principal_name:
        requester["upn"] = principal.user_principal_name
    return requester


def _signed_with_key(tenant: SampleTenant, category: str) -> list[str]:
    """Return a few requests that were signed with a key, and so show no use of a role."""
    if category != "StorageRead":
        return []
    account = tenant.logged_resources[0]
    lines = []
    for index in range(6):
        day = tenant.spec.day_ago(3 + index * 9)
        request = guid(tenant.spec.seed, "sas", index)
        record = {
            "time": f"{day.isoformat()}T0{index}:1{index}:07.1234567Z",
            "resourceId": f"{account}/blobServices/default",
            "category": category,
            "operationName": "GetBlob",
            "operationVersion": "2023-11-03",
            "schemaVersion": "1.0",
            "statusCode": 200,
            "statusText": "SASSuccess",
            "durationMs": 4 + index,
            "callerIpAddress": f"192.0.2.{10 + below(200, tenant.spec.seed, 'sas', index)}:40112",
            "correlationId": request,
            "identity": {"type": "SAS", "tokenHash": guid(tenant.spec.seed, "token", index).upper().replace("-", "")},
            "location": "West Europe",
            "properties": {
                "accountName": account.rsplit("/", 1)[-1],
                "objectKey": f"/{account.rsplit('/', 1)[-1]}/exports/share-{index}.zip",
                "serviceType": "blob",
                "metricResponseType": "SASSuccess",
            },
            "uri": f"https://{account.rsplit('/', 1)[-1]}.blob.core.windows.net:443/exports/share-{index}.zip",
            "protocol": "HTTPS",
            "resourceType": "Microsoft.Storage/storageAccounts/blobServices",
        }
        lines.append(json_text(record))
    return lines


_RECORD = {
    "time": "#{instant}",
    "resourceId": "@{resource}",
    "category": "@{category_json}",
    "operationName": "@{request_name}",
    "operationVersion": "2023-11-03",
    "schemaVersion": "1.0",
    "statusCode": "@{code}",
    "statusText": "@{status}",
    "durationMs": 12,
    "callerIpAddress": "#{address}:#{port}",
    "correlationId": "#{request}",
    "identity": {
        "type": "OAuth",
        "tokenHash": "0D8C3F5B2A7E4D16A7C2B9E8F1D3C4A5",
        "authorization": "@{authorization}",
        "requester": "@{requester}",
    },
    "location": "West Europe",
    "properties": {
        "accountName": "@{account_json}",
        "userAgentHeader": "azsdk-python-storage-blob/12.19.1 Python/3.11.6 (Linux)",
        "clientRequestId": "#{request}",
        "serviceType": "blob",
        "objectKey": "/#{account}/#{container}/study-#{blob}.dat",
        "metricResponseType": "@{response}",
        "serverLatencyMs": 9,
        "requestHeaderSize": 1442,
        "responseHeaderSize": 398,
        "tlsVersion": "TLS 1.3",
    },
    "uri": "https://#{account}.blob.core.windows.net:443/#{container}/study-#{blob}.dat",
    "protocol": "HTTPS",
    "resourceType": "Microsoft.Storage/storageAccounts/blobServices",
}
