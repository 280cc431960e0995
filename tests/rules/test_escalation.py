"""The escalation rules name real permissions, and the access these give."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import polars as pl
import pytest

from rightsize.analyze.graph_tables import GRAPH_APP_ID
from rightsize.model.text import fold
from rightsize.rules.attacks import GAINS, escalation_rules
from rightsize.rules.tables import rows_of

PLANES = ("control", "data", "graph", "directory", "owner", "agent", "group", "delegated", "federated", "resource")


def test_rules_of_escalation_use_the_words_that_are_known() -> None:
    rows = rows_of("escalation")
    assert {row["plane"] for row in rows} == set(PLANES)
    assert {row["gains"] for row in rows} == set(GAINS)
    assert {row["certainty"] for row in rows} == {"certain", "possible"}
    assert all(row["what"] and row["rule"] for row in rows)
    assert all("=" in row["unless"] for row in rows if row["unless"])


@pytest.mark.parametrize("plane", PLANES)
def test_a_permission_gives_a_thing_once(plane: str) -> None:
    rules = escalation_rules(plane)
    assert not rules.select("permission", "kind", "gains").is_duplicated().any()


@pytest.mark.slow
def test_every_operation_is_in_the_catalogue_on_its_plane(shared_data: Path) -> None:
    with (shared_data / "catalog" / "operations.csv").open(encoding="utf-8") as file:
        planes = {fold(row["operation"]): row["is_data_action"] for row in csv.DictReader(file)}
    for plane, flag in (("control", "True"), ("data", "False")):
        for permission in escalation_rules(plane)["permission"]:
            assert permission in planes, permission
            assert planes[permission] != flag, permission


@pytest.mark.slow
def test_every_graph_permission_is_one(shared_data: Path) -> None:
    known = json.loads((shared_data / "graph" / "permissions.json").read_bytes())["permissions"]
    delegated = {name for name, said in known.items() if "DelegatedWork" in said["schemes"]}
    assert set(escalation_rules("graph")["permission"]) <= {fold(name) for name in known}
    of_graph = escalation_rules("delegated").filter(pl.col("target") == GRAPH_APP_ID)
    assert set(of_graph["permission"]) <= {fold(name) for name in delegated}


@pytest.mark.slow
def test_every_directory_permission_is_an_action_or_a_role(shared_data: Path) -> None:
    roles = json.loads((shared_data / "entra" / "directory-roles.json").read_bytes())
    known = {fold(role["RoleId"]) for role in roles}
    known |= {fold(one["AuthorizedResourceAction"] or "") for role in roles for one in role["RolePermissions"]}
    assert set(escalation_rules("directory")["permission"]) <= known


@pytest.mark.parametrize(
    ("plane", "permission", "gains"),
    [
        ("control", "Microsoft.Compute/virtualMachines/runCommand/action", {"resource"}),
        ("control", "Microsoft.Compute/virtualMachines/extensions/write", {"resource"}),
        ("control", "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action", {"identity"}),
        ("control", "Microsoft.KeyVault/vaults/accessPolicies/write", {"secrets"}),
        ("control", "Microsoft.Storage/storageAccounts/listKeys/action", {"secrets"}),
        ("control", "Microsoft.Authorization/roleAssignments/write", {"access"}),
        ("graph", "RoleManagement.ReadWrite.Directory", {"tenant"}),
        ("graph", "AppRoleAssignment.ReadWrite.All", {"tenant"}),
        ("graph", "Application.ReadWrite.All", {"applications"}),
        ("graph", "GroupMember.ReadWrite.All", {"groups"}),
        ("resource", "Microsoft.Storage/storageAccounts", {"resource"}),
    ],
)
def test_a_permission_gives_what_the_facts_say(plane: str, permission: str, gains: set[str]) -> None:
    rules = escalation_rules(plane)
    assert set(rules.filter(rules["permission"] == fold(permission))["gains"]) == gains
