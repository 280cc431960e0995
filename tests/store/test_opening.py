"""Which files open as a store, and how an older store is upgraded."""

from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import polars as pl
import pytest

from rightsize.cli.main import run
from rightsize.model.errors import InputError
from rightsize.store import connection as opening
from rightsize.store.connection import Store, open_store
from rightsize.store.migrations import OLDEST_VERSION, SCHEMA_VERSION, migrate
from tests.store.staged import at, calls, content, guid, load, record, rows_of

HOLD = """
import sys
from rightsize.store.connection import open_store
store = open_store(sys.argv[1], read_only=sys.argv[2] == "read")
print("open", flush=True)
sys.stdin.readline()
"""


@contextmanager
def held(path: Path, how: str) -> Iterator[None]:
    """Another process has the store open."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        try:
            yield
        finally:
            process.communicate("\n")


@pytest.fixture
def path(store: Store) -> Path:
    """A store that nobody has open."""
    store.close()
    return store.path


@pytest.mark.nightly
@pytest.mark.parametrize(("other", "mine"), [("write", "write"), ("write", "read"), ("read", "write")])
def test_a_store_in_use_says_so(path: Path, other: str, mine: str) -> None:
    """One process writes, or several read."""
    with held(path, other), pytest.raises(InputError, match="is in use by another process"):
        open_store(path, read_only=mine == "read")


@pytest.mark.nightly
def test_several_processes_read_one_store(path: Path) -> None:
    """Readers do not shut readers out."""
    with held(path, "read"), open_store(path, read_only=True) as store:
        assert store.table("events").is_empty()


@pytest.mark.slow
def test_there_is_nothing_to_read_where_no_file_is(tmp_path: Path) -> None:
    """Reading makes no file."""
    with pytest.raises(InputError, match="there is no store at"):
        open_store(tmp_path / "none.duckdb", read_only=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("text", ["notes" * 3000, ""])
@pytest.mark.parametrize("read_only", [True, False])
def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path: Path, read_only: bool, text: str) -> None:
    """Somebody's notes are not overwritten."""
    notes = tmp_path / "notes.duckdb"
    notes.write_text(text)
    with pytest.raises(InputError, match=r"cannot open `[^`]*` as a store"):
        open_store(notes, read_only=read_only)
    assert notes.read_text() == text


@pytest.mark.slow
@pytest.mark.parametrize("read_only", [True, False])
def test_somebody_elses_database_is_refused(tmp_path: Path, read_only: bool) -> None:
    """A DuckDB file with tables of its own is not made a store."""
    with duckdb.connect(str(tmp_path / "other.duckdb")) as con:
        con.execute("CREATE TABLE sales (day DATE)")
    with pytest.raises(InputError, match="not a store of rightsize"):
        open_store(tmp_path / "other.duckdb", read_only=read_only)


@pytest.mark.slow
def test_an_empty_database_is_filled_when_written_and_refused_when_read(tmp_path: Path) -> None:
    """A load that was killed while it made the file leaves such a one."""
    file = tmp_path / "empty.duckdb"
    duckdb.connect(str(file)).close()
    with pytest.raises(InputError, match="is an empty database"):
        open_store(file, read_only=True)
    with open_store(file, read_only=False) as store:
        assert store.table("events").is_empty()


@pytest.mark.slow
def test_a_folder_that_does_not_exist_is_made(tmp_path: Path) -> None:
    """`--db out/new.duckdb` works at once."""
    with open_store(tmp_path / "a" / "b.duckdb", read_only=False) as store:
        assert store.path.exists()


@pytest.mark.nightly
def test_only_the_owner_may_read_the_store(tmp_path: Path) -> None:
    """The write-ahead log beside it neither."""
    with open_store(tmp_path / "s.duckdb", read_only=False) as store:
        load(store, calls(record()))
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert modes == {"s.duckdb": 0o600, "s.duckdb.wal": 0o600}


def stored_version(path: Path, version: int) -> None:
    with duckdb.connect(str(path)) as con:
        con.execute("UPDATE base.meta SET value = ? WHERE name = 'schema_version'", [str(version)])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("version", "says", "read_only"),
    [
        (SCHEMA_VERSION + 1, "newer version of rightsize", True),
        (SCHEMA_VERSION + 1, "newer version of rightsize", False),
        (SCHEMA_VERSION - 1, "older schema", True),
        (OLDEST_VERSION - 1, "a schema that no release had", True),
        (OLDEST_VERSION - 1, "a schema that no release had", False),
    ],
)
def test_a_store_of_another_version_is_refused(path: Path, version: int, says: str, read_only: bool) -> None:
    """A newer one is unknown, one that no release had cannot be brought up to date, and reading changes nothing."""
    stored_version(path, version)
    with pytest.raises(InputError, match=says):
        open_store(path, read_only=read_only)


def add_column(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("ALTER TABLE base.actors ADD COLUMN remark VARCHAR DEFAULT 'none'")


def fail(con: duckdb.DuckDBPyConnection) -> None:
    raise duckdb.InvalidInputException("no")


@pytest.mark.nightly
def test_migration_takes_every_step_and_keeps_what_is_stored(store: Store) -> None:
    """Two steps, in order, and the version after them."""
    load(store, calls(record()))
    before = content(store)
    steps = {
        SCHEMA_VERSION: add_column,
        SCHEMA_VERSION + 1: lambda con: con.execute("UPDATE base.actors SET remark = 'x'"),
    }
    migrate(store.connection, SCHEMA_VERSION, steps, SCHEMA_VERSION + 2)
    assert store.connection.execute("SELECT DISTINCT remark FROM base.actors").fetchall() == [("x",)]
    found = store.connection.execute("SELECT value FROM base.meta WHERE name = 'schema_version'").fetchall()
    assert found == [(str(SCHEMA_VERSION + 2),)]
    assert content(store) == before


@pytest.mark.nightly
def test_a_migration_that_fails_leaves_the_store_as_it_was(store: Store) -> None:
    """The first step, though it worked, is undone with the second."""
    load(store, calls(record()))
    before = content(store)
    with pytest.raises(duckdb.InvalidInputException):
        migrate(
            store.connection, SCHEMA_VERSION, {SCHEMA_VERSION: add_column, SCHEMA_VERSION + 1: fail}, SCHEMA_VERSION + 2
        )
    columns = {name for name, *_ in store.connection.execute("DESCRIBE base.actors").fetchall()}
    assert "remark" not in columns
    store.close()
    with open_store(store.path, read_only=True) as again:
        assert content(again) == before


@pytest.mark.slow
@pytest.mark.parametrize("name", ["base.duckdb", "Main.db", "temp.duckdb"])
def test_names_that_duckdb_would_mistake_are_refused(tmp_path: Path, name: str) -> None:
    """A store `base` would be taken for the schema in it."""
    with pytest.raises(InputError, match="cannot be called"):
        open_store(tmp_path / name, read_only=False)
    assert not list(tmp_path.iterdir())


def verdict(store: Store, operation: str) -> pl.DataFrame:
    """One row of the table of verdicts, null but for its operation."""
    return pl.DataFrame([{"operation": operation}], schema=store.table("verdicts").schema)


@pytest.mark.slow
def test_an_answer_replaces_the_one_before(store: Store) -> None:
    """Nothing of the old answer stays."""
    store.write_answer("verdicts", pl.concat([verdict(store, "a"), verdict(store, "b")]))
    store.write_answer("verdicts", verdict(store, "c"))
    assert store.table("verdicts")["operation"].to_list() == ["c"]


@pytest.mark.slow
def test_an_answer_may_come_in_parts(store: Store) -> None:
    """All of it is there, and nothing of the one before."""
    store.write_answer("verdicts", verdict(store, "a"))
    store.write_answer("verdicts", (verdict(store, name) for name in "bc"))
    assert sorted(store.table("verdicts")["operation"]) == ["b", "c"]
    store.write_answer("verdicts", iter(()))
    assert store.table("verdicts").is_empty()


@pytest.mark.slow
def test_an_answer_that_cannot_be_written_leaves_the_one_before(store: Store) -> None:
    """A column of another type fails after old rows were deleted and new ones written; the old ones are there again."""
    store.write_answer("verdicts", verdict(store, "a"))
    wrong = verdict(store, "b").with_columns(pl.lit("many").alias("events"))
    with pytest.raises(duckdb.Error):
        store.write_answer("verdicts", [verdict(store, "c"), wrong])
    assert store.table("verdicts")["operation"].to_list() == ["a"]


@pytest.mark.slow
def test_only_answers_are_written_as_answers(store: Store) -> None:
    """What exports said comes from loads alone."""
    with pytest.raises(ValueError, match="principals is not an answer table"):
        store.write_answer("principals", pl.DataFrame())


@pytest.mark.slow
def test_what_a_store_remembers_of_itself_is_there_again(tmp_path: Path) -> None:
    with open_store(tmp_path / "store.duckdb", read_only=False) as store:
        assert store.remembered("catalogue_refreshed") is None
        store.remember("catalogue_refreshed", "once")
        store.remember("catalogue_refreshed", "twice")
    with open_store(tmp_path / "store.duckdb", read_only=True) as store:
        assert store.remembered("catalogue_refreshed") == "twice"


@pytest.mark.nightly
def test_an_older_store_gets_the_tables_about_what_exists(store: Store) -> None:
    """What it holds stays, and a load fills the new tables."""
    load(store, calls(record()))
    before = content(store)
    store.close()
    tables = ("inventories", "provider_registrations", "resource_types", "resource_existence")
    with duckdb.connect(str(store.path)) as con:
        for name in tables:
            con.execute(f"DROP VIEW main.{name}")
            con.execute(f"DROP TABLE base.{name}")
    stored_version(store.path, OLDEST_VERSION)
    with open_store(store.path, read_only=False) as again:
        assert content(again) == before
        inventory = {"scope": "/subscriptions/X", "kind": "resource_list", "reader_id": guid(1), "complete": True}
        load(again, {"inventories": [inventory | {"read_on": at("2026-01-05T10:00:00")}]})
        assert rows_of(again, "inventories", "scope", "complete") == [("/subscriptions/x", True)]
    with open_store(store.path, read_only=True) as again:
        assert again.remembered("schema_version") == str(SCHEMA_VERSION)


@pytest.mark.slow
def test_the_first_error_of_a_transaction_is_told(store: Store) -> None:
    """DuckDB ends a transaction itself where the disk is full; that none is left to roll back is not the error."""
    with pytest.raises(OSError, match="no space"), store.transaction() as connection:
        connection.execute("ROLLBACK")
        raise OSError("no space")
    with store.transaction() as connection:
        connection.execute("SELECT 1")


@pytest.mark.nightly
def test_a_damaged_page_is_said_to_be_one(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """Whichever statement first reads it: the file is at fault, not the program."""
    load(store, calls(*(record(correlation_id=f"c{number}") for number in range(50))))
    path = store.path
    store.close()
    content = path.read_bytes()
    told = set()
    for place in range(12_288 + 5_000, len(content), 262_144):
        path.write_bytes(content[:place] + bytes(64 * [255]) + content[place + 64 :])
        code = run(["sql", "SELECT sum(hash(e)) FROM events AS e", "--db", str(path)])
        told.add((code, capsys.readouterr().err.partition(" of its file")[0]))
    assert told <= {(0, ""), (5, "error: the store is damaged: a page")}
    assert len(told) == 2


def test_what_this_process_wrote_is_not_checked_again_and_what_others_wrote_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checking a store takes longer than most passes of a watch, and nobody else writes while it is open."""
    path, checked, check = tmp_path / "own.duckdb", [], opening.require_store
    monkeypatch.setattr(opening, "require_store", lambda *given, **more: checked.append(check(*given, **more)))
    open_store(path, read_only=False).close()
    checked.clear()
    for value in ("a", "b"):
        with open_store(path, read_only=False) as store:
            store.remember("word", value)
    assert checked == []
    with duckdb.connect(str(path)) as other:
        other.execute("CREATE MACRO base.one() AS 1")
    with pytest.raises(InputError, match="it has the function `one`"):
        open_store(path, read_only=False)
