"""Judge and verify the planes beyond Azure RBAC, one after the other, in the order of answers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from rightsize.analyze.behaviour.judge import with_held
from rightsize.analyze.inputs import RBAC_PLANES, Inputs, schema_of
from rightsize.analyze.window import DEFAULT_FORGET_DAYS
from rightsize.model.progress import through
from rightsize.planes.planes import DIRECTORY, GRAPH, TRUST, Judged, PlaneSteps, TableOf
from rightsize.store.connection import Store
from rightsize.store.sql import named
from rightsize.workflow.behaviour import held_use, with_holds

if TYPE_CHECKING:
    from rightsize.propose.verify.plan_reader import WrittenPlan
    from rightsize.propose.verify.verify import Change

PLANES: tuple[PlaneSteps, ...] = (GRAPH, DIRECTORY, TRUST)
_OTHER_USE = f"SELECT {named(*schema_of('usage_days'))} FROM usage_days WHERE NOT list_contains($planes, plane)"


def judge_planes(
    table_of: TableOf,
    as_of: dt.date | None,
    days: int | None,
    forget_days: int = DEFAULT_FORGET_DAYS,
    min_days: int | None = None,
    planes: Sequence[PlaneSteps] | None = None,
) -> list[Judged]:
    """Judge every plane of which something is loaded."""
    chosen = PLANES if planes is None else planes
    judged = (
        steps.judge(table_of, as_of, days, forget_days, min_days)
        for steps in through(chosen, "judging Graph, directory roles and trust", "planes")
    )
    return [one for one in judged if one is not None]


def tables_beside(store: Store, inputs: Inputs) -> TableOf:
    """Return a reader of tables for these planes that reuses the tables of Azure RBAC: each is in memory once.

    Held use counts as suspect here, too. Of the use of Azure itself only a row of the newest day stays, since these
    planes need no more of it.
    """
    newest, held = inputs.usage_days.top_k(1, by="day"), with_holds(store)

    def table_of(name: str) -> pl.DataFrame:
        if name == "usage_days":
            other = store.frame(_OTHER_USE, {"planes": list(RBAC_PLANES)})
            return pl.concat([with_held(other, held_use(store, usage=other)), newest])
        # The coverage that RBAC reads leaves out the logs of the tenant.
        if name == "coverage" or not hasattr(inputs, name):
            return held(name)
        found: pl.DataFrame = getattr(inputs, name)
        return found

    return table_of


def verify_parts(
    table_of: TableOf, plan: WrittenPlan, planes: Sequence[PlaneSteps] | None = None
) -> tuple[Change, ...]:
    """Return the changes that make the parts of a plan beyond Azure RBAC stale."""
    steps: dict[str, PlaneSteps] = {one.plane: one for one in (PLANES if planes is None else planes)}
    return tuple(change for part in plan.parts for change in steps[part.plane].verify(table_of, part))
