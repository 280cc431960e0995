"""Read files within limits: those found in a folder never through a link, those that a person types in every form.

A folder travels: whoever made it can put a link, a pipe, a device or a file of any size in it. So a file that a folder
brings must be a regular file, reached without a link below the folder. What a person types is meant: it may be a link,
a pipe or `-` for stdin.

Read or write small files that a user names, with errors that name the wrong line.
"""

from __future__ import annotations

import hashlib
import io
import os
import select
import stat
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import IO, Any

from rightsize.model.errors import InputError
from rightsize.model.role_forms import load_json

SMALL = 64 << 20
"""Most bytes of a file that describes others or is written by people: manifests, chains, reviews, roles, keys."""
LARGE = 1 << 30
"""Most bytes of a file that grows with a tenant: plans, tables of evidence, journals, and what a person types."""
PATIENCE = 600.0
"""Seconds without a byte after which a pipe or stdin counts as stuck."""
_PART = 1 << 20
_PLAIN = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_UNLINKED = _PLAIN | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
_BELOW = os.open in os.supports_dir_fd and os.stat in os.supports_dir_fd


def stands_in(folder: Path, name: str) -> bool:
    """Return whether a folder has anything of this name, also a link that leads nowhere."""
    return os.path.lexists(folder / name)


def is_found(folder: Path, name: str) -> bool:
    """Return whether a folder has a regular file of this name, reached without a link."""
    with suppress(InputError):
        os.close(open_found(folder, name))
        return True
    return False


def folder_in(folder: Path, name: str) -> Path:
    """Return a folder in a folder, which is no link, or raise InputError."""
    path = folder / name
    try:
        _require(path, path.lstat(), stat.S_ISDIR)
    except OSError as error:
        raise _unread(path, error) from None
    return path


def read_found(folder: Path, name: str, *, most: int = SMALL) -> bytes:
    """Return the content of a regular file in a folder.

    Args:
        folder: The folder, as a person typed it or as it was reached without links.
        name: The name in the folder, with slashes.
        most: The most bytes that are read.

    Raises:
        InputError: There is no such file, it or a folder on the way is a link, it is no regular file, or it is larger.
    """
    return b"".join(parts_of_found(folder, name, most=most))


def parts_of_found(folder: Path, name: str, *, most: int = LARGE) -> Iterator[bytes]:
    """Yield the content of a regular file in a folder part by part; else as `read_found`."""
    handle = open_found(folder, name)
    try:
        yield from _parts(lambda: os.read(handle, _PART), folder / name, most, os.fstat(handle).st_size)
    except OSError as error:
        raise _unread(folder / name, error) from None
    finally:
        os.close(handle)


def hash_of_found(folder: Path, name: str) -> str:
    """Return the SHA-256 of a regular file in a folder, as hexadecimal text; else as `read_found`."""
    found = hashlib.sha256()
    for part in parts_of_found(folder, name):
        found.update(part)
    return found.hexdigest()


def open_found(folder: Path, name: str, flags: int = os.O_RDONLY) -> int:
    """Return the handle of a regular file in a folder, opened without following a link; else as `read_found`.

    Args:
        folder: The folder.
        name: The name in the folder, with slashes.
        flags: How to open it, as `os.open` takes it; only its owner may read a file that is made.
    """
    path, parts = folder / name, PurePosixPath(name).parts
    if not parts or PurePosixPath(name).is_absolute() or ".." in parts or "\0" in name:
        raise InputError(f"`{name}` is not the name of a file in a folder")
    try:
        handle = _opened_below(folder, parts, flags) if _BELOW else _opened_checked(folder, parts, flags)
    except OSError as error:
        raise _unread(path, error) from None
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return handle
    os.close(handle)
    raise _irregular(path)


def _opened_below(folder: Path, parts: tuple[str, ...], flags: int) -> int:
    """Open a file from one folder to the next, so that no folder on the way can be swapped for a link."""
    here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | _PLAIN)
    try:
        for part in parts[:-1]:
            _require(folder.joinpath(*parts), os.stat(part, dir_fd=here, follow_symlinks=False), stat.S_ISDIR)
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | _UNLINKED, dir_fd=here)
            os.close(here)
            here = below
        with suppress(FileNotFoundError):  # `open` says it, or makes the file
            # A device is not opened: that alone may do something.
            _require(folder.joinpath(*parts), os.stat(parts[-1], dir_fd=here, follow_symlinks=False), stat.S_ISREG)
        return os.open(parts[-1], flags | _UNLINKED, 0o600, dir_fd=here)
    finally:
        os.close(here)


def _opened_checked(folder: Path, parts: tuple[str, ...], flags: int) -> int:
    """Open a file where the system cannot open it from its folder; each part of its path is looked at before."""
    path = folder
    for part in parts:
        path = path / part
        with suppress(FileNotFoundError):
            _require(path, path.lstat(), stat.S_ISREG if path == folder.joinpath(*parts) else stat.S_ISDIR)
    return os.open(path, flags | _UNLINKED, 0o600)


def _require(path: Path, found: os.stat_result, is_right: Callable[[int], bool]) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise InputError(f"`{path}` is reached by a link, which may lead anywhere", hint="put the file itself there")
    if not is_right(found.st_mode):
        raise _irregular(path)


def replace_found(folder: Path, name: str, content: bytes) -> None:
    """Write a file in a folder: it has all its content, or stays as it was; a link there is replaced, not followed.

    Raises:
        OSError: The folder cannot be written.
    """
    path = folder / name
    beside = path.with_name(f".{path.name}.part")
    beside.unlink(missing_ok=True)
    try:
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _UNLINKED, 0o666)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def read_given(path: Path, *, most: int = LARGE, patience: float = PATIENCE) -> bytes:
    """Return the content of what a person typed: a file, also through a link, a pipe, or `-` for stdin.

    Args:
        path: The path, or `-`.
        most: The most bytes that are read.
        patience: Seconds without a byte after which it is given up.

    Raises:
        InputError: It cannot be read, is larger, or no byte comes.
    """
    return b"".join(parts_of_given(path, most=most, patience=patience))


def parts_of_given(path: Path, *, most: int = LARGE, patience: float = PATIENCE) -> Iterator[bytes]:
    """Yield the content of what a person typed part by part; else as `read_given`."""
    if str(path) == "-":
        yield from parts_of_stream(sys.stdin.buffer, "stdin", most=most, patience=patience)
        return
    try:
        handle = os.open(path, os.O_RDONLY | _PLAIN | getattr(os, "O_NONBLOCK", 0))
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise _unread(path, error) from None
    try:
        found = os.fstat(handle)
        if stat.S_ISDIR(found.st_mode):
            raise InputError(f"cannot read `{path}`: it is a folder")
        if stat.S_ISREG(found.st_mode):
            yield from _parts(lambda: os.read(handle, _PART), path, most, found.st_size)
        else:
            yield from _parts(_patient(handle, path, patience), path, most)
    except OSError as error:
        raise _unread(path, error) from None
    finally:
        os.close(handle)


def parts_of_stream(stream: IO[bytes], name: str, *, most: int, patience: float = PATIENCE) -> Iterator[bytes]:
    """Yield what a stream has, such as stdin, part by part.

    Raises:
        InputError: It has more bytes, or none comes.
    """
    try:
        handle = stream.fileno()
    except (OSError, io.UnsupportedOperation):
        yield from _parts(lambda: stream.read(_PART), name, most)
        return
    try:
        yield from _parts(_patient(handle, name, patience), name, most)
    except OSError as error:
        raise _unread(name, error) from None


def _patient(handle: int, name: object, patience: float) -> Callable[[], bytes]:
    """Return a function that reads the next part, and gives up where none comes."""
    if not hasattr(select, "poll"):
        return lambda: os.read(handle, _PART)
    waiting = select.poll()
    waiting.register(handle, select.POLLIN)

    def read() -> bytes:
        end = time.monotonic() + patience
        while (left := end - time.monotonic()) > 0 and waiting.poll(left * 1000):
            with suppress(BlockingIOError):
                return os.read(handle, _PART)
        raise InputError(f"nothing came from `{name}` for {patience:,.0f} seconds")

    return read


def _parts(read: Callable[[], bytes], name: object, most: int, size: int = 0) -> Iterator[bytes]:
    """Yield parts until there is none; `size` is what the file says of itself, so that a large one is not begun."""
    left = most
    while left >= 0 and size <= most:
        part = read()
        if not part:
            return
        left -= len(part)
        if left >= 0:
            yield part
    raise InputError(f"`{name}` has more than {most:,} bytes, the most that are read of such a file")


def _irregular(path: Path) -> InputError:
    return InputError(f"`{path}` is not a regular file", hint="a pipe or device in a folder is never read")


def _unread(path: object, error: Exception) -> InputError:
    return InputError(f"cannot read `{path}`: {getattr(error, 'strerror', None) or error}")


def write_text(path: Path, text: str) -> None:
    """Write a file, or raise InputError."""
    try:
        path.write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"cannot write `{path}`: {getattr(error, 'strerror', None) or error}") from None


def read_json_lines(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield line number and object of every non-blank line.

    Raises:
        InputError: The file cannot be read, or a line is not a JSON object.
    """
    for number, line in enumerate(read_given(path).split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            document = load_json(line)
        except InputError as error:
            raise InputError(f"line {number} of `{path}`: {error.message}") from None
        if not isinstance(document, dict):
            raise InputError(f"line {number} of `{path}` is not a JSON object")
        yield number, document
