"""Memory and disk: the limits that may be set, and the message where they are too small."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from weakref import ref

import duckdb
import polars as pl
import pytest

from rightsize.cli.main import run
from rightsize.ingest.files.readers import is_damage
from rightsize.model.errors import InputError, UsageError
from rightsize.store.connection import Store, open_store
from rightsize.store.limits import ResourceLimits, explain_shortage, limits_of
from rightsize.store.merging.loads import merge
from rightsize.store.sql import one_transaction, registered
from tests.bench.bench_merge import stage_calls
from tests.store.staged import calls, content, load, record


@pytest.mark.parametrize(
    ("text", "size"), [("512MB", 512 * 10**6), ("2GiB", 2 << 30), ("1.5g", 1_500_000_000), (" 1 TiB", 1 << 40)]
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert limits_of(text, environment={}) == ResourceLimits(size)


@pytest.mark.parametrize("text", ["much", "-1GB", "12", "1MB", "1 QB", "'; ATTACH"])
def test_what_is_no_size_is_refused(text: str) -> None:
    """Too little for anything among it; the text never reaches DuckDB."""
    with pytest.raises(UsageError):
        limits_of(text, environment={})


def test_the_environment_says_what_is_not_given(tmp_path: Path) -> None:
    found = {"RIGHTSIZE_MEMORY_LIMIT": "1GiB", "RIGHTSIZE_SPILL_FOLDER": str(tmp_path)}
    assert limits_of(environment=found) == ResourceLimits(1 << 30, tmp_path)
    assert limits_of("2GiB", environment=found) == ResourceLimits(2 << 30, tmp_path)
    with pytest.raises(UsageError, match="the spill folder"):
        limits_of(spill=tmp_path / "none", environment={})


def limited(store: Store, spill: Path) -> Store:
    """Open a store again with the least memory."""
    store.close()
    return open_store(store.path, read_only=False, limits=ResourceLimits(96 << 20, spill))


@pytest.mark.parametrize("memory", [None, 512 << 20])
def test_released_memory_may_be_used_again(fresh: Callable[[], Store], memory: int | None) -> None:
    """The limit and the content are as before, within a transaction, too."""
    empty = fresh()
    empty.close()
    limit = "SELECT current_setting('memory_limit') AS size"
    with open_store(empty.path, read_only=False, limits=ResourceLimits(memory)) as store:
        before = store.rows(limit)
        with store.transaction() as connection:
            connection.execute("INSERT INTO base.principals (principal_id) SELECT i::VARCHAR FROM range(1000) AS t(i)")
            store.release()
        store.release()
        assert store.rows(limit) == before
        assert store.rows("SELECT count(*) AS n FROM main.principals") == [{"n": 1000}]


@pytest.mark.nightly
def test_what_does_not_fit_in_memory_goes_to_disk(fresh: Callable[[], Store], tmp_path: Path) -> None:
    """The store is the same, and nothing is left in the folder."""
    plenty = fresh()
    stage_calls(plenty, 60_000)
    merge(plenty)
    with limited(fresh(), tmp_path) as little:
        stage_calls(little, 60_000)
        merge(little)
        assert content(little, ("usage_days", "coverage")) == content(plenty, ("usage_days", "coverage"))
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_full_disk_is_told_and_leaves_the_store_as_it_was(store: Store, tmp_path: Path) -> None:
    """The folder for what does not fit may take a megabyte."""
    load(store, calls(record()))
    before = content(store)
    with limited(store, tmp_path) as little:
        little.connection.execute("SET max_temp_directory_size = '1MB'")
        with pytest.raises(InputError, match="the disk is full"), explain_shortage(little.path):
            stage_calls(little, 120_000)
            merge(little)
    with open_store(store.path, read_only=False) as again:
        assert content(again) == before


def test_a_full_disk_is_no_damage_of_the_file_that_is_read() -> None:
    """Else every file would be read again, slowly, and called damaged."""
    assert not is_damage(duckdb.IOException("Could not write file: No space left on device"))
    assert is_damage(duckdb.IOException("could not inflate"))


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), duckdb.OutOfMemoryException("Out of Memory Error")]
)
def test_too_little_is_told_and_everything_else_passes(error: Exception) -> None:
    with pytest.raises(InputError, match=r"full|too little memory"), explain_shortage(Path("s.duckdb")):
        raise error
    with pytest.raises(ZeroDivisionError), explain_shortage(Path("s.duckdb")):
        raise ZeroDivisionError


def test_rows_leave_memory_before_their_transaction_ends() -> None:
    """Else a transaction that writes many tables holds the rows of all."""
    con = duckdb.connect()
    frame = pl.DataFrame({"n": [1, 2]})
    held = ref(frame)
    with one_transaction(con):
        with registered(con, {"some_rows": frame}):
            con.execute("CREATE TABLE kept AS FROM some_rows")
        del frame
        assert held() is None
    assert con.execute("SELECT sum(n) FROM kept").fetchall() == [(3,)]


@pytest.mark.slow
def test_every_command_refuses_limits_that_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RIGHTSIZE_MEMORY_LIMIT", "lots")
    assert run(["status", "--db", str(tmp_path / "s.duckdb")]) == 2
    assert "`lots` is not a size of memory" in capsys.readouterr().err
