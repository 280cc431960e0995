"""Write progress and errors for people to stderr; stdout carries only data."""

from __future__ import annotations

import sys
from pathlib import Path

from rightsize.cli.layout import terminal_width, wrapped
from rightsize.cli.options import DEFAULT_PLAN, OutputFormat, with_db
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


def say_next(command: str, *, output: OutputFormat | None = None) -> None:
    """Write the next step to stderr, as the last line of a command; where a program reads the output, nothing.

    Args:
        command: A command, or what a person does, such as `open reports/report.html`. It stays on one line, so that it
            can be copied.
        output: The format of the output; None where it is for people.
    """
    if _verbosity >= 0 and output in (None, OutputFormat.TABLE):
        erase_progress()
        sys.stderr.write(f"next step: {for_terminal(command)}\n")


def say_next_of_store(db: Path, output: OutputFormat | None = None, *, is_changed: bool = False) -> None:
    """Write the next step that the content of a store asks for, as `say_next` does.

    Args:
        db: The store.
        output: The format of the output; None where it is for people.
        is_changed: Whether something was loaded just now.
    """
    if _verbosity >= 0 and output in (None, OutputFormat.TABLE):
        from rightsize.workflow.next_command import command_after  # noqa: PLC0415  kept out of `--help`

        say_next(with_db(command_after(db, DEFAULT_PLAN, is_changed=is_changed), db), output=output)


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
