"""Interrupt what reads a store too long, or until the process has too much memory: a stranger may have made the store.

A store of a few megabytes can say that it has billions of equal rows. DuckDB counts the memory of its own tables and
queries, and not that of the rows that it hands on, so that a thread looks at the memory of the whole process.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import duckdb

from rightsize.model.errors import InputError
from rightsize.store.limits import TIME

_LOOK = 0.2
"""Seconds between two looks."""
_SHARE = 0.9
"""The share of the machine's memory that a process that reads a store may have."""
_CONTAINER = Path("/sys/fs/cgroup/memory.max")


class Watch:
    """A thread that looks at a store for as long as it is open."""

    def __init__(self, file: Path, connection: duckdb.DuckDBPyConnection, seconds: float) -> None:
        self._file = file
        self._connections = [connection]
        self._seconds = seconds
        self._memory = int(_SHARE * machine_memory())
        self._closed = threading.Event()
        self._turn = threading.Lock()
        self._reason: InputError | None = None
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def add(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Watch another connection to the store, too."""
        with self._turn:
            self._connections.append(connection)

    def drop(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Leave a connection, before it is closed."""
        with self._turn:
            self._connections.remove(connection)

    def stop(self) -> InputError | None:
        """End the thread, before the store is closed; return why it interrupted what read, or None."""
        self._closed.set()
        self._thread.join()
        return self._reason

    def _look(self) -> None:
        end = time.monotonic() + self._seconds
        while not self._closed.wait(_LOOK):
            if self._reason is None:
                self._reason = self._limit_reached(time.monotonic() > end)
            if self._reason is not None:
                # What is interrupted may go on with another statement; the next look interrupts that, too.
                with self._turn:
                    for connection in self._connections:
                        with suppress(duckdb.Error):
                            connection.interrupt()

    def _limit_reached(self, is_late: bool) -> InputError | None:
        if is_late:
            return InputError(
                f"reading `{self._file}` took longer than {self._seconds:g} s",
                hint=f"if you know who made this store, give it longer: {TIME}=SECONDS",
            )
        if process_memory() > self._memory:
            return InputError(
                f"reading `{self._file}` took more than {self._memory >> 20:,} MiB of memory, "
                f"{_SHARE:.0%} of what the machine has",
                hint="if you know who made this store, use a machine with more memory",
            )
        return None


def machine_memory() -> int:
    """Return the bytes of memory of the machine, or of the container where that is less."""
    if sys.platform != "linux":
        import psutil  # noqa: PLC0415  only where it is needed

        return int(psutil.virtual_memory().total)
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # A container without a limit says `max`.
        return min(total, int(_CONTAINER.read_text(encoding="ascii")))
    return total


def process_memory() -> int:
    """Return the bytes of memory that this process has."""
    if sys.platform != "linux":
        import psutil  # noqa: PLC0415  only where it is needed

        return int(psutil.Process().memory_info().rss)
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
