"""Effective permissions of agents: their own, and of the blueprint's principal what the blueprint lets them inherit."""

from __future__ import annotations

import pytest

from rightsize.analyze.agents import agent_identities, effective_permissions
from rightsize.analyze.graph_tables import GRAPH_APP_ID, held_permissions
from tests.planes.graph.small_map import EXCHANGE, Apps

BLUEPRINT, PRINCIPAL = "claims-app", "claims"


def agents(*names: str) -> Apps:
    """A blueprint `claims` whose principal holds two application permissions and two delegated ones, and its agents."""
    apps = Apps().app("claims", object_type="agentIdentityBlueprintPrincipal")
    apps.add("agent_blueprints", blueprint_app_id=BLUEPRINT, object_id="claims-object", display_name="Claims")
    for name in names or ("a1",):
        apps.app(name, object_type="agentIdentity", blueprint_app_id=BLUEPRINT.upper())
    return apps.holds("claims", "User.Read.All", "Mail.Send").delegated("claims", "Mail.Read", "Mail.ReadWrite")


def inherits(apps: Apps, access: str, mode: str, *permissions: str, api: str = GRAPH_APP_ID) -> Apps:
    row = {"blueprint_id": "claims-object", "resource_app_id": api, "access": access, "mode": mode}
    return apps.add("inheritable_permissions", **row, permissions=list(permissions))


def whole(apps: Apps) -> Apps:
    return apps.add("listings", listing="inheritablePermissions", of="claims-object", complete=True, rejected=0)


def effective(apps: Apps, agent: str = "a1") -> set[tuple[str, str, str, str | None]]:
    tables = apps.tables()
    rows = effective_permissions(held_permissions(tables), tables).filter(agent_id=agent)
    return set(rows.select("access", "permission", "origin", "mode").iter_rows())


def test_an_agent_has_its_own_permissions_and_those_it_inherits_by_kind() -> None:
    apps = whole(inherits(inherits(agents(), "application", "allAllowed"), "delegated", "none"))
    apps.holds("a1", "Group.Read.All", "Mail.Send")
    assert effective(apps) == {
        ("application", "Group.Read.All", "own", None),
        ("application", "Mail.Send", "own", None),
        ("application", "Mail.Send", "inherited", "allAllowed"),
        ("application", "User.Read.All", "inherited", "allAllowed"),
    }


def test_each_row_names_who_holds_the_grant() -> None:
    apps = whole(inherits(agents("a1", "a2"), "application", "allAllowed")).holds("a2", "Group.Read.All")
    tables = apps.tables()
    rows = effective_permissions(held_permissions(tables), tables).filter(access="application")
    assert set(rows.select("agent_id", "holder_id", "grant_id").iter_rows()) == {
        ("a1", PRINCIPAL, "claims/User.Read.All"),
        ("a1", PRINCIPAL, "claims/Mail.Send"),
        ("a2", PRINCIPAL, "claims/User.Read.All"),
        ("a2", PRINCIPAL, "claims/Mail.Send"),
        ("a2", "a2", "a2/Group.Read.All"),
    }


def test_a_list_of_scopes_lets_only_these_be_inherited() -> None:
    apps = whole(inherits(agents(), "delegated", "enumerated", "mail.read", "Calendars.Read"))
    assert effective(apps) == {("delegated", "Mail.Read", "inherited", "enumerated")}


def test_an_api_that_the_blueprint_does_not_list_is_not_inherited() -> None:
    apps = whole(inherits(agents(), "application", "allAllowed", api="exchange-app"))
    assert effective(apps.holds("claims", "Mail.Read", resource=EXCHANGE)) == {
        ("application", "a-mail.read", "inherited", "allAllowed")
    }
    assert effective(whole(agents())) == set()


@pytest.mark.parametrize("mode", ["unsaid", "unknownFutureValue", "conflicting"])
def test_a_mode_that_says_nothing_makes_a_permission_uncertain_and_no_grant(mode: str) -> None:
    apps = whole(inherits(agents(), "delegated", mode))
    if mode == "conflicting":
        apps = inherits(inherits(whole(agents()), "delegated", "allAllowed"), "delegated", "none")
    assert effective(apps) == {
        ("delegated", permission, "uncertain", mode) for permission in ("Mail.Read", "Mail.ReadWrite")
    }


def test_what_no_export_lists_is_uncertain() -> None:
    """The blueprint may be another tenant's; then nobody here may read what it lets its agents inherit."""
    unlisted = {("application", one, "uncertain", "not_listed") for one in ("User.Read.All", "Mail.Send")}
    assert {row for row in effective(agents()) if row[0] == "application"} == unlisted
    partly = inherits(agents(), "delegated", "none")
    assert effective(partly) == unlisted


def test_a_page_may_name_the_blueprint_by_its_application_id() -> None:
    apps = agents().add(
        "inheritable_permissions", blueprint_id=BLUEPRINT, resource_app_id=GRAPH_APP_ID, access="application",
        mode="allAllowed", permissions=[],
    )  # fmt: skip
    assert {row[2] for row in effective(apps) if row[0] == "application"} == {"inherited"}


def test_an_agent_without_a_listed_blueprint_principal_has_its_own_permissions() -> None:
    apps = Apps().app("lone", app_id=None, object_type="agentIdentity", blueprint_app_id="other-app")
    assert effective(apps.holds("lone", "Mail.Send"), "lone") == {("application", "Mail.Send", "own", None)}
    (row,) = agent_identities(apps.tables()).iter_rows(named=True)
    assert (row["blueprint_app_id"], row["holder_id"]) == ("other-app", None)


def test_the_principal_of_a_blueprint_and_an_agent_user_are_no_agent_identities() -> None:
    apps = agents().add("principals", principal_id="au", principal_type="User", object_type="agentUser", parent_id="a1")
    assert agent_identities(apps.tables())["agent_id"].to_list() == ["a1"]


@pytest.mark.slow
def test_a_request_of_an_agent_is_use_of_what_it_inherits() -> None:
    """Judged by its own requests alone, the principal of a blueprint uses nothing: only its agents act."""
    apps = whole(inherits(agents("a1", "a2"), "application", "allAllowed")).asks("a2", "GET /users")
    assert apps.judged("claims") == {"User.Read.All": ("used", "elimination"), "Mail.Send": ("unused", "covered")}
    case = apps.analysis().cases["claims", "application", ""]
    assert case.agents == {"GET /users": ("a2",)}
    assert apps.analysis().cases["a2", "application", ""].unexplained == {}


@pytest.mark.slow
def test_its_own_permissions_explain_a_request_before_inherited_ones() -> None:
    """The own permission is one agent's, the inherited one every agent's."""
    apps = whole(inherits(agents("a1", "a2"), "application", "allAllowed")).holds("a1", "Directory.Read.All")
    apps.asks("a1", "GET /users")
    assert apps.judged("a1") == {"Directory.Read.All": ("used", "elimination")}
    assert apps.judged("claims")["User.Read.All"] == ("unused", "covered")


def test_a_list_of_scopes_credits_only_what_is_on_it() -> None:
    apps = whole(inherits(agents(), "delegated", "enumerated", "Mail.ReadWrite"))
    apps.asks("a1", "GET /me/messages", user="ann")
    assert apps.judged("claims", "delegated") == {
        "Mail.Read": ("unused", "covered"),
        "Mail.ReadWrite": ("used", "elimination"),
    }


def test_what_is_not_inherited_explains_nothing_and_is_kept_all_the_same() -> None:
    """A call contradicts the listing, which may be younger than the call: the permission may still be needed."""
    apps = whole(inherits(agents(), "application", "none")).asks("a1", "GET /users")
    assert apps.analysis().cases["a1", "application", ""].unexplained == {"GET /users": "no_permission"}
    assert apps.judged("claims") == {
        "User.Read.All": ("out_of_coverage", "unexplained_request"),
        "Mail.Send": ("unused", "covered"),
    }


def test_use_of_what_may_be_inherited_keeps_it() -> None:
    apps = agents().asks("a1", "GET /users")
    assert apps.judged("claims")["User.Read.All"] == ("used", "elimination")


def test_a_grant_of_one_user_is_inherited_for_that_user() -> None:
    apps = whole(inherits(agents(), "delegated", "allAllowed")).delegated("claims", "Group.Read.All", user="ann")
    apps.asks("a1", "GET /groups", user="ann").asks("a1", "GET /groups/{id}", user="bob")
    assert apps.judged("claims", "delegated", "ann") == {"Group.Read.All": ("used", "elimination")}
    assert apps.analysis().cases["a1", "delegated", ""].unexplained == {"GET /groups/{id}": "no_permission"}


def test_requests_in_quarantine_alone_leave_inherited_permissions_open() -> None:
    apps = whole(inherits(agents(), "application", "allAllowed")).asks("a1", "GET /users", suspect=3)
    assert apps.judged("claims")["User.Read.All"] == ("out_of_coverage", "quarantined")


@pytest.mark.slow
def test_the_plan_keeps_what_agents_use_of_their_blueprint() -> None:
    apps = whole(inherits(agents("a1", "a2"), "application", "allAllowed")).asks("a1", "GET /users/{id}/manager")
    assert apps.after("claims") >= {"User.Read.All"}
    assert "Mail.Send" not in apps.after("claims")


def sighted(apps: Apps, name: str, blueprint: str = BLUEPRINT) -> Apps:
    """Add a sign-in of an agent; its application id is that of its requests."""
    return apps.add("agent_sightings", principal_id=name, app_id=f"{name}-app", agent_type="agenticAppInstance",
                    subject_type="", blueprint_app_id=blueprint, parent_id="")  # fmt: skip


@pytest.mark.slow
def test_use_of_an_agent_that_only_sign_ins_name_is_use_of_its_blueprint() -> None:
    """It was made after the listing; it inherits as listed agents do."""
    apps = sighted(whole(inherits(agents("a1"), "application", "allAllowed")), "new")
    apps.asks("new-app", "GET /users")
    assert effective(apps, "new-app") == {
        ("application", "User.Read.All", "inherited", "allAllowed"),
        ("application", "Mail.Send", "inherited", "allAllowed"),
    }
    assert apps.judged("claims") == {"User.Read.All": ("used", "elimination"), "Mail.Send": ("unused", "covered")}
    assert "User.Read.All" in apps.after("claims")
    assert apps.analysis().cases["new-app", "application", ""].unexplained == {}


def test_a_listed_agent_has_one_row_though_sign_ins_name_it_too() -> None:
    """Sign-ins add the blueprint where the listing lacks it; a blueprint that signs in itself is no agent."""
    apps = sighted(sighted(agents("a1"), "a1"), "claims").app("bare", object_type="agentIdentity")
    found = agent_identities(sighted(apps, "bare").tables()).select("agent_id", "blueprint_app_id", "holder_id")
    assert found.rows() == [("a1", BLUEPRINT, PRINCIPAL), ("bare", BLUEPRINT, PRINCIPAL)]


def test_an_agent_of_an_unknown_blueprint_may_be_of_any() -> None:
    apps = sighted(whole(inherits(agents("a1"), "application", "allAllowed")), "new", "").asks("new-app", "GET /users")
    assert apps.analysis().cases["new-app", "application", ""].unexplained == {"GET /users": "no_permission"}
    assert apps.judged("claims") == {
        "User.Read.All": ("out_of_coverage", "unexplained_request"),
        "Mail.Send": ("unused", "covered"),
    }
