"""Copy the source tree, and add to the copy one file and one registration, or one entry of a table."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Registration:
    """One entry that is added to a registry.

    Attributes:
        path: The file of the registry, below the root of the project.
        after: The line, without its indentation, that stands before the new one; the file has it once.
        text: The new entry, with its indentation.
        imported: The import that the entry needs; empty where it needs none.
    """

    path: str
    after: str
    text: str
    imported: str = ""


@dataclass(frozen=True, slots=True)
class Tree:
    """A copy of the source tree."""

    root: Path

    def run(self, *arguments: str, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run `rightsize` from the copy, and return what it printed; it has to end with `code`."""
        return self.program("from rightsize.cli.main import main; main()", *arguments, cwd=cwd, code=code)

    def program(self, text: str, *arguments: str, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a Python program that imports `rightsize` from the copy; it has to end with `code`."""
        # An editable install may come before PYTHONPATH.
        first = f"import sys; sys.path.insert(0, {str(self.root)!r})"
        return self.python("-c", f"{first}\n{text}", *arguments, cwd=cwd, code=code)

    def python(self, *arguments: str, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run Python with the copy before the installed package; it has to end with `code`."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(self.root), "COLUMNS": "120"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done


def with_addition(folder: Path, path: str, text: str, registration: Registration | None = None) -> Tree:
    """Return a copy of the source tree in `folder` with one new file and one line more in a registry.

    Without a registration, that the new file stands in its folder is the registration.
    """
    tree = _copied(folder)
    new = folder / path
    assert not new.exists()
    new.write_text(text, encoding="utf-8")
    if registration is not None:
        _register(folder, registration)
    return tree


def with_entry(folder: Path, registration: Registration) -> Tree:
    """Return a copy of the source tree in `folder` with one entry more in a table; the entry is the whole addition."""
    tree = _copied(folder)
    _register(folder, registration)
    return tree


def _copied(folder: Path) -> Tree:
    # With what is compiled already: it counts for a copy of the same time and size.
    for name in ("rightsize", "queries"):
        shutil.copytree(ROOT / name, folder / name)
    return Tree(folder)


def _register(folder: Path, registration: Registration) -> None:
    registry = folder / registration.path
    lines = registry.read_text(encoding="utf-8").split("\n")
    at = [number for number, line in enumerate(lines) if line.strip() == registration.after]
    assert len(at) == 1, f"{registration.path} has {registration.after!r} {len(at)} times"
    lines.insert(at[0] + 1, registration.text)
    if registration.imported:
        first = next(number for number, line in enumerate(lines) if line.startswith("from rightsize."))
        lines.insert(first, registration.imported)
    registry.write_text("\n".join(lines), encoding="utf-8")
