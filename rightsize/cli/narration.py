"""Write progress and errors for people to stderr; stdout carries only data."""

from __future__ import annotations

import sys

from rightsize.cli.layout import terminal_width, wrapped
from rightsize.cli.progress import erase_progress
from rightsize.render.escape import for_terminal

_verbosity = 0


def set_verbosity(verbose: int, quiet: bool) -> None:
    """Set the verbosity: -1 only errors, 0 the usual messages, 1 and more the details."""
    global _verbosity  # noqa: PLW0603  one process, one stderr
    _verbosity = -1 if quiet else verbose


def say(text: str, *, level: int = 0) -> None:
    """Write a text to stderr when the verbosity is at least `level`: in one line, or as fits the terminal."""
    if _verbosity >= level:
        _write(for_terminal(text))


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
