"""Derive aliases, the closure of groups and the tree of scopes from the loaded tables."""

from __future__ import annotations

import duckdb

from rightsize.model.errors import InputError
from rightsize.store.registered import registered
from rightsize.store.scope_forms import form_scopes
from rightsize.store.sql import folded

MOST_MEMBERSHIPS = 50_000_000
"""Memberships, direct and through other groups: a tenant of half a million users has a tenth of that."""
_PAIRS_AT_ONCE = 1_000_000


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
    """Fill `group_closure`: what each group has as a member, directly or through other groups, with the least depth.

    The groups within a group are found first, group by group; then one statement takes their direct members. So
    circles end, and cost no more than other groups.

    Raises:
        InputError: The groups have more members than `MOST_MEMBERSHIPS`.
    """
    con.execute("DELETE FROM base.group_closure")
    con.execute("""
        CREATE OR REPLACE TEMP TABLE numbered_groups AS
        SELECT group_id, row_number() OVER (ORDER BY group_id) - 1 AS number
        FROM (SELECT DISTINCT group_id FROM base.group_members)""")
    con.execute(
        "CREATE OR REPLACE TEMP TABLE nested_groups AS SELECT number, number AS nested, 0 AS depth FROM numbered_groups"
    )
    _find_nested(con)
    ((count,),) = con.execute("""
        SELECT coalesce(sum(members), 0)::BIGINT FROM nested_groups JOIN (
            SELECT number AS nested, count(*) AS members
            FROM base.group_members JOIN numbered_groups USING (group_id) GROUP BY ALL
        ) USING (nested)""").fetchall()
    _require_few(count)
    con.execute("""
        INSERT INTO base.group_closure (group_id, member_id, depth)
        SELECT g.group_id, m.member_id, min(n.depth) + 1
        FROM nested_groups AS n JOIN numbered_groups AS g USING (number)
        JOIN numbered_groups AS i ON i.number = n.nested JOIN base.group_members AS m ON m.group_id = i.group_id
        WHERE m.listing = 'members' AND g.group_id <> m.member_id GROUP BY ALL""")
    con.execute("""
        INSERT INTO base.group_closure (group_id, member_id)
        SELECT DISTINCT group_id, member_id FROM base.group_members AS m
        WHERE listing <> 'members' AND group_id <> member_id AND NOT EXISTS (
            SELECT 1 FROM base.group_closure AS k WHERE k.group_id = m.group_id AND k.member_id = m.member_id)""")
    con.execute("DROP TABLE nested_groups; DROP TABLE numbered_groups")


def _find_nested(con: duckdb.DuckDBPyConnection) -> None:
    """Add to `nested_groups` each pair of a group and another one within it, with the length of the shortest chain."""
    within: dict[int, list[int]] = {}
    for group, member in con.execute("""
        SELECT DISTINCT g.number, i.number FROM base.group_members AS m JOIN numbered_groups AS g USING (group_id)
        JOIN numbered_groups AS i ON i.group_id = m.member_id
        WHERE listing = 'members' AND g.number <> i.number ORDER BY ALL""").fetchall():
        within.setdefault(group, []).append(member)
    pairs: tuple[list[int], list[int], list[int]] = ([], [], [])
    count = 0
    for group in within:
        seen, last, depth = {group}, [group], 0
        while last:
            depth += 1
            found = {inner for outer in last for inner in within.get(outer, ())} - seen
            seen |= found
            last = list(found)
            pairs[1].extend(last)
            pairs[2].extend([depth] * len(last))
        pairs[0].extend([group] * (len(seen) - 1))
        if len(pairs[0]) >= _PAIRS_AT_ONCE:
            count += len(pairs[0])
            _require_few(count)
            _add_pairs(con, *pairs)
            pairs = ([], [], [])
    _add_pairs(con, *pairs)


def _add_pairs(con: duckdb.DuckDBPyConnection, numbers: list[int], nested: list[int], depths: list[int]) -> None:
    if not numbers:
        return
    import polars as pl  # noqa: PLC0415  most loads have no groups within groups, and frames take long to import

    rows = pl.DataFrame(
        {"number": numbers, "nested": nested, "depth": depths},
        schema=dict.fromkeys(("number", "nested", "depth"), pl.Int64),
    )
    with registered(con, {"found_pairs": rows}):
        con.execute("INSERT INTO nested_groups SELECT number, nested, depth FROM found_pairs")


def _require_few(memberships: int) -> None:
    if memberships > MOST_MEMBERSHIPS:
        raise InputError(
            f"the groups have {memberships:,} memberships, direct and through other groups, and the limit is "
            f"{MOST_MEMBERSHIPS:,}",
            hint="groups that contain one another in a circle all have the members of each: take the circle apart, or "
            "export only the members of groups that hold something",
        )


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
