"""Write, read, check and seal a run's folder: page files, a journal of its progress, and its manifest.

    RUN/manifest.json                        the request, its time and tenant; at the end also the result
    RUN/journal.jsonl                        one line for each file and end of a unit; decides while the run is open
    RUN/pages/SOURCE/UNIT/NNNNN[-LABEL].jsonl.gz

A page file is written under a temporary name, synced and renamed. Then the journal names it, with the pending requests.
So journal and files agree whenever a run is interrupted, and the next run resumes from there.

What they cover decides what is unused, and whoever can write a folder can write such words. So every value has to be
what `written.schema.json` says. The seal is a keyed hash (HMAC-SHA256, RFC 2104) of the manifest and the journal.
"""

from __future__ import annotations

import datetime as dt
import errno
import gzip
import hashlib
import hmac
import io
import json
import os
import secrets
import shutil
import threading
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import orjson

from rightsize.azure.wire import WireRequest
from rightsize.collect.listing import CollectionUnit
from rightsize.model.errors import InputError, ServiceError, UsageError
from rightsize.model.file_reading import LARGE, open_found, read_found, replace_found, stands_in
from rightsize.model.json_schemas import SchemaChecks, load_object
from rightsize.model.machine import state_folder

_OLDEST = dt.date(2010, 1, 1)
"""Azure began in this year; no log is older."""
_AHEAD = dt.timedelta(days=1)
"""The most by which the clock of the machine that collected may be ahead of this one."""


def check_manifest(manifest: Mapping[str, Any], what: str) -> None:
    """Check the manifest of a collection whose kind and format are known.

    Raises:
        InputError: A value is not what it should be; the message begins with `what` and names the place.
    """
    _checks("manifest").require(manifest, what)
    newest = _moment(manifest, "started", what, dt.date.max - _AHEAD).date() + _AHEAD
    if manifest.get("finished") is not None:
        _moment(manifest, "finished", what, dt.date.max)
    if manifest.get("question") is not None:
        _moment(manifest["question"], "until", what, dt.date.max)
    for item in manifest.get("covers", ()):
        if _moment(item, "last", what, newest) < _moment(item, "first", what, newest):
            raise InputError(f"{what} cannot be used: `covers` has days that end before they begin")


def check_entry(entry: Any, what: str) -> None:
    """Check one line of a collection's journal.

    Raises:
        InputError: A value is not what it should be; the message begins with `what` and names the place.
    """
    restarts = isinstance(entry, Mapping) and entry.get("restart") is True
    _checks("restart" if restarts else "entry").require(entry, what)
    newest = dt.datetime.now(dt.UTC).date() + _AHEAD
    for name in () if restarts else ("first", "last"):
        if entry[name]:
            _moment(entry, name, what, newest)


@cache
def _checks(name: str) -> SchemaChecks:
    """Return the checks of a manifest, of a line of a journal, or of one that begins a unit again."""
    schema = json.loads(Path(__file__).with_name("written.schema.json").read_text(encoding="utf-8"))
    return SchemaChecks({"$ref": f"#/$defs/{name}", "$defs": schema["$defs"]})


def _moment(record: Mapping[str, Any], name: str, what: str, newest: dt.date) -> dt.datetime:
    """Return a time or day of the years that Azure has logs of."""
    text = record.get(name)
    try:
        moment = dt.datetime.fromisoformat(text if isinstance(text, str) else "")
    except ValueError:
        raise InputError(f"{what} cannot be used: `{name}` is not a time") from None
    if not _OLDEST <= moment.date() <= newest:
        raise InputError(f"{what} cannot be used: `{name}` is not a time of which Azure can have logs")
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


SEAL = "seal"
"""The key of the manifest that has the seal."""
_BYTES = 32


def seal_of(manifest: Mapping[str, Any], journal: Path) -> str | None:
    """Return the seal of a collection; None if this machine cannot keep a key."""
    key = _key(make=True)
    return None if key is None else _seal(key, manifest, journal)


def is_sealed_here(manifest: Mapping[str, Any], journal: Path) -> bool:
    """Return whether a collection has the seal of this machine's user, unchanged."""
    key, said = _key(make=False), manifest.get(SEAL)
    return key is not None and isinstance(said, str) and hmac.compare_digest(_seal(key, manifest, journal), said)


def _seal(key: bytes, manifest: Mapping[str, Any], journal: Path) -> str:
    said = {name: value for name, value in manifest.items() if name != SEAL}
    is_there = stands_in(journal.parent, journal.name)
    content = read_found(journal.parent, journal.name, most=LARGE) if is_there else b""
    text = json.dumps(said, sort_keys=True).encode() + b"\n" + hashlib.sha256(content).hexdigest().encode()
    return hmac.new(key, text, "sha256").hexdigest()


def _key(*, make: bool) -> bytes | None:
    path = state_folder() / "collections.key"
    with suppress(InputError):
        found = read_found(path.parent, path.name)
        if len(found) == _BYTES:
            return found
    if not make:
        return None
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(_BYTES))
        # Of two commands that make a key at once, the first one's stays.
        with suppress(FileExistsError):
            os.link(fresh, path)
        fresh.unlink()
        return read_found(path.parent, path.name)
    except (InputError, OSError):
        return None


FORMAT = 1
KIND = "rightsize collection"
MANIFEST = "manifest.json"
JOURNAL = "journal.jsonl"
PAGES = "pages"

State = Literal["complete", "incomplete", "refused", "gone"]
"""The end state of a unit: all was fetched; some is missing and can be fetched later; a right or licence is missing;
the object no longer exists in Azure, or this cloud does not offer it."""


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file of pages; `name` is its name within the folder of its unit."""

    name: str
    sha256: str
    rows: int
    pages: int


@dataclass(slots=True)
class Progress:
    """The progress of a unit.

    Attributes:
        pending: The requests still to send; None before the first one.
        state: The end state; None while the unit is being fetched.
        reason: Why it is not complete.
        lost: The reasons for its requests that were refused or not found.
        last_page: The fingerprint of the last page that has rows and a next link, to recognise a page that comes again.
    """

    source: str
    key: str
    scope: str = ""
    first: str = ""
    last: str = ""
    files: list[PageFile] = field(default_factory=list)
    pending: list[WireRequest] | None = None
    state: State | None = None
    reason: str = ""
    lost: list[str] = field(default_factory=list)
    last_page: str = ""

    @property
    def rows(self) -> int:
        """Return the number of records that were written."""
        return sum(file.rows for file in self.files)

    @property
    def pages(self) -> int:
        """Return the number of answers that were written."""
        return sum(file.pages for file in self.files)


class Run:
    """The folder of one run. Threads may share it."""

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self.folder = folder
        self.manifest = manifest
        self.units: dict[tuple[str, str], Progress] = {}
        self._lock = threading.Lock()
        self._journal: int | None = None

    @classmethod
    def create(cls, folder: Path, asked: Mapping[str, Any]) -> Run:
        """Create the folder of a new run, write the request to its manifest, and open it for writing.

        Raises:
            UsageError: The folder is not empty.
        """
        if folder.exists() and any(folder.iterdir()):
            raise UsageError(f"`{folder}` is not empty", hint="name a folder that does not exist yet")
        folder.mkdir(parents=True, exist_ok=True)
        run = cls(folder, {"format": FORMAT, "kind": KIND, **asked, "finished": None})
        run.save()
        run.open_journal()
        return run

    @classmethod
    def read(cls, folder: Path) -> Run:
        """Return the run of a folder, with the progress of its units from the journal.

        Raises:
            InputError: The folder is not a run, has another format version, or its manifest or journal is damaged or
            says something that no collection says.
        """
        manifest = load_object(read_found(folder, MANIFEST), f"the manifest of `{folder}`")
        if manifest.get("kind") != KIND:
            raise InputError(f"`{folder}` is not a collection")
        if manifest.get("format") != FORMAT:
            raise InputError(f"`{folder}` has the format {manifest.get('format')}, which this version does not read")
        check_manifest(manifest, f"the manifest of `{folder}`")
        run = cls(folder, manifest)
        for line in _whole_lines(folder):
            run._apply(line)
        return run

    def open_journal(self) -> None:
        """Open the run for writing, and remove an incomplete last line of the journal.

        Raises:
            UsageError: Another process writes to it.
        """
        self._journal = open_found(self.folder, JOURNAL, os.O_RDWR | os.O_CREAT)
        _lock_file(self._journal, self.folder)
        end = read_found(self.folder, JOURNAL, most=LARGE).rfind(b"\n") + 1
        os.ftruncate(self._journal, end)
        os.lseek(self._journal, end, os.SEEK_SET)

    def close(self) -> None:
        """Close the journal."""
        if self._journal is not None:
            os.close(self._journal)
            self._journal = None

    def progress(self, source: str, unit: CollectionUnit) -> Progress:
        """Return the progress of a unit; that of a new unit is empty."""
        with self._lock:
            return self.units.setdefault(
                (source, unit.key),
                Progress(source, unit.key, unit.scope, _text(unit.first), _text(unit.last)),
            )

    def write(
        self,
        at: Progress,
        lines: bytes,
        *,
        rows: int,
        pages: int,
        pending: Sequence[WireRequest],
        last_page: str = "",
        label: str = "",
        state: State | None = None,
        reason: str = "",
    ) -> None:
        """Write pages, if there are any, and record the pending requests.

        Raises:
            ServiceError: The disk is full or not writable; everything written before stays valid.
        """
        entry: dict[str, Any] = {
            "source": at.source,
            "unit": at.key,
            "scope": at.scope,
            "first": at.first,
            "last": at.last,
            "pending": [asdict(request) for request in pending],
            "state": state,
            "reason": reason,
            "lost": at.lost,
            "last_page": last_page,
        }
        try:
            if pages:
                entry["file"] = asdict(self._write_file(at, lines, rows, pages, label))
            self._append(entry)
        except OSError as error:
            raise _disk_error(error) from error

    def restart(self, at: Progress) -> None:
        """Delete the pages of a unit and reset its progress."""
        shutil.rmtree(self.unit_folder(at), ignore_errors=True)
        try:
            self._append({"source": at.source, "unit": at.key, "restart": True})
        except OSError as error:
            raise _disk_error(error) from error

    def unit_folder(self, at: Progress) -> Path:
        """Return the folder of a unit, named by a hash because a key may have any characters."""
        return self.folder / PAGES / at.source / hashlib.sha256(at.key.encode()).hexdigest()[:16]

    def units_of(self, source: str) -> list[Progress]:
        """Return the units of a source, in the order in which they were started."""
        with self._lock:
            return [unit for unit in self.units.values() if unit.source == source]

    def lines(self, at: Progress) -> Iterator[Any]:
        """Yield the lines of a unit: its pages, or the records of a log.

        Raises:
            InputError: A page file is damaged.
        """
        for file in at.files:
            path = self.unit_folder(at) / file.name
            packed = read_found(self.folder, path.relative_to(self.folder).as_posix(), most=LARGE)
            try:
                with gzip.GzipFile(fileobj=io.BytesIO(packed)) as unpacked:
                    content = unpacked.read(LARGE + 1)
                if len(content) > LARGE:
                    raise ValueError(f"it unpacks to more than {LARGE:,} bytes")
                yield from (orjson.loads(line) for line in content.split(b"\n") if line)
            except (OSError, EOFError, ValueError, zlib.error) as error:
                raise InputError(f"`{path}` is damaged: {error}", hint="collect again into another folder") from error

    def records(self, source: str) -> Iterator[dict[str, Any]]:
        """Yield the records of a source unchanged."""
        for unit in self.units_of(source):
            yield from records_of(self.lines(unit))

    def save(self) -> None:
        """Write the manifest."""
        try:
            content = json.dumps(self.manifest, indent=2, ensure_ascii=False).encode() + b"\n"
            replace_found(self.folder, MANIFEST, content)
        except OSError as error:
            raise _disk_error(error) from error

    def _write_file(self, at: Progress, lines: bytes, rows: int, pages: int, label: str) -> PageFile:
        folder = self.unit_folder(at)
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{len(at.files) + 1:05d}{'-' if label else ''}{label}.jsonl.gz"
        # Level 3 takes a quarter of the time of level 6 for a tenth more bytes.
        packed = gzip.compress(lines, 3, mtime=0)
        replace_found(folder, name, packed)
        return PageFile(name, hashlib.sha256(packed).hexdigest(), rows, pages)

    def _append(self, entry: dict[str, Any]) -> None:
        line = orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE)
        with self._lock:
            if self._journal is None:
                raise OSError(errno.EBADF, "the run is closed")
            start = os.lseek(self._journal, 0, os.SEEK_CUR)
            try:
                written = 0
                while written < len(line):
                    written += os.write(self._journal, line[written:])
                os.fsync(self._journal)
            except OSError:
                os.ftruncate(self._journal, start)
                os.lseek(self._journal, start, os.SEEK_SET)
                raise
            self._apply(entry)

    def _apply(self, entry: Mapping[str, Any]) -> None:
        key = (entry["source"], entry["unit"])
        if entry.get("restart"):
            at = self.units.setdefault(key, Progress(*key))
            at.files, at.pending, at.state, at.reason, at.lost, at.last_page = [], None, None, "", [], ""
            return
        at = self.units.setdefault(key, Progress(*key))
        at.scope, at.first, at.last = entry["scope"], entry["first"], entry["last"]
        at.pending = [WireRequest(**(request | {"accepts": tuple(request["accepts"])})) for request in entry["pending"]]
        at.state, at.reason, at.lost = entry["state"], entry["reason"], list(entry["lost"])
        at.last_page = entry.get("last_page", "")
        if file := entry.get("file"):
            at.files.append(PageFile(**file))


def records_of(lines: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """Yield the records of a run's lines: those within a page, or the line itself for a log."""
    for line in lines:
        if not isinstance(line, dict):
            continue
        records = line.get("value", line.get("data"))
        for record in records if isinstance(records, list) else [line]:
            if isinstance(record, dict):
                yield record


def _text(moment: dt.datetime | None) -> str:
    return moment.isoformat() if moment else ""


def _whole_lines(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the entries of the journal of a run, without an incomplete last line."""
    if not stands_in(folder, JOURNAL):
        return
    path = folder / JOURNAL
    for number, line in enumerate(read_found(folder, JOURNAL, most=LARGE).split(b"\n")[:-1], 1):
        try:
            entry = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise InputError(f"line {number} of `{path}` is damaged: {error}") from error
        check_entry(entry, f"line {number} of `{path}`")
        yield entry


def _lock_file(handle: int, folder: Path) -> None:
    try:
        import fcntl  # noqa: PLC0415  not everywhere
    except ImportError:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise UsageError(f"another process collects into `{folder}`") from error


def _disk_error(error: OSError) -> ServiceError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ServiceError(
            "the disk is full",
            hint="free some space and run the same command again: it continues",
        )
    return ServiceError(f"cannot write the pages: {error.strerror or error}")
