"""Many small files of lines as one: DuckDB sets up every column anew for each file, which costs more than to copy them.

Azure writes a file an hour and subscription. What makes one file of them is a copy in which each record names its
file, under a key that nobody can know before; everything else of a line stays as it is.
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
_SMALL = 1 << 20
MOST_JOINED = 512 << 20
"""As many bytes as the files of one copy are likely to have at most."""


def is_small(file: SourceFile, form: Form) -> bool:
    """Tell whether a file is better read with others of its kind than by itself."""
    return form == "lines" and plain_size(file, form) <= _SMALL


def joined(batch: Batch, scratch: Scratch, digests: Digests) -> Iterator[Batch]:
    """Yield a batch of small files as one that is read as a single file, which is gone when the next is asked for.

    A record that does not begin its line has no number of its file in it, and file_no is null where it is read. Files
    that cannot be read are left to DuckDB, which says so, and so are all where there is no room for a copy.

    Raises:
        NoRoomError: There is no room for the copy: what is packed may be longer than its size lets expect.
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
    """Return what stands in a file.

    Raises:
        NoRoomError: It is longer than `most`.
    """
    if file.compression == "none":
        return file.path.read_bytes()
    lines = bytearray()
    for chunk in digests.chunks(file):
        lines += chunk
        if len(lines) > most:
            raise NoRoomError
    return bytes(lines)
