"""Detect the compression and encoding of files, decompress and hash them, and repair bytes for text readers."""

from __future__ import annotations

import codecs
import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from zlib_ng import zlib_ng

from rightsize.model.errors import InputError

Compression = Literal["none", "gzip", "zip"]

# Bytes to read at once, and to decompress at most: they fit in a processor's cache and need few calls.
_CHUNK = 1 << 16
PLAIN_CHUNK = 1 << 19
_PIECE = 1 << 20
_GZIP = b"\x1f\x8b"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_GZIP_WINDOW = 31  # as zlib's: a gzip header and trailer, whose checksum and length it verifies
_UTF16 = ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_UTF32 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)


def compression_of(path: Path) -> Compression:
    """Return the compression of a file from its first bytes; its name does not count."""
    with path.open("rb") as file:
        magic = file.read(4)
    if magic.startswith(_GZIP):
        return "gzip"
    return "zip" if magic in _ZIP else "none"


def plain_chunks(
    path: Path, compression: Compression, name: str, watch: Callable[[bytes], object] = lambda _: None
) -> Iterator[bytes]:
    """Yield the decompressed bytes of a file, and pass its stored bytes to `watch`.

    Raises:
        InputError: A gzip stream is cut short, fails its checksum, or is followed by something else.
    """
    with path.open("rb") as file:
        stored = _shown(iter(lambda: file.read(_CHUNK), b""), watch)
        yield from stored if compression == "none" else _gunzip(stored, name)


def _shown(chunks: Iterator[bytes], watch: Callable[[bytes], object]) -> Iterator[bytes]:
    for chunk in chunks:
        watch(chunk)
        yield chunk


def _gunzip(stored: Iterator[bytes], name: str) -> Iterator[bytes]:
    member = zlib_ng.decompressobj(_GZIP_WINDOW)
    started = False
    try:
        for chunk in stored:
            data = chunk
            while data:
                if not started:
                    # Tapes and block devices pad with zeros; gzip itself treats them as the end.
                    data = data.lstrip(b"\0")
                    started = bool(data)
                yield member.decompress(data, PLAIN_CHUNK)
                data = member.unconsumed_tail
                if member.eof:
                    data = member.unused_data
                    member, started = zlib_ng.decompressobj(_GZIP_WINDOW), False
    except zlib_ng.error as error:  # type: ignore[misc]  # its stub takes the class for an instance
        raise InputError(f"`{name}` is a damaged gzip file: {error}", hint="export or copy it again") from error
    if started:
        raise InputError(f"`{name}` is a gzip file that was cut short", hint="export or copy it again")


def read_head(path: Path, compression: Compression, size: int, name: str) -> bytes:
    """Return the first `size` decompressed bytes of a file, or all if it is shorter.

    Raises:
        InputError: The gzip stream is damaged within these bytes.
    """
    head = b""
    for chunk in plain_chunks(path, compression, name):
        head += chunk
        if len(head) >= size:
            break
    return head[:size]


def digest(path: Path, compression: Compression, name: str) -> str:
    """Return the SHA-256 of a stored file; a compressed one is read to its end to verify its checksum.

    DuckDB reads a gzip file with a wrong checksum without an error, so it is verified here.

    Raises:
        InputError: The gzip stream is damaged.
    """
    seen = hashlib.sha256()
    for _ in plain_chunks(path, compression, name, seen.update):
        pass
    return seen.hexdigest()


HEAD_OF_ENCODING = 16
"""The bytes of a file that `to_utf8` looks at."""

_NOTES = (b"sep=", b"#TYPE ")
_UTF16_MARK = 4


def to_utf8(path: Path, compression: Compression, head: bytes, new_path: Callable[[], Path], name: str) -> Path | None:
    """Return a copy of a file as UTF-8 without a note before its table, or None if the file is so already.

    Redirected output of Windows PowerShell is UTF-16. `Export-Csv` writes the type of its rows before a table, and
    people write `sep=;` there for Excel.

    Args:
        path: The file.
        compression: Its compression.
        head: Its first HEAD_OF_ENCODING bytes, decompressed.
        new_path: Returns an unused path for a copy.
        name: Its name, for messages.

    Raises:
        InputError: The file is UTF-32, or its bytes are not valid UTF-16.
    """
    copy = _from_utf16(path, compression, head[:_UTF16_MARK], new_path, name)
    if copy is not None:
        path, compression, head = copy, "none", read_head(copy, "none", HEAD_OF_ENCODING, name)
    if not head.removeprefix(codecs.BOM_UTF8).startswith(_NOTES):
        return copy
    return _without_first_line(path, compression, new_path(), name)


def _without_first_line(path: Path, compression: Compression, target: Path, name: str) -> Path:
    begun = False
    with target.open("wb") as copy:
        for chunk in plain_chunks(path, compression, name):
            if begun:
                copy.write(chunk)
            else:
                _, end, rest = chunk.partition(b"\n")
                begun = bool(end)
                copy.write(rest)
    return target


def _from_utf16(
    path: Path, compression: Compression, head: bytes, new_path: Callable[[], Path], name: str
) -> Path | None:
    if head.startswith(_UTF32):
        raise InputError(f"`{name}` is in UTF-32, which no export uses", hint="save it as UTF-8")
    encoding = next((encoding for mark, encoding in _UTF16 if head.startswith(mark)), None)
    if encoding is None and len(head) == 4 and head[1] == 0 and head[3] == 0 and head[0] in b"[{":
        encoding = "utf-16-le"
    if encoding is None and len(head) == 4 and head[0] == 0 and head[2] == 0 and head[1] in b"[{":
        encoding = "utf-16-be"
    if encoding is None:
        return None
    target = new_path()
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        with target.open("w", encoding="utf-8", newline="") as copy:
            for chunk in plain_chunks(path, compression, name):
                copy.write(decoder.decode(chunk))
            copy.write(decoder.decode(b"", True))
    except UnicodeError as error:
        raise InputError(f"`{name}` begins as UTF-16 but is damaged: {error}", hint="save it as UTF-8") from error
    return target


def _mark_damage(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return DAMAGE, error.end


DAMAGE = "\x01"
"""Replaces bytes that are invalid in JSON text; a JSON parser refuses it, so the line is rejected, not repaired."""

codecs.register_error("rightsize-damage", _mark_damage)

MAX_RECORD_BYTES = 16 << 20
"""Maximum bytes of a record: the largest that Azure logs is 256 KiB (Event Hubs' limit), and pages are not lines."""


def write_readable_lines(path: Path, compression: Compression, target: Path, name: str) -> None:
    """Copy a file of lines, line for line, into text that any reader accepts.

    Bytes that are not UTF-8 and NUL bytes become `DAMAGE`, and a carriage return becomes a space. A line longer than
    `MAX_RECORD_BYTES` is cut to a little more than that.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("rightsize-damage")
    length = 0  # of the line that the next piece of text continues
    with target.open("w", encoding="utf-8", newline="") as copy:
        for piece in _pieces(plain_chunks(path, compression, name)):
            text = decoder.decode(piece or b"", piece is None)
            # The reader of lines uses \x02 as its column separator; no JSON text has it.
            text = text.replace("\0", DAMAGE).replace("\r", " ").replace("\x02", DAMAGE)
            # A piece is shorter than the longest record, so only a line that spans pieces can be too long.
            end = text.find("\n")
            begun = text if end < 0 else text[:end]
            if length <= MAX_RECORD_BYTES:
                copy.write(begun)
            length += len(begun)
            if end >= 0:
                copy.write(text[end:])
                length = len(text) - text.rfind("\n") - 1


def _pieces(chunks: Iterator[bytes]) -> Iterator[bytes | None]:
    """Yield chunks in pieces of limited size, then None: a decompressed chunk can be very long."""
    for chunk in chunks:
        for start in range(0, len(chunk), _PIECE):
            yield chunk[start : start + _PIECE]
    yield None


NO_TEXT = "\\u0001"
"""The escape that `mend_json` puts where a JSON text has something that is no text."""
_MOST_MENDED = 256 << 20
# Any other escape is matched too, so that the second half of an escaped backslash begins none.
_ESCAPES = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u([dD][89a-fA-F][0-9a-fA-F]{2})|.)"
)


def mend_json(path: Path, target: Path) -> bool:
    """Copy a plain JSON file with `NO_TEXT` for each lone surrogate and each byte that is not UTF-8.

    So a reader of the copy can tell the records that have them. Returns whether the copy differs; a file of more than
    256 MiB is not copied.
    """
    if path.stat().st_size > _MOST_MENDED:
        return False
    content = path.read_bytes()
    escape = NO_TEXT.encode()
    mended = _ESCAPES.sub(lambda found: escape if found[1] else found[0], content)
    mended = mended.decode("utf-8", "rightsize-damage").replace(DAMAGE, NO_TEXT).encode()
    if mended == content:
        return False
    target.write_bytes(mended)
    return True
