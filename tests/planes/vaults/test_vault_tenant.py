"""Vaults from exports to a plan: the listing, the audit log, and what stays allowed after the switch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rightsize.store.connection import open_store
from rightsize.workflow.data.load import load_paths

pytestmark = pytest.mark.slow

SUBSCRIPTION = "60000000-0000-4000-8000-000000000000"
KV = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.KeyVault/vaults"
APP, OTHER = (f"{n}0000000-0000-4000-8000-000000000000" for n in "12")


def _vault(name: str, properties: dict[str, Any] | None) -> dict[str, Any]:
    one = {"id": f"{KV}/{name}", "name": name, "type": "Microsoft.KeyVault/vaults", "location": "west"}
    return one if properties is None else one | {"properties": properties}


def _record(number: int, **more: Any) -> dict[str, Any]:
    return {
        "time": f"2026-03-0{number}T08:00:00.0000000Z",
        "category": "AuditEvent",
        "operationName": "SecretGet",
        "resultType": "Success",
        "correlationId": f"c{number}",
        "resourceId": f"{KV}/old".upper(),
        "identity": {"claim": {"oid": APP, "appid": OTHER}},
        "properties": {"requestUri": "https://old.vault.azure.net/secrets/s", "httpStatusCode": 200} | more,
    }


def test_the_store_says_model_policies_and_use(tmp_path: Path) -> None:
    """Null and absent mean policies; `all` and capitals count; another tenant's policy is marked."""
    policies = [
        {"tenantId": "T", "objectId": APP.upper(), "permissions": {"secrets": ["Get", "LIST"], "keys": ["ALL"]}},
        {"tenantId": "t", "objectId": APP, "applicationId": OTHER, "permissions": {"storage": ["get"]}},
        {"tenantId": "x", "objectId": OTHER, "permissions": {"secrets": ["get"]}},
    ]
    vaults = [
        _vault("old", {"tenantId": "t", "accessPolicies": policies, "enabledForDeployment": True}),
        _vault("null", {"tenantId": "t", "enableRbacAuthorization": None, "accessPolicies": []}),
        _vault("new", {"tenantId": "t", "enableRbacAuthorization": True, "accessPolicies": policies}),
        _vault("bare", None),
    ]
    records = [
        _record(1, isRbacAuthorized=False, isAccessPolicyMatch=True),
        # An older record does not say what let it through.
        _record(2),
        _record(3, httpStatusCode=403, isAccessPolicyMatch=False),
    ]
    (tmp_path / "vaults.json").write_text(json.dumps({"value": vaults}))
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records))
    db = tmp_path / "store.duckdb"
    load_paths(db, [tmp_path / "vaults.json", tmp_path / "log.jsonl"])
    with open_store(db, read_only=True) as store:
        models = dict(store.table("vaults").select("scope", "model").iter_rows())
        held = store.table("vault_policies").to_dicts()
        use = store.table("vault_use_days").select("operation", "scope", "day", "events").sort("day").to_dicts()
    assert {scope.rpartition("/")[2]: model for scope, model in models.items()} == {
        "old": "policies", "null": "policies", "new": "roles", "bare": None,
    }  # fmt: skip
    mine = [one for one in held if one["scope"].endswith("/old")]
    assert {(one["kind"], one["permission"]) for one in mine if one["principal_id"] == APP and not one["app_id"]} == {
        ("secret", "get"), ("secret", "list"), ("key", "all"),
    }  # fmt: skip
    assert {one["app_id"] for one in mine if one["kind"] == "storage"} == {OTHER}
    assert {one["principal_id"] for one in mine if one["is_foreign"]} == {OTHER}
    assert [(one["day"].day, one["events"]) for one in use] == [(1, 1), (2, 1)]
    assert {one["operation"] for one in use} == {"Microsoft.KeyVault/vaults/secrets/getSecret/action"}
