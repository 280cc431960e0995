"""Use is credited to the assignment that allowed it: the logged one, the only one left, or the smallest such set."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from tests.analyze.tiny import MG, RG, SUB, VM, Tiny

START = "Microsoft.Compute/virtualMachines/start/action"
WRITE = "Microsoft.Compute/virtualMachines/write"
JOIN = "Microsoft.Network/virtualNetworks/subnets/join/action"
BLOB = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read"


def credited(tiny: Tiny) -> set[tuple[str | None, str | None, str, str, str]]:
    rows = tiny.analyse().verdicts.filter(pl.col("verdict").is_in(["used", "unexplained"]))
    return set(rows.select("role_assignment_id", "state", "operation", "verdict", "reason").iter_rows())


def test_the_assignment_that_the_log_names_comes_first(tiny: Tiny) -> None:
    tiny.role("vm", "Microsoft.Compute/*").role("all", "*").assign("narrow", "p", "vm").assign("wide", "p", "all")
    tiny.use("p", START, role_assignment_id="WIDE")
    assert credited(tiny) == {("wide", "active", START, "used", "evidence")}


def test_the_log_may_name_the_assignment_of_a_group_that_no_listing_connects(tiny: Tiny) -> None:
    tiny.role("vm", "Microsoft.Compute/*").assign("a", "group", "vm").use("p", START, role_assignment_id="a")
    assert credited(tiny) == {("a", "active", START, "used", "evidence")}


def test_an_activation_is_the_use_of_the_eligibility_behind_it(tiny: Tiny) -> None:
    tiny.role("vm", "Microsoft.Compute/*").assign("e", "p", "vm", state="eligible")
    tiny.assign("act", "p", "vm", state="activated", eligibility_id="e").assign("act", "p", "vm")
    tiny.use("p", START, role_assignment_id="act")
    assert credited(tiny) == {
        ("act", "activated", START, "used", "evidence"),
        ("act", "active", START, "used", "evidence"),
        ("e", "eligible", START, "used", "activation"),
    }


def test_an_id_that_no_listing_shows_is_a_past_activation_of_an_eligibility_that_grants_the_call(tiny: Tiny) -> None:
    tiny.role("vm", "Microsoft.Compute/*").member("g", "p").assign("e", "g", "vm", state="eligible")
    tiny.assign("a", "p", "vm").use("p", START, role_assignment_id="gone")
    assert credited(tiny) == {("e", "eligible", START, "used", "past_activation")}


def test_an_id_that_no_listing_shows_falls_to_elimination_without_an_eligibility(tiny: Tiny) -> None:
    tiny.role("vm", "Microsoft.Compute/*").assign("a", "p", "vm").use("p", START, role_assignment_id="gone")
    assert credited(tiny) == {("a", "active", START, "used", "elimination")}


def _may_join(tiny: Tiny, group: str, principal: str, state: str = "eligible") -> Tiny:
    row = {"instance_id": f"{group}-{principal}", "state": state, "access": "member"}
    return tiny.add("group_schedule_instances", principal_id=principal, group_id=group, **row)


def test_what_only_an_activated_membership_explains_is_use_of_what_the_group_holds(tiny: Tiny) -> None:
    """Of one group within another, too; so it is not taken for unused."""
    tiny.role("vm", "Microsoft.Compute/*").assign("a", "outer", "vm").member("outer", "inner")
    _may_join(tiny, "inner", "p").use("p", START)
    assert credited(tiny) == {("a", "active", START, "used", "group_activation")}


def test_what_stands_comes_before_a_membership_that_has_to_be_activated(tiny: Tiny) -> None:
    tiny.role("vm", "Microsoft.Compute/*").assign("a", "g", "vm").assign("own", "p", "vm")
    _may_join(tiny, "g", "p").use("p", START)
    assert credited(tiny) == {("own", "active", START, "used", "elimination")}


def test_who_may_only_own_a_group_is_no_member_of_it(tiny: Tiny) -> None:
    tiny.role("vm", "Microsoft.Compute/*").assign("a", "g", "vm").use("p", START)
    tiny.add(
        "group_schedule_instances", principal_id="p", group_id="g", instance_id="o", state="eligible", access="owner"
    )
    assert credited(tiny) == {(None, None, START, "unexplained", "no_grant")}


@pytest.mark.slow
def test_an_id_that_no_listing_shows_and_nothing_explains_is_said(tiny: Tiny) -> None:
    tiny.role("vm", "Microsoft.Compute/*").assign("a", "p", "vm", f"{SUB}/resourceGroups/other")
    tiny.use("p", START, role_assignment_id="gone")
    assert credited(tiny) == {(None, None, START, "unexplained", "assignment_gone")}


def test_a_named_assignment_that_no_longer_grants_the_call_gets_no_credit(tiny: Tiny) -> None:
    tiny.role("vm", "Microsoft.Compute/*/read").assign("a", "p", "vm").use("p", START, role_assignment_id="a")
    assert credited(tiny) == {(None, None, START, "unexplained", "grant_changed")}


def test_a_named_assignment_keeps_its_credit_while_its_role_is_not_loaded(tiny: Tiny) -> None:
    tiny.assign("a", "p", "missing").use("p", START, role_assignment_id="a")
    assert credited(tiny) == {("a", "active", START, "used", "evidence")}


def test_only_assignments_at_or_above_the_scope_that_grant_the_operation_are_candidates(tiny: Tiny) -> None:
    tiny.role("vm", "Microsoft.Compute/*").role("net", "Microsoft.Network/*")
    tiny.assign("here", "p", "vm", RG).assign("beside", "p", "vm", f"{SUB}/resourceGroups/rg10").assign(
        "net", "p", "net"
    )
    tiny.use("p", START)
    assert credited(tiny) == {("here", "active", START, "used", "elimination")}


def test_an_assignment_at_a_management_group_explains_use_in_its_subscriptions(tiny: Tiny) -> None:
    tiny.add("scopes", scope=MG, kind="management_group", parent_scope="/", listed=True)
    tiny.add("scopes", scope=SUB, kind="subscription", parent_scope=MG, listed=True)
    tiny.role("vm", "Microsoft.Compute/*").assign("a", "p", "vm", MG.upper()).use("p", START)
    assert credited(tiny) == {("a", "active", START, "used", "elimination")}


def test_a_subscription_without_a_place_in_the_tree_leaves_use_unexplained_but_not_silent(tiny: Tiny) -> None:
    tiny.role("vm", "Microsoft.Compute/*").assign("a", "p", "vm", MG).use("p", START)
    assert credited(tiny) == {(None, None, START, "unexplained", "scope_tree_unknown")}


def test_the_log_is_believed_about_a_management_group_whose_tree_is_not_loaded(tiny: Tiny) -> None:
    tiny.role("vm", "Microsoft.Compute/*").assign("a", "p", "vm", MG).use("p", START, role_assignment_id="a")
    assert credited(tiny) == {("a", "active", START, "used", "evidence")}


def test_the_plane_decides_too(tiny: Tiny) -> None:
    tiny.role("owner", "*").assign("a", "p", "owner").use("p", BLOB, plane="data")
    assert credited(tiny) == {(None, None, BLOB, "unexplained", "no_grant")}


@pytest.mark.slow
def test_not_actions_take_away_in_their_block_only(tiny: Tiny) -> None:
    tiny.role("minus", "*", minus=["*/start/action"]).assign("a", "p", "minus").use("p", START).use("p", WRITE)
    assert credited(tiny) == {
        (None, None, START, "unexplained", "no_grant"),
        ("a", "active", WRITE, "used", "elimination"),
    }


@pytest.mark.slow
def test_an_operation_that_the_catalogue_lacks_is_matched_by_patterns(tiny: Tiny) -> None:
    tiny.role("new", "Microsoft.New/*", minus=["Microsoft.New/*/delete"]).assign("a", "p", "new")
    tiny.use("p", "Microsoft.New/things/write").use("p", "Microsoft.New/things/delete")
    assert credited(tiny) == {
        ("a", "active", "Microsoft.New/things/write", "used", "elimination"),
        (None, None, "Microsoft.New/things/delete", "unexplained", "no_grant"),
    }


def test_an_assignment_made_after_the_last_use_does_not_explain_it(tiny: Tiny) -> None:
    tiny.role("vm", "Microsoft.Compute/*").assign("a", "p", "vm", created_on=dt.datetime(2026, 1, 6)).use("p", START)
    assert credited(tiny) == {(None, None, START, "unexplained", "granted_later")}


def test_an_assignment_made_between_two_uses_explains_them(tiny: Tiny) -> None:
    """It allowed the last of them; what allowed the first is gone."""
    tiny.role("vm", "Microsoft.Compute/*").assign("a", "p", "vm", created_on=dt.datetime(2026, 1, 6))
    tiny.use("p", START, day=dt.date(2026, 1, 5)).use("p", START, day=dt.date(2026, 1, 7))
    assert credited(tiny) == {("a", "active", START, "used", "elimination")}


def test_an_assignment_that_ended_before_the_first_use_does_not_explain_it(tiny: Tiny) -> None:
    tiny.role("vm", "Microsoft.Compute/*").assign("a", "p", "vm", end_on=dt.datetime(2026, 1, 4)).use("p", START)
    assert credited(tiny) == {(None, None, START, "unexplained", "granted_later")}


@pytest.mark.slow
def test_what_stands_comes_before_what_would_have_to_be_activated(tiny: Tiny) -> None:
    tiny.role("vm", "Microsoft.Compute/*").role("all", "*")
    tiny.assign("e", "p", "vm", state="eligible").assign("z", "p", "all").use("p", START)
    assert credited(tiny) == {("z", "active", START, "used", "elimination")}


def test_of_several_the_one_that_is_credited_already_is_kept(tiny: Tiny) -> None:
    tiny.role("vm", "Microsoft.Compute/*").role("all", "*").assign("narrow", "p", "vm").assign("wide", "p", "all")
    tiny.use("p", JOIN).use("p", START)
    assert credited(tiny) == {
        ("wide", "active", JOIN, "used", "elimination"),
        ("wide", "active", START, "used", "fewest"),
    }


def test_of_several_the_one_that_explains_most_is_kept_also_across_principals(tiny: Tiny) -> None:
    tiny.role("vm", "Microsoft.Compute/*").member("g", "p", "q", "r").assign("zz", "g", "vm")
    for principal in ("p", "q", "r"):
        tiny.assign(f"direct-{principal}", principal, "vm").use(principal, START)
    assert {row[0] for row in credited(tiny)} == {"zz"}


def test_of_equals_the_least_powerful_is_kept_and_then_the_smaller_id(tiny: Tiny) -> None:
    tiny.role("vm", "Microsoft.Compute/*").role("start", START)
    tiny.assign("a", "p", "vm").assign("b", "p", "start").assign("c", "p", "start", RG).assign("d", "p", "start", RG)
    tiny.use("p", START)
    assert credited(tiny) == {("c", "active", START, "used", "fewest")}


def test_refused_calls_are_never_use(tiny: Tiny) -> None:
    tiny.role("vm", "Microsoft.Compute/*").assign("a", "p", "vm").use("p", START, succeeded=0, denied=5)
    assert credited(tiny) == set()


@pytest.mark.slow
def test_calls_that_failed_after_authorisation_or_were_only_seen_to_start_are_use(tiny: Tiny) -> None:
    tiny.role("vm", "Microsoft.Compute/*").assign("a", "p", "vm")
    tiny.use("p", START, succeeded=0, failed=2).use("p", WRITE, succeeded=0, started=1)
    assert {(row[2], row[3]) for row in credited(tiny)} == {(START, "used"), (WRITE, "used")}


def test_calls_outside_the_window_are_no_use(tiny: Tiny) -> None:
    tiny.role("vm", "Microsoft.Compute/*").assign("a", "p", "vm")
    tiny.use("p", START, day=dt.date(2025, 12, 31)).use("p", WRITE, day=dt.date(2026, 1, 11))
    assert credited(tiny) == set()


def test_a_name_that_nobody_resolves_is_kept_as_it_was_written(tiny: Tiny) -> None:
    tiny.use(None, START, principal_name="joe@contoso.com")
    rows = tiny.analyse().verdicts
    assert rows.select("principal_id", "reason").rows() == [("joe@contoso.com", "principal_unresolved")]


def test_a_call_that_a_role_which_is_not_loaded_may_allow_says_so(tiny: Tiny) -> None:
    tiny.assign("a", "p", "missing").use("p", START)
    assert (None, None, START, "unexplained", "role_definition_missing") in credited(tiny)


@pytest.mark.slow
def test_days_and_calls_are_counted_over_the_window(tiny: Tiny) -> None:
    tiny.role("vm", "Microsoft.Compute/*").assign("a", "p", "vm")
    tiny.use("p", START, succeeded=3).use("p", START.upper(), VM.lower(), succeeded=2, day=dt.date(2026, 1, 7))
    row = tiny.analyse().verdicts.filter(pl.col("verdict") == "used").row(0, named=True)
    assert (row["events"], row["days"], row["operation"]) == (5, 2, START)
    assert (row["first_seen"].day, row["last_seen"].day) == (5, 7)


def test_suspect_calls_are_quarantined_wherever_they_may_have_come_from(tiny: Tiny) -> None:
    tiny.role("vm", "Microsoft.Compute/*").assign("a", "p", "vm").assign("b", "p", "vm", RG).cover()
    tiny.use("p", START, suspect=1).use("p", WRITE, succeeded=2, suspect=1)
    for assignment in ("a", "b"):
        assert tiny.judged(assignment)[START] == ("out_of_coverage", "quarantined")
    assert credited(tiny) == {("b", "active", WRITE, "used", "fewest")}
    assert tiny.judged("a")["Microsoft.Compute/virtualMachines/delete"] == ("unused", "covered")


def test_suspect_calls_that_nothing_grants_are_unexplained_and_quarantined(tiny: Tiny) -> None:
    tiny.use("p", START, suspect=1)
    assert credited(tiny) == {(None, None, START, "unexplained", "quarantined")}


@pytest.mark.slow
def test_a_use_of_somebody_unknown_keeps_the_operation_wherever_it_may_have_been_allowed(tiny: Tiny) -> None:
    tiny.role("vm", "Microsoft.Compute/*").assign("a", "p", "vm").assign("b", "q", "vm", RG).cover()
    tiny.assign("c", "q", "vm", f"{SUB}/resourceGroups/rg2").use(None, START, principal_name="joe@contoso.com")
    for assignment in ("a", "b"):
        assert tiny.judged(assignment)[START] == ("out_of_coverage", "unexplained_use")
        assert tiny.judged(assignment)[WRITE] == ("unused", "covered")
    assert tiny.judged("c")[START] == ("unused", "covered")


@pytest.mark.slow
def test_unexplained_use_keeps_the_operation_for_groups_whose_members_are_not_known(tiny: Tiny) -> None:
    tiny.role("vm", "Microsoft.Compute/*").assign("a", "g", "vm", principal_type="Group").cover().use("p", START)
    assert tiny.judged("a")[START] == ("out_of_coverage", "unexplained_use")
    tiny.add("listings", listing="members", of="g", complete=True)
    assert tiny.judged("a")[START] == ("unused", "covered")


@pytest.mark.slow
def test_unexplained_use_keeps_the_operation_above_a_subscription_without_a_place(tiny: Tiny) -> None:
    tiny.add("scopes", scope=MG, kind="management_group", parent_scope="/", listed=True)
    tiny.role("vm", "Microsoft.Compute/*").assign("a", "p", "vm", MG).cover().use("p", START)
    assert tiny.judged("a")[START] == ("out_of_coverage", "unexplained_use")
    assert tiny.judged("a")[WRITE] == ("unused", "covered")


@pytest.mark.slow
def test_a_condition_may_have_refused_the_call_so_what_has_none_comes_first(tiny: Tiny) -> None:
    tiny.role("vm", "Microsoft.Compute/*").assign("a", "p", "vm", RG, condition="c").assign("b", "p", "vm")
    tiny.use("p", START)
    assert credited(tiny) == {("b", "active", START, "used", "elimination")}


@pytest.mark.slow
def test_a_condition_inside_the_role_counts_like_one_on_the_assignment(tiny: Tiny) -> None:
    operation = "Microsoft.New/things/write"
    tiny.role("plain", "Microsoft.New/*").role("bound", operation)
    tiny.rows["role_permissions"][-1]["condition"] = "c"
    tiny.assign("a", "p", "bound", RG).assign("b", "p", "plain").use("p", operation)
    assert credited(tiny) == {("b", "active", operation, "used", "elimination")}


@pytest.mark.slow
def test_where_too_many_sets_would_be_held_apart_each_holds_all(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rightsize.analyze.verdicts.profiles.HELD_ROWS", 3)
    tiny.role("vm", "Microsoft.Compute/*").assign("a", "p", "vm", RG).assign(
        "b", "p", "vm", f"{SUB}/resourceGroups/rg2"
    )
    tiny.assign("c", "q", "vm", f"{SUB}/resourceGroups/rg3").cover()
    tiny.use(None, START, RG, principal_name="x").use(None, WRITE, f"{SUB}/resourceGroups/rg2", principal_name="x")
    for assignment in ("a", "b"):
        assert {tiny.judged(assignment)[operation][1] for operation in (START, WRITE)} == {"unexplained_use"}
    assert tiny.judged("c")[START] == ("unused", "covered")


STARRED = "Microsoft.Compute/virtualMachines/*/start/action"


@pytest.mark.slow
def test_what_grants_a_call_for_certain_comes_before_what_may(tiny: Tiny) -> None:
    """Whether `virtualMachines/*/start/action` allows `virtualMachines/start/action`, Azure does not say."""
    tiny.role("maybe", STARRED).role("all", "*").assign("a", "p", "maybe").assign("b", "p", "all").use("p", START)
    assert credited(tiny) == {("b", "active", START, "used", "fewest")}


def test_a_call_that_only_one_reading_explains_is_credited_to_all_that_may_have_allowed_it(tiny: Tiny) -> None:
    """The one reading is that of an action, the other that of a not-action: each may be what the call rests on."""
    tiny.role("maybe", STARRED).role("rest", "*", minus=(STARRED,)).role("other", "Microsoft.Network/*")
    tiny.assign("a", "p", "maybe").assign("b", "p", "rest").assign("c", "p", "other").use("p", START)
    found = credited(tiny)
    assert {(id_, verdict) for id_, _, _, verdict, _ in found} == {("a", "used"), ("b", "used")}
    assert "reading" in {reason for *_, reason in found}


def test_a_call_that_the_log_credits_to_a_doubtful_grant_is_credited_to_a_certain_one_as_well(tiny: Tiny) -> None:
    tiny.role("maybe", STARRED).role("all", "*").assign("a", "p", "maybe").assign("b", "p", "all")
    tiny.use("p", START, role_assignment_id="a")
    assert credited(tiny) == {
        ("a", "active", START, "used", "evidence"),
        ("b", "active", START, "used", "reading"),
    }


def test_a_doubtful_grant_that_is_the_only_one_explains_the_call(tiny: Tiny) -> None:
    tiny.role("maybe", STARRED).assign("a", "p", "maybe").use("p", START)
    assert credited(tiny) == {("a", "active", START, "used", "elimination")}
