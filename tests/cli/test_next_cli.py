"""`rightsize next`: what first, for people and programs, and the commands that follow its order."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from rightsize.cli.main import run
from rightsize.model.nouns import PermissionBlock
from rightsize.propose.verify.review import plan_of
from rightsize.render.folder import write_folder
from rightsize.render.plan import plan_files
from rightsize.store.connection import open_store
from rightsize.workflow.plan.review import proposals_of_wave
from rightsize.workflow.plan_folder import read_plan_folder
from rightsize.workflow.suite.judge import check_plan
from tests.propose.small_tenant import READER, SUB, SmallTenant, guid
from tests.rollout.demo_rollout import emergency_words

OLD = Path(__file__).parents[1] / "propose" / "verify" / "plan_version_1"
Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Ask:
    """Runs a command, and returns its exit code, stdout and stderr."""

    def asked(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run([str(word) for word in words])
        return code, *capsys.readouterr()

    return asked


@pytest.fixture(scope="module")
def store(demo_folder: Path) -> Path:
    """The store of the demo."""
    return demo_folder / "demo.duckdb"


@pytest.fixture
def document(ask: Ask, demo_folder: Path, store: Path) -> dict[str, Any]:
    """The answer for programs."""
    found: dict[str, Any] = json.loads(ask("next", demo_folder, "--db", store, "-o", "json")[1])
    return found


def ids_of(document: dict[str, Any]) -> list[str]:
    """The proposals of the steps that change something, in their order."""
    steps = (step for step in document["steps"] if step["kind"] != "keep")
    return [id_ for step in steps for id_ in (step["proposal"], *step["also"])]


@pytest.mark.nightly
def test_programs_get_every_change_once_in_the_order_that_sql_has(
    ask: Ask, document: dict[str, Any], demo_folder: Path, store: Path
) -> None:
    plan = json.loads((demo_folder / "plan.json").read_bytes())
    steps = document["steps"]
    changed = {one["id"] for one in plan["proposals"] if one["kind"] != "keep"}
    assert set(ids_of(document)) == changed
    assert {step["wave"] for step in steps if step["kind"] == "keep"} == {0}
    assert [step["rank"] for step in steps] == list(range(1, len(steps) + 1))
    live = plan["excess"]["live"]
    assert document["removable"]["azure_roles"] == pytest.approx(live["before"] - live["after"])
    for plane in document["removable"]:
        of_plane = [step for step in steps if step["plane"] == plane]
        assert sum(step["share"] for step in of_plane) == pytest.approx(1.0, abs=1e-4)
        assert [step["running_share"] for step in of_plane] == sorted(step["running_share"] for step in of_plane)
        assert of_plane[-1]["running_share"] == 1.0
    assert {step["kind"] for step in steps if step["wave"] == 1} == {"remove_orphan", "remove_duplicate"}
    assert {step["kind"] for step in steps if step["wave"] == 2} == {"remove"}
    roles = {one["name"] for one in plan["roles"]}
    assert {role for step in steps for role in step["new_roles"]} == roles
    assert sum(step["roles_to_create"] for step in steps) == len(roles)
    with open_store(store, read_only=True) as opened:
        stored = opened.table("next_steps").sort("rank").to_dicts()
        members = dict(opened.frame("SELECT group_id, count(*) AS n FROM group_closure GROUP BY group_id").iter_rows())
    assert [(row["rank"], row["proposal_id"], row["share"], row["people"]) for row in stored] == [
        (step["rank"], step["proposal"], step["share"], step["people"]) for step in steps
    ]
    groups = [step for step in steps if step["principal_id"] in members]
    assert groups and max(step["people"] + step["workloads"] for step in groups) > 1
    assert all(step["people"] + step["workloads"] <= members[step["principal_id"]] for step in groups)
    code, out, _ = ask("next", demo_folder, "--db", store, "-o", "csv", "--wave", 1)
    assert (code, len(out.splitlines()) - 1) == (0, sum(step["wave"] == 1 for step in steps))


@pytest.mark.nightly
def test_the_command_that_looks_closer_runs_as_it_is_printed(ask: Ask, document: dict[str, Any]) -> None:
    for wave in (1, 3):
        step = next(one for one in document["steps"] if one["wave"] == wave)
        words = shlex.split(step["command"])
        assert words[0] == "rightsize"
        code, out, _ = ask(*words[1:])
        assert code == 0 and step["principal_id"] in out


@pytest.mark.nightly
@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits_the_terminal_and_says_what_it_cuts(
    ask: Ask, demo_folder: Path, store: Path, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a command may be longer, since it is copied."""
    monkeypatch.setenv("COLUMNS", str(width))
    code, out, err = ask("next", demo_folder, "--db", store)
    lines = out.splitlines()
    assert code == 0 and err.startswith("next step: rightsize review ")
    assert max(cell_len(line) for line in lines if " rightsize explain " not in line) <= width
    shown = [int(found[1]) for line in lines if (found := re.match(r" *(\d+)  \S", line))]
    (cut,) = [int(found[1]) for line in lines if (found := re.search(r"and (\d+) more steps: --all", line))]
    every = ask("next", demo_folder, "--db", store, "--all")[1]
    assert "--all" not in every and len(lines) + err.count("\n") <= 30
    # Those that stay for emergency access have one line.
    assert len(re.findall(r"(?m)^ *\d+  +(?:[\d.]+%)? +\S", every)) == len(shown) + cut + every.count(
        "stays, emergency"
    )
    assert shown == list(range(1, len(shown) + 1))


@pytest.mark.slow
def test_today_is_what_gives_the_tenant_away_with_its_way_back(document: dict[str, Any], demo_folder: Path) -> None:
    """Global Administrator, pull requests of the deployer and User Access Administrator at the root are among it."""
    today = [step for step in document["steps"] if step["wave"] == 0]
    assert document["steps"][: len(today)] == today
    found = {(step["role"], step["scope"]): step for step in today if not step["does"].startswith("stays")}
    assert {"Global Administrator", "RoleManagement.ReadWrite.Directory", "User Access Administrator"} <= {
        role for role, _ in found
    }
    credential = next(step for step in today if step["plane"] == "trust" and "pull requests of" in step["role"])
    script = credential["undo"].split()[0]
    assert (demo_folder / script).is_file() and "adds a credential to any application" in credential["gives_away"]
    root = found["User Access Administrator", "/"]
    assert (root["kind"], root["undo"]) == ("keep", "") and "or whether eligible is enough" in root["does"]
    assert all(bool(step["undo"]) == (step["kind"] != "keep") and step["gives_away"] for step in today[:10])
    emergency = [step for step in document["steps"] if step["does"].startswith("stays, emergency access")]
    assert emergency == today[-len(emergency) :] and {step["kind"] for step in emergency} == {"keep"}


@pytest.mark.slow
def test_propose_ends_with_it_and_the_comment_begins_with_it(demo_folder: Path, document: dict[str, Any]) -> None:
    comment = (demo_folder / "comment.md").read_text(encoding="utf-8").splitlines()
    assert comment[2].startswith("What to do first")
    assert [line[:8] for line in comment[4:9]] == ["- Today,", *(f"- Wave {wave}" for wave in (1, 2, 3, 4))]
    rows = [found[1] for line in comment if (found := re.match(r"\| <code>([0-9a-z-]+)</code> ", line))]
    expected = ids_of(document)
    assert all(full.startswith(short) for short, full in zip(rows, expected, strict=False)) and len(rows) > 5
    page = (demo_folder / "report.html").read_text(encoding="utf-8")
    sections = re.findall('<section[^>]*aria-label="([^"]*)"', page)
    assert sections[:2] == ["What the plan changes, what stays, and what is unknown", "What to do on Monday"]


@pytest.mark.nightly
def test_a_rollout_of_a_wave_takes_its_changes_of_azure_roles_alone(
    ask: Ask, document: dict[str, Any], demo_folder: Path, store: Path, tmp_path: Path
) -> None:
    for wave in (1, 3):
        words = ("rollout", "plan", demo_folder, *emergency_words(demo_folder), "--db", store, "--wave", wave)
        code, _, err = ask(*words, "--out", tmp_path / f"wave-{wave}", "-o", "json")
        assert code == 0, err
        bundle = json.loads((tmp_path / f"wave-{wave}" / "rollout.json").read_bytes())
        wanted = {
            id_
            for step in document["steps"]
            if step["wave"] == wave and step["plane"] == "azure_roles"
            for id_ in (step["proposal"], *step["also"])
        }
        assert set(bundle["order"]["only"]) == wanted
        taken = {id_ for swap in bundle["swaps"] for id_ in swap["proposals"]}
        assert taken and taken <= wanted
    other = next(step["proposal"] for step in document["steps"] if step["wave"] == 4)
    code, _, err = ask(*words, "--out", tmp_path / "x", "--proposal", other)
    assert code == 2 and "is not a change of an Azure role in wave 3" in err


@pytest.mark.nightly
def test_a_wave_takes_what_is_accepted_of_it(
    ask: Ask, document: dict[str, Any], demo_folder: Path, store: Path, tmp_path: Path
) -> None:
    decisions = tmp_path / "review.jsonl"
    accepted = next(step["proposal"] for step in document["steps"] if step["wave"] == 1)
    of_review = ("--review", decisions, "--db", store)
    assert ask("review", "accept", accepted, "--by", "Mei", "--plan", demo_folder, *of_review)[0] == 0
    words = ("rollout", "plan", demo_folder, *emergency_words(demo_folder), *of_review)
    assert ask(*words, "--wave", 1, "--out", tmp_path / "one")[0] == 0
    assert json.loads((tmp_path / "one" / "rollout.json").read_bytes())["order"]["only"] == [accepted]
    code, _, err = ask(*words, "--wave", 2, "--out", tmp_path / "two")
    assert code == 6 and "no proposal of wave 2 is accepted" in err


@pytest.mark.slow
@pytest.mark.many(3)
@pytest.mark.parametrize("waves", [(0,), (1,), (2,), (3,), (4,), (3, 4), (0, 1, 2, 3)])
def test_no_wave_needs_an_earlier_one(demo_folder: Path, store: Path, waves: tuple[int, ...]) -> None:
    """The real needs of the tenant stay allowed, whichever waves are rolled out."""
    plan = plan_of(read_plan_folder(demo_folder))
    needs = json.loads((demo_folder / "truth.json").read_bytes())["needs"]
    chosen = {id_ for wave in waves for id_ in proposals_of_wave(store, plan, wave)}
    part = replace(plan, proposals=tuple(one for one in plan.proposals if one.id in chosen))
    assert chosen and not check_plan(store, part, needs).denied


@pytest.mark.slow
def test_a_plan_of_the_first_format_and_one_without_changes_are_answered(ask: Ask, tmp_path: Path) -> None:
    none = tmp_path / "none.duckdb"
    code, out, _ = ask("next", OLD, "--db", none, "-o", "json")
    assert code == 0 and json.loads(out)["steps"]
    tenant = SmallTenant()
    tenant.assign(101, tenant.principal(1), READER, SUB)
    write_folder(plan_files(tenant.plan()), tmp_path / "plan")
    code, out, err = ask("next", tmp_path / "plan", "--db", none)
    assert (code, out) == (0, "")
    assert err == f"the plan changes nothing\nnext step: rightsize status logs --db {none}\n"
    assert json.loads(ask("next", tmp_path / "plan", "--db", none, "-o", "json")[1])["steps"] == []


@pytest.mark.nightly
def test_what_is_not_worth_a_role_stands_below_with_its_price(ask: Ask, tmp_path: Path) -> None:
    """Of 51 equal operations one is unused; with eleven unused, there is a role. The two do different jobs."""
    tenant = SmallTenant()
    for number, service, unused in ((1, "Apps", 1), (2, "Bases", 11)):
        steps = [f"Contoso.{service}/items/step{step}/write" for step in range(51)]
        tenant.operations |= dict.fromkeys(steps, False)
        tenant.roles[guid(70 + number)] = (service, [PermissionBlock(actions=tuple(steps))])
        tenant.custom_roles.add(guid(70 + number))
        tenant.assign(100 + number, tenant.principal(number), guid(70 + number), SUB)
        for operation in steps[unused:]:
            tenant.use(guid(number), operation, SUB)
    write_folder(plan_files(tenant.plan(reads="none", unobservable="drop")), tmp_path / "plan")
    words = ("next", tmp_path / "plan", "--db", tmp_path / "none.duckdb")
    assert "Not worth a role: 1 assignment with " in ask(*words)[1]
    code, out, _ = ask(*words, "--all")
    below = out.partition("Not worth a role: 1 assignment with ")[2]
    assert code == 0 and re.search("a new role would save [0-9.]+% of", " ".join(below.split()))
    (left,) = json.loads(ask(*words, "-o", "json")[1])["not_worth_a_role"]
    assert left["principal_id"] == guid(1) and left["excess"] > 0
    assert "Not worth a role" in ask("plan", "comment", tmp_path / "plan", "--db", tmp_path / "none.duckdb")[1]
    assert "Not worth a role" not in ask(*words, "--wave", 3)[1]


@pytest.mark.nightly
def test_review_lists_open_proposals_in_its_order(
    ask: Ask, document: dict[str, Any], demo_folder: Path, store: Path
) -> None:
    code, out, _ = ask("review", "list", demo_folder, "--db", store, "-o", "json")
    expected = ids_of(document)
    assert code == 0 and [row["proposal"] for row in json.loads(out)] == expected


@pytest.mark.nightly
def test_names_that_attackers_chose_are_harmless(ask: Ask, hostile_planned: Path) -> None:
    code, out, _ = ask("next", hostile_planned / "plan", "--db", hostile_planned / "store.duckdb", "--all")
    assert code == 0 and "rightsize explain" in out
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069]", out)


@pytest.mark.slow
def test_a_plan_without_a_store_is_ranked_by_what_is_in_it(ask: Ask, demo_folder: Path, tmp_path: Path) -> None:
    """Names and members are not known then; a plan that does not exist is an error."""
    code, out, _ = ask("next", demo_folder, "--db", tmp_path / "none.duckdb", "-o", "json")
    assert code == 0 and json.loads(out)["steps"]
    code, _, err = ask("next", tmp_path / "none", "--db", tmp_path / "none.duckdb")
    assert code == 5 and "none" in err
