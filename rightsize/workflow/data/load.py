"""Load exports: recognise and stage every file, then merge all of them in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rightsize.ingest.entities.log_tables import SOURCE as DOWNLOAD
from rightsize.ingest.entities.manifests import DeclaredReading, Vouched
from rightsize.ingest.pipeline import StagedFile, stage
from rightsize.model.errors import InputError, UsageError
from rightsize.model.progress import counted
from rightsize.model.times import Declaration, read_days, read_instant
from rightsize.store.connection import Store, open_store
from rightsize.store.limits import ResourceLimits, limits_of
from rightsize.store.merging.days import CATEGORIES, TENANT_LOGS
from rightsize.store.merging.events import unnamed_records
from rightsize.store.merging.listings import Listing
from rightsize.store.merging.loads import MergedFile, merge
from rightsize.store.merging.staging import create_staging

if TYPE_CHECKING:
    import polars as pl

    from rightsize.collect.runs import CollectedAccess, CollectedInventory, Loadable

UNKNOWN = "unknown"
"""The source that is counted for a file of unknown kind in a folder or archive."""


@dataclass(frozen=True, slots=True)
class LoadReport:
    """The result of a load.

    Attributes:
        rows: The files in order of reading.
        notes: Notes for a person.
        doubted: The notes on collections whose word does not count, which are among `notes`.
        lacking: Notes on listings of access that are not complete, the dearest first.
    """

    rows: tuple[MergedFile, ...]
    notes: tuple[str, ...]
    doubted: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()

    @property
    def all_notes(self) -> tuple[str, ...]:
        """Return every note, those on what is not known first."""
        return (*self.lacking, *self.notes)


def load_paths(
    db: Path | str | Store,
    paths: Sequence[str | Path],
    *,
    covers: str | None = None,
    source: str | None = None,
    scope: str | None = None,
    inventory_by: str | None = None,
    inventory_on: str | None = None,
    named: bool = True,
    memory_limit: str | None = None,
    spill_folder: Path | None = None,
    trusts: Callable[[Path], bool] = lambda _: False,
) -> LoadReport:
    """Load exports into a store, which is created where there is none.

    A folder that a collection wrote is read with the coverage that its manifest declares.

    Args:
        db: The store, or one that was opened with `loads`, whose statements can read no files afterwards.
        paths: Files, folders, archives, and `-` for stdin.
        covers: `FROM..TO`, the whole UTC days for which the user declares that `source` was exported completely for
            `scope` and everything below it.
        source: The log that the declaration is about.
        scope: The scope of the declaration; always the tenant for sign-in logs.
        inventory_by: The principal that read the listings of resources and providers that no manifest names: an object
            id, a UPN or a name. The user declares that each is whole.
        inventory_on: When it read them.
        named: Whether a person named the files among `paths`, so that a file of unknown kind is an error; else it is
            reported as unknown.
        memory_limit: Memory for tables and queries, as `2GiB`; None takes it from the environment.
        spill_folder: Folder for data that does not fit in memory; None takes it from the environment, else beside the
            store.
        trusts: Says whether the word of a collection counts that this machine did not make: which logs and listings it
            has completely.

    Raises:
        InputError: A path cannot be read, is nothing that is known, or is damaged, or the disk is full. The store is
            as it was.
        UsageError: The declaration, the limit or the folder makes no sense.
    """
    limits, file = limits_of(memory_limit, spill_folder), db.path if isinstance(db, Store) else Path(db)
    declared = _reading_of(inventory_by, inventory_on)
    opened = _open_collections(paths, trusts)
    report = _load(
        db if isinstance(db, Store) else file,
        opened.given,
        (*declarations_of(covers, source, _scope_named(file, scope)), *opened.covered),
        listings=opened.listings,
        named=named,
        limits=limits,
        vouched=opened.vouched,
        declared=declared,
    )
    rows, kept = _without_kept(report.rows, opened.collected)
    notes = [*opened.doubted, *opened.notes]
    if kept:
        notes.append(f"kept as raw pages that no analysis uses yet: {', '.join(kept)}")
    return LoadReport(rows, (*notes, *report.notes), tuple(opened.doubted), report.lacking)


def require_recognised(report: LoadReport) -> None:
    """Raise InputError where no loaded file is an export of a known kind.

    Raises:
        InputError: There is none.
    """
    if all(row.source == UNKNOWN for row in report.rows):
        raise InputError(
            "nothing here can be loaded: no file is an Azure, Entra or log export",
            hint="`rightsize fetch-script` writes a script that fetches what can be loaded",
        )


def read_rejects(db: Path, report: LoadReport) -> pl.DataFrame:
    """Return the rows of the table `rejects` of all files that have the name of a loaded file, by file and line."""
    paths = sorted({row.path for row in report.rows if row.rejected})
    with open_store(db, read_only=True) as store:
        return store.frame(_REJECTS, {"paths": paths})


_REJECTS = """
    SELECT path, line, reason, source, raw FROM rejects WHERE path IN (SELECT unnest($paths::VARCHAR[]))
    ORDER BY path, line, reason"""


def _without_kept(rows: Sequence[MergedFile], collected: Sequence[Path]) -> tuple[tuple[MergedFile, ...], list[str]]:
    """Take out the collected files that no parser reads yet; return the other files, and the sources of the taken."""
    folders = {str(folder): folder.name for folder in collected}
    found: list[MergedFile] = []
    kept: set[str] = set()
    for row in rows:
        # A page is two levels below the folder of its source.
        source = folders.get(row.path.rsplit("/", 2)[0], "") if row.source == UNKNOWN else ""
        if source:
            kept.add(source)
        else:
            found.append(row)
    return tuple(found), sorted(kept)


@dataclass(slots=True)
class _Opened:
    """The paths of a load in which each collection is replaced by its pages.

    Attributes:
        collected: Folders of pages among them.
        covered: The days that collections cover.
        listings: Their listings of grants.
        vouched: What they say of their listings.
        notes: Notes for a person.
        doubted: Notes on collections whose word does not count.
    """

    given: list[str | Path] = field(default_factory=list)
    collected: list[Path] = field(default_factory=list)
    covered: list[Declaration] = field(default_factory=list)
    listings: list[Listing] = field(default_factory=list)
    vouched: list[Vouched] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    doubted: list[str] = field(default_factory=list)

    def add(self, run: Loadable) -> None:
        """Add the parts of a collection."""
        self.given += run.pages
        self.collected += run.pages
        self.covered += run.covers
        self.listings += run.listings
        self.vouched += [said for one in run.inventories for said in _vouched_of(one)]
        self.vouched += [_vouched_access(one) for one in run.access]
        self.notes += run.notes


def _open_collections(paths: Sequence[str | Path], trusts: Callable[[Path], bool]) -> _Opened:
    opened = _Opened()
    for path in paths:
        runs = list(_open_runs(Path(path))) if str(path) != "-" and Path(path).is_dir() else []
        for folder, run in runs:
            silent = run.without_its_word()
            counts = run.is_own or run == silent or trusts(folder)
            opened.add(run if counts else silent)
            opened.doubted += [] if counts else [_DOUBT.format(folder)]
        opened.given += [] if runs else [path]
        opened.notes += [] if runs else _notes_on_links(path)
    return opened


def _notes_on_links(path: str | Path) -> list[str]:
    """Return a note on the links in a folder, if there are any: they may lead anywhere, so they are not read."""
    from rightsize.ingest.files.sources import links_in  # noqa: PLC0415  imports the readers of files

    links = links_in(Path(path)) if str(path) != "-" and Path(path).is_dir() else []
    if not links:
        return []
    return [f"{counted(len(links), 'link')} in `{path}` not followed, such as `{links[0].name}`: name the file itself"]


def _vouched_of(one: CollectedInventory) -> Iterator[Vouched]:
    """Yield what a collection says of each file of a listing; a listing without files has one statement."""
    from rightsize.ingest.files.sources import address_of  # noqa: PLC0415  most loads are of files

    files: list[tuple[str, str, int | None]] = [(address_of(path), path.name, rows) for path, rows in one.files]
    for address, name, rows in files or [("", one.query, None)]:
        yield Vouched(
            address=address,
            path=name,
            kind="providers" if one.source == "providers" else "resources",
            query=one.query,
            subscriptions=(one.subscription,),
            complete=not one.problem,
            rows=rows,
            size=None,
            error=one.problem or None,
            reader_id=one.reader_id,
            read_on=one.read_on,
            finished_on=one.finished_on,
            vouched_by="collection",
            listing=one.source,
        )


def _vouched_access(one: CollectedAccess) -> Vouched:
    """Return what a collection says of a listing of access; its pages are held against the collection when it opens."""
    return Vouched(
        address="",
        path=one.query,
        kind=one.source,
        query=one.query,
        subscriptions=None,
        complete=not one.problem,
        rows=None,
        size=None,
        error=one.problem or None,
        reader_id="",
        read_on=one.read_on,
        finished_on=one.read_on,
        vouched_by="collection",
        listing=one.source,
    )


_DOUBT = (
    "this machine did not collect `{}`, so its word that logs and listings are complete does not count, and nothing is "
    "unused by it; `--trust-collections` counts it"
)


def _open_runs(folder: Path) -> Iterator[tuple[Path, Loadable]]:
    from rightsize.collect.runs import find_runs, open_loadable  # noqa: PLC0415  most loads are of files
    from rightsize.collect.sources import KNOWN_SOURCES, RAW_SOURCES  # noqa: PLC0415

    for run in find_runs(folder):
        yield run, open_loadable(run, RAW_SOURCES, KNOWN_SOURCES)


def load_catalogue(db: Path | str, paths: Sequence[str | Path], sources: Collection[str]) -> LoadReport:
    """Load exports of the given sources; refuse all others before anything is stored.

    Raises:
        InputError: A path cannot be read, is of another source, or is damaged. The store is unchanged.
    """
    return _load(Path(db), paths, (), sources)


def load_staged(
    db: Path,
    paths: Sequence[str | Path],
    declarations: Sequence[Declaration],
    finish: Callable[[Any], None],
    limits: ResourceLimits | None = None,
) -> LoadReport:
    """Load files; before the merge, `finish` sees the staged rows and may add to them.

    Raises:
        InputError: A path cannot be read, is nothing that is known, or is damaged. The store is as it was.
    """
    return _load(db, paths, declarations, limits=limits, finish=finish)


def _load(
    db: Path | Store,
    paths: Sequence[str | Path],
    declarations: Sequence[Declaration],
    sources: Collection[str] | None = None,
    *,
    listings: Sequence[Listing] = (),
    named: bool = True,
    limits: ResourceLimits | None = None,
    finish: Callable[[Any], None] | None = None,
    vouched: Sequence[Vouched] = (),
    declared: DeclaredReading | None = None,
) -> LoadReport:
    with _opened(db, limits) as store:
        # Rejects are numbered in the order of reading; merging is faster without an order.
        store.connection.execute("SET preserve_insertion_order = true")
        # Freed memory stays with the process for the next step; the system would have to clear it again.
        store.connection.execute("SET block_allocator_memory = '1GiB'")
        # Staged rows are read once, so merging small row groups into large ones costs more than it saves.
        store.connection.execute("SET max_vacuum_tasks = 0")
        create_staging(store.connection)
        report = stage(store.connection, paths, named=named, vouched=vouched, declared=declared)
        store.connection.execute("RESET max_vacuum_tasks")
        if sources is not None:
            _refuse_others(report.files, sources)
        if finish is not None:
            finish(store.connection)
        store.connection.execute("SET preserve_insertion_order = false")
        merged = merge(store, (*declarations, *report.windows), listings)
        is_declared = any(one.source == "activity_log" for one in declarations)
        notes = (*report.notes, *_notes_on_downloads(store, merged, is_declared))
        return LoadReport(merged, notes, lacking=report.lacking)


@contextmanager
def _opened(db: Path | Store, limits: ResourceLimits | None) -> Iterator[Store]:
    """Open the store for a load; where the load fails, delete one that it created and that holds nothing."""
    if isinstance(db, Store):
        with db.reading_files():
            yield db
        return
    is_new = not db.exists()
    try:
        with open_store(db, read_only=False, loads=True, limits=limits) as store:
            yield store
    except BaseException:
        if is_new:
            db.unlink(missing_ok=True)
            db.with_name(f"{db.name}.wal").unlink(missing_ok=True)
        raise


def _notes_on_downloads(store: Store, merged: Sequence[MergedFile], is_declared: bool) -> Iterator[str]:
    """Yield what downloads of the Activity Log leave open: days that nobody declares, operations and callers."""
    if not any(row.source == DOWNLOAD and row.read for row in merged):
        return
    if not is_declared:
        yield (
            "activity_log_download: it shows use and covers no day, since it tells neither its filter nor its end; "
            "if you know that it is whole, add `--covers FROM..TO --source activity_log --scope SCOPE`"
        )
    found = unnamed_records(store.connection, "base.operations")
    for records, why in (
        (found.unknown, "no operation of the catalogue has it"),
        (found.ambiguous, "it may mean more than one"),
    ):
        if records:
            known = why if found.has_names else "the catalogue has none: `az provider operation list` writes one"
            said = counted(records, "record has", "records have")
            yield f"{said} only the display name of an operation, and {known}; what it may mean is kept"
    if found.nobody:
        said = counted(found.nobody, "record names", "records name")
        yield f"{said} the caller only by a display name, which several applications may have: nobody's use"


def _refuse_others(files: Sequence[StagedFile], sources: Collection[str]) -> None:
    for file in files:
        if file.source not in {*sources, "empty"}:
            found = "nothing that can be recognised" if file.source == UNKNOWN else file.source.replace("_", " ")
            raise InputError(
                f"`{file.path}` holds {found}, not {' or '.join(sources).replace('_', ' ')}",
                hint="`rightsize load PATH…` takes every other export" if file.source != UNKNOWN else None,
            )


def _scope_named(db: Path, scope: str | None) -> str | None:
    """Return the scope that `--scope` names, by id or as tables print it; a name needs a store that knows it.

    Raises:
        InputError: No loaded scope is called so.
        UsageError: Several scopes are called so.
    """
    if scope is None or scope.strip().startswith("/") or not db.exists():
        return scope
    from rightsize.workflow.names import resolve_scopes  # noqa: PLC0415  few loads name a scope

    with open_store(db, read_only=True) as store:
        return resolve_scopes(store, [scope.strip()])[0]


def declarations_of(covers: str | None, source: str | None, scope: str | None) -> tuple[Declaration, ...]:
    """Return the coverage that the user declares by the options `--covers`, `--source` and `--scope`.

    Raises:
        UsageError: The options do not fit together, or name no window of days.
    """
    if covers is None:
        if source is not None or scope is not None:
            raise UsageError("`--source` and `--scope` need `--covers FROM..TO`")
        return ()
    if source is None:
        raise UsageError("`--covers` needs `--source`", hint=f"one of {', '.join(sorted(CATEGORIES))}")
    if scope is None and source not in TENANT_LOGS:
        raise UsageError("`--covers` needs `--scope`", hint="the subscription or management group that was exported")
    place = (scope or "/").strip()
    if not place.startswith("/"):
        raise UsageError(f"`{scope}` is not a scope", hint="a scope begins with a slash, as /subscriptions/ID")
    return (Declaration(source, place, *read_days(covers)),)


def _reading_of(reader: str | None, time: str | None) -> DeclaredReading | None:
    """Return what the user declares by `--inventory-by` and `--inventory-on`.

    Raises:
        UsageError: One of the options is missing, or the time is none.
    """
    if reader is None and time is None:
        return None
    if reader is None or time is None:
        missing = "`--inventory-by READER`" if reader is None else "`--inventory-on TIME`"
        raise UsageError(
            f"{missing} is missing",
            hint="both say who read the listings of resources, and when; the time of a file is no evidence",
        )
    return DeclaredReading(reader, read_instant(time))
