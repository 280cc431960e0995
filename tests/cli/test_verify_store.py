"""A plan of a loaded store becomes stale by one more export, in each possible way."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rightsize.cli.main import run

pytestmark = pytest.mark.slow

ANN, BOB, EVE, TEAM, GONE = (f"{n}0000000-0000-4000-8000-000000000000" for n in "12345")
SUBSCRIPTION = "/subscriptions/60000000-0000-4000-8000-000000000000"
WRITER = "70000000-0000-4000-8000-000000000000"
GROUP = f"{SUBSCRIPTION}/resourceGroups/rg"
BOX = f"{GROUP}/providers/Contoso.Boxes/boxes/b"
OPEN, CLOSE, DELETE = (f"Contoso.Boxes/boxes/{verb}" for verb in ("open/action", "close/action", "delete"))
AUTHORIZATION = "/providers/Microsoft.Authorization"
FIRST, DAYS = dt.date(2026, 1, 1), 90
GRAPH = "https://graph.microsoft.com/v1.0/$metadata#"


def assignment(number: int, principal: str, kind: str = "User", **more: Any) -> dict[str, Any]:
    name = f"{number:08d}-aaaa-4000-8000-000000000000"
    return {
        "id": f"{SUBSCRIPTION}{AUTHORIZATION}/roleAssignments/{name}",
        "name": name,
        "type": "Microsoft.Authorization/roleAssignments",
        "principalId": principal,
        "principalName": "" if principal == GONE else "somebody",
        "principalType": kind,
        "roleDefinitionId": f"{AUTHORIZATION}/roleDefinitions/{WRITER}",
        "scope": SUBSCRIPTION,
        "createdOn": "2020-01-01T00:00:00Z",
        "updatedOn": "2020-01-01T00:00:00Z",
        **more,
    }


def role(*actions: str, updated: str = "2020-01-01T00:00:00Z") -> dict[str, Any]:
    block = {"actions": list(actions), "notActions": [], "dataActions": [], "notDataActions": []}
    return {
        "name": WRITER,
        "roleName": "Box Keeper",
        "roleType": "CustomRole",
        "type": "Microsoft.Authorization/roleDefinitions",
        "permissions": [block],
        "assignableScopes": [SUBSCRIPTION],
        "updatedOn": updated,
    }


def deny(group: str = "other") -> dict[str, Any]:
    name = "80000000-0000-4000-8000-000000000000"
    return {
        "id": f"{SUBSCRIPTION}{AUTHORIZATION}/denyAssignments/{name}",
        "name": name,
        "type": "Microsoft.Authorization/denyAssignments",
        "properties": {
            "denyAssignmentName": "No deletes",
            "permissions": [{"actions": [DELETE], "notActions": [], "dataActions": [], "notDataActions": []}],
            "scope": f"{SUBSCRIPTION}/resourceGroups/{group}",
            "principals": [{"id": ANN, "type": "User"}],
            "excludePrincipals": [],
        },
    }


def members(*people: str) -> dict[str, Any]:
    listed = [{"@odata.type": "#microsoft.graph.user", "id": one, "displayName": "m"} for one in people]
    return {"@odata.context": f"{GRAPH}groups('{TEAM}')/members", "value": listed}


def users(*people: str) -> dict[str, Any]:
    listed = [
        {"id": one, "displayName": f"User {one[0]}", "userPrincipalName": f"u{one[0]}@contoso.com"} for one in people
    ]
    return {"@odata.context": f"{GRAPH}users", "value": listed}


def call(number: int, principal: str, operation: str, day: int) -> dict[str, Any]:
    return {
        "time": f"{FIRST + dt.timedelta(days=day)}T12:00:00Z",
        "resourceId": BOX,
        "operationName": operation,
        "category": "Administrative",
        "resultType": "Success",
        "resultSignature": "Succeeded.OK",
        "correlationId": f"{number:08d}-cccc-4000-8000-000000000000",
        "identity": {
            "authorization": {"scope": BOX, "action": operation},
            "claims": {"http://schemas.microsoft.com/identity/claims/objectidentifier": principal},
        },
    }


EXPORTS: dict[str, Any] = {
    "assignments.json": [assignment(1, ANN), assignment(2, TEAM, "Group"), assignment(3, GONE, "Unknown")],
    "roles.json": [role("Contoso.Boxes/*")],
    "denies.json": {"value": [deny()]},
    "members.json": members(BOB),
    "users.json": users(ANN, BOB, EVE),
    "operations.json": [
        {"operation": name, "is_data_action": False, "is_data_action_source": "x"} for name in (OPEN, CLOSE, DELETE)
    ],
    "calls.json": {"records": [call(1, ANN, OPEN, 5), call(2, ANN, OPEN, 40), call(3, BOB, CLOSE, 50)]},
}


def _load(db: Path, folder: Path, exports: dict[str, Any], *more: str) -> None:
    folder.mkdir(exist_ok=True)
    for name, document in exports.items():
        (folder / name).write_text(json.dumps(document), encoding="utf-8")
    assert run(["load", *(str(folder / name) for name in exports), "--db", str(db), "-q", "-o", "json", *more]) == 0


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `store.duckdb` and `plan`, made of ninety covered days."""
    folder = tmp_path_factory.mktemp("verify")
    db = folder / "store.duckdb"
    covers = f"{FIRST}..{FIRST + dt.timedelta(days=DAYS - 1)}"
    declared = ("--covers", covers, "--source", "activity_log", "--scope", SUBSCRIPTION)
    _load(db, folder / "exports", EXPORTS, *declared)
    assert (
        run(["propose", "--db", str(db), "--out", str(folder / "plan"), "--role-worth", "0", "-q", "-o", "json"]) == 0
    )
    return folder


@pytest.fixture
def verify(planned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """Load more exports into a copy of the store, and verify the plan there."""

    def answer(code: int, **exports: Any) -> dict[str, Any]:
        db = tmp_path / "store.duckdb"
        shutil.copy(planned / "store.duckdb", db)
        if exports:
            _load(db, tmp_path / "more", {f"{name}.json": document for name, document in exports.items()})
        capsys.readouterr()
        assert run(["plan", "verify", str(planned / "plan"), "--db", str(db), "-o", "json"]) == code
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return answer


def _named(answer: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(one["what"], one["id"], one["change"]) for one in answer["changes"]]


def _id(number: int) -> str:
    return f"{number:08d}-aaaa-4000-8000-000000000000"


@pytest.mark.nightly
def test_on_the_store_that_it_was_made_of_a_plan_stands(verify: Callable[..., dict[str, Any]]) -> None:
    answer = verify(0)
    assert answer["verified"]
    assert answer["replay"] == {"allowed": 2, "denied": 0, "needs_activation": 0}
    assert {one["role_assignment_id"]: one["kinds"] for one in answer["proofs"]} == {
        _id(1): ["custom"],
        _id(2): ["custom"],
        _id(3): ["remove_orphan"],
    }


@pytest.mark.nightly
def test_one_more_day_of_the_same_work_leaves_it_standing(verify: Callable[..., dict[str, Any]]) -> None:
    """And so does the same export, loaded again."""
    more = {"records": [call(9, ANN, OPEN, DAYS), call(10, BOB, CLOSE, DAYS)]}
    answer = verify(0, more=more, again=EXPORTS["assignments.json"])
    assert answer["window"]["last_day"] == str(FIRST + dt.timedelta(days=DAYS))


def test_one_more_day_of_other_work_makes_it_stale(verify: Callable[..., dict[str, Any]]) -> None:
    answer = verify(6, more={"records": [call(9, ANN, DELETE, DAYS), call(10, BOB, CLOSE, DAYS)]})
    (change,) = answer["changes"]
    assert (change["what"], change["id"], change["name"]) == ("use", ANN, "u1@contoso.com")
    assert (change["operation"], change["scope"]) == (DELETE.lower(), BOX.lower())
    assert change["role_assignment_ids"] == [_id(1)]


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("export", "change"),
    [
        (
            [assignment(1, ANN, condition="c", conditionVersion="2.0", updatedOn="2026-02-01T00:00:00Z")],
            ("role_assignment", _id(1), "changed"),
        ),
        ([role("Contoso.Boxes/boxes/*", updated="2026-02-01T00:00:00Z")], ("role_definition", WRITER, "changed")),
        (members(BOB, EVE), ("group_members", TEAM, "changed")),
        ({"value": [deny("paint")]}, ("deny_assignment", "80000000-0000-4000-8000-000000000000", "changed")),
        (users(GONE), ("principal", GONE, "returned")),
    ],
    ids=["assignment", "definition", "membership", "deny", "principal"],
)
def test_each_change_of_the_tenant_makes_it_stale(
    verify: Callable[..., dict[str, Any]], export: Any, change: tuple[str, str, str]
) -> None:
    answer = verify(6, more=export)
    assert answer["stale"]
    assert _named(answer) == [change]


@pytest.mark.nightly
def test_a_new_assignment_is_counted_and_leaves_it_standing(verify: Callable[..., dict[str, Any]]) -> None:
    answer = verify(0, more=[assignment(9, EVE)])
    assert answer["unread"] == {"role_assignments": 1, "eligible_assignments": 0, "deny_assignments": 0}


@pytest.mark.nightly
def test_the_same_plan_comes_of_the_same_exports_in_another_order(planned: Path, tmp_path: Path) -> None:
    """What it rests on, too: no number of the store's own reaches a plan."""
    db = tmp_path / "store.duckdb"
    covers = f"{FIRST}..{FIRST + dt.timedelta(days=DAYS - 1)}"
    for name in sorted(EXPORTS, reverse=True):
        _load(db, tmp_path / "exports", {name: EXPORTS[name]})
    declared = ("--covers", covers, "--source", "activity_log", "--scope", SUBSCRIPTION)
    _load(db, tmp_path / "exports", {"roles.json": EXPORTS["roles.json"]}, *declared)
    assert (
        run(["propose", "--db", str(db), "--out", str(tmp_path / "plan"), "--role-worth", "0", "-q", "-o", "json"]) == 0
    )
    first, second = ((folder / "plan" / "plan.json").read_bytes() for folder in (planned, tmp_path))
    assert first == second
