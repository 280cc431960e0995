"""How operations and scopes are spelt: as ARM spells them where the catalogue knows it, else as the earliest event did.

Logs write `MICROSOFT.COMPUTE/VIRTUALMACHINES` as readily as `Microsoft.Compute/virtualMachines`; everything compares
folded, and is shown in one spelling that does not depend on the order of loads.
"""

from __future__ import annotations

import duckdb

from rightsize.store.merge_events import merge_names
from rightsize.store.sql import folded

# Steps of a scope that no catalogue of operations lists as types.
_FIXED = (
    "subscriptions",
    "resourceGroups",
    "providers",
    "Microsoft.Management",
    "Microsoft.Management/managementGroups",
    "Microsoft.Authorization",
)


def name_listed_scopes(con: duckdb.DuckDBPyConnection) -> None:
    """Number every scope that a listing, an assignment or a deny names, and every scope above one."""
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE staged_names AS
        SELECT folded, NULL::VARCHAR AS earliest, min(scope) AS smallest FROM (
            SELECT {folded("scope")} AS folded, scope FROM stage_scope_listings
            UNION ALL SELECT {folded("parent_scope")}, parent_scope FROM stage_scope_listings
            UNION ALL SELECT {folded("scope")}, scope FROM stage_role_assignments
            UNION ALL SELECT {folded("scope")}, scope FROM stage_deny_assignments
            UNION ALL SELECT '/', '/'
        ) WHERE scope IS NOT NULL GROUP BY folded""")
    merge_names(con, "scope_names")

    def beginning(text: str) -> str:
        return f"CASE WHEN parent = '/' THEN '/' ELSE substr({text}, 1, length(parent)) END"

    con.execute("CREATE OR REPLACE TEMP TABLE frontier AS SELECT folded FROM base.scope_names WHERE stale")
    while con.execute("SELECT 1 FROM frontier LIMIT 1").fetchone():
        # A parent is spelt as its earliest child spells it: what names a scope names all scopes above it.
        con.execute(f"""
            CREATE OR REPLACE TEMP TABLE staged_names AS
            SELECT parent AS folded, min(substr(earliest, 1, 20) || {beginning("substr(earliest, 21)")}) AS earliest,
                min({beginning("smallest")}) AS smallest
            FROM (
                SELECT {parent_text("folded")} AS parent, earliest, smallest
                FROM frontier JOIN base.scope_names USING (folded)
            ) WHERE parent IS NOT NULL GROUP BY parent""")
        merge_names(con, "scope_names")
        con.execute("CREATE OR REPLACE TEMP TABLE frontier AS SELECT folded FROM staged_names WHERE folded <> '/'")


def parent_text(scope: str) -> str:
    """Return SQL for the scope above, as far as the text says it; management groups above are a listing's affair.

    Null for the root. The SQL twin of `rbac.scopes`, proved equal to it by tests.
    """
    steps = f"string_split({scope}, '/')"
    from_end = f"list_position(list_reverse(string_split({folded(scope)}, '/')), 'providers')"
    behind = f"coalesce({from_end}, 1) - 1"
    return f"""CASE
        WHEN {scope} = '/' THEN NULL
        WHEN {behind} >= 5 AND ({behind}) % 2 = 1 THEN array_to_string({steps}[1:len({steps}) - 2], '/')
        WHEN {behind} > 0 THEN coalesce(nullif(array_to_string({steps}[1:len({steps}) - {from_end}], '/'), ''), '/')
        WHEN len({steps}) > 3 AND starts_with({folded(scope)}, '/subscriptions/') THEN
            array_to_string({steps}[1:3], '/')
        ELSE '/' END"""


def respell(con: duckdb.DuckDBPyConnection, *, catalogue_changed: bool) -> None:
    """Choose the spelling of every stale name; of all of them when the catalogue changed."""
    if catalogue_changed:
        con.execute("UPDATE base.operation_names SET stale = true")
        con.execute("UPDATE base.scope_names SET stale = true")
    con.execute(f"""
        UPDATE base.operation_names AS n SET spelling = s.spelling, stale = false
        FROM (
            SELECT o.operation_key, coalesce(min(c.operation), substr(any_value(o.earliest), 21), any_value(o.smallest))
                AS spelling
            FROM base.operation_names AS o
            LEFT JOIN base.operations AS c ON {folded("c.operation")} = o.folded
            WHERE o.stale GROUP BY o.operation_key
        ) AS s WHERE n.operation_key = s.operation_key""")
    _respell_scopes(con)


def _respell_scopes(con: duckdb.DuckDBPyConnection) -> None:
    fixed = ", ".join(f"('{path}')" for path in _FIXED)
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE type_spellings AS
        SELECT {folded("path")} AS folded, min(string_split(path, '/')[-1]) AS spelling FROM (
            SELECT array_to_string(string_split(resource_type, '/')[1:i], '/') AS path
            FROM (SELECT DISTINCT resource_type FROM base.operations WHERE resource_type IS NOT NULL),
                LATERAL (SELECT unnest(range(1, len(string_split(resource_type, '/')) + 1)) AS i)
            UNION ALL SELECT path FROM (VALUES {fixed}) AS t(path)
        ) WHERE path <> '' GROUP BY 1""")
    # A step's type is its provider and the types between: all that stands an odd number of steps behind `providers`.
    con.execute(f"""
        UPDATE base.scope_names AS n SET spelling = s.spelling, stale = false
        FROM (
            WITH parts AS (
                SELECT scope_key, string_split(coalesce(substr(earliest, 21), smallest), '/') AS parts
                FROM base.scope_names WHERE stale
            ), steps AS (
                SELECT scope_key, i, parts[i] AS step, {folded("parts[i]")} AS f
                FROM parts, LATERAL (SELECT unnest(range(1, len(parts) + 1)) AS i)
            ), placed AS (
                SELECT *, max(CASE WHEN f = 'providers' THEN i END) OVER (PARTITION BY scope_key ORDER BY i) AS provider
                FROM steps
            ), typed AS (
                SELECT *, CASE
                    WHEN provider IS NULL OR i = provider THEN f
                    WHEN i = provider + 1 OR (i - provider) % 2 = 0 THEN string_agg(
                        CASE WHEN i = provider + 1 OR (i > provider AND (i - provider) % 2 = 0) THEN f END, '/'
                    ) OVER (PARTITION BY scope_key, provider ORDER BY i)
                END AS path
                FROM placed
            )
            SELECT scope_key, string_agg(
                CASE WHEN provider IS NULL AND i % 2 = 1 THEN step ELSE coalesce(t.spelling, step) END, '/' ORDER BY i
            ) AS spelling
            FROM typed LEFT JOIN type_spellings AS t ON t.folded = path
            GROUP BY scope_key
        ) AS s WHERE n.scope_key = s.scope_key""")
