"""`rightsize plan patch` on the demo's own code."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from rightsize.cli.main import run

pytest.importorskip("hcl2")
pytestmark = pytest.mark.slow


def arguments(demo: Path, code: Path, out: Path) -> list[str]:
    """Return the command line."""
    states = [str(code / "terraform" / name / "terraform.tfstate") for name in ("portal", "records")]
    given = [part for state in states for part in ("--state", state)]
    return [
        "plan",
        "patch",
        str(demo),
        "--db",
        str(demo / "demo.duckdb"),
        "--into",
        str(code),
        "--out",
        str(out),
        *given,
    ]


def test_the_patches_of_the_demo_apply_one_after_the_other(
    demo_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the second leaves has today's assignment of no patched change, and reads as the states say of all others."""
    code, out = Path(shutil.copytree(demo_folder / "code", tmp_path / "code")), tmp_path / "patch"
    assert run([*arguments(demo_folder, code, out), "-o", "json"]) == 0
    captured = capsys.readouterr()
    rows = json.loads(captured.out)
    results = [row["result"] for row in rows]
    assert results.count("patched") >= 10
    assert results.count("by hand") >= 1
    assert all(row["why"] for row in rows if row["result"] == "by hand")
    assert "wrote add.patch, remove.patch, ISSUE.md" in captured.err
    for name in ("add.patch", "remove.patch"):
        subprocess.run(["git", "apply", "--check", str(out / name)], cwd=code, check=True)
        subprocess.run(["git", "apply", str(out / name)], cwd=code, check=True)
    assert "az role assignment delete --ids" in (out / "ISSUE.md").read_text(encoding="utf-8")


def test_without_states_only_names_tell_addresses(
    demo_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = arguments(demo_folder, demo_folder / "code", tmp_path)
    line = line[: line.index("--state")]
    assert run([*line, "--stack", "-o", "json"]) == 0
    paths = {row["path"] for row in json.loads(capsys.readouterr().out)}
    assert paths == {"", "bicep/operations.bicep"}
    assert "az role assignment delete" not in (tmp_path / "ISSUE.md").read_text(encoding="utf-8")


def test_branches_have_a_commit_for_each_edit(
    demo_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = Path(shutil.copytree(demo_folder / "code", tmp_path / "code"))
    for words in (
        ("init", "-q"),
        ("add", "-A"),
        ("-c", "user.name=T", "-c", "user.email=t@e.com", "commit", "-qm", "first"),
    ):
        subprocess.run(["git", "-C", str(code), *words], check=True)
    for name in ("user.name", "user.email"):
        subprocess.run(["git", "-C", str(code), "config", name, "t@example.com"], check=True)
    assert run([*arguments(demo_folder, code, tmp_path / "patch"), "--branch"]) == 0
    branches = [line.split()[-1] for line in capsys.readouterr().err.splitlines() if line.startswith("made the branch")]
    listed = subprocess.run(
        ["git", "-C", str(code), "log", "--format=%s", branches[1]], capture_output=True, check=True
    )
    subjects = listed.stdout.decode().splitlines()
    assert subjects[-1] == "first"
    assert {subject.partition(":")[0] for subject in subjects[:-1]} == {"access, add", "access, remove"}
    # The branches end with what the patches lead to.
    for name in ("add.patch", "remove.patch"):
        subprocess.run(["git", "-C", str(code), "apply", str(tmp_path / "patch" / name)], check=True)
    subprocess.run(["git", "-C", str(code), "add", "-A"], check=True)
    subprocess.run(["git", "-C", str(code), "diff", "--cached", "--quiet", branches[1]], check=True)


def test_a_state_that_is_none_is_refused(demo_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "state.json").write_text("{}", encoding="utf-8")
    line = arguments(demo_folder, demo_folder / "code", tmp_path)
    assert run([*line, "--state", str(tmp_path / "state.json")]) == 5
    assert "is no Terraform state" in capsys.readouterr().err
