"""What answers say after a load: nobody loses a new owner or a new permission because the analysis is of before."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from rightsize.cli.main import run
from rightsize.store.sandbox import OLD_ANSWERS

SCRIBE = "d94c5ded-23c3-41da-a403-9a1754554199"
"""A person of the demo without any access."""
OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
ANALYSED = ("reach", "reach layers", f"reach layers {SCRIBE}", f"reach {SCRIBE}", "check")


@pytest.fixture(scope="module")
def before(demo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with an analysis and a plan, and then a listing that makes the scribe an owner of a subscription."""
    folder = tmp_path_factory.mktemp("old")
    store = Path(shutil.copy(demo_folder / "demo.duckdb", folder / "before.duckdb"))
    listing = demo_folder / "exports" / "access" / "role-assignments-001.json"
    rows = json.loads(listing.read_text(encoding="utf-8"))
    subscription = next(row["scope"] for row in rows if row["scope"].count("/") == 2)
    name = "11111111-2222-4333-8444-555555555555"
    rows.append(
        rows[0]
        | {"scope": subscription, "principalId": SCRIBE, "principalType": "User", "name": name}
        | {"id": f"{subscription}/providers/Microsoft.Authorization/roleAssignments/{name}"}
        | {"roleDefinitionId": f"{subscription}/providers/Microsoft.Authorization/roleDefinitions/{OWNER}"}
    )
    changed = folder / listing.name
    changed.write_text(json.dumps(rows), encoding="utf-8")
    assert run(["load", str(changed), "--db", str(store)]) == 0
    return store


@pytest.fixture(scope="module")
def after(before: Path) -> Path:
    store = Path(shutil.copy(before, before.with_name("after.duckdb")))
    assert run(["analyze", "--db", str(store)]) == 0
    return store


def answer(capsys: pytest.CaptureFixture[str], store: Path, words: str) -> tuple[Any, str]:
    capsys.readouterr()
    assert run([*words.split(), "--db", str(store), "-o", "json"]) == 0
    said = capsys.readouterr()
    return json.loads(said.out), said.err


@pytest.mark.slow
@pytest.mark.parametrize("words", ANALYSED)
def test_an_answer_is_of_what_is_loaded(
    before: Path, after: Path, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told, said = answer(capsys, before, words)
    assert "run `rightsize analyze`" in said
    assert told == answer(capsys, after, words)[0]


@pytest.mark.slow
def test_a_new_owner_is_in_the_answer(before: Path, capsys: pytest.CaptureFixture[str]) -> None:
    defeats, _ = answer(capsys, before, f"reach layers {SCRIBE}")
    assert {row["basis"] for row in defeats} == {"granted"}
    rows, _ = answer(capsys, before, "reach")
    assert next(row for row in rows if row["subject"] == SCRIBE)["own_cells"] > 0


@pytest.mark.slow
def test_a_plan_of_other_content_says_nothing_of_a_new_owner(after: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The plan before did not know this person: that it would leave nothing is not known."""
    rows, _ = answer(capsys, after, "reach")
    assert {row["cells_proposed"] for row in rows} == {row["identities_proposed"] for row in rows} == {None}
    layers, _ = answer(capsys, after, "reach layers")
    assert {row["violated_proposed"] for row in layers} == {None}
    capsys.readouterr()
    assert run(["reach", "--db", str(after)]) == 0
    assert "no plan of the present content" in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_a_gate_fails_before_any_analysis(
    demo_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An application that can take the tenant passed a gate where its access was loaded and not yet analysed."""
    store = tmp_path / "loaded.duckdb"
    assert run(["load", str(demo_folder / "exports"), "--db", str(store)]) == 0
    words = ["check", "graph-takes-tenant", "graph-takes-others", "--db", str(store), "-o", "json"]
    capsys.readouterr()
    run(words)
    fresh = json.loads(capsys.readouterr().out)
    assert run(["analyze", "--db", str(store)]) == 0
    capsys.readouterr()
    run(words)
    assert fresh == json.loads(capsys.readouterr().out)
    assert "terraform-landing-zones" in json.dumps(fresh)


@pytest.mark.slow
@pytest.mark.parametrize("words", ["sql FROM/**/verdicts", "queries run most-over-granted"])
def test_sql_on_an_old_analysis_says_so(
    before: Path, after: Path, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert OLD_ANSWERS in " ".join(answer(capsys, before, words)[1].split())
    assert OLD_ANSWERS not in " ".join(answer(capsys, after, words)[1].split())


@pytest.mark.slow
def test_sql_on_what_was_loaded_says_nothing(before: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "analysis" not in answer(capsys, before, "queries run broad-assignments")[1]


@pytest.mark.slow
def test_steps_of_a_plan_of_other_content_are_called_so(
    before: Path, demo_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps, said = answer(capsys, before, f"next {demo_folder}")
    assert steps["stale"]
    assert "has changed since the plan was made" in said
    kept, said = answer(capsys, demo_folder / "demo.duckdb", f"next {demo_folder}")
    assert not kept["stale"]
    assert "has changed" not in said


@pytest.mark.slow
def test_an_answer_says_where_its_analysis_had_options_of_its_own(
    demo_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A gate by a day that somebody once asked about is no gate of today."""
    store = Path(shutil.copy(demo_folder / "demo.duckdb", tmp_path / "chosen.duckdb"))
    assert "analysis with" not in answer(capsys, store, "check")[1]
    assert run(["analyze", "--as-of", "2026-04-01", "--min-days", "20", "--db", str(store)]) == 0
    for words in ("check", "reach", "reach layers"):
        assert "an analysis with `--as-of 2026-04-01 --min-days 20`" in answer(capsys, store, words)[1]
