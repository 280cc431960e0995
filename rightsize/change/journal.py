"""Write the journal of a rollout, each step before it is done, and keep its head outside the folder.

The head is the number of lines and the hash of the last.

Each line is one JSON object with the hash of the line before, forced to the disk before the next step. The space for
all lines is filled with line ends before the first change, and each line is written over them. A line is whole or
absent: a line that the disk takes only in part is cut off; where cutting fails, too, nothing more is written.

The first line names the bundle, plan, tenant and cloud that the journal belongs to. The hash of the last line is kept
outside the folder as well: a journal that was cut, or written anew, does not fit.

Whoever can write into the folder can cut the journal, or write it anew with hashes that fit. The head exposes that. It
is one small file for each rollout, in a folder of the user's own.
"""

from __future__ import annotations

import datetime as dt
import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rightsize.model.errors import InputError, ServiceError, UsageError
from rightsize.model.file_reading import LARGE, open_found, read_found, stands_in
from rightsize.model.json_schemas import SchemaChecks, json_schema_of, load_object
from rightsize.model.machine import state_folder

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a journal.

    Attributes:
        bundle: Hash of the bundle that the journal belongs to.
        last: SHA-256 of the last line; empty where there is none.
        coming: SHA-256 of the line that is being written, else empty.
    """

    bundle: str
    lines: int
    last: str
    coming: str = ""

    def fits(self, hashes: Sequence[str]) -> bool:
        """Return whether a journal with lines of these hashes is complete and unchanged."""
        if (self.lines, self.last) == (len(hashes), hashes[-1] if hashes else ""):
            return True
        one_more = len(hashes) == self.lines + 1 and bool(self.coming) and hashes[-1] == self.coming
        return one_more and (hashes[-2] if self.lines else "") == self.last


def heads_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder for heads."""
    return state_folder(environment) / "rollouts"


class Heads:
    """The head of one rollout's journal, in a file that only its owner may read."""

    def __init__(self, folder: Path, bundle: str) -> None:
        self._path = folder / f"{bundle}.json"

    def read(self) -> Head | None:
        """Return the head that this machine keeps, or None.

        Raises:
            InputError: The file exists, and cannot be read.
        """
        folder, name = self._path.parent, self._path.name
        return read_head(read_found(folder, name), self._path) if stands_in(folder, name) else None

    def write(self, head: Head) -> None:
        """Replace the head atomically and force it to the disk, or raise OSError."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            content = write_head(head).encode()
            while content:
                content = content[os.write(file, content) :]
            os.fsync(file)
        finally:
            os.close(file)
        fresh.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def write_head(head: Head) -> str:
    """Return a head as JSON."""
    return json.dumps({"format_version": _FORMAT, **asdict(head)}, sort_keys=True) + "\n"


def read_head(text: bytes, path: Path) -> Head:
    """Return the head of a text, or raise InputError."""
    try:
        document = load_object(text, "it")
        if document.pop("format_version") != _FORMAT:
            raise ValueError("it has another format version")
        SchemaChecks(json_schema_of(Head)).require(document, "it")
    except (InputError, KeyError, ValueError) as error:
        raise InputError(f"`{path}` is not the head of a journal: {error}") from None
    return Head(**document)


_FILLER = b"\n"
_CHUNK = 1 << 16
_DAMAGED = "a rollback needs the journal: restore the file, or compare Azure with the plan by hand"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: the swap, the event (`create-begin`, `created`, …), its object, the time, and further data."""

    swap: str
    event: str
    key: str
    at: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Bound:
    """The bundle, plan, tenant and cloud of a journal, as its first line names them.

    Attributes:
        bundle: Hash of the bundle; `plan` is that of the plan.
        tenant: The tenant that is written to; `cloud` is its cloud.
    """

    bundle: str
    plan: str
    tenant: str
    cloud: str


class JournalError(ServiceError):
    """A line cannot be written to the journal; its step must not be done."""


class Journal:
    """An open journal; only one process may have it. Use it in a `with`."""

    def __init__(self, path: Path, bound: Bound, heads: Heads, *, room: int = 0, trusted: str | None = None) -> None:
        """Set what the journal must belong to.

        Args:
            path: The file; it is created with the first line.
            bound: The bundle, plan, tenant and cloud it belongs to.
            heads: The place that keeps its head.
            room: Bytes to reserve before the first line.
            trusted: Hash of its last line from a trusted source, where this machine keeps no head.
        """
        self._path, self._bound, self._heads, self._room, self._trusted = path, bound, heads, room, trusted
        self.entries: list[Entry] = []
        self._by_swap: dict[str, list[Entry]] = {}
        self._hashes: list[str] = []
        self._end = self._size = 0
        self._is_closed = False
        self._file = -1

    def __enter__(self) -> Self:
        self._file = open_found(self._path.parent, self._path.name, os.O_RDWR | os.O_CREAT)
        _keep_name(self._path)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise UsageError(f"`{self._path}` is in use: another rollout is running") from None
        try:
            self._take_over()
        except BaseException:
            os.close(self._file)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    @property
    def head(self) -> Head:
        """The head of the journal."""
        return Head(self._bound.bundle, len(self._hashes), self._hashes[-1] if self._hashes else "")

    def write(self, swap: str, event: str, key: str, at: str, data: dict[str, Any] | None = None) -> None:
        """Write one entry and force it to the disk.

        Raises:
            JournalError: The entry cannot be written; it is then absent, and its step must not be done.
        """
        if not self.entries and event != "begin":
            self.write("", "begin", self._bound.plan, at, asdict(self._bound))
        entry = Entry(swap, event, key, at, data or {})
        line = _line(entry, self.head.last)
        found = hashlib.sha256(line).hexdigest()
        try:
            if self._is_closed:
                raise OSError(errno.EIO, "an incomplete line could not be cut off before")
            if not self._hashes:
                self._fill(self._room)
            self._fill(self._end + len(line))
            self._heads.write(Head(**{**asdict(self.head), "coming": found}))
            self._put(line)
        except OSError as error:
            raise JournalError(
                f"cannot write the journal `{self._path}`: {error.strerror}",
                hint="nothing more was changed in Azure; free some space and run the same command again",
            ) from error
        self._end += len(line)
        self._hashes.append(found)
        self.entries.append(entry)
        self._by_swap.setdefault(swap, []).append(entry)
        try:
            self._heads.write(self.head)
        except OSError as error:
            # The line is written, and the head names it as coming: the next run accepts both.
            self._is_closed = True
            raise JournalError(f"cannot write the head of the journal: {error.strerror}") from error

    def of(self, swap: str) -> Sequence[Entry]:
        """Return the entries of a swap, the oldest first."""
        return self._by_swap.get(swap, [])

    def _take_over(self) -> None:
        content = read_found(self._path.parent, self._path.name, most=LARGE)
        self.entries, self._hashes, self._end = _read(content, self._path)
        self._size = len(content)
        for entry in self.entries:
            self._by_swap.setdefault(entry.swap, []).append(entry)
        check_head(self._path, self._hashes, self._heads.read(), self._trusted)
        if self.entries:
            check_bound(self._path, self.entries[0], self._bound)
        if content[self._end :].strip(_FILLER):
            # A line that a kill cut short counts as not written.
            self._cut()

    def _fill(self, size: int) -> None:
        """Reserve space up to a size, in whole chunks, or leave the file unchanged and raise OSError."""
        if size <= self._size:
            return
        wanted = -(-size // _CHUNK) * _CHUNK
        try:
            self._write_at(self._size, _FILLER * (wanted - self._size))
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._size = wanted

    def _put(self, line: bytes) -> None:
        """Write a whole line over the filler, or leave the file unchanged and raise OSError."""
        try:
            self._write_at(self._end, line)
        except OSError:
            self._cut()
            raise

    def _cut(self) -> None:
        """Cut off everything after the last whole line; where that fails, the journal takes no more lines."""
        try:
            os.ftruncate(self._file, self._end)
            os.fsync(self._file)
            self._size = self._end
        except OSError:
            self._is_closed = True
            raise

    def _write_at(self, offset: int, content: bytes) -> None:
        while content:
            written = os.pwrite(self._file, content, offset)
            if written <= 0:
                raise OSError(errno.EIO, "the disk takes no data")
            offset, content = offset + written, content[written:]
        os.fsync(self._file)


def _keep_name(path: Path) -> None:
    """Force the name of a new file to the disk: a head that outlives its journal would refuse all later runs."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_journal(path: Path, heads: Heads | None = None) -> list[Entry]:
    """Return the entries of a journal without opening it for writing; none where there is no file.

    Raises:
        InputError: A line was changed, or the end differs from the head that this machine keeps.
    """
    is_there = stands_in(path.parent, path.name)
    content = read_found(path.parent, path.name, most=LARGE) if is_there else b""
    entries, hashes, _ = _read(content, path)
    head = heads.read() if heads is not None else None
    if head is not None:
        check_head(path, hashes, head, None)
    return entries


def bound_of(first: Entry) -> Bound:
    """Return the bundle, plan, tenant and cloud that the first line of a journal names."""
    return Bound(**{name: str(first.data.get(name)) for name in Bound.__dataclass_fields__})


def check_head(path: Path, hashes: Sequence[str], head: Head | None, trusted: str | None) -> None:
    """Raise InputError where a journal is incomplete or changed.

    Raises:
        InputError: The journal was cut or written anew, or this machine knows no head of it.
    """
    if head is not None and not head.fits(hashes):
        raise InputError(
            f"the journal `{path}` was cut or changed: it should have {head.lines} lines, the last of "
            f"hash {head.last[:12] or 'none'}, and has {len(hashes)}",
            hint=_DAMAGED,
        )
    if trusted is not None and trusted not in (hashes if head is not None else hashes[-1:]):
        raise InputError(f"the journal `{path}` does not end with the line of hash {trusted[:12]}", hint=_DAMAGED)
    if hashes and head is None and trusted is None:
        raise InputError(
            f"this machine did not write the journal `{path}`, so it may have been cut or changed",
            hint="continue on the machine that wrote it; or give the hash of its last line, as the last run printed "
            "it, with `--head HASH`; or, where its head was signed, give `--signers FILE`",
        )


def check_bound(path: Path, first: Entry, bound: Bound) -> None:
    """Raise InputError where a journal does not belong to this bundle, plan, tenant and cloud."""
    said = asdict(bound_of(first))
    for name, ours in asdict(bound).items():
        if said[name] != ours:
            raise InputError(f"`{path}` is the journal of another {name}", hint="the folder was changed: restore it")


def _line(entry: Entry, previous: str) -> bytes:
    document = {
        "at": entry.at,
        "data": entry.data,
        "event": entry.event,
        "key": entry.key,
        "prev": previous,
        "swap": entry.swap,
    }
    return (json.dumps(document, ensure_ascii=True, sort_keys=True, separators=(",", ":")) + "\n").encode()


def _read(content: bytes, path: Path) -> tuple[list[Entry], list[str], int]:
    """Return the entries, the hash of each line, and the offset where the last whole line ends."""
    entries: list[Entry] = []
    hashes: list[str] = []
    end = 0
    lines = content.rstrip(_FILLER).split(_FILLER) if content.strip(_FILLER) else []
    for number, text in enumerate(lines, 1):
        line, previous = text + _FILLER, hashes[-1] if hashes else ""
        if not any(lines[number - 1 : -1]) and (_is_torn(lines[-1]) or end + len(line) > len(content)):
            break
        try:
            document = load_object(line, "it")
            entry = Entry(*(document[name] for name in ("swap", "event", "key", "at", "data")))
            if document["prev"] != previous or _line(entry, previous) != line:
                raise ValueError("it does not continue the line before")
            _check_types(entry)
        except (InputError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"line {number} of the journal `{path}` was changed: {error}", hint=_DAMAGED) from None
        entries.append(entry)
        hashes.append(hashlib.sha256(line).hexdigest())
        end += len(line)
    return entries, hashes, end


def _check_types(entry: Entry) -> None:
    """Raise ValueError or TypeError where a value has another type than this program writes."""
    if not isinstance(entry.data, dict) or not all(
        isinstance(one, str) for one in (entry.swap, entry.event, entry.key)
    ):
        raise TypeError("a value in it has a wrong type")
    if dt.datetime.fromisoformat(entry.at).tzinfo is None:
        raise ValueError("its time has no zone")


def _is_torn(text: bytes) -> bool:
    """Return whether a last line is incomplete: the beginning of a JSON object is never a whole object."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return True
    return False
