"""Make a private folder for temporary files, and remove those that killed commands left behind."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

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
