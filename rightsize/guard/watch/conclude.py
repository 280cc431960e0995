"""Compare the store with the last pass of a watch, and commit the changes and the new state together.

The results of a pass are committed in one transaction with the mark of how far it has read. Changes wait in an outbox
until they are delivered. So a pass may be killed anywhere: the next one computes the same again, or goes on delivering.

Load new files of watched folders once, and let no damaged file hold up the others.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import polars as pl

from rightsize.analyze.inputs import Inputs, folded, schema_of
from rightsize.analyze.principals import principal_names
from rightsize.analyze.window import DEFAULT_DAYS, Window, choose_window, shortfall
from rightsize.collect.pages import MANIFEST
from rightsize.collect.runs import find_runs
from rightsize.guard.watch import detect
from rightsize.guard.watch.changes import Origin, no_changes, note_change
from rightsize.guard.watch.state import standing_of
from rightsize.ingest.files.readers import READ_ERRORS
from rightsize.ingest.files.sources import files_in
from rightsize.model.errors import InputError
from rightsize.model.nouns import RoleDefinition
from rightsize.model.options import DEFAULT_FORGET_DAYS, WindowOptions
from rightsize.model.text import Folded, fold
from rightsize.rules.attacks import hold_days
from rightsize.store import watching
from rightsize.store.connection import Store, open_store
from rightsize.store.quarantine import OF_USE
from rightsize.workflow.analysis.behaviour import behaviour_of_days, with_holds
from rightsize.workflow.data.load import UNKNOWN, LoadReport, load_paths
from rightsize.workflow.signatures import ANYBODY, Signers

Stamp = tuple[int, int]
"""Size of a file, and the time of its last change in nanoseconds."""
_UNFINISHED = (".tmp", ".part", ".partial", ".crdownload")


@dataclass(frozen=True, slots=True)
class Unread:
    """A file that could not be loaded, with the reason, size and time; it is tried again when it changes."""

    path: str
    reason: str
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class Taken:
    """The result of loading.

    Attributes:
        files: The number of new files.
        new: The number of their new records.
        unread: The unreadable files.
        doubted: Notes on collections whose word does not count.
        stamps: The loaded files with their stamps, which `conclude` notes.
        gone: Noted files that are no longer there.
    """

    files: int = 0
    new: int = 0
    unread: tuple[Unread, ...] = ()
    doubted: tuple[str, ...] = ()
    stamps: Mapping[str, Stamp] = field(default_factory=dict)
    gone: tuple[str, ...] = ()


@contextmanager
def open_with_new(
    db: Path,
    paths: Sequence[Path],
    present: Mapping[str, Stamp],
    collect: Callable[[], Mapping[str, str]] | None = None,
    *,
    trusts: Callable[[Path], bool] = lambda _: False,
) -> Iterator[tuple[Store, Taken | None, Mapping[str, str] | None]]:
    """Load the files and collected runs behind `paths` that are new or changed, collect, and open the store.

    Loaded files are noted by `conclude`: a pass that is killed in between loads them again, which changes nothing.
    `present` is what `present_files` found; `collect` and `trusts` are as in `run_pass`. Yields the store, the result
    of loading (None without paths) and that of `collect`.

    Raises:
        InputError: The store cannot be written.
    """
    taken = None
    if paths:
        with open_store(db, read_only=False, loads=True) as store:
            known = watching.known_files(store)
            fresh = {path: stamp for path, stamp in present.items() if known.get(path) != stamp}
            roots = tuple(f"{path}/" for path in paths)
            gone = [path for path in known if path not in present and path.startswith(roots)]
            if _are_small(fresh):
                # Sharing out the many statements of a load costs more than it saves.
                store.connection.execute("SET threads = 1")
            counts = _load_together(store, list(fresh), trusts) if collect is None else None
            if counts is not None:
                yield store, _taken(fresh, gone, *counts), None
                return
        taken = _taken(fresh, gone, *_load(db, [Path(path) for path in fresh], trusts)) if fresh else Taken()
    failed = collect() if collect is not None else None
    with open_store(db, read_only=False, existing=True) as store:
        yield store, taken, failed


_SMALL = 1 << 20


def _are_small(files: Mapping[str, Stamp]) -> bool:
    """Return whether files have few bytes together; a collected run, known by its manifest, may have many."""
    return sum(size for size, _ in files.values()) < _SMALL and all(Path(path).is_file() for path in files)


_Counts = tuple[int, list[tuple[str, str]], list[str]]
"""The number of new records, the unread files with reasons, and the notes on collections."""


def _load_together(store: Store, paths: Sequence[str], trusts: Callable[[Path], bool]) -> _Counts | None:
    """Load files into a store that is open for a load, and let it read no more files; None where one is damaged."""
    if not paths:
        store.end_reading()
        return 0, [], []
    try:
        return _counts_of(load_paths(store, [Path(path) for path in paths], named=False, trusts=trusts))
    except (InputError, *READ_ERRORS):
        return None


def _taken(
    fresh: Mapping[str, Stamp], gone: Sequence[str], new: int, unread: Sequence[tuple[str, str]], doubted: Sequence[str]
) -> Taken:
    if not fresh:
        return Taken()
    unloaded = tuple(Unread(path, reason, fresh.get(path, (0, 0))) for path, reason in unread)
    failed = {one.path for one in unloaded}
    # Unreadable files are noted later, with the change that reports them.
    loaded = {path: stamp for path, stamp in fresh.items() if path not in failed}
    return Taken(len(fresh), new, unloaded, tuple(doubted), loaded, tuple(gone))


def present_files(paths: Sequence[Path]) -> dict[str, Stamp]:
    """Return the files and collected runs behind paths, with their stamps, in order.

    Raises:
        InputError: A path cannot be read.
    """
    return dict(_present(paths))


def _present(paths: Sequence[Path]) -> Iterator[tuple[str, Stamp]]:
    """Yield the files of folders, and the runs of collections by their manifests, in order."""
    for path in paths:
        runs = find_runs(path)
        try:
            if runs:
                found = [(run, run / MANIFEST) for run in runs]
            else:
                files = files_in(path) if path.is_dir() else [path]
                found = [(file, file) for file in files if file.suffix.lower() not in _UNFINISHED]
            for name, file in found:
                about = file.stat()
                yield str(name), (about.st_size, about.st_mtime_ns)
        except OSError as error:
            raise InputError(f"cannot read `{path}`: {error.strerror or error}") from error


def _load(db: Path, paths: Sequence[Path], trusts: Callable[[Path], bool]) -> _Counts:
    """Load files together; where one is damaged, load each half, until the damaged file is alone."""
    try:
        return _counts_of(load_paths(db, paths, named=False, trusts=trusts))
    except InputError as error:
        # Raises if another process has the store open: then no file is to blame.
        open_store(db, read_only=False).close()
        if len(paths) == 1:
            return 0, [(str(paths[0]), error.message)] if paths[0].exists() else [], []
        half = len(paths) // 2
        first, second = _load(db, paths[:half], trusts), _load(db, paths[half:], trusts)
        return first[0] + second[0], first[1] + second[1], first[2] + second[2]


def _counts_of(report: LoadReport) -> _Counts:
    unknown = [(row.path, "it is not a known export") for row in report.rows if row.source == UNKNOWN]
    return sum(row.new for row in report.rows), unknown, list(report.doubted)


SKEW = dt.timedelta(hours=1)
"""How far the clock of a log's writer may be ahead; records dated later are reported and ignored."""
CATCH_UP_DAYS = 92
"""Number of days that a watch catches up at most after a longer break."""


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """The settings of a watch.

    Attributes:
        automation: Principals that grant by code: ids, UPNs, names or application ids.
        applied: Folders of plans that were applied.
        signers: Whose signature these must have.
        min_window: Days of the window of use.
        forget_days: Use from before the window counts up to this age, in days.
        min_days: Number of days that a log has to cover to be evidence; None for the default of `Window`.
        sinks: Names of the places that changes are delivered to.
    """

    automation: tuple[str, ...] = ()
    applied: tuple[Path, ...] = ()
    signers: Signers = ANYBODY
    min_window: int = DEFAULT_DAYS
    forget_days: int = DEFAULT_FORGET_DAYS
    min_days: int | None = None
    sinks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Concluded:
    """The result of comparing the store in one pass.

    Attributes:
        is_first: Whether it was the first pass, which takes the present state as known and reports none of it.
        changes: Number of new changes.
        days: Number of whole days that were concluded.
        as_of: The first day after the days that the results cover.
        standing: Number of rows in the present state.
        seconds: Seconds of processor time.
        fitting_days: The days of the window that fits the logs, where it is shorter than the window of the watch.
        is_stale_soon: Whether this pass loaded nothing of the days that it concluded: passes then come within hours, so
            that an analysis of the present content is stale with the next one.
        is_settled: Whether a pass over the same content finds nothing, at any later time: nothing waits for its time.
    """

    is_first: bool
    changes: int
    days: int
    as_of: dt.date
    standing: int
    seconds: float
    fitting_days: int | None = None
    is_stale_soon: bool = False
    is_settled: bool = False


def conclude(
    store: Store,
    question: WatchSettings,
    taken: Taken | None = None,
    *,
    now: dt.datetime | None = None,
    failed: Mapping[str, str] | None = None,
) -> Concluded:
    """Compare the store with the state of the last pass; commit the changes and the mark in one transaction.

    Args:
        store: The store, open for writing.
        question: The settings.
        taken: The newly loaded files.
        now: The time, UTC without a zone: records dated later do not count for the progress of the logs, and their days
            wait. With None all records count.
        failed: The sources that a collection could not read completely, and why; None where nothing was collected.

    Raises:
        InputError: An applied plan cannot be read, or a name in `automation` is not known.
    """
    began = time.process_time()
    applied = detect.read_applied(question.applied, question.signers)
    unread = taken.unread if taken is not None else ()
    if taken is not None and (taken.stamps or taken.gone):
        watching.keep_files(store, taken.stamps, taken.gone)
    limit = dt.datetime.max if now is None else now + SKEW
    loaded, until = watching.read_touched(store), watching.watched_until(store)
    touched = _believed(loaded, limit)
    newest, has_logs = watching.newest_day(store, limit)
    if until is not None and until > limit.date():
        until = newest
    is_first = until is None
    found = detect.Found(watching.read_seen(store))
    for one in unread:
        day = until or newest
        text = f"the file {one.path} was not loaded: {one.reason}"
        found.changes.append(note_change("file_unread", (one.path, *map(str, one.stamp)), text, "medium", day))
    detect.report_expiries(store, limit, until or newest, found)
    detect.report_failures(failed, until or newest, found)
    days = _days(until, newest, touched, has_logs=has_logs)
    context = detect.ReportContext(store, Origin(_automation(store, question.automation)), is_first)
    if touched.days or days:
        _conclude_all(context, question, applied, touched, days, newest, found)
    changes = pl.concat([no_changes(), *found.changes]).unique("change_id", keep="first", maintain_order=True)
    if changes.height:
        changes = changes.join(watching.known_changes(store, "record_ahead"), on="change_id", how="anti")
    as_of = days[-1] if days else until or newest
    kinds, seen = found.replaced()
    reported = watching.commit_pass(
        store,
        watching.Pass(
            as_of=as_of,
            seen=seen,
            kinds=kinds,
            reported=found.reported,
            changes=changes,
            touched=touched,
            unread={one.path: one.stamp for one in unread},
        ),
        question.sinks,
    )
    # Records of a day that is not over change no window.
    is_open = not (days or touched.tables) and all(day >= as_of for day in touched.days)
    fitting = None if is_open else _fitting_days(context.reader.table_of, as_of, question)
    seconds = time.process_time() - began
    ended = [day for day in days if until is None or day > until]
    is_stale_soon = not is_first and {day - dt.timedelta(days=1) for day in ended}.isdisjoint(touched.days)
    is_settled = not (loaded.days or loaded.tables or days or found.changes)
    standing = len(found.seen)
    return Concluded(is_first, reported, len(ended), as_of, standing, seconds, fitting, is_stale_soon, is_settled)


def _fitting_days(table_of: Callable[[str], pl.DataFrame], as_of: dt.date, question: WatchSettings) -> int | None:
    """Return the days of the window that fits the logs, where it is shorter than the one of the settings."""
    inputs = Inputs.of(coverage=table_of("coverage"), scopes=table_of("scopes"))
    last = as_of - dt.timedelta(days=1)
    first = as_of - dt.timedelta(days=question.min_window)
    return shortfall(inputs, Window(first, last, question.forget_days, question.min_days))


def _believed(touched: watching.Touched, limit: dt.datetime) -> watching.Touched:
    """Return the touched days and tables without future days, which wait for a later pass."""
    return watching.Touched(tuple(day for day in touched.days if day <= limit.date()), touched.tables)


def _days(until: dt.date | None, newest: dt.date, touched: watching.Touched, *, has_logs: bool) -> list[dt.date]:
    """Return each day whose preceding day is to be concluded; the last one again where only a listing changed."""
    if until is None:
        return [newest]
    if not has_logs:
        return [max(until, newest)] if touched.tables else []
    first = max(until + dt.timedelta(days=1), newest - dt.timedelta(days=CATCH_UP_DAYS))
    days = [first + dt.timedelta(days=number) for number in range((newest - first).days + 1)]
    # A listing shows the present state, so it counts from the first of these days on.
    return days or ([until] if touched.tables else [])


def _conclude_all(
    context: detect.ReportContext,
    question: WatchSettings,
    applied: dict[Folded, RoleDefinition],
    touched: watching.Touched,
    days: Sequence[dt.date],
    newest: dt.date,
    found: detect.Found,
) -> None:
    last = days[-1] if days else newest
    detect.report_events(context, [day for day in touched.days if day >= watching.horizon(last)], "succeeded", found)
    ended = {day - dt.timedelta(days=1) for day in days}
    # The first pass marks all that it finds as reported.
    is_next = not touched.tables and {newest}.issuperset(touched.days)
    detect.report_behaviour(context, ended | set(touched.days), newest, found, is_next=is_next)
    if not days:
        return
    # They import every plane, and many passes conclude no day.
    from rightsize.analyze.verdicts.judge import analyse  # noqa: PLC0415
    from rightsize.planes.judging import analyse_planes  # noqa: PLC0415

    yesterday = days[0] - dt.timedelta(days=1)
    oldest = Window(days[0] - dt.timedelta(days=question.min_window), yesterday, question.forget_days)
    # Nothing is concluded from what an unusual day used first, as in an analysis.
    # Each day asks for the same tables.
    held_by = _standing_behaviour(context, found, newest)
    table_of = cache(with_holds(context.store, held_by, _since(context.store, context.reader.table_of, oldest)))
    inputs = Inputs.read(table_of)
    for as_of in days:
        detect.report_events(context, [as_of - dt.timedelta(days=1)], "started", found)
        asked = WindowOptions(
            as_of=as_of, min_window=question.min_window, forget_days=question.forget_days, min_days=question.min_days
        )
        analysis = analyse(inputs, choose_window(inputs, as_of, *asked.span))
        planes = analyse_planes(table_of, asked)
        now = standing_of(inputs, analysis, planes, context.reader.table_of, detect.drifted_roles(applied, inputs))
        detect.report_state(context, now, as_of, newest, found)


def _standing_behaviour(context: detect.ReportContext, found: detect.Found, newest: dt.date) -> pl.DataFrame:
    """Return the unusual days whose use may be held: the passes until now have told of each."""
    told = found.known("behaviour").select(day=pl.col("name").str.split("|").list.get(1).str.to_date())["day"]
    last = newest - dt.timedelta(days=hold_days("behaviour"))
    return behaviour_of_days(context.reader, set(told.filter(told >= last)))


def _since(store: Store, whole: Callable[[str], pl.DataFrame], window: Window) -> Callable[[str], pl.DataFrame]:
    """Return a reader of tables that leaves out days before a window; for use, only the days that no longer count."""

    def read(name: str) -> pl.DataFrame:
        columns = schema_of(name)
        if name not in (*OF_USE, "sign_ins", "request_access", "coverage"):
            return whole(name)
        first = window.remembered.first_day if name in OF_USE else window.first_day
        chosen = ", ".join(f'"{column}"' for column in columns)
        return store.frame(f"SELECT {chosen} FROM main.{name} WHERE day >= $first", {"first": first})

    return read


def _automation(store: Store, given: Sequence[str]) -> frozenset[str]:
    """Return ids and application ids of the principals that the settings name as granting by code.

    Raises:
        InputError: No loaded principal has the name.
    """
    if not given:
        return frozenset()
    people = store.table("principals")
    inputs = Inputs.of(principals=people, role_assignments=store.table("role_assignments"))
    by_name = principal_names(inputs).select("principal_id", known=folded(pl.col("name")))
    texts = people.select(
        folded(pl.col("principal_id")),
        *(folded(pl.col(name)) for name in ("app_id", "user_principal_name", "display_name")),
    ).join(by_name, on="principal_id", how="left")
    found: set[str] = set()
    for one in given:
        same = texts.filter(
            pl.any_horizontal((pl.col(column) == fold(one)).fill_null(False) for column in texts.columns)
        )
        if same.is_empty():
            raise InputError(f"no loaded principal is called `{one}`", hint="give an object or application id")
        found |= {text for row in same.select("principal_id", "app_id").iter_rows() for text in row if text}
    return frozenset(found)
