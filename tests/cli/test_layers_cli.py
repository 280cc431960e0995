"""`rightsize reach layers` on the demo: principals that defeat several layers, how, and what remains after the plan."""

from __future__ import annotations

import itertools
import json
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from rightsize.cli.main import run
from rightsize.model.nouns import LAYERS


@pytest.fixture(scope="module")
def demo(demo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(demo_folder, tmp_path_factory.mktemp("layers") / "demo"))


@pytest.fixture
def rows(demo: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return answer(capsys, demo, "reach", "layers")


def answer(capsys: pytest.CaptureFixture[str], demo: Path, *words: str) -> Any:
    capsys.readouterr()
    assert run([*words, "--db", str(demo / "demo.duckdb"), "-o", "json"]) == 0
    return json.loads(capsys.readouterr().out)


def one(rows: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(row for row in rows if row["name"].startswith(name) and row["state"] == "active")


@pytest.mark.slow
def test_an_owner_of_everything_comes_first_and_can_defeat_every_layer(rows: list[dict[str, Any]]) -> None:
    owner = one(rows, "amelia.hartley@")
    assert owner["granted"] == sorted(LAYERS)
    assert owner["violated"] == 6
    assert owner["reach"] == max(row["reach"] for row in rows)
    assert rows == sorted(rows, key=lambda row: -row["reach"])


@pytest.mark.slow
def test_the_plan_ends_what_nobody_used(rows: list[dict[str, Any]]) -> None:
    """The orphan's Owner goes, and the idle bridge loses what a log would have shown."""
    orphan = next(row for row in rows if row["name"] == row["principal_id"] and row["state"] == "active")
    assert (orphan["violated"], orphan["violated_proposed"], orphan["proposed"]) == (1, 0, [])
    assert sum(len(row["proposed"]) for row in rows) < sum(len(row["granted"]) for row in rows)


@pytest.mark.slow
def test_readers_defeat_nothing(rows: list[dict[str, Any]]) -> None:
    assert not [row for row in rows if row["name"].startswith(("grace.", "martin.", "noor."))]


@pytest.mark.nightly
def test_a_row_a_subscription_names_it_and_the_fewest_operations(
    demo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Together they defeat every layer that is named, each is granted, and no smaller number of granted ones does."""
    found = answer(capsys, demo, "reach", "layers", "--by", "subscription")
    portal = next(row for row in found if row["name"].startswith("mei.lin@"))
    assert portal["at"] == "Patient Portal"
    text = f"""
        SELECT DISTINCT g.operation, l.layer FROM granted_operations g
        JOIN operation_layers l ON lower(l.operation) = lower(g.operation)
        WHERE g.principal_id = '{portal["principal_id"]}'"""
    defeats: dict[str, set[str]] = {}
    for row in answer(capsys, demo, "sql", text):
        defeats.setdefault(row["operation"].lower(), set()).add(row["layer"])
    wanted = set(portal["granted"])
    assert {operation.lower() for operation in portal["fewest"]} <= defeats.keys()
    assert set().union(*(defeats[operation.lower()] for operation in portal["fewest"])) == wanted
    distinct = {frozenset(layers & wanted) for layers in defeats.values()}
    fewer = itertools.combinations(distinct, len(portal["fewest"]) - 1)
    assert not any(set().union(*some) == wanted for some in fewer)


@pytest.mark.nightly
def test_one_principal_is_explained_layer_by_layer(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, demo, "reach", "layers", "Lucas Brandt")
    granted = {row["layer"] for row in found if row["basis"] == "granted" and row["at"] == "Connectivity"}
    assert granted == set(LAYERS)
    assert {row["basis"] for row in found} == {"granted", "used", "proposed"}
    assert all(row["operation"] and row["effect"] and row["control"] for row in found)


@pytest.mark.slow
def test_the_terminal_shows_letters_within_80_columns(
    demo: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["reach", "layers", "--db", str(demo / "demo.duckdb")]) == 0
    shown = capsys.readouterr()
    assert max(len(line) for line in shown.out.splitlines()) <= 80
    assert "HCNDIM" in shown.out
    assert "H host integrity" in shown.err


@pytest.mark.slow
def test_the_picture_is_xml_with_a_row_a_principal(demo: Path, tmp_path: Path) -> None:
    target = tmp_path / "layers.svg"
    assert run(["reach", "layers", "--picture", str(target), "--db", str(demo / "demo.duckdb"), "-q"]) == 0
    root = ET.parse(target).getroot()  # noqa: S314  written by ourselves
    assert root.tag.endswith("svg")
    assert "amelia.hartley" in target.read_text(encoding="utf-8")
    assert target.read_text(encoding="utf-8") in (demo / "summary.html").read_text(encoding="utf-8")


@pytest.mark.nightly
def test_an_analysis_without_a_plan_keeps_what_the_last_plan_leaves(
    demo: Path, capsys: pytest.CaptureFixture[str], rows: list[dict[str, Any]]
) -> None:
    assert run(["analyze", "--db", str(demo / "demo.duckdb"), "-q"]) == 0
    assert answer(capsys, demo, "reach", "layers") == rows


@pytest.mark.nightly
def test_a_plan_that_is_split_by_layer_is_measured_and_verified(
    demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it is known what activating asks for, no more have identity control or monitoring standing beside others."""
    folder = tmp_path / "demo"
    folder.mkdir()
    db = shutil.copy(demo / "demo.duckdb", folder)
    assert answer(capsys, folder, "reach", "layers", "--plan", str(demo)) == answer(capsys, folder, "reach", "layers")
    held = answer(capsys, folder, "sql", "SELECT DISTINCT scope, role_definition_id role FROM role_assignments")
    policies = [policy_of(number, row) for number, row in enumerate(held) if row["scope"] != "/"]
    (tmp_path / "policies.json").write_text(json.dumps({"value": policies}), encoding="utf-8")
    assert run(["load", str(tmp_path / "policies.json"), "--db", db, "-q"]) == 0
    hints = [one for one in json.loads((demo / "plan.json").read_text("utf-8"))["advice"] if one["subject"][:2] == "--"]
    assert [one["subject"] for one in hints] == ["--separate-layers"]
    monkeypatch.setenv("COLUMNS", "80")
    plan = tmp_path / "plan"
    assert run(["propose", "--separate-layers", "--out", str(plan), "--db", db]) == 0
    shown = capsys.readouterr()
    assert max(len(line) for line in shown.out.splitlines()) <= 80
    told = json.loads((plan / "plan.json").read_text(encoding="utf-8"))["separation"]
    counts = told["violations"]
    assert counts["granted"]["standing"] >= counts["unsplit"]["standing"] >= counts["split"]["standing"]
    assert counts["unsplit"]["standing_with_guards"] >= counts["split"]["standing_with_guards"]
    assert f"{told['cost']['roles']:+} new roles" in shown.err
    assert f"{told['cost']['roles']:+} new roles" in (plan / "summary.html").read_text(encoding="utf-8")
    assert run(["plan", "comment", str(plan), "--db", db]) == 0
    assert f"{told['cost']['roles']:+} new roles" in capsys.readouterr().out
    after = answer(capsys, folder, "reach", "layers", "--plan", str(plan))
    assert after == answer(capsys, folder, "reach", "layers")
    assert run(["plan", "verify", str(plan), "--db", db, "-q"]) == 0


def policy_of(number: int, row: dict[str, Any]) -> dict[str, Any]:
    """The rules of activating a role at a scope, as Resource Manager lists them."""
    own = f"{row['scope']}/providers/Microsoft.Authorization"
    return {
        "id": f"{own}/RoleManagementPolicyAssignment/{number}",
        "type": "Microsoft.Authorization/RoleManagementPolicyAssignment",
        "properties": {
            "scope": row["scope"],
            "roleDefinitionId": f"/providers/Microsoft.Authorization/roleDefinitions/{row['role']}",
            "policyId": f"{own}/roleManagementPolicies/{UUID(int=number)}",
            "effectiveRules": [{"id": "Expiration_EndUser_Assignment", "maximumDuration": "PT8H"}],
        },
    }


@pytest.mark.nightly
def test_a_store_without_an_analysis_says_what_to_do(
    demo_exports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    db = str(tmp_path / "fresh.duckdb")
    assert run(["load", str(demo_exports / "scopes"), "--db", db, "-q"]) == 0
    assert run(["reach", "layers", "--db", db]) == 6
    assert "rightsize analyze" in capsys.readouterr().err


@pytest.mark.nightly
@pytest.mark.parametrize("question", ["independence-violations", "operations-by-layer"])
def test_the_saved_questions_of_layers_have_answers(
    demo: Path, capsys: pytest.CaptureFixture[str], question: str
) -> None:
    assert answer(capsys, demo, "queries", "run", question)


@pytest.mark.nightly
def test_sql_sees_the_matrix(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "SELECT count(*) AS n FROM layer_matrix WHERE basis = 'granted' AND monitoring AND identity_control"
    assert answer(capsys, demo, "sql", text)[0]["n"] > 10
