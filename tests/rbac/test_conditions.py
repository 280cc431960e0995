"""Conditions: the operations they concern, as far as their text says it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.model.nouns import PermissionBlock
from rightsize.model.role_forms import load_json, read_role_definitions
from rightsize.rbac.algebra import contains
from rightsize.rbac.conditions import restricted, targets, truth_of, unrestricted
from rightsize.rbac.permissions import Reading
from tests.examples import MANY

WRITE = "Microsoft.Authorization/roleAssignments/write"
READ = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read"
USUAL = f"((!(ActionMatches{{'{WRITE}'}})) OR (@Request[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals{{a, b}}))"  # fmt: skip  # noqa: E501
LISTING = f"((!(ActionMatches{{'{READ}'}} AND NOT SubOperationMatches{{'Blob.List'}})) OR (@Resource[Microsoft.Storage/storageAccounts/blobServices/containers:name] StringEquals 'a (b) OR c'))"  # fmt: skip  # noqa: E501


@pytest.mark.parametrize(
    ("condition", "operation", "truth"),
    [
        (None, WRITE, True),
        ("  ", WRITE, True),
        (USUAL, WRITE, None),
        (USUAL, WRITE.upper(), None),
        (USUAL, "Microsoft.Authorization/roleAssignments/delete", True),
        (LISTING, READ, None),
        (LISTING, "x/read", True),
        (f"{USUAL} AND {LISTING}", READ, None),
        (f"{USUAL} && {LISTING}", "x/read", True),
        ("ActionMatches{'Microsoft.Storage/*', 'a'}", "microsoft.storage/x", True),
        ("ActionMatches{'Microsoft.Storage/*'}", "microsoft.compute/x", False),
        ("!(ActionMatches{'x'}) || ActionMatches{'x'}", "x", True),
        ("ActionMatches{'x'} OR ActionMatches{'y'} AND ActionMatches{'z'}", "x", True),
        ("@Request[a:b] StringEquals 'c'", "x", None),
        ("Exists @Resource[a:b] AND !(ActionMatches{'x'})", "x", False),
    ],
)
def test_what_a_condition_says_of_an_operation(condition: str | None, operation: str, truth: bool | None) -> None:
    """Action tests are decided, all else depends on the request, connectives follow three-valued logic."""
    assert truth_of(condition, operation.lower()) is truth
    assert targets(condition, operation) == (truth is not True)


@pytest.mark.parametrize(
    ("condition", "most", "least"),
    [
        ("ActionMatches{'a/*/write'}", True, False),
        ("!(ActionMatches{'a/*/write'})", True, False),
        ("!(ActionMatches{'a/*/write'}) OR @Request[a:b] StringEquals 'c'", True, None),
        ("ActionMatches{'a/*/write'} AND @Request[a:b] StringEquals 'c'", None, False),
        ("ActionMatches{'a/*/write'} OR !(ActionMatches{'a/*/write'})", True, False),
        ("ActionMatches{'a/*'}", True, True),
        ("ActionMatches{'*/write'} AND !(ActionMatches{'*/a/write'})", True, True),
    ],
)
def test_both_readings_of_a_star_between_slashes(condition: str, most: bool | None, least: bool | None) -> None:
    """`MOST` reads towards a condition that holds, below a `NOT` as well, `LEAST` the other way round."""
    assert truth_of(condition, "a/write") is most
    assert truth_of(condition, "a/write", reading=Reading.LEAST) is least
    assert targets(condition, "a/write") == (least is not True)
    for reading in Reading:
        assert truth_of("ActionMatches{'a/*/write'}", "a/b/write", reading=reading) is True


@pytest.mark.parametrize(
    "condition",
    [
        "(" * 5000 + "x",
        "'open",
        "ActionMatches{'x'",
        "a b) OR (",
        "!" * 900 + "x",
        "AND",
        "ActionMatches{'it\\'s'}",
        "{",
    ],
)
def test_what_cannot_be_read_depends(condition: str) -> None:
    """When unsure, a condition targets the operation."""
    assert truth_of(condition, "x") is None


def test_a_long_chain_is_decided() -> None:
    """Thousands of terms neither overflow nor blur the answer."""
    assert truth_of(" AND ".join(["!(ActionMatches{'x'})"] * 3000), "y") is True


@given(st.text(alphabet="()!&|'{}[]@ \\ActionMatches{'x'} OR AND NOT", max_size=60))
@MANY
def test_any_text_gives_an_answer(condition: str) -> None:
    """No text of a condition raises."""
    assert truth_of(condition, "x") in (True, False, None)


@pytest.mark.slow
def test_conditions_of_built_in_roles_spare_other_operations(shared_data: Path) -> None:
    """Conditions that name their actions do not concern reading a virtual machine; the others concern all."""
    text = (shared_data / "catalog" / "built-in-roles.json").read_bytes()
    conditions = [
        b.condition for role in read_role_definitions(load_json(text)) for b in role.permissions if b.condition
    ]
    assert len(conditions) == 31
    for condition in conditions:
        assert targets(condition, "Microsoft.Compute/virtualMachines/read") == ("ActionMatches" not in condition)


@pytest.mark.parametrize(
    ("condition", "patterns"),
    [
        (None, ()),
        ("((!(ActionMatches{'A/write', 'a/Delete'})) OR (@Request[x] StringEquals 'y'))", ("a/delete", "a/write")),
        ("(!(ActionMatches{'A/read'} AND NOT SubOperationMatches{'Blob.List'})) OR (@Resource[x] B 'y')", ("a/read",)),
        ("@Request[x] StringEquals 'y'", None),
        ("ActionMatches{'A/write'}", None),
        ("((!(ActionMatches{'*'})) OR (@Request[x] StringEquals 'y'))", None),
        ("((!(ActionMatches{'\0*'})) OR (@Request[x] StringEquals 'y'))", None),
        ("ActionMatches{'\0*'} OR (@Request[x] StringEquals 'y')", None),
        ("no condition {", None),
    ],
)
def test_the_operations_that_a_condition_may_restrict(condition: str | None, patterns: tuple[str, ...] | None) -> None:
    """None where that may be any operation."""
    assert restricted(condition) == patterns


def test_what_a_condition_never_restricts_of_a_role() -> None:
    """All of it but the operations of its tests, as `/*/` is read generously there."""
    condition = "((!(ActionMatches{'a/*/write'})) OR (@Request[x] StringEquals 'y'))"
    free = unrestricted([PermissionBlock(actions=("a/*",))], condition)
    assert contains(free, [PermissionBlock(actions=("a/b/read",))]) is None
    assert contains(free, [PermissionBlock(actions=("a/write",))]) is not None
    assert contains(free, [PermissionBlock(actions=("a/b/write",))]) is not None
    assert unrestricted([PermissionBlock(actions=("a/*",))], "@Request[x] StringEquals 'y'") == ()
