"""A question to a missing store does not create one; a missing plan is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from rightsize.cli.main import run


@pytest.mark.parametrize("command", [["analyze"], ["propose"], ["explain", "anna"], ["status"], ["sql", "SELECT 1"]])
def test_a_missing_store_is_an_input_error_and_stays_missing(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error names the file and says how to get one."""
    db = tmp_path / "none.duckdb"
    assert run([*command, "--db", str(db)]) == 5
    assert "there is no store" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [["next"], ["plan", "verify"], ["plan", "comment"], ["review", "list"]])
def test_a_missing_plan_is_an_input_error_that_says_how_to_get_one(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither at a path that leads nowhere, nor in a folder without one, nor below a file."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    for name in ("nowhere", "empty", "file/below"):
        assert run([*command, str(tmp_path / name)]) == 5
        told = capsys.readouterr().err
        assert f"there is no plan at `{tmp_path / name}`" in told and "hint: `rightsize propose` writes one" in told


def test_an_error_of_the_command_line_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where the choices of an option are many."""
    assert run(["plan", "files", str(tmp_path)]) == 2
    assert "Choose from: arm, az, powershell, bicep" in capsys.readouterr().err
