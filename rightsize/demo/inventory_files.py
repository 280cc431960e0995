"""Write the demo's resources with their settings, the diagnostic settings of those that send a log, and inventories.

The inventories are what an auditor reads of each subscription: `az resource list`, Resource Graph and
`az provider list`, with a manifest that vouches for them.

Write the data-plane log of the one logged storage account, as records of diagnostic settings.

Write key vaults that still have access policies, and their audit log, with planted use. One vault has a log and holders
of every kind; one has no log; one has a policy for a person on behalf of an application, which no role can replace.
`USE` is the truth: whoever used something must not lose it.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from rightsize.demo.azure_records import diagnostic_setting, listed_file, manifest, role_evidence
from rightsize.demo.calls import address_of, client_of
from rightsize.demo.directory_files import CLUSTER_ISSUER
from rightsize.demo.people import id_of, provider_operations, record_form
from rightsize.demo.tenant import Habit, Principal, SampleTenant
from rightsize.demo.writing import Folder, Template, below, guid, guids, gzip_chunks, instant, joined, json_text, number

LEGACY, OLD, SHARED = "kv-portal-legacy", "kv-records-old", "kv-imaging-shared"
GONE = "a principal that was deleted"
OBJECT_ID = "http://schemas.microsoft.com/identity/claims/objectidentifier"
_BESIDE = {LEGACY: "/vaults/kv-portal", OLD: "/vaults/kv-records", SHARED: "/factories/adf-imaging"}
"""The resource of the cast in whose resource group each vault lies."""
LOGGED = (LEGACY, SHARED)


@dataclass(frozen=True, slots=True)
class SamplePolicy:
    """An access policy: its vault, its holder's key in the cast, what it gives, and the application between them."""

    vault: str
    holder: str
    permissions: dict[str, list[str]]
    application: str = ""


POLICIES = (
    SamplePolicy(LEGACY, "portal-api", {"secrets": ["get", "list"], "keys": ["all"]}),
    SamplePolicy(LEGACY, "g-backend", {"secrets": ["All"]}),
    SamplePolicy(LEGACY, "aks-portal", {"keys": ["get", "wrapKey", "unwrapKey", "sign"], "secrets": ["get"]}),
    SamplePolicy(
        LEGACY,
        "github-portal-deploy",
        {"certificates": ["all"], "secrets": ["get", "list", "set", "delete", "purge"]},
    ),
    SamplePolicy(LEGACY, "grafana", {"secrets": ["get", "list"]}),
    SamplePolicy(LEGACY, GONE, {"secrets": ["get"]}),
    SamplePolicy(OLD, "vm-records-01", {"secrets": ["get"]}),
    SamplePolicy(OLD, "g-stewards", {"secrets": ["all"]}),
    SamplePolicy(SHARED, "imaging-pipeline", {"secrets": ["get"]}),
    SamplePolicy(SHARED, "elena", {"keys": ["get", "sign"]}, "imaging-pipeline"),
)


@dataclass(frozen=True, slots=True)
class SampleVaultUse:
    """A repeated request: who sends it where, as the log names it, and on every how many days."""

    vault: str
    who: str
    operation: str
    item: str
    every: int = 1


USE = (
    SampleVaultUse(LEGACY, "portal-api", "SecretGet", "secrets/db-password"),
    SampleVaultUse(LEGACY, "portal-api", "SecretGet", "secrets/smtp-password", 2),
    SampleVaultUse(LEGACY, "jonas", "SecretGet", "secrets/db-password", 3),
    SampleVaultUse(LEGACY, "jonas", "SecretList", "secrets", 7),
    SampleVaultUse(LEGACY, "sara", "SecretGet", "secrets/signing-key", 6),
    SampleVaultUse(LEGACY, "aks-portal", "KeyUnwrap", "keys/disk-key"),
    SampleVaultUse(LEGACY, "aks-portal", "KeyGet", "keys/disk-key", 4),
    SampleVaultUse(LEGACY, "github-portal-deploy", "CertificateImport", "certificates/portal-tls", 20),
    SampleVaultUse(LEGACY, "github-portal-deploy", "CertificateGet", "certificates/portal-tls", 5),
    SampleVaultUse(LEGACY, "github-portal-deploy", "SecretSet", "secrets/release-token", 9),
    SampleVaultUse(SHARED, "imaging-pipeline", "SecretGet", "secrets/scanner-key"),
)


def vault_properties(tenant: SampleTenant) -> dict[str, dict[str, Any]]:
    """Return the properties of the vaults with access policies, by resource id."""
    people = tenant.principals_by_id()
    found: dict[str, dict[str, Any]] = {}
    for vault in _BESIDE:
        policies = [_policy(tenant, one, people) for one in POLICIES if one.vault == vault]
        # Of an old API version: the model is not written at all.
        model = {} if vault == OLD else {"enableRbacAuthorization": False}
        found[vault_id(tenant, vault)] = {
            "tenantId": tenant.tenant_id,
            **model,
            "enableSoftDelete": True,
            "enabledForDeployment": vault == LEGACY,
            "accessPolicies": policies,
        }
    return found


def logged_vaults(tenant: SampleTenant) -> list[str]:
    """Return the vaults with access policies that send a log."""
    return [vault_id(tenant, vault) for vault in LOGGED]


def vault_id(tenant: SampleTenant, vault: str) -> str:
    """Return the resource id of a vault."""
    places = [*(habit.scope for habit in tenant.habits), *(one.resource_id for one in tenant.principals)]
    beside = next(place for place in places if _BESIDE[vault] in place)
    return f"{beside.partition('/providers/')[0]}/providers/Microsoft.KeyVault/vaults/{vault}"


def _policy(tenant: SampleTenant, one: SamplePolicy, people: dict[str, Principal]) -> dict[str, Any]:
    holder = id_of(tenant.spec, one.holder)
    through = {"applicationId": people[id_of(tenant.spec, one.application)].app_id} if one.application else {}
    return {"tenantId": tenant.tenant_id, "objectId": holder, "permissions": one.permissions} | through


def write_vaults(tenant: SampleTenant, folder: Folder) -> None:
    """Write the audit log of the vaults with access policies, as a diagnostic setting sends it."""
    records = sorted(_vault_records(tenant), key=lambda one: (one["time"], one["correlationId"]))
    text = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records)
    folder.write("requests/insights-logs-auditevent-policies.jsonl", text.encode(), records=len(records))


def _vault_records(tenant: SampleTenant) -> Iterator[dict[str, Any]]:
    people = tenant.principals_by_id()
    for nth, use in enumerate(USE):
        who, vault = people[id_of(tenant.spec, use.who)], vault_id(tenant, use.vault)
        for ago in range(0, tenant.spec.days, use.every):
            second = below(80_000, tenant.spec.seed, "vault", nth, ago)
            time = dt.datetime.combine(tenant.spec.day_ago(ago), dt.time()) + dt.timedelta(seconds=second)
            call = guid(tenant.spec.seed, use.vault, use.who, use.operation, use.item, time)
            yield audit_record(vault, use.operation, use.item, _claim(tenant, who), time, call)


def _claim(tenant: SampleTenant, who: Principal) -> dict[str, str]:
    claim = {OBJECT_ID: who.principal_id, "appid": who.app_id or guid(tenant.spec.seed, "client", who.principal_id)}
    return claim | ({"upn": who.user_principal_name} if who.user_principal_name else {})


def audit_record(
    vault: str, operation: str, item: str, claim: Mapping[str, str], time: dt.datetime, call: str
) -> dict[str, Any]:
    """Return the record of a request that an access policy let through, as a diagnostic setting sends it."""
    name = vault.rpartition("/")[2]
    return {
        "time": time.isoformat(timespec="microseconds") + "Z",
        "category": "AuditEvent",
        "operationName": operation,
        "operationVersion": "7.4",
        "resultType": "Success",
        "resultSignature": "OK",
        "correlationId": call,
        "callerIpAddress": "20.61.4.17",
        "resourceId": vault.upper(),
        "durationMs": "12",
        "identity": {"claim": dict(claim)},
        "properties": {
            "requestUri": f"https://{name}.vault.azure.net/{item}?api-version=7.4",
            "httpStatusCode": 200,
            "isRbacAuthorized": False,
            "isAccessPolicyMatch": True,
        },
    }


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
