"""The planes of an operation, from the catalogue, from Azure's operations on both planes, and from built-in roles."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from rightsize.model.nouns import PLANES
from rightsize.model.role_forms import load_json, read_role_definitions
from rightsize.model.text import fold
from rightsize.rbac.permissions import read_permissions
from rightsize.rules.operations import dual_operations, planes_of


@pytest.mark.parametrize(
    ("operation", "is_data_action", "planes"),
    [
        ("Microsoft.Compute/virtualMachines/read", False, ("control",)),
        ("Microsoft.KeyVault/vaults/secrets/getSecret/action", True, ("data",)),
        ("Microsoft.New/things/read", None, ()),
        ("MICROSOFT.KEYVAULT/vaults/keys/read", False, ("control", "data")),
        ("Microsoft.KeyVault/vaults/keys/read", None, ("control", "data")),
    ],
)
def test_one_row_of_a_catalogue_says_one_plane_and_some_operations_have_two(
    operation: str, is_data_action: bool | None, planes: tuple[str, ...]
) -> None:
    assert planes_of(operation, is_data_action=is_data_action) == planes


@pytest.mark.slow
def test_a_built_in_role_names_no_operation_on_a_plane_that_it_is_not_on(shared_data: Path) -> None:
    """So what a role spells out is granted; each dual operation is one that the catalogue has, on the other plane."""
    roles = read_role_definitions(load_json((shared_data / "catalog" / "built-in-roles.json").read_bytes()))
    with (shared_data / "catalog" / "operations.csv").open(encoding="utf-8", newline="") as stream:
        known = {"true": True, "false": False}
        said = {fold(row["operation"]): known.get(row["is_data_action"]) for row in csv.DictReader(stream)}
    assert dual_operations() <= set(said)
    elsewhere = {
        (plane, text)
        for role in roles
        for plane in PLANES
        for text in read_permissions(role.permissions).spelt_out[plane]
        if plane not in (planes_of(text, is_data_action=said.get(text)) or PLANES)
    }
    assert elsewhere == set()
