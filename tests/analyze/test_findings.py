"""Findings: orphans, duplicates, silent principals, permanent privilege, and grants that reach nobody."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from rightsize.analyze.duplicates import find_duplicates
from rightsize.analyze.findings import find
from rightsize.analyze.principals import classify_holders, emergency_accounts
from tests.analyze.tiny import RG, SUB, Tiny

START = "Microsoft.Compute/virtualMachines/start/action"


def found(tiny: Tiny, control: str) -> set[str]:
    table = find(tiny.inputs(), tiny.analyse())
    return {row["subject"] for row in table.iter_rows(named=True) if row["control"] == control}


def holder(tiny: Tiny) -> str:
    return str(classify_holders(tiny.inputs())["holder"].item())


def duplicates(tiny: Tiny) -> dict[str, str]:
    table = find_duplicates(tiny.analyse().tenant)
    return dict(table.select("role_assignment_id", "contained_by").iter_rows())


def listing(tiny: Tiny, *names: str) -> Tiny:
    for name in names:
        tiny.add("listings", listing=name, of="", complete=True)
    return tiny


@pytest.fixture
def assigned(tiny: Tiny) -> Tiny:
    return tiny.role("vm", "Microsoft.Compute/*").assign("a", "p", "vm")


@pytest.mark.slow
def test_a_principal_that_a_complete_listing_of_its_kind_lacks_is_gone(assigned: Tiny) -> None:
    assert holder(assigned) == "unresolved"
    assert holder(listing(assigned, "groups", "servicePrincipals")) == "unresolved"
    assert holder(listing(assigned, "users")) == "orphan"
    assert found(assigned, "orphaned_assignment") == {"a"}


@pytest.mark.slow
def test_a_deleted_principal_may_come_back(assigned: Tiny) -> None:
    """It is no orphan, whatever listing lacks it."""
    listing(assigned, "users").add("principals", principal_id="p", deleted_on=dt.datetime(2026, 1, 5))
    assert holder(assigned) == "unresolved"
    assert found(assigned, "orphaned_assignment") == set()
    assert found(assigned, "unresolved_principal") == {"a"}


def test_a_listing_whose_end_was_not_seen_proves_nothing(assigned: Tiny) -> None:
    assigned.add("listings", listing="users", of="", complete=False)
    assert holder(assigned) == "unresolved"
    assert found(assigned, "unresolved_principal") == {"a"}


def test_a_listed_principal_is_known(assigned: Tiny) -> None:
    listing(assigned, "users").add("principals", principal_id="p", principal_type="User", listed=True)
    assert holder(assigned) == "known"


def test_a_member_of_a_listed_group_exists(assigned: Tiny) -> None:
    listing(assigned, "users").add("group_members", group_id="g", member_id="p", listing="members")
    assert holder(assigned) == "known"


def test_a_principal_among_the_deleted_items_may_come_back(assigned: Tiny) -> None:
    listing(assigned, "users")
    assigned.add("principals", principal_id="p", principal_type="User", listed=True, deleted_on=dt.datetime(2026, 1, 1))
    assert holder(assigned) == "unresolved"


def test_a_foreign_principal_is_in_no_listing_of_this_tenant(tiny: Tiny) -> None:
    tiny.role("vm", "*").assign("a", "p", "vm", principal_tenant_id="other")
    assert holder(listing(tiny, "users", "groups", "servicePrincipals")) == "foreign"


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"principal_type": "Unknown"}, "orphan"),
        ({"principal_name": ""}, "orphan"),
        ({"principal_name": "alice@contoso.com"}, "known"),
        ({"principal_name": None}, "unresolved"),
    ],
)
def test_an_export_that_resolves_names_says_who_is_gone(tiny: Tiny, more: dict[str, Any], expected: str) -> None:
    tiny.role("vm", "*").assign("a", "p", "vm", **more).assign("b", "q", "vm", principal_name="bob@contoso.com")
    holders = dict(classify_holders(tiny.inputs()).select("role_assignment_id", "holder").iter_rows())
    assert holders["a"] == expected


def test_an_export_without_a_single_name_resolved_none(tiny: Tiny) -> None:
    tiny.role("vm", "*").assign("a", "p", "vm", principal_name="").assign("b", "q", "vm", principal_name="")
    assert set(classify_holders(tiny.inputs())["holder"]) == {"unresolved"}


def test_a_name_in_the_export_and_a_listing_without_it_contradict_each_other(tiny: Tiny) -> None:
    tiny.role("vm", "*").assign("a", "p", "vm", principal_name="alice@contoso.com")
    assert holder(listing(tiny, "users")) == "unresolved"


def test_a_narrower_assignment_of_a_smaller_role_is_a_duplicate(tiny: Tiny) -> None:
    tiny.role("start", START).role("vm", "Microsoft.Compute/*").assign("big", "p", "vm").assign(
        "small", "p", "start", RG
    )
    assert duplicates(tiny) == {"small": "big"}
    assert found(tiny, "duplicate_assignment") == {"small"}


def test_an_assignment_of_a_group_contains_that_of_its_members_and_not_the_other_way(tiny: Tiny) -> None:
    tiny.role("vm", "Microsoft.Compute/*").member("outer", "inner", "p").member("inner", "p")
    tiny.assign("direct", "p", "vm").assign("group", "outer", "vm")
    assert duplicates(tiny) == {"direct": "group"}


def test_of_equal_assignments_the_smallest_id_stays_and_nothing_runs_in_circles(tiny: Tiny) -> None:
    tiny.role("vm", "Microsoft.Compute/*").role("same", "microsoft.compute/*").member("g", "h").member("h", "g")
    tiny.assign("c", "p", "vm").assign("a", "p", "same").assign("b", "p", "vm").assign("x", "g", "vm").assign(
        "y", "h", "vm"
    )
    assert duplicates(tiny) == {"b": "a", "c": "a", "y": "x"}


@pytest.mark.slow
def test_a_chain_ends_at_what_nothing_contains(tiny: Tiny) -> None:
    tiny.role("one", START).role("two", "Microsoft.Compute/virtualMachines/*").role("three", "Microsoft.Compute/*")
    tiny.assign("a", "p", "one", RG).assign("b", "p", "two").assign("c", "p", "three")
    assert duplicates(tiny) == {"a": "c", "b": "c"}


@pytest.mark.parametrize(
    "big",
    [
        {"state": "eligible"},
        {"end_on": dt.datetime(2027, 1, 1)},
        {"condition": "some condition"},
        {"scope": f"{SUB}/resourceGroups/rg2"},
        {"principal": "q"},
    ],
)
def test_only_what_stands_for_good_at_the_same_or_a_wider_scope_contains(tiny: Tiny, big: dict[str, Any]) -> None:
    tiny.role("vm", "Microsoft.Compute/*").assign("small", "p", "vm", RG)
    assigned = {"principal": "p", "scope": SUB} | big
    tiny.assign("zbig", assigned.pop("principal"), "vm", **assigned)
    assert duplicates(tiny) == {}


def test_the_same_condition_on_both_sides_is_no_more_conditional(tiny: Tiny) -> None:
    tiny.role("vm", "Microsoft.Compute/*").assign("big", "p", "vm", condition="c").assign(
        "small", "p", "vm", RG, condition="c"
    )
    assert duplicates(tiny) == {"small": "big"}


def test_the_plain_row_of_an_activation_contains_nothing(tiny: Tiny) -> None:
    tiny.role("vm", "Microsoft.Compute/*").assign("act", "p", "vm").assign("act", "p", "vm", state="activated")
    tiny.assign("small", "p", "vm", RG)
    assert duplicates(tiny) == {}


def test_an_eligibility_beside_the_same_standing_assignment_is_superfluous(tiny: Tiny) -> None:
    tiny.role("vm", "Microsoft.Compute/*").assign("a", "p", "vm").assign("e", "p", "vm", state="eligible")
    assert duplicates(tiny) == {"e": "a"}


@pytest.mark.slow
def test_a_principal_without_sign_in_is_found_only_under_coverage(assigned: Tiny) -> None:
    assigned.add("principals", principal_id="p", principal_type="User", listed=True)
    assert found(assigned, "no_sign_in") == set()
    assigned.cover_sign_ins("interactive", "non_interactive")
    assert found(assigned, "no_sign_in") == {"p"}
    assigned.sign_in("p", resource_id="anything")
    assert found(assigned, "no_sign_in") == set()


@pytest.mark.slow
def test_unexplained_use_is_found_for_who_acted(assigned: Tiny) -> None:
    assigned.use("q", START).use(None, START, principal_name="joe@contoso.com")
    assert found(assigned, "unexplained_use") == {"q", "joe@contoso.com"}


def test_standing_privilege_is_permanent_active_and_unconditional(tiny: Tiny) -> None:
    tiny.role("owner", "*").role("reader", "*/read")
    tiny.role("contributor", "*", minus=["Microsoft.Authorization/*/write", "Microsoft.Authorization/elevateAccess/*"])
    tiny.assign("contributor", "p", "contributor")
    tiny.role("policy", "Microsoft.Authorization/policyAssignments/*").role("vault", "Microsoft.KeyVault/vaults/*")
    tiny.assign("vault", "p", "vault")
    tiny.assign("owner", "p", "owner").assign("reader", "p", "reader").assign("policy", "q", "policy", RG)
    tiny.assign("eligible", "p", "owner", state="eligible").assign(
        "until", "p", "owner", end_on=dt.datetime(2027, 1, 1)
    )
    tiny.assign("if", "p", "owner", condition="c")
    assert found(tiny, "standing_privilege") == {"owner", "policy"}


def test_emergency_access_accounts_are_found_by_name(tiny: Tiny) -> None:
    tiny.add("principals", principal_id="p", principal_type="User", display_name="Break Glass 1", listed=True)
    tiny.add("principals", principal_id="g", principal_type="Group", display_name="Break Glass accounts", listed=True)
    assert found(tiny, "emergency_access_account") == {"p"}


def test_every_name_spares_an_emergency_access_account(tiny: Tiny) -> None:
    """A display name, a UPN, the name in an export of assignments, or that of a group it is a member of."""
    tiny.add("principals", principal_id="d", principal_type="User", display_name="Break Glass 1", listed=True)
    tiny.add("principals", principal_id="u", principal_type="User", user_principal_name="BreakGlass@x.y", listed=True)
    tiny.add("principals", principal_id="g", principal_type="Group", display_name="Emergency Access", listed=True)
    tiny.add("principals", principal_id="p", principal_type="User", display_name="Pat", listed=True)
    tiny.member("g", "m").role("vm", "Microsoft.Compute/*").assign("a", "e", "vm", principal_name="break-glass 2")
    assert {*emergency_accounts(tiny.inputs())} == {"d", "u", "g", "m", "e"}


def test_grants_that_give_nobody_anything_are_found(tiny: Tiny) -> None:
    tiny.add("role_definitions", role_definition_id="empty", role_name="empty", role_type="CustomRole")
    tiny.role("vm", "Microsoft.Compute/*").assign("nothing", "p", "empty").assign("nobody", "g", "vm")
    tiny.add("listings", listing="members", of="g", complete=True)
    tiny.add("principals", principal_id="off", principal_type="User", account_enabled=False, listed=True)
    tiny.assign("disabled", "off", "vm").assign("over", "p", "vm", end_on=dt.datetime(2026, 1, 2)).assign(
        "fine", "p", "vm"
    )
    assert found(tiny, "inert_assignment") == {"nothing", "nobody", "disabled", "over"}
