"""No answer says more than its evidence: what a refused listing may have is unknown, from the command line."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rightsize.cli.main import run
from tests.conftest import MadeOnce
from tests.tenants.refused_listing import (
    ANN,
    BOB,
    COMMAND,
    ERROR,
    LISTED,
    REFUSED,
    TEAM,
    WRITE,
    assignment,
    documents,
    entry,
    manifest,
    url,
    write_files,
)

pytestmark = pytest.mark.slow

Loaded = Callable[[dict[str, Any]], Path]
MACHINE = "/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/vm"


@pytest.fixture
def loaded(made_once: MadeOnce, tmp_path: Path) -> Loaded:
    """Gives a store of files, which is a copy of the one that the first test with these files loaded."""

    def of(files: dict[str, Any]) -> Path:
        name = hashlib.sha256(json.dumps(files).encode()).hexdigest()[:16]

        def fill(folder: Path) -> None:
            exports = write_files(folder / "exports", files)
            assert run(["load", str(exports), "--db", str(folder / "s.duckdb"), "-q"]) == 0

        return Path(shutil.copy(made_once(f"refused-{name}", fill) / "s.duckdb", tmp_path / f"{name}.duckdb"))

    return of


def ask(capsys: pytest.CaptureFixture[str], db: Path, *arguments: str, code: int = 0) -> Any:
    capsys.readouterr()
    assert run([*arguments, "--db", str(db), "-o", "json"]) == code
    return json.loads(capsys.readouterr().out)


@pytest.mark.nightly
def test_a_no_where_the_listing_was_refused_is_unknown(loaded: Loaded, capsys: pytest.CaptureFixture[str]) -> None:
    """With the listing, its reason and the command; elsewhere a no stands, and so does a yes."""
    db = loaded(documents())
    row = ask(capsys, db, "can", "bob@example.com", WRITE, "--at", f"{REFUSED}{MACHINE}")
    assert row["allowed"] == "unknown"
    (lack,) = row["lacks"]
    assert (lack["listing"], lack["of"], lack["command"]) == ("role_assignments", REFUSED, COMMAND)
    assert ERROR in lack["why"]
    assert COMMAND in row["unknown"]
    assert ask(capsys, db, "can", "bob@example.com", WRITE, "--at", f"{LISTED}{MACHINE}")["allowed"] == "no"
    assert ask(capsys, db, "can", "ann@example.com", WRITE, "--at", f"{LISTED}{MACHINE}")["allowed"] == "yes"


@pytest.mark.nightly
def test_the_exit_code_tells_a_certain_no_from_an_unknown_one(
    loaded: Loaded, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """3 if any answer is a certain no, else 6 if any is unknown, and 0 without the option."""
    db = loaded(documents())
    unknown, no = (("can", BOB, WRITE, "--at", scope) for scope in (REFUSED, LISTED))
    ask(capsys, db, *unknown)
    ask(capsys, db, *unknown, "--exit-code", code=6)
    ask(capsys, db, *no, "--exit-code", code=3)
    ask(capsys, db, "can", ANN, WRITE, "--at", LISTED, "--exit-code")
    lines = [{"principal_id": BOB, "operation": WRITE, "scope": scope} for scope in (REFUSED, LISTED)]
    batch = tmp_path / "q.jsonl"
    batch.write_text("".join(json.dumps(line) + "\n" for line in lines))
    rows = ask(capsys, db, "can", "--batch", str(batch), "--exit-code", code=3)
    assert [row["allowed"] for row in rows] == ["unknown", "no"]
    ask(capsys, db, "who-can", WRITE, "--at", REFUSED, "--exit-code", code=6)
    ask(capsys, db, "who-can", WRITE, "--at", LISTED, "--exit-code")


@pytest.mark.nightly
def test_who_else_can_is_a_row_of_its_own(loaded: Loaded, capsys: pytest.CaptureFixture[str]) -> None:
    """Certain rows stand beside it."""
    files = documents()
    # The listing of one subscription has what is assigned above it, which reaches the other one, too.
    files["role_assignments/one.json"]["value"].append(assignment(3, ANN, "/"))
    files["manifest.json"]["files"][0]["rows"] = 3
    db = loaded(files)
    rows = ask(capsys, db, "who-can", WRITE, "--at", f"{REFUSED}{MACHINE}")
    assert [(row["principal_id"], row["allowed"]) for row in rows] == [(ANN, "yes"), (None, "unknown")]
    assert COMMAND in rows[1]["unknown"]
    assert [row["allowed"] for row in ask(capsys, db, "who-can", WRITE, "--at", LISTED)] == ["yes", "yes"]


@pytest.mark.nightly
def test_members_that_no_listing_shows_make_a_no_unknown(loaded: Loaded, capsys: pytest.CaptureFixture[str]) -> None:
    """Of what the group may do, and of nothing else."""
    db = loaded(documents(members=False))
    row = ask(capsys, db, "can", BOB, WRITE, "--at", LISTED)
    assert (row["allowed"], [lack["of"] for lack in row["lacks"]]) == ("unknown", [TEAM])
    assert f"groups/{TEAM}/members" in row["lacks"][0]["command"]
    assert ask(capsys, db, "can", BOB, "Microsoft.Network/virtualNetworks/write", "--at", LISTED)["allowed"] == "no"


@pytest.mark.nightly
@pytest.mark.parametrize("form", ["error", "reject", "next", "none"])
def test_whatever_speaks_against_a_listing_counts(
    loaded: Loaded, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    """An error in its place, a rejected record, a next page that is not there, or no listing at all."""
    files = documents()
    files.pop("manifest.json")
    message = f"The client 'x' does not have authorization to perform action 'Microsoft.Authorization/roleAssignments/read' over scope '{REFUSED}' or the scope is invalid."  # noqa: E501
    kept = assignment(3, ANN, f"{REFUSED}/resourceGroups/rg")
    lost = {**kept, "name": 1, "id": None, "properties": {**kept["properties"], "principalId": None}}
    files |= {
        "error": {"two.json": {"error": {"code": "AuthorizationFailed", "message": message}}},
        "reject": {"two.json": {"value": [kept, lost]}},
        "next": {"two.json": {"value": [kept], "nextLink": "https://example.com/next"}},
        "none": {},
    }[form]
    db = loaded(files)
    row = ask(capsys, db, "can", BOB, WRITE, "--at", REFUSED)
    assert (row["allowed"], [lack["of"] for lack in row["lacks"]]) == ("unknown", [REFUSED])
    assert ask(capsys, db, "can", BOB, WRITE, "--at", LISTED)["allowed"] == "no"


@pytest.mark.nightly
def test_a_listing_that_comes_later_mends_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In any order: what is whole once is whole."""
    for number, order in enumerate(((True, False), (False, True))):
        db = tmp_path / f"{number}.duckdb"
        for refused in order:
            folder = write_files(tmp_path / f"{number}{refused}", documents(refused=refused))
            assert run(["load", str(folder), "--db", str(db), "-q"]) == 0
        assert ask(capsys, db, "can", BOB, WRITE, "--at", REFUSED)["allowed"] == "no"


@pytest.mark.nightly
def test_load_says_refused_assignments_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """However many other files of the manifest are refused."""
    files = documents()
    others = [entry(f"a/{number}.json", "policy_definitions", "x", 0, ERROR) for number in range(12)]
    files["manifest.json"] = manifest(*others, *files["manifest.json"]["files"])
    assert run(["load", str(write_files(tmp_path / "exports", files)), "--db", str(tmp_path / "s.duckdb")]) == 0
    notes = [line for line in capsys.readouterr().err.splitlines() if ERROR in line]
    assert notes[0].startswith("role assignments not listed completely")
    assert f"`{REFUSED}`" in notes[0]


@pytest.mark.nightly
@pytest.mark.parametrize("more", [[], ["-v"]])
def test_status_names_the_listing_and_the_command(
    loaded: Loaded, capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    db = loaded(documents())
    capsys.readouterr()
    assert run(["status", *more, "--db", str(db)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert f"{REFUSED}: the reading failed: {ERROR} {COMMAND}" in text
    found = ask(capsys, db, "status")["listings"]
    assert [(one["listing"], one["of"], one["command"]) for one in found] == [("role_assignments", REFUSED, COMMAND)]


def test_a_deny_that_may_not_be_listed_is_a_note_on_a_yes(loaded: Loaded, capsys: pytest.CaptureFixture[str]) -> None:
    """A no stands without one."""
    db = loaded(documents())
    for principal, says in ((ANN, True), (BOB, False)):
        capsys.readouterr()
        assert run(["can", principal, WRITE, "--at", LISTED, "--db", str(db)]) == 0
        assert ("no listing of deny assignments" in capsys.readouterr().err) is says


@pytest.mark.nightly
def test_a_scope_needs_no_listing(loaded: Loaded, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In a batch neither; only a subscription or management group that nothing names does."""
    files = documents()
    files["role_assignments/one.json"]["value"].append(assignment(4, ANN, f"{LISTED}/resourceGroups/web"))
    files["manifest.json"] = manifest(entry("role_assignments/one.json", "role_assignments", url(LISTED), 3))
    db = loaded(files)
    scopes = [f"{LISTED}/resourceGroups/new", f"{LISTED}/resourceGroups/web/providers/Microsoft.Compute/disks/d"]
    lines = [{"principal_id": ANN, "operation": WRITE, "scope": scope} for scope in scopes]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert [row["allowed"] for row in ask(capsys, db, "can", "--batch", str(tmp_path / "q.jsonl"))] == ["yes", "yes"]
    assert run(["can", ANN, WRITE, "--at", scopes[0], "--db", str(db)]) == 0
    assert "nothing loaded names" in capsys.readouterr().err
    stranger = "/subscriptions/99999999-0000-4000-8000-000000000000"
    assert run(["can", ANN, WRITE, "--at", stranger, "--db", str(db)]) == 5


def test_sql_has_the_listings(loaded: Loaded, capsys: pytest.CaptureFixture[str]) -> None:
    db = loaded(documents())
    statement = "SELECT of, complete, command FROM listings WHERE listing = 'role_assignments' ORDER BY of"
    rows = ask(capsys, db, "sql", statement)
    assert [(row["of"], row["complete"], row["command"]) for row in rows] == [
        (LISTED, True, None),
        (REFUSED, False, COMMAND),
    ]


@pytest.mark.nightly
def test_a_gate_that_may_not_hold_ends_with_6(loaded: Loaded, capsys: pytest.CaptureFixture[str]) -> None:
    """A finding that is known ends it with 3, whatever is not listed."""
    db = loaded(documents())
    capsys.readouterr()
    assert run(["check", "root-assignments", "--fail-on", "low", "--db", str(db)]) == 6
    assert COMMAND in capsys.readouterr().err
    assert run(["check", "direct-user-assignments", "--fail-on", "low", "--db", str(db)]) == 3
    found = ask(capsys, db, "check", "root-assignments")
    assert [(one["resource"], one["status"]) for one in found["findings"]] == [(REFUSED, "unknown")]
    whole = loaded(documents(refused=False))
    assert run(["check", "root-assignments", "--fail-on", "low", "--db", str(whole)]) == 0


@pytest.mark.nightly
def test_reach_says_what_is_not_known(loaded: Loaded, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever is not shown as reached may be."""
    db = loaded(documents())
    found = ask(capsys, db, "reach", BOB)
    assert (found["complete"], [lack["of"] for lack in found["lacks"]]) == (False, [REFUSED])
    assert ask(capsys, loaded(documents(refused=False)), "reach", BOB)["complete"]
