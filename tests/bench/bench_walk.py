"""The walk from an analysis to a plan: the files that `make_plan` goes through, and how often it climbs back.

The decision is what the plan does from the first draft of an assignment to its roles. A *file* is a module of
`rightsize` in which a function is called. A *climb* is a pair of files: code of the first calls into the second, which
belongs to an earlier room of the flow (`ROOMS`) and which the walk has been in before. A step into a file that is new
to the walk is none, and a pair counts once, however many calls it makes. The plan is made once before, so that tables
of rules are loaded and the walk has only what each plan does.

The same file runs in another checkout, so that two versions compare:
`cd CHECKOUT && PYTHONPATH=. .venv/bin/python THIS_FILE`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import rightsize
from rightsize.analyze.verdicts.judge import analyse
from rightsize.analyze.window import Window
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.pipeline import make_plan
from tests.propose.small_tenant import APP, CONTRIBUTOR, DAY0, DAYS, OWNER, READER, SUB, VM, SmallTenant

HEADS = ("walk", "files", "climbs", "into `model/text`", "calls of `fold`")
ROOMS = (
    "model",
    "rbac",
    "rules",
    "graph",
    "analyze",
    *(f"propose/{room}" for room in ("core", "needs", "optimize", "selection", "risk", "proof", "assembly")),
)
TEXT = "model/text.py"
_ROOT = str(Path(rightsize.__file__).parent) + "/"
_DECISION = "decide draft_all settle grant_needs"
"""The functions that decide, in this version and in earlier ones: on each assignment, and then on all of them."""
_START = "Microsoft.Compute/virtualMachines/start/action"

Row = tuple[str, ...]


class Walk:
    """The files of a run in the order in which it enters them, and the calls from file to file."""

    def __init__(self, within: str = "") -> None:
        self.within = within
        self.depth = 0 if within else 1
        self.files: dict[str, None] = {}
        self.climbs: dict[tuple[str, str], int] = {}
        self.folds = 0
        self._file_of: dict[str, str] = {}

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        """Take note of a call; `sys.setprofile` calls this."""
        if event not in ("call", "return") or not (file := self._file(frame)):
            return
        if frame.f_code.co_name in self.within.split():
            self.depth += 1 if event == "call" else -1
        if not self.depth or event == "return":
            return
        self.folds += file == TEXT and frame.f_code.co_name == "fold"
        caller: FrameType | None = frame.f_back
        while caller is not None and not self._file(caller):
            caller = caller.f_back
        origin = self._file(caller) if caller is not None else ""
        if origin and origin != file and file in self.files and _room(file) < _room(origin):
            self.climbs[origin, file] = self.climbs.get((origin, file), 0) + 1
        self.files.setdefault(file)

    def _file(self, frame: FrameType) -> str:
        path = frame.f_code.co_filename
        if path not in self._file_of:
            self._file_of[path] = path.removeprefix(_ROOT) if path.startswith(_ROOT) else ""
        return self._file_of[path]


def _room(file: str) -> int:
    return next((at for at, room in enumerate(ROOMS) if file.startswith(room + "/")), len(ROOMS))


def run() -> Iterator[Row]:
    """Walk through a decision and through whole plans; then name the files of the first walk in their order."""
    one = _walk(_one_assignment(), _DECISION)
    yield _row("the decision on one assignment", one)
    yield _row("the plan of one assignment", _walk(_one_assignment()))
    yield _row("the plan of a small tenant", _walk(_small_tenant()))
    for number, file in enumerate(one.files, 1):
        back = [origin for origin, target in one.climbs if target == file]
        yield f"  {number} {file}", "", f"{len(back)} from later rooms" if back else "", "", ""


def _row(what: str, walk: Walk) -> Row:
    text = sum(target == TEXT for _, target in walk.climbs)
    return what, f"{len(walk.files)}", f"{len(walk.climbs)}", f"{text}", f"{walk.folds:,}"


def _walk(tenant: SmallTenant, within: str = "") -> Walk:
    inputs = tenant.inputs()
    analysis = analyse(inputs, Window(DAY0, DAY0.fromordinal(DAY0.toordinal() + DAYS - 1)))
    make_plan(inputs, analysis, PlanOptions(), content_hash="")
    walk = Walk(within)
    sys.setprofile(walk)
    try:
        make_plan(inputs, analysis, PlanOptions(), content_hash="")
    finally:
        sys.setprofile(None)
    return walk


def _one_assignment() -> SmallTenant:
    tenant = SmallTenant()
    user = tenant.principal(1)
    tenant.assign(101, user, CONTRIBUTOR, SUB)
    tenant.use(user, _START, VM, days=40)
    return tenant


def _small_tenant() -> SmallTenant:
    tenant = _one_assignment()
    for number, role in enumerate((OWNER, READER, CONTRIBUTOR, OWNER), 2):
        user = tenant.principal(number, "User" if number % 2 else "ServicePrincipal")
        tenant.assign(100 + number, user, role, APP if number % 2 else SUB)
        tenant.use(user, _START, VM, days=number)
    return tenant


if __name__ == "__main__":
    for found in run():
        print("  ".join(found))
