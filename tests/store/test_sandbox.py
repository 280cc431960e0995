"""Ad-hoc SQL can read the store, and do nothing else."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
import shutil
import sys
import time
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rightsize.model.errors import InputError, UsageError
from rightsize.store import sandbox, sandbox_process
from rightsize.store.connection import open_store
from rightsize.store.sandbox import decode, encode, run_statement
from tests.examples import SOME
from tests.store.sql_here import run_here

_SOON = 20
"""Seconds within which a process that was ended is gone, on the slowest machine."""
ESCAPES = {
    "writes a file": "COPY (SELECT 1) TO '{out}'",
    "writes the terminal": "COPY (SELECT 1) TO '/dev/stdout'",
    "writes a file inside WITH": "WITH x AS (COPY analysed.t TO '{out}') SELECT 1",
    "exports the store": "EXPORT DATABASE '{out}'",
    "imports a folder": "IMPORT DATABASE '{out}'",
    "attaches a file": "ATTACH '{out}' AS other",
    "attaches memory": "ATTACH ':memory:' AS other",
    "detaches": "DETACH store",
    "uses": "USE memory",
    "reads CSV": "SELECT * FROM read_csv('{secret}')",
    "reads text": "SELECT * FROM read_text('{secret}')",
    "reads bytes": "SELECT * FROM read_blob('{secret}')",
    "reads JSON": "SELECT * FROM read_json('{secret}')",
    "reads Parquet metadata": "SELECT * FROM parquet_metadata('{secret}')",
    "reads a file by its name": "FROM '{secret}'",
    "lists files": "FROM glob('/*')",
    "sniffs a file": "FROM sniff_csv('{secret}')",
    "reads a file by dynamic SQL": "FROM query('SELECT * FROM read_text(''{secret}'')')",
    "drops by dynamic SQL": "FROM query('DROP TABLE analysed.t')",
    "installs": "INSTALL httpfs",
    "loads": "LOAD json",
    "loads a path": "LOAD '{out}'",
    "pragma": "PRAGMA database_list",
    "sets": "SET memory_limit = '100GB'",
    "resets": "RESET memory_limit",
    "unlocks": "SET lock_configuration = false",
    "sets a variable": "SET VARIABLE x = 1",
    "calls": "CALL pragma_version()",
    "checkpoints": "CHECKPOINT",
    "vacuums": "VACUUM",
    "creates": "CREATE TABLE x AS SELECT 1",
    "creates a temporary table": "CREATE TEMP TABLE x AS SELECT 1",
    "creates a macro": "CREATE MACRO f(x) AS x",
    "creates a secret": "CREATE SECRET s (TYPE s3)",
    "inserts": "INSERT INTO analysed.t VALUES (9, 'x')",
    "inserts inside WITH": "WITH x AS (INSERT INTO analysed.t VALUES (9, 'x') RETURNING a) SELECT * FROM x",
    "updates": "UPDATE analysed.t SET a = 9",
    "updates inside WITH": "WITH x AS (UPDATE analysed.t SET a = 9 RETURNING a) SELECT * FROM x",
    "deletes": "DELETE FROM analysed.t",
    "deletes inside WITH": "WITH x AS (DELETE FROM analysed.t RETURNING a) SELECT * FROM x",
    "drops": "DROP TABLE analysed.t",
    "alters": "ALTER TABLE analysed.t ADD COLUMN z INTEGER",
    "prepares": "PREPARE p AS SELECT 1",
    "executes": "EXECUTE p",
    "begins": "BEGIN",
    "two statements": "SELECT 1; SELECT 2",
    "a second one that drops": "SELECT 1; DROP TABLE analysed.t",
    "hidden behind a comment": "SELECT 1 --\n; DROP TABLE analysed.t",
    "hidden behind a block comment": "/* SELECT 1 */ DROP TABLE analysed.t",
    "hidden behind a nested comment": "/* /* */ SELECT 1; */ DROP TABLE analysed.t",
    "runs what it explains": "EXPLAIN ANALYZE SELECT 1",
    "runs what it explains, with a comment between": "EXPLAIN/**/ANALYZE CREATE TEMP TABLE x AS SELECT 1",
    "runs what it explains, in brackets": "EXPLAIN (ANALYZE) SELECT 1",
    "runs what it explains, after a comment": "-- EXPLAIN SELECT 1\rEXPLAIN ANALYZE CREATE TEMP TABLE x AS SELECT 1",
    "explains what writes": "EXPLAIN COPY analysed.t TO '{out}'",
    "a pivot that makes a type": "PIVOT analysed.t ON a USING count(*)",
    "updates extensions": "UPDATE EXTENSIONS",
    "reads settings": "FROM duckdb_settings()",
    "reads settings by a quoted name": 'SELECT value FROM system.main."DuckDB_Settings" ()',
    "reads where databases are": "SELECT path FROM duckdb_databases()",
    "reads where databases are, as a pragma": "FROM pragma_database_list",
    "reads where files are allowed": "SELECT current_setting('allowed_paths')",
    "reads a setting by half a name": "SELECT current_setting('allowed' || '_paths')",
    "hides the name of a function": "FROM query('FROM duckdb' || '_settings()')",
    "hides the bracket behind a comment": "FROM query/**/('FROM duckdb' || '_settings()')",
    "hides the bracket of a setting behind a line": "SELECT current_setting --\n('threads')",
    "runs a serialised statement": "FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
    "reads settings as PostgreSQL has them": "FROM pg_catalog.pg_settings",
    "reads extensions": "FROM duckdb_extensions()",
    "reads secrets": "FROM duckdb_secrets()",
    "nothing": "",
    "only a comment": "-- SELECT 1",
    "no SQL": "who am I",
    "no UTF-8": "SELECT '\udc80'",
}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("filled") / "store.duckdb"
    with open_store(path, read_only=False) as opened:
        opened.connection.execute("CREATE SCHEMA analysed")
        opened.connection.execute("CREATE TABLE analysed.t AS SELECT range AS a, 'n' || range AS b FROM range(5)")
    return path


@pytest.fixture
def store(filled: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(filled, tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("what", sorted(ESCAPES))
def test_a_statement_that_does_more_than_read_is_refused(store: Path, tmp_path: Path, what: str) -> None:
    """Each escape ends in an error that the user can act on, changes no byte of the store and makes no file."""
    secret = tmp_path / "secret.txt"
    secret.write_text("secret", encoding="utf-8")
    before = hashlib.sha256(store.read_bytes()).hexdigest()
    with pytest.raises(UsageError) as caught:
        sandbox.require_size(ESCAPES[what])
        run_here(store, ESCAPES[what].format(out=tmp_path / "out", secret=secret))
    assert "Error" not in caught.value.message
    assert "\n" not in caught.value.message
    assert hashlib.sha256(store.read_bytes()).hexdigest() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret.txt", "store.duckdb"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT a, b FROM analysed.t WHERE a = 1", [{"a": 1, "b": "n1"}]),
        ("WITH x AS (SELECT 1 AS one) SELECT * FROM x;", [{"one": 1}]),
        ("WITH v AS (SELECT a FROM analysed.t WHERE a > 2) FROM v ORDER BY a", [{"a": 3}, {"a": 4}]),
        ("VALUES (1)", [{"col0": 1}]),
        ("-- a comment; with a semicolon\nSELECT count(*) AS n FROM analysed.t -- ; DROP TABLE analysed.t", [{"n": 5}]),
        ("SELECT '; DROP TABLE analysed.t' AS text", [{"text": "; DROP TABLE analysed.t"}]),
        ("SELECT 1.5 AS x, 2::DECIMAL(4,2) AS y", [{"x": 1.5, "y": 2.0}]),
        ("SELECT 1 AS a, 2 AS a, 3 AS a_2", [{"a": 1, "a_3": 2, "a_2": 3}]),
        ("FROM analysed.t PIVOT (count(b) FOR a IN (1, 2))", [{"1": 1, "2": 1}]),
        ("SELECT current_setting('TimeZone') AS zone", [{"zone": "UTC"}]),
        ("SELECT a FROM analysed.t WHERE false", []),
    ],
)
def test_what_reads_runs(store: Path, sql: str, rows: list[dict[str, object]]) -> None:
    """Every kind of statement that reads gives its rows as objects."""
    assert run_here(store, sql).rows == rows


@pytest.mark.slow
@pytest.mark.parametrize(
    "sql",
    [
        "DESCRIBE analysed.t",
        "SUMMARIZE analysed.t",
        "SHOW TABLES",
        "SHOW ALL TABLES",
        "SHOW DATABASES",
        "EXPLAIN SELECT 1",
        "/* c */ explain FROM analysed.t",
        "FROM duckdb_tables()",
        "FROM duckdb_memory()",
        "FROM pragma_database_size()",
        "FROM information_schema.schemata",
    ],
)
def test_what_describes_runs(store: Path, sql: str) -> None:
    """So does what says how the store looks, and nothing of it says where the store is."""
    rows = run_here(store, sql).rows
    assert rows
    assert str(store.parent) not in str(rows)


@pytest.mark.nightly
def test_rows_are_capped(store: Path) -> None:
    """No more rows come than were asked for, and the answer says that there were more."""
    cut = run_statement(store, "FROM analysed.t ORDER BY a", {}, max_rows=4)
    assert ([row["a"] for row in cut.rows], cut.cut) == ([0, 1, 2, 3], True)
    whole = run_statement(store, "FROM analysed.t ORDER BY a", {}, max_rows=5)
    assert (len(whole.rows), whole.cut) == (5, False)


@pytest.mark.nightly
def test_parameters_are_values(store: Path) -> None:
    """A parameter is a value, whatever it holds, and its name has no case."""
    hostile = "x'; DROP TABLE analysed.t; --"
    assert run_statement(store, "SELECT $Name AS x", {"name": hostile}).rows == [{"x": hostile}]
    assert run_statement(store, "FROM analysed.t WHERE a >= $n::INT AND a < $m", {"n": "1", "m": 2}).rows == [
        {"a": 1, "b": "n1"}
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sql", "parameters", "named"),
    [
        ("SELECT $n", {}, "needs a value for `$n`"),
        ("SELECT $n, $m", {"n": 1}, "needs a value for `$m`"),
        ("SELECT ?", {}, "needs a value for `$1`"),
        ("SELECT 1", {"n": 1}, "no parameter `$n`"),
        ("SELECT $n", {"n": 1, "other": 1}, "no parameter `$other`"),
    ],
)
def test_missing_and_extra_parameters_are_named(
    store: Path, sql: str, parameters: dict[str, object], named: str
) -> None:
    """A parameter that is missing or too many is an error with its name."""
    with pytest.raises(UsageError) as caught:
        run_here(store, sql, parameters)
    assert named in caught.value.message


@pytest.mark.slow
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM range(100000000) a, range(100000000) b",
        "WITH RECURSIVE r AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM r) SELECT max(x) FROM r",
        "SELECT length(lpad('x', 2000000000, 'y'))",
    ],
)
def test_an_endless_statement_is_ended(store: Path, sql: str) -> None:
    """The time-out ends it wherever it is, within a single value too, and says which option gives more."""
    began = time.monotonic()
    with pytest.raises(UsageError, match="stopped after") as caught:
        run_statement(store, sql, {}, timeout=0.2)
    assert "--timeout" in (caught.value.hint or "")
    assert time.monotonic() - began < _SOON


@pytest.mark.slow
def test_a_statement_cannot_take_all_memory(store: Path) -> None:
    """Past the limit it ends in an error, and spills nothing to the disk."""
    with pytest.raises(UsageError, match="needs more memory than its limit of 64 MiB"):
        run_statement(store, "SELECT list(range) FROM range(100000000)", {}, memory=64 << 20)
    assert [path.name for path in store.parent.iterdir()] == ["store.duckdb"]


@pytest.mark.nightly
@pytest.mark.skipif(sys.platform != "linux", reason="the address space is limited on Linux alone")
def test_what_the_planner_takes_is_limited_too(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nested views of 1 kB would take gigabytes that DuckDB does not count; the process may not take them.

    Where the memory ends inside DuckDB it sometimes ends the process, so that the error can only say what is likely.
    """
    monkeypatch.setattr(sandbox, "OVERHEAD", 700 << 20)
    parts = ["a0 AS NOT MATERIALIZED (SELECT 1 AS x)"]
    parts += [f"a{n} AS NOT MATERIALIZED (SELECT l.x FROM a{n - 1} AS l, a{n - 1} AS r)" for n in range(1, 24)]
    sql = f"WITH {', '.join(parts)} SELECT count(*) FROM a23"
    with pytest.raises(UsageError) as caught:
        run_statement(store, sql, {}, memory=64 << 20)
    assert "memory" in f"{caught.value.message} {caught.value.hint}"


def test_memory_is_watched_where_it_cannot_be_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a limit of the address space, the process is ended as soon as it takes more than it may."""
    monkeypatch.setattr(sandbox, "is_limited", lambda: False)
    monkeypatch.setattr(sandbox, "PROGRAM", "import time; held = b'x' * (200 << 20); time.sleep(60)")
    reasons: list[str] = []
    with sandbox.started() as process, sandbox.memory_watched(process, 100 << 20, reasons):
        assert process.wait() != 0
    assert reasons == ["memory"]


@pytest.mark.slow
def test_a_long_statement_is_refused(store: Path) -> None:
    """Parsing takes memory and time beyond all measure of the length, so that the length has a limit."""
    with pytest.raises(UsageError, match="the limit is 100,000"):
        run_statement(store, " UNION ALL ".join(["SELECT 1"] * 20_000), {})


@pytest.mark.slow
def test_a_large_answer_is_refused(store: Path) -> None:
    """Rows that together are larger than an answer may be are an error, and do not come to this process."""
    with pytest.raises(UsageError, match="larger than its limit of 1 MiB"):
        run_here(store, "SELECT repeat('x', 400000) FROM range(5)")


@pytest.mark.slow
def test_a_process_that_breaks_is_an_error(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a broken process leaves, the caller gets an error and no exception of another kind."""
    for wrote in ("'not json'", "'[]'", "'{}'", '\'{"columns": 1, "rows": [], "cut": 0}\'', "''"):
        monkeypatch.setattr(sandbox, "PROGRAM", f"import sys; sys.stdout.write({wrote})")
        with pytest.raises(UsageError, match="broke the process"):
            run_statement(store, "SELECT 1", {})


@pytest.mark.slow
def test_the_process_gets_nothing_of_the_environment(
    store: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither variables, which may have tokens, nor modules that lie in the folder."""
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "s3cret")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "json.py").write_text("raise SystemExit", encoding="utf-8")
    assert run_statement(store, "SELECT 1 AS one", {}).rows == [{"one": 1}]
    monkeypatch.setattr(sandbox, "PROGRAM", "import os, sys; sys.stdout.write(' '.join(os.environ))")
    with sandbox.started() as process:
        assert process.stdout is not None
        # Memory's own setting, and the locale, which Python itself sets.
        assert set(process.stdout.read().split()) <= {b"MALLOC_ARENA_MAX", b"LC_CTYPE"}


@pytest.mark.slow
def test_values_keep_their_types(store: Path) -> None:
    """Every type of DuckDB's comes back from the other process as Python has it."""
    sql = r"""SELECT true AS flag, 1 AS small, 0.5::DOUBLE AS real, 'nan'::DOUBLE AS nan, 1.25::DECIMAL(9, 2) AS exact,
        170141183460469231731687303715884105727::HUGEINT AS huge, 'é' AS text, '\x00\xFF'::BLOB AS bytes,
        DATE '2026-02-28' AS day, TIMESTAMP '2026-02-28 01:02:03.5' AS at, TIMESTAMPTZ '2026-02-28 01:02:03+01' AS utc,
        TIME '01:02:03' AS clock, INTERVAL '1 day 2 seconds' AS wait, NULL AS nothing, [1, NULL] AS list,
        {'a': DATE '2026-01-01', '$': 'x'} AS struct, MAP {'k': 1} AS map,
        uuid '00000000-0000-0000-0000-000000000001' AS id"""
    row = run_statement(store, sql, {}).rows[0]
    assert math.isnan(row.pop("nan"))
    assert row == {
        "flag": True,
        "small": 1,
        "huge": 2**127 - 1,
        "real": 0.5,
        "exact": 1.25,
        "text": "é",
        "bytes": b"\x00\xff",
        "day": dt.date(2026, 2, 28),
        "at": dt.datetime(2026, 2, 28, 1, 2, 3, 500_000),
        "utc": dt.datetime(2026, 2, 28, 0, 2, 3, tzinfo=dt.UTC),
        "clock": dt.time(1, 2, 3),
        "wait": dt.timedelta(days=1, seconds=2),
        "nothing": None,
        "list": [1, None],
        "struct": {"a": dt.date(2026, 1, 1), "$": "x"},
        "map": {"k": 1},
        "id": UUID(int=1),
    }


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary() | st.dates(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    )
)
@SOME
def test_what_is_encoded_is_decoded(value: object) -> None:
    """Writing a value as JSON and reading it gives the value."""
    assert decode(json.loads(json.dumps(encode(value)))) == value


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("SELECT x FROM analysed.t", "x"),
        ("SELECT * FROM nothing", "nothing"),
        ("SELECT 'a'::INT", "Could not convert"),
        ("SELEC 1", "SELEC"),
    ],
)
def test_an_error_of_the_statement_says_where(store: Path, sql: str, says: str) -> None:
    """What DuckDB says of a statement is kept, in one line."""
    with pytest.raises(UsageError) as caught:
        run_here(store, sql)
    assert says.lower() in caught.value.message.lower()


@pytest.mark.slow
def test_a_missing_store_is_not_made(tmp_path: Path) -> None:
    """Asking an absent store says how to get one, and makes no file."""
    with pytest.raises(InputError, match="no store") as caught:
        run_statement(tmp_path / "none.duckdb", "SELECT 1", {})
    assert "load" in (caught.value.hint or "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"", b"no database", b"\0" * 20_000])
def test_a_file_that_is_no_store_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    """A file of something else is the user's mistake, and stays as it is."""
    path = tmp_path / "other.duckdb"
    path.write_bytes(content)
    with pytest.raises(InputError, match="other"):
        run_statement(path, "SELECT 1", {})
    assert path.read_bytes() == content


_TEXTS = st.lists(
    st.one_of(
        st.sampled_from(
            ["SELECT", "FROM", "t", "1", ";", "--", "/*", "*/", "'", '"', "(", ")", "EXPLAIN", "ANALYZE", "$x"]
        ),
        st.sampled_from(
            ["COPY", "TO", "WITH x AS", "INSERT INTO", "DROP TABLE", "SET", "PIVOT", "\n", "\r", "\0", "$$"]
        ),
        st.text(max_size=3),
    ),
    max_size=8,
).map(" ".join)


@pytest.mark.nightly
@given(sql=_TEXTS)
@settings(SOME, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_does_harm(store: Path, sql: str) -> None:
    """Whatever is typed gives rows or a mistake of the user's, and the store stays as it is."""
    before = store.read_bytes()
    try:
        sandbox.require_size(sql)
        answer = run_here(store, sql, rows=3)
    except UsageError as error:
        assert error.message
    else:
        assert all(tuple(row) == answer.columns for row in answer.rows)
    assert store.read_bytes() == before


@given(names=st.lists(st.sampled_from(["a", "a_2", "a_3", "b", "b_2"]), max_size=8))
@SOME
def test_names_of_columns_become_distinct(names: list[str]) -> None:
    """Every column keeps a name of its own, and the first of a name keeps it."""
    distinct = sandbox_process.distinct_names(names)
    assert len(set(distinct)) == len(names) == len(distinct)
    for place, name in enumerate(names):
        assert distinct[place].startswith(name)
        if name not in names[:place]:
            assert distinct[place] == name
