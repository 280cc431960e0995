"""Judge, plan and verify the plane of Microsoft Graph from the tables of the store."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import polars as pl

from rightsize.analyze.graph.judge import GraphAnalysis, analyse_graph
from rightsize.analyze.graph.tables import GraphTables, graph_window
from rightsize.analyze.window import Window
from rightsize.propose.graph.cover import cheapest_cover
from rightsize.workflow.plane_steps import PlaneSteps, TableOf

if TYPE_CHECKING:  # judging needs no planner, whose import takes longer than judging a plane
    from rightsize.model.plan import PlanePart
    from rightsize.propose.core.options import PlanOptions
    from rightsize.propose.verify.plan_reader import WrittenPart
    from rightsize.propose.verify.verify import Change


@dataclass(frozen=True, slots=True)
class GraphJudged:
    """The verdicts on permissions of Microsoft Graph."""

    analysis: GraphAnalysis

    def plan(self, options: PlanOptions) -> PlanePart:
        """Return the Graph part of the plan, with its files."""
        from rightsize.propose.graph.plan import plan_graph  # noqa: PLC0415
        from rightsize.render.plane_requests import graph_files  # noqa: PLC0415

        part = plan_graph(self.analysis, options)
        listed = self.analysis.clients.filter(pl.col("app_id").is_not_null())
        app_ids = dict(listed.select("client_id", "app_id").iter_rows())
        apis = {app_id: client for client, app_id in sorted(app_ids.items(), reverse=True)}
        return replace(part, files=graph_files(part, app_ids, apis))


def judge_graph(
    table_of: TableOf, as_of: dt.date | None, days: int | None, forget_days: int, min_days: int | None = None
) -> GraphJudged | None:
    """Return verdicts on every Graph permission that is held; None where no data about Graph is loaded."""
    tables = GraphTables.read(table_of)
    if tables.is_empty:
        return None
    return GraphJudged(_analysed(tables, graph_window(tables, as_of, days, forget_days, min_days)))


def verify_part(table_of: TableOf, part: WrittenPart) -> Sequence[Change]:
    """Return what makes a written part of a plan stale, over its window and every day since."""
    from rightsize.propose.graph.verify import verify_graph  # noqa: PLC0415

    tables = GraphTables.read(table_of)
    newest = max([part.window.last_day, *tables.graph_usage_days["day"].drop_nulls().unique()])
    window = replace(part.window.remembered, last_day=newest)
    return verify_graph(part, _analysed(tables, window))


def _analysed(tables: GraphTables, window: Window) -> GraphAnalysis:
    return analyse_graph(tables, window, cheapest_cover)


GRAPH = PlaneSteps("graph", judge_graph, verify_part)
