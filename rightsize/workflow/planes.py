"""The planes beyond Azure RBAC, in the order in which they stand in answers, asked one after the other."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from rightsize.propose.verify import Change
from rightsize.propose.written import WrittenPlan
from rightsize.workflow.directory import DIRECTORY
from rightsize.workflow.graph import GRAPH
from rightsize.workflow.plane_steps import Judged, PlaneSteps, TableOf

PLANES: tuple[PlaneSteps, ...] = (GRAPH, DIRECTORY)


def judge_planes(
    table_of: TableOf, as_of: dt.date | None, days: int, planes: Sequence[PlaneSteps] | None = None
) -> list[Judged]:
    """Judge every plane of which something is loaded."""
    judged = (steps.judge(table_of, as_of, days) for steps in (PLANES if planes is None else planes))
    return [one for one in judged if one is not None]


def verify_parts(
    table_of: TableOf, plan: WrittenPlan, planes: Sequence[PlaneSteps] | None = None
) -> tuple[Change, ...]:
    """Return what makes the parts of a plan beyond Azure RBAC stale."""
    steps: dict[str, PlaneSteps] = {one.plane: one for one in (PLANES if planes is None else planes)}
    return tuple(change for part in plan.parts for change in steps[part.plane].verify(table_of, part))
