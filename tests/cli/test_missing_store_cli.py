"""A question to a missing store does not create one."""

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
