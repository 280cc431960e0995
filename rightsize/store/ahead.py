"""Prefetch the tables that no principal decides, in two threads, while modules import."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rightsize.store.concern_sql import TABLES
from rightsize.store.connection import Store

if TYPE_CHECKING:
    import polars as pl

NAMING = ("principals", "principal_aliases", "role_assignments", "group_members", "group_closure", "listings")
"""The tables that resolve a name to a principal."""
GRANTED = ("role_definitions", "role_permissions", "role_operations", "operations")
"""The tables that decide which operations roles grant."""


class Ahead:
    """Two threads that query a store ahead; leaving the `with` block ends them.

    Attributes:
        store: The store.
        finding: The thread that uses temporary tables of the store's connection.
        laid_out: Done when the temporary tables that depend on no principal exist.
        coming: The tables of `NAMING`, which the other thread reads.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        # The statements run one after the other, most of them on one core.
        self.finding = ThreadPoolExecutor(max_workers=1)
        self._reading = ThreadPoolExecutor(max_workers=1)
        self.laid_out = self.finding.submit(self._lay_out)
        self.coming = self._read(NAMING)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for thread in (self.finding, self._reading):
            thread.shutdown(cancel_futures=True)

    def read_too(self, names: Iterable[str]) -> dict[str, Future[pl.DataFrame]]:
        """Start to read further tables, in this order; return them with the tables already being read."""
        return self._read(name for name in names if name not in self.coming) | self.coming

    def _read(self, names: Iterable[str]) -> dict[str, Future[pl.DataFrame]]:
        return {name: self._reading.submit(self.store.table, name) for name in names}

    def _lay_out(self) -> None:
        for statement in TABLES:
            self.store.connection.execute(statement)
