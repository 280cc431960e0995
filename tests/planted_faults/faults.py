"""Read the table of planted faults, plant a fault in a copy of the tree, and take it out again."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TABLE = Path(__file__).with_name("faults.toml")


class FaultError(Exception):
    """The error for a fault that cannot be planted or judged."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One row of `faults.toml`.

    Attributes:
        name: Its name.
        module: The changed file, from the root of the tree.
        wrong: One sentence about the wrong behaviour.
        old: The text that is replaced; the file has it exactly once.
        new: The text in its place.
        tests: The test files that concern it, from the root of the tree.
    """

    name: str
    module: str
    wrong: str
    old: str
    new: str
    tests: tuple[str, ...]


def read_faults(table: Path = TABLE) -> list[Fault]:
    """Return the faults in the order of the table."""
    rows = tomllib.loads(table.read_text(encoding="utf-8"))["fault"]
    return [Fault(**{**row, "tests": tuple(row["tests"])}) for row in rows]


def changed_text(fault: Fault, root: Path) -> str:
    """Return the content of the module with the fault.

    Raises:
        FaultError: The module is missing, or does not have the old text exactly once.
    """
    path = root / fault.module
    if not path.is_file():
        raise FaultError(f"{fault.name}: there is no file {fault.module}")
    content = path.read_text(encoding="utf-8")
    found = content.count(fault.old)
    if found != 1 or fault.old == fault.new:
        raise FaultError(f"{fault.name}: {fault.module} has the old text {found} times and must have it once")
    return content.replace(fault.old, fault.new)


@contextmanager
def planted(fault: Fault, root: Path) -> Iterator[None]:
    """Plant a fault for the time of a `with`."""
    path = root / fault.module
    before, after = path.read_bytes(), changed_text(fault, root)
    _write(path, after.encode())
    try:
        yield
    finally:
        _write(path, before)


def _write(path: Path, content: bytes) -> None:
    """Write a module and delete its compiled form: Python compares only its size and the second of its time."""
    path.write_bytes(content)
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        compiled.unlink()
