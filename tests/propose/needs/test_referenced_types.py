"""Beside a write whose references are all known, a plan keeps the checks on types that it can refer to only."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from rightsize.analyze.reasons import UnobservableReason
from rightsize.model.text import fold
from rightsize.propose.core.operation_sets import OperationIndex, index_operations
from rightsize.propose.needs.linked_checks import CheckEvidence, CheckReader, Writes
from rightsize.propose.needs.profiles import Profile
from rightsize.rules.operations import classify

pytestmark = pytest.mark.slow


ASSIGN = "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action"
RULE = "Microsoft.Network/networkSecurityGroups/securityRules/write"
RULE_JOIN = "Microsoft.Network/applicationSecurityGroups/joinNetworkSecurityRule/action"
RING_JOIN = "Microsoft.Network/virtualRings/join/action"
SUBNET_JOIN = "Microsoft.Network/virtualNetworks/subnets/join/action"
NEW_WRITE = fold("Microsoft.Network/virtualRings/write")
PLACE = "/subscriptions/00000000-0000-4000-8000-000000000001"


class Catalogue:
    """Azure's operations, and a plan in which the holder of all linked checks keeps some writes."""

    def __init__(self, index: OperationIndex, profile: Profile) -> None:
        self.index, self._profile = index, profile

    def kept(
        self, *writes: str, unlisted: frozenset[str] = frozenset(), refused: str = "", keeps_all: bool = False
    ) -> set[str]:
        evidence = CheckEvidence(refused=frozenset({fold(refused)}))
        reader = CheckReader(self.index, evidence, keeps_all)
        staying = Writes(self.index.mask(("control", fold(one)) for one in writes), frozenset(map(fold, unlisted)))
        return {name for _, name in self.index.members(reader.kept(PLACE, self._profile, staying, Writes()))}


@pytest.fixture(scope="module")
def catalogue(shared_data: Path) -> Catalogue:
    listed = pl.read_csv(shared_data / "catalog" / "operations.csv").select(
        "operation", pl.col("is_data_action").fill_null(False)
    )
    made_up = pl.DataFrame({"operation": [RING_JOIN], "is_data_action": [False]})
    found = classify(pl.concat([listed, made_up])).filter(~pl.col("is_data_action"))
    frame = found.select("operation", plane=pl.lit("control"), in_catalogue=pl.lit(True))
    index = index_operations(frame, frame.head(0).select("plane", "operation"))
    is_linked = (pl.col("unobservable_reason") == UnobservableReason.LINKED_CHECK).fill_null(False)
    linked, others = (
        index.mask(("control", fold(name)) for name in found.filter(some)["operation"])
        for some in (is_linked, ~is_linked)
    )
    return Catalogue(index, Profile(linked=linked, covered=others))


@pytest.mark.parametrize(
    ("write", "number"),
    [
        (RULE, 1),
        ("Microsoft.Sql/servers/databases/write", 1),
        ("Microsoft.Insights/metricAlerts/write", 2),
        ("Microsoft.Web/sites/write", 9),
        ("Microsoft.Compute/virtualMachines/write", 33),
        ("Microsoft.ContainerService/managedClusters/write", 24),
    ],
)
def test_a_write_keeps_the_checks_that_its_properties_can_cause(catalogue: Catalogue, write: str, number: int) -> None:
    """Any write of the provider would keep 51 beside a rule of a network security group, and 7 beside a database."""
    assert len(catalogue.kept(write)) == number


def test_a_rule_of_a_group_keeps_the_join_of_groups_for_rules(catalogue: Catalogue) -> None:
    assert catalogue.kept(RULE) == {RULE_JOIN}


def test_beside_another_write_the_check_comes_back(catalogue: Catalogue) -> None:
    assert catalogue.kept(RULE, "Microsoft.Network/networkInterfaces/write") > {RULE_JOIN, SUBNET_JOIN}


@pytest.mark.parametrize(
    ("write", "check"),
    [
        ("Microsoft.Compute/virtualMachines/write", "Microsoft.Network/publicIPPrefixes/join/action"),
        ("Microsoft.Compute/virtualMachines/write", "Microsoft.Network/dscpConfiguration/join/action"),
        ("Microsoft.Compute/virtualMachines/write", "Microsoft.Network/firstPartyServiceTags/join/action"),
        ("Microsoft.Compute/virtualMachines/write", "Microsoft.Compute/interconnectBlocks/deploy/action"),
        (
            "Microsoft.Compute/virtualMachines/write",
            "Microsoft.Network/applicationSecurityGroups/joinIpConfiguration/action",
        ),
        ("Microsoft.Web/sites/write", "Microsoft.App/managedEnvironments/join/action"),
        ("Microsoft.ContainerService/managedClusters/write", "Microsoft.Network/natGateways/join/action"),
        (
            "Microsoft.ContainerService/managedClusters/write",
            "Microsoft.Compute/capacityReservationGroups/deploy/action",
        ),
        (
            "Microsoft.ContainerService/managedClusters/agentPools/write",
            "Microsoft.ContainerService/preparedImageSpecifications/deploy/action",
        ),
    ],
)
def test_a_property_that_crosses_providers_keeps_its_check(catalogue: Catalogue, write: str, check: str) -> None:
    assert check in catalogue.kept(write)


@pytest.mark.parametrize(
    ("write", "check"),
    [
        # A row of the rules names the write.
        ("Microsoft.Insights/diagnosticSettings/write", "Microsoft.Storage/storageAccounts/listKeys/action"),
        ("Microsoft.Web/sites/write", "Microsoft.Web/connections/Join/Action"),
        # The schemas leave open what these refer to.
        ("Microsoft.Synapse/workspaces/integrationRuntimes/write", SUBNET_JOIN),
        ("Microsoft.Logic/workflows/write", "Microsoft.Logic/integrationServiceEnvironments/join/action"),
    ],
)
def test_a_named_write_and_an_open_type_keep_what_the_rules_say(catalogue: Catalogue, write: str, check: str) -> None:
    assert check in catalogue.kept(write)


@pytest.mark.parametrize(
    "write",
    [
        "Microsoft.Support/supportTickets/write",
        "Microsoft.SecurityInsights/incidents/write",
        "Microsoft.DataFactory/factories/pipelines/write",
        # Any write of the provider would keep 41.
        "Microsoft.Network/connections/sharedKey/write",
        # Its resources are written, and checked, as themselves.
        "Microsoft.Resources/deployments/write",
    ],
)
def test_what_names_no_network_keeps_no_join_of_one(catalogue: Catalogue, write: str) -> None:
    assert not any(check.startswith("Microsoft.Network/") for check in catalogue.kept(write))
    assert SUBNET_JOIN in catalogue.kept(write, "Microsoft.Network/networkInterfaces/write")


def test_a_write_that_the_catalogue_lacks_is_open_unless_its_type_is_known(catalogue: Catalogue) -> None:
    assert RING_JOIN in catalogue.kept(unlisted=frozenset({NEW_WRITE}))
    assert catalogue.kept(unlisted=frozenset({RULE})) == {RULE_JOIN}


def test_a_refusal_that_names_a_check_and_the_option_keep_it_beside_any_write(catalogue: Catalogue) -> None:
    """The refusal is a fact of this tenant; what a schema says of all tenants does not undo it."""
    assert catalogue.kept(RULE, refused=RING_JOIN) == {RULE_JOIN, RING_JOIN}
    kept = catalogue.kept(RULE, keeps_all=True)
    assert RING_JOIN in kept
    assert ASSIGN not in kept, "a rule for writes of any type is no check without a rule"
