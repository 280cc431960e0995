"""`rightsize rollout` on the loopback tenant: plan, waves, status and rollback, over the real clients."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rightsize.cli.main import run
from rightsize.model.role_forms import permissions_from_json, read_role_definitions
from rightsize.rbac.algebra import grants
from rightsize.store.connection import open_store
from tests.loopback.server import Loopback
from tests.rollout.demo_rollout import Ask, azure_state, emergency_words, writing_words

pytestmark = pytest.mark.slow


@pytest.mark.nightly
def test_a_rollout_comes_in_and_goes_back(ask: Ask, folder: Path, azure: Loopback, demo: Path) -> None:
    """Every wave, then all of it back: the tenant is what it was, but for what Azure sets itself."""
    bundle = json.loads((folder / "rollout.json").read_text())
    original = azure_state(azure)
    azure.faults.every = 10
    for _ in {swap["wave"] for swap in bundle["swaps"]}:
        code, out, err = ask("apply", folder, *writing_words(azure), "-o", "json")
        assert code == 0, err
        assert {row["state"] for row in json.loads(out)} == {"done"}
    state = azure_state(azure)
    assert not {gone["id"] for swap in bundle["swaps"] for gone in swap["removes"]} & state["assignments"].keys()
    assert {made["id"] for swap in bundle["swaps"] for made in swap["creates"]} <= state["assignments"].keys()
    assert set(bundle["roles"]) <= set(state["roles"])
    assert "every swap is done" in ask("apply", folder, *writing_words(azure))[2]
    azure.faults.every = 10
    code, out, err = ask("rollback", folder, *writing_words(azure), "-o", "json")
    assert code == 0, err
    assert {row["state"] for row in json.loads(out)} == {"rolled_back"}
    assert azure_state(azure) == original


def test_nothing_is_written_unless_it_is_said(ask: Ask, folder: Path, azure: Loopback) -> None:
    """A dry run shows the steps; without a credential of its own, or a typed name, nothing begins."""
    code, out, err = ask("apply", folder, "-o", "json")
    assert code == 0 and "nothing was changed" in err
    assert {row["step"] for row in json.loads(out)} >= {"make assignment", "remove assignment"}
    assert ask("apply", folder, "--yes")[0] == 2
    assert ask("apply", folder, "--ask", "--auth", "env", "--no-input")[0] == 2
    assert ask("rollback", folder)[0] == 0
    assert azure.requests == []


@pytest.mark.nightly
def test_tables_have_names_and_files_have_ids(
    ask: Ask, folder: Path, demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eighty columns are enough for people; programs find every id."""
    monkeypatch.setenv("COLUMNS", "80")
    bundle = json.loads((folder / "rollout.json").read_text())
    first = bundle["swaps"][0]
    name = bundle["names"][first["removes"][0]["principal_id"]]
    for words in (
        ("plan", demo, "--out", tmp_path / "again", *emergency_words(demo)),
        ("apply", folder),
        ("status", folder),
    ):
        code, out, _ = ask(*words)
        assert code == 0 and max(map(len, out.splitlines())) <= 80
        assert name[:15] in out and first["removes"][0]["principal_id"] not in out
    rows = json.loads(ask("apply", folder, "-o", "json")[1])
    made = [row for row in rows if row["swap"] == first["id"] and row["step"] == "make assignment"]
    assert {row["principal_id"] for row in made} == {one["principal_id"] for one in first["creates"]}
    assert name in {row["principal"] for row in made}


@pytest.mark.nightly
def test_a_swap_may_be_named_by_the_beginning_of_its_id(ask: Ask, folder: Path, azure: Loopback) -> None:
    ask("apply", folder, *writing_words(azure))
    swap = json.loads((folder / "rollout.json").read_text())["swaps"][0]["id"]
    code, out, _ = ask("rollback", folder, "--swap", swap[:8], *writing_words(azure), "-o", "json")
    assert code == 0 and [row["swap"] for row in json.loads(out)] == [swap]
    for none in ("", "zz", swap[:8] + "x"):
        assert ask("rollback", folder, "--swap", none, *writing_words(azure))[0] == 2


@pytest.mark.nightly
def test_a_typed_name_lets_it_begin(ask: Ask, folder: Path, azure: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    import io  # noqa: PLC0415

    words = ["--auth", "env", "--cloud", str(azure.cloud), "--ask"]
    monkeypatch.setattr("sys.stdin", io.StringIO("no\n"))
    assert ask("apply", folder, *words)[0] == 2 and azure.requests == []
    name = json.loads((folder / "rollout.json").read_text())["plan"][:8]
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{name}\n"))
    assert ask("apply", folder, *words)[0] == 0


@pytest.mark.nightly
def test_a_refused_wave_ends_in_three(ask: Ask, folder: Path, azure: Loopback) -> None:
    original = azure_state(azure)
    azure.faults.add("forbidden", r"DELETE .*roleAssignments", times=1)
    code, out, err = ask("apply", folder, *writing_words(azure), "-o", "json")
    assert code == 3 and "1 of" in err
    states = [row["state"] for row in json.loads(out)]
    assert sorted(set(states)) in (["done", "rolled_back"], ["rolled_back"])
    ask("rollback", folder, *writing_words(azure))
    assert azure_state(azure) == original


@pytest.mark.nightly
def test_a_service_that_does_not_answer_ends_in_seven(ask: Ask, folder: Path, azure: Loopback) -> None:
    azure.faults.add("503", r"PUT ", times=None)
    code, _, err = ask("apply", folder, *writing_words(azure))
    assert code == 7 and "run the same command again" in err
    azure.faults.clear()
    assert ask("apply", folder, *writing_words(azure))[0] == 0


@pytest.mark.nightly
def test_status_says_what_is_open_and_what_waits(ask: Ask, folder: Path, azure: Loopback) -> None:
    ask("apply", folder, *writing_words(azure))
    code, out, _ = ask("status", folder, "--as-of", "2026-10-02", "-o", "json")
    states = {row["state"] for row in json.loads(out)}
    assert code == 0 and states == {"watching", "open"}


@pytest.mark.nightly
def test_a_refusal_in_the_log_trips_and_may_be_taken_back(
    ask: Ask, folder: Path, azure: Loopback, demo: Path, tmp_path: Path
) -> None:
    """Refused calls are loaded, attributed to what was removed, and undone where that is asked for."""
    original = azure_state(azure)
    bundle = json.loads((folder / "rollout.json").read_text())
    lost = list(_lost(demo, bundle))
    assert {plane for _, _, _, plane in lost} >= {"control"}
    loud = {swap for swap, _, _, _ in lost}
    quiet = next(one for one in bundle["swaps"] if one["id"] not in loud and one["creates"])
    chosen = [gone["principal_id"] for _, gone, _, _ in lost] + [quiet["removes"][0]["principal_id"]]
    folder = tmp_path / "chosen"
    canaries = [word for one in chosen for word in ("--canary", one)]
    assert ask("plan", demo, "--out", folder, *canaries, *emergency_words(demo))[0] == 0
    assert ask("apply", folder, *writing_words(azure))[0] == 0
    db = tmp_path / "later.duckdb"
    shutil.copy(demo / "demo.duckdb", db)
    logs = tmp_path / "logs"
    logs.mkdir()
    for number, (swap, gone, operation, plane) in enumerate(lost):
        who = _member(demo, gone["principal_id"])
        write = _refused_call if plane == "control" else _refused_blob
        # The first call of each came before the swap, and is none of its doing.
        calls = [write(who, operation, gone["scope"], time) for time in ("2026-10-01T08:00:00", "2026-10-02T09:30:00")]
        (logs / f"{number}-{swap[:8]}.jsonl").write_text("".join(json.dumps(call) + "\n" for call in calls))
    assert run(["load", str(logs), "--db", str(db), "-q"]) == 0
    words = ["--as-of", "2026-10-03", "--db", db]
    code, out, err = ask("status", folder, "-o", "json", *words)
    tripped = {row["swap"]: row for row in json.loads(out) if row["state"] == "tripped"}
    assert code == 3 and set(tripped) == {swap for swap, _, _, _ in lost}
    for swap, _, operation, plane in lost:
        (back,) = [one for one in tripped[swap]["add_back"] if one["operation"].lower() == operation.lower()]
        assert back["plane"] == plane and back["calls"] == 1
    assert "lacks" in err
    assert ask("status", folder, "--auto-rollback", *words)[0] == 2
    code, _, err = ask("status", folder, "--auto-rollback", *words, *writing_words(azure))
    assert code == 3 and "were rolled back" in err
    state = azure_state(azure)["assignments"]
    for _, gone, _, _ in lost:
        assert state[gone["id"]] == original["assignments"][gone["id"]]
    assert not state.keys() & {gone["id"] for gone in quiet["removes"]}, "what did not trip stays as the plan wants it"


def _lost(demo: Path, bundle: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], str, str]]:
    """One operation of each plane that a swap takes away: the swap, the assignment, the operation and its plane."""
    with open_store(demo / "demo.duckdb", read_only=True) as store:
        rows = store.table("role_definitions").select("role_definition_id", "permissions").iter_rows()
        roles = {id_: permissions_from_json(text) for id_, text in rows}
    roles |= {id_: read_role_definitions(body)[0].permissions for id_, body in bundle["roles"].items()}
    for operation, plane in (
        ("Microsoft.Network/virtualNetworks/write", "control"),
        ("Microsoft.Storage/storageAccounts/blobServices/containers/blobs/deleteBlobVersion/action", "data"),
    ):
        # A swap that only removes may be of a holder that is gone.
        for one in (swap for swap in bundle["swaps"] if swap["creates"]):
            made = {held["role"] for held in one["creates"]}
            gone = next((g for g in one["removes"] if grants(roles[g["role"]], operation, plane) == "yes"), None)
            is_kept = any(grants(roles[role], operation, plane) != "no" for role in made)
            if gone is not None and not is_kept and gone["scope"].startswith("/subscriptions/"):
                yield one["id"], gone, operation, plane
                break


def _member(demo: Path, holder: str) -> str:
    with open_store(demo / "demo.duckdb", read_only=True) as store:
        members = store.frame(
            "SELECT member_id FROM group_closure WHERE group_id = $group ORDER BY member_id", {"group": holder}
        )["member_id"].to_list()
    return members[0] if members else holder


def _refused_call(who: str, operation: str, scope: str, time: str) -> dict[str, Any]:
    """A record of the Activity Log, as a diagnostic setting exports it."""
    claims = {"http://schemas.microsoft.com/identity/claims/objectidentifier": who}
    place = f"{'/'.join(scope.split('/')[:5])}/providers/Microsoft.Network/virtualNetworks/v"
    return {
        "time": f"{time}.1234567Z", "resourceId": place.upper(), "operationName": operation.upper(),
        "category": "Write", "resultType": "Failure", "resultSignature": "Failed.Forbidden",
        "correlationId": str(uuid.uuid5(uuid.NAMESPACE_OID, who + time)), "level": "Error",
        "identity": {"authorization": {"action": operation, "scope": place}, "claims": claims},
        "properties": {"eventCategory": "Administrative", "statusCode": "Forbidden", "statusMessage": json.dumps(
            {"error": {"code": "AuthorizationFailed", "message": "It does not have authorization."}})},
    }  # fmt: skip


def _refused_blob(who: str, operation: str, scope: str, time: str) -> dict[str, Any]:
    """A record of a storage account's diagnostic log: status 403."""
    account = scope.rsplit("/", 1)[-1]
    said = {"action": operation, "type": "RBAC", "principals": [], "result": "Denied", "reason": "NoApplicablePolicy"}
    return {
        "time": f"{time}.1234567Z", "resourceId": f"{scope}/blobServices/default", "category": "StorageDelete",
        "operationName": "DeleteBlob", "statusCode": 403, "statusText": "AuthorizationPermissionMismatch",
        "correlationId": str(uuid.uuid5(uuid.NAMESPACE_OID, "blob" + who + time)),
        "identity": {"type": "OAuth", "authorization": [said], "requester": {"objectId": who}},
        "properties": {"accountName": account, "objectKey": f"/{account}/exports/a.dat"},
        "uri": f"https://{account}.blob.core.windows.net:443/exports/a.dat",
        "resourceType": "Microsoft.Storage/storageAccounts/blobServices",
    }  # fmt: skip


@pytest.mark.nightly
def test_the_owner_confirms_what_no_log_shows(ask: Ask, folder: Path, azure: Loopback) -> None:
    ask("apply", folder, *writing_words(azure))
    swap = json.loads((folder / "rollout.json").read_text())["swaps"][0]["id"]
    assert ask("status", folder, "--confirm", swap)[0] == 2
    assert ask("status", folder, "--confirm", swap, "--by", "Mei", "--as-of", "2026-10-02")[0] == 0
    assert '"by":"Mei"' in (folder / "journal.jsonl").read_text()
    assert ask("status", folder, "--confirm", "no-swap", "--by", "Mei")[0] == 2


@pytest.mark.nightly
def test_emergency_access_accounts_have_to_be_named(ask: Ask, demo: Path, tmp_path: Path) -> None:
    assert ask("plan", demo, "--out", tmp_path / "r")[0] == 2
    assert ask("plan", demo, "--out", tmp_path / "r", "--emergency-account", "nobody")[0] == 2
    assert not (tmp_path / "r").exists()


@pytest.mark.nightly
def test_a_stale_plan_is_refused_before_anything_begins(
    ask: Ask, folder: Path, azure: Loopback, demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also when it has become stale since it was ordered."""
    changed = tmp_path / "changed.duckdb"
    shutil.copy(demo / "demo.duckdb", changed)
    gone = json.loads((folder / "rollout.json").read_text())["swaps"][0]["removes"][0]["id"]
    with open_store(changed, read_only=False) as store:
        store.connection.execute("UPDATE base.role_assignments SET scope = '/' WHERE role_assignment_id = ?", [gone])
    assert run(["rollout", "apply", str(folder), *writing_words(azure), "--db", str(changed)]) == 6
    assert (
        run(["rollout", "plan", str(demo), "--out", str(tmp_path / "r"), *emergency_words(demo), "--db", str(changed)])
        == 6
    )
    assert [one for one in azure.requests if one.method in ("PUT", "DELETE")] == []


@pytest.mark.nightly
def test_a_rollout_that_has_begun_is_not_planned_over(ask: Ask, folder: Path, azure: Loopback, demo: Path) -> None:
    ask("apply", folder, *writing_words(azure))
    code, _, err = ask("plan", demo, "--out", folder, *emergency_words(demo))
    assert code == 2 and "has begun" in err


@pytest.mark.parametrize(
    "words", [("apply", "--wave", "99", "--yes", "--auth", "env"), ("apply", "--wave", "0", "--yes")]
)
def test_a_wave_that_is_none_is_said(ask: Ask, folder: Path, words: tuple[str, ...]) -> None:
    assert ask(words[0], folder, *words[1:])[0] == 2


def test_no_rollout_is_said_with_the_command_that_begins_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("status", "apply", "rollback"):
        assert run(["rollout", command, str(tmp_path)]) == 5
        told = capsys.readouterr().err
        assert f"there is no rollout at `{tmp_path}`" in told and "rightsize rollout plan PLAN --out FOLDER" in told
