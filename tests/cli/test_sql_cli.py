"""`rightsize sql` and `rightsize queries`: stdout is data, stderr is narration, the exit code is the contract."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from rightsize.cli.main import run
from rightsize.store.connection import open_store
from rightsize.store.queries import query_text, question_names


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "s.duckdb"
    with open_store(path, read_only=False) as opened:
        opened.connection.execute("CREATE SCHEMA analysed")
        opened.connection.execute("CREATE TABLE analysed.t AS SELECT range AS a, 'n' || range AS b FROM range(5)")
        opened.connection.execute(
            "INSERT INTO base.deny_assignments (deny_assignment_id, deny_assignment_name, scope, principal_ids) "
            "VALUES ('d1', '=cmd|\x1b[2J', '/subscriptions/10000000-0000-0000-0000-000000000000', ['p1'])"
        )
    monkeypatch.setenv("RIGHTSIZE_DB", str(path))
    monkeypatch.setenv("COLUMNS", "80")
    return path


def _json(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, object]]:
    assert run([*arguments, "-o", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert isinstance(document, list)
    return document


@pytest.mark.slow
def test_json_is_a_list_of_row_objects(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Other programs read rows as objects, with the types of their columns."""
    assert _json(capsys, "sql", "FROM analysed.t WHERE a >= $n::INT ORDER BY a", "-p", "n=3") == [
        {"a": 3, "b": "n3"},
        {"a": 4, "b": "n4"},
    ]


@pytest.mark.slow
def test_a_value_may_hold_an_equals_sign(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only the first one ends the name, and a dollar sign before the name does no harm."""
    assert _json(capsys, "sql", "SELECT $x AS x", "-p", "$x=a=b") == [{"x": "a=b"}]


@pytest.mark.nightly
def test_a_statement_comes_from_stdin(
    store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dash reads it, so that it needs no quoting."""
    monkeypatch.setattr("sys.stdin", io.StringIO("SELECT count(*) AS n\nFROM analysed.t"))
    assert _json(capsys, "sql", "-") == [{"n": 5}]


@pytest.mark.nightly
def test_a_cut_is_said_on_stderr(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only rows go to stdout; with -q nothing is said."""
    assert run(["sql", "FROM analysed.t ORDER BY a", "--max-rows", "2", "-o", "csv"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "a,b\r\n0,n0\r\n1,n1\r\n"
    assert "first 2 rows" in captured.err
    assert run(["sql", "FROM analysed.t ORDER BY a", "--max-rows", "2", "-o", "csv", "-q"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.slow
@pytest.mark.many(6)
@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["sql", "DROP TABLE analysed.t"], 2, "DROP"),
        (["sql", "SELECT x FROM analysed.t"], 2, "x"),
        (["sql", "SELECT 1", "-p", "x"], 2, "`x` is not NAME=VALUE"),
        (["sql", "SELECT $x", "-p", "x=1", "-p", "x=2"], 2, "twice"),
        (["sql", "SELECT 1", "--max-rows", "0"], 2, "max-rows"),
        (["sql", "SELECT 1", "--db", "none.duckdb"], 5, "no store"),
        (["queries", "run", "standing-owner"], 2, "standing-owners"),
        (["queries", "show", "nothing-of-it"], 2, "queries list"),
        (["queries", "run", "used-operations"], 2, "principal"),
        (["queries", "run", "standing-owners", "--db", "none.duckdb"], 5, "no store"),
    ],
)
def test_a_mistake_ends_in_its_exit_code(
    store: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, says: str
) -> None:
    """Each mistake has the code of its kind, says what it is on stderr, and leaves stdout empty."""
    assert run(arguments) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert says in captured.err
    assert "Traceback" not in captured.err


@pytest.mark.slow
def test_every_question_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """The list needs no store, and says what each question takes and gives."""
    rows = _json(capsys, "queries", "list")
    assert [row["name"] for row in rows] == list(question_names())
    assert all(row["title"] and row["description"] and row["columns"] for row in rows)


@pytest.mark.slow
def test_a_question_is_shown_as_it_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    """What is shown can be changed and given to `sql`."""
    assert run(["queries", "show", "most-over-granted"]) == 0
    assert capsys.readouterr().out == query_text("most-over-granted")


@pytest.mark.nightly
def test_a_question_answers_like_its_sql(
    store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`queries run` and the shown text through `sql` give the same rows."""
    rows = _json(capsys, "queries", "run", "deny-assignments")
    assert [row["deny_assignment_id"] for row in rows] == ["d1"]
    monkeypatch.setattr("sys.stdin", io.StringIO(query_text("deny-assignments")))
    assert _json(capsys, "sql", "-") == rows


@pytest.mark.nightly
def test_names_cannot_drive_the_terminal_or_a_spreadsheet(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A hostile name is shown harmless, in a table, in records and in CSV."""
    for arguments in (
        ["sql", "SELECT deny_assignment_name AS n FROM deny_assignments"],
        ["sql", "FROM deny_assignments"],
    ):
        assert run(arguments) == 0
        out = capsys.readouterr().out
        assert "\x1b" not in out
        assert "=cmd|\\u001b[2J" in out
    assert run(["queries", "run", "deny-assignments", "-o", "csv"]) == 0
    assert "'=cmd|" in capsys.readouterr().out


@pytest.mark.nightly
@pytest.mark.parametrize("width", ["60", "80"])
def test_wide_rows_stand_below_each_other(
    store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: str
) -> None:
    """Where a table does not fit, each column has its line; a scope stays in one piece to be copied."""
    monkeypatch.setenv("COLUMNS", width)
    assert run(["queries", "run", "deny-assignments"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["deny_assignment_id", "d1"]
    assert any(line.endswith("/subscriptions/10000000-0000-0000-0000-000000000000") for line in lines)


@pytest.mark.slow
def test_no_rows_are_an_empty_table(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An answer without rows shows its columns, and is no error."""
    assert run(["sql", "FROM analysed.t WHERE false"]) == 0
    assert capsys.readouterr().out.split()[:2] == ["a", "b"]
