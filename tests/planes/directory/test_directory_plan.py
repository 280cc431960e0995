"""Proposals for directory roles: never more than today, all use stays, and some roles are left alone."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from rightsize.planes.directory.plan import plan_directory
from rightsize.propose.core.options import PlanOptions
from tests.planes.directory.world import DIRECTORY_READERS, GLOBAL, UNIT, USER_ADMIN, D, World


@pytest.fixture
def world() -> World:
    return World().person("ada").person("bob").cover()


def test_a_role_that_was_not_used_goes_and_what_everybody_may_read_does_not_hold_it(world: World) -> None:
    proposal = world.holds("ada", "groups").proposal("ada-groups-active")
    assert (proposal.kind, proposal.assignments) == ("remove", ())


@pytest.mark.slow
def test_a_role_that_gives_the_tenant_away_says_so_over_the_whole_directory_only(world: World) -> None:
    world.holds("ada", GLOBAL).role("apps", f"{D}applications/credentials/update").holds("bob", "apps")
    world.holds("ada", "groups").holds("ada", "apps", scope="/app-1")
    found = {one.principal_ids[0]: one.evidence["gives_away"] for one in _giving(world)}
    assert found == {
        "ada": {"power": 1, "what": "is Global Administrator"},
        "bob": {"power": 2, "what": "adds a credential to any application"},
    }


def _giving(world: World) -> list[Any]:
    proposals = (world.proposal(name) for name in ("ada-62e903-active", "bob-apps-active", "ada-groups-active"))
    return [one for one in proposals if "gives_away" in one.evidence]


@pytest.mark.slow
def test_a_guest_keeps_what_a_role_lets_it_read(world: World) -> None:
    world.person("guest", user_type="Guest").holds("guest", "groups")
    assert world.proposal("guest-groups-active").kind == "keep"
    world.role(DIRECTORY_READERS, f"{D}groups/standard/read")
    proposal = world.proposal("guest-groups-active")
    assert [one.role for one in proposal.assignments] == [DIRECTORY_READERS]


def test_a_smaller_built_in_role_comes_instead(world: World) -> None:
    world.holds("ada", USER_ADMIN).daily("ada", "users/inviteGuest")
    proposal = world.proposal("ada-fe930b-active")
    assert proposal.kind == "builtin"
    assert [(one.role, one.scope, one.state) for one in proposal.assignments] == [("inviter", "/", "active")]
    assert proposal.proof.holds and proposal.excess_after < proposal.excess_before


@pytest.mark.slow
def test_what_other_services_check_stays_unless_it_is_to_be_dropped(world: World) -> None:
    role = [
        f"{D}users/inviteGuest",
        f"{D}users/create",
        f"{D}users/standard/read",
        "microsoft.intune/allEntities/allTasks",
    ]
    world.role("wide", *role).holds("ada", "wide").daily("ada", "users/inviteGuest")
    assert world.proposal("ada-wide-active").kind == "keep"
    assert world.proposal("ada-wide-active", unobservable="drop").kind == "builtin"
    assert world.proposal("ada-wide-active").evidence["kept_unseen"] == {"directory_read": 1, "other_service": 1}


@pytest.mark.slow
def test_what_smaller_roles_do_for_fewer_accounts_keeps_its_role(world: World) -> None:
    both = (f"{D}users/password/update", f"{D}users/standard/read")
    world.role("helpdesk", *both).role("admin", *both, f"{D}users/create")
    world.holds("ada", "admin").daily("ada", "users/password/update")
    proposal = world.proposal("ada-admin-active")
    assert proposal.kind == "keep" and "not do this to every account" in proposal.reason
    assert world.proposal("ada-admin-active", unobservable="drop").kind == "builtin"


@pytest.mark.slow
def test_work_in_one_unit_narrows_the_scope(world: World) -> None:
    world.role(USER_ADMIN, f"{D}users/create", f"{D}users/basic/update")
    world.holds("ada", USER_ADMIN).daily("ada", "users/create", scope=UNIT).daily(
        "ada", "users/basic/update", scope=UNIT
    )
    world.add("administrative_unit_members", unit_id="u1", member_id="bob").cover("sign_in_log")
    assert world.proposal("ada-fe930b-active").kind == "keep"
    world.add("listings", listing="unitMembers", of="u1", complete=True)
    proposal = world.proposal("ada-fe930b-active")
    assert (proposal.kind, proposal.assignments[0].scope) == ("narrow_scope", UNIT)


@pytest.mark.slow
def test_a_custom_role_holds_only_what_custom_roles_may(world: World) -> None:
    actions = (f"{D}applications/credentials/update", f"{D}applications/basic/update", f"{D}applications/delete")
    world.role("apps", *actions).holds("ada", "apps").daily("ada", "applications/credentials/update")
    kept = world.proposal("ada-apps-active")
    assert kept.kind == "keep" and "Entra ID P1" in kept.reason
    part = world.cover("sign_in_log").plan()
    (proposal,) = part.proposals
    assert proposal.kind == "custom"
    (text,) = part.files.values()
    assert json.loads(text)["rolePermissions"] == [{"allowedResourceActions": [actions[0]]}]
    world.role("more", f"{D}conditionalAccessPolicies/create", f"{D}conditionalAccessPolicies/delete")
    world.holds("bob", "more").daily("bob", "conditionalAccessPolicies/create")
    assert world.proposal("bob-more-active").kind == "keep"


@pytest.mark.slow
def test_what_works_a_few_hours_sleeps_where_a_licence_was_seen(world: World) -> None:
    world.role("policies", f"{D}conditionalAccessPolicies/create").holds("ada", "policies")
    world.did("ada", "conditionalAccessPolicies/create")
    assert world.proposal("ada-polici-active").kind == "keep"
    proposal = world.holds("bob", "reader", "eligible").proposal("ada-polici-active")
    assert (proposal.kind, proposal.assignments[0].state) == ("make_eligible", "eligible")
    assert proposal.assignments[0].role == "policies"
    assert proposal.evidence["standing"]["activation"] == "PT8H"


def test_workloads_and_groups_that_may_not_hold_roles_never_sleep(world: World) -> None:
    world.role("policies", f"{D}conditionalAccessPolicies/create").holds("bob", "reader", "eligible")
    world.person("robot", "ServicePrincipal").holds("robot", "policies").did(
        "robot", "conditionalAccessPolicies/create"
    )
    assert world.proposal("robot-polici-active").kind == "keep"


@pytest.mark.parametrize(
    ("about", "options", "word"),
    [
        ({"display_name": "Break glass 1"}, {}, "emergency_access"),
        ({"is_synced": True}, {}, "synced"),
        ({"owner_tenant_id": "f8cdef31-a31e-4b4a-93e4-5f571e91255a"}, {}, "first_party"),
        ({"created_on": dt.datetime(2026, 3, 1)}, {}, "young"),
        ({}, {"exclude": ("eve",)}, "excluded"),
        ({}, {"emergency_access": ("eve",)}, "emergency_access"),
    ],
)
def test_some_are_left_alone(world: World, about: dict[str, Any], options: dict[str, Any], word: str) -> None:
    proposal = world.person("eve", **about).holds("eve", "groups").proposal("eve-groups-active", **options)
    assert proposal.kind == "keep" and proposal.reason.startswith(f"{word}:")


@pytest.mark.slow
def test_the_last_two_global_administrators_stay(world: World) -> None:
    for name in ("x1", "x2", "x3"):
        world.person(name).holds(name, GLOBAL)
    kept = {
        one.principal_ids[0] for one in world.plan().proposals if one.reason.startswith("last_global_administrator")
    }
    assert kept == {"x1", "x2"}


def test_a_gap_in_the_log_changes_nothing() -> None:
    world = World().person("ada").holds("ada", "groups").cover(days=80)
    assert world.proposal("ada-groups-active").reason.startswith("not_covered:")


@pytest.mark.slow
def test_nothing_that_was_used_is_taken_and_nothing_is_added(world: World) -> None:
    world.holds("ada", GLOBAL).daily("ada", "users/create").daily("ada", "groups/create").holds("bob", "groups")
    world.person("c1").person("c2").holds("c1", GLOBAL).holds("c2", GLOBAL).daily("bob", "groups/create")
    for options in (PlanOptions(), PlanOptions(unobservable="drop"), PlanOptions(unobservable="drop", reads="none")):
        part = plan_directory(world.analyse(), options)
        assert all(one.proof.holds for one in part.proposals)
        assert part.replay["denied"] == 0


@pytest.mark.slow
def test_the_same_rows_in_another_order_give_the_same_plan(world: World) -> None:
    world.holds("ada", GLOBAL).holds("ada", "groups").daily("ada", "groups/create").holds("bob", USER_ADMIN)
    assert plan_directory(world.analyse(), PlanOptions()) == plan_directory(
        world.analyse(backwards=True), PlanOptions()
    )


def test_a_gate_keeps_what_is_likely_to_break(world: World) -> None:
    world.holds("ada", "groups")
    assert world.proposal("ada-groups-active", max_break=0.01).kind == "keep"


def test_a_role_whose_one_action_was_used_says_so_in_the_singular() -> None:
    world = World().person("ada").cover()
    world.role("maker", f"{D}users/create").holds("ada", "maker").daily("ada", "users/create")
    assert world.proposal("ada-maker-active").reason == "no smaller role has the used action"
