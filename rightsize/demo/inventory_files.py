"""Write the demo's resources with their settings, the diagnostic settings of those that send a log, and inventories.

The inventories are what an auditor reads of each subscription: `az resource list`, Resource Graph and
`az provider list`, with a manifest that vouches for them.

Write the data-plane log of the one logged storage account, as records of diagnostic settings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import polars as pl

from rightsize.demo.azure_records import diagnostic_setting, listed_file, manifest, role_evidence
from rightsize.demo.calls import address_of, client_of
from rightsize.demo.directory_files import CLUSTER_ISSUER
from rightsize.demo.people import provider_operations, record_form
from rightsize.demo.tenant import Habit, Principal, SampleTenant
from rightsize.demo.vault_files import logged_vaults, vault_properties
from rightsize.demo.writing import Folder, Template, below, guid, guids, gzip_chunks, instant, joined, json_text, number

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
    vaults = vault_properties(tenant)
    for resource in _resources(tenant):
        by_subscription.setdefault(resource.split("/")[2], []).append(_document(resource, vaults))
    for subscription, documents in sorted(by_subscription.items()):
        name = f"inventory/resources-{subscription}.json"
        folder.write_json(name, {"value": documents}, records=len(documents))
    settings = [
        diagnostic_setting(resource, *_CATEGORIES[resource.split("/")[6]]) for resource in logged_resources(tenant)
    ]
    folder.write_json("inventory/diagnostic-settings.json", {"value": settings}, records=len(settings))


# Providers that every subscription has without registration.
_FREE = ("microsoft.authorization", "microsoft.resources", "microsoft.support", "microsoft.billing")


def write_inventories(tenant: SampleTenant, folder: Folder) -> None:
    """Write the listings of every subscription, also of those without resources, and their manifest."""
    resources: dict[str, list[str]] = {}
    for resource in _resources(tenant):
        resources.setdefault(resource.split("/")[2], []).append(resource)
    entries: list[dict[str, Any]] = []

    def add(path: str, kind: str, query: str, subscription: str, document: object, rows: int) -> None:
        folder.write_json(f"inventory/{path}", document, records=rows)
        entries.append(listed_file(path, kind, query, [subscription], rows))

    used, vaults = _used_providers(tenant), vault_properties(tenant)
    for scope in (scope.scope for scope in tenant.scopes if scope.kind == "subscription"):
        name = scope.rpartition("/")[2]
        documents = [_document(resource, vaults) for resource in resources.get(name, [])]
        listed = [{key: value for key, value in one.items() if key != "properties"} for one in documents]
        add(f"resource-list/{name}.json", "resources", f"az resource list --subscription {name} -o json", name,
            listed, len(listed))  # fmt: skip
        query = f'az graph query -q "resources | order by id asc" --first 1000 --subscriptions {name} -o json'
        add(f"resource-graph/{name}.json", "resources", query, name, _answer(documents), len(documents))
        providers = [_provider(scope, one["name"], used.get(scope, set())) for one in provider_operations()]
        add(f"providers/{name}.json", "providers", f"az provider list --subscription {name} -o json", name,
            providers, len(providers))  # fmt: skip
    folder.write_json("inventory/manifest.json", _manifest(tenant, entries), records=1)


def _manifest(tenant: SampleTenant, entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the manifest of an auditor, who may read everything and reads on the morning after the last day."""
    root = next(scope.scope for scope in tenant.scopes if not scope.parent)
    grant = next(one for one in tenant.grants if one.scope == root and one.role.role_name == "Reader")
    reader = tenant.principals_by_id()[tenant.members[grant.principal_id][0]]
    said = {"id": reader.principal_id, "name": reader.user_principal_name}
    return manifest(tenant.tenant_id, said, tenant.spec.end_day, entries)


def _answer(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """Return an answer of Resource Graph, which spells types in lower case."""
    rows = [
        {**one, "type": one["type"].lower(), "resourceGroup": one["id"].split("/")[4]}
        | {"subscriptionId": one["id"].split("/")[2], "properties": one.get("properties", {})}
        for one in documents
    ]
    return {"count": len(rows), "data": rows, "skip_token": None, "total_records": len(rows)}


def _used_providers(tenant: SampleTenant) -> dict[str, set[str]]:
    """Return the folded providers of the resources and operations of each subscription."""
    found: dict[str, set[str]] = {}
    for scope, what in (
        *((habit.scope, habit.operation) for habit in tenant.habits),
        *((resource, resource.split("/", 6)[6]) for resource in _resources(tenant)),
    ):
        found.setdefault("/".join(scope.split("/")[:3]), set()).add(what.split("/")[0].lower())
    return found


def _provider(scope: str, name: str, used: set[str]) -> dict[str, Any]:
    is_free = name.lower() in _FREE
    return {
        "id": f"{scope}/providers/{name}",
        "namespace": name,
        "registrationPolicy": "RegistrationFree" if is_free else "RegistrationRequired",
        "registrationState": "Registered" if is_free or name.lower() in used else "NotRegistered",
        "resourceTypes": [],
    }


def logged_resources(tenant: SampleTenant) -> list[str]:
    """Return the resources that send a log of their data plane, sorted."""
    asked = (habit.scope for habit in tenant.habits if habit.kind in ("storage", "request"))
    return sorted({*(found[1] for scope in asked if (found := _RESOURCE.match(scope))), *logged_vaults(tenant)})


def _resources(tenant: SampleTenant) -> list[str]:
    named = [habit.scope for habit in tenant.habits] + [grant.scope for grant in tenant.grants]
    named += [principal.resource_id for principal in tenant.principals]
    named += vault_properties(tenant)
    found = {match[1].lower(): match[1] for scope in sorted(named) if (match := _RESOURCE.match(scope))}
    return [resource for _, resource in sorted(found.items()) if resource.split("/")[6].lower() not in _OF_OTHERS]


def _document(resource: str, vaults: dict[str, dict[str, Any]]) -> dict[str, Any]:
    parts = resource.split("/")
    kind = f"{parts[6]}/{parts[7]}"
    properties = vaults.get(resource) or _PROPERTIES.get(kind)
    return {
        "id": resource,
        "name": parts[8],
        "type": kind,
        "location": "westeurope",
        **({"properties": properties} if properties else {}),
    }


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
    return Template(record_form("storage")).fill(frame)


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
    grant = habit.grant
    if grant is None:
        return role_evidence(habit.operation, "", "", None)
    holder = principals[grant.principal_id]
    given = (holder.principal_id, holder.arm_type)
    return role_evidence(habit.operation, grant.grant_id, grant.role.role_definition_id, given)


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
