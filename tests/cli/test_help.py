"""The help is what a newcomer reads first: every command in its group, as wide as the terminal."""

from __future__ import annotations

import pytest

from rightsize.cli.command_groups import GROUPS
from rightsize.cli.main import app, run


@pytest.mark.parametrize("columns", [80, 120])
def test_the_help_lists_each_command_in_one_group(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert run(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert columns - 20 < max(map(len, lines)) <= columns
    known = {one.name or getattr(one.callback, "__name__", "") for one in app.registered_commands}
    known |= {str(one.name) for one in app.registered_groups}
    grouped = [name for names in GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(known)
    assert [line[:-1] for line in lines if line[:1].isalpha() and line.endswith(":")][1:] == list(GROUPS)
    assert {line.split()[0] for line in lines if line.startswith("  ") and line[2:3].isalpha()} >= known


@pytest.mark.parametrize("words", [[], ["plan"], ["roles"]])
def test_a_line_without_a_command_shows_the_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code = run(words)
    shown = capsys.readouterr().err
    assert code == 2
    assert "\\u000a" not in shown
    assert shown.startswith(f"Usage: {' '.join(['rightsize', *words])} ")
