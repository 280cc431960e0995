"""Forms of role definitions: each is read, each written form reads back the same, bad ones are explained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.model.errors import InputError
from rightsize.model.nouns import PermissionBlock, RoleDefinition
from rightsize.model.role_forms import (
    load_json,
    permissions_from_json,
    permissions_to_json,
    read_role_definitions,
    to_arm,
    to_blocks_input,
    to_flat_input,
)
from tests.examples import MANY

GUID = "8311e382-0749-4cb8-b61a-304f252e45ec"
BLOCK = {"actions": ["A/read"], "notActions": [], "dataActions": ["A/d/read"], "notDataActions": None}
WANTED = RoleDefinition(GUID, "My role", (PermissionBlock(("A/read",), (), ("A/d/read",)),), "CustomRole", "d", ("/s",))

FORMS: dict[str, Any] = {
    "arm": {
        "id": f"/providers/Microsoft.Authorization/roleDefinitions/{GUID}",
        "name": GUID.upper(),
        "type": "Microsoft.Authorization/roleDefinitions",
        "properties": {
            "roleName": "My role",
            "type": "CustomRole",
            "description": "d",
            "permissions": [BLOCK],
            "assignableScopes": ["/s"],
        },
    },
    "az": {
        "name": GUID,
        "roleName": "My role",
        "roleType": "CustomRole",
        "type": "Microsoft.Authorization/roleDefinitions",
        "description": "d",
        "permissions": [BLOCK],
        "assignableScopes": ["/s"],
    },
    "old input": {
        "Name": "My role",
        "Id": GUID,
        "IsCustom": True,
        "Description": "d",
        "Actions": ["A/read"],
        "NotActions": None,
        "DataActions": ["A/d/read"],
        "AssignableScopes": ["/s"],
    },
    "new input": {
        "Name": "My role",
        "Id": GUID,
        "IsCustom": True,
        "Description": "d",
        "Permissions": [{"Actions": ["A/read"], "DataActions": ["A/d/read"], "Condition": None}],
        "AssignableScopes": ["/s"],
    },
    "odd case": {"NAME": "My role", "ID": GUID, "description": "d", "ACTIONS": ["A/read"], "dataactions": ["A/d/read"],
                 "assignablescopes": ["/s"]},
    "listing that repeats the strings": {
        "Name": "My role",
        "Id": GUID,
        "Description": "d",
        "Actions": ["A/read"],
        "Permissions": [BLOCK],
        "AssignableScopes": ["/s"],
    },
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_reads_as_the_same_role(form: str) -> None:
    """Alone, in a list, and in a page."""
    document = FORMS[form]
    assert read_role_definitions(document) == (WANTED,)
    assert read_role_definitions([document, document]) == (WANTED, WANTED)
    assert read_role_definitions({"value": [document]}) == (WANTED,)


def test_permission_blocks_alone_are_a_role_without_a_name() -> None:
    """As they stand in `permissions`."""
    assert read_role_definitions([BLOCK]) == (RoleDefinition("", "", WANTED.permissions),)
    assert read_role_definitions(BLOCK) == (RoleDefinition("", "", WANTED.permissions),)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_that_shells_write_are_read(encoding: str) -> None:
    """A redirection in PowerShell writes UTF-16 with a byte-order mark."""
    assert read_role_definitions(load_json(json.dumps(FORMS["az"]).encode(encoding))) == (WANTED,)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (None, "null is not a role definition"),
        (7, "a number is not a role definition"),
        ("role", "a string is not a role definition"),
        ({}, "it has no permissions"),
        ([[]], "item 1 is a list"),
        ([1], "item 1 is a number"),
        ({"Name": "R", "Actions": "*"}, "`actions` of role `R` is a string, not a list of strings"),
        ({"Name": "R", "Actions": ["a", 1]}, "item 2 of `actions` of role `R` is a number"),
        ({"Name": 3, "Actions": []}, "`name` of the document is a number"),
        ({"properties": []}, "`properties` of the document is a list"),
        ({"roleName": "R", "permissions": {}}, "the permissions of role `R` are an object"),
        ({"roleName": "R", "permissions": [None]}, "permission block 1 of role `R` is null"),
        ({"Name": "R", "Actions": [], "actions": ["a"]}, "has `actions` twice"),
        ({"Name": "R", "Actions": ["*"], "Permissions": [BLOCK]}, "gives its permissions twice, and differently"),
        ({"Name": "R", "Condition": "c", "Permissions": [BLOCK]}, "gives its condition twice"),
        ({"Name": "\ud800", "Actions": []}, "an unpaired surrogate"),
    ],
)
def test_what_is_no_role_is_explained(document: object, said: str) -> None:
    """The message names the place and what stands there."""
    with pytest.raises(InputError) as caught:
        read_role_definitions(document)
    assert said in caught.value.message


@pytest.mark.parametrize(
    "text", [b"", b"{", b"\xff\xfe\xfa", b"[" * 100_000, b"nul", b'{"a":' + b"1" * 5000 + b"}", "{"]
)
def test_what_is_no_json_is_explained(text: bytes | str) -> None:
    """Cut, deep, mis-encoded or absurd: an error that the command line explains."""
    with pytest.raises(InputError):
        read_role_definitions(load_json(text))


words = st.text(alphabet="aB/*é ", max_size=8)
lists = st.lists(words, max_size=3).map(tuple)
conditions = st.one_of(st.none(), st.text(alphabet="@x ", min_size=1, max_size=4))
blocks = st.builds(PermissionBlock, lists, lists, lists, lists, conditions, st.sampled_from([None, "2.0"]))
roles = st.builds(
    RoleDefinition,
    role_definition_id=st.one_of(st.just(""), st.uuids().map(str)),
    role_name=words,
    permissions=st.lists(blocks, max_size=3).map(tuple),
    role_type=st.sampled_from(["BuiltInRole", "CustomRole"]),
    description=words,
    assignable_scopes=lists,
)


@pytest.mark.slow
@given(roles)
@MANY
def test_what_is_written_reads_back_the_same(role: RoleDefinition) -> None:
    """In every form, through JSON text; parse after render is the identity."""
    is_flat = len(role.permissions) == 1 and role.permissions[0].condition is None
    for write in (to_arm, to_blocks_input, *([to_flat_input] if is_flat else [])):
        assert read_role_definitions(load_json(json.dumps(write(role)))) == (role,), write.__name__
    assert permissions_from_json(permissions_to_json(role.permissions)) == role.permissions


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["Name", "properties", "permissions", "Permissions", "actions", "Id", "value", "condition"]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


@given(json_values)
@MANY
def test_any_json_is_read_or_explained(document: object) -> None:
    """No document ends in anything but roles or an error with a message."""
    try:
        assert isinstance(read_role_definitions(document), tuple)
    except InputError as error:
        assert error.message


@pytest.mark.slow
def test_all_built_in_roles_are_read(shared_data: Path) -> None:
    """928 roles, 946 permission blocks, 31 of them conditional."""
    found = read_role_definitions(load_json((shared_data / "catalog" / "built-in-roles.json").read_bytes()))
    every = [block for role in found for block in role.permissions]
    assert (len(found), len(every), sum(block.condition is not None for block in every)) == (928, 946, 31)
    assert {role.role_type for role in found} == {"BuiltInRole"}
