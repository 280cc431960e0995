"""Stage whether each listing that an answer about access rests on is complete, by its files and what is said of them.

A listing of role assignments, eligible assignments, role definitions, deny assignments or group members is complete
unless something speaks against it: a manifest or a collection, an error in its place, a record that was rejected, or a
next page that was not loaded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import duckdb

from rightsize.ingest.entities.manifests import Vouched, read_vouched
from rightsize.ingest.entities.pages import REASON, classify_page, refused_listing
from rightsize.ingest.inventories import file_problem
from rightsize.ingest.loaded_files import LoadedFile
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
from rightsize.rbac.scopes import parse_scope
from rightsize.store.sql import folded, insert_lists

_ROW = {
    "file_id": "INTEGER", "line": "BIGINT", "listing": "VARCHAR", "of": "VARCHAR", "complete": "BOOLEAN",
    "rejected": "BIGINT", "why": "VARCHAR",
}  # fmt: skip
_NO_FILE = -1
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
        _ROW,
        [[one.file_id, None, one.listing, one.of, one.complete, one.rejected, one.why] for one in stated],
    )
    return list(_notes(stated))


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


def _notes(stated: Sequence[_Stated]) -> Iterator[str]:
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
