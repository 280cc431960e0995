"""Ask the operating system: files that only the user can read, the folder for state, and freed memory."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def private_files() -> Iterator[None]:
    """Let only the user read the files and folders that are made during the block, whoever makes them."""
    mask = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(mask)


def state_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder: below XDG_STATE_HOME, else below the user's home (XDG Base Directory)."""
    root = environment.get("XDG_STATE_HOME") or ""
    return (Path(root) if Path(root).is_absolute() else Path.home() / ".local/state") / "rightsize"


def give_back() -> None:
    """Give the system the memory that this process has freed; only Linux with glibc keeps any.

    glibc keeps free memory that lies between memory in use. A plan of a large tenant makes and drops millions of sets
    of operations, so this becomes a fifth of what the process holds. Source: malloc_trim(3).
    """
    import ctypes  # noqa: PLC0415  every command loads this file

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
