"""Stand in for an opened store: the frames of a made-up tenant behind the methods that a workflow calls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from rightsize.analyze.graph_tables import GraphTables
from rightsize.analyze.inputs import Inputs, empty
from rightsize.store.connection import Store
from rightsize.store.ddl import create_statements


@cache
def _store_of_nothing() -> Store:
    connection = duckdb.connect()
    for statement in create_statements():
        connection.execute(statement)
    connection.execute("CREATE TABLE base.meta (name VARCHAR, value VARCHAR)")
    return Store(connection, Path(), read_only=True)


class FakeStore:
    """Hands out the tables it is given, other tables empty, and keeps the answers that are written."""

    def __init__(self, *held: Inputs | GraphTables) -> None:
        self.held = held
        self.answers: dict[str, pl.DataFrame] = {}

    def __enter__(self) -> FakeStore:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def table(self, name: str, **where: str) -> pl.DataFrame:
        """Return a table as it is held or was written."""
        if name in self.answers:
            return self.answers[name].filter(**where)
        found = [getattr(part, name) for part in self.held if hasattr(part, name)]
        return (pl.concat(found) if found else empty(name)).filter(**where)

    def frame(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pl.DataFrame:
        """Answer SQL as a store without a row does: single calls are not held."""
        return _store_of_nothing().frame(sql, parameters)

    def has_rows(self, name: str) -> bool:
        """Return whether a table has a row."""
        return not self.table(name).is_empty()

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Answer SQL as `frame` does, without frames."""
        return _store_of_nothing().rows(sql, parameters)

    def remembered(self, name: str) -> str | None:
        """Remember nothing, so that no analysis is stored."""
        return _store_of_nothing().remembered(name)

    def remember(self, name: str, value: str) -> None:
        """Forget what is to be remembered."""

    def release(self) -> None:
        """Hold no memory that could be given back."""

    @contextmanager
    def transaction(self, **_: bool) -> Iterator[duckdb.DuckDBPyConnection]:
        """Run the block on a database of its own, which nobody reads."""
        connection = duckdb.connect()
        for statement in create_statements():
            connection.execute(statement)
        connection.execute("CREATE TABLE base.meta (name VARCHAR, value VARCHAR)")
        yield connection

    def write_answer(self, name: str, rows: pl.DataFrame | Iterable[pl.DataFrame]) -> None:
        """Keep the rows of an answer."""
        self.answers[name] = rows if isinstance(rows, pl.DataFrame) else pl.concat([empty(name), *rows])
