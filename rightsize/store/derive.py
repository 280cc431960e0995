"""Derive aliases, the closure of groups and the tree of scopes from the loaded tables."""

from __future__ import annotations

import duckdb

from rightsize.store.scope_forms import form_scopes
from rightsize.store.sql import folded


def derive_aliases(con: duckdb.DuckDBPyConnection) -> None:
    """Fill `principal_aliases` from the directory, and from days with calls that name both an alias and an object id.

    A name of two principals resolves to neither: UPNs are given to new people, and a call under the wrong name would
    count as use of the wrong principal.
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
    """Fill `group_closure`, one depth at a time; a known pair is not extended, so cycles end."""
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
    """Recompute `scopes` for stale names, which are then no longer stale, and for scopes in listings.

    The data from a listing changes only with listings; all other columns change only with the spelling of the name.
    """
    con.execute("""
        CREATE OR REPLACE TEMP TABLE renewed_scopes AS
        SELECT folded FROM base.scope_names WHERE stale UNION SELECT scope FROM base.scope_listings""")
    form_scopes(con, "SELECT folded FROM renewed_scopes")
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
