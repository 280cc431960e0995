"""Many small files of lines as one: DuckDB sets up every column anew for each file, which costs more than to copy them.

Azure writes a file an hour and subscription. What makes one file of them is a copy in which each record names its
file, under a key that nobody can know before; everything else of a line stays as it is.
"""

from __future__ import annotations

import codecs
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rightsize.ingest.encoding import plain_chunks
from rightsize.ingest.readers import Batch, plain_size
from rightsize.ingest.sniff import Form
from rightsize.ingest.sources import Scratch, SourceFile

_BEGIN = re.compile(rb"\n\{")
_SMALL = 1 << 20
MOST_JOINED = 512 << 20
"""As many bytes as the files of one copy are likely to have at most."""


def is_small(file: SourceFile, form: Form) -> bool:
    """Tell whether a file is better read with others of its kind than by itself."""
    return form == "lines" and plain_size(file, form) <= _SMALL


@contextmanager
def joined(batch: Batch, scratch: Scratch) -> Iterator[Batch]:
    """Give a batch of small files as one that is read as a single file, while what is inside runs; others as they are.

    A record that does not begin its line has no number of its file in it, and file_no is null where it is read. Files
    that cannot be read are left to DuckDB, which says so, and so are all where there is no room for a copy.

    Raises:
        InputError: A compressed file is damaged.
    """
    if len(batch.files) < 2 or not all(is_small(file, batch.form) for file in batch.files):
        yield batch
        return
    mark, path = secrets.token_hex(8), scratch.new_path()
    try:
        yield replace(batch, joined=path, mark=mark) if _join(batch, path, mark) else batch
    finally:
        path.unlink(missing_ok=True)


def _join(batch: Batch, path: Path, mark: str) -> bool:
    """Return whether there was room: what is packed may be longer than its size lets expect."""
    room = 2 * MOST_JOINED
    try:
        with path.open("wb") as copy:
            for file in batch.files:
                begin = f'\n{{"{mark}":{file.number},'.encode()
                lines = _lines(file, room)
                room -= copy.write(_BEGIN.sub(begin, b"\n" + lines.removeprefix(codecs.BOM_UTF8) + b"\n"))
                if room < 0:
                    break
    except OSError:
        room = -1
    if room < 0:
        path.unlink(missing_ok=True)
    return room >= 0


def _lines(file: SourceFile, most: int) -> bytes:
    """Return what stands in a file, of one that is longer than `most` little more than that."""
    if file.compression == "none":
        return file.path.read_bytes()
    lines = bytearray()
    for chunk in plain_chunks(file.path, file.compression, file.name):
        lines += chunk
        if len(lines) > most:
            break
    return bytes(lines)
