"""Compare the runs in a folder: which to resume, what earlier runs have of each log, and which days a run covers."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rightsize.collect.listing import CollectionRequest
from rightsize.collect.pages import JOURNAL, KIND, MANIFEST, PAGES, Progress, Run, is_sealed_here
from rightsize.model.errors import InputError
from rightsize.model.file_reading import hash_of_found, open_found
from rightsize.model.text import fold
from rightsize.model.times import Declaration, Span, declared_days
from rightsize.store.merging.listings import GRANT_SOURCES, Listing

ALL_RESOURCES = "resources | order by id asc"
"""The query of Resource Graph for everything in a subscription; the order keeps its pages apart."""

LATENESS = dt.timedelta(hours=3)
"""Time after which all rows of an event have arrived: the Activity Log takes up to 20 minutes, sign-ins 2 hours."""


def is_run(folder: Path) -> bool:
    """Return whether a folder is a run."""
    try:
        with os.fdopen(open_found(folder, MANIFEST), "rb") as file:
            return KIND.encode() in file.read(1024)
    except (InputError, OSError):
        return False


def find_runs(folder: Path) -> list[Path]:
    """Return the runs in a folder, sorted by name; the folder itself if it is a run."""
    if is_run(folder):
        return [folder]
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink() and is_run(path))


def question_answer(question: CollectionRequest) -> dict[str, Any]:
    """Return a request as the JSON object of a manifest."""
    return {
        "until": question.until.isoformat(),
        "days": question.days,
        "sources": list(question.sources),
        "subscriptions": list(question.subscriptions),
        "workspaces": list(question.workspaces),
        "containers": list(question.containers),
        "raw": question.raw,
    }


def read_question(answer: Mapping[str, Any]) -> CollectionRequest:
    """Return the request that a manifest holds."""
    lists = {name: tuple(answer[name]) for name in ("sources", "subscriptions", "workspaces", "containers")}
    return CollectionRequest(
        dt.datetime.fromisoformat(answer["until"]), int(answer["days"]), raw=bool(answer["raw"]), **lists
    )


def unfinished_run(folder: Path, asked: Mapping[str, Any]) -> Path | None:
    """Return the newest run with the same request apart from its end, if that run is unfinished."""
    for path in reversed(find_runs(folder)):
        manifest = Run.read(path).manifest
        same = all(manifest.get(name) == asked[name] for name in ("cloud", "tenant_id"))
        before, now = dict(manifest.get("question") or {}), dict(asked["question"])
        before.pop("until", None)
        now.pop("until", None)
        if same and before == now:
            return None if manifest.get("finished") else path
    return None


def new_folder(out: Path, question: CollectionRequest) -> Path:
    """Return the folder for a new run, named after the end of its window."""
    name = question.until.strftime("%Y%m%dT%H%M%SZ")
    taken = {path.name for path in out.iterdir()} if out.is_dir() else set()
    count = 1
    while (found := name if count == 1 else f"{name}-{count}") in taken:
        count += 1
    return out / found


@dataclass(frozen=True, slots=True)
class Earlier:
    """The logs and blobs that earlier runs have.

    Attributes:
        watermarks: Start and end of the time that each stream of a log has without a gap, by source and stream.
        held: Complete units that never change (blobs), by source and key.
    """

    watermarks: Mapping[tuple[str, str], Span]
    held: frozenset[tuple[str, str]]


def read_earlier(folder: Path, asked: Mapping[str, Any]) -> Earlier:
    """Return the logs and blobs that the finished runs in a folder have for the same cloud and tenant."""
    found: dict[tuple[str, str], Span] = {}
    held: set[tuple[str, str]] = set()
    for path in find_runs(folder):
        run = Run.read(path)
        if any(run.manifest.get(name) != asked[name] for name in ("cloud", "tenant_id")) or not run.manifest.get(
            "finished"
        ):
            continue
        held |= {key for key, unit in run.units.items() if "@" in unit.key and unit.state == "complete"}
        for (source, stream), units in _streams(run.units.values()).items():
            if all(unit.state == "complete" for unit in units):
                span = (
                    min(dt.datetime.fromisoformat(unit.first) for unit in units),
                    max(dt.datetime.fromisoformat(unit.last) for unit in units),
                )
                found[source, stream] = _joined(span, found.get((source, stream), span))
    return Earlier(found, frozenset(held))


def _joined(one: Span, other: Span) -> Span:
    """Return both spans as one if they touch, else the later one, because the gap has to be fetched."""
    earlier, later = sorted((one, other), key=lambda span: span[1])
    return (min(earlier[0], later[0]), later[1]) if later[0] <= earlier[1] else later


def _streams(units: Iterable[Progress]) -> dict[tuple[str, str], list[Progress]]:
    """Return the units of logs by source and stream; the key of a unit is STREAM#START."""
    found: dict[tuple[str, str], list[Progress]] = {}
    for unit in units:
        if unit.first:
            found.setdefault((unit.source, unit.key.rpartition("#")[0]), []).append(unit)
    return found


def covered_days(run: Run, logs: Mapping[str, str], retention: Mapping[str, int]) -> list[Declaration]:
    """Return the days that a run covers of each log.

    Args:
        run: The run.
        logs: The log of each source that has one.
        retention: Days that Azure keeps of each source; older rows may be missing without notice.
    """
    until = dt.datetime.fromisoformat(run.manifest["question"]["until"])
    settled = dt.datetime.fromisoformat(run.manifest["started"]) - LATENESS
    found: dict[Declaration, None] = {}
    streams = sorted(_streams(run.units.values()).items())
    for source, log in sorted(logs.items()):
        oldest = (until - dt.timedelta(days=retention[source] - 1)).date()
        spans = [(units[0].scope, list(_complete(units))) for (name, _), units in streams if name == source]
        found |= dict.fromkeys(declared_days(log, spans, settled, oldest))
    return list(found)


def _complete(units: Iterable[Progress]) -> Iterator[Span]:
    for unit in units:
        if unit.state == "complete":
            yield dt.datetime.fromisoformat(unit.first), dt.datetime.fromisoformat(unit.last)


INVENTORY_SOURCES = ("resources", "resource_graph", "providers")
"""The sources that list what exists in each subscription."""


@dataclass(frozen=True, slots=True)
class CollectedInventory:
    """A listing of resources or providers of one subscription.

    Attributes:
        source: One of `INVENTORY_SOURCES`.
        subscription: The folded id of the subscription.
        query: The request that was made.
        reader_id: Object id of the principal that made it, folded.
        read_on: When the collection started; `finished_on` is when it ended, None if it did not. UTC.
        files: Paths of its pages, each with the number of its records.
        problem: Why it is not complete; empty if it is.
    """

    source: str
    subscription: str
    query: str
    reader_id: str
    read_on: dt.datetime
    finished_on: dt.datetime | None
    files: tuple[tuple[Path, int], ...]
    problem: str


@dataclass(frozen=True, slots=True)
class CollectedAccess:
    """A listing of access: of assignments or definitions at one scope, or of the members of one group.

    Attributes:
        source: One of `ACCESS_SOURCES`.
        query: The request that was made.
        read_on: When the collection started, UTC.
        problem: Why it is not complete; empty if it is.
    """

    source: str
    query: str
    read_on: dt.datetime
    problem: str


@dataclass(frozen=True, slots=True)
class Loadable:
    """The parts of a run to load.

    Attributes:
        pages: Folders of its pages.
        covers: The days that it covers of each log, by its own word, as `listings` and `inventories`.
        notes: Notes for a person.
        listings: Its listings of grants.
        inventories: Its listings of resources and providers.
        access: Its listings of access.
        is_own: Whether this machine collected it, so that its word counts.
    """

    pages: tuple[Path, ...]
    covers: tuple[Declaration, ...]
    notes: tuple[str, ...]
    listings: tuple[Listing, ...] = ()
    inventories: tuple[CollectedInventory, ...] = ()
    access: tuple[CollectedAccess, ...] = ()
    is_own: bool = True

    def without_its_word(self) -> Loadable:
        """Return the same pages, of which nobody says that anything is complete."""
        listings = tuple(replace(one, is_complete=False) for one in self.listings)
        access = tuple(one for one in self.access if one.problem)
        return replace(self, covers=(), listings=listings, inventories=(), access=access)


def open_loadable(folder: Path, raw: Collection[str], known: Collection[str]) -> Loadable:
    """Return the parts of a run to load, after checking the hash of each of its files.

    Args:
        folder: The folder of the run.
        raw: Names of sources that are not loaded.
        known: Names of all sources.

    Raises:
        InputError: A file is missing or differs from what the run wrote, or the run has an unknown source.
    """
    run = Run.read(folder)
    if unknown := sorted({unit.source for unit in run.units.values()} - set(known)):
        raise InputError(f"`{folder}` has pages of `{unknown[0]}`, which is no source of this version")
    for unit in run.units.values():
        for file in unit.files:
            path = run.unit_folder(unit) / file.name
            if hash_of_found(folder, path.relative_to(folder).as_posix()) != file.sha256:
                raise InputError(
                    f"`{path}` was changed after it was collected", hint="collect again into another folder"
                )
    day = dt.date.fromisoformat
    covers = tuple(
        Declaration(item["source"], item["scope"], day(item["first"]), day(item["last"]), "manifest")
        for item in run.manifest.get("covers", [])
    )
    names = sorted({unit.source for unit in run.units.values() if unit.files})
    pages = tuple(folder / PAGES / name for name in names if name not in raw)
    is_own = is_sealed_here(run.manifest, folder / JOURNAL)
    return Loadable(
        pages, covers, tuple(_notes(run)), tuple(_listings(run)), tuple(_inventories(run)), tuple(_access(run)), is_own
    )


def _inventories(run: Run) -> Iterator[CollectedInventory]:
    """Yield the listings of resources and providers, each with why it is not complete.

    Nothing is said of a collection whose reader is unknown, since its rights decide what a listing can have.
    """
    reader = fold(str(run.manifest.get("principal_id") or ""))
    finished = run.manifest.get("finished")
    for unit in run.units.values():
        if unit.source not in INVENTORY_SOURCES or not reader:
            continue
        problem = ""
        if run.manifest.get("continued_by_others"):
            problem = "two principals collected it one after the other"
        elif unit.state != "complete" or unit.lost or not finished:
            problem = unit.reason or next(iter(unit.lost), "the collection is not finished")
        yield CollectedInventory(
            unit.source,
            fold(unit.scope).rpartition("/")[2],
            asked_of(unit.source, unit.scope),
            reader,
            _utc(run.manifest["started"]),
            _utc(finished) if finished else None,
            tuple((run.unit_folder(unit) / file.name, file.rows) for file in unit.files),
            problem,
        )


ACCESS_SOURCES: Mapping[str, str] = {
    "role_assignments": "GET {}/providers/Microsoft.Authorization/roleAssignments",
    "role_eligibility_instances": "GET {}/providers/Microsoft.Authorization/roleEligibilityScheduleInstances",
    "role_definitions": "GET {}/providers/Microsoft.Authorization/roleDefinitions",
    "deny_assignments": "GET {}/providers/Microsoft.Authorization/denyAssignments",
    "group_members": "GET /groups/{}/members",
    "transitive_members": "GET /groups/{}/transitiveMembers",
}
"""The sources that an answer about access rests on, with the request for one scope or group."""


def _access(run: Run) -> Iterator[CollectedAccess]:
    """Yield the listings of access, each with why it is not complete; what is gone has none."""
    for unit in run.units.values():
        if unit.source not in ACCESS_SOURCES or unit.state == "gone":
            continue
        problem = ""
        if unit.state != "complete" or unit.lost:
            problem = unit.reason or next(iter(unit.lost), "the collection is not finished")
        yield CollectedAccess(
            unit.source,
            ACCESS_SOURCES[unit.source].format((unit.scope or unit.key).rstrip("/")),
            _utc(run.manifest["started"]),
            problem,
        )


def asked_of(source: str, scope: str) -> str:
    """Return the request of an inventory as text, as a manifest would have it."""
    if source == "resource_graph":
        return ALL_RESOURCES
    return f"GET {scope}/{source}"


def _utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).astimezone(dt.UTC).replace(tzinfo=None)


def _listings(run: Run) -> Iterator[Listing]:
    """Yield the listings of grants, each with whether it is complete for its scope.

    Units that Graph returns piece by piece form one listing of the directory, because a grant may move between pieces.
    """
    taken_on = _utc(run.manifest["started"])
    found: dict[tuple[str, str], list[Progress]] = {}
    for unit in run.units.values():
        if unit.source in GRANT_SOURCES:
            place = unit.scope if unit.source.startswith("role_") else "/"
            found.setdefault((unit.source, fold(place)), []).append(unit)
    for (source, place), units in sorted(found.items()):
        files = tuple(str(run.unit_folder(unit) / file.name) for unit in units for file in unit.files)
        is_complete = all(unit.state == "complete" and not unit.lost for unit in units)
        yield Listing(source, place, taken_on, files, is_complete and bool(run.manifest.get("finished")))


def _notes(run: Run) -> Iterator[str]:
    if not run.manifest.get("finished"):
        yield f"the collection `{run.folder}` is not finished: continue it with `rightsize collect`"
    for unit in run.units.values():
        if unit.state in (None, "incomplete"):
            place = unit.scope or unit.key
            yield f"{unit.source} of {place} is incomplete: {unit.reason or 'it was cut'}"
