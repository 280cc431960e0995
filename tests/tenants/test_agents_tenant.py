"""Two blueprints and nine agents, from exports to plan, reach, controls and containment, with an expert's answers."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rightsize.cli.main import run
from rightsize.guard.contain import contain_principal
from rightsize.model.options import WindowOptions
from rightsize.propose.core.options import PlanOptions
from rightsize.store.connection import open_store
from rightsize.workflow.analysis.analyze import analyze_store
from rightsize.workflow.answers.agents import show_agents
from rightsize.workflow.answers.check import check_store
from rightsize.workflow.data.catalog import import_catalogue
from rightsize.workflow.data.load import load_paths
from rightsize.workflow.plan.propose import propose_plan
from rightsize.workflow.plan.verify import verify_plan
from tests.plan_schema import check_plan
from tests.tenants.agents import (
    AGENTS,
    ANN,
    AS_OF,
    BOB,
    CLAIMS,
    CLAIMS_APP,
    COVERS,
    GRAPH_APP,
    OF_CLAIMS,
    PRICING_USER,
    RESEARCH,
    RESEARCH_APP,
    SUB,
    grant,
    guid,
    write_exports,
)


@dataclass(frozen=True)
class Answer:
    """What an expert says of one agent, from the exports alone.

    `own` and `inherits` are its permissions after the plan, `used` those that its requests rest on today.
    """

    own: tuple[str, ...] = ()
    inherits: tuple[str, ...] = ()
    used: tuple[str, ...] = ()
    takes_tenant: bool = False
    fails: tuple[str, ...] = ()


_OF_CLAIMS = ("Contacts.Read", "Device.Read.All", "User.Read.All")
ANSWERS = {
    "intake": Answer((), _OF_CLAIMS, ("Contacts.ReadWrite", "User.Read.All")),
    "devices": Answer((), _OF_CLAIMS, ("Device.Read.All",)),
    "archive": Answer((), _OF_CLAIMS, (), fails=("agent-answerable", "agent-unused")),
    "letters": Answer(("User.Read.All",), _OF_CLAIMS, ("User.Read.All",)),
    "admin": Answer(
        (), _OF_CLAIMS, (), takes_tenant=True, fails=("agent-blocked-permissions", "agent-takes-tenant", "agent-unused")
    ),
    "sites": Answer(("Sites.Read.All",), ("Mail.Read",), ("Sites.Read.All",), fails=("agent-blocked-permissions",)),
    "groups": Answer(("Group.Read.All",), ("Mail.Read",), ("Group.Read.All",)),
    "assistant": Answer((), ("Mail.Read",), ("Mail.Read",)),
    "pricing": Answer((), ("Mail.Read",), ()),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exports, the store that holds them, its analysis and its plan."""
    found = tmp_path_factory.mktemp("agents")
    write_exports(found)
    db = found / "s.duckdb"
    import_catalogue(db, [found / "map.json", found / "operations.json"])
    load_paths(db, [found / "exports"], covers=COVERS, source="graph_activity_log")
    load_paths(db, [found / "exports" / "activity.json"], covers=COVERS, source="activity_log", scope=SUB)
    signed = load_paths(db, [found / "exports" / "users.json"], covers=COVERS, source="sign_in_log")
    assert not signed.doubted
    with open_store(db, read_only=True) as store:
        assert store.table("rejects").is_empty()
    analyze_store(db, WindowOptions(as_of=AS_OF, min_window=90))
    propose_plan(db, PlanOptions(as_of=AS_OF, min_window=90), found / "plan")
    return found


@pytest.fixture(scope="module")
def proposals(folder: Path) -> dict[str, dict[str, Any]]:
    """The proposals by what they replace."""
    document = json.loads((folder / "plan" / "plan.json").read_text(encoding="utf-8"))
    check_plan(document)
    return {one["replaces"][0]: one for one in document["proposals"]}


def held_after(proposals: dict[str, dict[str, Any]], holder: str) -> set[str]:
    """The permissions of Graph that a principal holds itself after the plan."""
    found: set[str] = set()
    for one in proposals.values():
        if one["principal_ids"][0] == holder and one["plane"] == "graph" and "inheritance" not in one["evidence"]:
            found |= {row["permission"] for row in one["evidence"]["permissions"] if row["decision"] == "keep"}
            found |= {row["permission"] for row in one["evidence"]["comes"]}
    return found


@pytest.mark.nightly
@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_each_agent_holds_after_the_plan_what_an_expert_leaves_it(
    proposals: dict[str, dict[str, Any]], name: str
) -> None:
    """Own permissions by its own grants, inherited ones by those of its blueprint and by what it may inherit."""
    answer = ANSWERS[name]
    assert held_after(proposals, AGENTS[name]) == set(answer.own)
    blueprint = CLAIMS if name in OF_CLAIMS else RESEARCH
    narrowed = {one["evidence"]["access"] for one in proposals.values() if one["evidence"].get("inheritance")
                and one["principal_ids"][0] == blueprint}  # fmt: skip
    held = held_after(proposals, blueprint)
    # Organization.Read.All is the only application permission of Research; its delegated one is Mail.Read.
    inherited = held - {"Organization.Read.All"} if "application" in narrowed else held
    assert inherited == set(answer.inherits)
    resting = {
        row["permission"]
        for one in proposals.values()
        for row in one["evidence"].get("permissions", ())
        if AGENTS[name] in row.get("agents", ())
        or (one["principal_ids"][0] == AGENTS[name] and row["verdict"] == "used")
    }
    assert resting == set(answer.used)


@pytest.mark.slow
def test_the_list_of_agents_counts_what_an_expert_counts(folder: Path) -> None:
    """Before the plan: own and inherited permissions, and those of them that the agent itself used."""
    rows = {row["id"]: row for row in show_agents(folder / "s.duckdb", AS_OF).rows}
    found = {name: tuple(rows[id_][key] for key in ("own", "inherited", "used")) for name, id_ in AGENTS.items()}
    own = {"letters": 1, "admin": 1, "sites": 1, "groups": 1}
    assert found == {
        name: (own.get(name, 0), 4 if name in OF_CLAIMS else 2, len(answer.used)) for name, answer in ANSWERS.items()
    }


@pytest.mark.nightly
def test_the_plan_says_what_becomes_of_each_grant(proposals: dict[str, dict[str, Any]], folder: Path) -> None:
    """Nothing else changes, and the plan verifies."""
    inheritance = f"inheritance/{RESEARCH_APP}/{GRAPH_APP}/application"
    changes = {key: one["kind"] for key, one in proposals.items() if one["kind"] != "keep" and one["plane"] == "graph"}
    assert changes == {
        grant(CLAIMS, "Mail.Send"): "remove",
        grant(CLAIMS, "Contacts.ReadWrite"): "builtin",
        grant(AGENTS["admin"], "AppRoleAssignment.ReadWrite.All"): "remove",
        inheritance: "remove",
    }
    assert proposals[inheritance]["evidence"]["inheritance"]["no_longer_inherited"] == ["Organization.Read.All"]
    assert "request of theirs rests on an inherited one" in proposals[inheritance]["reason"]
    (azure,) = [one for one in proposals.values() if one["plane"] == "control"]
    assert (azure["kind"], azure["principal_ids"]) == ("narrow_scope", [AGENTS["pricing"]]), (
        "agents are as everybody in Azure"
    )
    assert verify_plan(folder / "s.duckdb", folder / "plan").refusal is None
    document = json.loads((folder / "plan" / "plan.json").read_text(encoding="utf-8"))
    (question,) = [one for one in document["advice"] if "disjoint" in one["text"]]
    assert "Devices use Device.Read.All" in question["text"]
    assert "Intake use Contacts.ReadWrite" in question["text"]
    page = (folder / "plan" / "graph" / f"{CLAIMS}.md").read_text(encoding="utf-8")
    assert "## Order" in page
    assert "Archive: no request of it needs any of it" in page
    shell = (folder / "plan" / "graph" / f"{CLAIMS}.sh").read_text(encoding="utf-8")
    assert shell.index("--method post") < shell.index("TOKEN_SEEN=yes") < shell.index("--method delete")


@pytest.fixture(scope="module")
def failed(folder: Path) -> set[tuple[str, str]]:
    """The controls that fail, each with what fails it."""
    names = [
        f"agent-{word}" for word in ("answerable", "blocked-permissions", "inherits-all", "takes-tenant", "unused")
    ]
    report = check_store(folder / "s.duckdb", as_of=AS_OF, names=names, parameters=["agent-unused.days=80"]).report
    return {(one.control, one.resource) for one in report.findings if one.status == "fail"}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_controls_and_reach_say_of_each_agent_what_an_expert_says(
    folder: Path, failed: set[tuple[str, str]], name: str
) -> None:
    assert {control for control, resource in failed if resource == AGENTS[name]} == set(ANSWERS[name].fails)
    db = folder / "s.duckdb"
    with open_store(db, read_only=True) as store:
        reach = store.table("reach").filter(pl.col("subject") == AGENTS[name])
    taken = dict(reach.filter(state="active").select("basis", "takes_tenant").iter_rows())
    assert taken.get("granted", False) is ANSWERS[name].takes_tenant
    assert taken.get("proposed", False) is False


@pytest.mark.slow
def test_blueprints_that_let_agents_inherit_everything_fail(failed: set[tuple[str, str]]) -> None:
    assert {resource for control, resource in failed if control == "agent-inherits-all"} == {CLAIMS, RESEARCH}


@pytest.mark.slow
def test_the_owner_of_a_blueprint_reaches_its_agents_and_a_sponsor_reaches_none(folder: Path) -> None:
    with open_store(folder / "s.duckdb", read_only=True) as store:
        reach = store.table("reach").filter(basis="granted", state="active")
    found = {row["subject"]: (row["identities"], row["takes_tenant"]) for row in reach.to_dicts()}
    assert found[ANN] == (15, True), "Claims and its agents, and through `admin` everybody else"
    assert BOB not in found
    assert found[AGENTS["pricing"]][0] == 1, "its user account"


@pytest.mark.nightly
def test_one_agent_is_contained_and_the_others_of_its_blueprint_keep_working(folder: Path, tmp_path: Path) -> None:
    result = contain_principal(folder / "s.duckdb", "Intake", tmp_path / "plan", as_of=AS_OF)
    assert result.agents.members == (AGENTS["intake"],)
    assert set(result.agents.siblings) == {AGENTS[name] for name in OF_CLAIMS} - {AGENTS["intake"]}
    named = [one.name for one in result.options]
    assert named.count("block_sign_in") == 1
    assert named.count("remove_inherited_permission") == 4
    inherited = next(one for one in result.options if one.name == "remove_inherited_permission")
    assert inherited.text.endswith("this takes them from 4 other agents of the blueprint too")
    assert f"/servicePrincipals/{CLAIMS}/" not in inherited.request["path"]
    assert inherited.undo is not None
    assert inherited.undo["body"]["principalId"] == CLAIMS
    page = (tmp_path / "plan" / "containment.md").read_text(encoding="utf-8")
    assert "These agents of Claims keep working: Devices, Archive, Letters, Admin." in page


@pytest.mark.nightly
def test_all_agents_of_a_blueprint_are_contained_together(folder: Path, tmp_path: Path) -> None:
    """Each is disabled by itself, since no page of Microsoft says that disabling the blueprint's principal suffices."""
    result = contain_principal(folder / "s.duckdb", "Claims", tmp_path / "plan", as_of=AS_OF)
    blocked = {one.request["path"] for one in result.options if one.name == "block_sign_in"}
    assert blocked == {f"/servicePrincipals/{one}" for one in (CLAIMS, *(AGENTS[name] for name in OF_CLAIMS))}
    assert (result.reach.counts["today"]["takes_tenant"], result.reach.counts["and_options"]["takes_tenant"]) == (
        True,
        False,
    )
    page = (tmp_path / "plan" / "containment.md").read_text(encoding="utf-8")
    assert "No agent of it keeps working; agents of other blueprints do." in page


@pytest.mark.nightly
def test_an_agent_is_contained_with_its_azure_roles_and_its_user_account(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "plan"), "-o", "json"]
    assert run(["contain", "Pricing", "--db", str(folder / "s.duckdb"), *out]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [one["why"] for one in document["changes"]] == [["leads_on"]], "its role runs commands on machines"
    assert [one["id"] for one in document["agents"]["contained"]] == [AGENTS["pricing"], PRICING_USER]
    paths = {
        one["request"]["path"] for one in document["options"] if one["name"] in ("block_sign_in", "revoke_sessions")
    }
    assert paths == {
        f"/servicePrincipals/{AGENTS['pricing']}", f"/users/{PRICING_USER}",
        f"/users/{PRICING_USER}/revokeSignInSessions",
    }  # fmt: skip


FRESH = guid(0x5F)


@pytest.fixture(scope="module")
def grown(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same store with an agent of Claims that was made after the listing, signs in and sends mail."""
    found = tmp_path_factory.mktemp("grown")
    shutil.copy(folder / "s.duckdb", found / "s.duckdb")
    seen = f"{AS_OF - dt.timedelta(days=3)}T09:00:00Z"
    sign_in = {
        "Type": "AADServicePrincipalSignInLogs", "TimeGenerated": seen, "CreatedDateTime": seen, "Id": "s1",
        "ServicePrincipalId": FRESH, "AppId": FRESH, "CorrelationId": guid(0x71), "ResultType": "0",
        "Agent": json.dumps({"agentType": "agenticAppInstance", "parentAppId": CLAIMS_APP}),
    }  # fmt: skip
    call = {
        "Type": "MicrosoftGraphActivityLogs", "TimeGenerated": seen, "RequestId": guid(0x72), "RequestMethod": "POST",
        "RequestUri": f"https://graph.microsoft.com/v1.0/users/{ANN}/sendMail", "ResponseStatusCode": 202,
        "AppId": FRESH, "ServicePrincipalId": FRESH, "UserId": "", "C_Idtyp": "app", "Scopes": "",
        "Roles": "Contacts.ReadWrite Device.Read.All Mail.Send User.Read.All",
    }  # fmt: skip
    (found / "sign-in.json").write_text(json.dumps([sign_in]), encoding="utf-8")
    (found / "call.json").write_text(json.dumps([call]), encoding="utf-8")
    load_paths(found / "s.duckdb", [found / "sign-in.json", found / "call.json"])
    return found


@pytest.mark.nightly
def test_a_plan_made_before_an_unlisted_agent_was_seen_is_stale(folder: Path, grown: Path) -> None:
    rows = verify_plan(grown / "s.duckdb", folder / "plan").rows
    assert ("use", CLAIMS, "not_covered") in {(one["what"], one["id"], one["change"]) for one in rows}


@pytest.mark.nightly
def test_what_an_unlisted_agent_uses_stays_with_its_blueprint(grown: Path) -> None:
    propose_plan(grown / "s.duckdb", PlanOptions(as_of=AS_OF, min_window=90), grown / "plan")
    document = json.loads((grown / "plan" / "plan.json").read_text(encoding="utf-8"))
    (kept,) = [one for one in document["proposals"] if one["replaces"] == [grant(CLAIMS, "Mail.Send")]]
    assert kept["kind"] == "keep"
    assert kept["evidence"]["permissions"][0]["agents"] == [FRESH]


@pytest.mark.nightly
def test_an_unlisted_agent_is_listed_with_what_it_inherits_and_contained_with_its_blueprint(
    grown: Path, tmp_path: Path
) -> None:
    (row,) = [one for one in show_agents(grown / "s.duckdb", AS_OF).rows if one["id"] == FRESH]
    assert (row["blueprint"], row["listed"], row["own"], row["inherited"]) == ("Claims", False, 0, 4)
    assert (row["used"], row["disagreements"], row["unexplained"]) == (1, 0, 0)
    result = contain_principal(grown / "s.duckdb", "Claims", tmp_path / "plan", as_of=AS_OF)
    assert FRESH in result.agents.members
    assert f"/servicePrincipals/{FRESH}" in {one.request["path"] for one in result.options}
