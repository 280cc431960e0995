"""Asking for help must not load the engines, and every command must be able to print its help."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from rightsize.cli.exit_codes import ExitCode
from rightsize.cli.main import app, run
from rightsize.store.connection import open_store

WHOLE = typer.main.get_command(app)
"""The whole app, with the options of every command: to read them takes a tenth of a second."""
HEAVY = ("duckdb", "polars", "pyarrow", "azure", "msgraph", "jinja2", "rich", "pydantic")


def _command_paths(command: object, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    children = getattr(command, "commands", None)
    if children is None:
        return [path]
    return [found for name in sorted(children) for found in _command_paths(children[name], (*path, name))]


def _modules_after(*arguments: str) -> set[str]:
    program = (
        "import sys\n"
        "from rightsize.cli.main import run\n"
        f"code = run({list(arguments)!r})\n"
        "sys.stdout.flush()\n"
        "print('\\n' + ' '.join(sorted({name.split('.')[0] for name in sys.modules})))\n"
        "sys.exit(code)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def test_help_loads_no_engine() -> None:
    """`rightsize --help` imports none of the heavy packages."""
    assert not _modules_after("--help") & set(HEAVY)


def test_version_loads_no_engine() -> None:
    """`rightsize --version` imports none of the heavy packages."""
    assert not _modules_after("--version") & set(HEAVY)


def test_a_statement_of_sql_loads_no_frames(tmp_path: Path) -> None:
    """`rightsize sql` answers without polars, which takes longer to import than most statements to run."""
    db = tmp_path / "any.duckdb"
    open_store(db, read_only=False).close()
    assert "polars" not in _modules_after("sql", "SELECT 1", "--db", str(db))


@pytest.mark.parametrize("path", _command_paths(WHOLE), ids=" ".join)
def test_a_command_called_by_name_is_the_one_of_the_whole_app(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Only the options of the command that is called are read; its help is what the whole app says."""
    with contextlib.suppress(SystemExit):
        WHOLE([*path, "--help"], prog_name="rightsize")
    whole = capsys.readouterr().out
    assert run([*path, "--help"]) == ExitCode.OK
    assert capsys.readouterr().out == whole != ""


@pytest.mark.parametrize("path", _command_paths(WHOLE), ids=" ".join)
def test_every_command_has_help_that_loads_no_engine(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """Each command explains itself, and each of its options says what it does."""
    command: object = WHOLE
    for name in path:
        command = command.commands[name]  # type: ignore[attr-defined]
    assert (command.help or "").strip()  # type: ignore[attr-defined]
    for parameter in command.params:  # type: ignore[attr-defined]
        assert parameter.name == "help" or (parameter.help or "").strip(), f"{parameter.name} of {path} has no help"


@pytest.mark.parametrize("path", _command_paths(WHOLE), ids=" ".join)
def test_every_command_takes_the_shared_options(path: tuple[str, ...]) -> None:
    """A script can add `-q`, `-v` and `--no-input` to whatever it runs."""
    command: object = WHOLE
    for name in path:
        command = command.commands[name]  # type: ignore[attr-defined]
    taken = {text for parameter in command.params for text in parameter.opts}  # type: ignore[attr-defined]
    assert {"-q", "-v", "--no-input"} <= taken
