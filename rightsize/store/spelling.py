"""Choose the spelling of each operation and scope: from the operation catalogue, else from the earliest event.

Logs have both `MICROSOFT.COMPUTE/VIRTUALMACHINES` and `Microsoft.Compute/virtualMachines`. Names are compared folded,
and shown in one spelling that does not depend on the order of loads.
"""

from __future__ import annotations

import duckdb

from rightsize.store.merge_events import merge_names
from rightsize.store.scope_forms import create_forms, form_scopes
from rightsize.store.sql import folded, tidy_scope

# Steps of a scope that the operation catalogue does not list as types.
_FIXED = (
    "subscriptions",
    "resourceGroups",
    "providers",
    "Microsoft.Management",
    "Microsoft.Management/managementGroups",
    "Microsoft.Authorization",
)


def name_listed_scopes(con: duckdb.DuckDBPyConnection) -> None:
    """Number every scope that a listing, an assignment or a deny assignment names, and every scope above one.

    Leaves `formed_scopes` and its related tables for `respell` and `derive_scopes`.
    """
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE staged_names AS
        SELECT {folded("scope")} AS folded, NULL::VARCHAR AS earliest, min(scope) AS smallest FROM (
            SELECT {tidy_scope("scope")} AS scope FROM (
                SELECT scope FROM stage_scope_listings
                UNION ALL SELECT parent_scope FROM stage_scope_listings
                UNION ALL SELECT scope FROM stage_role_assignments
                UNION ALL SELECT scope FROM stage_deny_assignments
                UNION ALL SELECT '/')
        ) WHERE scope IS NOT NULL GROUP BY 1""")
    merge_names(con, "scope_names")
    create_forms(con)
    form_scopes(con, "SELECT folded FROM base.scope_names WHERE stale")

    # A parent takes the spelling of its earliest child: the id of a scope contains the ids of all scopes above it.
    def spelt_alike(above: str) -> str:
        return f"""substr(earliest, 1, 20) || CASE WHEN {above} = '/' THEN '/'
                ELSE substr(earliest, 21, length({above})) END AS earliest,
            CASE WHEN {above} = '/' THEN '/' ELSE substr(smallest, 1, length({above})) END AS smallest"""

    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE scopes_above AS
        SELECT folded, min(earliest) AS earliest, min(smallest) AS smallest FROM (
            SELECT parent AS folded, {spelt_alike("parent")}
            FROM base.scope_names JOIN formed_scopes USING (folded) WHERE stale AND parent IS NOT NULL)
        GROUP BY folded""")
    form_scopes(con, "SELECT folded FROM scopes_above")
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE staged_names AS
        SELECT folded, min(earliest) AS earliest, min(smallest) AS smallest, min(steps) AS steps FROM (
            SELECT *, 0 AS steps FROM scopes_above
            UNION ALL
            SELECT above, {spelt_alike("above")}, steps FROM (
                SELECT s.*, unnest(range(1, len(lengths_above) + 1)) AS steps,
                    CASE lengths_above[steps] WHEN 0 THEN '/' ELSE
                        array_to_string(string_split(folded, '/')[1:lengths_above[steps] + 1], '/') END AS above
                FROM scopes_above AS s JOIN formed_scopes USING (folded) JOIN scope_forms USING (form)))
        GROUP BY folded""")
    con.execute("DROP TABLE scopes_above")
    merge_names(con, "scope_names", "steps, folded")


def respell(con: duckdb.DuckDBPyConnection, *, catalogue_changed: bool) -> None:
    """Choose the spelling of every stale name, or of all names if the catalogue changed."""
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
    form_scopes(con, "SELECT folded FROM base.scope_names WHERE stale")
    # Scopes of one form share the spelling of its words; only the names differ between scopes.
    con.execute("""
        CREATE OR REPLACE TEMP TABLE stale_spellings AS
        SELECT n.scope_key, f.form, string_split(coalesce(substr(n.earliest, 21), n.smallest), '/') AS parts,
            array_to_string(list_select(string_split(n.folded, '/'), s.word_steps), '/') AS words
        FROM base.scope_names AS n JOIN formed_scopes AS f USING (folded) JOIN scope_forms AS s USING (form)
        WHERE n.stale""")
    con.execute("""
        CREATE OR REPLACE TEMP TABLE word_spellings AS
        WITH spelt AS (
            SELECT form, words, list(t.spelling ORDER BY word) AS spellings
            FROM (
                SELECT form, words, word, array_to_string(list_select(string_split(words, '/'), path), '/') AS path
                FROM (SELECT DISTINCT form, words FROM stale_spellings) JOIN form_words USING (form)
            ) LEFT JOIN type_spellings AS t ON t.folded = path
            GROUP BY form, words
        )
        SELECT form, words, list_transform(step_words, lambda word: spellings[word]) AS steps
        FROM spelt JOIN scope_forms USING (form)""")
    # Names stay stale until `derive_scopes` has used them.
    con.execute("""
        UPDATE base.scope_names AS n SET spelling = s.spelling
        FROM (
            SELECT scope_key, array_to_string(
                list_transform(parts, lambda part, step: coalesce(w.steps[step], part)), '/') AS spelling
            FROM stale_spellings LEFT JOIN word_spellings AS w USING (form, words)
        ) AS s WHERE n.scope_key = s.scope_key""")
    con.execute("DROP TABLE stale_spellings")
    con.execute("DROP TABLE word_spellings")
    con.execute("DROP TABLE type_spellings")
