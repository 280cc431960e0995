"""Merge staged rows of listings: principals, memberships, assignments, definitions, operations.

Most tables merge column by column: a value replaces a missing one, and the greater of two values wins, in any order.
Definitions, deny assignments and operations are replaced as whole rows, so that no row mixes two versions: the newest
`updated_on` wins, then the greatest text. For an operation, ARM's answer wins over a guess.

Record which grants the complete listings showed and when, to find grants that the newest one lacks.

A store keeps the grants of every export. Only a complete listing of a scope can show that a grant no longer exists.
Collections know which of their listings are complete; for exports this is unknown, so they remove nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb

from rightsize.model.tables import Table, table
from rightsize.store.connection import Store
from rightsize.store.merging.staging import STAGED_TABLES, note_new_lines
from rightsize.store.queries import query_text
from rightsize.store.sql import folded, named, note_touched_table, quoted, tidy_scope

if TYPE_CHECKING:
    import polars as pl


_VERSIONS = {
    "role_definitions": "coalesce(strftime(updated_on, '%Y%m%d%H%M%S%f'), '')",
    "deny_assignments": "''",
    # Of two states with one time the closed one is later: ARM has no time for the state of an alert.
    "signals": "coalesce(strftime(updated_on, '%Y%m%d%H%M%S%f'), '') || CASE WHEN dismissed THEN '1' ELSE '0' END",
    "tool_judgements": "coalesce(strftime(read_on, '%Y%m%d%H%M%S%f'), '')",
    "operations": "CASE WHEN is_data_action IS NULL THEN '0' WHEN is_guess THEN '1' ELSE '2' END",
}
"""SQL that orders the versions of a key; equal versions are ordered by their text."""

_MUTABLE = {
    "role_assignments": ("condition", "condition_version", "description"),
    "resources": ("sku", "settings"),
    "inventories": ("finished_on", "query", "rows", "complete", "problem", "vouched_by"),
    "provider_registrations": ("state", "policy", "reader_id"),
    "role_management_policies": (
        "maximum_activation",
        "requires_mfa",
        "requires_justification",
        "requires_ticket",
        "authentication_context",
        "requires_approval",
        "approver_ids",
        "maximum_eligibility",
        "rules",
    ),
    "directory_roles": ("role_name", "description", "inherits", "actions", "conditional_actions"),
    "policy_assignments": ("display_name", "policy_definition_id", "definition_version", "principal_ids"),
    "policy_definitions": (
        "is_set",
        "display_name",
        "version",
        "role_definition_ids",
        "member_ids",
        "member_versions",
    ),
}
"""Columns that are merged together, from the row with the newest `updated_on`: Azure can change them, or only together
do they say what is true."""

_ORDER = {
    # One reading that is whole proves more than a file of it that was lost.
    "inventories": "CASE WHEN complete THEN '00000000000000000001' ELSE '00000000000000000000' END",
    # The tenant's own listing takes precedence over a published catalogue of roles.
    "directory_roles": "CASE WHEN is_enabled IS NULL THEN '00000000000000000000' ELSE '00000000000000000001' END",
}
"""SQL that orders the editions of a row without `updated_on`: twenty digits."""

_SILENT_WITHOUT = {
    "role_management_policies": "rules",
    "resources": "settings",
    "provider_registrations": "state",
    "policy_assignments": "principal_ids",
    "policy_definitions": "is_set",
}
"""The column that is null in a row without data for the columns that Azure can change."""

_FOLDED_SCOPES = {
    "scope_listings",
    "scope_tags",
    "resources",
    "diagnostic_settings",
    "resource_identities",
    "resource_references",
    "inventories",
    "provider_registrations",
}
"""Tables whose key is a scope."""


def merge_tables(con: duckdb.DuckDBPyConnection, staged: Collection[str]) -> None:
    """Merge every listing among the `filled_tables`, and add its new lines."""
    for declared in STAGED_TABLES:
        if declared.name not in staged:
            continue
        merge = _merge_versions if declared.name in _VERSIONS else _merge_columns
        if merge(con, declared):
            note_touched_table(con, declared.name)


def _merge_columns(con: duckdb.DuckDBPyConnection, declared: Table) -> bool:
    """Merge the staged rows of a table column by column; return whether any changes something."""
    keys = declared.key
    name = declared.name
    together = _MUTABLE.get(name, ())
    values = [column.name for column in declared.given if not column.key and column.name not in together]
    staged = ", ".join(_staged_column(declared, column.name) for column in declared.given)
    edition = _edition(name, together, _SILENT_WITHOUT.get(name))
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE merge_rows AS
        SELECT *, {edition} AS edition FROM (SELECT file_id, line, {staged} FROM stage_{name})""")
    matches = " AND ".join(f"m.{quoted(key)} IS NOT DISTINCT FROM b.{quoted(key)}" for key in keys)
    con.execute(f"""
        INSERT INTO merge_rows BY NAME
        SELECT NULL AS file_id, NULL AS line, b.*, {edition} AS edition FROM base.{name} AS b
        SEMI JOIN merge_rows AS m ON {matches}""")
    changed = note_new_lines(con, "merge_rows", keys, greatest=[*values, "edition"])
    con.execute(f"DELETE FROM base.{name} AS b USING merge_rows AS m WHERE {matches}")
    merged = [named(*keys), *(f"max({quoted(value)}) AS {quoted(value)}" for value in values)]
    merged += [
        f'from_json(substr(max(edition), 21), \'{{"{value}": "{declared.column(value).type.value}"}}\').{value} '
        f"AS {quoted(value)}"
        for value in together
    ]
    con.execute(f"""
        INSERT INTO base.{name} BY NAME
        SELECT {", ".join(merged)} FROM merge_rows GROUP BY {named(*keys)}""")
    return changed


def _edition(name: str, together: tuple[str, ...], speaks: str | None) -> str:
    """Return SQL for the text that orders editions of a row: the time of the change, then the changed columns."""
    if not together:
        return "NULL::VARCHAR"
    order = _ORDER.get(name, "coalesce(strftime(updated_on, '%Y%m%d%H%M%S%f'), '00000000000000000000')")
    text = f"{order} || to_json(struct_pack({named(*together)}))::VARCHAR"
    return text if speaks is None else f"CASE WHEN {quoted(speaks)} IS NOT NULL THEN {text} END"


def _staged_column(declared: Table, name: str) -> str:
    """Return SQL for a staged column: scopes that are keys are folded, other scopes only tidied, the rest unchanged."""
    if declared.name in _FOLDED_SCOPES and name == "scope":
        return f"{folded(tidy_scope('scope'))} AS scope"
    if name in {"scope", "parent_scope"}:
        return f"{tidy_scope(name)} AS {name}"
    return quoted(name)


def _merge_versions(con: duckdb.DuckDBPyConnection, declared: Table) -> bool:
    """Merge the staged rows of a table whose newest version replaces the row; return whether any changes something."""
    name, (key,) = declared.name, declared.key
    others = [column.name for column in declared.given if not column.key]
    row_text = f"to_json(struct_pack({named(*others)}))::VARCHAR"
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE merge_rows AS
        SELECT file_id, line, {folded(quoted(key))} AS merge_key, {named(key, *others)},
            {_VERSIONS[name]} || '|' || {row_text} AS version
        FROM stage_{name}""")
    con.execute(f"""
        INSERT INTO merge_rows BY NAME
        SELECT NULL AS file_id, NULL AS line, {folded(quoted(key))} AS merge_key, * FROM base.{name}
        WHERE {folded(quoted(key))} IN (SELECT merge_key FROM merge_rows)""")
    changed = note_new_lines(con, "merge_rows", ("merge_key",), (key,), ("version",))
    con.execute(f"DELETE FROM base.{name} WHERE {folded(quoted(key))} IN (SELECT merge_key FROM merge_rows)")
    con.execute(f"""
        INSERT INTO base.{name} BY NAME
        SELECT min({quoted(key)}) OVER (PARTITION BY merge_key) AS {quoted(key)}, {named(*others)}, version
        FROM merge_rows
        QUALIFY row_number() OVER (PARTITION BY merge_key ORDER BY version DESC, file_id NULLS FIRST, line) = 1""")
    return changed


def merge_bookkeeping(con: duckdb.DuckDBPyConnection, staged: Collection[str]) -> None:
    """Store the files and their rejects; a file whose content was loaded before adds nothing."""
    if "rejects" in staged:
        con.execute(f"""
            INSERT INTO base.rejects ({named(*(column.name for column in table("rejects").columns))})
            SELECT DISTINCT f.sha256, r.line, r.reason, min(f.source), min(f.path), min(r.raw)
            FROM stage_rejects AS r JOIN stage_files AS f USING (file_id)
            WHERE NOT EXISTS (
                SELECT 1 FROM base.rejects AS b
                WHERE b.sha256 = f.sha256 AND b.line IS NOT DISTINCT FROM r.line AND b.reason = r.reason)
            GROUP BY f.sha256, r.line, r.reason""")
    # A file that was never loaded is new by all its names.
    if "rejects" in staged or con.execute(_LOADED_BEFORE).fetchall():
        con.execute("""
            UPDATE base.rejects AS r SET path = least(r.path, f.path)
            FROM (SELECT sha256, min(path) AS path FROM stage_files GROUP BY ALL) AS f WHERE r.sha256 = f.sha256""")
        con.execute("""
            UPDATE base.loads AS l SET path = least(l.path, f.path)
            FROM (SELECT sha256, source, min(path) AS path FROM stage_files GROUP BY ALL) AS f
            WHERE l.sha256 = f.sha256 AND l.source = f.source""")
    con.execute("""
        INSERT INTO base.loads (sha256, source, path, read, rejected, unused_record)
        SELECT sha256, source, min(path), max(read), max(rejected), max(unused_record)
        FROM stage_files AS f LEFT JOIN unused_records USING (file_id)
        WHERE NOT EXISTS (SELECT 1 FROM base.loads AS l WHERE l.sha256 = f.sha256 AND l.source = f.source)
        GROUP BY sha256, source""")


_LOADED_BEFORE = "SELECT 1 FROM base.loads WHERE sha256 IN (SELECT sha256 FROM stage_files) LIMIT 1"

_GRANTS = {
    "role_assignments": ("role_assignments", "role_assignment_id", "active"),
    "role_eligibility_instances": ("role_assignments", "role_assignment_id", "eligible"),
    "directory_role_assignments": ("directory_role_assignments", "role_assignment_id", "active"),
    "directory_eligibility_instances": ("directory_role_assignments", "role_assignment_id", "eligible"),
    "app_role_assignments": ("app_role_assignments", "app_role_assignment_id", None),
    "delegated_grants": ("permission_grants", "permission_grant_id", None),
}
"""For each source of a collection that lists grants: the table for them, its id column, and their state there."""

GRANT_SOURCES = tuple(_GRANTS)


@dataclass(frozen=True, slots=True)
class Listing:
    """A listing of grants from a collection.

    Attributes:
        source: One of `GRANT_SOURCES`.
        place: The scope that was listed; `/` for the whole directory.
        taken_on: The UTC time when the collection started.
        files: Paths of its pages, as they are loaded.
        is_complete: Whether it is complete for its place.
    """

    source: str
    place: str
    taken_on: dt.datetime
    files: tuple[str, ...]
    is_complete: bool


def note_listings(con: duckdb.DuckDBPyConnection, listings: Sequence[Listing]) -> None:
    """Store when staged grants were listed, and which listings are complete; part of a merge's transaction.

    The newest time wins, so collections may be loaded in any order. Tables whose grants vanish or return are noted for
    the next watch.
    """
    if not listings:
        return
    before = _vanished(con)
    for one in listings:
        if one.is_complete:
            con.execute("INSERT INTO base.grant_listings VALUES (?, ?, ?)", [one.source, one.place, one.taken_on])
        if one.files:
            _note_sightings(con, one)
    for name, key in (("grant_listings", "source, place"), ("grant_sightings", "source, place, grant_id")):
        time = "taken_on" if name == "grant_listings" else "last_listed_on"
        con.execute(f"CREATE OR REPLACE TEMP TABLE newest AS SELECT {key}, max({time}) AS {time} FROM base.{name} "
                    f"GROUP BY {key}")  # fmt: skip
        con.execute(f"DELETE FROM base.{name}")
        con.execute(f"INSERT INTO base.{name} BY NAME FROM newest")
    con.execute("DROP TABLE newest")
    changed = {source for source, _ in before ^ _vanished(con)}
    for name in sorted({_GRANTS[source][0] for source in changed}):
        note_touched_table(con, name)


def _note_sightings(con: duckdb.DuckDBPyConnection, one: Listing) -> None:
    name, key, state = _GRANTS[one.source]
    con.execute(
        f"""
        INSERT INTO base.grant_sightings
        SELECT DISTINCT $source, $place, {folded(key) if state else key}, $taken_on FROM stage_{name}
        WHERE file_id IN (SELECT file_id FROM stage_files WHERE path IN (SELECT unnest($files)))
            {"AND state = $state" if state else ""}""",
        {"source": one.source, "place": one.place, "taken_on": one.taken_on, "files": list(one.files)}
        | ({"state": state} if state else {}),
    )


def _vanished(con: duckdb.DuckDBPyConnection) -> set[tuple[str, str]]:
    return set(con.execute("SELECT source, grant_id FROM main.vanished_grants").fetchall())


def gone_grants(store: Store) -> pl.DataFrame:
    """Return the grants that the newest complete listings no longer have.

    Columns: `kind, name` as in `guard.watch.state`, `principal_id, scope, role, what` as there, `last_listed_on,
    missing_on`, and `grant_id`.
    """
    return store.frame(query_text("guard/gone_grants"))
