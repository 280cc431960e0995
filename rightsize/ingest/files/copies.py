"""Copy files of JSON lines for DuckDB, joined and unpacked, hash them, and report how many bytes were read.

Many small files are joined, because DuckDB sets up every column again for each file. Unpacking verifies checksums, and
is faster than DuckDB. What DuckDB has read is known from the file positions that Linux shows.

Azure writes a file for each hour and subscription. In the joined copy, each record has the number of its file under a
random key; everything else of a line is unchanged.

A thread writes scratch files one part ahead of the reader, and overwrites the parts that were read. A part ends at the
end of a line.
"""

from __future__ import annotations

import codecs
import hashlib
import os
import re
import secrets
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import IO

from rightsize.ingest.files.encoding import Compression, digest, plain_chunks
from rightsize.ingest.files.readers import Batch, plain_size
from rightsize.ingest.files.sniff import Form
from rightsize.ingest.files.sources import NoRoomError, Scratch, SourceFile


class Digests:
    """The hashes of files. Hashing and verifying checksums run on a separate core while DuckDB reads."""

    def __init__(self) -> None:
        self._hasher = ThreadPoolExecutor(max_workers=1)
        self._found: dict[int, Future[str]] = {}

    def __enter__(self) -> Digests:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Stop hashing; raise the error of a damaged stream instead of the error that its bytes caused later."""
        self._hasher.shutdown(wait=True, cancel_futures=True)
        if kind is None or not issubclass(kind, Exception):
            return
        for future in self._found.values():
            damage = None if future.cancelled() else future.exception()
            if damage is not None:
                raise damage

    def begin(self, file: SourceFile) -> None:
        """Start to hash a file, and to verify it if it is compressed, unless that was done; return at once."""
        if file.number not in self._found:
            hashed = self._hasher.submit(digest, file.stored, file.stored_compression, file.name)
            self._found[file.number] = hashed

    def chunks(self, file: SourceFile) -> Iterator[bytes]:
        """Yield the decompressed bytes of a file, and store its hash after all bytes were read and verified.

        Raises:
            InputError: The file is damaged.
        """
        seen = hashlib.sha256()
        yield from plain_chunks(file.path, file.compression, file.name, seen.update)
        found: Future[str] = Future()
        found.set_result(seen.hexdigest())
        self._found[file.number] = found

    def of(self, file: SourceFile) -> str:
        """Return the digest of a file, in hexadecimal.

        Raises:
            InputError: The file is packed and damaged.
        """
        self.begin(file)
        return self._found[file.number].result()


_BEGIN = re.compile(rb"\n\{")
SMALL_BYTES = 1 << 20
MOST_JOINED = 512 << 20
"""Maximum estimated bytes of the files in one copy."""


def is_small(file: SourceFile, form: Form) -> bool:
    """Return whether a file is small enough to be joined with others of its form."""
    return form == "lines" and plain_size(file, form) <= SMALL_BYTES


def joined(batch: Batch, scratch: Scratch, digests: Digests) -> Iterator[Batch]:
    """Yield a batch of small files as one batch with a single joined copy, which is deleted afterwards.

    A record that does not start at the beginning of its line gets no file number, so its file_no is null. Without a
    copy, the caller reads the files as they are, and DuckDB reports files that cannot be read.

    Raises:
        NoRoomError: There is no space for the copy, or a file cannot be read. Compressed files may be longer than
            expected.
        InputError: A compressed file is damaged.
    """
    mark, path = secrets.token_hex(8), scratch.new_path()
    try:
        try:
            _join(batch, path, mark, digests)
        except OSError as error:
            raise NoRoomError from error
        yield replace(batch, copies=((path, 0),), mark=mark)
    finally:
        path.unlink(missing_ok=True)


def _join(batch: Batch, path: Path, mark: str, digests: Digests) -> None:
    room = 2 * MOST_JOINED
    with path.open("wb") as copy:
        for file in batch.files:
            begin = f'\n{{"{mark}":{file.number},'.encode()
            lines = _lines(file, room, digests)
            room -= copy.write(_BEGIN.sub(begin, b"\n" + lines.removeprefix(codecs.BOM_UTF8) + b"\n"))
            if room < 0:
                raise NoRoomError


def _lines(file: SourceFile, most: int, digests: Digests) -> bytes:
    """Return the decompressed content of a file.

    Raises:
        NoRoomError: The content is longer than `most` bytes.
    """
    if file.compression == "none":
        return file.path.read_bytes()
    lines = bytearray()
    for chunk in digests.chunks(file):
        lines += chunk
        if len(lines) > most:
            raise NoRoomError
    return bytes(lines)


# The first part is short, so that DuckDB starts early; later ones are longer, since small batches are laid out twice.
FIRST_PART_BYTES = 128 << 20
LONGEST_PART_BYTES = 512 << 20


def unpacked(batch: Batch, scratch: Scratch, digests: Digests) -> Iterator[Batch]:
    """Yield compressed files of lines as batches of plain copies, in order, each valid until the next is requested.

    Raises:
        NoRoomError: There is no space for a copy; the batches yielded before are not all.
        InputError: A file is damaged.
    """
    unpacker = Unpacker(scratch, digests)
    parts = unpacker.parts(batch)
    with ThreadPoolExecutor(max_workers=1) as ahead:
        coming = ahead.submit(next, parts, None)
        try:
            while (part := coming.result()) is not None:
                coming = ahead.submit(next, parts, None)
                yield part
                unpacker.free(part)
        finally:
            ahead.shutdown()
            parts.close()
            unpacker.remove()


class Unpacker:
    """A writer of plain copies that overwrites copies already read, because their disk pages are allocated."""

    def __init__(self, scratch: Scratch, digests: Digests) -> None:
        self._scratch = scratch
        self._digests = digests
        self._made: list[Path] = []
        self._free: list[Path] = []
        self._filled = 0
        self._most = FIRST_PART_BYTES

    def parts(self, batch: Batch) -> Generator[Batch]:
        """Yield a compressed batch as batches of plain copies.

        Raises:
            NoRoomError: A copy cannot be written.
        """
        copies: list[tuple[Path, int]] = []
        try:
            for file in batch.files:
                for path, is_full in self._copied(file):
                    copies.append((path, file.number))
                    if is_full:
                        yield replace(batch, copies=tuple(copies))
                        copies = []
        except OSError as error:
            raise NoRoomError from error
        if copies:
            yield replace(batch, copies=tuple(copies))

    def free(self, part: Batch) -> None:
        """Release the copies of a part for reuse."""
        self._free += (path for path, _ in part.copies)

    def remove(self) -> None:
        """Delete all copies."""
        for path in self._made:
            path.unlink(missing_ok=True)

    def _copied(self, file: SourceFile) -> Iterator[tuple[Path, bool]]:
        """Yield each copy of some lines of a file, at least one, and whether it completes a part."""
        path, copy = self.new_copy()
        try:
            for chunk in self._digests.chunks(file):
                end = chunk.rfind(b"\n") + 1 if self._filled + len(chunk) > self._most else 0
                if end:
                    copy.write(chunk[:end])
                    copy.truncate()
                    copy.close()
                    self._filled, self._most = 0, min(2 * self._most, LONGEST_PART_BYTES)
                    yield path, True
                    path, copy = self.new_copy()
                copy.write(chunk[end:])
                self._filled += len(chunk) - end
            copy.truncate()
        finally:
            copy.close()
        yield path, False

    def new_copy(self) -> tuple[Path, IO[bytes]]:
        """Open a scratch file to write, one that was released if there is any."""
        if self._free:
            path = self._free.pop()
            return path, path.open("r+b")
        path = self._scratch.new_path()
        self._made.append(path)
        return path, path.open("wb")


def is_unpacked(form: Form, compression: Compression) -> bool:
    """Return whether log records of such a file are read from an unpacked copy; it is hashed during the copy."""
    return form == "lines" and compression != "none"


@dataclass(frozen=True, slots=True)
class Copies:
    """A maker of copies, with the scratch folder for them and the digests of the copied files.

    Attributes:
        scratch: The folder for copies.
        digests: The hashes of the files.
    """

    scratch: Scratch
    digests: Digests

    def of(self, batch: Batch) -> AbstractContextManager[Generator[Batch]]:
        """Return a context with the batches to read in place of a batch, in order; itself where a copy is no better.

        Raises:
            NoRoomError: There is no space for copies; this may happen after some were yielded.
            InputError: A compressed file is damaged.
        """
        return closing(self._of(batch))

    def _of(self, batch: Batch) -> Generator[Batch]:
        if len(batch.files) > 1 and all(is_small(file, batch.form) for file in batch.files):
            yield from joined(batch, self.scratch, self.digests)
        elif is_unpacked(batch.form, batch.compression):
            yield from unpacked(batch, self.scratch, self.digests)
        else:
            yield batch


_OPEN = Path("/proc/self/fd")
_SECONDS = 0.5


def bytes_read(paths: Sequence[Path]) -> int:
    """Return the number of bytes read from files that this process has open; 0 if the system does not show it.

    A thread that verifies a file is ahead of the scan, so of several readers of a file the last one counts.
    """
    wanted = {os.path.realpath(path) for path in paths}
    found: dict[str, int] = {}
    try:
        for opened in _OPEN.iterdir():
            place = _position(opened, wanted)
            if place is not None:
                path, read = place
                found[path] = min(found.get(path, read), read)
    except OSError:
        return 0
    return sum(found.values())


def _position(opened: Path, wanted: set[str]) -> tuple[str, int] | None:
    try:
        path = str(opened.readlink())
        if path not in wanted:
            return None
        text = Path("/proc/self/fdinfo", opened.name).read_text(encoding="ascii")
    except OSError:
        return None  # closed meanwhile
    return path, int(text.split(None, 2)[1])


@contextmanager
def report_bytes_read(
    report_progress: Callable[[int], object], paths: Sequence[Path], *, every: float = _SECONDS
) -> Iterator[None]:
    """Call `report_progress` repeatedly with the most bytes read from `paths`, while the block runs.

    Args:
        report_progress: The function to call, from another thread; never after the end.
        paths: The files.
        every: Seconds between two calls.
    """
    ended = Event()

    def look() -> None:
        most = 0  # the maximum, because a file is closed after it was read
        while not ended.wait(every):
            most = max(most, bytes_read(paths))
            report_progress(most)

    looking = Thread(target=look, daemon=True)
    looking.start()
    try:
        yield
    finally:
        ended.set()
        looking.join()
