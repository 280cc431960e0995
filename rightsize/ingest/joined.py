"""Join many small files of JSON lines into one copy, because DuckDB sets up every column again for each file.

Azure writes a file for each hour and subscription. In the joined copy, each record has the number of its file under a
random key; everything else of a line is unchanged.
"""

from __future__ import annotations

import codecs
import re
import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from rightsize.ingest.digests import Digests
from rightsize.ingest.readers import Batch, plain_size
from rightsize.ingest.sniff import Form
from rightsize.ingest.sources import NoRoomError, Scratch, SourceFile

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
