"""Unpack compressed files of JSON lines into plain copies, which also verifies checksums and is faster than DuckDB.

A thread writes scratch files one part ahead of the reader, and overwrites the parts that were read. A part ends at the
end of a line.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import IO

from rightsize.ingest.digests import Digests
from rightsize.ingest.readers import Batch
from rightsize.ingest.sources import NoRoomError, Scratch, SourceFile

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
