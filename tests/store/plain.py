"""Build stores from rows by hand: with plain tables in place of the views, or as a store that opens like any other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from rightsize.analyze.inputs import schema_of
from rightsize.model.tables import TABLES, table
from rightsize.model.text import fold
from rightsize.store.connection import Store, open_store

Rows = Mapping[str, Sequence[Mapping[str, Any]]]


def make_store(path: Path, rows: Rows) -> Path:
    """Write a store whose views say these rows, and return its path; no row of use names an assignment."""
    with open_store(path, read_only=False) as store:
        for name, records in rows.items():
            numbered = {"scopes": _scopes, "usage_days": _usage}.get(name)
            if numbered is None:
                stored = {column.name for column in table(name).given}
                types = {column: kind for column, kind in schema_of(name).items() if column in stored}
                _insert(store, f"base.{name}", records, types)
                continue
            for physical, filled in numbered(records).items():
                _insert(store, f"base.{physical}", filled, None)
    return path


def _scopes(records: Sequence[Mapping[str, Any]]) -> Rows:
    kept = ("kind", "subscription_id", "resource_type", "display_name", "listed")
    return {
        "scope_names": [{"folded": fold(row["scope"]), "spelling": row["scope"]} for row in records],
        "scopes": [
            {"folded": fold(row["scope"]), "parent": fold(row["parent_scope"]) if row.get("parent_scope") else None}
            | {name: row.get(name) for name in kept}
            for row in records
        ],
    }


def _usage(records: Sequence[Mapping[str, Any]]) -> Rows:
    """Give each row an actor, an operation and a scope of its own."""
    keys = range(1000, 1000 + len(records))
    kept = ("plane", "day", "first_seen", "last_seen", "succeeded", "failed", "started", "denied", "suspect")
    numbered = list(zip(keys, records, strict=True))
    return {
        "actors": [
            {"actor_key": key, "principal_id": row.get("principal_id"), "principal_name": row.get("principal_name")}
            for key, row in numbered
        ],
        "operation_names": [
            {"operation_key": key, "folded": fold(row["operation"]), "spelling": row["operation"]}
            for key, row in numbered
        ],
        "scope_names": [{"scope_key": key, "spelling": row["scope"]} for key, row in numbered],
        "usage_days": [
            {"actor_key": key, "operation_key": key, "scope_key": key} | {name: row.get(name) for name in kept}
            for key, row in numbered
        ],
    }


def _insert(store: Store, table: str, records: Sequence[Mapping[str, Any]], types: Any) -> None:
    if not records:
        return
    complete = records if types is None else [{column: row.get(column) for column in types} for row in records]
    store.connection.register("hand_rows", pl.DataFrame(complete, schema=types, infer_schema_length=None))
    store.connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM hand_rows")
    store.connection.unregister("hand_rows")


def open_plain(path: Path) -> Store:
    """Make a store with plain tables in place of the views, empty and open for writing; it opens no second time."""
    store = open_store(path, read_only=False)
    for declared in TABLES:
        columns = ", ".join(f'"{column.name}" {column.type.value}' for column in declared.columns)
        store.connection.execute(f"DROP VIEW main.{declared.name}")
        store.connection.execute(f"CREATE TABLE main.{declared.name} ({columns})")
    return store


def empty(store: Store, names: Iterable[str]) -> None:
    """Take all rows out of the tables of these names."""
    for name in names:
        store.connection.execute(f"DELETE FROM main.{name}")


def fill(store: Store, rows: Rows) -> None:
    """Put rows into its tables; a column that is not named is null."""
    for name, records in rows.items():
        types = schema_of(name)
        assert not {column for row in records for column in row} - set(types), "a column that the table has not"
        _insert(store, f"main.{name}", records, types)
