"""Scopes: the parts of a resource id, and the scopes above it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.model.errors import InputError
from rightsize.rbac.scopes import LONGEST_SCOPE, is_within, lineage, parse_scope
from tests.examples import MANY

MG = "/providers/Microsoft.Management/managementGroups/"
TREE = {"/subscriptions/s": MG + "Team", "/providers/microsoft.management/managementgroups/team": MG + "Tenant"}
ABOVE_SUBSCRIPTION = (MG.lower() + "team", MG.lower() + "tenant", "/")
GROUP = "/subscriptions/S/resourceGroups/RG"


@pytest.mark.parametrize(
    ("text", "kind", "parent", "resource_type"),
    [
        ("/", "root", None, None),
        ("//", "root", None, None),
        (MG + "Team", "management_group", None, None),
        ("/subscriptions/S/", "subscription", None, None),
        (GROUP, "resource_group", "/subscriptions/s", None),
        (GROUP + "/providers/N.A/t/x", "resource", GROUP.lower(), "N.A/t"),
        (GROUP + "/providers/N.A/t/x/t2/y", "resource", GROUP.lower() + "/providers/n.a/t/x", "N.A/t/t2"),
        (GROUP + "/providers/N.A/t/x/providers/N.B/e/z", "resource", GROUP.lower() + "/providers/n.a/t/x", "N.B/e"),
        ("/subscriptions/S/providers/N.A/t/x", "resource", "/subscriptions/s", "N.A/t"),
        (MG + "Team/providers/N.A/t/x", "tenant_resource", MG.lower() + "team", "N.A/t"),
        ("/providers/N.A/t/x", "tenant_resource", "/", "N.A/t"),
        ("/providers/N.A/t/x/t2/y", "tenant_resource", "/providers/n.a/t/x", "N.A/t/t2"),
        (GROUP + "/providers/N.A/t/x/t2", "resource", GROUP.lower() + "/providers/n.a/t/x", "N.A/t/t2"),
        (GROUP + "/providers/N.A", "resource", GROUP.lower(), "N.A"),
        ("/subscriptions/S/resourceGroups/providers", "resource_group", "/subscriptions/s", None),
    ],
)
def test_kind_parent_and_type(text: str, kind: str, parent: str | None, resource_type: str | None) -> None:
    """Each kind of scope is told by its text alone."""
    scope = parse_scope(text)
    assert (scope.kind, scope.parent, scope.resource_type) == (kind, parent, resource_type)


def test_case_and_trailing_slashes_do_not_matter() -> None:
    """Azure compares ids without regard to case, and so does equality here."""
    one, other = parse_scope(GROUP), parse_scope(GROUP.upper() + "/")
    assert one == other
    assert (other.subscription_id, other.resource_group) == ("s", "RG")


def test_ancestors_climb_from_child_resources_to_the_root() -> None:
    """The chain goes through parents, the group, the subscription and the management groups that the tree knows."""
    child = parse_scope(GROUP + "/providers/N/t/x/t2/y/providers/M/e/z")
    key = GROUP.lower()
    assert lineage(child, TREE) == (
        child.key,
        key + "/providers/n/t/x/t2/y",
        key + "/providers/n/t/x",
        key,
        "/subscriptions/s",
        *ABOVE_SUBSCRIPTION,
    )
    assert lineage(parse_scope("/"), TREE) == ("/",)


def test_within_is_by_segments_not_by_letters() -> None:
    """`rg2` is not inside `rg`, whatever its letters; every scope is within itself and the root."""
    group, longer = parse_scope(GROUP), parse_scope(GROUP + "2")
    assert not is_within(longer, group, TREE)
    assert is_within(group, group, TREE)
    assert is_within(longer, parse_scope("/"), {})
    assert is_within(longer, parse_scope(MG + "TENANT"), TREE)
    assert not is_within(parse_scope("/subscriptions/other"), parse_scope(MG + "tenant"), TREE)


def test_a_tree_with_a_cycle_or_nonsense_ends_at_the_root() -> None:
    """What exports claim about management groups may be wrong; climbing ends all the same."""
    a, b = MG.lower() + "a", MG.lower() + "b"
    assert lineage(parse_scope(a), {a: b, b: a}) == (a, b, "/")
    assert lineage(parse_scope(a), {a: "nonsense"}) == (a, "/")


@pytest.mark.parametrize("text", ["", "   ", "subscriptions/S", "x", "/" + "a" * LONGEST_SCOPE])
def test_what_is_no_scope_is_refused(text: str) -> None:
    """The error is one that the command line explains."""
    with pytest.raises(InputError):
        parse_scope(text)


@given(
    st.lists(
        st.sampled_from(["providers", "subscriptions", "resourceGroups", "", "Ä", "\0", "x y", "N.P"]), max_size=12
    )
)
@MANY
def test_any_path_is_read_and_climbed(parts: list[str]) -> None:
    """Whatever stands between slashes, the chain above gets shorter step by step and ends at the root."""
    scope = parse_scope("/" + "/".join(parts))
    chain = lineage(scope, {})
    assert chain[-1] == "/"
    assert all(len(above) < len(below) for below, above in pairwise(chain))
    assert parse_scope(scope.text) == scope == parse_scope(scope.key)
