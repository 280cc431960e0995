"""What the texts of scopes say, for very many of them: parents, kinds and types.

`rbac.scopes` decides it, once for every distinct form: what an id says follows from its fixed words, such as
`/subscriptions/x/resourcegroups/x/providers/x/x/x`, and a tenant has few forms however many resources it has. SQL only
cuts the ids where the form says.
"""

from __future__ import annotations

import duckdb
import polars as pl

from rightsize.rbac.scopes import ScopeForm, ScopeKind, form_of, type_paths

_FIXED_WORDS = ("", "providers", "subscriptions", "resourcegroups", "microsoft.management", "managementgroups")

_DEEPEST = 64
"""More parts than any id of Azure has. Each scope above a deeper one would be a scope of its own, and one line of a log
could name thousands: such an id hangs below its resource group, subscription or management group at once."""

_FORMS: dict[str, pl.DataType | type[pl.DataType]] = {
    "form": pl.String,
    "kind": pl.String,
    "parent_length": pl.Int64,
    "in_subscription": pl.Boolean,
    "in_resource_group": pl.Boolean,
    "type_steps": pl.List(pl.Int64),
    "word_steps": pl.List(pl.Int64),
    "step_words": pl.List(pl.Int64),
}

_WORDS: dict[str, pl.DataType | type[pl.DataType]] = {"form": pl.String, "word": pl.Int64, "path": pl.List(pl.Int64)}


def create_forms(con: duckdb.DuckDBPyConnection) -> None:
    """Create the temporary tables that `form_scopes` fills.

    `formed_scopes`: a folded scope, its form, and the folded scope above. `scope_forms`: what a form says; steps
    count from 1 in `string_split(scope, '/')`, whose first step is empty. `form_words`: the words of a form, each with
    the words that make its full name; words count from 1 among the form's `word_steps`.
    """
    con.execute("CREATE OR REPLACE TEMP TABLE formed_scopes (folded VARCHAR, form VARCHAR, parent VARCHAR)")
    con.execute("""
        CREATE OR REPLACE TEMP TABLE scope_forms (form VARCHAR, kind VARCHAR, parent_length BIGINT,
            in_subscription BOOLEAN, in_resource_group BOOLEAN, type_steps BIGINT[], word_steps BIGINT[],
            step_words BIGINT[])""")
    con.execute("CREATE OR REPLACE TEMP TABLE form_words (form VARCHAR, word BIGINT, path BIGINT[])")


def drop_forms(con: duckdb.DuckDBPyConnection) -> None:
    """Drop them."""
    for name in ("formed_scopes", "scope_forms", "form_words"):
        con.execute(f"DROP TABLE {name}")


def form_scopes(con: duckdb.DuckDBPyConnection, scopes: str) -> None:
    """Add the scopes that a query yields as `folded`, and that are not there yet, to `formed_scopes`."""
    fixed = ", ".join(f"'{word}'" for word in _FIXED_WORDS)
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE scopes_to_form AS
        SELECT folded, parts, array_to_string(
            list_transform(parts, lambda part: CASE WHEN part IN ({fixed}) THEN part ELSE 'x' END), '/') AS form
        FROM (
            SELECT folded, string_split(folded, '/') AS parts FROM ({scopes})
            WHERE folded NOT IN (SELECT folded FROM formed_scopes))""")
    unknown = con.execute(
        "SELECT DISTINCT form FROM scopes_to_form WHERE form NOT IN (SELECT form FROM scope_forms) ORDER BY form"
    ).fetchall()
    if unknown:
        _add_forms(con, [form for (form,) in unknown])
    # The parent's length in steps is one more than in parts: the first step is empty. That of the root is 0.
    con.execute("""
        INSERT INTO formed_scopes
        SELECT folded, form, CASE
            WHEN kind = 'root' THEN NULL
            WHEN parent_length = 0 THEN '/'
            ELSE array_to_string(parts[1:parent_length + 1], '/') END
        FROM scopes_to_form JOIN scope_forms USING (form)""")
    con.execute("DROP TABLE scopes_to_form")


def _read_form(parts: list[str]) -> tuple[ScopeForm, dict[int, tuple[int, ...]]]:
    if len(parts) <= _DEEPEST:
        return form_of(parts), type_paths(parts)
    head = form_of(parts[:4])
    length = 4 if head.kind in ("resource_group", "management_group") else 2 if head.in_subscription else 0
    kind: ScopeKind = "resource" if head.in_subscription else "tenant_resource"
    form = ScopeForm(kind, length, head.in_subscription, head.in_resource_group, ())
    return form, type_paths(parts[:length]) if length else {}


def _add_forms(con: duckdb.DuckDBPyConnection, forms: list[str]) -> None:
    rows: list[tuple[object, ...]] = []
    words: list[tuple[str, int, list[int]]] = []
    for text in forms:
        parts = text.split("/")[1:]
        if not text.startswith("/") or not all(parts):
            # The root, and texts that are no scope: nothing but the root is above them.
            rows.append((text, "root" if text == "/" else "tenant_resource", 0, False, False, [], [], []))
            continue
        form, paths = _read_form(parts)
        order = {part: index for index, part in enumerate(sorted(paths), start=1)}
        rows.append(
            (
                text,
                form.kind,
                form.parent_length,
                form.in_subscription,
                form.in_resource_group,
                [part + 2 for part in form.type_parts],
                [part + 2 for part in order],
                [None, *(order.get(part) for part in range(len(parts)))],
            )
        )
        words += [(text, order[part], [order[step] for step in path]) for part, path in paths.items()]
    for table, schema, data in (("scope_forms", _FORMS, rows), ("form_words", _WORDS, words)):
        con.register("new_forms", pl.DataFrame(data, schema=schema, orient="row"))
        con.execute(f"INSERT INTO {table} SELECT * FROM new_forms")
        con.unregister("new_forms")
