"""Verdicts on directory roles: use in the audit log, operations that no log shows, and unusable roles."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from tests.planes.directory.world import GLOBAL, UNIT, USER_ADMIN, World


@pytest.fixture
def world() -> World:
    return World().person("ada").cover()


def used(world: World) -> list[tuple[str, str, str]]:
    rows = world.analyse().verdicts.filter(pl.col("verdict") == "used")
    return sorted(rows.select("role_assignment_id", "operation", "reason").rows())


def unexplained(world: World) -> list[tuple[str, str]]:
    rows = world.analyse().verdicts.filter(pl.col("verdict") == "unexplained")
    return sorted(rows.select("operation", "reason").rows())


def test_each_kind_of_action_has_its_verdict(world: World) -> None:
    world.role("mixed", "microsoft.directory/users/create", "microsoft.directory/users/standard/read",
               "microsoft.directory/users/delete", "microsoft.intune/allEntities/allTasks",
               "microsoft.directory/backup/recovery/create")  # fmt: skip
    world.holds("ada", "mixed").did("ada", "users/create")
    assert world.verdicts("ada-mixed-active") == {
        "users/create": ("used", ""),
        "users/delete": ("unused", "covered"),
        "users/standard/read": ("unobservable", "directory_read"),
        "microsoft.intune/allentities/alltasks": ("unobservable", "other_service"),
        "backup/recovery/create": ("unobservable", "not_known_to_be_logged"),
    }


@pytest.mark.slow
def test_what_only_calls_in_quarantine_used_stays_open(world: World) -> None:
    """Every role that may have allowed it keeps it, until a person decides; other use of it makes it used."""
    world.holds("ada", "inviter").holds("ada", USER_ADMIN).did("ada", "users/inviteGuest", suspect=1)
    for assignment in ("ada-invite-active", "ada-fe930b-active"):
        assert world.verdicts(assignment)["users/inviteguest"] == ("out_of_coverage", "quarantined")
    world.did("ada", "users/inviteGuest", dt.date(2026, 2, 3))
    assert world.verdicts("ada-invite-active")["users/inviteguest"][0] == "used"


@pytest.mark.parametrize(("days", "reason"), [(0, "no_log_loaded"), (60, "days_missing")])
def test_a_gap_in_the_log_proves_nothing(days: int, reason: str) -> None:
    world = World().person("ada").holds("ada", "inviter").cover(days=days)
    assert world.verdicts("ada-invite-active")["users/inviteguest"] == ("out_of_coverage", reason)


def test_of_several_roles_the_least_that_explains_most_is_credited(world: World) -> None:
    world.holds("ada", GLOBAL).holds("ada", "inviter").did("ada", "users/inviteGuest")
    assert used(world) == [("ada-invite-active", "microsoft.directory/users/inviteGuest", "fewest")]


def test_what_stands_comes_before_what_would_have_had_to_be_activated(world: World) -> None:
    world.holds("ada", "inviter", "eligible").holds("ada", USER_ADMIN).did("ada", "users/inviteGuest")
    assert [row[0] for row in used(world)] == ["ada-fe930b-active"]


def test_use_during_an_activation_is_the_use_of_its_eligibility(world: World) -> None:
    world.holds("ada", USER_ADMIN, "eligible").did("ada", "users/create")
    world.activated("ada", USER_ADMIN, dt.date(2026, 2, 2))
    assert used(world) == [("ada-fe930b-eligible", "microsoft.directory/users/create", "activation")]
    (row,) = world.analyse().activations.to_dicts()
    assert (row["eligibility_id"], row["events"], row["hours"]) == ("ada-fe930b-eligible", 1, 12.0)


def test_an_eligible_role_that_nobody_activated_is_unused_as_a_whole(world: World) -> None:
    world.holds("ada", "reader", "eligible").holds("ada", "groups", "eligible")
    world.activated("ada", "groups", dt.date(2026, 2, 2))
    assert set(world.verdicts("ada-reader-eligible").values()) == {("unused", "never_activated")}
    assert ("unused", "never_activated") not in world.verdicts("ada-groups-eligible").values()


def test_without_any_record_of_activations_their_absence_says_nothing(world: World) -> None:
    world.holds("ada", "reader", "eligible")
    assert set(world.verdicts("ada-reader-eligible").values()) == {("unobservable", "directory_read")}


def test_nobody_who_never_signed_in_used_anything(world: World) -> None:
    world.cover("sign_in_log", "interactive").cover("sign_in_log", "non_interactive").holds("ada", "reader")
    assert set(world.verdicts("ada-reader-active").values()) == {("unused", "no_sign_in")}
    world.add("sign_ins", principal_id="ada", kind="interactive", day=dt.date(2026, 2, 2), succeeded=1, app_id="a",
              resource_id="r", failed=0)  # fmt: skip
    assert set(world.verdicts("ada-reader-active").values()) == {("unobservable", "directory_read")}


def test_a_role_of_a_unit_explains_what_was_done_there_only(world: World) -> None:
    world.holds("ada", USER_ADMIN, scope=UNIT).did("ada", "users/create", scope=UNIT).did("ada", "users/basic/update")
    assert used(world) == [("ada-fe930b-active", "microsoft.directory/users/create", "elimination")]
    assert unexplained(world) == [("microsoft.directory/users/basic/update", "default_or_owned")]


def test_members_of_groups_use_what_the_group_holds(world: World) -> None:
    world.person("team", "Group").add("group_closure", group_id="team", member_id="ada", depth=1)
    world.holds("team", "groups").did("ada", "groups/create")
    assert [row[0] for row in used(world)] == ["team-groups-active"]


def test_who_may_activate_a_membership_reaches_what_the_group_holds(world: World) -> None:
    world.person("team", "Group").holds("team", "groups").did("ada", "groups/create")
    assert used(world) == []
    world.add("group_schedule_instances", instance_id="i", state="eligible", principal_id="ada", group_id="team",
              access="member")  # fmt: skip
    assert [row[0] for row in used(world)] == ["team-groups-active"]


def test_a_role_for_one_kind_of_groups_explains_a_change_of_a_group(world: World) -> None:
    world.holds("ada", "security").did("ada", "groups/members/update")
    assert [row[0] for row in used(world)] == ["ada-securi-active"]


def test_what_no_role_explains_is_said_and_refusals_are_demand(world: World) -> None:
    world.holds("ada", "inviter").did("bob", "applications/create").did("ada", "users/delete", succeeded=0, denied=2)
    assert unexplained(world) == [("microsoft.directory/applications/create", "default_or_owned")]
    (row,) = world.analyse().denied.to_dicts()
    assert (row["principal_id"], row["denied"], row["used"]) == ("ada", 2, False)


def test_actions_that_hold_for_some_objects_only_are_granted_and_never_come_instead(world: World) -> None:
    world.role("own", conditional_actions=["microsoft.directory/users/basic/update"]).holds("ada", "own")
    assert world.verdicts("ada-own-active") == {"users/basic/update": ("unused", "covered")}


def test_a_role_that_inherits_allows_what_the_other_does(world: World) -> None:
    world.role("heir", "microsoft.directory/users/create", inherits=["reader"]).holds("ada", "heir")
    assert "users/standard/read" in world.verdicts("ada-heir-active")


def test_a_role_whose_definition_is_not_loaded_is_said(world: World) -> None:
    world.holds("ada", "unknown")
    rows = world.analyse().verdicts
    assert rows.select("verdict", "reason").rows() == [("out_of_coverage", "role_definition_missing")]


@pytest.mark.slow
def test_scores_and_counts_add_up_and_do_not_depend_on_the_order_of_rows(world: World) -> None:
    world.holds("ada", GLOBAL).holds("ada", "inviter").did("ada", "users/inviteGuest").did("ada", "users/delete")
    one, other = world.analyse(), world.analyse(backwards=True)
    assert one.verdicts.sort(pl.all()).equals(other.verdicts.sort(pl.all()))
    assert one.principals.equals(other.principals)
    (row,) = one.principals.to_dicts()
    counts = ("used", "unused", "unobservable", "out_of_coverage")
    assert row["granted"] == sum(row[name] for name in counts)
    assert 0 < row["creep"] <= row["risk"] <= 100


def test_findings_name_what_sleeps_and_what_stands(world: World) -> None:
    world.role("priv", "microsoft.directory/users/create", is_privileged=True).holds("ada", "priv")
    world.did("ada", "users/create").holds("ada", "reader", "eligible").activated("x", "groups", dt.date(2026, 2, 2))
    found = set(world.analyse().findings["control"])
    assert {"standing_directory_privilege", "directory_role_seldom_used", "directory_role_never_activated"} <= found


def _called(world: World, who: str, request: str, **more: object) -> World:
    world.did(who, "x", **more)
    world.rows["usage_days"][-1] |= {"plane": "graph", "operation": request}
    return world


SIGN_INS = "GET /auditLogs/signIns?$select=signinactivity"


@pytest.mark.slow
def test_a_call_to_graph_shows_a_read_that_no_audit_record_does(world: World) -> None:
    world.role("reports", "microsoft.directory/signInReports/allProperties/read",
               "microsoft.directory/provisioningLogs/allProperties/read")  # fmt: skip
    _called(world.holds("ada", "reports"), "ada", SIGN_INS)
    assert world.verdicts("ada-report-active") == {
        "signinreports/allproperties/read": ("used", ""),
        "provisioninglogs/allproperties/read": ("unobservable", "directory_read"),
    }
    assert used(world) == [("ada-report-active", "microsoft.directory/signInReports/allProperties/read", "graph_call")]


@pytest.mark.slow
def test_a_call_to_graph_without_a_role_for_it_is_no_unexplained_use(world: World) -> None:
    """It may have been about the caller's own account, or have gone by a permission."""
    _called(world.holds("ada", "groups"), "ada", "GET /users/{id}/authentication/methods")
    assert used(world) == [] == unexplained(world)


@pytest.mark.slow
def test_a_refused_call_to_graph_is_no_demand_for_a_role(world: World) -> None:
    world.role("reports", "microsoft.directory/signInReports/allProperties/read").holds("ada", "reports")
    _called(world, "ada", SIGN_INS, succeeded=0, denied=3)
    assert world.analyse().denied.is_empty()
    assert used(world) == []


@pytest.mark.parametrize(("days", "seen"), [(90, []), (30, ["ada-fe930b-active"])])
def test_of_what_the_audit_log_shows_a_call_counts_on_days_without_it(days: int, seen: list[str]) -> None:
    """The better witness alone is heard where it speaks."""
    world = World().person("ada").holds("ada", USER_ADMIN).cover(days=days)
    _called(world, "ada", "POST /users", day=dt.date(2026, 2, 20))
    assert [row[0] for row in used(world)] == seen


@pytest.mark.slow
def test_a_role_within_a_unit_is_not_credited_with_a_call_whose_object_nobody_knows(world: World) -> None:
    world.role("methods", "microsoft.directory/users/authenticationMethods/standard/read")
    world.holds("ada", "methods", scope=UNIT)
    _called(world, "ada", "GET /users/{id}/authentication/methods")
    assert used(world) == []
    assert world.verdicts("ada-method-active") == {
        "users/authenticationmethods/standard/read": ("unobservable", "directory_read")
    }


@pytest.mark.parametrize(
    ("approval", "justification", "privileged", "control"),
    [
        (False, False, False, "activation_asks_nothing"),
        (False, True, True, "activation_without_approval"),
        (False, True, False, None),
        (True, False, True, None),
    ],
)
def test_a_directory_role_that_anybody_with_the_session_may_activate_is_said(
    world: World, approval: bool, justification: bool, privileged: bool, control: str | None
) -> None:
    world.role("mine", "microsoft.directory/users/create", is_privileged=privileged).holds("ada", "mine", "eligible")
    world.add("role_management_policies", policy_id="p", scope="/", role_definition_id="MINE", rules="[]",
              requires_approval=approval, requires_justification=justification)  # fmt: skip
    findings = world.analyse().findings.filter(pl.col("control").str.starts_with("activation_"))
    assert findings["control"].to_list() == ([control] if control else [])
