"""Write key vaults that still have access policies, and their audit log, with planted use.

One vault has a log and holders of every kind; one has no log; one has a policy for a person on behalf of an
application, which no role can replace. `USE` is the truth: whoever used something must not lose it.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rightsize.demo.people import id_of
from rightsize.demo.tenant import Principal, SampleTenant
from rightsize.demo.writing import Folder, below, guid

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
    records = sorted(_records(tenant), key=lambda one: (one["time"], one["correlationId"]))
    text = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records)
    folder.write("requests/insights-logs-auditevent-policies.jsonl", text.encode(), records=len(records))


def _records(tenant: SampleTenant) -> Iterator[dict[str, Any]]:
    people = tenant.principals_by_id()
    for number, use in enumerate(USE):
        who, vault = people[id_of(tenant.spec, use.who)], vault_id(tenant, use.vault)
        for ago in range(0, tenant.spec.days, use.every):
            second = below(80_000, tenant.spec.seed, "vault", number, ago)
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
