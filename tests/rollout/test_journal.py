"""The journal: whole lines on the disk, one process at a time, and changed lines are refused."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from rightsize.change.journal import Heads, Journal, heads_folder, read_journal
from rightsize.change.steps import state_of
from rightsize.model.errors import InputError, UsageError
from tests.rollout.room import BOUND, heads_beside, journal_at

AT = "2026-10-01T00:00:00+00:00"


@pytest.fixture
def forced() -> None:
    """Marks a test that looks at the disk."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "journal.jsonl"
    with journal_at(path) as journal:
        for number in range(3):
            journal.write("s", "created", str(number), AT, {"existed": False})
    return path


def test_a_line_is_on_the_disk_before_anything_goes_on(
    tmp_path: Path, forced: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    put, write, sync = os.pwrite, os.write, os.fsync
    monkeypatch.setattr(os, "pwrite", lambda *a: (order.append("line"), put(*a))[1])
    monkeypatch.setattr(os, "write", lambda *a: (order.append("head"), write(*a))[1])
    monkeypatch.setattr(os, "fsync", lambda *a: (order.append("sync"), sync(*a))[1])
    with journal_at(tmp_path / "j") as journal:
        order.clear()
        journal.write("s", "begin", "1", AT)
        journal.write("s", "created", "1", AT)
    # The space first; then each line between two heads, all of them forced to the disk.
    head = ["head", "sync", "sync"]
    assert order == ["line", "sync", *head, "line", "sync", *head, *head, "line", "sync", *head]


def test_what_was_written_is_read_back(path: Path) -> None:
    entries = read_journal(path)
    assert [entry.event for entry in entries] == ["begin", "created", "created", "created"]
    assert entries[1].data == {"existed": False}
    with journal_at(path) as journal:
        assert journal.entries == entries and len(journal.of("s")) == 3
    assert path.stat().st_mode & 0o077 == 0


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().rstrip(b"\n").split(b"\n")


@pytest.mark.parametrize("filler", [b"", b"\n" * 200])
@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_line_that_a_kill_cut_short_was_not_written(path: Path, cut: int, filler: bytes) -> None:
    """Also where what was set aside for it stands behind it."""
    with journal_at(path) as journal:
        before = journal.head
    content = b"\n".join(_lines(path))
    with journal_at(path) as journal:
        journal.write("s", "created", "again", AT)
    torn = b"\n".join(_lines(path))[: len(content) + 60 - cut]
    path.write_bytes(torn + filler)
    # The run was killed before it knew that the line was there.
    heads_beside(path).write(replace(before, coming="f" * 64))
    assert len(read_journal(path)) == 4
    with journal_at(path) as journal:
        journal.write("s", "created", "again", AT)
    assert [entry.key for entry in read_journal(path, heads_beside(path))] == ["plan-hash", "0", "1", "2", "again"]


@pytest.mark.parametrize("line", [0, 1, 2])
def test_a_line_that_was_changed_is_an_error(path: Path, line: int) -> None:
    """The way back rests on it."""
    lines = _lines(path)
    lines[line] = lines[line].replace(b"2026", b"2027")
    path.write_bytes(b"\n".join([*lines, b""]))
    with pytest.raises(InputError, match=f"line {line + 2}|line {line + 1}"):
        read_journal(path)


def test_a_line_that_is_left_out_is_an_error(path: Path) -> None:
    lines = _lines(path)
    path.write_bytes(b"\n".join([lines[0], *lines[2:], b""]))
    with pytest.raises(InputError, match="line 2"), journal_at(path):
        pass


@pytest.mark.parametrize("kept", [0, 1, 2, 3])
def test_a_journal_that_was_cut_is_refused(path: Path, kept: int) -> None:
    """At any line, and also where nothing of it is left."""
    path.write_bytes(b"".join(line + b"\n" for line in _lines(path)[:kept]))
    with pytest.raises(InputError, match="was cut or changed"), journal_at(path):
        pass
    with pytest.raises(InputError, match="was cut or changed"):
        read_journal(path, heads_beside(path))


def test_a_journal_that_was_written_anew_with_hashes_that_fit_is_refused(path: Path, tmp_path: Path) -> None:
    forged = tmp_path / "forged"
    with journal_at(forged) as journal:
        for number in range(3):
            journal.write("s", "created", str(number), AT, {"existed": True})
    path.write_bytes(forged.read_bytes())
    assert len(read_journal(path)) == 4, "its chain fits"
    with pytest.raises(InputError, match="was cut or changed"), journal_at(path):
        pass


def test_a_line_that_was_added_is_refused(path: Path) -> None:
    with Journal(path, BOUND, Heads(path.parent / "another", BOUND.bundle), trusted=_last(path)) as journal:
        journal.write("s", "restored", "0", AT)
    with pytest.raises(InputError, match="was cut or changed"), journal_at(path):
        pass


def _last(path: Path) -> str:
    head = heads_beside(path).read()
    assert head is not None
    return head.last


def test_a_journal_of_which_nothing_is_known_here_needs_somebody_who_vouches_for_it(path: Path) -> None:
    elsewhere = Heads(path.parent / "another", BOUND.bundle)
    with pytest.raises(InputError, match="this machine did not write"), Journal(path, BOUND, elsewhere):
        pass
    with pytest.raises(InputError, match="does not end with"), Journal(path, BOUND, elsewhere, trusted="0" * 64):
        pass
    with Journal(path, BOUND, elsewhere, trusted=_last(path)) as journal:
        journal.write("s", "created", "again", AT)
    with Journal(path, BOUND, elsewhere) as journal:
        assert len(journal.entries) == 5


@pytest.mark.parametrize("name", ["bundle", "plan", "tenant", "cloud"])
def test_the_journal_of_another_bundle_plan_tenant_or_cloud_is_refused(path: Path, name: str) -> None:
    with (
        pytest.raises(InputError, match=f"another {name}"),
        Journal(path, replace(BOUND, **{name: "other"}), heads_beside(path)),
    ):
        pass


def test_heads_are_kept_for_their_owner_alone(tmp_path: Path) -> None:
    assert heads_folder({"XDG_STATE_HOME": str(tmp_path)}) == tmp_path / "rightsize/rollouts"
    assert heads_folder({"XDG_STATE_HOME": "relative"}).is_relative_to(Path.home())
    with Journal(tmp_path / "j", BOUND, Heads(tmp_path / "heads", BOUND.bundle)) as journal:
        journal.write("s", "created", "1", AT)
    (file,) = (tmp_path / "heads").iterdir()
    assert file.stat().st_mode & 0o077 == 0 and (tmp_path / "heads").stat().st_mode & 0o077 == 0
    assert json.loads(file.read_text())["lines"] == 2
    file.write_text("{}")
    with pytest.raises(InputError, match="not the head"):
        Heads(tmp_path / "heads", BOUND.bundle).read()


def test_two_processes_do_not_write_one_journal(path: Path) -> None:
    with journal_at(path), pytest.raises(UsageError, match="another rollout is running"), journal_at(path):
        pass


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ((), "open"),
        (("role-begin",), "begun"),
        (("role-begin", "created", "done"), "done"),
        (("created", "failed"), "failed"),
        (("created", "failed", "rollback"), "rolling_back"),
        (("created", "done", "rollback", "restored"), "rolling_back"),
        (("created", "done", "confirmed"), "done"),
        (("created", "done", "rollback", "rolled-back"), "rolled_back"),
    ],
)
def test_the_state_of_a_swap_is_what_its_entries_say(tmp_path: Path, events: tuple[str, ...], state: str) -> None:
    with journal_at(tmp_path / "j") as journal:
        for event in events:
            journal.write("s", event, "k", AT)
        assert state_of(journal.of("s")) == state
