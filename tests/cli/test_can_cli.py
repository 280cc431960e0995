"""`rightsize can` and `who-can` on a store that was loaded from exports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rightsize.cli.main import run

ANN, BOB, EVE = (f"{n}0000000-0000-4000-8000-000000000000" for n in "123")
OUTER, INNER = (f"{n}0000000-0000-4000-8000-000000000000" for n in "45")
SUBSCRIPTION = "60000000-0000-4000-8000-000000000000"
WRITER, LOST, DATA = (f"{n}0000000-0000-4000-8000-000000000000" for n in "789")
SCOPE = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg"
WRITE, BLOB = "Microsoft.Compute/virtualMachines/write", "N.S/blobs/read"
AUTHORIZATION = "/providers/Microsoft.Authorization"


def assignment(number: int, principal: str, role: str, scope: str, **more: Any) -> dict[str, Any]:
    name = f"{number:08d}-aaaa-4000-8000-000000000000"
    return {
        "id": f"{scope}{AUTHORIZATION}/roleAssignments/{name}",
        "name": name,
        "type": "Microsoft.Authorization/roleAssignments",
        "principalId": principal,
        "principalType": "Group" if principal in (OUTER, INNER) else "User",
        "roleDefinitionId": f"{AUTHORIZATION}/roleDefinitions/{role}",
        "scope": scope,
        **more,
    }


def role(guid: str, name: str, **strings: list[str]) -> dict[str, Any]:
    block = {"actions": [], "notActions": [], "dataActions": [], "notDataActions": []} | strings
    return {"name": guid, "roleName": name, "roleType": "CustomRole", "type": "Microsoft.Authorization/roleDefinitions",
            "permissions": [block], "assignableScopes": ["/"], "description": ""}  # fmt: skip


def eligible(number: int, principal: str, guid: str, end: str | None) -> dict[str, Any]:
    properties = {
        "scope": SCOPE,
        "principalId": principal,
        "roleDefinitionId": f"{AUTHORIZATION}/roleDefinitions/{guid}",
        "principalType": "User",
        "memberType": "Direct",
        "startDateTime": "2026-01-01T00:00:00Z",
        "endDateTime": end,
    }
    name, kind = f"{number:08d}-bbbb-4000-8000-000000000000", "RoleEligibilityScheduleInstances"
    return {
        "name": name,
        "id": f"{SCOPE}{AUTHORIZATION}/{kind}/{name}",
        "type": f"Microsoft.Authorization/{kind}",
        "properties": properties,
    }


def members(group: str, member: str, kind: str) -> dict[str, Any]:
    return {
        "@odata.context": f"https://graph.microsoft.com/v1.0/$metadata#groups('{group}')/members",
        "value": [{"@odata.type": f"#microsoft.graph.{kind}", "id": member, "displayName": "m"}],
    }


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ann writes through two groups, Bob is eligible, Eve's role is not loaded."""
    folder = tmp_path_factory.mktemp("exports")
    documents = {
        "assignments.json": [
            assignment(1, OUTER, WRITER, SCOPE),
            assignment(2, EVE, LOST, SCOPE),
            assignment(3, ANN, DATA, f"/subscriptions/{SUBSCRIPTION}"),
        ],
        "eligible.json": {"value": [eligible(1, BOB, WRITER, "2026-02-01T00:00:00Z")]},
        "roles.json": [role(WRITER, "Writer", actions=["Microsoft.Compute/*"]), role(DATA, "Data", dataActions=[BLOB])],
        "outer.json": members(OUTER, INNER, "group"),
        "inner.json": members(INNER, ANN, "user"),
        "users.json": {
            "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#users",
            "value": [
                {"id": ANN, "displayName": "Ann", "userPrincipalName": "Ann@example.com"},
                {"id": BOB, "displayName": "Bob\x1b[2J", "userPrincipalName": None},
            ],
        },
    }
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document))
    path = folder / "store.duckdb"
    assert run(["load", *(str(folder / name) for name in documents), "--db", str(path), "-q", "-o", "json"]) == 0
    return path


def ask(capsys: pytest.CaptureFixture[str], db: Path, *arguments: str, code: int = 0) -> tuple[Any, str]:
    capsys.readouterr()
    assert run([*arguments, "--db", str(db), "-o", "json"]) == code
    out, err = capsys.readouterr()
    return json.loads(out) if out else None, err


@pytest.mark.nightly
def test_the_answer_has_the_chain_that_decides(db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Keys as the contract has them; a UPN in any case names a principal."""
    row, _ = ask(capsys, db, "can", "ANN@example.com", WRITE.upper(), "--at", SCOPE.lower())
    (reason,) = row.pop("because")
    assert row == {
        "principal_id": ANN,
        "operation": WRITE.upper(),
        "scope": SCOPE.lower(),
        "plane": "control",
        "allowed": "yes",
        "denied_by": [],
        "depends_on_reading": False,
        "unknown": None,
        "lacks": [],
    }
    assert reason.items() >= {"role_name": "Writer", "via": [INNER, OUTER], "condition": None}.items()
    assert reason["role_assignment_id"] == "00000001-aaaa-4000-8000-000000000000"
    assert reason["scope"].lower() == SCOPE.lower()


@pytest.mark.nightly
def test_the_plane_is_that_in_which_a_role_names_the_operation(db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a catalogue, roles tell the plane, unless the user does."""
    row, _ = ask(capsys, db, "can", ANN, BLOB, "--at", SCOPE)
    assert (row["plane"], row["allowed"]) == ("data", "yes")
    row, _ = ask(capsys, db, "can", ANN, BLOB, "--at", SCOPE, "--plane", "control")
    assert (row["plane"], row["allowed"]) == ("control", "no")


@pytest.mark.nightly
def test_an_eligibility_is_no_yes_and_ends(db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without `--as-of` it counts; with it, only while it lasts."""
    row, _ = ask(capsys, db, "can", BOB, WRITE, "--at", SCOPE)
    assert row["allowed"] == "eligible"
    assert row["because"][0]["role_assignment_id"] == "00000001-bbbb-4000-8000-000000000000"
    for day, allowed in (("2026-01-15", "eligible"), ("2026-02-01", "no"), ("2025-12-31", "no")):
        row, _ = ask(capsys, db, "can", BOB, WRITE, "--at", SCOPE, "--as-of", day)
        assert row["allowed"] == allowed


@pytest.mark.slow
def test_a_role_that_is_not_loaded_is_said(db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A no is unknown when a role that would count is missing."""
    row, err = ask(capsys, db, "can", EVE, WRITE, "--at", SCOPE)
    assert (row["allowed"], [lack["of"] for lack in row["lacks"]]) == ("unknown", [LOST])
    assert "the role of 1 assignment" in err
    assert "00000002-aaaa" in err


@pytest.mark.slow
def test_who_nobody_knows_may_do_nothing_and_is_said(db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An id gets an answer with a note; a name that means nobody is a mistake."""
    stranger = "99999999-0000-4000-8000-000000000000"
    row, err = ask(capsys, db, "can", stranger, WRITE, "--at", SCOPE)
    assert row["allowed"] == "no"
    assert stranger in err
    _, err = ask(capsys, db, "can", "nobody@example.com", WRITE, "--at", SCOPE, code=5)
    assert "nobody@example.com" in err


@pytest.mark.slow
def test_a_batch_is_answered_in_order(db: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A list with json, a line each with jsonl, and nothing but the answers on stdout."""
    lines = [(ANN, WRITE, SCOPE), (BOB, WRITE, SCOPE), ("nobody", WRITE, "/"), (ANN, BLOB, SCOPE)]
    questions = [dict(zip(("principal_id", "operation", "scope"), line, strict=True)) for line in lines]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(question) + "\n" for question in questions))
    rows, err = ask(capsys, db, "can", "--batch", str(tmp_path / "q.jsonl"), code=5)
    assert [(row["allowed"], row["plane"]) for row in rows] == [
        ("yes", "control"),
        ("eligible", "control"),
        ("unknown", None),
        ("yes", "data"),
    ]
    assert "nobody" in rows[2]["unknown"] and "1 of 4 questions" in err
    assert run(["can", "--batch", str(tmp_path / "q.jsonl"), "--db", str(db), "-o", "jsonl", "--exit-code"]) == 5
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == rows


@pytest.mark.slow
def test_exit_code_is_0_unless_asked_for(db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--exit-code` makes a gate of it."""
    question = ("can", ANN, "a/b", "--at", SCOPE, "--plane", "control")
    assert ask(capsys, db, *question)[0]["allowed"] == "no"
    ask(capsys, db, *question, "--exit-code", code=3)
    ask(capsys, db, "can", ANN, WRITE, "--at", SCOPE, "--exit-code")
    # The role of Eve is not loaded.
    ask(capsys, db, "who-can", "a/b", "--at", SCOPE, "--exit-code", code=6)


@pytest.mark.slow
def test_who_can_lists_groups_members_and_the_eligible(db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Strongest first; whose role is not loaded is said beside."""
    rows, err = ask(capsys, db, "who-can", WRITE, "--at", SCOPE)
    found = [(row["principal_id"], row["allowed"]) for row in rows]
    assert found == [(ANN, "yes"), (OUTER, "yes"), (INNER, "yes"), (BOB, "eligible"), (None, "unknown")]
    assert rows[0]["name"] == "Ann@example.com"
    assert "00000002-aaaa" in err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["can", ANN, WRITE], 2, "are needed"),
        (["can", ANN, WRITE, "--at", "nowhere"], 5, "`nowhere` is not a scope"),
        (["can", ANN, "--batch", "x"], 2, "`--batch` takes no PRINCIPAL"),
        (["can", "--batch", "no-such-file"], 5, "cannot read"),
        (["who-can", WRITE, "--at", ""], 5, "not a scope"),
    ],
)
def test_mistakes_are_explained(
    db: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    """On stderr, with the exit code of their kind."""
    out, err = ask(capsys, db, *arguments, code=code)
    assert out is None
    assert said in err


BAD_LINES = (
    "[]",
    "{",
    "{}",
    '{"principal_id": 1, "operation": "a", "scope": "/"}',
    '{"principal_id": "a", "operation": "b", "scope": "/", "plane": "x"}',
)


@pytest.mark.slow
@pytest.mark.parametrize("line", BAD_LINES)
def test_a_bad_line_of_a_batch_is_named(
    db: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, line: str
) -> None:
    """With its number, and no answers at all."""
    (tmp_path / "q.jsonl").write_text(f"\n{line}\n")
    out, err = ask(capsys, db, "can", "--batch", str(tmp_path / "q.jsonl"), code=5)
    assert out is None
    assert "line 2" in err


@pytest.mark.slow
def test_a_table_shows_the_chain_and_escapes_names(db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a terminal shows cannot move its cursor."""
    assert run(["who-can", WRITE, "--at", SCOPE, "--db", str(db)]) == 0
    out = capsys.readouterr().out
    assert "\x1b[2J" not in out
    assert f"yes          Ann@example.com ({ANN})" in out
    assert "by Writer at" in out
    assert f"via m ({INNER}) > " in " ".join(out.split())
    assert "eligible     Bob\\u001b[2J" in out
