"""Everything on stderr: messages, errors, and the line of progress.

Write progress and errors for people to stderr; stdout carries only data.

Show the progress of a long command on one line of the terminal, with its rate and the time left.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from rightsize.cli.layout import terminal_width, wrapped
from rightsize.model import progress
from rightsize.model.text import OLD_PLAN
from rightsize.render.escape import for_shell, for_terminal

AFTER = 1.5
"""Seconds before the first line: a short command shows none."""
EVERY = 0.25
"""Seconds between two drawings."""
_SURE, _SHARE = 1.0, 0.002
"""Seconds of a step and the share of it that is done before its rate says anything about the rest."""


class ProgressLine:
    """One line on stderr that a thread draws again and again, so that seconds pass in a step without counts, too."""

    def __init__(self, is_watched: Callable[[], bool]) -> None:
        """Show nothing before the first step; `is_watched` says whether a person looks."""
        self._is_watched = is_watched
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._started = time.monotonic()
        self._is_shown = self._is_hidden = False
        self._step: tuple[str, int | None, str, float] | None = None
        self._turn: tuple[str, int, int] | None = None
        self._turning = 0.0
        self._first: int | None = None
        self._done, self._note = 0, ""

    def begin(self, what: str, total: int | None, unit: str) -> None:
        """Begin a step, as `model.progress.Listener` has it."""
        if not self._is_watched():
            return
        with self._lock:
            self._step = (what, total, unit, time.monotonic())
            self._first, self._done, self._note, self._is_hidden = None, 0, "", False
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()

    def turn(self, what: str, done: int, total: int) -> None:
        """Begin a round of steps, as `model.progress.Listener` has it."""
        if self._turn is None:
            self._turning = time.monotonic()
        self._turn = (what, done, total)

    def advance(self, done: int, total: int | None = None, note: str = "") -> None:
        """Set how far the step is, as `model.progress.Listener` has it."""
        if self._step is None:
            return
        if total is not None and total != self._step[1]:
            self._step = (self._step[0], total, *self._step[2:])
        if self._first is None:
            # What an earlier run did says nothing about the rate of this one.
            self._first = done
        self._done, self._note, self._is_hidden = done, note, False

    def erase(self) -> None:
        """Take the line away until there is progress again, so that something else can be written."""
        with self._lock:
            self._is_hidden = True
            if self._is_shown:
                self._write("")
                self._is_shown = False

    def end(self) -> None:
        """Take the line away for the rest of the command."""
        self._ended.set()
        self.erase()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(EVERY):
            now = time.monotonic()
            if now - self._started >= AFTER:
                self.draw(now)

    def draw(self, now: float) -> None:
        """Draw the line as it is at a time of `time.monotonic`."""
        with self._lock:
            if self._step is None or self._is_hidden or self._ended.is_set():
                return
            what, total, unit, begun = self._step
            line = line_of(what, self._done, total, unit, now - begun, note=self._note, first=self._first or 0)
            if self._turn is not None:
                line = f"{turn_of(*self._turn, now - self._turning)}; {line}"
            self._write(line[: max(terminal_width() - 1, 1)])
            self._is_shown = True

    def _write(self, line: str) -> None:
        sys.stderr.write(f"\r{line}\x1b[K")
        sys.stderr.flush()


_line: ProgressLine | None = None


def begin_progress(is_watched: Callable[[], bool]) -> None:
    """Listen to the progress of the command that begins, where stderr is a terminal."""
    global _line  # noqa: PLW0603  one process, one terminal
    _line = ProgressLine(is_watched) if sys.stderr.isatty() else None
    progress.listen(_line)


def erase_progress() -> None:
    """Take the line away, if there is one, before something is written."""
    if _line is not None:
        _line.erase()


def end_progress() -> None:
    """Erase the line, and draw none again."""
    global _line  # noqa: PLW0603  one process, one terminal
    if _line is not None:
        _line.end()
    _line = None
    progress.listen(None)


def line_of(
    what: str, done: int, total: int | None, unit: str, seconds: float, *, note: str = "", first: int = 0
) -> str:
    """Return progress as text, such as `reading: 120 of 300 MB, 14.2 MB/s, 13 s left`.

    The time left is what the rest takes at the rate so far, so it stands only where the total is known and something is
    done; else the time that has passed stands there.

    Args:
        what: The step.
        done: The number of things that are done.
        total: The number of all; None where nobody knows.
        unit: The plural of the things; empty where they are not counted.
        seconds: The time since the step began.
        note: A remark at the end.
        first: The number that was done before the step began.
    """
    passed = duration(seconds)
    end = f"; {note}" if note else ""
    if not unit:
        return f"{what}, {passed}{end}"
    size, name = (1e6, "MB") if unit == "bytes" else (1.0, unit)
    of = f" of {total / size:,.0f}" if total is not None else ""
    text = f"{what}: {done / size:,.0f}{of} {name}"
    rate = (done - first) / seconds if seconds > 0 else 0.0
    if rate <= 0 or seconds < _SURE or (total is not None and done - first < _SHARE * total):
        return f"{text}, {passed}{end}"
    per_second = rate / size
    text += f", {per_second:,.1f} {name}/s" if per_second < 100 else f", {per_second:,.0f} {name}/s"
    left = f"{duration((total - done) / rate)} left" if total is not None else passed
    return f"{text}, {left}{end}"


def turn_of(what: str, done: int, total: int, seconds: float) -> str:
    """Return a round of steps as text, such as `plan 3 of 14, 2 min 10 s left`; the first one knows no time left."""
    left = f", {duration(seconds / done * (total - done))} left" if done and total else ""
    return f"{what} {done + 1:,} of {total:,}{left}"


def duration(seconds: float) -> str:
    """Return such as `13 s`, `4 min 05 s` or `2 h 10 min`."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


_verbosity = 0


def set_verbosity(verbose: int, quiet: bool) -> None:
    """Set the verbosity: -1 only errors, 0 the usual messages, 1 and more the details."""
    global _verbosity  # noqa: PLW0603  one process, one stderr
    _verbosity = -1 if quiet else verbose


def say(text: str, *, level: int = 0) -> None:
    """Write a text to stderr when the verbosity is at least `level`: in one line, or as fits the terminal."""
    if _verbosity >= level:
        _write(for_terminal(text))


def say_place(out: Path, usual: Path, option: str = "--out") -> None:
    """Say before the work where a command writes, if nobody named the place."""
    if out == usual:
        say(f"writing to {out}; `{option}` names another place")


def say_stale(plan: Path | None) -> None:
    """Say that a plan was made from other data than is loaded."""
    command = "rightsize plan verify" if plan is None else f"rightsize plan verify {for_shell(str(plan))}"
    say(f"{OLD_PLAN}: `{command}` proves it again")


def say_next(step: str) -> None:
    """Write the next step to stderr, as the last line of a command.

    Args:
        step: A command, or what a person does, such as `open reports/report.html`. It stays on one line, so that it can
            be copied.
    """
    if _verbosity >= 0:
        erase_progress()
        sys.stderr.write(f"next step: {for_terminal(step)}\n")


def _write(text: str) -> None:
    erase_progress()
    lines = [text]
    if sys.stderr.isatty():
        margin = text[: len(text) - len(text.lstrip())]
        lines = wrapped(text.lstrip(), terminal_width(), indent=margin, hanging=f"{margin}  ")
    sys.stderr.write("".join(f"{line}\n" for line in lines))


def is_watched() -> bool:
    """Return whether stderr is a terminal and more than errors is wanted."""
    return _verbosity >= 0 and sys.stderr.isatty()


def complain(message: str, hint: str | None = None) -> None:
    """Write an error and its hint to stderr, whatever the verbosity."""
    _write(f"error: {for_terminal(message)}")
    if hint:
        _write(f"hint: {for_terminal(hint)}")
