"""Compute parents, kinds and resource types of many scopes in SQL, from the distinct forms of their ids.

`rbac.scopes` reads each distinct form once: the fixed words of an id decide its meaning, as in
`/subscriptions/x/resourcegroups/x/providers/x/x/x`, and a tenant has few forms, however many resources it has. SQL
then only splits the ids by their form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb

from rightsize.rbac.scopes import ScopeForm, ScopeKind, form_of, type_paths

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
    _insert(con, "scope_forms", _FORMS, rows)
    _insert(con, "form_words", _WORDS, words)


def _insert(
    con: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, str], rows: Sequence[tuple[object, ...]]
) -> None:
    """Insert rows, passed as one list for each column: a frame would import polars and numpy in every load."""
    values = {name: [row[place] for row in rows] for place, name in enumerate(columns)}
    lists = ", ".join(f"unnest(${name}::{kind}[])" for name, kind in columns.items())
    con.execute(f"INSERT INTO {table} SELECT {lists}", values)
