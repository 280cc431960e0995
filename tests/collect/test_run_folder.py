"""Journal and pages agree wherever a run is cut, and a page is whole or absent."""

from __future__ import annotations

import errno
import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from rightsize.azure.wire import WireRequest
from rightsize.collect import pages
from rightsize.collect.listing import CollectionUnit
from rightsize.collect.pages import JOURNAL, MANIFEST, Run
from rightsize.model.errors import InputError, ServiceError, UsageError

UNIT = CollectionUnit("/subscriptions/a", (WireRequest("arm", "/x"),), "/subscriptions/a")
NEXT = WireRequest("arm", "/y", headers={"a": "b"}, is_next=True)


def new_run(folder: Path) -> Run:
    return Run.create(folder / "run", {"tenant_id": "t", "started": "2026-10-01T00:00:00+00:00"})


def reopened(run: Run) -> Run:
    run.close()
    found = Run.read(run.folder)
    found.open_journal()
    return found


def write(run: Run, line: bytes, **options: Any) -> None:
    at = run.progress("things", UNIT)
    run.write(at, line, rows=1, pages=1, pending=options.pop("pending", [NEXT]), **options)


def test_what_was_written_is_there_after_reopening(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    write(run, b'{"value":[{"a":1}]}\n')
    write(run, b'{"value":[{"a":2}]}\n', pending=[], state="complete")
    run = reopened(run)
    at = run.progress("things", UNIT)
    assert (at.state, at.pending, at.rows, at.pages, at.scope) == ("complete", [], 2, 2, UNIT.scope)
    assert list(run.records("things")) == [{"a": 1}, {"a": 2}]


def test_a_cut_unit_goes_on_with_what_is_pending(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    write(run, b"{}\n")
    at = reopened(run).progress("things", UNIT)
    assert at.state is None
    assert at.pending == [NEXT]


@pytest.mark.parametrize("left", range(1, 60, 7))
def test_a_line_that_was_cut_is_forgotten(tmp_path: Path, left: int) -> None:
    """Wherever the journal ends, everything before its last whole line counts, and new lines follow it."""
    run = new_run(tmp_path)
    write(run, b'{"value":[{"a":1}]}\n')
    write(run, b'{"value":[{"a":2}]}\n')
    run.close()
    journal = run.folder / JOURNAL
    journal.write_bytes(journal.read_bytes()[:-left])
    run = Run.read(run.folder)
    run.open_journal()
    assert list(run.records("things")) == [{"a": 1}]
    write(run, b'{"value":[{"a":3}]}\n', pending=[], state="complete")
    run = reopened(run)
    assert list(run.records("things")) == [{"a": 1}, {"a": 3}]
    assert len(list(run.unit_folder(run.progress("things", UNIT)).iterdir())) == 2


def test_a_journal_that_is_damaged_inside_is_told(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    write(run, b"{}\n")
    run.close()
    (run.folder / JOURNAL).write_bytes(b"nonsense\n" + (run.folder / JOURNAL).read_bytes())
    with pytest.raises(InputError, match="line 1"):
        Run.read(run.folder)


def test_a_restarted_unit_starts_from_nothing(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    write(run, b'{"value":[{"a":1}]}\n')
    run.restart(run.progress("things", UNIT))
    run = reopened(run)
    at = run.progress("things", UNIT)
    assert (at.files, at.pending, at.state) == ([], None, None)
    assert not run.unit_folder(at).exists()


def test_pages_are_the_same_bytes_whenever_they_are_written(tmp_path: Path) -> None:
    digests = set()
    for name in ("one", "two"):
        run = Run.create(tmp_path / name, {"started": "2026-10-01T00:00:00+00:00"})
        write(run, b'{"value":[]}\n', label="members-1")
        digests.add(run.progress("things", UNIT).files[0])
    assert len(digests) == 1
    assert digests.pop().name == "00001-members-1.jsonl.gz"


class _FullDisk:
    """Lets so many bytes be written, then says that there is no space."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, left: int) -> None:
        self.left = left
        self._write = os.write
        monkeypatch.setattr(os, "write", self.write)

    def write(self, handle: int, data: bytes) -> int:
        if self.left <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        part = bytes(data[: self.left])
        self.left -= len(part)
        return self._write(handle, part)


@pytest.mark.parametrize("left", [0, 1, 30])
def test_a_full_disk_under_the_journal_leaves_whole_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    run = new_run(tmp_path)
    write(run, b'{"value":[{"a":1}]}\n')
    before = (run.folder / JOURNAL).read_bytes()
    with monkeypatch.context() as patched:
        _FullDisk(patched, left)
        with pytest.raises(ServiceError, match="the disk is full"):
            write(run, b'{"value":[{"a":2}]}\n')
    assert (run.folder / JOURNAL).read_bytes() == before
    write(run, b'{"value":[{"a":3}]}\n')
    assert list(reopened(run).records("things")) == [{"a": 1}, {"a": 3}]


def test_a_full_disk_under_a_page_leaves_no_half_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = new_run(tmp_path)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(ServiceError, match="the disk is full") as caught:
            write(run, b"{}\n")
    assert "it continues" in str(caught.value.hint)
    folder = run.unit_folder(run.progress("things", UNIT))
    assert list(folder.iterdir()) == []
    assert run.progress("things", UNIT).files == []


def test_a_disk_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = new_run(tmp_path)

    def broken(*_: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(pages, "replace_found", broken)
    with pytest.raises(ServiceError, match="Input/output error"):
        write(run, b"{}\n")


def test_one_process_writes_a_run(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    with pytest.raises(UsageError, match="another process"):
        Run.read(run.folder).open_journal()
    run.close()
    Run.read(run.folder).open_journal()


def test_a_run_takes_no_folder_that_holds_something(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("x")
    with pytest.raises(UsageError, match="not empty"):
        new_run(tmp_path)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"kind": "other"}', '{"kind": "rightsize collection", "format": 9}']
)
def test_what_is_no_run_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / MANIFEST).write_text(content)
    with pytest.raises(InputError):
        Run.read(tmp_path)


def test_damaged_pages_are_told(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    write(run, b'{"value":[]}\n')
    at = run.progress("things", UNIT)
    path = run.unit_folder(at) / at.files[0].name
    for content in (b"no gzip", path.read_bytes()[:-4], gzip.compress(b"{half\n")):
        path.write_bytes(content)
        with pytest.raises(InputError, match="damaged"):
            list(run.lines(at))


def test_folders_of_units_are_never_called_by_names(tmp_path: Path) -> None:
    """A management group may be called anything."""
    run = new_run(tmp_path)
    for key in ("../../etc", "a/b", "x" * 5000, "\x00", "名"):
        folder = run.unit_folder(run.progress("things", CollectionUnit(key, ())))
        assert folder.parent == run.folder / "pages" / "things"
        assert folder.name.isalnum()


def test_the_manifest_is_there_from_the_start(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    manifest = json.loads((run.folder / MANIFEST).read_text())
    asked = {"tenant_id": "t", "started": "2026-10-01T00:00:00+00:00"}
    assert manifest == {"format": 1, "kind": "rightsize collection", **asked, "finished": None}
