"""Find the files behind command line paths, and prepare them for DuckDB: walk folders, unpack archives, save stdin.

Hidden files and folders (a leading dot, `__MACOSX`) are skipped inside folders and archives; a file that the user names
is always read. No name is trusted: unpacked and linked files get a generated one.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from rightsize.ingest.files.encoding import HEAD_OF_ENCODING, Compression, compression_of, read_head, to_utf8
from rightsize.model.errors import InputError
from rightsize.model.file_reading import parts_of_given, parts_of_stream

# An archive may unpack to this many bytes, or to this many times its own size if that is more. Deflate reaches at most
# 1,032 times, logs about 20; an archive that claims more is built to fill a disk.
UNPACKED_AT_LEAST = 1 << 30
_UNPACKED_TIMES = 200
_MAX_NESTING = 2
_CHUNK = 1 << 20
_MOST_STREAMED = 1 << 36
"""Most bytes of a pipe or of stdin, which are copied before they are read."""
_NAMES_OF_PLACE = 3
# DuckDB expands these in file names, and treats `name://` as a remote file.
_PATTERN_LETTERS = "*?[]{}"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file, or one member of an archive.

    Attributes:
        number: Position in the order of reading, from 0.
        name: The name shown to the user; a member is `archive.zip:member`.
        path: The path that DuckDB reads: UTF-8 content, and a name that DuckDB takes literally.
        stored: The path of the original bytes, which are hashed.
        compression: The compression of `path`.
        stored_compression: The compression of `stored`.
        named: Whether the user named it, so that an unknown file is an error.
        size: The bytes of `path`.
    """

    number: int
    name: str
    path: Path
    stored: Path
    compression: Compression
    stored_compression: Compression
    named: bool
    size: int

    @property
    def is_in_folder(self) -> bool:
        """Return whether it is a file of its own, not a member of an archive and not a stream."""
        return self.name == _shown(self.stored)

    @property
    def place(self) -> str:
        """Return the names of the two folders around the file and its own, with slashes; an archive is a folder."""
        path = _shown(self.stored.absolute()) if self.is_in_folder else self.name
        return "/".join(re.split(r"[/\\:]", path)[-_NAMES_OF_PLACE:])

    @property
    def address(self) -> str:
        """Return a text that only this file has: its path, its folders without links; a member's name as shown."""
        return address_of(self.stored) if self.is_in_folder else self.name


@dataclass(frozen=True, slots=True)
class _Found:
    name: str
    path: Path
    named: bool


def address_of(path: Path) -> str:
    """Return the address that the file at a path has, or would have."""
    return _shown(Path(os.path.realpath(path.parent), path.name))


class NoRoomError(Exception):
    """There is no space in a Scratch."""


class Scratch:
    """A folder for unpacked files with generated names. The caller removes the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._used = 0

    def new_path(self) -> Path:
        """Return an unused path in the folder."""
        self._used += 1
        return self._folder / f"{self._used:06d}"


def open_sources(
    paths: Sequence[str | Path], scratch: Scratch, stdin: IO[bytes] | None = None, *, named: bool = True
) -> list[SourceFile]:
    """Return the files behind `paths`, in the given order; those of folders and archives are sorted by name.

    Args:
        paths: Files, folders, archives, or `-` for stdin. A file that occurs twice is read once.
        scratch: The folder for stdin, pipes, members of archives and transcoded files.
        stdin: The stream that `-` reads; None for the process's own.
        named: Whether a user named the files among `paths`; else they count as found in a folder.

    Raises:
        InputError: A path does not exist or cannot be read, or an archive is damaged or would fill the disk.
    """
    seen: set[Path] = set()
    files: list[SourceFile] = []
    for found in _find(paths, scratch, stdin):
        try:
            real = found.path.resolve()
            if real in seen:
                continue
            seen.add(real)
            files.extend(_prepare(replace(found, named=found.named and named), scratch, len(files)))
        except OSError as error:
            raise InputError(f"`{found.name}` cannot be read: {error.strerror or error}") from error
    return files


def _find(paths: Sequence[str | Path], scratch: Scratch, stdin: IO[bytes] | None) -> Iterator[_Found]:
    for given in paths:
        name = _shown(given)
        path = Path(given)
        try:
            if name == "-":
                parts = parts_of_stream(stdin or sys.stdin.buffer, "stdin", most=_MOST_STREAMED)
                yield _Found("stdin", _keep(parts, scratch), True)
            elif path.is_dir():
                yield from (_Found(_shown(file), file, False) for file in files_in(path))
            elif stat.S_ISREG(path.stat().st_mode):
                yield _Found(name, path, True)
            else:
                yield _Found(name, _keep(parts_of_given(path, most=_MOST_STREAMED), scratch), True)
        except FileNotFoundError as error:
            raise InputError(f"`{name}` does not exist") from error
        except (OSError, ValueError) as error:
            raise InputError(f"`{name}` cannot be read: {error}") from error


def files_in(folder: Path) -> Iterator[Path]:
    """Yield the regular files of a folder and its subfolders that are not hidden, sorted by name; links are left out.

    Raises:
        OSError: A folder cannot be read.
    """

    def fail(error: OSError) -> None:
        raise error

    for root, folders, names in os.walk(folder, onerror=fail):
        folders[:] = sorted((name for name in folders if not _is_hidden(name)), key=os.fsencode)
        for name in sorted(names, key=os.fsencode):
            path = Path(root, name)
            if not _is_hidden(name) and stat.S_ISREG(path.lstat().st_mode):
                yield path


def links_in(folder: Path) -> list[Path]:
    """Return the links to files in a folder and its subfolders that are not hidden, which `files_in` leaves out."""
    every = (Path(root, name) for root, _, names in os.walk(folder) for name in names if not _is_hidden(name))
    return sorted(path for path in every if path.is_symlink())


def _is_hidden(name: str) -> bool:
    return (name.startswith(".") and name not in (".", "..")) or name == "__MACOSX"


def _shown(path: str | Path) -> str:
    """Return a path as text; file names are bytes, which may not be valid UTF-8."""
    return os.fsencode(path).decode("utf-8", "replace")


def _keep(parts: Iterable[bytes], scratch: Scratch) -> Path:
    path = scratch.new_path()
    with path.open("wb") as copy:
        copy.writelines(parts)
    return path


def _prepare(found: _Found, scratch: Scratch, number: int, depth: int = 0) -> Iterator[SourceFile]:
    compression = compression_of(found.path)
    if compression == "zip":
        if depth == _MAX_NESTING:
            raise InputError(f"`{found.name}` is an archive nested too deeply in other archives")
        for member in _unpack(found, scratch):
            for file in _prepare(member, scratch, number, depth + 1):
                number = file.number + 1
                yield file
        return
    head = read_head(found.path, compression, HEAD_OF_ENCODING, found.name)
    transcoded = to_utf8(found.path, compression, head, scratch.new_path, found.name)
    if transcoded:
        size = transcoded.stat().st_size
        yield SourceFile(number, found.name, transcoded, found.path, "none", compression, found.named, size)
        return
    path, size = _literal(found.path, scratch), found.path.stat().st_size
    yield SourceFile(number, found.name, path, found.path, compression, compression, found.named, size)


def _literal(path: Path, scratch: Scratch) -> Path:
    """Return a path to the file that DuckDB takes literally."""
    text = str(path.absolute())
    if not any(letter in text for letter in _PATTERN_LETTERS) and "://" not in text and text.isprintable():
        return Path(text)
    link = scratch.new_path()
    link.symlink_to(text)
    return link


def _unpack(found: _Found, scratch: Scratch) -> Iterator[_Found]:
    """Unpack an archive member by member under generated names, so that a member's name is never used as a path."""
    try:
        with zipfile.ZipFile(found.path) as archive:
            members = sorted(_files_of(archive), key=lambda member: (member.filename, member.header_offset))
            _refuse_bomb(found, members)
            for member in members:
                path = scratch.new_path()
                with archive.open(member) as packed, path.open("wb") as copy:
                    shutil.copyfileobj(packed, copy, _CHUNK)
                yield _Found(f"{found.name}:{member.filename}", path, False)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise InputError(f"`{found.name}` is a damaged archive: {error}") from error
    except (NotImplementedError, RuntimeError) as error:
        raise InputError(f"`{found.name}` cannot be unpacked: {error}") from error


def _files_of(archive: zipfile.ZipFile) -> Iterable[zipfile.ZipInfo]:
    for member in archive.infolist():
        if not member.is_dir() and not any(_is_hidden(part) for part in member.filename.split("/")):
            yield member


def _refuse_bomb(found: _Found, members: Sequence[zipfile.ZipInfo]) -> None:
    size = found.path.stat().st_size
    unpacked = sum(member.file_size for member in members)
    if unpacked > max(UNPACKED_AT_LEAST, _UNPACKED_TIMES * size):
        raise InputError(
            f"`{found.name}` would unpack to {unpacked:,} bytes from {size:,}",
            hint="if you trust it, unpack it yourself",
        )
