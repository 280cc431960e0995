"""Write progress and errors for people to stderr; stdout carries only data."""

from __future__ import annotations

import sys

from rightsize.render.escape import for_terminal

_verbosity = 0


def set_verbosity(verbose: int, quiet: bool) -> None:
    """Set the verbosity: -1 only errors, 0 the usual messages, 1 and more the details."""
    global _verbosity  # noqa: PLW0603  one process, one stderr
    _verbosity = -1 if quiet else verbose


def say(text: str, *, level: int = 0) -> None:
    """Write one line to stderr when the verbosity is at least `level`."""
    if _verbosity >= level:
        sys.stderr.write(for_terminal(text) + "\n")


def is_watched() -> bool:
    """Return whether stderr is a terminal and more than errors is wanted."""
    return _verbosity >= 0 and sys.stderr.isatty()


def complain(message: str, hint: str | None = None) -> None:
    """Write an error and its hint to stderr, whatever the verbosity."""
    sys.stderr.write(f"error: {for_terminal(message)}\n")
    if hint:
        sys.stderr.write(f"hint: {for_terminal(hint)}\n")
