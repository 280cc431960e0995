"""What is public in Python: the names, their signatures, when they are loaded, and the types that a user gets."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main

import rightsize
from rightsize.api.reference import write_reference
from rightsize.cli.main import app
from tests.api import typed_program

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("duckdb", "polars", "pyarrow", "azure", "msgraph", "jinja2", "typer")
ELSEWHERE = {
    "load": {"engine", "spark", "spark_conf", "spark_results", "table", "where", "declared", "for", "until", "at"},
    "needs": {"role", "out"},
    "logs": {"by"},
    "analyze": set[str](),
    "propose": {"signers", "signer"},
    "explain": set[str](),
    "reach": {"signers", "signer", "picture"},
    "check": {"write_baseline", "write", "list", "sql"},
}
"""The options that a method does not have: Spark is only a command, `declare` loads what code declares, roles of a
deployment are only a command, `logs` gives both groupings to SQL, and a program
says whom it trusts where it reads a plan; what only writes a file or shows the controls is left out."""


def test_the_reference_page_has_every_public_name() -> None:
    page = write_reference()
    assert [name for name in rightsize.__all__ if f"\n## {name}\n" not in page] == []


def test_one_list_names_what_is_public() -> None:
    """`__all__`, `dir` and the imports that type checkers see name the same, and each name is there."""
    tree = ast.parse((ROOT / "rightsize" / "__init__.py").read_text(encoding="utf-8"))
    (guarded,) = [node for node in tree.body if isinstance(node, ast.If)]
    imported = {one.name for node in guarded.body if isinstance(node, ast.ImportFrom) for one in node.names}
    assert sorted(rightsize.__all__) == dir(rightsize) == sorted(imported | {"__version__"})
    assert all(getattr(rightsize, name) is not None for name in rightsize.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'opne'"):
        _ = rightsize.opne  # type: ignore[attr-defined]


@pytest.mark.slow
def test_the_import_loads_no_engine() -> None:
    """Nor do roles and errors; a store does when it is opened."""
    program = (
        "import sys, rightsize\n"
        "loaded = [name for name in sys.modules if name.startswith('rightsize.')]\n"
        "assert not loaded, loaded\n"
        "assert not rightsize.contains([], [{'actions': ['*']}])\n"
        "assert issubclass(rightsize.InputError, rightsize.RightsizeError) and rightsize.EvidenceWarning\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def _options(command: str) -> dict[str, object]:
    """Return the options of a command with their defaults, by their first long name."""
    found: Any = typer.main.get_command(app)
    for word in ("status logs" if command == "logs" else command).split():
        found = found.commands[word]
    params = (getattr(found, "itself", None) or found).params
    names = {next((text for text in one.opts if text.startswith("--")), ""): one.default for one in params}
    return {
        name.removeprefix("--").replace("-", "_"): getattr(default, "value", default)
        for name, default in names.items()
        if name
    }


@pytest.mark.parametrize("name", sorted(ELSEWHERE))
def test_a_method_takes_the_options_of_its_command(name: str) -> None:
    """They have the same names and the same defaults, without those of every command, which are about the terminal."""
    every = set.intersection(*(set(_options(one)) for one in ELSEWHERE)) | {"all"}  # the columns of a table
    wanted = {one: default for one, default in _options(name).items() if one not in every | ELSEWHERE[name]}
    signature = inspect.signature(getattr(rightsize.Store, name))
    given = {one.name: one.default for one in signature.parameters.values() if one.kind is one.KEYWORD_ONLY}
    assert given.keys() == wanted.keys()
    # A plan of a program needs no name of a folder. None, false and nothing given are the same.
    differ = {one for one in given if (given[one] or None) != (wanted[one] or None)}
    assert differ == ({"out"} if name == "propose" else set())


@pytest.mark.nightly
def test_the_program_of_a_user_runs(tiny: Path) -> None:
    """What mypy checks of it, in CI's step of types, is what it gets."""
    assert typed_program.ask(tiny / "tenant.duckdb") == "yes"
    assert typed_program.plan(tiny / "tenant.duckdb", tiny / "plan")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["mypy"]["modules"] == [typed_program.__name__]


@pytest.mark.nightly
def test_the_types_reach_a_program_outside(tmp_path: Path) -> None:
    """A strict check of a program that has the package installed, and nothing of its configuration."""
    (tmp_path / "program.py").write_text(Path(typed_program.__file__).read_text(encoding="utf-8"), encoding="utf-8")
    line = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--cache-dir=cache", "program.py"]
    done = subprocess.run(
        line, capture_output=True, text=True, check=False, cwd=tmp_path, env={"MYPYPATH": str(ROOT), "PATH": ""}
    )
    assert (done.returncode, done.stdout) == (0, "Success: no issues found in 1 source file\n"), done.stderr
