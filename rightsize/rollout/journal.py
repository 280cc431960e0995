"""The journal of a rollout: what is about to be done is written before it is done, and what was done after it.

One JSON object a line, each with the hash of the line before, forced to the disk before anything goes on. A line that
a kill cut short is the last one, and is taken as not written; anything else that does not fit is an error, since
somebody changed what the way back rests on.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rightsize.model.errors import InputError, UsageError


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: which swap, what happened (`create-begin`, `created`, …), to what, when, and what belongs to it."""

    swap: str
    event: str
    key: str
    at: str
    data: dict[str, Any]


class Journal:
    """An open journal; only one process may have it. Use it in a `with`."""

    def __init__(self, path: Path, *, plan: str) -> None:
        self._path, self._plan = path, plan
        self.entries: list[Entry] = []
        self._by_swap: dict[str, list[Entry]] = {}
        self._last = ""
        self._file = -1

    def __enter__(self) -> Self:
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise UsageError(f"`{self._path}` is in use: another rollout is at work") from None
        content = self._path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        self.entries, self._last = _read(whole, self._path)
        for entry in self.entries:
            self._by_swap.setdefault(entry.swap, []).append(entry)
        if len(whole) < len(content):
            os.ftruncate(self._file, len(whole))
        if self.entries and self.entries[0].key != self._plan:
            os.close(self._file)
            raise InputError(f"`{self._path}` is the journal of another plan")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    def write(self, swap: str, event: str, key: str, at: str, data: dict[str, Any] | None = None) -> None:
        """Write one entry and force it to the disk."""
        if not self.entries and event != "begin":
            self.write("", "begin", self._plan, at)
        entry = Entry(swap, event, key, at, data or {})
        line = _line(entry, self._last)
        os.write(self._file, line)
        os.fsync(self._file)
        self.entries.append(entry)
        self._by_swap.setdefault(swap, []).append(entry)
        self._last = hashlib.sha256(line).hexdigest()

    def of(self, swap: str) -> Sequence[Entry]:
        """Return the entries of a swap, the oldest first."""
        return self._by_swap.get(swap, [])


def read_journal(path: Path) -> list[Entry]:
    """Return the entries of a journal without opening it for writing; none where there is no file."""
    if not path.exists():
        return []
    content = path.read_bytes()
    return _read(content[: content.rfind(b"\n") + 1], path)[0]


def _line(entry: Entry, previous: str) -> bytes:
    document = {
        "at": entry.at,
        "data": entry.data,
        "event": entry.event,
        "key": entry.key,
        "prev": previous,
        "swap": entry.swap,
    }
    return (json.dumps(document, ensure_ascii=True, sort_keys=True, separators=(",", ":")) + "\n").encode()


def _read(content: bytes, path: Path) -> tuple[list[Entry], str]:
    entries, previous = [], ""
    for number, line in enumerate(content.splitlines(keepends=True), 1):
        try:
            document = json.loads(line)
            entry = Entry(*(document[name] for name in ("swap", "event", "key", "at", "data")))
            if document["prev"] != previous or _line(entry, previous) != line:
                raise ValueError("it does not follow from the line before")
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"line {number} of the journal `{path}` was changed: {error}",
                hint="the way back rests on it: restore the file, or compare Azure with the plan by hand",
            ) from None
        entries.append(entry)
        previous = hashlib.sha256(line).hexdigest()
    return entries, previous
