"""Create files that only the user can read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def private_files() -> Iterator[None]:
    """Let only the user read the files and folders that are made during the block, whoever makes them."""
    mask = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(mask)
