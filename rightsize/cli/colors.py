"""Decide whether output for people has colour; output for programs never has."""

from __future__ import annotations

import os
from typing import TextIO

from rightsize.cli.options import ColorChoice

_choice = ColorChoice.AUTO


def set_color(choice: ColorChoice) -> None:
    """Set what the user chose; AUTO leaves it to the environment and the terminal."""
    global _choice  # noqa: PLW0603  one process, one terminal
    _choice = choice


def has_color(stream: TextIO) -> bool:
    """Return whether text for people on a stream has colour.

    The user's choice goes first, then `NO_COLOR` and `FORCE_COLOR` with any value but the empty one (no-color.org,
    force-color.org), then whether the stream is a terminal that knows colour.
    """
    if _choice is not ColorChoice.AUTO:
        return _choice is ColorChoice.ALWAYS
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (stream.isatty() and os.environ.get("TERM") != "dumb")
