"""Describe the files of a load: what was staged of them, what is said about them, and what a person should know."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb

from rightsize.ingest.entities.pages import REFUSAL
from rightsize.ingest.files.sources import Scratch, SourceFile, address_of, open_sources
from rightsize.ingest.logs.batches import NO_LOG, LogCounts, file_id
from rightsize.ingest.recognise import Recognised
from rightsize.model.errors import UsageError
from rightsize.model.progress import counted
from rightsize.model.text import GUID, fold
from rightsize.rules.log_sources import LOG_SOURCES
from rightsize.store.sql import UNMAPPED, folded, nonempty

RESOURCES, PROVIDERS = "resources", "providers"
"""The sources that list what exists in a subscription."""

_NEXT = ("nextLink", "@odata.nextLink", "$skipToken", "skip_token")
_TOTALS = ("totalRecords", "total_records")


@dataclass(slots=True)
class LoadedFile:
    """A file of the load with its content.

    Attributes:
        file_id: Its number in `stage_files`.
        name: Its name for a person.
        sources: What it holds, as `load` prints it; only `empty` for a file without records.
        read: The number of its records; `rejected` of them could not be used.
        size: Its bytes.
        is_blank: Whether it has no content at all, not even an empty list.
        is_query: Whether it is an answer of Resource Graph.
        is_ended: Whether its last page was read.
        total: For an answer of Resource Graph, the number of records that the query has; None if it is not said.
        used: The number of records that are resources or providers; `things` of them are distinct.
        subscriptions: The subscriptions of these.
    """

    file_id: int
    name: str
    sources: set[str]
    read: int = 0
    rejected: int = 0
    size: int = 0
    is_blank: bool = False
    is_query: bool = False
    is_ended: bool = True
    total: int | None = None
    used: int = 0
    things: int = 0
    subscriptions: set[str] = field(default_factory=set)


def loaded_files(
    recognised: Iterable[Recognised], parts: Mapping[int, tuple[SourceFile, str, int]]
) -> dict[int, LoadedFile]:
    """Return the files of a load by their number in `stage_files`.

    Args:
        recognised: The files.
        parts: By number, each part of a file with its source and the number of its records.
    """
    files: dict[int, LoadedFile] = {}
    for found in recognised:
        file, look = found.file, found.sniff
        number = file_id(file.number, NO_LOG)
        one = files[number] = LoadedFile(number, file.name, set(), size=file.stored.stat().st_size)
        one.is_blank = look.form == "empty" and not look.excerpt
        # Nothing is staged of an empty page.
        if look.form == "empty" and look.envelope:
            one.is_query = "data" in look.envelope
            one.is_ended = not any(look.envelope.get(key) for key in _NEXT)
            total = next((look.envelope[key] for key in _TOTALS if key in look.envelope), None)
            one.total = total if isinstance(total, int) else None
    for file, source, read in parts.values():
        one = files[file_id(file.number, NO_LOG)]
        one.sources.add(source)
        one.read += read
    return files


_FACTS = (
    ("stage_resources", "scope"),
    ("stage_provider_registrations", "(scope || '|' || namespace)"),
)


def read_facts(con: duckdb.DuckDBPyConnection, files: Mapping[int, LoadedFile]) -> None:
    """Add to the files what the staging tables hold of them."""
    for table, key in _FACTS:
        for found, used, things, subscriptions in _of_files(
            con,
            files,
            f"SELECT file_id, count(DISTINCT line), count(DISTINCT {folded(key)}), "
            f"list(DISTINCT lower(split_part(scope, '/', 3))) FROM {table} GROUP BY file_id",
        ):
            found.used, found.things, found.subscriptions = used, things, set(subscriptions)
    for found, rejected in _of_files(
        con, files, "SELECT file_id, count(DISTINCT line) FROM stage_rejects GROUP BY file_id"
    ):
        found.rejected = rejected
    for found, is_ended in _of_files(
        con, files, "SELECT file_id, bool_or(NOT has_next) FROM stage_pages GROUP BY file_id"
    ):
        found.is_ended = is_ended
    for found, total, is_one in _of_files(
        con,
        files,
        "SELECT file_id, max(total), count(total) = count(*) AND min(total) = max(total) FROM stage_query_pages "
        "GROUP BY file_id",
    ):
        found.is_query, found.total = True, total if is_one else None
    for (found,) in _of_files(con, files, "SELECT DISTINCT file_id FROM stage_query_rows"):
        found.is_query = True


def _of_files(con: duckdb.DuckDBPyConnection, files: Mapping[int, LoadedFile], query: str) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a query whose first column is the number of a file, with the file in its place."""
    for number, *values in con.execute(query).fetchall():
        if number in files:
            yield files[number], *values


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


# The author of a file chooses these words; a person reads at most this many.
_WORDS_TOLD = 20
_NOT_READ = "verdicts do not use this log"


def notes_on_staged(
    con: duckdb.DuckDBPyConnection, parts: Mapping[int, tuple[SourceFile, str, int]], counts: LogCounts
) -> Iterator[str]:
    """Yield what a person should know of the staged files, one sentence each."""
    for log in LOG_SOURCES:
        read = sum(records for (_, name), records in counts.read.items() if name == log.name)
        if read and not log.records:
            yield f"{log.source}: {read:,} records recognised and not used: {_NOT_READ}"
    yield from _audit_shares(con)
    for category, records in sorted(counts.other_categories.most_common(_WORDS_TOLD)):
        shown = f"the category `{category}`, which shows no use of a permission"
        yield f"{records:,} records of the Activity Log have {shown}"
    for status, records in sorted(counts.unknown_statuses.most_common(_WORDS_TOLD)):
        yield f"{records:,} records of the Activity Log have the unknown status `{status}`"
    names = {part // file_id(1, 0): file.name for part, (file, _, _) in parts.items()}
    refused = {part // file_id(1, 0) for part, (_, source, _) in parts.items() if source == REFUSAL}
    for number, error in con.execute(
        "SELECT file_no, any_value(error) FROM ingest_pages WHERE error IS NOT NULL GROUP BY 1"
    ).fetchall():
        if number not in refused:
            yield f"`{names.get(number, '')}` is the result of a query that failed in part: {error}"
    for listing, places, records in con.execute(_BROKEN_LISTINGS).fetchall():
        named = f"listing of {listing}" if places == 1 else f"{places:,} listings of {listing}"
        rejected = f"{counted(records, 'record')} rejected"
        yield f"{named} incomplete: {rejected}, and a principal that is not listed may be one of them"
    for reason, records in con.execute("SELECT reason, count(*) FROM stage_rejects GROUP BY 1 ORDER BY 1").fetchall():
        yield f"{counted(records, 'record')} rejected: {reason}"


_BROKEN_LISTINGS = """
    SELECT listing, count(DISTINCT "of"), sum(rejected)::BIGINT FROM stage_listings WHERE rejected > 0
    GROUP BY listing ORDER BY listing"""


def _audit_shares(con: duckdb.DuckDBPyConnection) -> Iterator[str]:
    """Yield the counts of directory audit records by their use, and the activities that no rule knows."""
    if not nonempty(con, {"records": "stage_event_contexts WHERE source = 'entra_audit_log'"}):
        return
    used, known, unknown = con.execute(
        """
        SELECT count(DISTINCT (file_id, line)) FILTER (WHERE operation LIKE 'microsoft.directory/%'),
            count(DISTINCT (file_id, line)) FILTER (WHERE operation NOT LIKE 'microsoft.directory/%'
                AND NOT starts_with(operation, $mark)),
            count(DISTINCT (file_id, line)) FILTER (WHERE starts_with(operation, $mark))
        FROM stage_event_rows WHERE source = 'entra_audit_log'
        """,
        {"mark": UNMAPPED},
    ).fetchall()[0]
    if used + known + unknown:
        yield (
            f"directory audit log: {used:,} records needed a resource action, {known:,} needed none, "
            f"{unknown:,} have an activity without a rule"
        )
    rows = con.execute(
        "SELECT substr(operation, len($mark) + 1), count(*) FROM stage_event_rows "
        "WHERE source = 'entra_audit_log' AND starts_with(operation, $mark) GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT $most",
        {"mark": UNMAPPED, "most": _WORDS_TOLD},
    ).fetchall()
    for name, records in rows:
        yield f"{records:,} records of the directory audit log have the activity `{name[:100]}`, which has no rule"
