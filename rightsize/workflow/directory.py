"""Judge, plan and verify the plane of directory roles from the tables of the store."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rightsize.analyze.directory.judge import DirectoryAnalysis, analyse_directory
from rightsize.analyze.directory.tables import DirectoryTables, directory_window
from rightsize.analyze.planes import PlaneAnalysis
from rightsize.workflow.plane_steps import PlaneSteps, TableOf

if TYPE_CHECKING:  # judging needs no planner, whose import takes longer than judging a plane
    from rightsize.model.plan import PlanePart
    from rightsize.propose.core.options import PlanOptions
    from rightsize.propose.verify.plan_reader import WrittenPart
    from rightsize.propose.verify.verify import Change


@dataclass(frozen=True, slots=True)
class DirectoryJudged:
    """The verdicts on directory roles."""

    found: DirectoryAnalysis

    @property
    def analysis(self) -> PlaneAnalysis:
        """The analysis of directory roles."""
        return self.found.plane

    def plan(self, options: PlanOptions) -> PlanePart:
        """Return the directory part of the plan."""
        from rightsize.propose.directory.plan import plan_directory  # noqa: PLC0415

        return plan_directory(self.found, options)


def judge_directory(
    table_of: TableOf, as_of: dt.date | None, days: int | None, forget_days: int, min_days: int | None = None
) -> DirectoryJudged | None:
    """Return verdicts on every directory role that a principal holds; None where no assignments of them are loaded."""
    tables = DirectoryTables.read(table_of)
    if tables.is_empty:
        return None
    return DirectoryJudged(analyse_directory(tables, directory_window(tables, as_of, days, forget_days, min_days)))


def verify_part(table_of: TableOf, part: WrittenPart) -> Sequence[Change]:
    """Return what makes a written part of a plan stale, over its window and every day since."""
    from rightsize.propose.directory.verify import verify_directory  # noqa: PLC0415

    tables = DirectoryTables.read(table_of)
    newest = max([part.window.last_day, *tables.days["day"].drop_nulls().unique()])
    window = replace(part.window.remembered, last_day=newest)
    return verify_directory(part, analyse_directory(tables, window))


DIRECTORY = PlaneSteps("directory", judge_directory, verify_part)
