"""Judge the planes beyond Azure RBAC from the tables of the store, without what plans need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import polars as pl

from rightsize.analyze.graph_tables import GraphTables, graph_window
from rightsize.analyze.planes import PlaneAnalysis
from rightsize.analyze.window import Window
from rightsize.model.nouns import Plane
from rightsize.model.options import WindowOptions
from rightsize.model.progress import through
from rightsize.planes.directory.judge import DirectoryAnalysis, analyse_directory
from rightsize.planes.directory.tables import DirectoryTables, directory_window
from rightsize.planes.federated.judge import TrustAnalysis, analyse_trust
from rightsize.planes.federated.tables import TrustTables, trust_window
from rightsize.planes.graph.judge import GraphAnalysis, analyse_graph
from rightsize.planes.vaults.judge import VaultAnalysis, analyse_vaults
from rightsize.planes.vaults.tables import VaultTables, vault_window

TableOf = Callable[[str], pl.DataFrame]


class _Tables(Protocol):
    @property
    def is_empty(self) -> bool: ...


T = TypeVar("T", bound=_Tables)
A = TypeVar("A", bound=PlaneAnalysis)


@dataclass(frozen=True, slots=True)
class PlaneJudge(Generic[T, A]):
    """The functions that judge a plane: they read its tables, choose the window, and judge every grant over it."""

    plane: Plane
    read: Callable[[TableOf], T]
    window_of: Callable[[T, WindowOptions], Window]
    analyse: Callable[[T, Window], A]

    def judge(self, table_of: TableOf, asked: WindowOptions) -> A | None:
        """Return the analysis of the plane; None where nothing of it is loaded.

        Without `as_of` the window ends with the newest day that the plane's own log covers.
        """
        tables = self.read(table_of)
        return None if tables.is_empty else self.analyse(tables, self.window_of(tables, asked))


GRAPH: PlaneJudge[GraphTables, GraphAnalysis] = PlaneJudge("graph", GraphTables.read, graph_window, analyse_graph)
DIRECTORY: PlaneJudge[DirectoryTables, DirectoryAnalysis] = PlaneJudge(
    "directory", DirectoryTables.read, directory_window, analyse_directory
)
TRUST: PlaneJudge[TrustTables, TrustAnalysis] = PlaneJudge("trust", TrustTables.read, trust_window, analyse_trust)
VAULTS: PlaneJudge[VaultTables, VaultAnalysis] = PlaneJudge("vault", VaultTables.read, vault_window, analyse_vaults)

JUDGING = "judging Graph, directory roles, trust and vaults"
"""What the progress of judging every plane is called."""
_JUDGES: tuple[PlaneJudge[Any, Any], ...] = (GRAPH, DIRECTORY, TRUST, VAULTS)


def analyse_planes(table_of: TableOf, asked: WindowOptions) -> list[PlaneAnalysis]:
    """Return the analysis of every plane of which something is loaded."""
    found = (one.judge(table_of, asked) for one in through(_JUDGES, JUDGING, "planes"))
    return [analysis for analysis in found if analysis is not None]
