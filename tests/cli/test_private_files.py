"""What a command writes has the names and rights of a tenant, so that only the user can read it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from rightsize.cli.main import run
from tests.ingest.renderings import SHAPES, Call

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """The umask of a shell that lets everybody read."""
    mask = os.umask(0o022)
    yield
    assert os.umask(mask) == 0o022


def modes(folder: Path) -> set[tuple[bool, str]]:
    """Return the kinds and modes of what is in a folder."""
    return {(path.is_dir(), oct(stat.S_IMODE(path.stat().st_mode))) for path in folder.rglob("*")}


def written(folder: Path, *first: str) -> None:
    log, store = folder.parent / "log.json", folder / "deep" / "s.duckdb"
    log.write_bytes(SHAPES["az-list"]([Call(1)]))
    assert run([*first, "load", str(log), "--db", str(store)]) == 0
    assert run([*first, "fetch-script", "--out", str(folder / "exports")]) == 0
    assert run([*first, "propose", "--out", str(folder / "plan"), "--db", str(store)]) in {0, 6}


def test_nobody_else_reads_what_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path / "here")
    assert modes(tmp_path / "here") == {(True, "0o700"), (False, "0o600")}


@pytest.mark.nightly
def test_shared_leaves_it_to_the_umask(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """But for the store, which is always private."""
    written(tmp_path / "here", "--shared")
    assert modes(tmp_path / "here") == {(True, "0o755"), (False, "0o644"), (False, "0o600")}
