"""Show the progress of a long read with its rate and time left, on one line of a terminal."""

from __future__ import annotations

import sys
import time

from rightsize.cli.narration import is_watched


class ReadProgress:
    """A line that shows the progress of reading; called with the bytes done and the bytes in all."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._shown = False

    def __call__(self, done: int, total: int) -> None:
        """Show the progress; when all is read, say that the data is being stored."""
        if is_watched() and total:
            self._shown = True
            line = "storing what was read" if done >= total else line_of(done, total, time.monotonic() - self._begun)
            sys.stderr.write(f"\r{line}\033[K")
            sys.stderr.flush()

    def end(self) -> None:
        """Erase the line."""
        if self._shown:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()


def line_of(done: int, total: int, seconds: float) -> str:
    """Return the progress as text: `read 120 of 300 MB, 14.2 MB/s, 13 s left`."""
    read = f"read {done / 1e6:,.0f} of {total / 1e6:,.0f} MB"
    if not done or seconds <= 0:
        return read
    rate = done / seconds
    left = round((total - done) / rate)
    minutes = f"{left // 60} min {left % 60:02} s" if left >= 60 else f"{left} s"
    return f"{read}, {rate / 1e6:,.1f} MB/s, {minutes} left"
