"""The small pure parts: reading parts, limits, chances, sets of operations, the lock against cycles."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.mining.bitsets import bits_of
from rightsize.model.errors import UsageError
from rightsize.model.nouns import PermissionBlock, RoleDefinition
from rightsize.model.plan import KEEP, ProposalKind
from rightsize.model.text import fold
from rightsize.propose.core.operation_sets import OperationIndex, index_operations, without_nested
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.core.role_catalog import Need, write_contents
from rightsize.propose.core.role_patterns import (
    AzureLimits,
    PatternPart,
    reading_parts,
    reading_pattern,
    refusals,
    without_redundant,
)
from rightsize.propose.drafts.drafts import Draft
from rightsize.propose.needs.assignments import Subject
from rightsize.propose.selection.reconcile import mark_duplicates
from rightsize.rbac.algebra import contains
from tests.propose.small_tenant import APP, MG, OPERATIONS, SUB, VM, SmallTenant


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*", "*/read"),
        ("*/read", "*/read"),
        ("Microsoft.Compute/*", "Microsoft.Compute/*/read"),
        ("Microsoft.Compute/*/Read ", "Microsoft.Compute/*/Read"),
        ("Microsoft.Compute/*d", "Microsoft.Compute/*/read"),
        ("Microsoft.Compute/*/action", None),
        ("Microsoft.Compute/disks/read", None),
        ("*/virtualMachines/*", None),
    ],
)
def test_the_reading_part_of_a_pattern(pattern: str, expected: str | None) -> None:
    """One star says it, or explicit operations do."""
    assert reading_pattern(pattern) == expected


@given(st.text("ab/*R", max_size=8))
def test_a_reading_part_grants_nothing_more(pattern: str) -> None:
    """Whatever a pattern looks like, its reading part lies in it, and in `*/read`."""
    found = reading_pattern(pattern)
    if found is not None:
        part = [PermissionBlock(actions=(found,))]
        assert contains([PermissionBlock(actions=(pattern,))], part) is None
        assert contains([PermissionBlock(actions=("*/read",))], part) is None


def test_patterns_that_others_contain_are_left_out() -> None:
    assert without_redundant(["Microsoft.A/*/read", "*/read", "*/Read"]) == ("*/Read",)


def test_blocks_that_subtract_differently_stay_apart() -> None:
    blocks = (
        PermissionBlock(actions=("*",), not_actions=("Microsoft.B/*", "Microsoft.C/*/write")),
        PermissionBlock(actions=("Microsoft.B/*",)),
        PermissionBlock(actions=("*",), condition="x"),
    )
    assert reading_parts(blocks) == (
        PatternPart(("*/read",), ("Microsoft.B/*",)),
        PatternPart(("Microsoft.B/*/read",)),
    )
    assert reading_parts(blocks, within="Microsoft.D") == (PatternPart(("Microsoft.D/*/read",)),)


def _index() -> OperationIndex:
    inputs = SmallTenant().inputs()
    catalogue = pl.DataFrame(
        [(name, "data" if flag else "control", True) for name, flag in OPERATIONS.items()],
        schema={"operation": pl.String, "plane": pl.String, "in_catalogue": pl.Boolean},
        orient="row",
    )
    return index_operations(catalogue, inputs.role_operations)


def test_a_set_is_what_was_put_in_and_keeps_the_spelling_of_the_catalogue() -> None:
    index = _index()
    wanted = [("control", fold("MICROSOFT.compute/DISKS/read")), ("data", fold("no/such/operation"))]
    assert list(index.members(index.mask(wanted))) == [("control", "Microsoft.Compute/disks/read")]
    assert not index.lists("data", fold("Microsoft.Compute/disks/read"))


@given(st.sets(st.integers(0, 300)))
def test_bits_come_back_in_order(positions: set[int]) -> None:
    assert list(bits_of(sum(1 << position for position in positions))) == sorted(positions)


@pytest.mark.slow
def test_a_not_pattern_never_cuts_an_operation_that_is_needed() -> None:
    """What it would take out goes into a role of its own."""
    index = _index()
    blob = ("control", fold("Microsoft.Storage/storageAccounts/listKeys/action"))
    part = PatternPart(("*/read",), ("Microsoft.Storage/*",))
    contents = write_contents(Need(index.mask([blob]), (part,)), index)
    assert [content.not_actions for content in contents] == [(), ("Microsoft.Storage/*",)]
    beside = ("control", fold("Microsoft.Compute/disks/write"))
    (together,) = write_contents(Need(index.mask([beside]), (part,)), index)
    assert together.actions == ("*/read", "Microsoft.Compute/disks/write")


def _role(
    *actions: str, data: tuple[str, ...] = (), scopes: tuple[str, ...] = (SUB,), name: str = "x"
) -> RoleDefinition:
    return RoleDefinition("", name, (PermissionBlock(actions=actions, data_actions=data),), assignable_scopes=scopes)


DISKS = "Microsoft.Compute/disks/write"
BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("role", "said"),
    [
        (_role(), "neither actions nor data actions"),
        (_role("*/a/*"), "2 wildcards, and Azure accepts 1"),
        (_role("Microsoft.Compute/discs/write"), "of the control plane"),
        (_role(BLOBS), "of the control plane"),
        (_role(DISKS, data=(DISKS,)), "of the data plane"),
        (_role(DISKS, scopes=()), "no assignable scope"),
        (_role(DISKS, scopes=("/",)), "root"),
        (_role(DISKS, scopes=("/providers/Microsoft.Billing/billingAccounts/1",)), "neither a management group"),
        (_role(DISKS, scopes=(MG, MG + "2")), "2 management groups, and Azure accepts 1"),
        (_role(DISKS, scopes=tuple(f"/subscriptions/{n}" for n in range(2001))), "2001 assignable scopes"),
        (_role(data=(BLOBS,), scopes=(MG,)), "cannot list a management group"),
        (_role(DISKS, name="n" * 129), "129 characters"),
        (_role(DISKS, name=""), "0 characters"),
    ],
)
def test_what_azure_would_refuse_is_said(role: RoleDefinition, said: str) -> None:
    assert any(said in found for found in refusals(role, _index().lists))


@pytest.mark.slow
def test_what_azure_accepts_is_accepted() -> None:
    """Operations of the right plane, patterns, and what a role of today already names."""
    old = _role("Microsoft.Compute/retired/write", DISKS, "Microsoft.Network/*/read", data=(BLOBS,))
    inherited = frozenset({("control", "microsoft.compute/retired/write")})
    assert refusals(old, _index().lists, inherited) == []


@pytest.mark.slow
def test_a_description_has_its_limit() -> None:
    long = RoleDefinition("", "x", (PermissionBlock(actions=(DISKS,)),), description="d" * 20, assignable_scopes=(SUB,))
    (found,) = refusals(long, _index().lists, limits=AzureLimits(description=10))
    assert found == "its description has 20 characters, and Azure accepts 10"


@pytest.mark.slow
def test_nested_grants_count_once() -> None:
    tree = SmallTenant()
    tree.add("role_assignments", scope=VM)
    from rightsize.analyze.tenant import read_tenant  # noqa: PLC0415

    found = without_nested(
        {MG.lower(): 0b001, SUB: 0b011, APP.lower(): 0b110, "/subscriptions/elsewhere": 0b001},
        read_tenant(SmallTenant().inputs()).tree,
    )
    assert found == {MG.lower(): 0b001, SUB: 0b010, APP.lower(): 0b100, "/subscriptions/elsewhere": 0b001}


def _draft(id_: str, kind: ProposalKind = KEEP) -> Draft:
    return Draft(Subject(id_, "active", "p", "r", SUB, SUB, SUB), kind, "why")


def test_duplicates_have_no_cycle() -> None:
    """Of three that contain each other one stays, and the others rest on it."""
    keys = [(name, "active") for name in "abc"]
    drafts = {key: _draft(key[0]) for key in keys}
    settled = mark_duplicates(drafts, {key: [other for other in keys if other != key] for key in keys})
    assert [settled[key].kind for key in keys] == ["remove_duplicate", "remove_duplicate", "keep"]
    assert {settled[key].rests_on for key in keys[:2]} == {("c",)}


def test_a_chain_of_duplicates_rests_on_its_end() -> None:
    a, b, c = (("a", "active"), ("b", "active"), ("c", "active"))
    settled = mark_duplicates({key: _draft(key[0]) for key in (a, b, c)}, {a: [b, c], b: [c]})
    assert settled[a].rests_on == settled[b].rests_on == ("c",)
    broken = mark_duplicates({a: _draft("a"), b: _draft("b"), c: _draft("c")}, {a: [b], b: [c]})
    assert (broken[a].kind, broken[b].kind) == ("keep", "remove_duplicate")


@pytest.mark.parametrize(
    "wrong",
    [{"role_worth": -1}, {"min_window": 0}, {"grace_days": -1}, {"reads": "some"}, {"unobservable": "perhaps"}],
)
def test_options_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        PlanOptions(**wrong)  # type: ignore[arg-type]
