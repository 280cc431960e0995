"""The help is what a newcomer reads first: the usual commands in five groups, the others one word away."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer.main

from rightsize.cli.main import app, run
from rightsize.cli.registry import COMMANDS, FIRST_GUESSES, OLD_NAMES, CommandEntry, entries_below

GROUPS = ["Start", "Ask", "Plan", "Change", "Watch"]
QUOTED = re.compile(r"`rightsize ([a-z][a-z -]*)`")


def titles(lines: list[str]) -> list[str]:
    return [line[:-1] for line in lines if line[:1].isalpha() and line.endswith(":") and line != "Options:"]


@pytest.mark.slow
@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("words", [["--help"], ["help"]])
def test_the_help_lists_the_usual_commands_in_five_groups(
    words: list[str], columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has one line, also at 80 columns, and the whole fits a screen."""
    monkeypatch.setenv("COLUMNS", str(columns))
    assert run(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= columns
    assert len(lines) <= 46
    usual = [name for name, one in entries_below("").items() if one.is_weekly]
    assert len(usual) <= 24
    assert [line.split()[0] for line in lines[lines.index("Start:") :] if line[:2] == "  "] == usual
    assert titles(lines) == GROUPS
    assert "`rightsize help --all`" in " ".join(lines)


@pytest.mark.slow
def test_the_whole_list_has_every_command_in_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["help", "--all"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line[:2] == "  "] == [one.name.split()[-1] for one in COMMANDS]
    assert titles(lines) == GROUPS


@pytest.mark.slow
@pytest.mark.parametrize("words", ["reach", "status logs", "plan", "roles no-new-access"])
def test_help_of_a_command_is_what_the_command_says(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*words.split(), "--help"]) == 0
    said = capsys.readouterr().out
    assert run(["help", *words.split()]) == 0
    assert capsys.readouterr().out == said
    assert said.startswith(f"Usage: rightsize {words} ")


@pytest.mark.slow
@pytest.mark.parametrize("words", ["statsu", "status nothing", "roles nothing", "can nothing", "plan --all"])
def test_help_of_no_command_is_a_mistake(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["help", *words.split()]) == 2
    out, err = capsys.readouterr()
    assert (out, err.startswith("error: ")) == ("", True)


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
def test_the_line_in_the_help_is_the_first_sentence_of_a_command(entry: CommandEntry) -> None:
    """The registry has it too, so that the help imports no command."""
    command: object = typer.main.get_command(app)
    for word in entry.name.split():
        command = command.commands[word]  # type: ignore[attr-defined]
    command = getattr(command, "itself", None) or command
    assert command.get_short_help_str(1000) == entry.summary  # type: ignore[attr-defined]
    assert len(entry.summary) <= 70
    assert entry.function or entries_below(entry.name)


@pytest.mark.slow
def test_a_word_that_is_a_command_names_those_below_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["status", "--help"]) == 0
    listed = capsys.readouterr().out.partition("Commands:\n")[2].splitlines()[:2]
    assert [line.split()[0] for line in listed] == ["logs", "sources"]


@pytest.mark.slow
@pytest.mark.parametrize("words", [[], ["plan"], ["roles"]])
def test_a_line_without_a_command_shows_the_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code = run(words)
    shown = capsys.readouterr().err
    assert code == 2
    assert "\\u000a" not in shown
    assert shown.startswith(f"Usage: {' '.join(['rightsize', *words])} ")


@pytest.mark.slow
@pytest.mark.parametrize("word", FIRST_GUESSES)
def test_a_first_guess_names_the_right_command(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The table names only commands that there are, and no word that is one."""
    names = {one.name for one in COMMANDS}
    assert word not in {*names, *OLD_NAMES}
    assert {*QUOTED.findall(FIRST_GUESSES[word])} <= names
    assert run([word, "--db", "s.duckdb"]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == (
        "",
        f"error: no such command `{word}`: {FIRST_GUESSES[word]}\nhint: `rightsize help` lists the commands\n",
    )


@pytest.mark.slow
def test_a_misspelt_command_has_the_nearest_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["statsu"]) == 2
    assert "`status`" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(("old", "new"), OLD_NAMES.items())
def test_an_earlier_name_calls_the_command(old: str, new: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert new in {one.name for one in COMMANDS if one.function}
    assert run([*new.split(), "--help"]) == 0
    said = capsys.readouterr().out
    assert run([*old.split(), "--help"]) == 0
    assert capsys.readouterr().out == said


@pytest.mark.slow
def test_an_earlier_name_says_the_new_one_once_and_answers_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its variables and its table of a file hold, too; `--quiet` leaves only the answer."""
    monkeypatch.chdir(tmp_path)
    assert run(["fetch-script", "--days", "3"]) == 0
    answer = capsys.readouterr()
    assert run(["exports", "--days", "3"]) == 0
    renamed = capsys.readouterr()
    note = "`rightsize exports` is now `rightsize fetch-script`; the next version has the new name only\n"
    assert (renamed.out, renamed.err) == (answer.out, note + answer.err)
    assert run(["exports", "--days", "3", "--quiet"]) == 0
    assert capsys.readouterr() == (answer.out, "")

    monkeypatch.setenv("RIGHTSIZE_EXPORTS_DAYS", "3")
    assert run(["fetch-script"]) == 0
    assert capsys.readouterr() == answer
    monkeypatch.delenv("RIGHTSIZE_EXPORTS_DAYS")
    Path("rightsize.toml").write_text("[exports]\ndays = 3\n", encoding="utf-8")
    assert run(["fetch-script"]) == 0
    by_file = capsys.readouterr()
    note = "`[exports]` in rightsize.toml is now `[fetch-script]`\n"
    assert (by_file.out, by_file.err) == (answer.out, note + answer.err)
    Path("rightsize.toml").write_text("[exports]\ndays = 5\n[fetch-script]\ndays = 3\n", encoding="utf-8")
    assert run(["fetch-script"]) == 0
    assert capsys.readouterr() == answer
