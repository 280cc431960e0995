"""A full disk that takes part of a line or nothing: nobody loses access, and the next run continues or rolls back."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from rightsize.change.bundle import Bundle, room_for
from rightsize.change.journal import JournalError, read_journal
from tests.rollout.room import Room, broad, bundle_of, engine_of, guid, journal_at, swap

LINES = 46
"""More lines than the journal of one wave and its way back has."""


class FaultyDisk:
    """Writes to a journal that fail from the `number`th line on: `kind` says how."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, number: int, kind: str) -> None:
        self._left, self._kind, self.struck = number, kind, False
        self._put, self._sync, self._cut = os.pwrite, os.fsync, os.ftruncate
        self.ended = False
        monkeypatch.setattr(os, "pwrite", self.pwrite)
        monkeypatch.setattr(os, "fsync", self.fsync)
        monkeypatch.setattr(os, "ftruncate", self.ftruncate)

    def pwrite(self, file: int, content: bytes, offset: int) -> int:
        if self.ended or not content.strip(b"\n"):
            return self._put(file, content, offset)
        self._left -= 1
        if self._left > 0 or self._kind == "fsync":
            return self._put(file, content, offset)
        self.struck = True
        if self._kind == "short":
            # Half of it goes, then the other half: nothing is lost.
            return self._put(file, content[: max(len(content) // 2, 1)], offset)
        if self._kind == "half" and self._left == 0:
            return self._put(file, content[: len(content) // 2], offset)
        raise OSError(errno.EIO if self._kind in ("eio", "cut") else errno.ENOSPC, "the disk is full")

    def fsync(self, _: int) -> None:
        if not self.ended and self._kind == "fsync" and self._left <= 0:
            self.struck, self._left = True, 1
            raise OSError(errno.EIO, "the disk is broken")

    def ftruncate(self, file: int, size: int) -> None:
        if not self.ended and self._kind == "cut":
            raise OSError(errno.EIO, "the disk is broken")
        self._cut(file, size)


def _tenant() -> tuple[Room, Bundle]:
    bundle = bundle_of(swap(1), swap(2))
    return Room().hold(broad(1), broad(2)).watch(bundle), bundle


def _forth(room: Room, bundle: Bundle, path: Path) -> None:
    with journal_at(path, room=room_for(bundle)) as journal:
        engine_of(room, bundle, journal).apply(1)


def _back(room: Room, bundle: Bundle, path: Path) -> None:
    with journal_at(path, room=room_for(bundle)) as journal:
        engine_of(room, bundle, journal).roll_back(list(reversed(bundle.swaps)))


def _both(room: Room, bundle: Bundle, path: Path) -> None:
    _forth(room, bundle, path)
    _back(room, bundle, path)


@pytest.mark.nightly
@pytest.mark.many(2)
@pytest.mark.parametrize("way", ["on", "back"])
@pytest.mark.parametrize("kind", ["short", "half", "enospc", "eio", "fsync", "cut"])
def test_a_line_is_written_whole_or_nothing_more_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, way: str
) -> None:
    """At every line of the way there and back; the room fails the test where somebody has too little."""
    struck = 0
    for number in range(1, LINES):
        room, bundle = _tenant()
        original = room.state()
        path = tmp_path / f"{number}"
        with monkeypatch.context() as patched:
            disk = FaultyDisk(patched, number, kind)
            writes = -1
            try:
                _both(room, bundle, path)
            except JournalError:
                writes = sum(not line.startswith("GET") for line in room.lines)
            disk.ended = True
        struck += disk.struck
        assert (writes == -1) == (not disk.struck or kind == "short")
        (_forth if way == "on" else _back)(room, bundle, path)
        state = room.state()
        if way == "on" and not _went_back(path):
            assert {guid(1, "e"), guid(2, "e")} <= state["assignments"].keys(), number
        else:
            _back(room, bundle, path)
            assert room.state() == original, number
    assert struck > 30 and room.lost == []


def _went_back(path: Path) -> bool:
    return any(entry.event == "rollback" for entry in read_journal(path))


@pytest.mark.slow
def test_nothing_is_done_after_a_line_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even a question: the line that fails is the one before the deletion."""
    room, bundle = _tenant()
    path = tmp_path / "j"
    with monkeypatch.context() as patched:
        FaultyDisk(patched, 14, "half")
        with pytest.raises(JournalError):
            _forth(room, bundle, path)
    assert not any(line.startswith("DELETE") for line in room.lines)
    assert [entry.event for entry in read_journal(path)][-1] == "old-role"


def test_space_for_all_lines_is_set_aside_before_the_first_change(tmp_path: Path) -> None:
    """With the way back of everything, it suffices: the file never grows again."""
    room, bundle = _tenant()
    path = tmp_path / "j"
    with journal_at(path, room=room_for(bundle)) as journal:
        journal.write("", "begin", "plan-hash", "now")
        size = path.stat().st_size
        assert size >= room_for(bundle)
        engine_of(room, bundle, journal).apply(1)
        engine_of(room, bundle, journal).roll_back(bundle.swaps)
        used = path.read_bytes().rstrip(b"\n")
    assert path.stat().st_size == size and len(used) * 1.2 < room_for(bundle)


def test_a_disk_without_the_space_lets_nothing_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room, bundle = _tenant()
    put = os.pwrite

    def full(file: int, content: bytes, offset: int) -> int:
        if offset + len(content) > 4_096:
            return put(file, content[:4_096], offset) if offset == 0 else _raise(errno.ENOSPC)
        return put(file, content, offset)

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        with pytest.raises(JournalError):
            _forth(room, bundle, tmp_path / "j")
    assert not [line for line in room.lines if not line.startswith("GET")]
    _forth(room, bundle, tmp_path / "j")
    assert guid(1) not in room.state()["assignments"]


def _raise(number: int) -> int:
    raise OSError(number, "the disk is full")


@pytest.mark.nightly
def test_a_head_that_cannot_be_kept_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At every head that is written, before a line or after it."""
    from rightsize.change.journal import Heads  # noqa: PLC0415

    write = Heads.write
    for number in range(1, 2 * LINES):
        room, bundle = _tenant()
        original, left = room.state(), [number]

        def fails(self: Heads, head: Any, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise OSError(errno.ENOSPC, "the disk is full")
            write(self, head)

        with monkeypatch.context() as patched:
            patched.setattr(Heads, "write", fails)
            with suppress(JournalError):
                _both(room, bundle, tmp_path / f"{number}")
        _back(room, bundle, tmp_path / f"{number}")
        assert room.state() == original, number


_CHILD = """
import resource, sys
from pathlib import Path
from tests.rollout.test_full_disk import _tenant, _both
from rightsize.change.journal import JournalError
import rightsize.change.journal as journal
limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
journal._CHUNK = 1
room, bundle = _tenant()
import tests.rollout.test_full_disk as full
full.room_for = lambda _: 0
try:
    _both(room, bundle, Path(sys.argv[1]))
except JournalError as error:
    print("refused", len(room.lost))
else:
    print("done", len(room.lost))
"""


@pytest.mark.slow
@pytest.mark.parametrize("limit", [0, 300, 2_000, 5_000, 9_000])
def test_a_real_limit_of_the_system_ends_the_run_and_harms_nobody(tmp_path: Path, limit: int) -> None:
    """RLIMIT_FSIZE, with no space set aside: the kernel writes a part of a line, or refuses it."""
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(tmp_path / "j"), str(limit)], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["refused", "0"], done.stderr
