"""Verdicts on Graph permissions: explaining a request means used, and unknown requests take nothing away."""

from __future__ import annotations

import datetime as dt

import pytest

from tests.planes.graph.small_map import EXCHANGE, Apps


def test_what_explains_a_request_is_used_and_the_rest_unused() -> None:
    apps = Apps().app("hr").holds("hr", "User.Read.All", "Mail.Send").asks("hr", "GET /users")
    assert apps.judged("hr") == {"User.Read.All": ("used", "elimination"), "Mail.Send": ("unused", "covered")}


def test_of_several_explanations_the_least_powerful_was_used() -> None:
    apps = Apps().app("hr").holds("hr", "Directory.ReadWrite.All", "User.Read.All").asks("hr", "GET /users")
    assert apps.judged("hr") == {
        "User.Read.All": ("used", "fewest"),
        "Directory.ReadWrite.All": ("unused", "covered"),
    }


@pytest.mark.slow
def test_refused_and_throttled_requests_are_no_use() -> None:
    apps = Apps().app("hr").holds("hr", "User.Read.All").asks("hr", "GET /users", use=0, denied=5)
    analysis = apps.analysis()
    assert apps.judged("hr") == {"User.Read.All": ("unused", "covered")}
    assert analysis.denied.select("principal_id", "operation", "denied", "used").rows() == [
        ("hr", "GET /users", 5, False)
    ]


def test_requests_in_quarantine_alone_leave_what_they_may_have_used_open() -> None:
    apps = Apps().app("hr").holds("hr", "User.Read.All", "Mail.Send").asks("hr", "GET /users", suspect=3)
    assert apps.judged("hr") == {
        "User.Read.All": ("out_of_coverage", "quarantined"),
        "Mail.Send": ("unused", "covered"),
    }
    apps.asks("hr", "GET /users", use=2)
    assert apps.judged("hr")["User.Read.All"] == ("used", "elimination")


@pytest.mark.slow
def test_a_day_without_log_leaves_everything_unused_open() -> None:
    apps = Apps(days=9).app("hr").holds("hr", "User.Read.All", "Mail.Send").asks("hr", "GET /users")
    assert apps.judged("hr")["Mail.Send"] == ("out_of_coverage", "days_missing")
    assert apps.judged("hr")["User.Read.All"][0] == "used"
    assert {one.kind for one in apps.part().proposals} == {"keep"}


def test_without_a_map_nothing_is_unused() -> None:
    apps = Apps(is_mapped=False).app("hr").holds("hr", "User.Read.All")
    assert apps.judged("hr") == {"User.Read.All": ("out_of_coverage", "no_permission_map")}


def test_an_unknown_request_blocks_what_may_explain_it_and_only_that() -> None:
    apps = Apps().app("hr").holds("hr", "User.Read.All", "Sites.Read.All").asks("hr", "GET /sites/{id}/frobnicate")
    assert apps.judged("hr") == {
        "Sites.Read.All": ("out_of_coverage", "unexplained_request"),
        "User.Read.All": ("unused", "covered"),
    }
    strange = Apps().app("hr").holds("hr", "User.Read.All", "Sites.Read.All").asks("hr", "GET /elsewhere")
    assert {verdict for verdict, _ in strange.judged("hr").values()} == {"out_of_coverage"}


def test_a_request_that_nothing_explains_leaves_open_what_opens_the_same_part_of_graph() -> None:
    apps = (
        Apps()
        .app("hr")
        .holds("hr", "User.Read.All", "Mail.Send", "Sites.Read.All")
        .asks("hr", "GET /users/{id}/messages")
    )
    assert apps.judged("hr") == {
        "User.Read.All": ("out_of_coverage", "unexplained_request"),
        "Mail.Send": ("out_of_coverage", "unexplained_request"),
        "Sites.Read.All": ("unused", "covered"),
    }
    (row,) = apps.analysis().verdicts.filter(verdict="unexplained").rows(named=True)
    assert (row["operation"], row["reason"]) == ("GET /users/{id}/messages", "no_permission")


@pytest.mark.slow
def test_a_batch_and_me_alone_leave_nothing_open() -> None:
    apps = Apps().app("web").delegated("web", "Mail.Send").asks("web", "POST /$batch", "GET /me", user="ann")
    assert apps.judged("web", "delegated") == {"Mail.Send": ("unused", "covered")}
    more = apps.asks("web", "GET /me/messages", user="ann")
    assert more.judged("web", "delegated") == {"Mail.Send": ("out_of_coverage", "unexplained_request")}


@pytest.mark.slow
def test_a_permission_that_reads_and_writes_explains_what_its_reading_twin_explains() -> None:
    apps = Apps().app("hr").holds("hr", "Directory.ReadWrite.All").asks("hr", "GET /devices")
    assert apps.judged("hr") == {"Directory.ReadWrite.All": ("used", "elimination")}
    assert apps.analysis().verdicts.filter(verdict="unexplained").is_empty()
    shared = apps.delegated("hr", "Directory.ReadWrite.All").asks("hr", "GET /organization", user="ann")
    assert shared.judged("hr", "delegated") == {"Directory.ReadWrite.All": ("used", "elimination")}


def test_a_reading_twin_that_is_held_explains_before_the_writing_one_does() -> None:
    apps = Apps().app("hr").holds("hr", "Directory.ReadWrite.All", "Directory.Read.All").asks("hr", "GET /devices")
    assert apps.judged("hr") == {
        "Directory.Read.All": ("used", "elimination"),
        "Directory.ReadWrite.All": ("unused", "covered"),
    }


def test_what_a_users_call_leaves_open_is_open_in_the_tenant_wide_grant_too() -> None:
    apps = Apps().app("web").delegated("web", "User.Read.All").delegated("web", "Mail.Send", user="ann")
    apps.asks("web", "GET /me/messages", user="ann")
    assert apps.judged("web", "delegated", "ann") == {"Mail.Send": ("out_of_coverage", "unexplained_request")}
    assert apps.judged("web", "delegated") == {"User.Read.All": ("out_of_coverage", "unexplained_request")}


def test_permissions_of_apis_without_a_log_are_unobservable() -> None:
    apps = Apps().app("hr").holds("hr", "full_access_as_app", resource=EXCHANGE)
    (row,) = apps.analysis().verdicts.rows(named=True)
    assert (row["verdict"], row["reason"]) == ("unobservable", "no_api_log")


@pytest.mark.slow
def test_what_stands_in_a_body_is_unobservable_once_such_a_request_was_made() -> None:
    held = ("User.ReadWrite.All", "User-PasswordProfile.ReadWrite.All")
    apps = Apps().app("hr").holds("hr", *held).asks("hr", "PATCH /users/{id}")
    assert apps.judged("hr")["User-PasswordProfile.ReadWrite.All"] == ("unobservable", "request_body")
    idle = Apps().app("hr").holds("hr", *held).asks("hr", "GET /users")
    assert idle.judged("hr")["User-PasswordProfile.ReadWrite.All"] == ("unused", "covered")


def test_what_fills_in_answers_is_unobservable() -> None:
    apps = Apps().app("hr").holds("hr", "Group.Read.All", "User.Read.All").asks("hr", "GET /groups/{id}/members")
    assert apps.judged("hr") == {
        "Group.Read.All": ("used", "elimination"),
        "User.Read.All": ("unobservable", "correlated"),
    }


def test_the_map_is_not_believed_that_intune_reads_all_users() -> None:
    held = ("User.Read.All", "DeviceManagementApps.Read.All")
    asked = ("GET /users", "GET /deviceAppManagement/mobileApps")
    apps = Apps().app("hr").holds("hr", *held).asks("hr", *asked)
    assert {verdict for verdict, _ in apps.judged("hr").values()} == {"used"}


def test_delegated_access_is_judged_apart_and_sign_in_scopes_stay() -> None:
    apps = Apps().app("web").delegated("web", "User.Read", "openid", "Mail.Read", "Files.Read")
    apps.holds("web", "Mail.Read").asks("web", "GET /me/messages", user="ann")
    assert apps.judged("web", "delegated") == {
        "Mail.Read": ("used", "elimination"),
        "User.Read": ("unobservable", "sign_in_scope"),
        "openid": ("unobservable", "sign_in_scope"),
        "Files.Read": ("unobservable", "not_in_map"),
    }
    assert apps.judged("web") == {"Mail.Read": ("unused", "covered")}


@pytest.mark.slow
def test_a_grant_of_one_user_explains_only_what_the_tenant_wide_one_does_not() -> None:
    apps = (
        Apps().app("web").delegated("web", "User.Read.All").delegated("web", "Mail.Read", "User.Read.All", user="ann")
    )
    apps.asks("web", "GET /users", "GET /me/messages", user="ann").asks("web", "GET /users", user="bob")
    assert apps.judged("web", "delegated") == {"User.Read.All": ("used", "elimination")}
    assert apps.judged("web", "delegated", "ann")["Mail.Read"] == ("used", "elimination")
    assert apps.judged("web", "delegated", "ann")["User.Read.All"][0] == "unused"


def test_what_nothing_explains_is_a_verdict_and_microsofts_own_apps_are_counted_apart() -> None:
    apps = Apps().app("hr").holds("hr", "Mail.Read").asks("hr", "GET /users")
    apps.app("portal", owner_tenant_id="f8cdef31-a31e-4b4a-93e4-5f571e91255a").asks(
        "portal", "GET /users", "GET /groups"
    )
    rows = apps.analysis().verdicts.filter(verdict="unexplained")
    assert rows.select("principal_id", "reason", "operation", "operations").rows() == [
        ("hr", "no_permission", "GET /users", 1),
        ("portal", "first_party", None, 2),
    ]


def test_a_permission_that_leads_to_every_other_is_a_finding_and_high() -> None:
    apps = Apps().app("ops").holds("ops", "Application.ReadWrite.All").app("hr").holds("hr", "User.Read.All")
    analysis = apps.analysis()
    assert analysis.findings.select("control", "principal_id", "severity").rows() == [
        ("graph_escalation", "ops", "high")
    ]
    risk = dict(analysis.principals.select("principal_id", "risk").iter_rows())
    assert risk["ops"] > 66 > risk["hr"]


def test_counts_add_up() -> None:
    apps = (
        Apps().app("hr").holds("hr", "User.Read.All", "Mail.Send").delegated("hr", "User.Read").asks("hr", "GET /users")
    )
    (row,) = apps.analysis().principals.rows(named=True)
    assert row["granted"] == row["used"] + row["unused"] + row["unobservable"] + row["out_of_coverage"] == 3


def test_an_application_that_no_listing_knows_keeps_its_application_id() -> None:
    apps = Apps().asks("ghost", "GET /users")
    rows = apps.analysis().verdicts
    assert rows["principal_id"].to_list() == ["ghost"]
    assert apps.analysis().window.first_day == dt.date(2026, 1, 1)


@pytest.mark.slow
def test_what_an_unexplained_request_leaves_open_is_not_dropped_as_a_sign_in_scope() -> None:
    apps = Apps().app("web").delegated("web", "User.Read", "openid", "Sites.Read.All")
    apps.asks("web", "GET /me/messages", user="ann")
    assert apps.judged("web", "delegated") == {
        "User.Read": ("out_of_coverage", "unexplained_request"),
        "openid": ("unobservable", "sign_in_scope"),
        "Sites.Read.All": ("unused", "covered"),
    }
    assert apps.after("web", unobservable="drop") == {"User.Read"}


def test_a_permission_that_reads_and_writes_is_blocked_with_its_reading_twin() -> None:
    """The small map lists devices for the reading permission alone."""
    apps = Apps().app("hr").holds("hr", "Directory.ReadWrite.All", "Mail.Send").asks("hr", "GET /devices/{id}/secret")
    assert apps.judged("hr") == {
        "Directory.ReadWrite.All": ("out_of_coverage", "unexplained_request"),
        "Mail.Send": ("unused", "covered"),
    }


def test_an_unexplained_request_in_quarantine_leaves_its_family_open_and_nothing_else() -> None:
    apps = Apps().app("hr").holds("hr", "Sites.Read.All", "Mail.Send")
    apps.asks("hr", "GET /sites/{id}/frobnicate", suspect=3)
    assert apps.judged("hr") == {
        "Sites.Read.All": ("out_of_coverage", "quarantined"),
        "Mail.Send": ("unused", "covered"),
    }
    held = Apps().app("hr").holds("hr", "User.Read.All").asks("hr", "GET /users/{id}/messages", suspect=3)
    assert held.judged("hr") == {"User.Read.All": ("out_of_coverage", "quarantined")}


def test_a_property_of_oneself_needs_its_own_permission_too() -> None:
    apps = Apps().app("web").delegated("web", "User.Read", "AuditLog.Read.All", "Mail.Send")
    apps.asks("web", "GET /me?$select=signinactivity", user="ann")
    assert apps.judged("web", "delegated")["AuditLog.Read.All"] == ("used", "elimination")
    assert apps.judged("web", "delegated")["Mail.Send"] == ("unused", "covered")
