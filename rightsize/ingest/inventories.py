"""Stage inventories: which listings of resources and providers are whole, by what is said of their files and by these.

A listing is complete if nothing speaks against it: somebody vouches for it, the command or query has no filter, its
last page was read, and the file agrees with the statement. A file without a statement shows what exists, and nothing
about what does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import duckdb

from rightsize.ingest.entities.manifests import (
    MANIFEST,
    DeclaredReading,
    Vouched,
    add_vouched,
    read_vouched,
)
from rightsize.ingest.loaded_files import PROVIDERS, RESOURCES, LoadedFile, find_reader, tenants_of
from rightsize.ingest.whole_exports import Asked, read_query, read_windows
from rightsize.model.access_answers import BY_SOURCE
from rightsize.model.times import Declaration
from rightsize.store.sql import insert_lists

_LISTINGS = {RESOURCES: "resource_list", PROVIDERS: "providers"}
_COMMANDS = {
    "resource_list": "`az resource list`",
    "resource_graph": "a Resource Graph query",
    PROVIDERS: "`az provider list`",
}
_ROW = {
    "file_id": "INTEGER",
    "line": "BIGINT",
    "scope": "VARCHAR",
    "kind": "VARCHAR",
    "reader_id": "VARCHAR",
    "read_on": "TIMESTAMP",
    "finished_on": "TIMESTAMP",
    "query": "VARCHAR",
    "rows": "BIGINT",
    "complete": "BOOLEAN",
    "problem": "VARCHAR",
    "vouched_by": "VARCHAR",
}
_MOST_NOTES = 8
_NO_FILE = -1
"""The number in `stage_files` of no file, for a listing that has none."""


def file_problem(said: Vouched, file: LoadedFile | None) -> str | None:
    """Return why a listing is not whole by what is said of it or by its file, in one sentence; None if it is."""
    if said.error or not said.complete:
        return _incomplete(said)
    # A collection holds its pages against what it wrote when it is opened.
    return None if said.vouched_by == "collection" else _difference(said, file)


def refuse_other_tenants(con: duckdb.DuckDBPyConnection) -> None:
    """Reject the manifests of other tenants than those whose root management groups are known."""
    roots = tenants_of(con)
    if not roots:
        return
    con.execute(
        "INSERT INTO stage_rejects (file_id, line, reason, raw) SELECT DISTINCT said_in, 1, "
        "'its `tenant_id` is not the tenant of the management groups', tenant_id FROM stage_vouched "
        "WHERE said_in IS NOT NULL AND NOT list_contains($roots, tenant_id)",
        {"roots": roots},
    )
    con.execute(
        "DELETE FROM stage_vouched WHERE said_in IS NOT NULL AND NOT list_contains($roots, tenant_id)",
        {"roots": roots},
    )


def vouch_for_others(
    con: duckdb.DuckDBPyConnection, files: Iterable[LoadedFile], declared: DeclaredReading
) -> Iterator[str]:
    """Add a user's statement about every listing for which nobody else vouches; yield notes for a person.

    Raises:
        UsageError: It names no principal that is loaded, or several.
    """
    reader, read_on = find_reader(con, declared.reader), declared.read_on
    taken = {file_id for _, file_id in read_vouched(con)}
    for file in files:
        source = next((source for source in (RESOURCES, PROVIDERS) if file.sources == {source}), None)
        if source is None or file.file_id in taken:
            continue
        if not file.subscriptions:
            yield f"`{file.name}` names no subscription, so `--inventory-by` says nothing about it"
            continue
        named = tuple(sorted(file.subscriptions))
        said = Vouched(
            "", file.name, source, None, named, True, None, None, None, reader, read_on, None, "user", ""
        )  # fmt: skip
        add_vouched(con, [said], file.file_id)


def stage_inventories(
    con: duckdb.DuckDBPyConnection, files: Mapping[int, LoadedFile]
) -> tuple[list[str], list[Declaration]]:
    """Stage a row for each listing and subscription.

    Returns:
        Notes about files that differ from their manifest or are incomplete, and the days of logs that manifests
        declare.
    """
    groups: dict[tuple[object, ...], list[tuple[Vouched, LoadedFile | None]]] = {}
    differing: dict[tuple[str, str], str] = {}
    declared: list[tuple[Vouched, LoadedFile | None]] = []
    for said, file_id in read_vouched(con):
        file = None if file_id is None else files.get(file_id)
        if said.vouched_by == MANIFEST:
            problem = _difference(said, file) or (None if said.complete else _incomplete(said))
            # Notes on listings of access stand by themselves, with what their lack costs.
            if problem and said.kind not in BY_SOURCE:
                differing.setdefault((_manifest_name(said, files), said.path), problem)
            declared.append((said, file))
        # A listing of one type shows what exists, as one without a statement does.
        if said.kind not in _LISTINGS or (said.query and read_query(said.query).kind == "one_type"):
            continue
        kind = _kind_of(said, file)
        for subscription in _subscriptions_of(said, file):
            key = (subscription, kind, said.reader_id, said.read_on, said.vouched_by, said.listing, said.said_in)
            groups.setdefault(key, []).append((said, file))
    rows = [_row(str(key[0]), str(key[1]), parts) for key, parts in groups.items()]
    insert_lists(con, "stage_inventories", _ROW, rows)
    con.execute("""
        UPDATE stage_provider_registrations SET reader_id = said.reader_id, updated_on = said.read_on
        FROM (SELECT file_id, arg_max(reader_id, (read_on, reader_id)) AS reader_id, max(read_on) AS read_on
            FROM stage_vouched WHERE kind = 'providers' GROUP BY file_id) AS said
        WHERE stage_provider_registrations.file_id = said.file_id""")
    return list(_notes(differing)), read_windows(declared)


def _manifest_name(said: Vouched, files: Mapping[int, LoadedFile]) -> str:
    found = None if said.said_in is None else files.get(said.said_in)
    return "" if found is None else found.name


def _notes(differing: Mapping[tuple[str, str], str]) -> Iterator[str]:
    for (manifest, path), problem in sorted(differing.items())[:_MOST_NOTES]:
        yield f"`{manifest}` names `{path}`: {problem}"
    if len(differing) > _MOST_NOTES:
        yield f"{len(differing) - _MOST_NOTES:,} more files are incomplete, or do not agree with their manifest"


def _kind_of(said: Vouched, file: LoadedFile | None) -> str:
    if said.kind == PROVIDERS:
        return PROVIDERS
    is_asked = said.query is not None and read_query(said.query).kind == "resource_graph"
    # An empty list may be an answer of either.
    if file is None or (file.sources == {"empty"} and not file.is_query):
        return "resource_graph" if is_asked else "resource_list"
    return "resource_graph" if file.is_query else "resource_list"


def _subscriptions_of(said: Vouched, file: LoadedFile | None) -> Sequence[str]:
    if said.subscriptions is not None:
        return said.subscriptions
    # Nobody says which subscriptions a reader sees, and the CLI asks those that it knows: only found ones were asked.
    return sorted(file.subscriptions) if file is not None else ()


def _row(subscription: str, kind: str, parts: Sequence[tuple[Vouched, LoadedFile | None]]) -> list[object]:
    first = parts[0][0]
    problem = _problem(subscription, kind, parts)
    file_id, line = (first.said_in, 1) if first.said_in is not None else (_first_file(parts), None)
    ends = [said.finished_on for said, _ in parts if said.finished_on is not None]
    return [
        file_id,
        line,
        f"/subscriptions/{subscription}",
        kind,
        first.reader_id,
        first.read_on,
        max(ends) if len(ends) == len(parts) else None,
        first.query,
        sum(file.read for file in _distinct(parts)),
        problem is None,
        problem,
        first.vouched_by,
    ]


def _first_file(parts: Sequence[tuple[Vouched, LoadedFile | None]]) -> int:
    return min((file.file_id for _, file in parts if file is not None), default=_NO_FILE)


def _distinct(parts: Sequence[tuple[Vouched, LoadedFile | None]]) -> list[LoadedFile]:
    return list({file.file_id: file for _, file in parts if file is not None}.values())


def _problem(subscription: str, kind: str, parts: Sequence[tuple[Vouched, LoadedFile | None]]) -> str | None:
    """Return why the listing of a subscription is not complete, in one sentence; None if it is."""
    for said, file in parts:
        found = _incomplete(said) or _difference(said, file) or _lost(said, file) or _filter(subscription, kind, said)
        if found:
            return found
    files = _distinct(parts)
    if not any(file.is_ended for file in files):
        return "its last page was not read"
    if parts[0][0].vouched_by == "user" and len(files) > 1:
        return "several files list this subscription, and no manifest says that each is whole"
    if kind == "resource_graph":
        totals = {file.total for file in files}
        things = sum(file.things for file in files)
        if None in totals or len(totals) > 1:
            return "the answer does not say how many resources the query has"
        if totals != {things}:
            return f"the answer has {things:,} of {totals.pop():,} resources"
        return None
    others = {one for file in files for one in file.subscriptions} - {subscription}
    if others or any(said.subscriptions is not None and len(said.subscriptions) > 1 for said, _ in parts):
        return f"{_COMMANDS[kind]} lists one subscription, and this is of several"
    return None


def _incomplete(said: Vouched) -> str | None:
    if said.error:
        return f"the reading failed: {said.error}"
    if not said.complete:
        return "the reading did not reach its end"
    return "the reading was not finished" if said.finished_on is None and said.vouched_by != "user" else None


def _difference(said: Vouched, file: LoadedFile | None) -> str | None:
    """Return why a file is not the one of which a statement speaks."""
    if file is None:
        return said.error if said.error else f"there is no file `{said.path}`"
    if file.is_blank:
        return "the file is blank"
    if said.kind not in file.sources and file.sources != {"empty"}:
        return f"the file holds {' and '.join(sorted(file.sources))}, not {said.kind}"
    if said.size is not None and said.size != file.size:
        return f"the file has {file.size:,} bytes instead of {said.size:,}"
    if said.rows is not None and said.rows != file.read:
        return f"the file has {file.read:,} records instead of {said.rows:,}"
    return None


def _lost(said: Vouched, file: LoadedFile | None) -> str | None:
    if file is None:
        return None
    if file.rejected:
        return f"{file.rejected:,} of {file.read:,} records were rejected"
    if file.used != file.read:
        return f"{file.read - file.used:,} of {file.read:,} records do not say what they are"
    if said.rows is None and said.vouched_by != "user":
        return "nobody says how many records there were"
    return None


def _filter(subscription: str, kind: str, said: Vouched) -> str | None:
    if said.vouched_by == "user":
        return None
    asked = Asked("") if said.query is None else read_query(said.query)
    if asked.kind != kind:
        return f"`query` is not {_COMMANDS[kind]} of a whole subscription"
    if asked.problem:
        return asked.problem
    if asked.subscriptions and subscription not in asked.subscriptions:
        return "`query` names another subscription"
    return None
