"""Stage inventories: which listings of resources and providers are whole, by what is said of their files and by these.

A listing is complete if nothing speaks against it: somebody vouches for it, the command or query has no filter, its
last page was read, and the file agrees with the statement. A file without a statement shows what exists, and nothing
about what does not. A listing of access is complete unless something speaks against it, too: a rejected record, say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import duckdb

from rightsize.ingest.entities.manifests import (
    MANIFEST,
    DeclaredReading,
    Vouched,
    add_vouched,
    read_vouched,
)
from rightsize.ingest.entities.pages import REASON, classify_page, refused_listing
from rightsize.ingest.loaded_files import PROVIDERS, RESOURCES, LoadedFile, find_reader, tenants_of
from rightsize.ingest.whole_exports import Asked, read_query, read_windows
from rightsize.model.access_answers import (
    ACCESS_LISTINGS,
    BY_NAME,
    BY_SOURCE,
    ELIGIBILITY,
    MEMBERS,
    ROLE_ASSIGNMENTS,
)
from rightsize.model.errors import InputError
from rightsize.model.progress import counted
from rightsize.model.text import GUID, fold
from rightsize.model.times import Declaration
from rightsize.rbac.scopes import parse_scope
from rightsize.store.sql import folded, insert_lists

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


_LISTING_ROW = {
    "file_id": "INTEGER", "line": "BIGINT", "listing": "VARCHAR", "of": "VARCHAR", "complete": "BOOLEAN",
    "rejected": "BIGINT", "why": "VARCHAR",
}  # fmt: skip
_NAMED = 5
_LONGEST = 300
_URL = re.compile(
    r"(?:get |--ur[il] ['\"]?)(?:https://[^/]+)?(?P<scope>/?[^'\"? ]*?)/providers/microsoft\.authorization/"
)
_SCOPE_OPTION = re.compile(r"--scope[= ]['\"]?(?P<scope>/[^'\" ]*)")
_GROUP = re.compile(rf"/groups/(?P<id>{GUID})/(?P<listing>members|transitivemembers)\b")
# A tenant without the licence for Privileged Identity Management has no eligible assignments to list.
_UNLICENSED = re.compile(r"licen[cs]e|aadpremium", re.IGNORECASE)
_STATES = {ROLE_ASSIGNMENTS.name: "active", ELIGIBILITY.name: "eligible"}
"""The state of the staged assignments of each kind."""


@dataclass(frozen=True, slots=True)
class _Stated:
    """What is known of one listing: a row of the table `listings`, and the file that says it."""

    listing: str
    of: str
    complete: bool
    rejected: int = 0
    why: str | None = None
    file_id: int = _NO_FILE


def stage_access_listings(con: duckdb.DuckDBPyConnection, files: Mapping[int, LoadedFile]) -> list[str]:
    """Stage a row for each listing that is named; return notes on those that are not complete, the dearest first.

    Args:
        con: The connection with the staged rows.
        files: The files of which somebody says something.
    """
    said = [(one, file_id) for one, file_id in read_vouched(con) if one.kind in BY_SOURCE]
    stated = list(_said_of(said, files))
    spoken_of = {file_id for one, file_id in said if file_id is not None}
    stated += [*_shown_by(con, spoken_of), *_refused(con)]
    insert_lists(
        con,
        "stage_listings",
        _LISTING_ROW,
        [[one.file_id, None, one.listing, one.of, one.complete, one.rejected, one.why] for one in stated],
    )
    return list(_lacking(stated))


def _said_of(said: Iterable[tuple[Vouched, int | None]], files: Mapping[int, LoadedFile]) -> Iterator[_Stated]:
    """Yield what manifests and collections say of listings, held against their files."""
    for one, file_id in said:
        file = None if file_id is None else files.get(file_id)
        problem = file_problem(one, file)
        if problem and one.kind in ELIGIBILITY.sources and _UNLICENSED.search(problem):
            continue
        rejected = file.rejected if file is not None else 0
        number = one.said_in if one.said_in is not None else file_id
        for listing, of in _places_of(one):
            # What Graph lists of members, their own pages say, too.
            is_complete = problem is None and BY_NAME[listing] is not MEMBERS
            if problem or is_complete:
                yield _Stated(
                    listing, of, is_complete and not rejected, rejected, problem and problem[:_LONGEST],
                    _NO_FILE if number is None else number,
                )  # fmt: skip


def _places_of(said: Vouched) -> Iterator[tuple[str, str]]:
    """Yield the kind of listing and the scope or group of what a statement is about."""
    kind, asked = BY_SOURCE[said.kind], fold(said.query or "")
    if kind is MEMBERS:
        found = _GROUP.search(asked) or re.search(rf"(?P<id>{GUID})", fold(said.path))
        if found:
            yield _members_of(said.kind), found["id"]
        return
    named = _URL.search(asked) or _SCOPE_OPTION.search(asked)
    if named:
        yield kind.name, _scope(named["scope"])
    elif said.subscriptions:
        yield from ((kind.name, f"/subscriptions/{one}") for one in said.subscriptions)
    else:
        yield kind.name, "/"


def _members_of(source: str) -> str:
    return "transitiveMembers" if source == "transitive_members" else MEMBERS.name


def _scope(text: str) -> str:
    """Return a folded scope; the root for what is none, since it may be any."""
    try:
        return parse_scope(text or "/").key
    except InputError:
        return "/"


def _shown_by(con: duckdb.DuckDBPyConnection, spoken_of: set[int]) -> Iterator[_Stated]:
    """Yield what files show themselves: which subscriptions they list, whether a page is missing, what was rejected."""
    rows = con.execute(_SHOWN, {"spoken_of": sorted(spoken_of)}).fetchall()
    for file_id, listing, of, is_ended, rejected in rows:
        why = None if is_ended else "its next page is not loaded"
        yield _Stated(listing, of, bool(is_ended), rejected, why, file_id)


_PLACE = """
    CASE WHEN starts_with(place, '/subscriptions/') THEN '/subscriptions/' || split_part(place, '/', 3)
        ELSE place END"""
_SHOWN = f"""
    WITH lost AS (
        SELECT file_id, count(DISTINCT line) AS rejected FROM stage_rejects GROUP BY file_id
    ), ended AS (
        SELECT file_id, bool_or(NOT has_next) AS is_ended FROM stage_pages GROUP BY file_id
    ), placed AS (
        {
    " UNION ALL ".join(
        f"SELECT file_id, '{name}' AS listing, {folded('scope')} AS place FROM stage_role_assignments "
        f"WHERE state = '{state}'"
        for name, state in _STATES.items()
    )
}
    ), shown AS (
        SELECT DISTINCT file_id, listing, {_PLACE} AS "of" FROM placed
    )
    SELECT file_id, listing, "of", coalesce(is_ended, true), coalesce(rejected, 0)::BIGINT
    FROM shown LEFT JOIN lost USING (file_id) LEFT JOIN ended USING (file_id)
    WHERE NOT list_contains($spoken_of::INTEGER[], file_id) ORDER BY ALL"""


def _refused(con: duckdb.DuckDBPyConnection) -> Iterator[_Stated]:
    """Yield the listings in whose place Azure answered with an error."""
    rows = con.execute(
        "SELECT file_id, raw, place FROM stage_rejects LEFT JOIN stage_names USING (file_id) "
        "WHERE reason = $reason ORDER BY ALL",
        {"reason": REASON},
    ).fetchall()
    for file_id, raw, place in rows:
        found = refused_listing(raw)
        if found is not None:
            yield _Stated(found[0], _scope(found[1]), complete=False, why=_error_of(raw), file_id=file_id)
        elif (
            (page := classify_page("", place or "")) and page.of and page.listing in (MEMBERS.name, "transitiveMembers")
        ):
            yield _Stated(page.listing, page.of, complete=False, why=_error_of(raw), file_id=file_id)


_CODE = re.compile(r'"code"\s*:\s*"(?P<code>[A-Za-z0-9_.]{1,80})"', re.IGNORECASE)


def _error_of(raw: str) -> str:
    found = _CODE.search(raw)
    return f"Azure refused it: {found['code']}" if found else "Azure refused it"


def _lacking(stated: Sequence[_Stated]) -> Iterator[str]:
    """Yield one note for each kind of listing of which some are not complete, those first that cost most."""
    whole = {(one.listing, one.of) for one in stated if one.complete and not one.rejected}
    for kind in ACCESS_LISTINGS:
        found: dict[str, str] = {}
        for one in sorted(stated, key=lambda one: (one.of, one.why or "")):
            if BY_NAME[one.listing] is kind and (one.listing, one.of) not in whole:
                why = one.why or f"{counted(one.rejected, 'record was', 'records were')} rejected"
                found.setdefault(one.of, why)
        if not found:
            continue
        shown = "; ".join(f"`{of}`: {why}" for of, why in list(found.items())[:_NAMED])
        more = f"; and {len(found) - _NAMED:,} more, which `rightsize status -v` names" if len(found) > _NAMED else ""
        yield f"{kind.words} not listed completely, so {kind.costs}: {shown}{more}"
