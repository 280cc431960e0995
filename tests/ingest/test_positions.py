"""The progress within a file, where the system reports it."""

from __future__ import annotations

import sys
from pathlib import Path
from threading import Event

import pytest

from rightsize.ingest.files.copies import bytes_read, report_bytes_read


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells where an open file is read")
def test_of_several_readers_of_a_file_the_last_one_counts(tmp_path: Path) -> None:
    """A file is also found behind a link; one that is closed, or was never opened, counts nothing."""
    path, other, link = tmp_path / "logs", tmp_path / "other", tmp_path / "link"
    path.write_bytes(b"x" * 100)
    other.write_bytes(b"x" * 100)
    link.symlink_to(path)
    with path.open("rb", buffering=0) as ahead, path.open("rb", buffering=0) as behind:
        ahead.read(70)
        behind.read(20)
        assert bytes_read([link, other]) == 20
    assert bytes_read([path]) == 0


def test_whoever_watches_is_told_while_something_runs_and_not_afterwards(tmp_path: Path) -> None:
    """The calls come from beside the reading, and are over when it ends, also with an error."""
    told: list[int] = []
    heard = Event()

    def report_progress(read: int) -> None:
        told.append(read)
        heard.set()

    with pytest.raises(RuntimeError), report_bytes_read(report_progress, [tmp_path], every=0.001):
        assert heard.wait(10)
        raise RuntimeError
    count = len(told)
    assert count
    heard.clear()
    assert not heard.wait(0.01)
    assert len(told) == count
