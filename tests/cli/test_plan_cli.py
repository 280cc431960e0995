"""`rightsize plan`: an existing plan in the forms that teams deploy."""

from __future__ import annotations

from pathlib import Path

import pytest

from rightsize.cli.main import run

pytestmark = pytest.mark.slow


def test_files_of_a_plan_stand_beside_one_another(
    demo_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is written is complete: the script names only files that are there, and twice is the same."""
    arguments = ["plan", "files", str(demo_folder), "--db", str(demo_folder / "demo.duckdb"), "--format", "az"]
    assert run([*arguments, "--format", "terraform", "--out", str(tmp_path / "one")]) == 0
    assert " assignments to " in capsys.readouterr().err
    script = (tmp_path / "one" / "az" / "deploy.sh").read_text(encoding="utf-8")
    named = {word.removeprefix("@../") for word in script.split() if word.startswith("@../")}
    assert named == {str(path.relative_to(tmp_path / "one")) for path in (tmp_path / "one" / "roles").iterdir()}
    for name in named:
        assert (tmp_path / "one" / name).read_bytes() == (demo_folder / name).read_bytes()
    assert run([*arguments, "--out", str(tmp_path / "one")]) == 0
    assert not list((tmp_path / "one" / "terraform").iterdir())


def test_the_plans_own_folder_is_not_written_over(demo_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["plan", "files", str(demo_folder), "--db", str(demo_folder / "demo.duckdb"), "--format", "arm"]
    assert run([*arguments, "--out", str(demo_folder)]) == 2
    assert "`--out` is the folder of the plan" in capsys.readouterr().err


def test_the_comment_of_a_written_plan_has_names(demo_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Names come from the store; without one there are ids, and no error."""
    assert run(["plan", "comment", str(demo_folder), "--db", str(demo_folder / "demo.duckdb")]) == 0
    out = capsys.readouterr().out
    assert "<code>Patient Portal Team</code>" in out
    assert "<code>Contributor</code> at <code>Patient Portal</code>" in out
    assert run(["plan", "comment", str(demo_folder), "--db", str(demo_folder / "none.duckdb")]) == 0
    assert "<code>Patient Portal Team</code>" not in capsys.readouterr().out
