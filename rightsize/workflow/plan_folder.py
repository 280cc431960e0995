"""Read a plan folder from disk: its `plan.json`, its roles, and the evidence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rightsize.propose.verify.plan_reader import WrittenPlan, read_plan
from rightsize.propose.verify.reviewable import ReviewablePlan, evidence_files, read_reviewable
from rightsize.workflow.text_files import read_bytes

PLAN = "plan.json"


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


def _read(names: Sequence[str], folder: Path) -> dict[str, bytes]:
    paths = {name: folder / name for name in names}
    return {name: read_bytes(path) for name, path in paths.items() if path.is_file() and not path.is_symlink()}
