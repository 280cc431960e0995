"""Keep the head of each journal (number of lines, hash of the last) outside the folder of the rollout.

Whoever can write into the folder can cut the journal, or write it anew with hashes that fit. The head exposes that. It
is one small file for each rollout, in a folder of the user's own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rightsize.model.errors import InputError
from rightsize.model.field_types import mistyped_field
from rightsize.model.file_reading import read_found, stands_in
from rightsize.model.json_schemas import load_object
from rightsize.model.state_folder import state_folder

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a journal.

    Attributes:
        bundle: Hash of the bundle that the journal belongs to.
        lines: Number of its lines.
        last: SHA-256 of the last line; empty where there is none.
        coming: SHA-256 of the line that is being written, else empty.
    """

    bundle: str
    lines: int
    last: str
    coming: str = ""

    def fits(self, hashes: Sequence[str]) -> bool:
        """Return whether a journal with lines of these hashes is complete and unchanged."""
        if (self.lines, self.last) == (len(hashes), hashes[-1] if hashes else ""):
            return True
        one_more = len(hashes) == self.lines + 1 and bool(self.coming) and hashes[-1] == self.coming
        return one_more and (hashes[-2] if self.lines else "") == self.last


def heads_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder for heads."""
    return state_folder(environment) / "rollouts"


class Heads:
    """The head of one rollout's journal, in a file that only its owner may read."""

    def __init__(self, folder: Path, bundle: str) -> None:
        self._path, self._bundle = folder / f"{bundle}.json", bundle

    def read(self) -> Head | None:
        """Return the head that this machine keeps, or None.

        Raises:
            InputError: The file exists, and cannot be read.
        """
        folder, name = self._path.parent, self._path.name
        return read_head(read_found(folder, name), self._path) if stands_in(folder, name) else None

    def write(self, head: Head) -> None:
        """Replace the head atomically and force it to the disk, or raise OSError."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            content = write_head(head).encode()
            while content:
                content = content[os.write(file, content) :]
            os.fsync(file)
        finally:
            os.close(file)
        fresh.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def write_head(head: Head) -> str:
    """Return a head as JSON."""
    return json.dumps({"format_version": _FORMAT, **asdict(head)}, sort_keys=True) + "\n"


def read_head(text: bytes, path: Path) -> Head:
    """Return the head of a text, or raise InputError."""
    try:
        document = load_object(text, "it")
        if document.pop("format_version") != _FORMAT:
            raise ValueError("it has another format version")
        head = Head(**document)
        wrong = mistyped_field(head)
        if wrong is not None:
            raise ValueError(f"`{wrong}` has a wrong type")
    except (InputError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"`{path}` is not the head of a journal: {error}") from None
    return head
