"""Record which grants the complete listings showed and when, to find grants that the newest one lacks.

A store keeps the grants of every export. Only a complete listing of a scope can show that a grant no longer exists.
Collections know which of their listings are complete; for exports this is unknown, so they remove nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb

from rightsize.store.connection import Store
from rightsize.store.sql import folded
from rightsize.store.touched import note_touched_table

if TYPE_CHECKING:
    import polars as pl

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
    for table, key in (("grant_listings", "source, place"), ("grant_sightings", "source, place, grant_id")):
        time = "taken_on" if table == "grant_listings" else "last_listed_on"
        con.execute(f"CREATE OR REPLACE TEMP TABLE newest AS SELECT {key}, max({time}) AS {time} FROM base.{table} "
                    f"GROUP BY {key}")  # fmt: skip
        con.execute(f"DELETE FROM base.{table}")
        con.execute(f"INSERT INTO base.{table} BY NAME FROM newest")
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

    Columns: `kind, name` as in `analyze.state_snapshot`, `principal_id, scope, role, what` as there, `last_listed_on,
    missing_on`, and `grant_id`.
    """
    return store.frame("""
        SELECT v.grant_id, last_listed_on, missing_on, 'role_assignment' AS kind, v.grant_id || '|' || state AS name,
            principal_id, scope, lower(role_definition_id) AS role, state AS what
        FROM vanished_grants AS v JOIN base.role_assignments AS a ON a.role_assignment_id = v.grant_id
            AND a.state = CASE v.source WHEN 'role_assignments' THEN 'active'
                WHEN 'role_eligibility_instances' THEN 'eligible' END
        UNION ALL
        SELECT v.grant_id, last_listed_on, missing_on, 'directory_role_assignment', v.grant_id || '|' || state,
            principal_id, scope, lower(directory_role_id), state
        FROM vanished_grants AS v JOIN base.directory_role_assignments AS a
            ON lower(a.role_assignment_id) = v.grant_id AND a.state = CASE v.source
                WHEN 'directory_role_assignments' THEN 'active'
                WHEN 'directory_eligibility_instances' THEN 'eligible' END
        UNION ALL
        SELECT v.grant_id, last_listed_on, missing_on, 'app_role_assignment', v.grant_id, principal_id, NULL,
            lower(app_role_id), resource_name
        FROM vanished_grants AS v JOIN base.app_role_assignments AS a ON a.app_role_assignment_id = v.grant_id
        WHERE v.source = 'app_role_assignments'
        UNION ALL
        SELECT v.grant_id, last_listed_on, missing_on, 'permission_grant', v.grant_id, client_id, NULL, NULL,
            array_to_string(permissions, ', ')
        FROM vanished_grants AS v JOIN base.permission_grants AS a ON a.permission_grant_id = v.grant_id
        WHERE v.source = 'delegated_grants'""")
