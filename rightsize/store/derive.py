"""What follows from the loaded tables: aliases, the closure of groups, the tree of scopes, what roles grant."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import polars as pl

from rightsize.model.role_forms import permissions_from_json
from rightsize.rbac.expand import expand_roles
from rightsize.rbac.text import fold
from rightsize.rules.layers import layers_of
from rightsize.rules.matching import folded as folded_column
from rightsize.rules.operations import annotate, dual_operations
from rightsize.store.scope_forms import form_scopes
from rightsize.store.sql import folded


def derive_aliases(con: duckdb.DuckDBPyConnection) -> None:
    """Fill `principal_aliases` from the directory, and from the days of calls that name both an alias and an object id.

    A name that means two principals resolves to neither: UPNs are given to new people, and a wrong name on a call
    would be somebody else's least privilege.
    """
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE known_aliases AS
        SELECT 'upn' AS kind, {folded("user_principal_name")} AS alias, principal_id FROM base.principals
        WHERE user_principal_name IS NOT NULL
        UNION SELECT 'app_id', {folded("app_id")}, principal_id FROM base.principals WHERE app_id IS NOT NULL
        UNION SELECT kind, alias, principal_id FROM base.alias_days""")
    con.execute("DELETE FROM base.principal_aliases")
    con.execute("""
        INSERT INTO base.principal_aliases (kind, alias, principal_id)
        SELECT kind, alias, min(principal_id) FROM known_aliases
        GROUP BY kind, alias HAVING count(DISTINCT principal_id) = 1""")


def derive_closure(con: duckdb.DuckDBPyConnection) -> None:
    """Fill `group_closure`, one step of depth at a time; a pair that is known ends its chain, so cycles end too."""
    con.execute("DELETE FROM base.group_closure")
    con.execute("""
        INSERT INTO base.group_closure (group_id, member_id, depth)
        SELECT DISTINCT group_id, member_id, 1 FROM base.group_members
        WHERE listing = 'members' AND group_id <> member_id""")
    depth = 1
    while con.execute("SELECT 1 FROM base.group_closure WHERE depth = ? LIMIT 1", [depth]).fetchone():
        con.execute(
            """
            INSERT INTO base.group_closure (group_id, member_id, depth)
            SELECT DISTINCT m.group_id, c.member_id, $depth + 1
            FROM base.group_members AS m JOIN base.group_closure AS c ON c.group_id = m.member_id
            WHERE m.listing = 'members' AND c.depth = $depth AND m.group_id <> c.member_id AND NOT EXISTS (
                SELECT 1 FROM base.group_closure AS k WHERE k.group_id = m.group_id AND k.member_id = c.member_id)""",
            {"depth": depth},
        )
        depth += 1
    con.execute("""
        INSERT INTO base.group_closure (group_id, member_id)
        SELECT DISTINCT group_id, member_id FROM base.group_members AS m
        WHERE listing <> 'members' AND group_id <> member_id AND NOT EXISTS (
            SELECT 1 FROM base.group_closure AS k WHERE k.group_id = m.group_id AND k.member_id = m.member_id)""")


def derive_scopes(con: duckdb.DuckDBPyConnection) -> None:
    """Fill `scopes` anew for the names that are stale, which ends that, and for what the load's listings name.

    What a listing says of a scope changes with listings only, and everything else with the name's spelling.
    """
    form_scopes(con, "SELECT folded FROM base.scope_names WHERE stale")
    form_scopes(con, "SELECT scope AS folded FROM base.scope_listings")
    con.execute("""
        CREATE OR REPLACE TEMP TABLE renewed_scopes AS
        SELECT folded FROM base.scope_names WHERE stale UNION SELECT scope FROM base.scope_listings""")
    con.execute("DELETE FROM base.scopes WHERE folded IN (SELECT folded FROM renewed_scopes)")
    con.execute(f"""
        INSERT INTO base.scopes BY NAME
        SELECT folded, f.kind,
            CASE WHEN f.kind IN ('subscription', 'management_group')
                THEN coalesce({folded("l.parent_scope")}, '/') ELSE s.parent END AS parent,
            CASE WHEN f.in_subscription THEN split_part(folded, '/', 3) END AS subscription_id,
            CASE WHEN f.in_resource_group THEN split_part(folded, '/', 5) END AS resource_group,
            CASE WHEN len(f.type_steps) > 0 THEN
                array_to_string(list_select(string_split(n.spelling, '/'), f.type_steps), '/') END AS resource_type,
            l.display_name, l.scope IS NOT NULL AS listed
        FROM renewed_scopes JOIN base.scope_names AS n USING (folded) JOIN formed_scopes AS s USING (folded)
        JOIN scope_forms AS f USING (form) LEFT JOIN base.scope_listings AS l ON l.scope = folded""")
    con.execute("UPDATE base.scope_names SET stale = false WHERE stale")
    con.execute("DROP TABLE renewed_scopes")


def derive_roles(con: duckdb.DuckDBPyConnection) -> None:
    """Fill the rules' columns of `operations`, `role_permissions`, and `role_operations` over the catalogue."""
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
        list(expand_roles(blocks, _on_both_planes(operations))),
        schema={"role": pl.String, "operation": pl.String, "plane": pl.String, "conditional": pl.Boolean},
        orient="row",
    )
    _replace(con, "role_operations", "role_definition_id, operation, plane, conditional", granted)


def _on_both_planes(operations: Sequence[tuple[str, bool | None]]) -> list[tuple[str, bool | None]]:
    """Leave the plane open of what Azure has on both, so that the roles decide."""
    both = dual_operations()
    return [(name, None if fold(name) in both else is_data) for name, is_data in operations]


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
    operations = con.sql("SELECT * EXCLUDE (version) FROM base.operations").pl()
    if operations.is_empty():
        return
    # A plane that is only a guess must not decide which log shows an operation.
    certain = operations.with_columns(
        pl.when(pl.col("is_guess").fill_null(False))
        .then(None)
        .otherwise(pl.col("is_data_action"))
        .alias("is_data_action")
    )
    rules = annotate(certain).select("operation", "risk", "layer", "observable_by", "unobservable_reason")
    con.register("rule_rows", rules)
    con.execute("""
        UPDATE base.operations AS o SET risk = r.risk, layer = r.layer, observable_by = r.observable_by,
            unobservable_reason = r.unobservable_reason
        FROM rule_rows AS r WHERE r.operation = o.operation""")
    con.unregister("rule_rows")
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
    con.register("derived_rows", frame)
    con.execute(f"INSERT INTO base.{name} ({columns}) SELECT * FROM derived_rows")
    con.unregister("derived_rows")
