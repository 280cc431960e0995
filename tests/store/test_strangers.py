"""A store that a stranger made: what is not of the schema is refused before it runs, and what takes long is ended."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

import rightsize
from rightsize.cli.main import run
from rightsize.mcp.questions import Questions
from rightsize.model.errors import InputError, RightsizeError, UsageError
from rightsize.model.tables import TABLES
from rightsize.store import strangers
from rightsize.store.connection import Store, open_store
from rightsize.store.ddl import view_text
from rightsize.store.limits import ResourceLimits
from rightsize.store.migrations import SCHEMA_VERSION
from rightsize.store.pruning import compact
from tests.golden_files import WRITES
from tests.store.staged import calls, content, load, record
from tests.store.test_opening import held

SECRET = "never shown to a stranger"

ATTACKS = {
    "a view that reads a file": (
        "DROP TABLE base.group_members; CREATE VIEW base.group_members AS "
        "SELECT content AS group_id, content AS member_id, content AS member_type FROM read_text('{file}')",
        "it has the view `group_members`",
    ),
    "a view over every file of a folder": (
        "CREATE OR REPLACE VIEW main.rejects AS SELECT * FROM read_csv('{folder}/*.txt', header = false)",
        "the view `rejects` has another text",
    ),
    "a table of the version that is a view over a file": (
        "DROP TABLE base.meta; CREATE VIEW base.meta AS SELECT 'schema_version' AS name, content AS value "
        "FROM read_text('{file}')",
        "not a store of rightsize",
    ),
    "a macro with the name of a function": ("CREATE MACRO lower(x) AS 'hacked'", "it has the function `lower`"),
    "a macro with the name of an aggregate": ("CREATE MACRO count(x) AS 0", "it has the function `count`"),
    "macros that hide themselves": (
        "CREATE MACRO duckdb_functions() AS TABLE SELECT '' AS function_name, true AS internal WHERE false; "
        "CREATE MACRO duckdb_views() AS TABLE SELECT '' AS view_name WHERE false",
        "it has the function `duckdb_functions`",
    ),
    "a macro that reads a file": (
        "CREATE MACRO secret() AS TABLE SELECT * FROM read_text('{file}')",
        "it has the function `secret`",
    ),
    "another schema": ("CREATE SCHEMA extra; CREATE TABLE extra.t (a INTEGER)", "it has the schema `extra`"),
    "another table": ("CREATE TABLE base.more (a INTEGER)", "it has the table `more`"),
    "another table for SQL users": ("CREATE TABLE main.more (a INTEGER)", "it has the table `more`"),
    "another view": ("CREATE VIEW main.more AS SELECT 1 AS a", "it has the view `more`"),
    "a table with the columns of another": (
        "DROP TABLE base.rejects; CREATE TABLE base.rejects (name VARCHAR)",
        "the table `rejects` has other columns",
    ),
    "a column of another type": (
        "ALTER TABLE base.watch_files ALTER COLUMN size TYPE VARCHAR",
        "the table `watch_files` has other columns",
    ),
    "a column that compares otherwise": (
        "DROP TABLE base.assignment_names; "
        "CREATE TABLE base.assignment_names (assignment_key INTEGER, role_assignment_id VARCHAR COLLATE nocase)",
        "the table `assignment_names` has other columns",
    ),
    "no table": ("DROP TABLE base.rejects", "it lacks the table `rejects`"),
    "no view": ("DROP VIEW main.rejects", "it lacks the view `rejects`"),
    "a default": (
        "ALTER TABLE base.actors ALTER COLUMN actor SET DEFAULT error('run')",
        "it has the computed column `actors.actor`",
    ),
    "a generated column": (
        "DROP TABLE base.assignment_names; CREATE TABLE base.assignment_names "
        "(assignment_key INTEGER, role_assignment_id VARCHAR AS (assignment_key::VARCHAR))",
        "it has the computed column `assignment_names.role_assignment_id`",
    ),
    "a default of the stored analysis": (
        "CREATE SCHEMA analysed; CREATE TABLE analysed.names (id VARCHAR DEFAULT 'x')",
        "it has the computed column `names.id`",
    ),
    "a check": (
        "DROP TABLE base.assignment_names; CREATE TABLE base.assignment_names "
        "(assignment_key INTEGER CHECK (error('run') IS NULL), role_assignment_id VARCHAR)",
        "it has the constraint ",
    ),
    "a key": ("CREATE UNIQUE INDEX one ON base.actors (actor_key)", "it has the index `one`"),
    "a trigger": (
        "CREATE TRIGGER each AFTER INSERT ON base.actors FOR EACH STATEMENT DELETE FROM base.rejects",
        "it has the trigger `each`",
    ),
    "a type": ("CREATE TYPE mood AS ENUM ('a')", "it has the type `mood`"),
    "a sequence": ("CREATE SEQUENCE counter", "it has the sequence `counter`"),
    "a view with a column in another order": (
        "CREATE OR REPLACE VIEW main.signal_entities AS " + view_text(
            next(one for one in TABLES if one.name == "signal_entities")
        ).replace("e.value", "e.entity_kind"),
        "the view `signal_entities` has another text",
    ),
}  # fmt: skip
"""What a stranger did to a store, and what is said of it."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one call."""
    path = tmp_path_factory.mktemp("whole") / "s.duckdb"
    with open_store(path, read_only=False) as store:
        load(store, calls(record()))
    return path


Attacked = Callable[[str], Path]


def _compare(path: Path) -> None:
    with duckdb.connect(str(path), read_only=True) as con:
        strangers.require_schema(con, path)


def test_the_views_of_a_store_are_known(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that they need not be parsed; `RIGHTSIZE_WRITE_GOLDEN=1` notes them anew after a change of the schema."""
    with duckdb.connect(str(whole), read_only=True) as con:
        assert strangers.views_of(con) == strangers.declared_views(con)
    if WRITES:
        with duckdb.connect(str(whole), read_only=True) as con:
            known = strangers.known_schema(strangers.columns_of(con), strangers.views_of(con))
        strangers.KNOWN.write_text(f"{known}\n", encoding="ascii")
    monkeypatch.setattr(strangers, "declared_views", dict)
    _compare(whole)


@pytest.mark.parametrize("attack", ["a view over every file of a folder", "no view", "another view"])
def test_views_that_are_not_known_are_compared_one_by_one(
    whole: Path, attacked: Attacked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attack: str
) -> None:
    """As with a version of DuckDB that writes them in another way."""
    monkeypatch.setattr(strangers, "KNOWN", tmp_path / "none.txt")
    (tmp_path / "none.txt").touch()
    _compare(whole)
    with pytest.raises(InputError, match=ATTACKS[attack][1]):
        _compare(attacked(attack))


@pytest.fixture
def attacked(whole: Path, tmp_path: Path) -> Attacked:
    """Gives a copy of the store to which an attack was done."""

    def of(name: str) -> Path:
        (tmp_path / "secret.txt").write_text(SECRET, encoding="utf-8")
        path = Path(shutil.copy(whole, tmp_path / "s.duckdb"))
        with duckdb.connect(str(path)) as con:
            con.execute(ATTACKS[name][0].format(file=tmp_path / "secret.txt", folder=tmp_path))
        return path

    return of


def said_of(attempt: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        attempt()
    return caught.value.message


@pytest.mark.slow
@pytest.mark.parametrize("name", ATTACKS)
def test_a_store_that_holds_more_or_other_than_the_schema_is_refused(attacked: Attacked, name: str) -> None:
    """Whether it is read or written, and before a statement runs what it holds."""
    path = attacked(name)
    assert ATTACKS[name][1] in said_of(lambda: open_store(path, read_only=True))
    assert ATTACKS[name][1] in said_of(lambda: open_store(path, read_only=False))


@pytest.mark.slow
@pytest.mark.many(8)
@pytest.mark.parametrize("name", sorted({*ATTACKS} - {"a table of the version that is a view over a file"}))
def test_an_older_store_is_refused_too(attacked: Attacked, name: str) -> None:
    """What brings it up to date runs nothing that it holds, and is no way around the comparison."""
    path = attacked(name)
    with duckdb.connect(str(path)) as con:
        con.execute("CREATE OR REPLACE TABLE base.meta (name VARCHAR, value VARCHAR)")
        con.execute(f"INSERT INTO base.meta VALUES ('schema_version', '{SCHEMA_VERSION - 1}')")
    try:
        with open_store(path, read_only=False) as store:
            assert store.table("rejects").is_empty()
    except InputError as error:
        assert SECRET not in error.message
    else:
        # Views are made anew; what else there is was refused.
        assert "view" in name


FACES = ["status", "analyze", "report", "propose", "explain anna", "who-can x --at /", "check", "sql"]


@pytest.mark.slow
@pytest.mark.many(8)
@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize(
    "name", ["a view that reads a file", "a view over every file of a folder", "a macro with the name of a function"]
)
def test_every_command_refuses_it_with_one_clear_error(
    attacked: Attacked, name: str, face: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["sql", "FROM rejects"] if face == "sql" else face.split()
    out = ["--out", str(tmp_path / "out")] if face in ("report", "propose") else []
    assert run([*words, *out, "--db", str(attacked(name))]) == 5
    told = capsys.readouterr()
    assert ATTACKS[name][1] in told.err
    assert told.err.count("error: ") == 1
    assert SECRET not in told.out + told.err
    assert not (tmp_path / "out").exists()


def test_python_refuses_it(attacked: Attacked) -> None:
    path = attacked("a view that reads a file")
    assert ATTACKS["a view that reads a file"][1] in said_of(lambda: rightsize.open(path, read_only=True))


@pytest.mark.slow
def test_an_agents_questions_refuse_it(attacked: Attacked) -> None:
    """Those that go through the workflows, and those of `sql`, which has a process of its own."""
    path = attacked("a view that reads a file")
    questions = Questions(path, path.parent, 50, 60)
    for ask in (
        lambda: questions.can("anna", "x/read", "/", None),
        lambda: questions.sql("FROM group_members", {}),
    ):
        assert ATTACKS["a view that reads a file"][1] in said_of(ask)


@pytest.mark.slow
@pytest.mark.parametrize("read_only", [True, False])
def test_no_statement_on_a_store_reads_a_file(whole: Path, tmp_path: Path, read_only: bool) -> None:
    """Not even one of our own, but for those of a load; access that was shut is not opened again."""
    (tmp_path / "secret.txt").write_text(SECRET, encoding="utf-8")
    path = shutil.copy(whole, tmp_path / "s.duckdb")
    with open_store(path, read_only=read_only) as store:
        for statement in (
            f"FROM read_text('{tmp_path}/secret.txt')",
            f"FROM '{tmp_path}/secret.txt'",
            f"COPY (SELECT 1) TO '{tmp_path}/out'",
            f"ATTACH '{tmp_path}/other.duckdb'",
            "SET enable_external_access = true",
        ):
            with pytest.raises(duckdb.Error, match=r"disabled|Cannot|does not exist"):
                store.connection.execute(statement)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["s.duckdb", "secret.txt"]


@pytest.mark.nightly
def test_a_store_that_was_written_again_and_again_is_still_the_same(whole: Path, tmp_path: Path) -> None:
    """DuckDB keeps some lists of a view in no order, which may change whenever the file is written."""
    path = Path(shutil.copy(whole, tmp_path / "s.duckdb"))
    with open_store(path, read_only=True) as store:
        before = content(store)
    for _ in range(3):
        with open_store(path, read_only=False) as store:
            store.connection.execute("CREATE TABLE base.later (a INTEGER)")
            store.connection.execute("DROP TABLE base.later")
            store.connection.execute("FORCE CHECKPOINT")
    compact(path)
    with open_store(path, read_only=True) as store:
        assert content(store) == before


ENDLESS = "SELECT count(*) AS n FROM range(100000000) AS a, range(100000000) AS b WHERE a.range % 7 = b.range % 11"


@pytest.mark.slow
@pytest.mark.parametrize("read", [Store.frame, Store.rows, lambda store, sql: store.connection.execute(sql)])
def test_what_reads_a_store_too_long_is_ended(whole: Path, read: Callable[[Store, str], object]) -> None:
    """A statement of frames, of rows, and one that goes to the connection itself."""
    limits = ResourceLimits(seconds=0.3)

    def attempt() -> None:
        with open_store(whole, read_only=True, limits=limits) as store:
            read(store, ENDLESS)

    assert "took longer than 0.3 s" in said_of(attempt)


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process has all the memory of its machine."""
    monkeypatch.setattr(strangers, "machine_memory", strangers.process_memory)
    yield


@pytest.mark.slow
@pytest.mark.usefixtures("little_memory")
def test_what_takes_the_memory_of_the_machine_is_ended(whole: Path) -> None:
    """The rows that DuckDB hands on are counted, too."""

    def attempt() -> None:
        with open_store(whole, read_only=True) as store:
            store.frame(ENDLESS)

    assert "of memory, 90% of what the machine has" in said_of(attempt)


@pytest.mark.slow
def test_the_time_comes_from_the_environment(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIGHTSIZE_TIME_LIMIT", "soon")
    with pytest.raises(UsageError, match="`soon` is not a number of seconds"):
        open_store(whole, read_only=True)


@pytest.mark.slow
def test_a_watch_ends_with_its_store(whole: Path) -> None:
    """Also where nobody closes the store, and where it is closed twice."""
    before = threading.active_count()
    store = open_store(whole, read_only=True)
    assert threading.active_count() == before + 1
    store.close()
    store.close()
    assert threading.active_count() == before
    open_store(whole, read_only=True)
    assert threading.active_count() == before


@pytest.mark.slow
def test_a_process_writes_a_store_once_at_a_time(whole: Path, tmp_path: Path) -> None:
    """DuckDB would let both work for minutes, and then fail the commit of the later one."""
    path = Path(shutil.copy(whole, tmp_path / "s.duckdb"))
    with open_store(path, read_only=False):
        assert "is in use by this process" in said_of(lambda: open_store(path, read_only=False))
        assert "is in use by this process" in said_of(lambda: open_store(path, read_only=True))
    with open_store(path, read_only=False):
        pass
    open_store(path, read_only=False)
    open_store(path, read_only=False).close()


@pytest.mark.slow
def test_a_plan_of_a_store_that_the_same_program_writes_says_so_at_once(whole: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(whole, tmp_path / "s.duckdb"))
    asked = rightsize.open(path)
    with open_store(path, read_only=False):
        said = said_of(lambda: asked.propose(out=tmp_path / "plan"))
    assert "is in use by this process" in said
    assert not (tmp_path / "plan").exists()


@pytest.mark.nightly
def test_a_plan_of_a_store_in_use_says_so_at_once(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(shutil.copy(whole, tmp_path / "s.duckdb"))
    with held(path, "write"):
        assert run(["propose", "--db", str(path), "--out", str(tmp_path / "plan")]) == 5
    assert "is in use by another process" in capsys.readouterr().err


FULL = [
    duckdb.TransactionException('Failed to commit: Could not write file "s.duckdb.wal": No space left on device'),
    duckdb.IOException('Could not write file "s.duckdb.wal": File too large'),
    OSError(28, "No space left on device"),
    duckdb.OutOfMemoryException("failed to allocate data"),
    RuntimeError("Corrupt database file: computed checksum differs"),
]


@pytest.mark.slow
@pytest.mark.parametrize("error", FULL, ids=lambda error: type(error).__name__)
def test_what_a_machine_lacks_is_told_whoever_uses_the_store(whole: Path, error: Exception) -> None:
    """A full disk, too little memory, a damaged page: no internal error, whichever command meets it."""
    with pytest.raises(InputError, match=r"disk is full|too little memory|store is damaged"):  # noqa: SIM117
        with open_store(whole, read_only=True):
            raise error


@pytest.mark.slow
@pytest.mark.parametrize("error", [ZeroDivisionError(), InputError("else"), KeyboardInterrupt()])
def test_any_other_error_is_the_error_that_is_told(whole: Path, error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, open_store(whole, read_only=True):
        raise error
    assert caught.value is error
    assert not isinstance(error, RightsizeError) or error.message == "else"
