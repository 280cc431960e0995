"""The types whose absence a listing proves: each against Azure's request paths, and what may act without a resource."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path

import polars as pl
import pytest

from rightsize.model.text import fold
from rightsize.rules.resource_types import change_named, decided_type, extends_others, inventory_types, is_for_recovery
from rightsize.rules.tables import rows_of

_IN_GROUP = re.compile(r"^/subscriptions/\{[^}]+\}/resourcegroups/\{[^}]+\}/providers/([^/{]+/[^/{]+)/\{[^}]+\}(?:/|$)")
_WANTED = (
    "apimanagement app automation batch cache cdn cognitiveservices compute containerregistry containerservice "
    "databricks datafactory dbforpostgresql desktopvirtualization devices documentdb eventhub hdinsight insights "
    "keyvault kusto logic machinelearningservices media migrate netapp network operationalinsights purview "
    "recoveryservices relay search servicebus signalrservice sql storage streamanalytics synapse web"
)
"""Providers that most tenants use, without `Microsoft.`."""


@lru_cache(maxsize=1)
def _requests(folder: Path) -> tuple[tuple[str, frozenset[str]], ...]:
    """Return (folded path, folded operations) of Azure's published requests."""
    document = json.loads((folder / "catalog" / "arm-path-operations.json").read_text())
    return tuple(
        (path.lower(), frozenset(fold(name) for name in operations))
        for paths in document.values()
        for path, operations in paths.items()
    )


@pytest.mark.slow
def test_each_type_is_a_resource_of_a_resource_group(shared_data: Path) -> None:
    """Its request paths lie in a resource group and name one provider: it extends nothing."""
    paths = [path for path, _ in _requests(shared_data)]
    own = {found[1] for path in paths if path.count("/providers/") == 1 and (found := _IN_GROUP.match(path))}
    extending = {
        "/".join(path.split("/providers/")[-1].split("/")[:2]) for path in paths if path.count("/providers/") > 1
    }
    listed = set(inventory_types())
    assert listed - own == set()
    assert listed & extending == set()
    kinds = pl.Series("kind", sorted(listed))
    assert kinds.filter(extends_others(kinds)).to_list() == []


@pytest.mark.slow
def test_the_list_is_long_and_its_types_are_in_the_catalogue(shared_data: Path) -> None:
    """Hundreds of types, no type twice, each with the page that publishes it, and every common provider among them."""
    rows = rows_of("inventory_types")
    assert len(rows) == len(inventory_types()) > 350
    assert all("https://learn.microsoft.com/" in row["source"] for row in rows)
    catalogue = pl.read_csv(shared_data / "catalog" / "operations.csv", columns=["operation"])["operation"]
    known = {fold(kind) for kind in catalogue.str.extract(r"^([^/]+/[^/]+)/").drop_nulls()}
    assert set(inventory_types()) - known == set()
    assert set(_WANTED.split()) - {kind.split("/")[0].removeprefix("microsoft.") for kind in inventory_types()} == set()


@pytest.mark.slow
def test_no_decided_operation_acts_without_a_resource_of_its_type(shared_data: Path) -> None:
    """Where Azure publishes a request that needs a decided operation, the path names a resource of the type."""
    names = sorted({name for _, operations in _requests(shared_data) for name in operations})
    series = pl.Series("name", names)
    kinds = {name: kind for name, kind in zip(names, decided_type(series), strict=True) if kind is not None}
    without = sorted(
        (name, path)
        for path, operations in _requests(shared_data)
        for name in operations & kinds.keys()
        if not name.endswith("/read") and f"/providers/{kinds[name]}/" not in path
    )
    assert without == []


@pytest.mark.parametrize(
    "operation",
    [
        "Microsoft.Storage/storageAccounts/write",
        "Microsoft.Compute/locations/usages/action",
        "Microsoft.ComputeSchedule/locations/virtualMachinesExecuteStart/action",
        "Microsoft.KeyVault/locations/deletedVaults/purge/action",
        "Microsoft.DocumentDB/databaseAccounts/restore/action",
        "Microsoft.ContainerRegistry/registries/deleted/restore/action",
        "Microsoft.AzureStackHCI/virtualMachineInstances/start/action",
        "Microsoft.SerialConsole/serialPorts/connect/action",
        "Microsoft.HybridConnectivity/endpoints/listCredentials/action",
        "Microsoft.Automanage/configurationProfileAssignments/delete",
        "Microsoft.DBforMySQL/servers/restart/action",
        "Microsoft.Compute/virtualMachines/login/action",
        "Microsoft.Storage/register/action",
        "Microsoft.Authorization/roleAssignments/delete",
        "Microsoft.Resources/deployments/cancel/action",
    ],
)
def test_what_may_act_without_a_resource_is_never_decided(operation: str) -> None:
    """What creates, soft-deleted objects, locations, extensions, and what acts on resources of another type."""
    assert decided_type(pl.Series("name", [fold(operation)])).to_list() == [None]


def test_child_objects_are_decided_by_their_resource() -> None:
    """A database needs a server, and a blob an account."""
    names = pl.Series(
        "name",
        [
            "microsoft.sql/servers/databases/write",
            "microsoft.storage/storageaccounts/blobservices/containers/blobs/read",
        ],
    )
    assert decided_type(names).to_list() == ["microsoft.sql/servers", "microsoft.storage/storageaccounts"]


@pytest.mark.parametrize(
    ("operation", "change"),
    [
        ("Microsoft.Resources/subscriptions/resourceGroups/delete", "group_deleted"),
        ("Microsoft.Resources/subscriptions/resourceGroups/moveResources/action", "moved"),
        ("Microsoft.Resources/subscriptions/resourceGroups/validateMoveResources/action", None),
        ("Microsoft.Resources/subscriptions/resourceGroups/write", None),
        ("Microsoft.Migrate/moveCollections/commit/action", "moved"),
        ("Microsoft.DataProtection/backupVaults/backupInstances/restore/action", "restored"),
        ("Microsoft.RecoveryServices/vaults/replicationFabrics/a/b/plannedFailover/action", "restored"),
        ("Microsoft.Management/managementGroups/subscriptions/delete", "management_group_changed"),
        ("Microsoft.Web/register/action", "registration"),
        ("Microsoft.Compute/virtualMachines/start/action", None),
    ],
)
def test_changes_that_hide_what_existed(operation: str, change: str | None) -> None:
    """After these calls the absence of a type is not known; after others it is."""
    assert change_named(pl.Series("name", [fold(operation)])).to_list() == [change]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rg-app-dr", True),
        ("DR", True),
        ("prodFailover01", True),
        ("bcp_site", True),
        ("Site Recovery Contributor", True),
        ("drupal", False),
        ("hydra", False),
        ("addresses", False),
        (None, False),
    ],
)
def test_words_for_recovery_are_whole_words(name: str | None, expected: bool) -> None:
    """A word stands alone, between signs, or inside camel case."""
    frame = pl.DataFrame({"name": [name]}, schema={"name": pl.String})
    assert frame.select(is_for_recovery(pl.col("name"))).item() is expected
