"""Run statements in one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import duckdb


@contextmanager
def one_transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Commit what the block wrote, or nothing of it if it raises; the first error is the one that is raised."""
    connection.execute("BEGIN")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # DuckDB ends a transaction itself where the disk is full, and then has none to roll back.
        with suppress(duckdb.Error):
            connection.execute("ROLLBACK")
        raise
