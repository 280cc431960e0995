"""`rightsize status`: the loaded data, readable on a narrow terminal and by a program."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from rightsize.cli.main import run
from rightsize.store.connection import open_store

SUB = "/subscriptions/{}0000000-0000-0000-0000-000000000000"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "s.duckdb"
    with open_store(path, read_only=False) as opened:
        execute = opened.connection.execute
        execute("INSERT INTO base.loads VALUES ('h1', 'activity_log', 'a.json', 12345, 2, 40)")
        execute("INSERT INTO base.loads VALUES ('h2', 'activity_log', 'b.json', 5, 0, NULL)")
        execute("INSERT INTO base.loads VALUES ('h3', 'graph_users', 'u.json', 7, 0, 0)")
        execute("INSERT INTO base.rejects VALUES ('h1', 3, 'no time \x1b[2J', 'activity_log', 'a.json', '{}')")
        execute("INSERT INTO base.rejects VALUES ('h1', 4, 'no time \x1b[2J', 'activity_log', 'a.json', '{}')")
        execute("INSERT INTO base.principals (principal_id, principal_type) VALUES ('p1', 'User'), ('p2', 'Group')")
        for number in range(1, 6):
            execute(
                "INSERT INTO base.coverage "
                "SELECT 'activity_log', 'Administrative', $scope, DATE '2026-01-01' + range::INT, 4, "
                "CASE range WHEN 3 THEN 'quiet' WHEN 5 THEN 'missing' ELSE 'observed' END, NULL FROM range(10)",
                {"scope": SUB.format(number)},
            )
        execute(
            "INSERT INTO base.coverage "
            "SELECT 'sign_in_log', 'interactive', '/', DATE '2026-02-01' + range::INT, 0, 'declared_empty', 'user' "
            "FROM range(2)"
        )
    monkeypatch.setenv("RIGHTSIZE_DB", str(path))
    return path


@pytest.mark.nightly
@pytest.mark.parametrize("width", [60, 80])
def test_the_page_fits_the_terminal(
    store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    """No line is wider than the terminal, nothing drives it, and what counts is said once."""
    monkeypatch.setenv("COLUMNS", str(width))
    assert run(["status"]) == 0
    captured = capsys.readouterr()
    assert all(len(line) <= width for line in captured.out.splitlines())
    assert "\x1b" not in captured.out
    flat = " ".join(captured.out.split())
    assert "files records rejected not used activity_log 2 12,350 2 40" in flat
    assert "graph_users 1 7 0 0" in flat
    assert "principals in listings: 2 (Group 1, User 1)" in flat
    assert "2026-01-01 to 2026-01-10: observed 8, quiet 1, missing 1" in flat
    assert "2026-02-01 to 2026-02-02: declared empty 2" in flat
    assert "2 activity_log: no time \\u001b[2J" in flat
    assert "catalogue" in captured.err


@pytest.mark.slow
def test_the_window_ends_with_the_log_of_use(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is the one that an analysis would use: sign-in logs do not move it."""
    assert run(["status", "-o", "json"]) == 0
    window = json.loads(capsys.readouterr().out)["window"]
    assert window == {"first_day": "2025-10-13", "last_day": "2026-01-10", "days": 90}


@pytest.mark.slow
def test_sign_ins_are_the_rows_of_their_view(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A day counts once for a principal with two names, by its name alone, and in whole and reduced records."""
    days = [("p1", "old"), ("p1", "new"), ("p2", "two"), ("p3", None), (None, "P2"), (None, "p3"), (None, "nobody")]
    with open_store(store, read_only=False) as opened:
        execute = opened.connection.execute
        execute("INSERT INTO base.principal_aliases (alias, principal_id) VALUES ('P2', 'p2')")
        for who, name in days:
            execute(
                "INSERT INTO base.sign_in_days "
                "SELECT $who, $name, 'app', 'r', kind, DATE '2026-01-01', 'R', 1, 0, NULL "
                "FROM (VALUES ('interactive'), ('non_interactive')) AS k (kind)",
                {"who": who, "name": name},
            )
        for who, name in (("p4", "four"), ("p4", "quattro"), (None, "p4"), ("p3", "three")):
            execute(
                "INSERT INTO base.reduced_sign_ins SELECT 'interactive', $who, $name, 'app', 'r', 'R', "
                "DATE '2026-01-01', NULL, NULL, NULL, 1, 0",
                {"who": who, "name": name},
            )
        view = dict(execute("SELECT kind, count(*) FROM sign_ins GROUP BY kind").fetchall())
    assert run(["status", "-o", "json"]) == 0
    contents = json.loads(capsys.readouterr().out)["contents"]
    counted = {row["kind"]: row["rows"] for row in contents if row["what"] == "sign-ins"}
    assert counted == view and set(counted) == {"interactive", "non_interactive"}


@pytest.mark.nightly
def test_many_scopes_alike_are_counted_and_named_on_demand(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A tenant has hundreds of subscriptions: the page names a few, and all with -v."""
    assert run(["status"]) == 0
    few = capsys.readouterr().out
    assert (SUB.format(3) in few, SUB.format(4) in few, "and 2 more" in few) == (True, False, True)
    assert run(["status", "-v"]) == 0
    every = capsys.readouterr().out
    assert (SUB.format(5) in every, "more" in every) == (True, False)


@pytest.mark.nightly
def test_json_is_an_object_with_sections(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A program finds every section, and the coverage of every scope."""
    assert run(["status", "-o", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert set(document) == {
        *("sources", "contents", "window", "coverage", "rejects", "unknown_operations", "requests", "unmapped"),
        *("inventories", "listings", "missing", "analysis"),
    }
    counted = {"files": 2, "read": 12350, "rejected": 2, "unused_record": 40}
    assert document["sources"][0] == {"source": "activity_log"} | counted
    assert len(document["coverage"]) == 6
    assert document["coverage"][0] == {
        "source": "activity_log",
        "category": "Administrative",
        "scope": SUB.format(1),
        "first_day": "2026-01-01",
        "last_day": "2026-01-10",
        "events": 40,
        "observed": 8,
        "declared_empty": 0,
        "quiet": 1,
        "missing": 1,
    }
    assert document["unknown_operations"] == {"operations": 0, "events": 0}


@pytest.mark.nightly
def test_the_page_ends_with_what_is_missing_and_what_that_blocks(
    store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each missing listing or log has a line, in the order in which it stops an analysis."""
    monkeypatch.setenv("COLUMNS", "200")
    assert run(["status"]) == 0
    last = capsys.readouterr().out.partition("Missing, and what it blocks\n")[2].splitlines()
    assert last[0] == "  role assignments: there is no access to judge"
    assert last[1] == "  catalogue of operations: unused operations cannot be named, and `propose` stops"
    assert last[2].startswith("  days of the Activity Log of 5 of 5 subscriptions: 60 days of the window, ")
    assert last[3].startswith("  sign-in logs of people for the whole window (interactive, non interactive): ")
    assert run(["status", "-o", "json"]) == 0
    missing = json.loads(capsys.readouterr().out)["missing"]
    assert [f"  {one['what']}: {one['blocks']}" for one in missing] == last


@pytest.mark.nightly
def test_csv_is_one_long_table(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same numbers, one a row."""
    assert run(["status", "-o", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {"section": "sources", "subject": "activity_log", "measure": "read", "value": "12350"} in rows
    assert {row["section"] for row in rows} >= {"contents", "window", "coverage", "rejects"}


@pytest.mark.nightly
def test_a_store_without_anything_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty store is no error; an absent one is, and is not made by asking."""
    path = tmp_path / "e.duckdb"
    open_store(path, read_only=False).close()
    assert run(["status", "--db", str(path)]) == 0
    captured = capsys.readouterr()
    assert "no log is loaded" in captured.out
    assert "rightsize load" in captured.err
    path.unlink()
    assert run(["status", "--db", str(path)]) == 5
    captured = capsys.readouterr()
    assert (captured.out, "rightsize load" in captured.err, path.exists()) == ("", True, False)


@pytest.mark.nightly
def test_the_inventories_say_whether_they_are_whole(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The newest reading of each kind counts; a listed subscription without an inventory is named as well."""
    with open_store(store, read_only=False) as opened:
        for day, complete, problem in ((1, True, None), (2, False, "its last page was not read")):
            opened.connection.execute(
                "INSERT INTO base.inventories BY NAME SELECT $scope AS scope, 'resource_list' AS kind, "
                "'r' AS reader_id, make_timestamp(2026, 1, $day, 0, 0, 0) AS read_on, $complete AS complete, "
                "$problem AS problem",
                {"scope": SUB.format(1), "day": day, "complete": complete, "problem": problem},
            )
        for number in (1, 2):
            folded = {"folded": SUB.format(number)}
            execute = opened.connection.execute
            execute("INSERT INTO base.scopes (folded, kind) VALUES ($folded, 'subscription')", folded)
            execute("INSERT INTO base.scope_names (folded, spelling) VALUES ($folded, $folded)", folded)
    assert run(["status"]) == 0
    flat = " ".join(capsys.readouterr().out.split())
    assert f"by `az resource list`: not complete: its last page was not read {SUB.format(1)}" in flat
    assert f"no listing: not complete: nobody says who listed its resources {SUB.format(2)}" in flat
    assert run(["status", "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)["inventories"]
    assert [(row["scope"], row["kind"], row["complete"]) for row in found] == [
        (SUB.format(1), "resource_list", False),
        (SUB.format(2), None, False),
    ]
