"""A load that is killed leaves the store unchanged, whenever it dies."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rightsize.store.connection import Store, open_store
from tests.store.staged import calls, content, load, record

pytestmark = pytest.mark.slow

FIRST = [record(correlation_id=f"c{number}") for number in range(5)]
SECOND = [record("failed", f"2026-01-0{number + 1}T01:00:00", correlation_id=f"c{number}") for number in range(8)]

# The statement that begins so is the last that the process begins.
LOAD = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from rightsize.store.connection import open_store
from tests.store import test_killed_loads as tests
from tests.store.staged import calls, load

store = open_store(sys.argv[1], read_only=False)
real = store.connection


class Dying:
    def execute(self, sql, *values):
        if " ".join(sql.split()).startswith(sys.argv[3]):
            if sys.argv[4] == "after":
                real.execute(sql, *values)
            os.kill(os.getpid(), signal.SIGKILL)
        return real.execute(sql, *values)

    def __getattr__(self, name):
        return getattr(real, name)


store.connection = Dying()
load(store, calls(*tests.SECOND))
"""


def killed_load(path: Path, statement: str, when: str) -> None:
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", LOAD, str(path), str(root), statement, when]
    died = subprocess.run(command, capture_output=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("statement", "when"),
    [
        ("DELETE FROM base.events", "after"),
        ("DELETE FROM base.coverage", "after"),
        ("COMMIT", "before"),
    ],
)
def test_a_killed_load_changes_nothing_and_can_be_repeated(
    fresh: Callable[[], Store], store: Store, statement: str, when: str
) -> None:
    """The old content is there, and loading again gives what one clean load gives."""
    load(store, calls(*FIRST))
    before = content(store)
    store.close()
    killed_load(store.path, statement, when)
    with open_store(store.path, read_only=False) as again:
        assert content(again) == before
        load(again, calls(*SECOND))
        after = content(again)
    clean = fresh()
    load(clean, calls(*FIRST), calls(*SECOND))
    assert content(clean) == after


def test_a_load_that_is_killed_once_it_is_committed_is_there(store: Store) -> None:
    """What the write-ahead log has is read back; loading again finds nothing new."""
    load(store, calls(*FIRST))
    store.close()
    killed_load(store.path, "COMMIT", "after")
    with open_store(store.path, read_only=False) as again:
        (merged,) = load(again, calls(*SECOND))
        assert (merged.new, merged.duplicate) == (0, len(SECOND))


@pytest.mark.nightly
def test_a_merge_that_fails_leaves_the_store_as_it_was(store: Store) -> None:
    """An error in the middle is told, and nothing of the load is stored."""
    load(store, calls(*FIRST))
    before = content(store)
    broken = record(correlation_id="new", rank=999)
    with pytest.raises(Exception, match="999"):
        load(store, calls(*SECOND, broken))
    assert content(store) == before
