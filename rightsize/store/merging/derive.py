"""Derive aliases, the closure of groups and the tree of scopes from the loaded tables.

`rbac.scopes` reads each distinct form once: the fixed words of an id decide its meaning, as in
`/subscriptions/x/resourcegroups/x/providers/x/x/x`, and a tenant has few forms, however many resources it has. SQL
then only splits the ids by their form.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import duckdb

from rightsize.model.errors import InputError
from rightsize.rbac.scopes import ScopeForm, ScopeKind, form_of, type_paths
from rightsize.store.sql import folded, insert_lists, registered

_FIXED_WORDS = ("", "providers", "subscriptions", "resourcegroups", "microsoft.management", "managementgroups")

_DEEPEST = 64
"""More parts than any Azure id has. Each scope above a deeper one would become a separate scope, and one line of a log
could add thousands. So the parent of such an id is its resource group, subscription or management group."""

_FORMS = {
    "form": "VARCHAR",
    "kind": "VARCHAR",
    "parent_length": "BIGINT",
    "lengths_above": "BIGINT[]",
    "in_subscription": "BOOLEAN",
    "in_resource_group": "BOOLEAN",
    "type_steps": "BIGINT[]",
    "word_steps": "BIGINT[]",
    "step_words": "BIGINT[]",
}
_WORDS = {"form": "VARCHAR", "word": "BIGINT", "path": "BIGINT[]"}


def create_forms(con: duckdb.DuckDBPyConnection) -> None:
    """Create the temporary tables that `form_scopes` fills.

    `formed_scopes`: a folded scope, its form, and the scope above. `scope_forms`: the meaning of a form; lengths count
    parts, `lengths_above` for all scopes above, 0 for the root; steps count from 1 in `string_split(scope, '/')`, whose
    first step is empty. `form_words`: the words of a form, each with the words that make its full name; words count
    from 1 among the form's `word_steps`.
    """
    con.execute("CREATE OR REPLACE TEMP TABLE formed_scopes (folded VARCHAR, form VARCHAR, parent VARCHAR)")
    for table, columns in (("scope_forms", _FORMS), ("form_words", _WORDS)):
        declared = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        con.execute(f"CREATE OR REPLACE TEMP TABLE {table} ({declared})")


def drop_forms(con: duckdb.DuckDBPyConnection) -> None:
    """Drop the temporary tables of `create_forms`."""
    for name in ("formed_scopes", "scope_forms", "form_words", "scopes_to_form"):
        con.execute(f"DROP TABLE {name}")


def form_scopes(con: duckdb.DuckDBPyConnection, scopes: str) -> None:
    """Add the scopes that a query returns as `folded` to `formed_scopes`, unless they are there already."""
    fixed = ", ".join(f"'{word}'" for word in _FIXED_WORDS)
    ((count,),) = con.execute(f"""
        CREATE OR REPLACE TEMP TABLE scopes_to_form AS
        SELECT folded, array_to_string(list_transform(
            string_split(folded, '/'), lambda part: CASE WHEN part IN ({fixed}) THEN part ELSE 'x' END), '/') AS form
        FROM ({scopes}) WHERE folded NOT IN (SELECT folded FROM formed_scopes)""").fetchall()
    if not count:
        return
    unknown = con.execute(
        "SELECT DISTINCT form FROM scopes_to_form WHERE form NOT IN (SELECT form FROM scope_forms) ORDER BY form"
    ).fetchall()
    if unknown:
        _add_forms(con, [form for (form,) in unknown])
    # A parent has one step more than parts, because the first step is empty. The root has length 0.
    con.execute("""
        INSERT INTO formed_scopes
        SELECT folded, form, CASE
            WHEN kind = 'root' THEN NULL
            WHEN parent_length = 0 THEN '/'
            ELSE array_to_string(string_split(folded, '/')[1:parent_length + 1], '/') END
        FROM scopes_to_form JOIN scope_forms USING (form)""")


def _read_form(parts: list[str]) -> tuple[ScopeForm, dict[int, tuple[int, ...]]]:
    if len(parts) <= _DEEPEST:
        return form_of(parts), type_paths(parts)
    head = form_of(parts[:4])
    length = 4 if head.kind in ("resource_group", "management_group") else 2 if head.in_subscription else 0
    kind: ScopeKind = "resource" if head.in_subscription else "tenant_resource"
    form = ScopeForm(kind, length, head.in_subscription, head.in_resource_group, ())
    return form, type_paths(parts[:length]) if length else {}


def _lengths_above(parts: list[str]) -> list[int]:
    lengths = []
    while parts:
        length = _read_form(parts)[0].parent_length
        lengths.append(length)
        parts = parts[:length]
    return lengths


def _add_forms(con: duckdb.DuckDBPyConnection, forms: list[str]) -> None:
    rows: list[tuple[object, ...]] = []
    words: list[tuple[str, int, list[int]]] = []
    for text in forms:
        parts = text.split("/")[1:]
        if not text.startswith("/") or not all(parts):
            # The root, and texts that are not a scope: only the root is above them.
            kind, above = ("root", []) if text == "/" else ("tenant_resource", [0])
            rows.append((text, kind, 0, above, False, False, [], [], []))
            continue
        form, paths = _read_form(parts)
        order = {part: index for index, part in enumerate(sorted(paths), start=1)}
        rows.append(
            (
                text,
                form.kind,
                form.parent_length,
                _lengths_above(parts),
                form.in_subscription,
                form.in_resource_group,
                [part + 2 for part in form.type_parts],
                [part + 2 for part in order],
                [None, *(order.get(part) for part in range(len(parts)))],
            )
        )
        words += [(text, order[part], [order[step] for step in path]) for part, path in paths.items()]
    insert_lists(con, "scope_forms", _FORMS, rows)
    insert_lists(con, "form_words", _WORDS, words)


MOST_MEMBERSHIPS = 50_000_000
"""Memberships, direct and through other groups: a tenant of half a million users has a tenth of that."""
MEMBERSHIPS_AT_ONCE = 500_000
"""Memberships of nested groups that are derived, and in memory, at once."""


def derive_aliases(con: duckdb.DuckDBPyConnection) -> None:
    """Fill `principal_aliases` from the directory, and from days with calls that name both an alias and an object id.

    A name of two principals resolves to neither: UPNs are given to new people, and a call under the wrong name would
    count as use of the wrong principal.
    """
    con.execute("DELETE FROM base.principal_aliases")
    con.execute(f"""
        INSERT INTO base.principal_aliases (kind, alias, principal_id)
        SELECT kind, alias, min(principal_id) FROM (
            SELECT 'upn' AS kind, {folded("user_principal_name")} AS alias, principal_id FROM base.principals
            WHERE user_principal_name IS NOT NULL
            UNION SELECT 'app_id', {folded("app_id")}, principal_id FROM base.principals WHERE app_id IS NOT NULL
            UNION SELECT kind, alias, principal_id FROM base.alias_days)
        GROUP BY kind, alias HAVING count(DISTINCT principal_id) = 1""")


def derive_closure(con: duckdb.DuckDBPyConnection) -> None:
    """Fill `group_closure`: what each group has as a member, directly or through other groups, with the least depth.

    The groups within a group are found first, group by group; then a statement takes the direct members of some groups
    and of those within them. So circles end, and their memory is that of one such part.

    Raises:
        InputError: The groups have more members than `MOST_MEMBERSHIPS`.
    """
    con.execute("DELETE FROM base.group_closure")
    con.execute("""
        CREATE OR REPLACE TEMP TABLE numbered_groups AS
        SELECT group_id, row_number() OVER (ORDER BY group_id) - 1 AS number
        FROM (SELECT DISTINCT group_id FROM base.group_members)""")
    con.execute("CREATE OR REPLACE TEMP TABLE nested_groups (number BIGINT, nested BIGINT, depth BIGINT)")
    count = 0
    for part in _nested_parts(con):
        _add_pairs(con, part)
        count += part.memberships
        _require_few(count)
        con.execute("""
            INSERT INTO base.group_closure (group_id, member_id, depth)
            SELECT g.group_id, m.member_id, min(n.depth) + 1
            FROM nested_groups AS n JOIN numbered_groups AS g USING (number)
            JOIN numbered_groups AS i ON i.number = n.nested JOIN base.group_members AS m ON m.group_id = i.group_id
            WHERE m.listing = 'members' AND g.group_id <> m.member_id GROUP BY ALL""")
    # The groups without groups within them.
    con.execute("""
        INSERT INTO base.group_closure (group_id, member_id, depth)
        SELECT group_id, member_id, 1 FROM base.group_members
        WHERE listing = 'members' AND group_id <> member_id
            AND group_id NOT IN (SELECT DISTINCT group_id FROM base.group_closure)""")
    con.execute("""
        INSERT INTO base.group_closure (group_id, member_id)
        SELECT DISTINCT group_id, member_id FROM base.group_members
        WHERE listing <> 'members' AND group_id <> member_id AND (group_id, member_id) NOT IN (
            SELECT (group_id, member_id) FROM base.group_closure WHERE group_id IN (
                SELECT group_id FROM base.group_members WHERE listing <> 'members'))""")
    con.execute("DROP TABLE nested_groups; DROP TABLE numbered_groups")


@dataclass(slots=True)
class _Part:
    """Some groups with all groups within them and themselves, by number, each with the length of the shortest chain.

    `memberships` is the number of the direct members of all of these.
    """

    numbers: list[int] = field(default_factory=list)
    nested: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    memberships: int = 0


def _nested_parts(con: duckdb.DuckDBPyConnection) -> Iterator[_Part]:
    """Yield the groups that have groups within them, in parts of about `MEMBERSHIPS_AT_ONCE` memberships."""
    within: dict[int, list[int]] = {}
    for group, member in con.execute("""
        SELECT DISTINCT g.number, i.number FROM base.group_members AS m JOIN numbered_groups AS g USING (group_id)
        JOIN numbered_groups AS i ON i.group_id = m.member_id
        WHERE listing = 'members' AND g.number <> i.number ORDER BY ALL""").fetchall():
        within.setdefault(group, []).append(member)
    members: dict[int, int] = (
        dict(
            con.execute(
                "SELECT number, count(*) FROM base.group_members JOIN numbered_groups USING (group_id) GROUP BY number"
            ).fetchall()
        )
        if within
        else {}
    )
    part = _Part()
    for group in within:
        seen, last, depth = {group}, [group], 0
        while last:
            part.nested.extend(last)
            part.depths.extend([depth] * len(last))
            depth += 1
            last = list({inner for outer in last for inner in within.get(outer, ())} - seen)
            seen.update(last)
        part.numbers.extend([group] * len(seen))
        part.memberships += sum(members[one] for one in seen)
        if part.memberships >= MEMBERSHIPS_AT_ONCE:
            yield part
            part = _Part()
    if part.numbers:
        yield part


def _add_pairs(con: duckdb.DuckDBPyConnection, part: _Part) -> None:
    """Fill `nested_groups` with the pairs of a part alone."""
    import polars as pl  # noqa: PLC0415  most loads have no groups within groups, and frames take long to import

    rows = pl.DataFrame({"number": part.numbers, "nested": part.nested, "depth": part.depths})
    con.execute("DELETE FROM nested_groups")
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
