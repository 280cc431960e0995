"""Judge, plan and verify the planes beyond Azure RBAC from the tables of the store.

The planes are Microsoft Graph, directory roles, federated credentials and access policies of key vaults. `PlaneSteps`
is what each of them offers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

import polars as pl

from rightsize.analyze.graph_tables import GraphTables, graph_window
from rightsize.analyze.planes import PlaneAnalysis
from rightsize.analyze.window import Window
from rightsize.model.nouns import Plane
from rightsize.model.options import WindowOptions
from rightsize.planes.directory.judge import DirectoryAnalysis, analyse_directory
from rightsize.planes.directory.tables import DirectoryTables, directory_window
from rightsize.planes.federated.judge import TrustAnalysis, analyse_trust
from rightsize.planes.federated.tables import TrustTables, trust_window
from rightsize.planes.graph.judge import GraphAnalysis, analyse_graph
from rightsize.planes.vaults.judge import VaultAnalysis, analyse_vaults
from rightsize.planes.vaults.tables import VaultTables, vault_window

if TYPE_CHECKING:
    from rightsize.model.plan import PlanePart
    from rightsize.propose.core.options import PlanOptions
    from rightsize.propose.verify.plan_reader import WrittenPart
    from rightsize.propose.verify.verify import Change


TableOf = Callable[[str], pl.DataFrame]


@dataclass(frozen=True, slots=True)
class Judged:
    """A judged plane: its analysis, and a way to make the plane's part of the plan from it, with its files."""

    analysis: PlaneAnalysis
    plan: Callable[[PlanOptions], PlanePart]


@dataclass(frozen=True, slots=True)
class PlaneSteps:
    """The functions that judge and verify a plane.

    Attributes:
        judge: Judges every grant of the plane over a window; None where nothing of the plane is loaded. Without `as_of`
            the window ends with the newest day that the plane's own log covers.
        verify: Returns what makes a written part stale, or what the part does not cover, by the tables of today, over
            its window and every day since.
    """

    plane: Plane
    judge: Callable[[TableOf, WindowOptions], Judged | None]
    verify: Callable[[TableOf, WrittenPart], Sequence[Change]]


class _Tables(Protocol):
    @property
    def is_empty(self) -> bool: ...


_T = TypeVar("_T", bound=_Tables)
_A = TypeVar("_A", bound=PlaneAnalysis)


def _steps(
    plane: Plane,
    read: Callable[[TableOf], _T],
    window_of: Callable[[_T, WindowOptions], Window],
    analyse: Callable[[_T, Window], _A],
    days_of_use: Callable[[_T], pl.Series],
    plan: Callable[[_A, PlanOptions], PlanePart],
) -> PlaneSteps:
    def judge(table_of: TableOf, asked: WindowOptions) -> Judged | None:
        tables = read(table_of)
        if tables.is_empty:
            return None
        analysis = analyse(tables, window_of(tables, asked))
        return Judged(analysis, partial(plan, analysis))

    def verify_part(table_of: TableOf, part: WrittenPart) -> Sequence[Change]:
        from rightsize.planes.verify import VERIFIERS  # noqa: PLC0415

        tables = read(table_of)
        newest = max([part.window.last_day, *days_of_use(tables).drop_nulls().unique()])
        return VERIFIERS[plane](part, analyse(tables, replace(part.window.remembered, last_day=newest)))

    return PlaneSteps(plane, judge, verify_part)


# Planning and verifying are imported when they are asked for: `analyze` needs neither.
def _plan_graph(analysis: GraphAnalysis, options: PlanOptions) -> PlanePart:
    from rightsize.planes.graph.plan import plan_graph  # noqa: PLC0415
    from rightsize.render.plane_requests import graph_files  # noqa: PLC0415

    part = plan_graph(analysis, options)
    listed = analysis.clients.filter(pl.col("app_id").is_not_null())
    app_ids = dict(listed.select("client_id", "app_id").iter_rows())
    apis = {app_id: client for client, app_id in sorted(app_ids.items(), reverse=True)}
    return replace(part, files=graph_files(part, app_ids, apis))


def _plan_directory(analysis: DirectoryAnalysis, options: PlanOptions) -> PlanePart:
    from rightsize.planes.directory.plan import plan_directory  # noqa: PLC0415

    return plan_directory(analysis, options)


def _plan_trust(analysis: TrustAnalysis, options: PlanOptions) -> PlanePart:
    from rightsize.planes.federated.plan import plan_trust  # noqa: PLC0415
    from rightsize.render.plane_requests import trust_files  # noqa: PLC0415

    part = plan_trust(analysis, options)
    return replace(part, files=trust_files(part))


def _plan_vaults(analysis: VaultAnalysis, options: PlanOptions) -> PlanePart:
    from rightsize.planes.vaults.plan import plan_vaults  # noqa: PLC0415
    from rightsize.render.vault_requests import vault_files  # noqa: PLC0415

    part = plan_vaults(analysis, options)
    return replace(part, files=vault_files(part))


def _days_of_sign_ins(tables: TrustTables) -> pl.Series:
    return pl.Series(dtype=pl.Date) if tables.is_empty else tables.sign_ins["day"]


def _days_of_vaults(tables: VaultTables) -> pl.Series:
    return pl.Series(dtype=pl.Date) if tables.is_empty else tables.use["day"]


GRAPH = _steps(
    "graph", GraphTables.read, graph_window, analyse_graph, lambda tables: tables.graph_usage_days["day"],
    _plan_graph,
)  # fmt: skip
DIRECTORY = _steps(
    "directory", DirectoryTables.read, directory_window, analyse_directory, lambda tables: tables.days["day"],
    _plan_directory,
)  # fmt: skip
TRUST = _steps(
    "trust", TrustTables.read, trust_window, analyse_trust, _days_of_sign_ins,
    _plan_trust,
)  # fmt: skip
VAULTS = _steps(
    "vault", VaultTables.read, vault_window, analyse_vaults, _days_of_vaults,
    _plan_vaults,
)  # fmt: skip
