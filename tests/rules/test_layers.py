"""The layer rules name real operations, and the effect of each on its layer."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from rightsize.model.nouns import LAYERS
from rightsize.model.text import fold, parse_pattern
from rightsize.rules.operations import EFFECTS, LAYER_BITS, first_layer, layers_in, layers_of
from rightsize.rules.tables import rows_of

KNOWN_NOWHERE: dict[str, str] = {}
"""Patterns that match no operation of the catalogue, each with the reason why the rule is there none the less."""


def layers(operation: str, plane: str = "control") -> dict[str, str]:
    found = layers_of(pl.DataFrame({"name": [fold(operation)], "plane": [plane]}))
    return dict(found.select("layer", "effect").iter_rows())


def test_rules_of_layers_use_the_words_that_are_known() -> None:
    assert {row["layer"] for row in rows_of("layers")} == set(LAYERS)
    assert {row["effect"] for row in rows_of("layers")} == set(EFFECTS)
    assert {row["plane"] for row in rows_of("layers")} == {"control", "data"}
    assert all(row["control"].strip() for row in rows_of("layers"))


def test_no_rule_of_layers_says_what_another_says_already() -> None:
    """A rule behind a wider one is there only for a worse effect or for what it says of the control."""
    rows = [(parse_pattern(row["pattern"]), row) for row in rows_of("layers")]
    for pattern, row in rows:
        if pattern.is_literal:
            same = [
                other["pattern"]
                for wider, other in rows
                if other is not row
                and (other["plane"], other["layer"], other["effect"]) == (row["plane"], row["layer"], row["effect"])
                and wider.matches(pattern.text)
            ]
            assert not same, f"{pattern.spelt} says no more than {same}"


@pytest.mark.slow
def test_every_pattern_names_an_operation_of_the_catalogue_that_is_no_read(shared_data: Path) -> None:
    table = pl.read_csv(shared_data / "catalog" / "operations.csv")
    names = {
        "control": [fold(n) for n, data in table.select("operation", "is_data_action").iter_rows() if data is not True],
        "data": [fold(n) for n, data in table.select("operation", "is_data_action").iter_rows() if data is not False],
    }
    silent = {
        row["pattern"]
        for row in rows_of("layers")
        if not any(
            parse_pattern(row["pattern"]).matches(name)
            for name in names[row["plane"]]
            if row["plane"] == "data" or not name.endswith("/read")
        )
    }
    assert silent == set(KNOWN_NOWHERE)


@pytest.mark.parametrize(
    ("operation", "plane", "expected"),
    [
        ("Microsoft.Network/networkSecurityGroups/securityRules/write", "control", {"network_segmentation": "disable"}),
        ("Microsoft.Network/routeTables/routes/delete", "control", {"network_segmentation": "bypass"}),
        ("Microsoft.Network/azureFirewalls/delete", "control", {"network_segmentation": "disable"}),
        ("Microsoft.Sql/servers/privateEndpointConnections/delete", "control", {"network_segmentation": "disable"}),
        ("Microsoft.Compute/diskEncryptionSets/write", "control", {"data_protection": "disable"}),
        ("Microsoft.KeyVault/vaults/keys/rotate/action", "data", {"data_protection": "disable"}),
        (
            "Microsoft.RecoveryServices/Vaults/backupconfig/write",
            "control",
            {"data_protection": "disable"},
        ),
        ("Microsoft.Storage/storageAccounts/blobServices/write", "control", {"data_protection": "disable"}),
        (
            "Microsoft.Storage/storageAccounts/write",
            "control",
            {"data_protection": "disable", "network_segmentation": "disable"},
        ),
        ("Microsoft.Compute/virtualMachines/extensions/write", "control", {"host_integrity": "disable"}),
        ("Microsoft.Compute/virtualMachines/runCommand/action", "control", {"host_integrity": "bypass"}),
        ("Microsoft.Compute/galleries/images/versions/write", "control", {"host_integrity": "disable"}),
        ("Microsoft.Compute/disks/beginGetAccess/action", "control", {"data_protection": "bypass"}),
        ("Microsoft.Compute/virtualMachines/write", "control", {"host_integrity": "disable"}),
        ("Microsoft.Attestation/attestationProviders/write", "control", {"compute_isolation": "disable"}),
        ("Microsoft.Compute/hostGroups/hosts/write", "control", {"compute_isolation": "disable"}),
        ("Microsoft.Authorization/roleAssignments/write", "control", {"identity_control": "disable"}),
        ("Microsoft.Authorization/policyAssignments/delete", "control", {"identity_control": "disable"}),
        ("Microsoft.Authorization/locks/delete", "control", {"data_protection": "disable"}),
        (
            "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/write",
            "control",
            {"identity_control": "bypass"},
        ),
        ("Microsoft.Insights/diagnosticSettings/delete", "control", {"monitoring": "disable"}),
        ("Microsoft.Insights/scheduledQueryRules/write", "control", {"monitoring": "disable"}),
        ("Microsoft.Security/pricings/write", "control", {"monitoring": "disable"}),
        ("Microsoft.SecurityInsights/dataConnectors/delete", "control", {"monitoring": "disable"}),
        ("Microsoft.SecurityInsights/alertRules/delete", "control", {"monitoring": "disable"}),
        ("Microsoft.OperationalInsights/workspaces/tables/write", "control", {"monitoring": "disable"}),
    ],
)
def test_an_operation_defeats_the_layer_whose_controls_it_changes(
    operation: str, plane: str, expected: dict[str, str]
) -> None:
    assert layers(operation, plane) == expected


@pytest.mark.parametrize(
    "operation",
    [
        "Microsoft.Network/networkSecurityGroups/securityRules/read",
        "Microsoft.Compute/virtualMachines/start/action",
        "Microsoft.Compute/virtualMachines/delete",
        "Microsoft.Insights/autoscaleSettings/write",
        "Microsoft.OperationalInsights/workspaces/query/read",
        "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read",
        "Microsoft.Resources/deployments/write",
        "Microsoft.Resources/tags/write",
    ],
)
def test_daily_work_that_changes_no_control_defeats_no_layer(operation: str) -> None:
    assert layers(operation) == {}
    assert layers(operation, "data") == {}


def test_the_worst_of_several_effects_on_one_layer_counts() -> None:
    rows = [
        row for row in rows_of("layers") if parse_pattern(row["pattern"]).matches("microsoft.compute/snapshots/write")
    ]
    assert {row["effect"] for row in rows} == {"weaken"}
    vault = "microsoft.keyvault/vaults/write"
    assert layers(vault)["data_protection"] == "disable"


def test_the_first_layer_of_an_operation_is_the_one_of_the_first_rule() -> None:
    names = ["microsoft.storage/storageaccounts/write", "microsoft.compute/virtualmachines/start/action"]
    assert first_layer(pl.DataFrame({"name": names, "plane": ["control", "control"]})).to_list() == [
        "network_segmentation",
        None,
    ]


def test_a_set_of_layers_is_a_number() -> None:
    assert layers_in(0) == ()
    assert layers_in(sum(LAYER_BITS.values())) == LAYERS
