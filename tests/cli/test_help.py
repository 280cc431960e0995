"""The help is what a newcomer reads first: every command in its group, as wide as the terminal."""

from __future__ import annotations

import pytest
import typer.main

from rightsize.cli.main import app, run
from rightsize.cli.registry import COMMANDS, CommandEntry, entries_below


@pytest.mark.parametrize("columns", [80, 120])
def test_the_help_lists_each_command_in_one_group(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert run(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert columns - 20 < max(map(len, lines)) <= columns
    listed = lines[lines.index("Start:") :]
    assert [line.split()[0] for line in listed if line[2:3].isalpha() and line[:2] == "  "] == list(entries_below(""))
    titles = [line[:-1] for line in lines if line[:1].isalpha() and line.endswith(":")][1:]
    assert titles == ["Start", "Ask", "Plan", "Review", "Change", "Watch", "Data"]


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
def test_the_line_in_the_help_is_the_first_sentence_of_a_command(entry: CommandEntry) -> None:
    """The registry has it too, so that the help imports no command."""
    command: object = typer.main.get_command(app)
    for word in entry.name.split():
        command = command.commands[word]  # type: ignore[attr-defined]
    assert command.get_short_help_str(1000) == entry.summary  # type: ignore[attr-defined]
    assert bool(entries_below(entry.name)) == (not entry.function)


@pytest.mark.parametrize("words", [[], ["plan"], ["roles"]])
def test_a_line_without_a_command_shows_the_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code = run(words)
    shown = capsys.readouterr().err
    assert code == 2
    assert "\\u000a" not in shown
    assert shown.startswith(f"Usage: {' '.join(['rightsize', *words])} ")
