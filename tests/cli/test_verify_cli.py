"""`rightsize plan verify`: exit codes, and the faults for people and for programs."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rightsize.cli.main import run
from rightsize.model.nouns import Witness
from rightsize.render.folder import write_folder
from rightsize.render.plan import plan_files
from tests.planes.vaults.vault_world import GET, World
from tests.propose.small_tenant import CONTRIBUTOR, READER, SUB, VM, SmallTenant, guid
from tests.tenants.fake_store import FakeStore

START = "Microsoft.Compute/virtualMachines/start/action"
WRITE = "Microsoft.Compute/virtualMachines/write"


def _tenant() -> SmallTenant:
    tenant = SmallTenant()
    user = tenant.principal(1, display_name="\x1b[31mMei")
    tenant.assign(101, user, CONTRIBUTOR, SUB)
    tenant.assign(102, tenant.principal(2), READER, SUB)
    tenant.use(user, START, VM)
    return tenant


@pytest.fixture
def today(monkeypatch: pytest.MonkeyPatch) -> SmallTenant:
    """The tenant of today; a test changes it before it verifies."""
    tenant = _tenant()
    monkeypatch.setattr("rightsize.workflow.plan.verify.open_store", lambda *_, **__: FakeStore(tenant.inputs()))
    return tenant


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_folder(plan_files(_tenant().plan()), tmp_path / "plan")
    return tmp_path / "plan"


def _answer(folder: Path, capsys: pytest.CaptureFixture[str], code: int) -> tuple[dict[str, Any], str]:
    assert run(["plan", "verify", str(folder), "-o", "json"]) == code
    written, told = capsys.readouterr()
    return json.loads(written), told


def test_a_plan_that_stands_ends_in_zero(today: SmallTenant, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer, told = _answer(folder, capsys, 0)
    assert (answer["verified"], answer["stale"], answer["changes"]) == (True, False, [])
    assert [proof["role_assignment_id"] for proof in answer["proofs"]] == [guid(101)]
    assert answer["proofs"][0]["proof"] == {"used_subset": True, "granted_superset": True, "witness": None}
    assert "verified: 1 changes proved, 1 calls of 2025-02-25 to 2026-03-31 allowed" in told


@pytest.mark.nightly
def test_plan_json_may_be_named_itself(today: SmallTenant, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer, _ = _answer(folder / "plan.json", capsys, 0)
    assert answer["verified"]


@pytest.mark.slow
def test_a_stale_plan_ends_in_six_and_names_everything(
    today: SmallTenant, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    today.use(guid(1), WRITE, VM)
    today.rows["role_assignments"].pop()
    answer, told = _answer(folder, capsys, 6)
    assert answer["stale"]
    assert [(one["what"], one["id"], one["change"]) for one in answer["changes"]] == [
        ("role_assignment", guid(102), "gone"),
        ("use", guid(1), "not_covered"),
    ]
    assert answer["changes"][1]["operation"] == WRITE.lower()
    assert answer["changes"][1]["role_assignment_ids"] == [guid(101)]
    assert "the plan is stale: 1 assignment, 1 used operation that it does not cover" in told
    assert "rightsize propose" in told


@pytest.mark.slow
def test_a_vault_that_is_not_loaded_any_more_makes_a_plan_stale(
    today: SmallTenant, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part = World().holds("reader", secrets=["get"]).uses("reader", GET).part()
    write_folder(plan_files(replace(_tenant().plan(), parts=(part,))), tmp_path / "plan")
    answer, told = _answer(tmp_path / "plan", capsys, 6)
    assert [(one["what"], one["change"]) for one in answer["changes"]] == [("grant", "gone"), ("vault", "gone")]
    assert "the plan is stale: 1 assignment of another plane, 1 key vault" in told


@pytest.mark.nightly
def test_people_see_a_short_list(today: SmallTenant, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Hostile names do not reach the terminal, and what is cut is counted."""
    for number in range(210):
        today.use(guid(1), WRITE, VM.replace("vm1", f"vm{number}"))
    assert run(["plan", "verify", str(folder)]) == 6
    shown, told = capsys.readouterr()
    assert shown.count("use not covered: ") == 200
    assert "and 10 more rows: --all shows all 210" in shown
    assert "210 used operations that it does not cover" in told
    assert "\x1b" not in shown + told
    assert f"  {WRITE.lower()} (control) at {VM.lower().replace('vm1', 'vm0')}\n" in shown
    assert f"  allowed by assignments that the plan removes: {guid(101)}\n" in shown


@pytest.mark.slow
def test_a_plan_that_grants_more_ends_in_three(
    today: SmallTenant, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing changed but the plan, and the witness says what it would give."""
    document = json.loads((folder / "plan.json").read_bytes())
    (changed,) = [one for one in document["proposals"] if one["kind"] == "custom"]
    changed["assignments"][0]["scope"] = "/"
    (folder / "plan.json").write_text(json.dumps(document), encoding="utf-8")
    answer, told = _answer(folder, capsys, 3)
    assert (answer["verified"], answer["stale"]) == (False, False)
    assert "nothing is granted today at /" in told


@pytest.mark.slow
@pytest.mark.many(3)
@pytest.mark.parametrize("damage", ["missing", "altered", "linked", "another reason", "no plan", "no folder"])
def test_what_cannot_be_read_ends_in_five(
    today: SmallTenant, folder: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    """A link is no role file, wherever it leads."""
    role = min(folder.glob("roles/*.json"))
    text = role.read_text(encoding="utf-8")
    if damage == "missing":
        role.unlink()
    elif damage == "altered":
        role.write_text(text.replace("start/action", "delete"), encoding="utf-8")
    elif damage == "linked":
        (folder / "elsewhere.json").write_text(text, encoding="utf-8")
        role.unlink()
        role.symlink_to(folder / "elsewhere.json")
    elif damage == "another reason":
        file = folder / "plan.json"
        said = file.read_text(encoding="utf-8")
        file.write_text(said.replace('"reason":"keeps', '"reason":"loses'), encoding="utf-8")
    elif damage == "no plan":
        (folder / "plan.json").write_text("{}", encoding="utf-8")
    else:
        folder = folder / "nowhere"
    assert run(["plan", "verify", str(folder), "-o", "json"]) == 5
    shown, told = capsys.readouterr()
    assert shown == ""
    assert told.startswith("error: ")


@pytest.mark.slow
def test_csv_has_one_row_for_each_thing_that_is_wrong(
    today: SmallTenant, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    today.rows["role_assignments"].pop()
    assert run(["plan", "verify", str(folder), "-o", "csv"]) == 6
    head, *rows = capsys.readouterr().out.splitlines()
    assert head == "what,id,name,change,operation,plane,scope,role_assignment_ids,detail"
    assert len(rows) == 1


@pytest.mark.slow
def test_a_solver_agrees_with_the_proofs(today: SmallTenant, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "verify", str(folder), "--prover", "smt", "-o", "json"]) == 0
    written, told = capsys.readouterr()
    certificate = json.loads(written)["certificate"]
    assert certificate["agreed"] == certificate["claims"] > 1
    assert (certificate["disagreements"], certificate["undecided"]) == ([], [])
    assert f"agrees on {certificate['claims']} of {certificate['claims']} claims" in told


@pytest.mark.nightly
def test_a_solver_that_disagrees_is_an_error_with_both_answers(
    today: SmallTenant, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here our own algebra is made to find a witness that is none."""
    wrong = Witness(WRITE, "control")
    monkeypatch.setattr("rightsize.propose.proof.contains", lambda *_: wrong)
    assert run(["plan", "verify", str(folder), "--prover", "smt"]) == 3
    told = capsys.readouterr().err
    assert "disagrees on 2 of 4 claims" in told
    assert f"rightsize says that it does not hold for `{WRITE} (control)`, Z3" in told
    assert "that it holds" in told


@pytest.mark.slow
def test_a_prover_that_is_not_installed_is_named(
    today: SmallTenant, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "z3", None)
    assert run(["plan", "verify", str(folder), "--prover", "smt"]) == 2
    assert "pip install 'rightsize-azure[prover]'" in capsys.readouterr().err
