"""Read the limits of memory, disk and time of a command, explain when they end, and hold its temporary files."""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import duckdb

from rightsize.model.errors import InputError, RightsizeError, UsageError

MEMORY, SPILL, TIME = "RIGHTSIZE_MEMORY_LIMIT", "RIGHTSIZE_SPILL_FOLDER", "RIGHTSIZE_TIME_LIMIT"
"""The environment variables that every command uses."""

_SIZE = re.compile(r"([0-9]+(?:[.][0-9]+)?) *([KMGT]i?)?B?", re.IGNORECASE)
_LEAST_MEMORY = 64 << 20
_SECONDS = 6 * 3600
_FULL = ("no space left", "disk quota", "max_temp_directory_size", "not enough space", "file too large")


@dataclass(frozen=True, slots=True)
class ResourceLimits:
    """The memory, spill folder and time that a store may use.

    Attributes:
        memory: Bytes of memory for tables and queries; None allows four fifths of the machine's memory.
        spill: The folder for data that does not fit into memory; None is beside the store.
        seconds: How long a command may read the store; a load takes as long as its files need.
    """

    memory: int | None = None
    spill: Path | None = None
    seconds: float = _SECONDS

    def settings(self, file: Path) -> dict[str, str]:
        """Return the DuckDB settings for a store in `file`."""
        found = {}
        if self.memory is not None:
            found["memory_limit"] = f"{self.memory}B"
        if self.spill is not None:
            found["temp_directory"] = str(self.spill / f"{file.name}.tmp")
        return found


def limits_of(
    memory: str | None = None, spill: Path | str | None = None, environment: Mapping[str, str] = os.environ
) -> ResourceLimits:
    """Return the limits from the options of a user, else from the environment.

    Raises:
        UsageError: The size is invalid or below 64 MiB; the folder does not exist or is not writable; the time is no
            number of seconds.
    """
    text = memory or environment.get(MEMORY) or None
    folder = spill or environment.get(SPILL) or None
    return ResourceLimits(
        None if text is None else _bytes_of(text),
        None if folder is None else _folder_of(Path(folder)),
        _seconds_of(environment.get(TIME) or str(_SECONDS)),
    )


def memory_of(connection: duckdb.DuckDBPyConnection) -> int:
    """Return the bytes of memory that DuckDB may use, as it rounds them."""
    (found,) = connection.execute("SELECT current_setting('memory_limit')").fetchall()
    return _bytes_of(str(found[0]))


def _bytes_of(text: str) -> int:
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"`{text}` is not a size of memory", hint="write it as 512MB, 2GiB or 1.5G")
    unit = (match[2] or "").lower()
    base = 1000 if len(unit) == 1 else 1024
    size = int(float(match[1]) * base ** ("kmgt".index(unit[0]) + 1 if unit else 0))
    if size < _LEAST_MEMORY:
        raise UsageError(f"`{text}` of memory is too little", hint="give at least 64MiB; 1GiB is plenty")
    return size


def _seconds_of(text: str) -> float:
    if not text.strip().isdecimal() or not int(text):
        raise UsageError(f"{TIME}=`{text}` is not a number of seconds", hint="write it as 600")
    return int(text)


def _folder_of(folder: Path) -> Path:
    if not folder.is_dir():
        raise UsageError(f"the spill folder `{folder}` does not exist", hint="create it, or name another folder")
    if not os.access(folder, os.W_OK):
        raise UsageError(f"cannot write into the spill folder `{folder}`")
    return folder


@contextmanager
def explain_shortage(file: Path) -> Iterator[None]:
    """Raise a clear error if DuckDB or the system runs out of memory or disk in the block, or the store is damaged.

    Raises:
        InputError: Memory or disk ran out, or a page of the store in `file` is damaged.
    """
    try:
        yield
    except Exception as error:
        told = explain_failure(error, file)
        if told is None:
            raise
        raise told from error


def explain_failure(error: BaseException, file: Path) -> InputError | None:
    """Return the error to tell if memory or disk ran out, or the store is damaged; None for any other error."""
    if isinstance(error, RightsizeError):
        return None
    if is_full(error):
        return InputError(
            "the disk is full: the store needs space, and so do results and data that do not fit into memory",
            hint=f"free space beside `{file}`, or name a folder with space by {SPILL} (`load --spill-folder`); "
            "nothing is stored by halves",
        )
    if isinstance(error, duckdb.OutOfMemoryException):
        return InputError(
            "there was too little memory for tables and queries",
            hint=f"raise {MEMORY} (`load --memory-limit`), or load fewer files at once; nothing is stored by halves",
        )
    return explain_damage(error)


def is_full(error: BaseException) -> bool:
    """Return whether an error means that a disk is full."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return any(word in str(error).lower() for word in _FULL)


def explain_damage(error: BaseException) -> InputError | None:
    """Return the error to tell if a page of the store differs from its checksum; None for any other error.

    DuckDB compares each page when it is first read, so any statement may find it; the error may come through Arrow.
    """
    if "Corrupt database file" not in str(error):
        return None
    return InputError(
        "the store is damaged: a page of its file does not have the checksum that was written with it",
        hint="bring the file back from a copy, or load the exports into a new store",
    )


_PREFIX = "rightsize-"
_HELD = ".held"
"""The file that its command keeps locked for as long as it runs; the system frees it if the command is killed."""


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield a new folder that only the user can read; it goes with the block, or at the next call if that is killed."""
    parent = Path(tempfile.gettempdir())
    _remove_left(parent)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    handle = os.open(folder / _HELD, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _is_free(handle)
        yield folder
    finally:
        os.close(handle)
        shutil.rmtree(folder, ignore_errors=True)


def _remove_left(parent: Path) -> None:
    """Remove the folders of this user in which nobody holds the lock."""
    for folder in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            handle = os.open(folder / _HELD, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
            try:
                if _is_free(handle):
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(handle)


def _is_free(handle: int) -> bool:
    """Lock the file if nobody else does, and return whether that was so; where files have no locks, False."""
    try:
        import fcntl  # noqa: PLC0415  not everywhere
    except ImportError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def remove_spilled(folder: Path) -> None:
    """Remove what a killed command spilled into the folder of a store.

    Only the one process that may write the store may call this: then no other one has it open.
    """
    for left in folder.glob("duckdb_temp_*"):
        with suppress(OSError):
            left.unlink()


def in_use(file: Path, who: str) -> InputError:
    """Return the error to tell if a store cannot be opened, since `who` has it open."""
    return InputError(
        f"`{file}` is in use by {who}", hint="one process may write, or several may read: try again later"
    )


def not_opened(error: duckdb.Error, file: Path) -> RightsizeError:
    """Return the error to tell if DuckDB cannot open a store."""
    told = explain_failure(error, file)
    return told or InputError(f"cannot open `{file}` as a store: {str(error).splitlines()[0]}")
