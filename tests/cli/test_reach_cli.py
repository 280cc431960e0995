"""`rightsize reach` on the demo: what each subject gives an attacker, by which steps, and after the plan."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from rightsize.cli.main import run


@pytest.fixture(scope="module")
def demo(demo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(demo_folder, tmp_path_factory.mktemp("reach") / "demo"))


def answer(capsys: pytest.CaptureFixture[str], demo: Path, *words: str) -> Any:
    capsys.readouterr()
    assert run([*words, "--db", str(demo / "demo.duckdb"), "-o", "json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.nightly
def test_whoever_takes_the_tenant_comes_first(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By assigning roles at the root, or as Global Administrator."""
    rows = answer(capsys, demo, "reach")
    takers = [row["name"].split("@")[0] for row in rows if row["takes_tenant"] and row["state"] == "active"]
    assert {"amelia.hartley", "ingrid.solheim", "emergency01", "emergency02"} <= set(takers)
    assert [row["takes_tenant"] for row in rows] == sorted((row["takes_tenant"] for row in rows), reverse=True)
    assert {row["kind"] for row in rows} == {"principal", "resource", "outsider"}
    steps = [row["tenant_steps"] for row in rows if row["takes_tenant"]]
    assert steps == sorted(steps)
    assert {row["tenant_steps"] for row in rows if not row["takes_tenant"]} == {None}
    direct = next(row for row in rows if row["name"].startswith("emergency01"))
    bridge = next(row for row in rows if row["name"].startswith("hl7-bridge"))
    assert (direct["tenant_steps"], bridge["tenant_steps"]) == (1, 3)


@pytest.mark.slow
def test_the_plan_leaves_less(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An idle bridge that may add credentials to every application falls alone once that is taken from it."""
    rows = answer(capsys, demo, "reach")
    bridge = next(row for row in rows if row["name"].startswith("hl7-bridge"))
    assert (bridge["subscriptions"], bridge["takes_tenant"]) == (6, True)
    assert bridge["cells_proposed"] < bridge["cells"]
    assert bridge["identities_proposed"] < bridge["identities"]
    assert sum(row["cells_proposed"] for row in rows) < sum(row["cells"] for row in rows)


@pytest.mark.slow
def test_the_ways_of_a_machine_go_through_its_identity(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, demo, "reach", "vm-records-01")
    assert (found["kind"], found["own_cells"]) == ("resource", 0)
    vault = next(way for way in found["ways"] if way["name"] == "kv-records (vaults)")
    assert [step["to"] for step in vault["steps"]] == ["vm-records-01", "kv-records (vaults)"]
    assert vault["certain"] is True


@pytest.mark.nightly
def test_what_can_be_activated_adds_to_the_reach(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    standing = answer(capsys, demo, "reach", "Priya Raman")
    awake = answer(capsys, demo, "reach", "Priya Raman", "--eligible")
    assert awake["identities"] > standing["identities"]


@pytest.mark.slow
def test_explain_shows_what_falls_with_a_principal(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, demo, "explain", "Mei Lin")["reach"]
    assert found["identities"] == 4
    assert {way["name"] for way in found["ways"] if way["kind"] == "identity"} >= {"portal-api", "aks-portal"}


@pytest.mark.nightly
def test_the_pages_fit_80_columns(
    demo: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for words in (["reach"], ["reach", "aa-avh"], ["explain", "Mei Lin"]):
        capsys.readouterr()
        assert run([*words, "--db", str(demo / "demo.duckdb")]) == 0
        text = capsys.readouterr().out
        assert max(len(line) for line in text.splitlines()) <= 80
    assert "what an attacker gains" in text


@pytest.mark.slow
def test_a_name_that_nothing_bears_is_refused(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["reach", "nobody at all", "--db", str(demo / "demo.duckdb")]) == 5


@pytest.mark.nightly
def test_a_store_without_an_analysis_says_what_to_do(
    demo_exports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    db = str(tmp_path / "fresh.duckdb")
    assert run(["load", str(demo_exports / "scopes"), "--db", db, "-q"]) == 0
    assert run(["reach", "--db", db]) == 6
    assert "rightsize analyze" in capsys.readouterr().err


@pytest.mark.nightly
@pytest.mark.parametrize("question", ["escalations-by-target", "machines-by-reach"])
def test_the_saved_questions_of_reach_have_answers(
    demo: Path, capsys: pytest.CaptureFixture[str], question: str
) -> None:
    assert answer(capsys, demo, "queries", "run", question)


@pytest.mark.slow
def test_the_plan_of_the_directory_counts_too(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A Global Administrator who becomes User Administrator takes the tenant by more steps, through groups."""
    text = (
        "SELECT r.basis, r.takes_tenant AS takes, r.tenant_steps AS steps FROM reach r "
        "JOIN principals p ON p.principal_id = r.subject "
        "WHERE p.display_name = 'Ingrid Solheim' AND r.state = 'active'"
    )
    assert {row["basis"]: (row["takes"], row["steps"]) for row in answer(capsys, demo, "sql", text)} == {
        "granted": (True, 1),
        "used": (False, None),
        "proposed": (True, 3),
    }


@pytest.mark.slow
def test_no_subject_stands_twice_in_one_state(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = answer(capsys, demo, "reach")
    keys = [(row["subject"], row["kind"], row["state"]) for row in rows]
    assert len(keys) == len(set(keys))


@pytest.mark.slow
@pytest.mark.many(3)
@pytest.mark.parametrize(
    ("subject", "words", "steps"),
    [
        ("repo:aldervalley/patient-portal:ref:refs/heads/main", [], ["github-portal-deploy"]),
        ("Chloé Martin", [], ["github-portal-deploy"]),
        ("Martin Dubois", [], ["users of Cardiology", "beatrice.moreau"]),
        ("aks-portal", [], ["system:serviceaccount:records:archiver", "id-records-archiver"]),
        ("grafana-monitoring", [], ["tomas.ferreira@aldervalley.example, in Azure"]),
        ("Sara Lindqvist", ["--eligible"], ["any role at Sandbox"]),
    ],
)
def test_each_way_through_the_directory_is_in_the_demo(
    demo: Path, capsys: pytest.CaptureFixture[str], subject: str, words: list[str], steps: list[str]
) -> None:
    """Trust in a branch, an owner, a role over a unit, a pod, consent, and a group that can be activated."""
    found = answer(capsys, demo, "reach", subject, *words)
    told = [[step["to"] for step in way["steps"]] for way in found["ways"]]
    assert any(all(any(end in step for step in way) for end in steps) for way in told), told[:5]


@pytest.mark.nightly
def test_a_picture_shows_before_and_after_the_plan(
    demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An idle bridge takes the tenant today and nothing under the plan, since no log shows a token of it."""
    words = ["reach", "hl7-bridge-legacy", "--plan", str(demo)]
    found = answer(capsys, demo, *words, "--picture", str(tmp_path / "a.svg"))
    assert (found["takes_tenant"], found["after"]["takes_tenant"]) == (True, False)
    rows = [row["cells"]["monitoring"] for row in found["grid"]]
    assert (sum(row["granted"] for row in rows), sum(row["proposed"] for row in rows)) == (6, 0)
    assert found["after"]["cells"] < found["cells"]
    drawn = ET.fromstring((tmp_path / "a.svg").read_bytes())  # noqa: S314  written by ourselves
    assert "takes the whole tenant, not under the plan" in "".join(drawn.itertext())
    again = answer(capsys, demo, *words, "--picture", str(tmp_path / "b.svg"))
    assert again == found and (tmp_path / "b.svg").read_bytes() == (tmp_path / "a.svg").read_bytes()


@pytest.mark.slow
def test_everybody_has_a_picture_too(demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = answer(capsys, demo, "reach", "--picture", str(tmp_path / "all.svg"))[0]["name"].split("@")[0]
    assert first in "".join(ET.fromstring((tmp_path / "all.svg").read_bytes()).itertext())  # noqa: S314


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [["Mei Lin", "--picture", "x.png"], ["--plan", "."], ["--picture", "x.html"]], ids=["png", "plan", "page"]
)
def test_what_cannot_be_drawn_is_a_usage_error(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["reach", *words, "--db", str(demo / "demo.duckdb")]) == 2
    assert list(tmp_path.iterdir()) == []
