"""Expansion: planes, conditions and odd names."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rightsize.model.nouns import PermissionBlock, Planes
from rightsize.model.text import fold, parse_pattern
from rightsize.rbac.expand import Catalogue, expand_roles, planes_spelling_out
from rightsize.rbac.permissions import read_permissions
from tests.examples import MANY
from tests.rbac import naive


def test_known_planes_bind_and_what_nobody_knows_stays_open() -> None:
    """What a role spells out says that an operation is on a plane, and never that it is not on the other one."""
    roles = {
        "wide": [PermissionBlock(actions=("*",), data_actions=("*",))],
        "narrow": [PermissionBlock(data_actions=("N/t/SPELT/action ",))],
    }
    operations: list[tuple[str, Planes]] = [
        ("N/t/read", ("control",)),
        ("N/t/data/read", ("data",)),
        ("N/t/dual/read", ("control", "data")),
        ("N/t/spelt/action", ()),
        ("N/t/open/action", ()),
    ]
    rows = {(row.operation, row.plane) for row in expand_roles(roles, operations) if row.role == "wide"}
    assert rows == {
        ("N/t/read", "control"),
        ("N/t/data/read", "data"),
        ("N/t/dual/read", "control"),
        ("N/t/dual/read", "data"),
        ("N/t/spelt/action", "control"),
        ("N/t/spelt/action", "data"),
        ("N/t/open/action", "control"),
        ("N/t/open/action", "data"),
    }


def test_conditional_is_what_only_conditional_blocks_grant() -> None:
    """One block without a condition is enough."""
    role = [PermissionBlock(actions=("N/*",), condition="c"), PermissionBlock(actions=("N/read",))]
    rows = list(expand_roles({"r": role}, [("N/read", ("control",)), ("N/write", ("control",))]))
    assert [(row.operation, row.conditional) for row in rows] == [("N/read", False), ("N/write", True)]


def test_not_actions_spell_out_a_plane_too() -> None:
    """An operation that a role excludes from its actions is a control-plane operation."""
    role = read_permissions([PermissionBlock(actions=("*",), not_actions=("N/x",))])
    assert planes_spelling_out([role], "n/X") == ("control",)
    assert planes_spelling_out([role], "n/y") == ()


names = st.lists(st.text(alphabet="aB/\U0010ffff ", max_size=4), max_size=8)


@given(names, st.text(alphabet="ab/*\U0010ffff", max_size=4))
@MANY
def test_the_index_finds_what_re_finds(operations: list[str], pattern: str) -> None:
    """Whatever the names: doubled, in other case, with the last letter that there is."""
    found = Catalogue(operations).matching(parse_pattern(pattern))
    assert found == {i for i, name in enumerate(operations) if naive.matches(pattern, fold(name))}
