"""Read single keys and whole lines from a terminal, without losing what was typed ahead."""

from __future__ import annotations

import os
import select
import sys
from types import TracebackType

import typer

if sys.platform != "win32":  # the console of Windows returns single keys itself
    import termios
    import tty

_ESCAPE, _ENOUGH = b"\x1b", 0.05


class Keyboard:
    """A terminal that returns each key at once while it is open; closing restores its former mode."""

    def __enter__(self) -> Keyboard:
        """Switch the terminal to single keys."""
        self._descriptor = sys.stdin.fileno()
        if sys.platform != "win32":
            self._before = termios.tcgetattr(self._descriptor)
        self._take_keys()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Restore the terminal's former mode."""
        self._take_lines()

    def key(self) -> str:
        """Return the next key; an arrow is its whole sequence, and an empty text means that the terminal is gone."""
        if sys.platform == "win32":
            return typer.getchar()
        found = os.read(self._descriptor, 1)
        while found == _ESCAPE or (found.startswith(_ESCAPE) and not found[-1:].isalpha()):
            if not select.select([self._descriptor], [], [], _ENOUGH)[0]:
                break
            found += os.read(self._descriptor, 1)
        while (
            found and found[0] > 0xBF and len(found) < 1 + (found[0] >= 0xC0) + (found[0] >= 0xE0) + (found[0] >= 0xF0)
        ):
            found += os.read(self._descriptor, 1)
        return found.decode(errors="replace")

    def line(self, prompt: str) -> str:
        """Return the line that a person types after a prompt, without surrounding spaces."""
        self._take_lines()
        try:
            sys.stderr.write(prompt)
            sys.stderr.flush()
            return sys.stdin.readline().strip() if sys.platform == "win32" else self._read_line()
        finally:
            self._take_keys()

    def _read_line(self) -> str:
        found = b""
        while not found.endswith(b"\n"):
            more = os.read(self._descriptor, 4096)
            if not more:
                break
            found += more
        return found.decode(errors="replace").strip()

    def _take_keys(self) -> None:
        if sys.platform != "win32":
            tty.setcbreak(self._descriptor, termios.TCSANOW)

    def _take_lines(self) -> None:
        if sys.platform != "win32":
            termios.tcsetattr(self._descriptor, termios.TCSANOW, self._before)
