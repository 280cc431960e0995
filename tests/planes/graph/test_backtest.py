"""The backtest of Graph: plans from the training days against the requests of the test days."""

from __future__ import annotations

import datetime as dt

from rightsize.analyze.window import Window
from rightsize.planes.graph_backtest import GraphTrial, try_graph
from rightsize.propose.backtest import Fold
from rightsize.propose.core.options import PlanOptions
from tests.planes.graph.small_map import WINDOW, Apps

CUT = WINDOW.first_day + dt.timedelta(days=59)
FOLD = Fold(Window(WINDOW.first_day, CUT), Window(CUT + dt.timedelta(days=1), CUT + dt.timedelta(days=30)))


def _try(apps: Apps) -> GraphTrial:
    return try_graph(apps.tables(), FOLD, PlanOptions(min_window=60, grace_days=0))


def _apps(days: int = 90) -> Apps:
    return Apps(days=days).app("hr").holds("hr", "Directory.Read.All").asks("hr", "GET /users", days=range(90))


def test_what_the_smaller_set_allows_is_no_break() -> None:
    found = _try(_apps().asks("hr", "GET /users/{id}/manager", days=(70,)))
    assert (found.tally.principals, found.tally.calls) == (1, 2)
    assert (found.tally.denied_principals, found.tally.denied_calls, found.left_out) == (0, 0, 0)
    assert found.tally.excess_after < found.tally.excess_before
    assert [one.broke for one in found.predictions] == [False]


def test_a_request_beyond_the_smaller_set_breaks_the_application_on_its_day() -> None:
    found = _try(_apps().asks("hr", "GET /devices", days=(62, 65), use=4))
    assert (found.tally.denied_principals, found.tally.denied_calls, found.tally.denied_events) == (1, 1, 8)
    assert found.tally.first_breaks == (3,)
    assert [one.broke for one in found.predictions] == [True]


def test_a_permission_that_went_is_missed() -> None:
    found = _try(_apps().holds("hr", "Mail.Send").asks("hr", "POST /users/{id}/sendmail", days=(80,)))
    assert found.tally.denied_calls == 1
    assert sorted((one.basis, one.broke) for one in found.predictions) == [("unused", True), ("used", False)]


def test_a_part_of_the_answer_is_not_enough() -> None:
    apps = Apps(days=90).app("hr").holds("hr", "User.ReadBasic.All", "User.Read.All").delegated("hr", "User.Read")
    apps.asks("hr", "GET /groups", days=range(60)).asks("hr", "GET /users", days=(70,))
    assert _try(apps).tally.denied_calls == 1


def test_requests_that_nothing_held_allows_are_left_out() -> None:
    asked = ("POST /users", "GET /nothing/known")
    found = _try(_apps().asks("hr", *asked, days=(70,)).asks("hr", "GET /groups", days=(71,), use=0, denied=2))
    assert (found.tally.calls, found.tally.denied_calls, found.left_out) == (1, 0, 2)


def test_a_grant_made_later_is_no_part_of_it() -> None:
    later = dt.datetime.combine(CUT + dt.timedelta(days=1), dt.time())
    found = _try(_apps().holds("hr", "Mail.Send", created_on=later).asks("hr", "POST /users/{id}/sendmail", days=(80,)))
    assert (found.tally.denied_calls, found.left_out) == (0, 1)


def test_a_user_may_rest_on_their_own_grant_and_on_the_tenant_wide_one() -> None:
    apps = Apps(days=90).app("web").delegated("web", "User.Read").delegated("web", "Mail.ReadWrite", user="ann")
    apps.asks("web", "GET /me", "GET /me/messages", user="ann", days=range(90))
    apps.asks("web", "POST /me/messages", user="ann", days=(80,))
    found = _try(apps)
    assert (found.tally.calls, found.tally.denied_calls) == (3, 1)
    assert [one.broke for one in found.predictions] == [True]


def test_days_without_a_log_let_nothing_go_and_predict_nothing() -> None:
    apps = Apps(days=40).app("hr").holds("hr", "Directory.Read.All").asks("hr", "GET /devices", days=(80,))
    found = _try(apps)
    assert (found.state, found.tally.denied_calls, found.predictions) == ("days_missing", 0, ())
