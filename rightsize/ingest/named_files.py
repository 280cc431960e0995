"""Find the files of which manifests and collections speak, and the principal whom a user names as their reader."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import duckdb

from rightsize.ingest.entities.fields import GUID
from rightsize.ingest.logs import NO_LOG, file_id
from rightsize.ingest.sources import Scratch, SourceFile, address_of, open_sources
from rightsize.model.errors import UsageError
from rightsize.rbac.text import fold
from rightsize.store.sql import folded


def name_places(con: duckdb.DuckDBPyConnection, files: Sequence[SourceFile]) -> None:
    """Add the names of files to `stage_names`."""
    names = {
        "numbers": [file_id(file.number, NO_LOG) for file in files],
        "places": [file.place for file in files],
        "addresses": [file.address for file in files],
    }
    con.execute(
        "INSERT INTO stage_names SELECT unnest($numbers::INTEGER[]), unnest($places::VARCHAR[]), "
        "unnest($addresses::VARCHAR[])",
        names,
    )


def match_files(con: duckdb.DuckDBPyConnection) -> None:
    """Note for each statement in `stage_vouched` the file it is about."""
    con.execute("""
        UPDATE stage_vouched SET file_id = found.file_id
        FROM (SELECT address, min(file_id) AS file_id FROM stage_names GROUP BY address) AS found
        WHERE stage_vouched.address = found.address AND stage_vouched.file_id IS NULL""")


def open_named(con: duckdb.DuckDBPyConnection, files: Sequence[SourceFile], scratch: Scratch) -> list[SourceFile]:
    """Return the files that lie beside a manifest, are named by it, and are not among the files of the load.

    So a manifest alone, or a manifest after its files, gives the same as the folder. A name that leads out of the
    folder by a link is not followed.
    """
    folders = {file_id(file.number, NO_LOG): file.stored.parent for file in files if file.is_in_folder}
    rows = con.execute(
        "SELECT DISTINCT said_in, path FROM stage_vouched WHERE file_id IS NULL AND said_in IS NOT NULL ORDER BY ALL"
    ).fetchall()
    paths = [found for said_in, path in rows if said_in in folders for found in _inside(folders[said_in], path)]
    opened = open_sources(paths, scratch, named=False)
    return [replace(file, number=file.number + len(files)) for file in opened]


def _inside(folder: Path, path: str) -> Iterator[Path]:
    """Yield the regular file at a path below a folder, if there is one and no link leads out of the folder."""
    found = folder / path
    try:
        is_file = stat.S_ISREG(found.stat().st_mode)
    except (OSError, ValueError):
        return
    if is_file and Path(os.path.realpath(found)).is_relative_to(os.path.realpath(folder)):
        yield Path(address_of(found))


_NAMES = (
    ("principal_id", "principals", "principal_id"),
    ("principal_id", "role_assignments", "principal_id"),
    ("user_principal_name", "principals", "principal_id"),
    ("app_id", "principals", "principal_id"),
    ("display_name", "principals", "principal_id"),
    ("principal_name", "role_assignments", "principal_id"),
)
"""The columns that may hold the name of a principal; the first that has it decides."""


def find_reader(con: duckdb.DuckDBPyConnection, name: str) -> str:
    """Return the folded object id of the principal that `name` means, in the store or among the staged rows.

    Raises:
        UsageError: No principal has this name, or several have.
    """
    for column, table, identifier in _NAMES:
        rows = con.execute(
            " UNION ".join(
                f"SELECT {folded(identifier)} FROM {place} "
                f"WHERE {folded(column)} = {folded('$name')} AND {identifier} IS NOT NULL"
                for place in (f"stage_{table}", f"base.{table}")
            ),
            {"name": name},
        ).fetchall()
        found = sorted(one for (one,) in rows)
        if len(found) > 1:
            raise UsageError(
                f"`--inventory-by {name}` names {len(found)} principals",
                hint=f"give one of the ids {', '.join(found[:5])}",
            )
        if found:
            return str(found[0])
    if con.execute(f"SELECT regexp_full_match({folded('$name')}, '{GUID}')", {"name": name}).fetchall()[0][0]:
        return fold(name)
    raise UsageError(
        f"`--inventory-by {name}` names no principal that is loaded", hint="give an object id, a UPN or a name"
    )


def tenants_of(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Return the tenants whose root management groups are listed; such a group has the id of its tenant as its name."""
    is_store = con.execute("SELECT 1 FROM duckdb_tables() WHERE schema_name = 'base' LIMIT 1").fetchone()
    places = ("stage_scope_listings", "base.scope_listings") if is_store else ("stage_scope_listings",)
    listed = " UNION ALL ".join(
        f"SELECT {folded('scope')} AS scope, {folded('parent_scope')} AS parent FROM {place}" for place in places
    )
    rows = con.execute(f"""
        WITH listed AS ({listed})
        SELECT DISTINCT string_split(scope, '/')[-1] AS name FROM listed
        WHERE scope IN (SELECT parent FROM listed) AND scope NOT IN (SELECT scope FROM listed WHERE parent IS NOT NULL)
            AND regexp_full_match(name, '{GUID}')
        ORDER BY name""").fetchall()
    return [str(name) for (name,) in rows]
