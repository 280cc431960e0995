"""Build stores whose tables and views are plain tables of the model, so that tests insert rows directly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from rightsize.analyze.inputs import schema_of
from rightsize.model.tables import TABLES
from rightsize.store.connection import Store, open_store

Rows = Mapping[str, Sequence[Mapping[str, Any]]]


def open_plain(path: Path) -> Store:
    """Make such a store, empty and open for writing."""
    store = open_store(path, read_only=False)
    for declared in TABLES:
        columns = ", ".join(f'"{column.name}" {column.type.value}' for column in declared.columns)
        store.connection.execute(f"DROP VIEW main.{declared.name}")
        store.connection.execute(f"CREATE TABLE main.{declared.name} ({columns})")
    return store


def empty(store: Store) -> None:
    """Take all rows out of it."""
    for declared in TABLES:
        store.connection.execute(f"DELETE FROM main.{declared.name}")


def fill(store: Store, rows: Rows) -> None:
    """Put rows into its tables; a column that is not named is null."""
    for name, records in rows.items():
        types = schema_of(name)
        complete = [{column: row.get(column) for column in types} for row in records]
        assert not {column for row in records for column in row} - set(types), "a column that the table has not"
        store.connection.register("hand_rows", pl.DataFrame(complete, schema=types, orient="row"))
        store.connection.execute(f"INSERT INTO main.{name} BY NAME SELECT * FROM hand_rows")
        store.connection.unregister("hand_rows")
