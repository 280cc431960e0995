"""Judge, plan and verify the planes beyond Azure RBAC from the tables of the store.

The planes are Microsoft Graph, directory roles and federated credentials; `PlaneSteps` is what each of them offers.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import polars as pl

from rightsize.analyze.graph_tables import GraphTables, graph_window
from rightsize.analyze.planes import PlaneAnalysis
from rightsize.analyze.window import Window
from rightsize.model.nouns import Plane
from rightsize.planes.directory.judge import DirectoryAnalysis, analyse_directory
from rightsize.planes.directory.tables import DirectoryTables, directory_window
from rightsize.planes.federated.judge import TrustAnalysis, analyse_trust
from rightsize.planes.federated.tables import TrustTables, trust_window
from rightsize.planes.graph.judge import GraphAnalysis, analyse_graph, cheapest_cover

if TYPE_CHECKING:
    from rightsize.model.plan import PlanePart
    from rightsize.propose.core.options import PlanOptions
    from rightsize.propose.verify.plan_reader import WrittenPart
    from rightsize.propose.verify.verify import Change


TableOf = Callable[[str], pl.DataFrame]


class Judged(Protocol):
    """A judged plane: its analysis, and a way to plan from it."""

    @property
    def analysis(self) -> PlaneAnalysis:
        """The analysis of the plane."""
        ...

    def plan(self, options: PlanOptions) -> PlanePart:
        """Return the plane's part of the plan."""
        ...


@dataclass(frozen=True, slots=True)
class PlaneSteps:
    """The functions that judge and verify a plane.

    Attributes:
        plane: The name of the plane.
        judge: Judges every grant of the plane over the `days` days before `as_of`, with use that is at most
            `forget_days` old as evidence too, and with logs that cover `min_days` (`Window`); None where nothing of
            the plane is loaded. Without `as_of` the window ends with the newest day that the plane's own log covers.
        verify: Returns what makes a written part stale, or what the part does not cover, by the tables of today.
    """

    plane: Plane
    judge: Callable[[TableOf, dt.date | None, int | None, int, int | None], Judged | None]
    verify: Callable[[TableOf, WrittenPart], Sequence[Change]]


@dataclass(frozen=True, slots=True)
class GraphJudged:
    """The verdicts on permissions of Microsoft Graph."""

    analysis: GraphAnalysis

    def plan(self, options: PlanOptions) -> PlanePart:
        """Return the Graph part of the plan, with its files."""
        from rightsize.planes.graph.plan import plan_graph  # noqa: PLC0415
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


def verify_graph_part(table_of: TableOf, part: WrittenPart) -> Sequence[Change]:
    """Return what makes a written part of a plan stale, over its window and every day since."""
    from rightsize.planes.verify import verify_graph  # noqa: PLC0415

    tables = GraphTables.read(table_of)
    newest = max([part.window.last_day, *tables.graph_usage_days["day"].drop_nulls().unique()])
    window = replace(part.window.remembered, last_day=newest)
    return verify_graph(part, _analysed(tables, window))


def _analysed(tables: GraphTables, window: Window) -> GraphAnalysis:
    return analyse_graph(tables, window, cheapest_cover)


GRAPH = PlaneSteps("graph", judge_graph, verify_graph_part)


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
        from rightsize.planes.directory.plan import plan_directory  # noqa: PLC0415

        return plan_directory(self.found, options)


def judge_directory(
    table_of: TableOf, as_of: dt.date | None, days: int | None, forget_days: int, min_days: int | None = None
) -> DirectoryJudged | None:
    """Return verdicts on every directory role that a principal holds; None where no assignments of them are loaded."""
    tables = DirectoryTables.read(table_of)
    if tables.is_empty:
        return None
    return DirectoryJudged(analyse_directory(tables, directory_window(tables, as_of, days, forget_days, min_days)))


def verify_directory_part(table_of: TableOf, part: WrittenPart) -> Sequence[Change]:
    """Return what makes a written part of a plan stale, over its window and every day since."""
    from rightsize.planes.verify import verify_directory  # noqa: PLC0415

    tables = DirectoryTables.read(table_of)
    newest = max([part.window.last_day, *tables.days["day"].drop_nulls().unique()])
    window = replace(part.window.remembered, last_day=newest)
    return verify_directory(part, analyse_directory(tables, window))


DIRECTORY = PlaneSteps("directory", judge_directory, verify_directory_part)


@dataclass(frozen=True, slots=True)
class TrustJudged:
    """The verdicts on federated credentials."""

    analysis: TrustAnalysis

    def plan(self, options: PlanOptions) -> PlanePart:
        """Return the part of the plan for federated credentials, with its files."""
        from rightsize.planes.federated.plan import plan_trust  # noqa: PLC0415
        from rightsize.render.plane_requests import trust_files  # noqa: PLC0415

        part = plan_trust(self.analysis, options)
        return replace(part, files=trust_files(part))


def judge_trust(
    table_of: TableOf, as_of: dt.date | None, days: int | None, forget_days: int, min_days: int | None = None
) -> TrustJudged | None:
    """Return verdicts on every federated credential; None where none is loaded."""
    tables = TrustTables.read(table_of)
    if tables.is_empty:
        return None
    return TrustJudged(analyse_trust(tables, trust_window(tables, as_of, days, forget_days, min_days)))


def verify_trust_part(table_of: TableOf, part: WrittenPart) -> Sequence[Change]:
    """Return what makes a written part of a plan stale, over its window and every day since."""
    from rightsize.planes.verify import verify_trust  # noqa: PLC0415

    tables = TrustTables.read(table_of)
    seen = [] if tables.is_empty else tables.sign_ins["day"].drop_nulls().unique().to_list()
    window = replace(part.window.remembered, last_day=max([part.window.last_day, *seen]))
    return verify_trust(part, analyse_trust(tables, window))


TRUST = PlaneSteps("trust", judge_trust, verify_trust_part)
