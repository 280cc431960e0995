"""The chance that a directory role is needed after all, estimated from the days of the window."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from tests.planes.directory.world import DIRECTORY_READERS, FIRST, USER_ADMIN, WINDOW, D, World


@pytest.fixture
def world() -> World:
    """Six people who invite guests every other day with a role that lets them do much more."""
    world = World().cover()
    for number in range(6):
        name = f"u{number}"
        world.person(name).holds(name, USER_ADMIN).daily(name, "users/inviteGuest")
    return world


def test_samples_are_the_days_on_which_the_holder_changed_something(world: World) -> None:
    proposal = world.proposal("u0-fe930b-active")
    told = proposal.evidence["break_probability"]
    assert proposal.kind == "builtin"
    assert (told["basis"], told["active_days"]) == ("used", WINDOW.days // 2)
    assert (told["operations"], told["new_weeks"], told["counts"]["role"]) == (1, 0, [0, 6])
    assert 0 < told["expected"] == proposal.break_probability_30d < told["bound"] < 1


@pytest.mark.slow
def test_what_the_last_days_brought_makes_a_break_likelier_for_all_alike(world: World) -> None:
    before = world.proposal("u1-fe930b-active").break_probability_30d
    world.did("u0", "users/create", FIRST + dt.timedelta(days=70))
    stirred = world.proposal("u1-fe930b-active")
    assert stirred.break_probability_30d > before


def test_days_of_a_member_are_days_of_the_group(world: World) -> None:
    world.role(DIRECTORY_READERS, f"{D}groups/standard/read")
    world.person("team", "Group", is_role_assignable=True).holds("team", "groups")
    world.add("group_closure", group_id="team", member_id="u0", depth=1)
    world.add("listings", listing="transitiveMembers", of="team", complete=True)
    told = world.proposal("team-groups-active").evidence["break_probability"]
    assert (told["basis"], told["active_days"]) == ("unused", WINDOW.days // 2)


@pytest.mark.slow
def test_what_stays_or_only_sleeps_breaks_nothing(world: World) -> None:
    world.person("glass", display_name="Break glass 1").holds("glass", "groups")
    world.role("policies", f"{D}conditionalAccessPolicies/create").holds("u0", "policies")
    world.did("u0", "conditionalAccessPolicies/create").holds("u1", "groups", "eligible")
    kept, sleeps = world.proposal("glass-groups-active"), world.proposal("u0-polici-active")
    assert (kept.kind, sleeps.kind) == ("keep", "make_eligible")
    assert (kept.break_probability_30d, sleeps.break_probability_30d) == (0, 0)


@pytest.mark.slow
def test_the_limit_is_held_against_the_bound(world: World) -> None:
    bound = world.proposal("u0-fe930b-active").evidence["break_probability"]["bound"]
    assert world.proposal("u0-fe930b-active", max_break=bound).kind == "builtin"
    assert world.proposal("u0-fe930b-active", max_break=bound / 2).kind == "keep"


@pytest.mark.slow
def test_days_without_an_audit_log_are_no_samples() -> None:
    """Its log covers the newest 65 days; the plan says so, and what was done before them is no sample."""
    world = World().person("u0").holds("u0", USER_ADMIN).daily("u0", "users/inviteGuest")
    for offset in range(25, WINDOW.days):
        day = FIRST + dt.timedelta(days=offset)
        world.add("coverage", source="entra_audit_log", category="AuditLogs", scope="/", day=day, state="observed")
    assert world.verdicts("u0-fe930b-active")["users/create"] == ("unused", "covered_in_part")
    proposal = world.proposal("u0-fe930b-active")
    assert proposal.reason.endswith(" (covered 65 of 90 days)")
    assert proposal.evidence["covered_days"] == 65
    assert proposal.evidence["break_probability"]["active_days"] == len(range(26, WINDOW.days, 2))
    rows = world.analyse().verdicts.filter(pl.col("reason") == "covered_in_part")
    assert set(rows["covered_days"]) == {65}
