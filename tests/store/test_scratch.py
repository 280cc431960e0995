"""Temporary files are private, go with their command, and go at the next one where it was killed."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from rightsize.store.connection import Store, open_store
from rightsize.store.limits import scratch_folder

HOLD = """
import sys, tempfile
sys.path[:] = sys.argv[2].split("|")
tempfile.tempdir = sys.argv[1]
from rightsize.store.limits import scratch_folder
with scratch_folder() as folder:
    (folder / "log.json").write_text("secret")
    print(folder, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def holding(parent: Path) -> tuple[subprocess.Popen[str], Path]:
    """Start a command that has a folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(parent), "|".join(sys.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_a_folder_goes_with_its_block(parent: Path) -> None:
    with scratch_folder() as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert list(parent.iterdir()) == []


@pytest.mark.slow
def test_what_a_killed_command_left_goes_at_the_next(parent: Path) -> None:
    """But not the folder of one that still runs, and nothing that only has such a name."""
    (parent / "rightsize-notes").mkdir()
    (parent / "rightsize-link").symlink_to(parent / "rightsize-notes")
    killed, left = holding(parent)
    running, held = holding(parent)
    with killed, running:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        with scratch_folder():
            assert not left.exists()
            assert (held / "log.json").exists()
        running.communicate("\n")
    assert sorted(path.name for path in parent.iterdir()) == ["rightsize-link", "rightsize-notes"]


@pytest.mark.slow
def test_what_was_spilled_beside_a_store_goes_when_it_is_next_written(store: Store) -> None:
    """A reader leaves it alone: another reader may be the one that spills."""
    spilled = Path(f"{store.path}.tmp", "duckdb_temp_1_0_storage_DEFAULT-0.tmp")
    store.close()
    spilled.parent.mkdir()
    spilled.write_bytes(b"rows")
    open_store(store.path, read_only=True).close()
    assert spilled.exists()
    open_store(store.path, read_only=False).close()
    assert not spilled.exists()
