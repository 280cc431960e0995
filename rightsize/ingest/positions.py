"""Report how many bytes of files DuckDB has read, from the file positions that Linux shows."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

_OPEN = Path("/proc/self/fd")
_SECONDS = 0.5


def bytes_read(paths: Sequence[Path]) -> int:
    """Return the number of bytes read from files that this process has open; 0 if the system does not show it.

    A thread that verifies a file is ahead of the scan, so of several readers of a file the last one counts.
    """
    wanted = {os.path.realpath(path) for path in paths}
    found: dict[str, int] = {}
    try:
        for opened in _OPEN.iterdir():
            place = _position(opened, wanted)
            if place is not None:
                path, read = place
                found[path] = min(found.get(path, read), read)
    except OSError:
        return 0
    return sum(found.values())


def _position(opened: Path, wanted: set[str]) -> tuple[str, int] | None:
    try:
        path = str(opened.readlink())
        if path not in wanted:
            return None
        text = Path("/proc/self/fdinfo", opened.name).read_text(encoding="ascii")
    except OSError:
        return None  # closed meanwhile
    return path, int(text.split(None, 2)[1])


@contextmanager
def report_bytes_read(
    report_progress: Callable[[int], object], paths: Sequence[Path], *, every: float = _SECONDS
) -> Iterator[None]:
    """Call `report_progress` repeatedly with the most bytes read from `paths`, while the block runs.

    Args:
        report_progress: The function to call, from another thread; never after the end.
        paths: The files.
        every: Seconds between two calls.
    """
    ended = Event()

    def look() -> None:
        most = 0  # the maximum, because a file is closed after it was read
        while not ended.wait(every):
            most = max(most, bytes_read(paths))
            report_progress(most)

    looking = Thread(target=look, daemon=True)
    looking.start()
    try:
        yield
    finally:
        ended.set()
        looking.join()
