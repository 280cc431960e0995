"""`rightsize load`: counts for programs, no silent loss, and all files or none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rightsize.cli.main import run
from rightsize.store.connection import open_store
from rightsize.workflow.data import load_spark
from rightsize.workflow.data.load import LoadReport
from tests.ingest.entity_records import ACCOUNT, DENY, FLAT_ASSIGNMENT, FLAT_ROLE, SUB, USER, guid, page


@pytest.fixture
def db(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "store" / "s.duckdb"
    monkeypatch.setenv("RIGHTSIZE_DB", str(path))
    return path


@pytest.fixture
def exports(tmp_path: Path) -> Path:
    folder = tmp_path / "exports"
    folder.mkdir()
    bad = FLAT_ASSIGNMENT | {"scope": None, "name": guid(2)}
    for name, document in {
        "assignments.json": [FLAT_ASSIGNMENT, bad],
        "denies.json": {"value": [DENY]},
        "roles.json": [FLAT_ROLE],
        "subscriptions.json": [ACCOUNT],
        "users.json": page("users", USER),
    }.items():
        (folder / name).write_text(json.dumps(document), encoding="utf-8")
    (folder / "notes.txt").write_text("to do: ask for the logs\n", encoding="utf-8")
    return folder


def _loaded(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    assert run(["load", *arguments, "-o", "json"]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def _digest(path: Path) -> list[Any]:
    with open_store(path, read_only=True) as store:
        return [
            sorted(map(repr, store.table(name).rows()))
            for name in ("role_assignments", "role_definitions", "principals", "listings", "scopes", "loads", "rejects")
        ]


@pytest.mark.nightly
def test_each_file_is_counted(db: Path, exports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = _loaded(capsys, str(exports))
    assert [list(row) for row in rows] == [
        ["source", "path", "read", "new", "duplicate", "rejected", "unused_record"]
    ] * 6
    counts = {row["source"]: (row["read"], row["new"], row["duplicate"], row["rejected"]) for row in rows}
    assert counts == {
        "role_assignments": (2, 1, 0, 1),
        "deny_assignments": (1, 1, 0, 0),
        "role_definitions": (1, 1, 0, 0),
        "subscriptions": (1, 1, 0, 0),
        "users": (1, 1, 0, 0),
        "unknown": (0, 0, 0, 0),
    }


@pytest.mark.nightly
def test_loading_again_changes_nothing(db: Path, exports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _loaded(capsys, str(exports))
    before = _digest(db)
    rows = _loaded(capsys, str(exports))
    assert sum(row["new"] for row in rows) == 0
    assert _digest(db) == before


@pytest.mark.nightly
def test_the_order_of_files_does_not_matter(
    db: Path, exports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = sorted(str(path) for path in exports.glob("*.json"))
    _loaded(capsys, *paths)
    other = tmp_path / "other.duckdb"
    for path in reversed(paths):
        _loaded(capsys, path, "--db", str(other))
    assert _digest(other) == _digest(db)


@pytest.mark.nightly
def test_the_table_has_a_row_a_source_and_stderr_the_rest(
    db: Path, exports: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["load", str(exports)]) == 0
    captured = capsys.readouterr()
    assert "role_assignments" in captured.out
    assert str(exports) not in captured.out
    assert f"cannot recognise `{exports / 'notes.txt'}`" in captured.err
    assert "it has no `scope`" in captured.err
    assert "FROM rejects" in captured.err


@pytest.mark.nightly
def test_quiet_says_nothing(db: Path, exports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["load", str(exports), "-q"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.nightly
def test_verbose_shows_each_file(db: Path, exports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["load", str(exports), "-v"]) == 0
    assert "duplicate" in (out := capsys.readouterr().out)
    assert "".join(out.split()).count("exports/") >= 1


@pytest.mark.nightly
def test_a_hostile_file_name_does_not_reach_the_terminal(
    db: Path, exports: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (exports / "a\x1b[31m\u202e.txt").write_text("nothing\n", encoding="utf-8")
    assert run(["load", str(exports), "-v"]) == 0
    captured = capsys.readouterr()
    assert "\x1b" not in captured.out + captured.err
    assert "\u202e" not in captured.out + captured.err


@pytest.mark.nightly
def test_a_named_file_of_unknown_content_leaves_no_store(
    db: Path, exports: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["load", str(exports), str(exports / "notes.txt")]) == 0, "met in the folder first, so it is only listed"
    db.unlink()
    capsys.readouterr()
    assert run(["load", str(exports / "notes.txt")]) == 5
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "error:" in captured.err and "hint:" in captured.err
    assert not db.exists()


@pytest.mark.nightly
def test_a_failed_load_leaves_the_store_as_it_was(db: Path, exports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _loaded(capsys, str(exports / "roles.json"))
    before = _digest(db)
    damaged = exports / "damaged.json"
    damaged.write_text('[{"id": "x", "principalId": "p", "roleDefinitionId": "r", "scope": "/"}, {"id"', "utf-8")
    assert run(["load", str(exports / "users.json"), str(damaged)]) == 5
    assert _digest(db) == before


@pytest.mark.nightly
def test_stdin_is_read(db: Path, exports: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    with (exports / "users.json").open("rb") as file:
        monkeypatch.setattr("sys.stdin", type("Stdin", (), {"buffer": file})())
        (row,) = _loaded(capsys, "-")
    assert (row["path"], row["source"], row["new"]) == ("stdin", "users", 1)


@pytest.mark.nightly
def test_a_declared_window_is_kept(db: Path, exports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    declare = ["--covers", "2026-01-01..2026-01-31", "--source", "activity_log", "--scope", SUB + "/"]
    _loaded(capsys, str(exports), *declare)
    _loaded(capsys, str(exports), *declare)
    with open_store(db, read_only=True) as store:
        (window,) = store.table("declared_windows").iter_rows(named=True)
        days = store.frame("SELECT count(*) AS n FROM coverage WHERE state = 'declared_empty'")["n"].item()
    assert (window["source"], window["scope"], window["declared_by"]) == ("activity_log", SUB, "user")
    assert days == 31


@pytest.mark.slow
@pytest.mark.many(4)
@pytest.mark.parametrize(
    "options",
    [
        ["--covers", "2026-01-01..2026-01-31"],
        ["--covers", "2026-01-01..2026-01-31", "--source", "activity_log"],
        ["--covers", "2026-01-01", "--source", "sign_in_log"],
        ["--covers", "2026-01-31..2026-01-01", "--source", "sign_in_log"],
        ["--covers", "2026-01-01..2026-01-31", "--source", "diary", "--scope", SUB],
        ["--covers", "2026-01-01..2026-01-31", "--source", "activity_log", "--scope", "prod"],
        ["--source", "activity_log"],
        ["--scope", SUB],
    ],
)
def test_a_declaration_that_makes_no_sense_is_a_usage_error(
    options: list[str], db: Path, exports: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["load", str(exports), *options]) == 2
    assert capsys.readouterr().out == ""
    assert not db.exists()


@pytest.mark.nightly
def test_lines_of_rejects_are_those_of_the_file(db: Path, exports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = [json.dumps(FLAT_ASSIGNMENT | {"name": guid(number)}) for number in range(5000)]
    records[4321] = records[4321].replace(SUB + '"', 'nowhere"')
    path = exports / "many.jsonl"
    path.write_text("\n".join(records), encoding="utf-8")
    _loaded(capsys, str(path))
    with open_store(db, read_only=True) as store:
        assert store.table("rejects").select("line", "path").rows() == [(4322, str(path))]


@pytest.mark.nightly
def test_the_shared_exports_load(db: Path, shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = _loaded(capsys, str(shared_data / "logs"), str(shared_data / "arm"))
    parts = ("new", "duplicate", "rejected", "unused_record")
    assert all(row["read"] == sum(row[part] for part in parts) for row in rows)
    assert {row["path"].rsplit("/", 1)[-1] for row in rows if row["source"] == "unknown"} == {"README.txt"}
    assert sum(row["new"] for row in rows if row["source"].startswith(("role_", "deny_"))) == 5


def test_what_spark_is_told_is_what_was_said(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its address, settings, folder of results, tables and their rows; a setting without a value is refused."""
    told: dict[str, Any] = {}

    def load(*given: object, **named: object) -> LoadReport:
        told.update(named, given=given)
        return LoadReport((), ())  # nothing that is known

    monkeypatch.setattr(load_spark, "load_on_spark", load)
    command = ["load", "--engine", "spark", "--spark", "local[2]", "--table", "t", "--where", "day > 3"]
    assert run([*command, "--spark-conf", "a=b", "--spark-conf", "c=d=e", "--spark-results", "/r", "lake"]) == 5
    assert told["given"] == (db, ["lake"], "local[2]")
    assert (list(told["tables"]), told["where"]) == (["t"], "day > 3")
    assert (told["settings"], told["results"]) == ({"a": "b", "c": "d=e"}, "/r")
    assert run([*command, "--spark-conf", "a", "-q"]) == 2
