"""The chain of hashes beside a plan and its signature: every later change is found."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rightsize.analyze.plan_evidence import write_table
from rightsize.cli.main import run

pytestmark = pytest.mark.slow

Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def plan(demo_folder: Path, tmp_path: Path) -> Path:
    """A copy of the demo's plan folder, without its exports."""
    ignored = shutil.ignore_patterns("exports", "demo.duckdb", "report.html")
    return Path(shutil.copytree(demo_folder, tmp_path / "plan", ignore=ignored))


@pytest.fixture
def ask(demo_folder: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    def asked(*words: str | Path) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run([*map(str, words), "--db", str(demo_folder / "demo.duckdb")])
        out, err = capsys.readouterr()
        return code, out, err

    return asked


def _chain(plan: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((plan / "chain.json").read_bytes())
    return document


def _link(document: dict[str, Any]) -> dict[str, Any]:
    """Make the links of a chain anew, as somebody would who forges one."""
    last = ""
    for one in document["links"]:
        last = one["link"] = hashlib.sha256(f"{last}\n{one['of']}\n{one['sha256']}\n".encode()).hexdigest()
    return document


@pytest.mark.nightly
def test_a_chain_stands_beside_the_plan_and_verify_reads_it(ask: Ask, plan: Path) -> None:
    """It names every file of the folder and every load; the plan itself names no file."""
    document = _chain(plan)
    assert [one["of"] for one in document["links"]] == ["inputs", "store", "catalogue", "plan", "files"]
    assert _link(_chain(plan)) == document
    assert set(document["files"]) == set(json.loads((plan / "manifest.json").read_bytes())) - {
        "plan.json",
        "chain.json",
    }
    code, out, err = ask("plan", "verify", plan, "-o", "json")
    assert code == 0
    assert json.loads(out)["chain"] == {
        "head": document["links"][-1]["link"],
        "inputs": len(document["inputs"]),
        "inputs_missing": 0,
        "store_is_the_same": True,
    }
    assert "the store has not changed" in err


@pytest.mark.nightly
def test_without_a_chain_a_plan_is_still_verified(ask: Ask, plan: Path) -> None:
    """As a plan that another program wrote; of a folder of `propose` the manifest says that the chain is missing."""
    (plan / "chain.json").unlink()
    code, _, err = ask("plan", "verify", plan)
    assert (code, "lacks its `chain.json`" in err) == (5, True)
    (plan / "manifest.json").unlink()
    code, _, err = ask("plan", "verify", plan)
    assert code == 0
    assert "there is no chain of hashes" in err


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.mark.many(4)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda plan: _edit(plan / "plan.json", '"advice"', '"advice" '),
            "not what the chain of the plan says: `plan.json`",
        ),
        (lambda plan: _edit(plan / "summary.html", "<", " <"), "`summary.html`, 1 in all"),
        (
            lambda plan: next((plan / "evidence").glob("*.md")).unlink(),
            "not what the chain of the plan says: `evidence/",
        ),
        (lambda plan: _edit(plan / "chain.json", '"of": "store"', '"of": "shop"'), "broken at `store`"),
        (lambda plan: _edit(plan / "chain.json", '"sha256": "', '"sha256": "0'), "broken at `inputs`"),
        (lambda plan: (plan / "chain.json").write_text("{}"), "not a chain of this version"),
        (lambda plan: (plan / "chain.json").write_text('{"format_version": 1}'), "is incomplete"),
    ],
)
def test_what_was_changed_afterwards_is_found(ask: Ask, plan: Path, change: Callable[[Path], Any], said: str) -> None:
    """Whichever file it is, before anything is believed: exit code 5."""
    change(plan)
    code, _, err = ask("plan", "verify", plan)
    assert code == 5
    assert said in err


OPERATIONS = "evidence/operations.parquet"


@pytest.mark.many(4)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda file: file.unlink(), f"evidence files of the plan are missing: `{OPERATIONS}`"),
        (lambda file: file.write_bytes(file.read_bytes()[:-40]), f"`{OPERATIONS}` cannot be read as Parquet"),
        (lambda file: file.write_bytes(b"events"), f"`{OPERATIONS}` cannot be read as Parquet"),
        (
            lambda file: file.write_bytes(write_table(pl.read_parquet(file).with_columns(events=9))),
            f"`{OPERATIONS}` differs from the plan",
        ),
    ],
)
@pytest.mark.parametrize("command", [("plan", "verify"), ("plan", "comment")], ids=" ".join)
def test_evidence_is_bound_to_the_plan_without_a_chain(
    ask: Ask, plan: Path, command: tuple[str, ...], change: Callable[[Path], Any], said: str
) -> None:
    """Whoever reads the plan refuses tables that are missing, damaged or swapped: exit code 5."""
    (plan / "chain.json").unlink()
    (plan / "manifest.json").unlink()
    change(plan / OPERATIONS)
    code, _, err = ask(*command, plan)
    assert code == 5
    assert said in err


def test_a_forged_chain_must_fit_the_plan_and_its_lists(ask: Ask, plan: Path) -> None:
    """Links that were made anew do not help where the plan says what it was made from."""
    document = _chain(plan)
    document["links"][1]["sha256"] = "0" * 64
    (plan / "chain.json").write_text(json.dumps(_link(document)))
    assert "made from something else" in ask("plan", "verify", plan)[2]
    document = _chain(plan)
    document["inputs"] = document["inputs"][1:]
    (plan / "chain.json").write_text(json.dumps(_link(document)))
    assert "lists something else" in ask("plan", "verify", plan)[2]


def _key(folder: Path, name: str) -> Path:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("needs ssh-keygen")
    path = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)], check=True)
    return path


@pytest.mark.nightly
def test_a_plan_is_signed_with_openssh(ask: Ask, plan: Path, tmp_path: Path) -> None:
    """Signed by whom the file of signers allows, else exit code 3; a change afterwards is found before."""
    mine, theirs = _key(tmp_path, "mine"), _key(tmp_path, "theirs")
    signers = tmp_path / "signers"
    signers.write_text(f"mei@example.com {(tmp_path / 'mine.pub').read_text()}")
    assert ask("plan", "verify", plan, "--signers", signers)[0] == 3
    assert ask("plan", "sign", plan, "--key", mine)[0] == 0
    code, _, err = ask("plan", "verify", plan)
    assert (code, "signed with ED25519 key SHA256:" in err, "--signers FILE would say whose" in err) == (0, True, True)
    code, out, err = ask("plan", "verify", plan, "--signers", signers, "-o", "json")
    assert (code, json.loads(out)["signed_by"]) == (0, "mei@example.com")
    assert ask("plan", "verify", plan, "--signers", signers, "--signer", "ana@example.com")[0] == 3
    assert ask("plan", "sign", plan, "--key", theirs)[0] == 0
    code, _, err = ask("plan", "verify", plan, "--signers", signers)
    assert (code, "the signature of the plan does not hold" in err) == (3, True)
    assert ask("plan", "sign", plan, "--key", mine)[0] == 0
    document = _chain(plan)
    (plan / "chain.json").write_text(json.dumps(document))  # the same, in other bytes
    assert ask("plan", "verify", plan, "--signers", signers)[0] == 3
    assert ask("plan", "sign", plan, "--key", tmp_path / "none")[0] == 5


@pytest.mark.nightly
def test_a_plan_is_signed_with_minisign(ask: Ask, plan: Path, tmp_path: Path) -> None:
    if shutil.which("minisign") is None:
        pytest.skip("needs minisign")
    public, secret = tmp_path / "key.pub", tmp_path / "key"
    subprocess.run(["minisign", "-G", "-W", "-p", str(public), "-s", str(secret)], check=True, capture_output=True)
    assert ask("plan", "sign", plan, "--key", secret)[0] == 0
    assert ask("plan", "verify", plan, "--signers", public)[0] == 0
    code, _, err = ask("plan", "verify", plan)
    assert (code, "no key is named to check it" in err) == (2, True)
    (plan / "chain.json").write_text(json.dumps(_chain(plan)))
    code, _, err = ask("plan", "verify", plan, "--signers", public)
    assert (code, "does not hold" in err) == (3, True)


def test_a_tool_that_is_absent_is_named(ask: Ask, plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text("untrusted comment: minisign encrypted secret key\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    code, _, err = ask("plan", "sign", plan, "--key", tmp_path / "key")
    assert (code, "`minisign` is not installed" in err) == (2, True)


@pytest.mark.parametrize("words", [("plan", "comment"), ("next",), ("plan", "verify")])
def test_a_plan_of_stdin_takes_nothing_from_the_working_folder(
    ask: Ask, plan: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    """Roles and chain of whatever stands there would be taken for those of the plan."""
    monkeypatch.chdir(plan)
    code, out, err = ask(*words, "-")
    assert (code, out) == (5, "")
    assert "cannot be read from stdin" in err
