"""Proposals about agents: grants of blueprints' principals, narrower inheritance, questions about blueprints."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace

import pytest

from rightsize.model.plan import Proposal
from rightsize.planes.planes import verify_graph
from rightsize.propose.verify.plan_reader import read_plan
from rightsize.render.plane_requests import graph_files
from tests.planes.graph.small_map import GRAPH, Apps
from tests.planes.graph.test_agents import agents, inherits, sighted, whole
from tests.propose.small_tenant import SmallTenant
from tests.propose.written_plans import Written


def everything(*names: str) -> Apps:
    """Agents that inherit all that the principal of their blueprint holds."""
    apps = inherits(inherits(agents(*names), "application", "allAllowed"), "delegated", "allAllowed")
    return whole(apps)


def narrowed(apps: Apps) -> dict[str, Proposal]:
    """Return the proposals about inheritance, by access."""
    return {one.evidence["access"]: one for one in apps.part().proposals if "inheritance" in one.evidence}


@pytest.mark.slow
def test_what_no_agent_uses_goes_from_the_principal_and_what_one_uses_stays_for_all() -> None:
    apps = everything("a1", "a2").asks("a2", "GET /users")
    assert apps.after("claims") == {"User.Read.All"}
    (used,) = apps.proposal("claims/User.Read.All").evidence["permissions"]
    assert (used["decision"], used["agents"]) == ("keep", ["a2"])
    assert apps.proposal("claims/User.Read.All").evidence["inherited_by"] == ["a1", "a2"]


@pytest.mark.parametrize(
    ("own", "asked", "after"),
    [
        (True, ("claims", "a1"), "none"),  # the principal itself needs what its agents need not inherit
        (True, ("a2",), None),
        (False, ("claims",), None),
    ],
)
def test_agents_with_their_own_permissions_that_use_nothing_inherited_inherit_nothing(
    own: bool, asked: tuple[str, ...], after: str | None
) -> None:
    apps = everything("a1", "a2").delegated("claims")
    apps = apps.holds("a1", "Directory.Read.All") if own else apps
    for name in asked:
        apps.asks(name, "GET /users")
    found = narrowed(apps)
    assert ({one.evidence["inheritance"]["after"] for one in found.values()} or {None}) == {after}
    if after:
        one = found["application"]
        assert (one.kind, one.replaces) == ("remove", (f"inheritance/claims-app/{GRAPH_ID}/application",))
        assert one.evidence["inheritance"]["no_longer_inherited"] == ["User.Read.All"]
        assert one.excess_before > 0


@pytest.mark.nightly
def test_an_idle_young_or_excluded_agent_leaves_inheritance_alone() -> None:
    """An agent that had no time to use it may need it; a grant that only young agents inherit stays, too."""
    born = dt.datetime(2026, 1, 9)
    apps = everything("a1").holds("a1", "Directory.Read.All").asks("a1", "GET /users").asks("claims", "GET /users")
    assert set(narrowed(apps)) == {"application"}
    assert not [one for one in apps.part(exclude=("claims",)).proposals if "inheritance" in one.evidence]
    apps.app("a3", object_type="agentIdentity", blueprint_app_id="claims-app", created_on=born)
    assert narrowed(apps) == {}
    young = whole(inherits(agents(), "application", "allAllowed"))
    young.rows["principals"] = [
        row | {"created_on": born} if row["principal_id"] == "a1" else row for row in young.rows["principals"]
    ]
    assert young.proposal("claims/Mail.Send").reason == "young"
    assert everything("a1", "a2").proposal("claims/Mail.Send", exclude=("a2",)).reason == "excluded"


@pytest.mark.slow
def test_what_only_unlisted_agents_inherit_is_left_alone() -> None:
    """Nobody knows since when such an agent exists, so it may not have had the time to use what it inherits."""
    alone = sighted(whole(inherits(agents(), "application", "allAllowed")), "new")
    alone.rows["principals"] = [row for row in alone.rows["principals"] if row["principal_id"] != "a1"]
    assert alone.proposal("claims/Mail.Send").reason == "unlisted_agent"
    assert alone.proposal("claims/Mail.Send", exclude=("new-app",)).reason == "excluded"


@pytest.mark.slow
def test_an_unlisted_agent_leaves_inheritance_alone_and_grants_of_listed_ones_go() -> None:
    apps = everything("a1").holds("a1", "Directory.Read.All").asks("a1", "GET /users").asks("claims", "GET /users")
    assert set(narrowed(apps)) == {"application"}
    assert narrowed(sighted(apps, "new")) == {}
    assert apps.after("claims") == {"User.Read.All"}


@pytest.mark.slow
@pytest.mark.parametrize("operation", ["GET /sites/{id}", "GET /somewhere/new"])
def test_inheritance_stays_while_a_request_of_an_agent_is_unexplained(operation: str) -> None:
    """Nothing that the principal holds by the listing allows it, and the listing may be older than the request."""
    apps = everything("a1", "a2").holds("a1", "Directory.Read.All").asks("claims", "GET /users")
    assert set(narrowed(apps)) == {"application"}
    assert narrowed(apps.asks("a2", operation)) == {}


@pytest.mark.nightly
def test_a_plan_is_stale_once_an_agent_that_no_listing_has_uses_what_goes() -> None:
    apps = everything("a1").asks("claims", "GET /users")
    tenant = SmallTenant()
    tenant.assign(1, tenant.principal(1), "reader", "/subscriptions/s")
    from rightsize.render.plan import plan_files  # noqa: PLC0415  beside its only use

    plan = replace(tenant.plan(), parts=(apps.part(),))
    (part,) = read_plan(Written(plan_files(plan)).contents["plan.json"]).parts
    assert verify_graph(part, apps.analysis()) == []
    changes = verify_graph(part, sighted(apps, "new").asks("new-app", "POST /users/{id}/sendmail").analysis())
    assert [(one.what, one.id, one.operation) for one in changes] == [("use", "claims", "POST /users/{id}/sendmail")]


def test_a_list_is_proposed_for_scopes_only_and_said_to_be_unconfirmed() -> None:
    """The principal acts for users itself with Mail.ReadWrite, its agent only with Mail.Read."""
    apps = everything("a1").delegated("claims", "Mail.Read", "Group.Read.All")
    apps.asks("a1", "GET /groups", user="ann").asks("claims", "GET /me/messages", user="ann")
    apps.asks("claims", "GET /users").holds("claims", "Group.Read.All").asks("a1", "GET /groups")
    found = narrowed(apps)
    assert set(found) == {"delegated"}, "Graph documents no list for roles"
    said = found["delegated"].evidence["inheritance"]
    assert (said["listed"], said["confirmed"]) == (["Group.Read.All"], False)
    assert said["used_by"] == {"Group.Read.All": ["a1"]}
    assert found["delegated"].kind == "narrow_scope"


@pytest.mark.slow
def test_agents_that_use_disjoint_permissions_are_a_question_to_the_owner() -> None:
    apps = everything("a1", "a2", "a3").holds("claims", "Device.Read.All")
    apps.asks("a1", "GET /users").asks("a2", "GET /devices").asks("a3", "GET /users")
    (asked,) = [one for one in apps.part().advice if "disjoint" in one.text]
    assert asked.subject == "Claims"
    assert "A1, A3 use User.Read.All (application); A2 use Device.Read.All (application)" in asked.text
    together = apps.asks("a3", "GET /devices")
    assert not [one for one in together.part().advice if "disjoint" in one.text]


@pytest.mark.nightly
def test_a_plan_is_stale_once_an_agent_needs_what_it_would_no_longer_inherit() -> None:
    apps = everything("a1").holds("a1", "Directory.Read.All").asks("a1", "GET /users").asks("claims", "GET /users")
    tenant = SmallTenant()
    tenant.assign(1, tenant.principal(1), "reader", "/subscriptions/s")
    plan = replace(tenant.plan(), parts=(apps.part(),))
    from rightsize.render.plan import plan_files  # noqa: PLC0415  beside its only use

    (part,) = read_plan(Written(plan_files(plan)).contents["plan.json"]).parts
    assert verify_graph(part, apps.analysis()) == []
    changes = verify_graph(part, apps.asks("a1", "POST /users/{id}/sendmail").analysis())
    assert "an agent rests on a permission that it would no longer inherit" in {one.detail for one in changes}
    widened = inherits(apps, "application", "none")
    assert "inheritance" in {one.what for one in verify_graph(part, widened.analysis())}


def test_scripts_grant_stop_for_a_token_and_remove_only_then() -> None:
    """What is swapped is inherited, and no listing shows that the agents have it."""
    apps = everything("a1").holds("claims", "Group.ReadWrite.All").asks("a1", "GET /groups")
    files = graph_files(apps.part(), {}, {"00000003-0000-0000-c000-000000000000": GRAPH})
    name = next(name for name in files if name.endswith(".sh"))
    shell = files[name].splitlines()
    stop = shell.index("exit 1")
    assert [line for line in shell[:stop] if "--method delete" in line] == []
    assert any("--method post" in line for line in shell[:stop])
    assert any("--method delete" in line for line in shell[stop:])
    page = files[name.removesuffix(".sh") + ".md"]
    assert "## Order" in page
    assert "- A1: requests of it need Group.ReadWrite.All" in page
    body = json.loads(files[name.removesuffix(".sh") + ".json"])
    assert all(("after_token_shows" in one) == (one["method"] != "POST") for one in body["requests"])


def test_the_request_that_narrows_inheritance_is_that_of_graph() -> None:
    apps = everything("a1").holds("a1", "Directory.Read.All").asks("a1", "GET /users").asks("claims", "GET /users")
    files = graph_files(apps.part(), {}, {})
    bodies = [json.loads(text) for name, text in files.items() if name.endswith(".json")]
    (asked,) = [one for body in bodies for one in body["requests"] if "inheritablePermissions" in one["url"]]
    assert asked["url"].endswith(f"/claims-object/inheritablePermissions/{GRAPH_ID}")
    assert asked["body"] == {"inheritableRoles": {"@odata.type": "#microsoft.graph.noRoles", "kind": "none"}}


GRAPH_ID = "00000003-0000-0000-c000-000000000000"
