"""A directory role keeps actions used only before the window, until that use is forgotten."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from rightsize.planes.directory.judge import DirectoryAnalysis, analyse_directory
from tests.planes.directory.world import FIRST, LAST, UNIT, USER_ADMIN, WINDOW, World

HOLDER = f"ann-{USER_ADMIN[:6]}-active"
BEFORE = ("out_of_coverage", "used_before_window")
LONG_AGO = LAST - dt.timedelta(days=119)


@pytest.fixture
def world() -> World:
    return World().person("ann").holds("ann", USER_ADMIN).cover().daily("ann", "users/inviteGuest")


@pytest.mark.slow
def test_an_action_from_before_the_window_is_not_unused(world: World) -> None:
    world.did("ann", "users/create", LONG_AGO)
    judged = world.verdicts(HOLDER)
    assert (judged["users/inviteguest"][0], judged["users/create"]) == ("used", BEFORE)
    assert judged["groups/create"] == ("unused", "covered")
    row = world.analyse().verdicts.filter(reason=BEFORE[1]).row(0, named=True)
    assert (row["operation"], row["operations"], row["last_seen"].date()) == (
        "microsoft.directory/users/create",
        1,
        LONG_AGO,
    )


@pytest.mark.parametrize(("forget", "verdict"), [(120, BEFORE), (119, ("unused", "covered"))])
def test_it_is_forgotten_after_the_days_that_were_asked_for(
    world: World, forget: int, verdict: tuple[str, str]
) -> None:
    world.did("ann", "users/create", LONG_AGO)
    assert _judged(analyse_directory(world.tables(), replace(WINDOW, forget_days=forget))) == verdict


def _judged(analysis: DirectoryAnalysis) -> tuple[str, str]:
    (row,) = analysis.judged.filter(name="microsoft.directory/users/create").select("verdict", "reason").rows()
    return row[0], row[1]


def test_days_after_the_window_are_never_looked_at(world: World) -> None:
    world.did("ann", "users/create", LAST + dt.timedelta(days=1))
    assert world.verdicts(HOLDER)["users/create"] == ("unused", "covered")


def test_suspect_actions_are_not_learnt_from_and_not_unused(world: World) -> None:
    world.did("ann", "users/create", LONG_AGO, suspect=1)
    assert world.verdicts(HOLDER)["users/create"] == ("out_of_coverage", "quarantined")


def test_an_assignment_made_since_is_credited_where_none_stood(world: World) -> None:
    world.person("bob").holds("bob", "groups", created_on=dt.datetime.combine(FIRST, dt.time()))
    world.did("bob", "groups/create", LONG_AGO)
    assert world.verdicts("bob-groups-active")["groups/create"] == BEFORE


@pytest.mark.slow
def test_the_plan_keeps_it_and_says_when(world: World) -> None:
    """The role that only invites would do for the window."""
    alone = world.proposal(HOLDER)
    world.did("ann", "users/create", LONG_AGO)
    found = world.proposal(HOLDER)
    assert alone.excess_before > found.excess_before
    assert [one["days_ago"] for one in found.evidence["used_before"]] == [120]
    assert found.evidence["kept_unseen"]["used_before_window"] == 1
    assert [one.role for one in alone.assignments] != [one.role for one in found.assignments]


@pytest.mark.slow
def test_use_in_another_unit_before_keeps_the_role_out_of_one_unit(world: World) -> None:
    only = World().person("ann").holds("ann", USER_ADMIN).cover().daily("ann", "users/basic/update", scope=UNIT)
    places = {"only": len(_places(only))}
    only.did("ann", "users/basic/update", LONG_AGO, scope="/administrativeUnits/u2")
    assert (places["only"], len(_places(only))) == (1, 2)


def _places(world: World) -> set[str]:
    analysis = world.analyse()
    return {*analysis.used["place"], *analysis.earlier["place"]}
