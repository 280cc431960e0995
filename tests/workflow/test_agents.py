"""A tenant with two blueprints and nine agents, from its exports to what `rightsize agents` says of each."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from rightsize.cli.main import run
from rightsize.model.errors import InputError, UsageError
from rightsize.store.connection import open_store
from rightsize.workflow.answers.agents import AgentsResult, agent_answer, show_agents
from rightsize.workflow.answers.explain import explain
from rightsize.workflow.data.load import load_paths
from tests.docs.blocks import blocks
from tests.ingest.entity_records import APP, USER, guid, page, typed

pytestmark = pytest.mark.slow

GRAPH_API = "00000003-0000-0000-c000-000000000000"
API, CLAIMS, TRAVEL = guid(100), guid(101), guid(102)
CLAIMS_APP, TRAVEL_APP = guid(201), guid(202)
ANN, BOB, AGENT_USER = guid(10), guid(11), guid(12)
STRANGER = guid(399)
DAYS = [f"2026-03-{day:02}" for day in range(1, 31)]
PATHS = {
    "User.Read.All": "/users",
    "Group.Read.All": "/groups",
    "Directory.Read.All": "/organization",
    "Mail.Read": "/me/messages",
    "Calendars.Read": "/me/events",
    "Mail.Send": "/users/{id}/sendMail",
}
NAMES = sorted(PATHS)


def agent(number: int) -> str:
    return guid(300 + number)


def role(permission: str) -> str:
    return guid(400 + NAMES.index(permission))


def permission_map() -> dict[str, Any]:
    kinds = ["Application", "DelegatedWork"]
    return {
        "permissions": {
            name: {
                "schemes": {kind: {"privilegeLevel": 3} for kind in kinds},
                "pathSets": [{"schemeKeys": kinds, "methods": ["GET", "POST"], "paths": {path: ""}}],
            }
            for name, path in PATHS.items()
        }
    }


def directory() -> dict[str, Any]:
    graph = APP | {"id": API, "appId": GRAPH_API, "displayName": "Microsoft Graph"}
    graph["appRoles"] = [{"id": role(name), "value": name, "isEnabled": True} for name in NAMES]
    principals = [
        typed("agentIdentityBlueprintPrincipal", APP | {"id": id_, "appId": app_id, "displayName": name})
        for id_, app_id, name in ((CLAIMS, CLAIMS_APP, "Claims"), (TRAVEL, TRAVEL_APP, "Travel"))
    ]
    agents = [
        {"id": agent(number), "displayName": f"agent {number}", "servicePrincipalType": "ServiceIdentity",
         "accountEnabled": True, "agentIdentityBlueprintId": CLAIMS_APP if number <= 6 else TRAVEL_APP,
         "owners": [{"id": BOB}] if number == 1 else [], "sponsors": [{"id": ANN}] if number == 1 else []}
        for number in range(1, 10)
    ]  # fmt: skip
    blueprint = {"id": guid(111), "appId": CLAIMS_APP, "displayName": "Claims", "owners": [{"id": BOB}],
                 "sponsors": [{"id": ANN}]}  # fmt: skip
    people = [USER | {"id": id_, "userPrincipalName": name} for id_, name in ((ANN, "ann@x"), (BOB, "bob@x"))]
    claims_user = USER | {"id": AGENT_USER, "displayName": "agent 1", "identityParentId": agent(1)}
    inherits = {
        "resourceAppId": GRAPH_API,
        "inheritableScopes": {"kind": "enumerated", "scopes": ["Mail.Read"]},
        "inheritableRoles": {"kind": "allAllowed"},
    }
    return {
        "apps.json": page("servicePrincipals", graph, *principals),
        "agents.json": page("servicePrincipals/microsoft.graph.agentIdentity(owners(),sponsors())", *agents),
        "blueprints.json": page("applications/microsoft.graph.agentIdentityBlueprint", blueprint),
        "inheritable.json": page(f"applications('{guid(111)}')/inheritablePermissions", inherits),
        "users.json": page("users", *people, typed("agentUser", claims_user)),
    }


def grants() -> dict[str, Any]:
    def assigned(holder: str, permission: str) -> dict[str, Any]:
        return {
            "id": f"{holder}/{permission}", "principalId": holder, "principalType": "ServicePrincipal",
            "resourceId": API, "resourceDisplayName": "Microsoft Graph", "appRoleId": role(permission),
            "createdDateTime": "2026-01-01T00:00:00Z",
        }  # fmt: skip

    held = [assigned(CLAIMS, name) for name in ("User.Read.All", "Mail.Send", "Group.Read.All")]
    held += [assigned(agent(2), "Group.Read.All"), assigned(TRAVEL, "User.Read.All")]
    consent = {"id": "consent", "clientId": CLAIMS, "consentType": "AllPrincipals", "principalId": None,
               "resourceId": API, "scope": "Mail.Read Calendars.Read"}  # fmt: skip
    return {
        "roles.json": page(f"servicePrincipals('{API}')/appRoleAssignedTo", *held),
        "scopes.json": page("oauth2PermissionGrants", consent),
    }


def calls() -> list[dict[str, Any]]:
    asked = [
        (1, "/users", "User.Read.All Mail.Send Group.Read.All", None),
        (2, "/groups", "User.Read.All Mail.Send Group.Read.All", None),
        (3, "/me/messages", "Mail.Read openid", ANN),
        # What it holds in no listing, and less than it should inherit.
        (4, "/users", "User.Read.All Directory.Read.All", None),
        (7, "/users", "User.Read.All", None),
    ]
    return [
        {
            "Type": "MicrosoftGraphActivityLogs", "TimeGenerated": f"{day}T09:00:00Z", "RequestId": guid(n + 1000 * at),
            "RequestMethod": "GET", "RequestUri": f"https://graph.microsoft.com/v1.0{path}", "ResponseStatusCode": 200,
            "AppId": agent(number), "ServicePrincipalId": None if user else agent(number), "UserId": user,
            "C_Idtyp": "user" if user else "app", "Scopes": said if user else "", "Roles": "" if user else said,
        }
        for at, day in enumerate(DAYS)
        for n, (number, path, said, user) in enumerate(asked)
    ]  # fmt: skip


def sign_in() -> dict[str, Any]:
    """An agent that no listing has, since the listing is older."""
    return {
        "Type": "AADServicePrincipalSignInLogs", "TimeGenerated": "2026-03-30T09:00:00Z",
        "CreatedDateTime": "2026-03-30T09:00:00Z", "Id": "s1", "ServicePrincipalId": STRANGER, "AppId": STRANGER,
        "CorrelationId": guid(5), "ResultType": "0",
        "Agent": json.dumps({"agentType": "agenticAppInstance", "parentAppId": TRAVEL_APP}),
    }  # fmt: skip


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("agents")
    (folder / "in").mkdir()
    for name, document in {
        **directory(),
        **grants(),
        "calls.json": calls(),
        "map.json": permission_map(),
        "sign-in.json": [sign_in()],
    }.items():
        (folder / "in" / name).write_text(json.dumps(document), encoding="utf-8")
    load_paths(folder / "s.duckdb", [folder / "in"])
    return folder / "s.duckdb"


@pytest.fixture(scope="module")
def found(db: Path) -> AgentsResult:
    return show_agents(db)


def row(found: AgentsResult, id_: str) -> dict[str, Any]:
    (one,) = [one for one in found.rows if one["id"] == id_]
    return one


def judged(found: AgentsResult, id_: str, *columns: str) -> dict[tuple[str, str], Any]:
    return {
        (one["permission"], one["access"]): tuple(one.get(column) for column in columns)
        for one in found.permissions.get(id_, [])
    }


@pytest.mark.nightly
def test_blueprints_come_with_their_agents_and_agent_users(found: AgentsResult) -> None:
    assert [(one["kind"], one["name"], one["blueprint"]) for one in found.rows] == [
        ("blueprint", "Claims", "Claims"),
        *(("agent", f"agent {number}", "Claims") for number in range(1, 7)),
        ("agent_user", "agent 1", "Claims"),
        ("blueprint", "Travel", "Travel"),
        ("agent", STRANGER, "Travel"),
        *(("agent", f"agent {number}", "Travel") for number in range(7, 10)),
    ]
    assert [one["id"] for one in found.rows if not one["listed"]] == [STRANGER]
    assert [row(found, CLAIMS)[name] for name in ("owners", "sponsors", "agents")] == [["bob@x"], ["ann@x"], 6]
    assert row(found, agent(2))["owners"] == row(found, TRAVEL)["sponsors"] == []


def test_the_principal_of_a_blueprint_used_what_any_of_its_agents_used(found: AgentsResult) -> None:
    assert judged(found, CLAIMS, "verdict", "used_by") == {
        ("User.Read.All", "application"): ("used", [agent(1), agent(4)]),
        ("Mail.Send", "application"): ("unused", []),
        # Agent 2 has this permission itself, and nobody else asked for groups.
        ("Group.Read.All", "application"): ("unused", []),
        ("Mail.Read", "delegated"): ("used", [agent(3)]),
        ("Calendars.Read", "delegated"): ("unused", []),
    }


def test_each_agent_is_judged_by_its_own_calls(found: AgentsResult) -> None:
    assert judged(found, agent(1), "origin", "verdict") == {
        ("User.Read.All", "application"): ("inherited", "used"),
        ("Mail.Send", "application"): ("inherited", "unused"),
        ("Group.Read.All", "application"): ("inherited", "unused"),
        ("Mail.Read", "delegated"): ("inherited", "unused"),
    }
    own = [one for one in found.permissions[agent(2)] if one["origin"] == "own"]
    assert [(one["permission"], one["verdict"], one["events"]) for one in own] == [
        ("Group.Read.All", "used", len(DAYS))
    ]
    assert row(found, agent(5))["last_seen"] is None


def test_a_call_for_a_user_belongs_to_the_pair(found: AgentsResult) -> None:
    assert judged(found, agent(3), "verdict", "on_behalf_of")["Mail.Read", "delegated"] == ("used", [ANN])
    assert row(found, agent(3))["on_behalf_of"] == ["ann@x"]


def test_tokens_that_disagree_are_told_in_both_directions(found: AgentsResult) -> None:
    assert judged(found, agent(4), "origin", "in_token") == {
        ("User.Read.All", "application"): ("inherited", True),
        ("Mail.Send", "application"): ("inherited", False),
        ("Group.Read.All", "application"): ("inherited", False),
        ("Directory.Read.All", "application"): ("only_in_token", True),
        # It made no call on behalf of anybody, so no token says what it may do then.
        ("Mail.Read", "delegated"): ("inherited", None),
    }
    assert {one["id"]: one["disagreements"] for one in found.rows if one["disagreements"]} == {agent(4): 3}


def test_a_token_shows_what_no_listing_does(found: AgentsResult) -> None:
    """The second blueprint is of another tenant, so nobody here can list what its agents inherit."""
    columns = ("origin", "mode", "verdict", "in_token")
    assert judged(found, agent(7), *columns) == {
        ("User.Read.All", "application"): ("uncertain", "not_listed", "used", True)
    }
    assert judged(found, agent(8), "origin", "verdict") == {("User.Read.All", "application"): ("uncertain", "unused")}
    assert judged(found, TRAVEL, "verdict", "used_by") == {("User.Read.All", "application"): ("used", [agent(7)])}


@pytest.mark.nightly
def test_explain_tells_the_same_facts(db: Path, found: AgentsResult) -> None:
    told = explain(db, agent(4))["agent"]
    assert told["disagreements"] == 3
    assert told["permissions"] == found.permissions[agent(4)]
    with open_store(db, read_only=True) as store:
        claims = agent_answer(store, CLAIMS)
        assert claims is not None
        assert claims["inheritable"] == found.inheritance[CLAIMS_APP]
        assert agent_answer(store, ANN) is None


def test_an_agent_is_found_by_id_name_or_blueprint(found: AgentsResult) -> None:
    assert [one["id"] for one in found.of("AGENT 2")] == [agent(2)]
    assert len(found.of(TRAVEL_APP)) == 5
    with pytest.raises(UsageError, match="names 2 agents"):
        found.of("agent 1")
    with pytest.raises(InputError, match="no agent or blueprint"):
        found.of("nobody")


def test_the_page_shows_what_the_command_prints(
    db: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = blocks(Path(__file__).parents[2] / "docs" / "agents.md")
    examples = [block.text for block in page if block.is_transcript]
    monkeypatch.setenv("COLUMNS", "100")
    for example in examples:
        asked, _, shown = example.strip().partition("\n")
        words = shlex.split(asked.removeprefix("$ rightsize "))
        assert run([*words, "--db", str(db)]) == 0
        assert capsys.readouterr().out.rstrip() == shown
    assert len(examples) == 2
