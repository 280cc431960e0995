"""Resources and their settings, and the diagnostic settings that log them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.ingest.entity_records import SUB, stage_document

VAULT = f"{SUB}/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/KV"
ACCOUNT = f"{SUB}/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/acct"


def resource(identifier: str, kind: str, **more: Any) -> dict[str, Any]:
    """Return a resource as Resource Manager lists it."""
    return {"id": identifier, "name": identifier.rsplit("/", 1)[-1], "type": kind, "location": "westeurope", **more}


def setting(scope: str, *logs: dict[str, Any], name: str = "to-workspace") -> dict[str, Any]:
    """Return a diagnostic setting as Resource Manager lists it."""
    return {
        "id": f"{scope}/providers/microsoft.insights/diagnosticSettings/{name}",
        "type": "Microsoft.Insights/diagnosticSettings",
        "name": name,
        "properties": {"workspaceId": "/subscriptions/x", "logs": list(logs), "metrics": []},
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "settings"),
    [
        ({"properties": {"enableRbacAuthorization": True, "vaultUri": "x"}}, {"enableRbacAuthorization": "true"}),
        ({"properties": {"vaultUri": "x"}}, {}),
        ({"properties": None}, None),
        ({}, None),
        ({"enableRbacAuthorization": False}, {"enableRbacAuthorization": "false"}),
    ],
)
def test_settings_are_known_where_properties_are_listed(more: Any, settings: Any, tmp_path: Path) -> None:
    """A listing of all resources has none; a setting that is not there says something only beside others."""
    staged = stage_document(tmp_path, [resource(VAULT, "Microsoft.KeyVault/vaults", **more)])
    ((scope, kind, found),) = staged.rows("resources", "scope", "resource_type", "settings")
    assert (scope, kind) == (VAULT, "Microsoft.KeyVault/vaults")
    assert (None if found is None else json.loads(found)) == settings
    assert staged.rejects == []


@pytest.mark.slow
def test_nested_settings_are_found_in_any_capitals(tmp_path: Path) -> None:
    """The Azure CLI prints `enableAzureRbac` beside the id, Resource Manager `enableAzureRBAC` in properties."""
    cluster = f"{SUB}/resourceGroups/rg/providers/Microsoft.ContainerService/managedClusters/aks"
    kind = "Microsoft.ContainerService/ManagedClusters"
    flat = resource(cluster, kind, aadProfile={"enableAzureRbac": True}, disableLocalAccounts=True, tags=None)
    staged = stage_document(tmp_path, [flat])
    ((found,),) = [(row,) for row in staged.rows("resources", "settings")]
    assert json.loads(found) == {"aadProfile/enableAzureRBAC": "true", "disableLocalAccounts": "true"}


@pytest.mark.nightly
def test_a_listing_is_whole_where_its_last_page_says_so_and_nothing_of_it_was_lost(tmp_path: Path) -> None:
    """It speaks for the types that it has; a bare list may have been filtered."""
    page = {
        "value": [resource(VAULT, "Microsoft.KeyVault/vaults"), resource(ACCOUNT, "Microsoft.Storage/storageAccounts")]
    }
    whole = [
        ("resources", f"{SUB} microsoft.keyvault/vaults"),
        ("resources", f"{SUB} microsoft.storage/storageaccounts"),
    ]
    assert sorted(stage_document(tmp_path, page).rows("listings", "listing", "of")) == whole
    assert stage_document(tmp_path, page | {"nextLink": "https://x"}).rows("listings", "of") == []
    assert stage_document(tmp_path, page["value"]).rows("listings", "of") == []
    damaged = {"value": [*page["value"], {"id": "rg", "tags": {}, "name": "x", "type": "y", "location": "z"}]}
    assert stage_document(tmp_path, damaged).rows("listings", "of") == []


@pytest.mark.slow
def test_diagnostic_settings_name_categories_and_groups_of_them(tmp_path: Path) -> None:
    """Those of a storage account stand at each of its services."""
    service = f"{ACCOUNT}/blobServices/default"
    staged = stage_document(
        tmp_path,
        {
            "value": [
                setting(
                    VAULT, {"category": "AuditEvent", "enabled": True}, {"categoryGroup": "allLogs", "enabled": False}
                ),
                setting(service, {"category": None, "categoryGroup": "audit", "enabled": True}, name="Two"),
            ]
        },
    )
    assert sorted(staged.rows("diagnostic_settings", "scope", "name", "category", "is_group", "enabled")) == [
        (VAULT.lower(), "to-workspace", "alllogs", True, False),
        (VAULT.lower(), "to-workspace", "auditevent", False, True),
        (service.lower(), "two", "audit", True, True),
    ]


@pytest.mark.slow
def test_a_log_without_a_name_is_rejected_and_the_others_are_kept(tmp_path: Path) -> None:
    """One odd entry must not hide that the rest is sent."""
    odd = setting(VAULT, {"category": "AuditEvent", "enabled": True}, {"category": 7, "enabled": "yes"})
    staged = stage_document(tmp_path, [odd])
    assert staged.rows("diagnostic_settings", "category") == ["auditevent"]
    assert [reason for _, reason, *_ in staged.rejects] == ["one of its logs lacks its category or `enabled`"]
