"""The journal: forced to the disk, one process at a time, and no line that somebody changed is believed."""

from __future__ import annotations

from pathlib import Path

import pytest

from rightsize.model.errors import InputError, UsageError
from rightsize.rollout.engine import state_of
from rightsize.rollout.journal import Journal, read_journal

AT = "2026-10-01T00:00:00+00:00"


@pytest.fixture
def forced() -> None:
    """Marks a test that looks at the disk."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "journal.jsonl"
    with Journal(path, plan="p") as journal:
        for number in range(3):
            journal.write("s", "created", str(number), AT, {"existed": False})
    return path


def test_a_line_is_on_the_disk_before_anything_goes_on(
    tmp_path: Path, forced: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    write, sync = __import__("os").write, __import__("os").fsync
    monkeypatch.setattr("rightsize.rollout.journal.os.write", lambda *a: (order.append("write"), write(*a))[1])
    monkeypatch.setattr("rightsize.rollout.journal.os.fsync", lambda *a: (order.append("sync"), sync(*a))[1])
    with Journal(tmp_path / "j", plan="p") as journal:
        journal.write("s", "created", "1", AT)
    assert order == ["write", "sync"] * 2


def test_what_was_written_is_read_back(path: Path) -> None:
    entries = read_journal(path)
    assert [entry.event for entry in entries] == ["begin", "created", "created", "created"]
    assert entries[1].data == {"existed": False}
    with Journal(path, plan="p") as journal:
        assert journal.entries == entries and len(journal.of("s")) == 3
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_line_that_a_kill_cut_short_was_not_written(path: Path, cut: int) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-cut])
    assert len(read_journal(path)) == 3
    with Journal(path, plan="p") as journal:
        journal.write("s", "created", "again", AT)
    assert [entry.key for entry in read_journal(path)] == ["p", "0", "1", "again"]


@pytest.mark.parametrize("line", [0, 1, 2])
def test_a_line_that_was_changed_is_an_error(path: Path, line: int) -> None:
    """The way back rests on it."""
    lines = path.read_bytes().split(b"\n")
    lines[line] = lines[line].replace(b"2026", b"2027")
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(InputError, match=f"line {line + 2}|line {line + 1}"):
        read_journal(path)


def test_a_line_that_is_left_out_is_an_error(path: Path) -> None:
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([lines[0], *lines[2:]]))
    with pytest.raises(InputError, match="line 2"), Journal(path, plan="p"):
        pass


def test_the_journal_of_another_plan_is_refused(path: Path) -> None:
    with pytest.raises(InputError, match="another plan"), Journal(path, plan="q"):
        pass


def test_two_processes_do_not_write_one_journal(path: Path) -> None:
    with (
        Journal(path, plan="p"),
        pytest.raises(UsageError, match="another rollout is at work"),
        Journal(path, plan="p"),
    ):
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
    with Journal(tmp_path / "j", plan="p") as journal:
        for event in events:
            journal.write("s", event, "k", AT)
        assert state_of(journal.of("s")) == state
