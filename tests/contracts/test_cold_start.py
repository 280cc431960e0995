"""Asking for help must not load the engines, and every command must be able to print its help."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from rightsize.cli.main import app
from rightsize.cli.registry import COMMANDS
from rightsize.store.connection import open_store

WHOLE = typer.main.get_command(app)
"""The whole app, with the options of every command: to read them takes a tenth of a second."""
HEAVY = ("duckdb", "polars", "pyarrow", "azure", "msgraph", "jinja2", "rich.console", "pydantic")
ROOT = Path(__file__).parents[2]


def _command_paths(command: object, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    children = getattr(command, "commands", None)
    if children is None:
        return [path]
    return [found for name in sorted(children) for found in _command_paths(children[name], (*path, name))]


def _modules_after(*lines: tuple[str, ...]) -> set[str]:
    program = (
        "import sys\n"
        "from rightsize.cli.main import run\n"
        f"codes = [run(list(line)) for line in {lines!r}]\n"
        "sys.stdout.flush()\n"
        "print('\\n' + ' '.join(sorted(sys.modules)))\n"
        "sys.exit(max(codes))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def test_help_loads_no_engine() -> None:
    """`rightsize --help` imports none of the heavy packages."""
    assert not _modules_after(("--help",)) & set(HEAVY)


@pytest.mark.slow
def test_help_imports_no_command() -> None:
    """The lines of `rightsize --help` and of `rightsize roles --help` come from the registry."""
    modules = {f"rightsize.cli.commands.{entry.function.partition(':')[0]}" for entry in COMMANDS if entry.function}
    assert not _modules_after(("--help",), ("roles", "--help")) & modules


@pytest.mark.slow
def test_help_of_no_command_loads_an_engine() -> None:
    """A command imports its workflow at the top of its file, and Python loads it when the command runs."""
    loaded = _modules_after(*((*entry.name.split(), "--help") for entry in COMMANDS))
    assert "rightsize.workflow.plan.propose" in loaded
    assert not loaded & set(HEAVY)


@pytest.mark.slow
def test_version_loads_no_engine() -> None:
    """`rightsize --version` imports none of the heavy packages."""
    assert not _modules_after(("--version",)) & set(HEAVY)


@pytest.mark.nightly
def test_a_statement_of_sql_loads_no_frames(tmp_path: Path) -> None:
    """`rightsize sql` answers without polars, which takes longer to import than most statements to run."""
    db = tmp_path / "any.duckdb"
    open_store(db, read_only=False).close()
    assert "polars" not in _modules_after(("sql", "SELECT 1", "--db", str(db)))


@pytest.mark.slow
def test_what_loads_a_log_needs_no_frames() -> None:
    """`rightsize load` imports neither polars nor pyarrow for a log, which would take longer than a day's log."""
    program = "import sys, rightsize.workflow.data.load; sys.exit(bool({'polars', 'pyarrow'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("path", _command_paths(WHOLE), ids=" ".join)
def test_every_command_has_help(path: tuple[str, ...]) -> None:
    """Each command explains itself, and each of its options says what it does."""
    command: object = WHOLE
    for name in path:
        command = command.commands[name]  # type: ignore[attr-defined]
    assert (command.help or "").strip()  # type: ignore[attr-defined]
    for parameter in command.params:  # type: ignore[attr-defined]
        assert parameter.name == "help" or (parameter.help or "").strip(), f"{parameter.name} of {path} has no help"


@pytest.mark.parametrize("path", _command_paths(WHOLE), ids=" ".join)
def test_every_command_takes_the_shared_options(path: tuple[str, ...]) -> None:
    """A script can add `--db`, `-q`, `-v` and `--no-input` to whatever it runs."""
    command: object = WHOLE
    for name in path:
        command = command.commands[name]  # type: ignore[attr-defined]
    taken = {text for parameter in command.params for text in parameter.opts}  # type: ignore[attr-defined]
    assert {"--db", "-q", "-v", "--no-input"} <= taken


@pytest.mark.slow
def test_no_function_of_the_command_line_imports() -> None:
    """Imports stand at the top of a file; `rightsize.cli.registry` keeps those of commands from being loaded."""
    files = sorted((ROOT / "rightsize" / "cli").rglob("*.py"))
    inside = [
        f"{file.name}: {ast.unparse(node)}"
        for file in files
        for function in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert files and not inside
