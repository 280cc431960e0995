"""Read the memory limit and spill folder of a command; explain when memory or disk runs out or a store is damaged."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from rightsize.model.errors import InputError, UsageError

MEMORY, SPILL = "RIGHTSIZE_MEMORY_LIMIT", "RIGHTSIZE_SPILL_FOLDER"
"""The environment variables that every command uses."""

_SIZE = re.compile(r"([0-9]+(?:[.][0-9]+)?) *([KMGT]i?)?B?", re.IGNORECASE)
_LEAST_MEMORY = 64 << 20
_FULL = ("no space left", "disk quota", "max_temp_directory_size", "not enough space")


@dataclass(frozen=True, slots=True)
class ResourceLimits:
    """The memory and spill folder that a store may use.

    Attributes:
        memory: Bytes of memory for tables and queries; None allows four fifths of the machine's memory.
        spill: The folder for data that does not fit into memory; None is beside the store.
    """

    memory: int | None = None
    spill: Path | None = None

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
        UsageError: The size is invalid or below 64 MiB; the folder does not exist or is not writable.
    """
    text = memory or environment.get(MEMORY) or None
    folder = spill or environment.get(SPILL) or None
    return ResourceLimits(
        None if text is None else _bytes_of(text), None if folder is None else _folder_of(Path(folder))
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


def _folder_of(folder: Path) -> Path:
    if not folder.is_dir():
        raise UsageError(f"the spill folder `{folder}` does not exist", hint="create it, or name another folder")
    if not os.access(folder, os.W_OK):
        raise UsageError(f"cannot write into the spill folder `{folder}`")
    return folder


@contextmanager
def explain_shortage(file: Path) -> Iterator[None]:
    """Raise a clear error if DuckDB or the system runs out of memory or disk in the block.

    Raises:
        InputError: Memory or disk ran out; the store in `file` is unchanged.
    """
    try:
        yield
    except (duckdb.Error, OSError) as error:
        if is_full(error):
            raise InputError(
                "the disk is full: the store needs space, and so do data that do not fit into memory",
                hint=f"free space beside `{file}`, or name a folder with space by `--spill-folder` or {SPILL}; "
                "the store is unchanged",
            ) from error
        if isinstance(error, duckdb.OutOfMemoryException):
            raise InputError(
                "there was too little memory for this load",
                hint=f"raise `--memory-limit` or {MEMORY}, or load fewer files at once; the store is unchanged",
            ) from error
        raise


def is_full(error: BaseException) -> bool:
    """Return whether an error means that a disk is full."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
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
