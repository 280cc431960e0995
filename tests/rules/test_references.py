"""Which types a written type can refer to is known from published schemas, and says which writes cause a check."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import polars as pl
import pytest

from rightsize.model.text import Folded, fold
from rightsize.rules.operations import folded, matching_pairs
from rightsize.rules.resource_types import complete_writes, referring_writes, rules_out
from rightsize.rules.tables import rows_of

RULE = fold("Microsoft.Network/networkSecurityGroups/securityRules/write")
RULE_JOIN = fold("Microsoft.Network/applicationSecurityGroups/joinNetworkSecurityRule/action")
ADDRESS_JOIN = fold("Microsoft.Network/applicationSecurityGroups/joinIpConfiguration/action")
MACHINE = fold("Microsoft.Compute/virtualMachines/write")
RING_JOIN = fold("Microsoft.Network/virtualRings/join/action")
DEPLOYMENT = fold("Microsoft.Resources/deployments/write")


@pytest.mark.parametrize(
    ("checked", "write", "is_ruled_out"),
    [
        (RULE_JOIN, RULE, False),
        (ADDRESS_JOIN, RULE, True),
        (RULE_JOIN, MACHINE, True),
        (ADDRESS_JOIN, MACHINE, False),
        (RING_JOIN, RULE, True),
        (RING_JOIN, DEPLOYMENT, False),
        (RING_JOIN, fold("Contoso.Things/things/write"), False),
    ],
)
def test_a_write_is_ruled_out_where_all_its_references_are_known(
    checked: Folded, write: Folded, is_ruled_out: bool
) -> None:
    """A rule and an address refer to one group in two ways; a deployment may contain anything."""
    assert rules_out(checked, write) is is_ruled_out


@pytest.mark.parametrize(
    ("checked", "write"),
    [
        ("Microsoft.Storage/storageAccounts/joinPerimeter/action", "Microsoft.Compute/disks/write"),
        (
            "Microsoft.Storage/storageAccounts/consumerDataShare/action",
            "Microsoft.App/managedEnvironments/storages/write",
        ),
        ("Microsoft.Network/virtualNetworks/join/action", "Microsoft.Network/networkWatchers/connectionMonitors/write"),
    ],
)
def test_a_name_an_address_and_a_watched_scope_cause_no_check(checked: str, write: str) -> None:
    assert fold(write) not in referring_writes(fold(checked))


def test_who_refers_to_a_subnet_refers_to_its_network() -> None:
    assert fold("Microsoft.Web/sites/write") in referring_writes(fold("Microsoft.Network/virtualNetworks/join/action"))


def test_kinds_are_those_that_the_reader_knows() -> None:
    assert {kind for row in rows_of("references") for kind in row["kind"].split("+")} == {
        "id", "name", "pe", "perimeter", "scope", "uri"
    }  # fmt: skip
    assert {row["kind"] for row in rows_of("reference_checks")} == {"id", "pe", "perimeter"}


def test_no_reference_stands_twice() -> None:
    pairs = [(fold(row["write_type"]), fold(row["referenced_type"])) for row in rows_of("references")]
    assert len(pairs) == len(set(pairs))
    assert len(complete_writes()) == len(rows_of("complete_references"))


@pytest.mark.slow
def test_the_written_types_and_the_checks_are_operations_of_azure(shared_data: Path) -> None:
    names = folded(pl.read_csv(shared_data / "catalog" / "operations.csv")["operation"]).unique()
    written = {fold(row["write_type"] + "/write") for row in rows_of("references")} | complete_writes()
    assert written <= set(names)
    patterns = list(dict.fromkeys(row["checked"] for row in rows_of("reference_checks")))
    assert set(matching_pairs(names, patterns)["pattern"]) == set(patterns)


@pytest.mark.slow
def test_references_give_the_pairs_that_were_compiled(shared_data: Path) -> None:
    """A vault is checked where a machine or a deployment names it, and rules name these writes; the rest is equal."""
    want: dict[Folded, set[Folded]] = defaultdict(set)
    with (shared_data / "references" / "pairs.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            want[fold(row["checked_operation"])].add(fold(row["write_type"] + "/write"))
    assert len(want) > 100
    differs = {checked for checked, writes in want.items() if referring_writes(checked) != writes}
    assert differs == {
        fold("Microsoft.KeyVault/vaults/deploy/action"),
        fold("Microsoft.Network/networkSecurityPerimeters/joinPerimeterRule/action"),
    }
    assert all(want[checked] < referring_writes(checked) for checked in differs)
