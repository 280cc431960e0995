"""The rule files are complete, use only known words, and agree with the facts on each operation."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.analyze.reasons import UnobservableReason
from rightsize.model.text import fold, parse_pattern
from rightsize.rules import operations as rules
from rightsize.rules.operations import first_match, folded, matches, matches_any, matching_pairs
from rightsize.rules.resource_types import linked_writes, linkless_writes
from rightsize.rules.tables import rows_of
from tests.examples import MANY

FILES = (
    "add_ons", "agent_blocked_permissions", "audiences", "azurerm_types", "behaviour_holds", "behaviour_risks",
    "checked_operations", "complete_references", "deployment_needs", "directory_bound_actions", "directory_bound_reach",
    "directory_contained_roles", "directory_custom_actions", "directory_job_reads", "directory_object_roles",
    "directory_object_types", "directory_reading_roles", "directory_risk", "directory_side_actions",
    "directory_special_roles", "directory_unit_roles", "dual_operations", "emergency_names", "endpoint_audiences",
    "endpoint_work", "escalation", "existence_changes", "extension_types", "first_party", "frameworks", "graph_added",
    "graph_alternatives", "graph_correlated", "graph_directory_actions", "graph_joined", "graph_partial",
    "graph_privilege", "graph_properties", "graph_reading_actions", "graph_sign_in_scopes", "graph_words",
    "held_operations", "image_runners", "inert_operations", "inventory_exceptions", "inventory_types", "layers",
    "left_behind", "left_behind_kinds", "left_behind_requests", "linked_checks", "linkless_writes", "log_alternatives",
    "log_kubernetes_groups", "log_kubernetes_verbs", "log_request_operations", "log_tables", "m365_operations",
    "measured_breaks", "observability", "opened_ways", "operation_polls", "prices", "propagation", "recovery_roles",
    "recovery_words", "reference_checks", "references", "resource_logs", "resource_settings", "risk", "risk_classes",
    "risk_words", "role_spellings", "role_words", "scope_levels", "sensitive_reads", "service_roles",
    "sign_in_free_operations", "signal_states", "signal_windows", "split_off", "tool_recommendations", "trust_subjects",
    "vault_permissions", "watched",
)  # fmt: skip
LOGS = {
    "activity_log",
    "storage_log",
    "key_vault_log",
    "messaging_log",
    "aks_audit_log",
    "registry_log",
}


def annotated(operation: str, data: bool | None = False) -> dict[str, str | None]:
    frame = pl.DataFrame(
        {"operation": [operation], "is_data_action": [data]}, schema_overrides={"is_data_action": pl.Boolean}
    )
    return rules.annotate(frame).row(0, named=True)


@pytest.mark.parametrize("name", FILES)
def test_every_row_of_a_rule_file_has_all_its_cells_and_a_source(name: str) -> None:
    assert rows_of(name)
    assert all(row["source"].strip() for row in rows_of(name))


def test_no_rule_file_is_without_a_test_here() -> None:
    found = {Path(item.name).stem for item in files("rightsize.rules").iterdir() if item.name.endswith(".csv")}
    assert {name for name in found if not name.startswith("log_")} == {n for n in FILES if not n.startswith("log_")}


@pytest.mark.parametrize("name", ["observability", "risk"])
def test_no_rule_stands_behind_one_that_already_answers_for_it(name: str) -> None:
    for plane in ("control", "data"):
        rows = [row for row in rows_of(name) if row["plane"] == plane]
        patterns = [parse_pattern(row["pattern"]) for row in rows]
        for index, pattern in enumerate(patterns):
            if not pattern.is_literal:
                continue
            shadow = [earlier.spelt for earlier in patterns[:index] if earlier.matches(pattern.text)]
            assert not shadow, f"{pattern.spelt} is hidden by {shadow}"


def test_rules_use_only_the_words_that_others_know() -> None:
    assert {row["observable_by"] for row in rows_of("observability")} - {""} == LOGS
    reasons = {row["reason"] for row in rows_of("observability")} - {""}
    assert reasons <= {reason.value for reason in UnobservableReason}
    assert all(bool(row["observable_by"]) != bool(row["reason"]) for row in rows_of("observability"))
    assert {row["risk"] for row in rows_of("risk")} - {""} <= set(rules.risk_weights())
    levels = {level for row in rows_of("scope_levels") for level in row["levels"].split()}
    assert levels == {"tenant", "management_group", "below"}


@pytest.mark.parametrize(
    ("operation", "data", "observable_by", "reason"),
    [
        ("Microsoft.Compute/virtualMachines/read", False, None, "arm_read"),
        ("MICROSOFT.COMPUTE/VIRTUALMACHINES/READ", False, None, "arm_read"),
        ("Microsoft.Compute/virtualMachines/write", False, "activity_log", None),
        ("Microsoft.Compute/virtualMachines/delete", False, "activity_log", None),
        ("Microsoft.Storage/storageAccounts/listKeys/action", False, "activity_log", None),
        ("Microsoft.Compute/virtualMachines/odd", False, None, "not_known_to_be_logged"),
        ("Microsoft.Network/virtualNetworks/subnets/join/action", False, None, "linked_check"),
        ("Microsoft.Network/virtualNetworks/subnets/joinViaServiceEndpoint/action", False, None, "linked_check"),
        ("Microsoft.ManagedIdentity/userAssignedIdentities/assign/action", False, None, "linked_check"),
        ("Microsoft.Storage/storageAccounts/blobServices/containers/write", False, None, "data_endpoint"),
        ("Microsoft.Storage/storageAccounts/blobServices/containers/read", False, None, "data_endpoint"),
        (
            "Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action",
            False,
            None,
            "data_endpoint",
        ),
        ("Microsoft.ContainerRegistry/registries/pull/read", False, "registry_log", None),
        ("Microsoft.ContainerRegistry/registries/push/write", False, "registry_log", None),
        ("Microsoft.ContainerRegistry/registries/metadata/read", False, None, "data_endpoint"),
        ("Microsoft.DocumentDB/databaseAccounts/readMetadata", True, None, "own_roles"),
        ("Microsoft.ServiceBus/namespaces/messages/send/action", True, "messaging_log", None),
        ("Microsoft.EventHub/namespaces/schemas/read", True, None, "no_resource_log"),
        ("Microsoft.OperationalInsights/workspaces/query/SecurityEvent/read", False, None, "data_endpoint"),
        ("Microsoft.Databricks/workspaces/assignWorkspaceAdmin/action", False, None, "data_endpoint"),
        ("Microsoft.Databricks/workspaces/write", False, "activity_log", None),
        ("Microsoft.Batch/batchAccounts/pools/write", False, None, "data_endpoint"),
        ("Microsoft.Batch/batchAccounts/pools/delete", False, None, "data_endpoint"),
        ("Microsoft.Batch/batchAccounts/listkeys/action", False, None, "data_endpoint"),
        ("Microsoft.Batch/batchAccounts/regeneratekeys/action", False, "activity_log", None),
        ("Microsoft.Search/searchServices/indexes/write", False, None, "data_endpoint"),
        ("Microsoft.Search/searchServices/write", False, "activity_log", None),
        ("Microsoft.Attestation/attestationProviders/attestation/write", False, None, "data_endpoint"),
        ("Microsoft.App/sessionPools/sessions/generatesessions/action", False, None, "data_endpoint"),
        ("Microsoft.Compute/interconnectBlocks/deploy/action", False, None, "linked_check"),
        ("Microsoft.ServiceBus/namespaces/queues/authorizationRules/listKeys/action", False, "activity_log", None),
        ("Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read", True, "storage_log", None),
        ("Microsoft.KeyVault/vaults/secrets/getSecret/action", True, "key_vault_log", None),
        ("Microsoft.Maps/accounts/data/read", True, None, "no_resource_log"),
        ("Microsoft.Maps/accounts/services/read", None, None, "plane_guessed"),
    ],
)
def test_an_operation_is_shown_by_the_log_that_the_facts_name(
    operation: str, data: bool | None, observable_by: str | None, reason: str | None
) -> None:
    row = annotated(operation, data)
    assert (row["observable_by"], row["unobservable_reason"]) == (observable_by, reason)


@pytest.mark.parametrize(
    ("operation", "data", "risk"),
    [
        ("Microsoft.Authorization/roleAssignments/write", False, "privilege"),
        ("Microsoft.Authorization/elevateAccess/action", False, "privilege"),
        ("Microsoft.Authorization/roleAssignments/read", False, None),
        ("Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/write", False, "privilege"),
        ("Microsoft.KeyVault/vaults/accessPolicies/write", False, "privilege"),
        ("Microsoft.Storage/storageAccounts/listKeys/action", False, "secret"),
        ("Microsoft.KeyVault/vaults/secrets/getSecret/action", True, "secret"),
        ("Microsoft.Compute/virtualMachines/runCommand/action", False, "code_execution"),
        ("Microsoft.Compute/virtualMachines/login/action", True, "code_execution"),
        ("Microsoft.RecoveryServices/vaults/backupPolicies/delete", False, "destruction"),
        ("Microsoft.Network/networkSecurityGroups/securityRules/write", False, "exposure"),
        ("Microsoft.Insights/diagnosticSettings/delete", False, "evasion"),
        ("Microsoft.Compute/virtualMachines/start/action", False, None),
        ("Microsoft.ServiceBus/namespaces/disasterRecoveryConfigs/failover/action", False, None),
    ],
)
def test_the_class_of_risk_is_what_the_operation_gives(operation: str, data: bool, risk: str | None) -> None:
    assert annotated(operation, data)["risk"] == risk


def test_reading_the_control_plane_weakens_no_layer() -> None:
    assert annotated("Microsoft.Network/networkSecurityGroups/read")["layer"] is None
    assert annotated("Microsoft.Network/networkSecurityGroups/write")["layer"] == "network_segmentation"
    assert annotated("Microsoft.Compute/virtualMachines/extensions/write")["layer"] == "host_integrity"


def test_role_assignments_can_be_made_at_every_level_and_machines_only_below() -> None:
    names = pl.Series(["microsoft.authorization/roleassignments/write", "microsoft.compute/virtualmachines/write"])
    assert rules.scope_levels(names).to_list() == ["tenant management_group below", "below"]


@pytest.mark.parametrize("name", ["Break Glass 01", "BREAKGLASS@contoso.com", "emergency-access-1", "notfall@firma.de"])
def test_names_of_emergency_access_accounts_are_known(name: str) -> None:
    assert pl.select(rules.is_emergency_name(folded(pl.lit(name)))).item()


@pytest.mark.parametrize("name", ["alice@contoso.com", "Emergency Room Nurse", "glassblower"])
def test_other_names_are_not_taken_for_emergency_access_accounts(name: str) -> None:
    assert not pl.select(rules.is_emergency_name(folded(pl.lit(name)))).item()


@pytest.mark.slow
def test_annotating_the_catalogue_leaves_no_operation_without_an_answer(shared_data: Path) -> None:
    table = pl.read_csv(shared_data / "catalog" / "operations.csv").select("operation", "is_data_action")
    done = rules.annotate(table)
    assert done.height == table.height
    assert done.filter(pl.col("observable_by").is_null() == pl.col("unobservable_reason").is_null()).is_empty()
    reads = done.filter(pl.col("operation").str.to_lowercase().str.ends_with("/read") & ~pl.col("is_data_action"))
    shown = reads.filter(pl.col("observable_by") == "activity_log")
    assert shown["operation"].to_list() == [], "the Activity Log shows no read of Resource Manager"


_TEXT = st.text(alphabet="aA/*.kK", max_size=8)


@pytest.mark.slow
@given(
    patterns=st.lists(_TEXT, min_size=1, max_size=4), names=st.lists(st.text(alphabet="aA/.kK", max_size=8), min_size=1)
)
@MANY
def test_matching_over_columns_is_the_matching_of_rbac(patterns: list[str], names: list[str]) -> None:
    column = folded(pl.Series(names))
    for pattern in patterns:
        expected = [parse_pattern(pattern).matches(fold(name)) for name in names]
        got = pl.DataFrame({"name": column}).select(matches(pl.col("name"), pattern)).to_series().to_list()
        assert got == expected
    distinct = column.unique()
    pairs = set(matching_pairs(distinct, dict.fromkeys(patterns)).iter_rows())
    assert pairs == {(n, p) for n in distinct for p in patterns if parse_pattern(p).matches(n)}
    any_hit = pl.DataFrame({"name": column}).select(matches_any(pl.col("name"), patterns)).to_series().to_list()
    assert any_hit == [any(parse_pattern(pattern).matches(name) for pattern in patterns) for name in column]
    first = first_match(column, patterns).to_list()
    for name, index in zip(column, first, strict=True):
        hits = [i for i, pattern in enumerate(patterns) if parse_pattern(pattern).matches(name)]
        assert index == (hits[0] if hits else None)


@given(st.text(max_size=12))
@MANY
def test_folding_over_columns_is_the_folding_of_rbac(text: str) -> None:
    assert folded(pl.Series([text])).to_list() == [fold(text)]


@pytest.mark.slow
def test_the_roles_that_rules_name_are_built_in_ones(shared_data: Path) -> None:
    """Each is known under that id and that name."""
    roles = json.loads((shared_data / "catalog" / "built-in-roles.json").read_bytes())
    known = {(role["name"], role["roleName"]) for role in roles}
    assert {(row["role_definition_id"], row["name"]) for row in rows_of("recovery_roles")} <= known


def test_what_a_watch_tells_is_an_operation_that_changes_something() -> None:
    """Each once, of a severity that is known; of the directory an action that the map of its log gives."""
    told = rows_of("watched")
    assert len({row["operation"].lower() for row in told}) == len(told)
    assert {row["severity"] for row in told} <= {"low", "medium", "high", "critical"}
    assert not [row["operation"] for row in told if row["operation"].endswith("/read")]
    directory = {row["operation"] for row in told if row["operation"].startswith("microsoft.directory/")}
    assert directory <= {row["action"] for row in rows_of("log_directory_audit")}


@pytest.mark.parametrize(
    ("write", "checked"),
    [
        *(
            (f"Microsoft.Authorization/{kind}/write", "Microsoft.Network/networkManagers/networkGroups/join/action")
            for kind in ("policyDefinitions", "policySetDefinitions", "policyAssignments")
        ),
        (
            "Microsoft.Network/virtualHubs/hubVirtualNetworkConnections/write",
            "Microsoft.Network/virtualHubs/routeMaps/read",
        ),
        ("Microsoft.Network/virtualHubs/routingIntent/write", "Microsoft.Network/azureFirewalls/read"),
        ("Microsoft.Network/p2sVpnGateways/write", "Microsoft.Network/vpnServerConfigurations/read"),
        ("Microsoft.Network/vpnsites/write", "Microsoft.Network/virtualWans/read"),
        ("Microsoft.Compute/virtualMachines/write", "Microsoft.Network/publicIPPrefixes/join/action"),
        ("Microsoft.Compute/virtualMachines/write", "Microsoft.Network/dscpConfiguration/join/action"),
        ("Microsoft.Compute/virtualMachines/write", "Microsoft.Compute/interconnectBlocks/deploy/action"),
        ("Microsoft.Web/sites/write", "Microsoft.App/managedEnvironments/join/action"),
        ("Microsoft.ContainerService/managedClusters/write", "Microsoft.Network/natGateways/join/action"),
        (
            "Microsoft.ContainerService/managedClusters/write",
            "Microsoft.Compute/capacityReservationGroups/deploy/action",
        ),
        ("Microsoft.Batch/batchAccounts/pools/write", "Microsoft.Network/virtualNetworks/subnets/join/action"),
    ],
)
def test_a_write_may_cause_the_checks_of_what_it_refers_to(write: str, checked: str) -> None:
    """By a rule, and no rule says that the write refers to no such thing."""
    assert any(parse_pattern(one).matches(fold(write)) for one in linked_writes(checked))
    assert not any(parse_pattern(one).matches(fold(write)) for one in linkless_writes(checked))


def test_a_policy_joins_no_subnet_and_a_role_no_group() -> None:
    """Writes of Authorization refer to networks only where a policy adds members to a group."""
    subnet = linkless_writes("Microsoft.Network/virtualNetworks/subnets/join/action")
    group = linkless_writes("Microsoft.Network/networkManagers/networkGroups/join/action")
    policy, role = (f"microsoft.authorization/{kind}/write" for kind in ("policyassignments", "roleassignments"))
    assert any(parse_pattern(one).matches(policy) for one in subnet)
    assert any(parse_pattern(one).matches(role) for one in group)
