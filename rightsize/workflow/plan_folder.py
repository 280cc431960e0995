"""Read a plan folder from disk: its `plan.json`, its roles, and the evidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rightsize.model.errors import InputError
from rightsize.propose.verify.plan_reader import WrittenPlan, read_plan
from rightsize.propose.verify.reviewable import ReviewablePlan, evidence_files, read_reviewable
from rightsize.render.plan import prepared, read_manifest, write_folder
from rightsize.workflow.text_files import read_bytes

PLAN = "plan.json"
_PART = 1 << 20
"""Bytes of a file that are copied at a time."""


def plan_file(path: Path) -> Path:
    """Return the path of `plan.json`, given its folder or the file itself."""
    return path / PLAN if path.is_dir() else path


def files_beside(folder: Path, plan: WrittenPlan) -> dict[str, bytes]:
    """Return the contents of the role files and tables of evidence of a plan; symbolic links are never read."""
    return _read(plan.files, folder)


def read_plan_folder(path: Path) -> ReviewablePlan:
    """Return a plan with its roles and their evidence.

    Raises:
        InputError: There is no plan, or the file is not a plan.
    """
    file = plan_file(path)
    text = read_bytes(file)
    plan = read_plan(text)
    names = [name for role in plan.roles for name in evidence_files(role.file)]
    return read_reviewable(text, _read([*plan.files, *names], file.parent))


def copy_plan_folder(folder: Path, out: Path) -> list[str]:
    """Write the files of a plan folder into another one, as `propose` writes them; return their names, sorted.

    Files that no run of rightsize wrote are not copied. A file of an earlier plan in the other folder is deleted.

    Raises:
        InputError: The folder has no manifest of its files, or the other folder cannot be written.
    """
    paths = {name: folder / name for name in read_manifest(folder)}
    found = {name: path for name, path in paths.items() if path.is_file() and not path.is_symlink()}
    if PLAN not in found:
        raise InputError(f"`{folder}` has no manifest that names its plan", hint="`rightsize propose` writes one")
    with prepared(out, ((name, _parts(path)) for name, path in found.items())) as files:
        return write_folder(files, out)


def _parts(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while part := file.read(_PART):
            yield part


def _read(names: Sequence[str], folder: Path) -> dict[str, bytes]:
    paths = {name: folder / name for name in names}
    return {name: read_bytes(path) for name, path in paths.items() if path.is_file() and not path.is_symlink()}
