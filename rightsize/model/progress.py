"""Report what a long command does and how far it is, and write numbers of things for people.

Whoever shows the progress listens; without a listener it is nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from typing import Protocol, TypeVar

T = TypeVar("T")


class Listener(Protocol):
    """Shows progress to a person."""

    def begin(self, what: str, total: int | None, unit: str) -> None:
        """Begin a step: its name, the number of things in it, where that is known, and their plural."""

    def turn(self, what: str, done: int, total: int) -> None:
        """Begin a round of steps."""

    def advance(self, done: int, total: int | None = None, note: str = "") -> None:
        """Set how many things are done, the new total if it has changed, and a remark."""


_listener: Listener | None = None


def listen(listener: Listener | None) -> None:
    """Tell all progress to a listener, or to nobody."""
    global _listener  # noqa: PLW0603  one process, one terminal
    _listener = listener


def is_heard() -> bool:
    """Return whether somebody listens."""
    return _listener is not None


def step(what: str, total: int | None = None, unit: str = "") -> None:
    """Begin a step, which lasts until the next one.

    Args:
        what: What is being done, such as `proving the plan`.
        total: The number of things in it; None where nobody knows.
        unit: The plural of these things; empty where they are not counted. `bytes` are shown as megabytes.
    """
    if _listener is not None:
        _listener.begin(what, total, unit)


def turn(what: str, done: int, total: int) -> None:
    """Begin a round of steps, such as a plan of many: what it is, how many are done, and how many there are."""
    if _listener is not None:
        _listener.turn(what, done, total)


def advance(done: int, total: int | None = None, note: str = "") -> None:
    """Say how many things of the step are done; `total` replaces the one of the step."""
    if _listener is not None:
        _listener.advance(done, total, note)


def through(items: Iterable[T], what: str, unit: str) -> Iterable[T]:
    """Return the items, and count as a step those that are taken."""
    return items if _listener is None else _counted(items, what, unit)


def _counted(items: Iterable[T], what: str, unit: str) -> Iterator[T]:
    step(what, len(items) if isinstance(items, Sized) else None, unit)
    for done, item in enumerate(items):
        advance(done)
        yield item
    # What follows is no part of the count, and would make its rate sink.
    step("working")


def read_bytes(done: int, total: int) -> None:
    """Report the bytes of the files that are read, and the bytes of all; when all are read, they are stored."""
    if done >= total:
        step("storing what was read")
        return
    if not done:
        step("reading", total, "bytes")
    advance(done, total)


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun: `1 role`, `2,000 roles`; `many` is for a plural without an `s` at its end."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
