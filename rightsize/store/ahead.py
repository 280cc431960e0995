"""What a store is asked before it is known of whom: by two threads, while what judges the answers is still imported."""

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
"""Tables that say whom a name means."""


class Ahead:
    """Two threads that ask a store; leaving the `with` block ends them.

    Attributes:
        store: The store.
        finding: The thread that works with temporary tables of the store's connection.
        laid_out: Done when those are there that rest on no principal.
        coming: The tables of `NAMING`, which the other thread reads.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        # What is found is found by one statement after the other, most of them on one core.
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
        """Return the tables that are read already, and those of these names, which are read now, in this order."""
        return self._read(name for name in names if name not in self.coming) | self.coming

    def _read(self, names: Iterable[str]) -> dict[str, Future[pl.DataFrame]]:
        return {name: self._reading.submit(self.store.table, name) for name in names}

    def _lay_out(self) -> None:
        for statement in TABLES:
            self.store.connection.execute(statement)
