"""The chance that a grant of Graph is needed after all, estimated from the days of the window."""

from __future__ import annotations

import datetime as dt

import pytest

from rightsize.analyze.window import Window
from tests.planes.graph.small_map import WINDOW, Apps

QUARTER = Window(WINDOW.first_day, WINDOW.first_day + dt.timedelta(days=89))
EVERY_DAY = range(90)


def _apps() -> Apps:
    """Six applications that read users every day, and hold more than that."""
    apps = Apps(days=90, window=QUARTER)
    for number in range(6):
        name = f"sync{number}"
        apps.app(name).holds(name, "Directory.Read.All", "Mail.Send").asks(name, "GET /users", days=EVERY_DAY)
    return apps


def test_samples_are_the_days_with_a_request() -> None:
    told = _apps().proposal("sync0/Directory.Read.All").evidence["break_probability"]
    assert (told["basis"], told["active_days"], told["tested_days"]) == ("used", 90, 30)
    assert (told["operations"], told["new_weeks"], told["counts"]["role"]) == (1, 0, [0, 6])


@pytest.mark.slow
def test_what_only_one_week_of_the_last_called_for_makes_a_break_likelier() -> None:
    steady = _apps()
    stirred = _apps().asks("sync0", "GET /devices", days=(70, 71))
    assert stirred.after("sync0") == {"Device.Read.All", "User.Read.All"}
    before, after = (one.proposal("sync0/Directory.Read.All") for one in (steady, stirred))
    assert after.evidence["break_probability"]["new_weeks"] == 1
    assert after.break_probability_30d > before.break_probability_30d
    peer = stirred.proposal("sync1/Directory.Read.All")
    assert peer.break_probability_30d > before.break_probability_30d


def test_more_requests_of_the_same_permission_are_nothing_new() -> None:
    apps = _apps().asks("sync0", "GET /users/{id}/manager", days=(40,))
    assert apps.proposal("sync0/Directory.Read.All").evidence["break_probability"]["operations"] == 1


@pytest.mark.slow
def test_grants_that_came_to_life_lately_speak_for_those_that_did_not() -> None:
    quiet = _apps().proposal("sync0/Mail.Send")
    woken = _apps().asks("sync1", "POST /users/{id}/sendmail", days=(65,)).proposal("sync0/Mail.Send")
    assert quiet.evidence["break_probability"]["basis"] == "unused"
    assert 0 < quiet.break_probability_30d < woken.break_probability_30d < 1


def test_an_application_without_a_request_is_silent() -> None:
    apps = _apps().app("old").holds("old", "Mail.Send")
    told = apps.proposal("old/Mail.Send").evidence["break_probability"]
    assert (told["basis"], told["active_days"]) == ("silent", 0)


@pytest.mark.slow
def test_a_window_shorter_than_the_days_ahead_says_nothing() -> None:
    apps = Apps().app("hr").holds("hr", "User.Read.All", "Mail.Send").asks("hr", "GET /users")
    told = apps.proposal("hr/Mail.Send").evidence["break_probability"]
    assert (told["bound"], told["beyond_the_sample"]) == (1, True)
    assert apps.proposal("hr/User.Read.All").break_probability_30d == 0


@pytest.mark.slow
def test_a_grant_of_one_user_is_sampled_by_that_users_days() -> None:
    apps = Apps(days=90, window=QUARTER).app("web")
    apps.delegated("web", "Mail.ReadWrite", user="ann").delegated("web", "Sites.Read.All", user="bob")
    apps.asks("web", "GET /me/messages", user="ann", days=range(0, 90, 2))
    told = apps.proposal("web/ann").evidence["break_probability"]
    assert (told["basis"], told["active_days"]) == ("used", 45)
    assert apps.proposal("web/bob").evidence["break_probability"]["basis"] == "silent"


def test_a_duplicate_takes_nothing_away() -> None:
    apps = (
        Apps(days=90, window=QUARTER).app("web").delegated("web", "Mail.Read").delegated("web", "Mail.Read", user="a")
    )
    apps.asks("web", "GET /me/messages", user="a", days=EVERY_DAY)
    proposal = apps.proposal("web/a")
    assert (proposal.kind, proposal.break_probability_30d) == ("remove_duplicate", 0)


@pytest.mark.slow
def test_the_limit_keeps_the_risky_grant_and_not_the_others() -> None:
    apps = _apps().asks("sync0", "GET /devices", days=(70, 71))
    limit = apps.proposal("sync0/Mail.Send").evidence["break_probability"]["bound"]
    assert apps.proposal("sync0/Directory.Read.All").evidence["break_probability"]["bound"] > limit
    kept = apps.proposal("sync0/Directory.Read.All", max_break=limit)
    assert (kept.kind, kept.reason, kept.break_probability_30d) == ("keep", "risky", 0)
    assert apps.proposal("sync0/Mail.Send", max_break=limit).kind == "remove"
