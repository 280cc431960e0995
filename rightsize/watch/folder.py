"""Load new files of watched folders once, and let no damaged file hold up the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rightsize.collect.pages import MANIFEST
from rightsize.collect.runs import find_runs
from rightsize.ingest.files.sources import files_in
from rightsize.model.errors import InputError
from rightsize.store.connection import open_store
from rightsize.store.watching import keep_files, known_files
from rightsize.workflow.load import UNKNOWN, load_paths

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
    """

    files: int = 0
    new: int = 0
    unread: tuple[Unread, ...] = ()
    doubted: tuple[str, ...] = ()


def take_new(db: Path, paths: Sequence[Path], *, trusts: Callable[[Path], bool] = lambda _: False) -> Taken:
    """Load the files and collected runs behind `paths` that are new or changed since the earlier passes.

    Loaded files are noted after the load: a pass that is killed in between loads them again, which changes nothing.
    `trusts` is as in `load_paths`.

    Raises:
        InputError: A path does not exist, or the store cannot be written.
    """
    present = dict(_present(paths))
    with open_store(db, read_only=False) as store:
        known = known_files(store)
    fresh = {path: stamp for path, stamp in present.items() if known.get(path) != stamp}
    if not fresh:
        return Taken()
    new, unread, doubted = _load(db, [Path(path) for path in fresh], trusts)
    roots = tuple(f"{path}/" for path in paths)
    gone = [path for path in known if path not in present and path.startswith(roots)]
    unloaded = tuple(Unread(path, reason, fresh.get(path, (0, 0))) for path, reason in unread)
    failed = {one.path for one in unloaded}
    with open_store(db, read_only=False) as store:
        # Unreadable files are noted later, with the change that reports them.
        keep_files(store, {path: stamp for path, stamp in fresh.items() if path not in failed}, gone)
    return Taken(len(fresh), new, unloaded, tuple(doubted))


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


def _load(
    db: Path, paths: Sequence[Path], trusts: Callable[[Path], bool]
) -> tuple[int, list[tuple[str, str]], list[str]]:
    """Load files together; where one is damaged, load each half, until the damaged file is alone."""
    try:
        report = load_paths(db, paths, named=False, trusts=trusts)
    except InputError as error:
        # Raises if another process has the store open: then no file is to blame.
        open_store(db, read_only=False).close()
        if len(paths) == 1:
            return 0, [(str(paths[0]), error.message)] if paths[0].exists() else [], []
        half = len(paths) // 2
        first, second = _load(db, paths[:half], trusts), _load(db, paths[half:], trusts)
        return first[0] + second[0], first[1] + second[1], first[2] + second[2]
    unknown = [(row.path, "it is not a known export") for row in report.rows if row.source == UNKNOWN]
    return sum(row.new for row in report.rows), unknown, list(report.doubted)
