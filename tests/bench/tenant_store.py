"""Write generated tables as a store, without the exports they would come from."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import duckdb

from rightsize.analyze.inputs import Inputs
from rightsize.store.connection import open_store
from rightsize.store.sql import folded

_KEYED = ("usage_days", "scopes", "coverage")
"""Tables that a store keeps in another form than the one in which they are read."""
_NAMES = {
    "scope_names": "SELECT scope AS name FROM made_usage_days UNION SELECT scope FROM made_scopes",
    "operation_names": "SELECT DISTINCT operation AS name FROM made_usage_days",
}


def write_store(inputs: Inputs, path: Path) -> None:
    """Write the tables into a new store."""
    with open_store(path, read_only=False) as store, store.transaction() as connection:
        for field in fields(inputs):
            rows = getattr(inputs, field.name)
            connection.register(f"made_{field.name}", rows)
            if field.name not in _KEYED and not rows.is_empty():
                kept = ", ".join(f'"{name}"' for name in rows.columns if name in _columns(connection, field.name))
                connection.execute(f"INSERT INTO base.{field.name} BY NAME SELECT {kept} FROM made_{field.name}")
        _write_keyed(connection)


def _columns(connection: duckdb.DuckDBPyConnection, table: str) -> set[str]:
    """Return the columns that a table stores: others are computed where it is read."""
    return {row[0] for row in connection.execute(f"DESCRIBE base.{table}").fetchall()}


def _write_keyed(connection: duckdb.DuckDBPyConnection) -> None:
    for name, query in _NAMES.items():
        connection.execute(f"""
            INSERT INTO base.{name} BY NAME
            SELECT row_number() OVER (ORDER BY name) AS {name.removesuffix("s").removesuffix("_name")}_key,
                {folded("name")} AS folded, name AS earliest, name AS smallest, name AS spelling, false AS stale
            FROM ({query})""")
    connection.execute("""
        INSERT INTO base.actors BY NAME
        SELECT row_number() OVER (ORDER BY principal_id) AS actor_key, principal_id AS actor, principal_id
        FROM (SELECT DISTINCT principal_id FROM made_usage_days)""")
    connection.execute("""
        INSERT INTO base.assignment_names
        SELECT row_number() OVER (ORDER BY role_assignment_id), role_assignment_id
        FROM (SELECT DISTINCT role_assignment_id FROM made_usage_days WHERE role_assignment_id IS NOT NULL)""")
    connection.execute(f"""
        INSERT INTO base.scopes BY NAME
        SELECT {folded("scope")} AS folded, {folded("parent_scope")} AS parent, kind, listed FROM made_scopes""")
    connection.execute(f"""
        INSERT INTO base.coverage BY NAME
        SELECT * REPLACE ({folded("scope")} AS scope) FROM made_coverage""")
    connection.execute("""
        INSERT INTO base.usage_days BY NAME
        SELECT a.actor_key, o.operation_key, s.scope_key, u.plane, r.assignment_key, u.day, u.first_seen, u.last_seen,
            u.succeeded, u.failed, u.started, u.denied, u.suspect
        FROM made_usage_days AS u JOIN base.actors AS a ON a.actor = u.principal_id
        JOIN base.operation_names AS o ON o.spelling = u.operation
        JOIN base.scope_names AS s ON s.spelling = u.scope
        LEFT JOIN base.assignment_names AS r USING (role_assignment_id)""")
