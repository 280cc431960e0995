"""The demo's catalogue is small, complete, and true to Azure."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from rightsize.demo.generator import generate, is_of_data_plane
from rightsize.demo.people import built_in_roles, operations, provider_operations
from rightsize.model.role_forms import strings_of


def test_operations_are_unique_whatever_their_case() -> None:
    """No two differ in capitals only."""
    names = [operation.name.lower() for operation in operations()]
    assert len(names) == len(set(names))
    assert len(names) > 400


def test_what_roles_name_is_in_the_catalogue() -> None:
    """A role that names an operation explicitly names one that exists, on its own plane."""
    planes = {operation.name.lower(): operation.is_data_action for operation in operations()}
    for role in built_in_roles():
        (block,) = role.permissions
        for is_data_action, strings in (
            (False, (*block.actions, *block.not_actions)),
            (True, (*block.data_actions, *block.not_data_actions)),
        ):
            for string in strings:
                if "*" not in string:
                    assert planes[string.lower()] is is_data_action, (role.role_name, string)


@pytest.mark.slow
def test_habits_use_operations_of_the_catalogue_on_their_plane() -> None:
    """Spelt as the catalogue spells them."""
    planes = {operation.name: operation.is_data_action for operation in operations()}
    for habit in generate().habits:
        assert planes[habit.operation] == is_of_data_plane(habit), habit.operation


def test_the_cli_listing_holds_every_operation_once() -> None:
    """Providers with their own operations, resource types with theirs."""
    listed = [
        operation["name"]
        for provider in provider_operations()
        for holder in (provider, *provider["resourceTypes"])
        for operation in holder["operations"]
    ]
    assert sorted(listed) == sorted(operation.name for operation in operations())
    assert len({provider["name"].lower() for provider in provider_operations()}) == len(provider_operations())


@pytest.mark.slow
def test_the_catalogue_is_true(shared_data: Path) -> None:
    """Names, planes, ids and contents agree with a dump of the real ones."""
    with (shared_data / "catalog/operations.csv").open(encoding="utf-8", newline="") as stream:
        real = {row["operation"].strip().lower(): row["is_data_action"] for row in csv.DictReader(stream)}
    for operation in operations():
        assert real[operation.name.lower()] == str(operation.is_data_action).lower()
    dump = json.loads((shared_data / "catalog/built-in-roles.json").read_text(encoding="utf-8"))
    roles = {role["name"]: role for role in dump}
    for role in built_in_roles():
        (block,), (own,) = roles[role.role_definition_id]["permissions"], role.permissions
        assert roles[role.role_definition_id]["roleName"] == role.role_name
        assert {a.strip().lower() for a in block["actions"]} == {a.lower() for a in own.actions}
        assert {a.strip().lower() for a in block["notActions"]} == {a.lower() for a in own.not_actions}
        assert {a.strip().lower() for a in block["dataActions"]} == {a.lower() for a in own.data_actions}
        assert {a.strip().lower() for a in block["notDataActions"]} == {a.lower() for a in own.not_data_actions}


def test_every_provider_that_a_role_names_is_in_the_catalogue() -> None:
    """So that a role of the demo is never kept because nobody knows what its provider offers."""
    known = {operation.name.split("/")[0].lower() for operation in operations()}
    strings = [
        string for role in built_in_roles() for texts in strings_of(role.permissions[0]).values() for string in texts
    ]
    named = {string.split("/")[0].lower() for string in strings} - {"*"}
    assert named <= known
