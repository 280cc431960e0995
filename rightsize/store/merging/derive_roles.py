"""Derive permissions and granted operations from role definitions and the operation catalogue."""

from __future__ import annotations

import duckdb
import polars as pl

from rightsize.model.role_forms import permissions_from_json
from rightsize.rbac.expand import expand_roles
from rightsize.rules.operations import annotate, layers_of, planes_of
from rightsize.rules.operations import folded as folded_column
from rightsize.store.sql import registered


def derive_roles(con: duckdb.DuckDBPyConnection) -> None:
    """Fill the columns of `operations` that rules decide, `role_permissions`, and `role_operations`."""
    _annotate_operations(con)
    definitions = con.execute(
        "SELECT role_definition_id, permissions FROM base.role_definitions ORDER BY role_definition_id"
    ).fetchall()
    blocks = {role: permissions_from_json(text) for role, text in definitions}
    permissions = [
        (role, index, kind, pattern.strip(" "), block.condition)
        for role, role_blocks in blocks.items()
        for index, block in enumerate(role_blocks)
        for kind, patterns in (
            ("action", block.actions),
            ("not_action", block.not_actions),
            ("data_action", block.data_actions),
            ("not_data_action", block.not_data_actions),
        )
        for pattern in patterns
    ]
    schema = {"role": pl.String, "block": pl.Int64, "kind": pl.String, "pattern": pl.String, "condition": pl.String}
    frame = pl.DataFrame(permissions, schema=schema, orient="row").unique()
    _replace(con, "role_permissions", "role_definition_id, block, kind, pattern, condition", frame)
    operations = con.execute(
        "SELECT operation, CASE WHEN is_guess THEN NULL ELSE is_data_action END FROM base.operations ORDER BY operation"
    ).fetchall()
    granted = pl.DataFrame(
        list(expand_roles(blocks, [(name, planes_of(name, is_data_action=is_data)) for name, is_data in operations])),
        schema={"role": pl.String, "operation": pl.String, "plane": pl.String, "conditional": pl.Boolean},
        orient="row",
    )
    _replace(con, "role_operations", "role_definition_id, operation, plane, conditional", granted)


def _annotate_operations(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("""
        UPDATE base.operations SET provider = string_split(operation, '/')[1],
            verb = CASE WHEN translate(string_split(operation, '/')[-1], 'ABCDEFGHIJKLMNOPQRSTUVWXYZ',
                'abcdefghijklmnopqrstuvwxyz') IN ('read', 'write', 'delete', 'action')
                THEN translate(string_split(operation, '/')[-1], 'ABCDEFGHIJKLMNOPQRSTUVWXYZ',
                'abcdefghijklmnopqrstuvwxyz') ELSE '' END""")
    con.execute("""
        UPDATE base.operations SET resource_type = array_to_string(string_split(operation, '/')[
            1:len(string_split(operation, '/')) - CASE verb WHEN 'action' THEN 2 ELSE 1 END], '/')""")
    operations = pl.DataFrame(con.sql("SELECT * EXCLUDE (version) FROM base.operations"))
    if operations.is_empty():
        return
    # A guessed plane must not decide which log shows an operation.
    certain = operations.with_columns(
        pl.when(pl.col("is_guess").fill_null(False))
        .then(None)
        .otherwise(pl.col("is_data_action"))
        .alias("is_data_action")
    )
    rules = annotate(certain).select("operation", "risk", "layer", "observable_by", "unobservable_reason")
    with registered(con, {"rule_rows": rules}):
        con.execute("""
            UPDATE base.operations AS o SET risk = r.risk, layer = r.layer, observable_by = r.observable_by,
                unobservable_reason = r.unobservable_reason
            FROM rule_rows AS r WHERE r.operation = o.operation""")
    _replace(con, "operation_layers", "operation, layer, plane, effect, control", _operation_layers(certain))


def _operation_layers(operations: pl.DataFrame) -> pl.DataFrame:
    named = operations.select(
        "operation",
        name=folded_column(operations["operation"]),
        plane=pl.when(pl.col("is_data_action")).then(pl.lit("data")).otherwise(pl.lit("control")),
    )
    found = layers_of(named.select("name", "plane").unique())
    return named.join(found, on=["name", "plane"]).select("operation", "layer", "plane", "effect", "control")


def _replace(con: duckdb.DuckDBPyConnection, name: str, columns: str, frame: pl.DataFrame) -> None:
    con.execute(f"DELETE FROM base.{name}")
    with registered(con, {"derived_rows": frame}):
        con.execute(f"INSERT INTO base.{name} ({columns}) SELECT * FROM derived_rows")
