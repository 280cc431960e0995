"""An operation is unused only where a log that would show it covers every day and every scope."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from tests.analyze.tiny import CATALOGUE, MG, RG, SUB, VM, Tiny

START = "Microsoft.Compute/virtualMachines/start/action"
READ = "Microsoft.Compute/virtualMachines/read"
JOIN = "Microsoft.Network/virtualNetworks/subnets/join/action"
CONTAINER = "Microsoft.Storage/storageAccounts/blobServices/containers/write"
BLOB = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read"
GRANT = "Microsoft.Authorization/roleAssignments/write"
GROUPS = "Microsoft.Management/managementGroups/write"


@pytest.fixture
def owner(tiny: Tiny) -> Tiny:
    return tiny.role("owner", "*", data=["*"])


def with_groups(tiny: Tiny) -> Tiny:
    tiny.add("scopes", scope=MG, kind="management_group", parent_scope="/", listed=True)
    tiny.add("scopes", scope=f"{MG}child", kind="management_group", parent_scope=MG, listed=True)
    tiny.add("scopes", scope="/subscriptions/s2", kind="subscription", parent_scope=f"{MG}child", listed=True)
    return tiny.add("scopes", scope=SUB, kind="subscription", parent_scope=MG, listed=True)


@pytest.mark.slow
def test_a_logged_operation_under_full_coverage_is_unused(owner: Tiny) -> None:
    assert owner.assign("a", "p", "owner").cover().judged("a")[START] == ("unused", "covered")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        (READ, "arm_read"),
        (JOIN, "linked_check"),
        (CONTAINER, "data_endpoint"),
        (BLOB, "no_diagnostic_inventory"),
    ],
)
def test_what_no_log_could_have_shown_is_unobservable(owner: Tiny, operation: str, reason: str) -> None:
    assert owner.assign("a", "p", "owner").cover().judged("a")[operation] == ("unobservable", reason)


def test_without_any_log_nothing_is_unused(owner: Tiny) -> None:
    assert owner.assign("a", "p", "owner").judged("a")[START] == ("out_of_coverage", "no_log_loaded")


@pytest.mark.slow
def test_one_missing_day_takes_the_certainty_away(owner: Tiny) -> None:
    owner.assign("a", "p", "owner").cover(days=[0, 1, 2, 3, 5, 6, 7, 8, 9])
    assert owner.judged("a")[START] == ("out_of_coverage", "days_missing")


@pytest.mark.slow
def test_a_day_that_is_stated_as_missing_is_missing(owner: Tiny) -> None:
    owner.assign("a", "p", "owner").cover(days=range(9)).cover(days=[9], state="missing")
    assert owner.judged("a")[START] == ("out_of_coverage", "days_missing")


@pytest.mark.slow
@pytest.mark.parametrize("state", ["observed", "declared_empty", "quiet"])
def test_a_day_without_rows_counts_where_it_is_declared_or_quiet(owner: Tiny, state: str) -> None:
    owner.assign("a", "p", "owner").cover(days=range(9)).cover(days=[9], state=state)
    assert owner.judged("a")[START] == ("unused", "covered")


@pytest.mark.slow
def test_the_log_of_another_subscription_says_nothing(owner: Tiny) -> None:
    owner.assign("a", "p", "owner").cover("/subscriptions/s2")
    assert owner.judged("a")[START] == ("out_of_coverage", "scope_not_covered")


@pytest.mark.slow
def test_other_categories_and_sources_say_nothing(owner: Tiny) -> None:
    owner.assign("a", "p", "owner").cover(category="Policy").cover(source="storage_log")
    assert owner.judged("a")[START] == ("out_of_coverage", "no_log_loaded")


@pytest.mark.slow
@pytest.mark.parametrize("scope", [RG, VM])
def test_narrow_assignments_are_judged_by_the_log_of_their_subscription(owner: Tiny, scope: str) -> None:
    assert owner.assign("a", "p", "owner", scope).cover().judged("a")[START] == ("unused", "covered")


@pytest.mark.slow
def test_a_declaration_for_the_tenant_covers_what_lies_below(owner: Tiny) -> None:
    owner.assign("a", "p", "owner").cover("/", state="declared_empty", declared_by="user")
    assert owner.judged("a")[START] == ("unused", "covered")


def test_rows_of_the_tenants_own_log_cover_no_subscription(owner: Tiny) -> None:
    owner.assign("a", "p", "owner").cover("/")
    assert owner.judged("a")[START] == ("out_of_coverage", "scope_not_covered")


@pytest.mark.slow
def test_an_assignment_at_a_management_group_needs_every_subscription_below(owner: Tiny) -> None:
    with_groups(owner).assign("a", "p", "owner", MG).cover()
    assert owner.judged("a")[START] == ("out_of_coverage", "scope_not_covered")
    owner.cover("/subscriptions/s2")
    assert owner.judged("a")[START] == ("unused", "covered")


@pytest.mark.slow
def test_what_can_be_done_at_a_management_group_needs_the_groups_own_logs_too(owner: Tiny) -> None:
    with_groups(owner).assign("a", "p", "owner", MG).cover().cover("/subscriptions/s2").cover(MG)
    assert owner.judged("a")[GRANT] == ("out_of_coverage", "scope_not_covered")
    owner.cover(f"{MG}child")
    assert owner.judged("a")[GRANT] == ("unused", "covered")


def test_what_is_only_done_at_management_groups_is_judged_by_their_logs_alone(owner: Tiny) -> None:
    with_groups(owner).assign("a", "p", "owner", MG).cover(MG).cover(f"{MG}child")
    assert owner.judged("a")[GROUPS] == ("unused", "covered")
    assert owner.judged("a")[START] == ("out_of_coverage", "scope_not_covered")


@pytest.mark.slow
def test_an_assignment_at_the_root_needs_the_tenants_own_log_for_what_is_done_there(owner: Tiny) -> None:
    with_groups(owner).assign("a", "p", "owner", "/").cover().cover("/subscriptions/s2").cover(MG).cover(f"{MG}child")
    assert owner.judged("a")[GRANT] == ("out_of_coverage", "scope_not_covered")
    assert owner.judged("a")[START] == ("unused", "covered")
    owner.cover("/")
    assert owner.judged("a")[GRANT] == ("unused", "covered")


def test_a_management_group_that_no_listing_shows_may_hold_anything(owner: Tiny) -> None:
    owner.assign("a", "p", "owner", MG).cover().cover(MG)
    assert owner.judged("a")[START] == ("out_of_coverage", "scope_tree_unknown")


def test_a_subscription_whose_place_is_not_known_counts_below_every_management_group(owner: Tiny) -> None:
    with_groups(owner).assign("a", "p", "owner", MG).cover().cover("/subscriptions/s2")
    owner.add("scopes", scope="/subscriptions/stray", kind="subscription", parent_scope="/", listed=True)
    assert owner.judged("a")[START] == ("out_of_coverage", "scope_not_covered")


@pytest.mark.slow
@pytest.mark.parametrize(
    "doubt", [{"operations": CATALOGUE | {START: None}}, {"operations": CATALOGUE, "guess": [START]}]
)
def test_a_doubtful_plane_is_judged_on_the_plane_of_the_grant(owner: Tiny, doubt: dict[str, Any]) -> None:
    """As an action the log would have shown it; as a data action this grant would not give it."""
    owner.catalogue(**doubt).assign("a", "p", "owner").cover()
    assert owner.judged("a")[START] == ("unused", "covered")


@pytest.mark.slow
def test_a_doubtful_data_action_may_have_been_used(tiny: Tiny) -> None:
    """A grant of data actions is never called unused, whatever the Activity Log covers."""
    tiny.catalogue(CATALOGUE | {START: True}, guess=[START])
    tiny.role("reader", data=["*"]).assign("a", "p", "reader").cover()
    assert tiny.judged("a")[START][0] == "unobservable"


@pytest.mark.slow
def test_an_operation_that_only_a_role_names_is_judged_like_any_other(tiny: Tiny) -> None:
    tiny.role("odd", "Microsoft.New/things/write", "Microsoft.New/things/read").assign("a", "p", "odd").cover()
    assert tiny.judged("a") == {
        "Microsoft.New/things/write": ("unused", "covered"),
        "Microsoft.New/things/read": ("unobservable", "arm_read"),
    }


def test_patterns_that_match_nothing_in_the_catalogue_are_said_and_not_counted(tiny: Tiny) -> None:
    tiny.role("odd", "Microsoft.New/*").assign("a", "p", "odd").cover()
    assert tiny.verdicts() == {("a", None, "out_of_coverage", "not_in_catalogue", None)}


def test_a_role_definition_that_is_not_loaded_is_said_and_not_counted(tiny: Tiny) -> None:
    assert tiny.assign("a", "p", "missing").cover().verdicts() == {
        ("a", None, "out_of_coverage", "role_definition_missing", None)
    }


def test_without_a_catalogue_use_is_still_judged_and_the_rest_is_said_once(tiny: Tiny) -> None:
    tiny.catalogue({}).role("vm", "Microsoft.Compute/*").assign("a", "p", "vm").cover().use("p", START)
    assert tiny.verdicts() == {
        ("a", START, "used", "elimination", 1),
        ("a", None, "out_of_coverage", "no_catalogue", None),
    }


def test_counted_rows_leave_out_what_the_assignment_used(owner: Tiny) -> None:
    owner.assign("a", "p", "owner").cover().use("p", START)
    assert ("a", None, "unused", "covered", 5) in owner.verdicts()
    assert ("a", START, "used", "elimination", 1) in owner.verdicts()


@pytest.mark.slow
def test_assignments_that_are_judged_alike_share_a_profile(owner: Tiny) -> None:
    owner.assign("a", "p", "owner").assign("b", "q", "owner", RG).assign("c", "r", "owner", "/subscriptions/s2").cover()
    profiles = dict(owner.analyse().profiles.select("role_assignment_id", "profile_id").iter_rows())
    assert profiles["a"] == profiles["b"] != profiles["c"]


@pytest.mark.slow
def test_an_eligible_assignment_that_was_activated_is_judged_as_others_are(owner: Tiny) -> None:
    owner.assign("e", "p", "owner", state="eligible").cover()
    owner.assign("x", "p", "owner", state="activated", eligibility_id="e", start_on=dt.datetime(2026, 1, 3))
    assert owner.judged("e", "eligible")[START] == ("unused", "covered")
