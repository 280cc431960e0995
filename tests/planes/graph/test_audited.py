"""The unified audit log shows use of permissions of Exchange, SharePoint and Graph, and never that nothing used one."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from rightsize.analyze.window import Window
from rightsize.render.plane_requests import graph_files
from tests.planes.graph.small_map import WINDOW, Apps

GRAPH = "00000003-0000-0000-c000-000000000000"
EXCHANGE = "00000002-0000-0ff1-ce00-000000000000"
SHAREPOINT = "00000003-0000-0ff1-ce00-000000000000"
APIS = {"exo": EXCHANGE, "spo": SHAREPOINT, "own": "own-api"}


def audited(apps: Apps, name: str, operation: str, user: str | None = None, **more: Any) -> Apps:
    """Add a day of records of the unified audit log."""
    at = dt.datetime.combine(more.pop("day", WINDOW.first_day), dt.time(9))
    return apps.add(
        "m365_usage_days", app_id=f"{name}-app", principal_id=user, access="delegated" if user else "application",
        operation=operation, day=at.date(), first_seen=at, last_seen=at, **({"succeeded": 5, "suspect": 0} | more),
    )  # fmt: skip


def apps_with(name: str, **held: tuple[str, ...]) -> Apps:
    """An application that holds permissions of other APIs, over a day that the unified audit log covers."""
    apps = Apps().app(name)
    for resource, api in APIS.items():
        apps.add("principals", principal_id=resource, principal_type="ServicePrincipal", app_id=api)
        for permission in held.get(resource, ()):
            apps.add(
                "api_permissions", api_app_id=api, permission_id=f"a-{permission}".lower(), access="application",
                permission=permission,
            )  # fmt: skip
        apps.holds(name, *held.get(resource, ()), resource=resource)
    return apps.add(
        "coverage", source="m365_audit_log", category="Exchange", scope="/", day=WINDOW.first_day, state="observed"
    )


def verdicts(apps: Apps, name: str) -> dict[str, tuple[str, str, int | None]]:
    rows = apps.analysis().verdicts.filter(principal_id=name).drop_nulls("role_assignment_id")
    return {row["operation"]: (row["verdict"], row["reason"], row["events"]) for row in rows.iter_rows(named=True)}


@pytest.mark.slow
def test_a_permission_of_exchange_is_used_where_it_alone_allows_what_the_log_names() -> None:
    apps = apps_with("mailer", exo=("full_access_as_app",), spo=("Sites.Read.All",), own=("Do.All",))
    audited(apps, "mailer", "Exchange/MailItemsAccessed")
    audited(apps, "mailer", "Exchange/Send")
    assert verdicts(apps, "mailer") == {
        "full_access_as_app": ("used", "elimination", 10),
        "Sites.Read.All": ("unobservable", "audited_in_part", None),
        "Do.All": ("unobservable", "no_api_log", None),
    }
    proposal = apps.proposal("mailer/full_access_as_app")
    (told,) = proposal.evidence["permissions"]
    assert (proposal.kind, proposal.reason) == ("keep", "elimination")
    assert [(one["operation"], one["events"]) for one in told["requests"]] == [
        ("Exchange/MailItemsAccessed", 5),
        ("Exchange/Send", 5),
    ]
    written = graph_files(apps.holds("mailer", "User.Read.All").part(), {}, {GRAPH: "graph-sp"})
    (page,) = (text for name, text in written.items() if name.endswith(".md"))
    assert "| full\\_access\\_as\\_app | Exchange/MailItemsAccessed | 5 |" in page


def test_of_several_that_may_have_allowed_it_none_is_credited_and_all_stay() -> None:
    apps = apps_with("mailer", exo=("full_access_as_app", "IMAP.AccessAsApp"))
    audited(apps, "mailer", "Exchange/MailItemsAccessed")
    assert {found[:2] for found in verdicts(apps, "mailer").values()} == {("unobservable", "cannot_tell")}
    audited(apps, "mailer", "Exchange/New-InboxRule")
    found = verdicts(apps, "mailer")
    assert found["full_access_as_app"] == ("used", "elimination", 5)
    assert found["IMAP.AccessAsApp"][:2] == ("unobservable", "cannot_tell")


def test_an_operation_of_another_kind_says_nothing_of_a_permission() -> None:
    apps = audited(apps_with("files", spo=("Sites.Read.All",)), "files", "SharePoint/FileUploaded")
    assert verdicts(apps, "files") == {"Sites.Read.All": ("unobservable", "audited_in_part", None)}


@pytest.mark.slow
def test_a_permission_of_graph_is_used_by_what_the_log_names_and_stays() -> None:
    """Also where Graph's own log covers the window and lacks the request; where it has one, that is the use."""
    apps = apps_with("mailer").holds("mailer", "Mail.Send", "User.Read.All")
    audited(apps, "mailer", f"Exchange/Send?api={GRAPH}")
    assert verdicts(apps, "mailer") == {
        "Mail.Send": ("used", "elimination", 5),
        "User.Read.All": ("unused", "covered", None),
    }
    assert apps.after("mailer") == {"Mail.Send"}
    both = apps.asks("mailer", "POST /users/{id}/sendmail")
    assert verdicts(both, "mailer")["Mail.Send"] == ("used", "elimination", 3)


@pytest.mark.slow
def test_the_least_of_two_is_not_guessed_and_graphs_own_log_decides_where_it_can() -> None:
    apps = apps_with("mailer").holds("mailer", "Mail.Read", "Mail.ReadWrite")
    audited(apps, "mailer", f"Exchange/MailItemsAccessed?api={GRAPH}")
    assert {found[:2] for found in verdicts(apps, "mailer").values()} == {("unobservable", "cannot_tell")}
    assert apps.after("mailer") == {"Mail.Read", "Mail.ReadWrite"}
    apps.asks("mailer", "GET /users/{id}/messages")
    assert apps.after("mailer") == {"Mail.Read"}


def test_a_users_own_grant_is_used_on_behalf_of_that_user_only() -> None:
    apps = apps_with("web").delegated("web", "Mail.Send", user="ann").delegated("web", "Mail.Send", user="bob")
    audited(apps, "web", f"Exchange/Send?api={GRAPH}", user="ann")
    assert apps.judged("web", "delegated", "ann") == {"Mail.Send": ("used", "elimination")}
    assert apps.judged("web", "delegated", "bob") == {"Mail.Send": ("unused", "covered")}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"suspect": 5}, ("out_of_coverage", "quarantined")),
        ({"day": WINDOW.first_day - dt.timedelta(days=3)}, ("out_of_coverage", "used_before_window")),
        ({"succeeded": 0}, ("unused", "covered")),
    ],
)
def test_what_is_in_quarantine_before_the_window_or_no_use(more: dict[str, Any], expected: tuple[str, str]) -> None:
    apps = audited(apps_with("mailer").holds("mailer", "Mail.Send"), "mailer", f"Exchange/Send?api={GRAPH}", **more)
    assert apps.judged("mailer") == {"Mail.Send": expected}


@pytest.mark.slow
def test_the_chance_of_breaking_is_estimated_beside_such_use() -> None:
    quarter = Window(WINDOW.first_day, WINDOW.first_day + dt.timedelta(days=89))
    apps = Apps(days=90, window=quarter).app("mailer").holds("mailer", "Mail.Send", "User.Read.All")
    audited(apps, "mailer", f"Exchange/Send?api={GRAPH}")
    assert apps.proposal("mailer/User.Read.All").kind == "remove"
    assert apps.proposal("mailer/Mail.Send").kind == "keep"
