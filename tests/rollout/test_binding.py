"""A rollout is bound to its plan, tenant and journal; anything else in the folder is refused."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rightsize.azure import credentials
from rightsize.change.journal import heads_folder
from rightsize.rbac.assignments import OWNER
from rightsize.store.connection import open_store
from rightsize.workflow.plan_folder import read_plan_folder
from tests.loopback.server import Loopback
from tests.propose.written_plans import to_version_1
from tests.rollout.demo_rollout import Ask, azure_state, emergency_words, writing_words

pytestmark = pytest.mark.slow

STRANGER = "66666666-6666-4666-8666-666666666666"


def _edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    document = json.loads((folder / "rollout.json").read_text())
    change(document)
    (folder / "rollout.json").write_text(json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True) + "\n")


def _writes(azure: Loopback) -> int:
    return sum(one.method in ("PUT", "DELETE", "PATCH") for one in azure.requests)


def _add_owner(document: dict[str, Any]) -> None:
    one = document["swaps"][0]
    made = dict(next(made for swap in document["swaps"] for made in swap["creates"]))
    one["creates"].append(made | {"id": STRANGER, "principal_id": STRANGER, "role": OWNER, "condition": None})


def _remove_more(document: dict[str, Any]) -> None:
    first, second = document["swaps"][:2]
    first["removes"].append(second["removes"][0])


def _widen_role(document: dict[str, Any]) -> None:
    role = next(iter(document["roles"].values()))
    role["properties"]["permissions"][0]["actions"] = ["*"]


def _other_plan(document: dict[str, Any]) -> None:
    document["plan"] = "0" * 64


def _no_wait(document: dict[str, Any]) -> None:
    document["swaps"][0]["wait"] = 0


@pytest.mark.nightly
@pytest.mark.parametrize("change", [_add_owner, _remove_more, _widen_role, _other_plan, _no_wait])
def test_a_bundle_that_its_plan_does_not_make_is_refused(
    ask: Ask, folder: Path, azure: Loopback, change: Callable[[dict[str, Any]], None]
) -> None:
    """An Owner that was written into it, a removal, a wider role: nothing of it is done."""
    original = azure_state(azure)
    _edit(folder, change)
    code, _, err = ask("apply", folder, *writing_words(azure))
    assert code == 5 and "does not match its plan" in err
    assert _writes(azure) == 0 and azure_state(azure) == original


@pytest.mark.nightly
def test_a_bundle_that_changes_after_the_first_wave_is_refused(ask: Ask, folder: Path, azure: Loopback) -> None:
    """On the way there and on the way back: what is known here is the journal of another bundle."""
    assert ask("apply", folder, *writing_words(azure))[0] == 0
    before, state = _writes(azure), azure_state(azure)
    _edit(folder, _add_owner)
    for words in (("apply", folder), ("rollback", folder)):
        assert ask(*words, *writing_words(azure))[0] == 5
    assert _writes(azure) == before and azure_state(azure) == state


@pytest.mark.nightly
@pytest.mark.parametrize("how", ["cut", "gone", "rewritten"])
def test_a_journal_that_was_cut_or_written_anew_is_refused(ask: Ask, folder: Path, azure: Loopback, how: str) -> None:
    assert ask("apply", folder, *writing_words(azure))[0] == 0
    before, state = _writes(azure), azure_state(azure)
    path = folder / "journal.jsonl"
    lines = path.read_bytes().rstrip(b"\n").split(b"\n")
    if how == "gone":
        path.unlink()
    elif how == "cut":
        path.write_bytes(b"".join(line + b"\n" for line in lines[:-3]))
    else:
        path.write_bytes(_chained([json.loads(line) for line in lines]))
    for words in (("apply", folder), ("rollback", folder), ("status", folder, "--as-of", "2026-10-02")):
        more = [] if words[0] == "status" else writing_words(azure)
        code, _, err = ask(*words, *more)
        assert code == 5 and "was cut or changed" in err, words
    assert _writes(azure) == before and azure_state(azure) == state


def _chained(documents: list[dict[str, Any]]) -> bytes:
    """The same journal with a stranger in it, and hashes that fit."""
    import hashlib  # noqa: PLC0415

    content, previous = b"", ""
    for one in documents:
        if one["event"] == "remove-begin":
            one["data"]["properties"]["principalId"] = STRANGER
        line = json.dumps(one | {"prev": previous}, ensure_ascii=True, sort_keys=True, separators=(",", ":")).encode()
        content += line + b"\n"
        previous = hashlib.sha256(line + b"\n").hexdigest()
    return content


@pytest.mark.nightly
def test_another_tenant_is_refused(ask: Ask, folder: Path, azure: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way back of one tenant is never asked of another: exit code 4, and nothing said to be rolled back."""
    assert ask("apply", folder, *writing_words(azure))[0] == 0
    before, sign_in = _writes(azure), credentials.sign_in
    monkeypatch.setattr(
        "rightsize.workflow.plan.rollout_run.sign_in", lambda *words: replace(sign_in(*words), tenant_id="another")
    )
    for command in ("rollback", "apply"):
        code, _, err = ask(command, folder, *writing_words(azure))
        assert code == 4 and "belongs to tenant" in err
    assert _writes(azure) == before
    monkeypatch.undo()


@pytest.mark.nightly
def test_a_subscription_that_is_hidden_is_not_rolled_back(ask: Ask, folder: Path, azure: Loopback) -> None:
    """404 `SubscriptionNotFound` to everything: nothing is called gone, and the command says so."""
    assert ask("apply", folder, *writing_words(azure))[0] == 0
    azure.faults.add("vanish", r"/subscriptions/")
    code, _, err = ask("rollback", folder, *writing_words(azure))
    assert code == 4 and "cannot be seen" in err
    rows = json.loads(ask("status", folder, "--as-of", "2026-10-02", "-o", "json")[1])
    hidden = {row["swap"] for row in rows if row["state"] == "rolling_back"}
    swaps = {one["id"]: one for one in json.loads((folder / "rollout.json").read_text())["swaps"]}
    made = {one["id"] for swap in hidden for one in swaps[swap]["creates"]}
    assert hidden and made <= azure_state(azure)["assignments"].keys()


@pytest.mark.nightly
def test_on_another_machine_somebody_has_to_vouch_for_the_journal(ask: Ask, folder: Path, azure: Loopback) -> None:
    original = azure_state(azure)
    _, _, err = ask("apply", folder, *writing_words(azure))
    head = err.rsplit("head ", 1)[1].split()[0]
    shutil.rmtree(heads_folder())
    code, _, err = ask("rollback", folder, *writing_words(azure))
    assert code == 5 and "this machine did not write" in err
    assert ask("rollback", folder, "--head", "0" * 64, *writing_words(azure))[0] == 5
    assert ask("rollback", folder, "--head", head, *writing_words(azure))[0] == 0
    assert azure_state(azure) == original


@pytest.mark.nightly
def test_a_signed_head_vouches_for_the_journal(ask: Ask, folder: Path, azure: Loopback, tmp_path: Path) -> None:
    for name in ("good", "bad"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(tmp_path / name)]
        subprocess.run(command, check=True)
    signers = tmp_path / "signers"
    signers.write_text(f"mei@example.com {(tmp_path / 'good.pub').read_text()}")
    assert ask("apply", folder, "--key", tmp_path / "bad", *writing_words(azure))[0] == 0
    words = ["rollback", folder, "--signers", signers, *writing_words(azure)]
    assert ask(*words)[0] == 3, "it is signed by somebody else"
    assert ask("apply", folder, "--key", tmp_path / "good", *writing_words(azure))[0] == 0
    shutil.rmtree(heads_folder())
    path = folder / "journal.jsonl"
    whole = path.read_bytes()
    path.write_bytes(b"".join(line + b"\n" for line in whole.rstrip(b"\n").split(b"\n")[:-2]))
    assert ask(*words)[0] == 5, "it was cut"
    path.write_bytes(whole)
    code, _, err = ask(*words)
    assert code == 0 and "signed by mei@example.com" in err


def _changed(demo: Path, tmp_path: Path, *statements: tuple[str, list[Any]]) -> Path:
    db = tmp_path / "changed.duckdb"
    shutil.copy(demo / "demo.duckdb", db)
    with open_store(db, read_only=False) as store:
        for statement, values in statements:
            store.connection.execute(statement, values)
    return db


@pytest.mark.nightly
def test_every_wave_asks_for_the_proof_again(
    ask: Ask, folder: Path, azure: Loopback, demo: Path, tmp_path: Path
) -> None:
    """What the rollout removed itself is no reason to call the plan stale; what somebody else changed is."""
    document = json.loads((folder / "rollout.json").read_text())
    waves = {number: [one for one in document["swaps"] if one["wave"] == number] for number in (1, 2)}
    assert ask("apply", folder, *writing_words(azure))[0] == 0
    gone = [one["id"] for swap in waves[1] for one in swap["removes"]]
    delete = "DELETE FROM base.role_assignments WHERE role_assignment_id = ?"
    later = _changed(demo, tmp_path, *((delete, [one]) for one in gone))
    other = waves[2][0]["removes"][0]["id"]
    stale = tmp_path / "stale.duckdb"
    shutil.copy(later, stale)
    with open_store(stale, read_only=False) as store:
        store.connection.execute(delete, [other])
    before = _writes(azure)
    code, _, err = ask("apply", folder, *writing_words(azure), "--db", stale)
    assert code == 6 and "1 assignment" in err and _writes(azure) == before
    assert ask("apply", folder, *writing_words(azure), "--db", later)[0] == 0


@pytest.mark.nightly
def test_every_wave_asks_for_the_emergency_accounts_again(
    ask: Ask, folder: Path, azure: Loopback, demo: Path, tmp_path: Path
) -> None:
    account = emergency_words(demo)[1]
    disable = "UPDATE base.principals SET account_enabled = false WHERE principal_id = ?"
    db = _changed(demo, tmp_path, (disable, [account]))
    code, _, err = ask("apply", folder, *writing_words(azure), "--db", db)
    assert code == 3 and "disabled" in err and _writes(azure) == 0


@pytest.mark.nightly
def test_a_preview_of_a_short_window_is_taken_only_where_that_is_said(ask: Ask, demo: Path, tmp_path: Path) -> None:
    from rightsize.cli.main import run  # noqa: PLC0415

    db = str(demo / "demo.duckdb")
    assert run(["propose", "--out", str(tmp_path / "plan"), "--min-window", "30", "--db", db, "-q"]) == 0
    words = ["plan", tmp_path / "plan", "--out", tmp_path / "r", *emergency_words(demo)]
    code, _, err = ask(*words)
    assert code == 6 and "30 days" in err and not (tmp_path / "r").exists()
    assert ask(*words, "--accept-short-window")[0] == 0


@pytest.mark.nightly
def test_a_plan_on_fewer_days_than_are_asked_for_is_a_preview(ask: Ask, demo: Path, tmp_path: Path) -> None:
    """Though its window is whole: `--min-days` let logs pass that cover less of it."""
    document = json.loads((demo / "plan.json").read_bytes())
    document["generated_from"]["options"]["min_days"] = 45
    plan = Path(shutil.copytree(demo, tmp_path / "plan"))
    (plan / "chain.json").unlink()
    (plan / "manifest.json").unlink()
    (plan / "plan.json").write_text(json.dumps(document), encoding="utf-8")
    words = ["plan", plan, "--out", tmp_path / "r", *emergency_words(demo)]
    code, _, err = ask(*words)
    assert code == 6 and "its logs had to cover 45 days, not 60" in err and not (tmp_path / "r").exists()
    assert ask(*words, "--accept-short-window")[0] == 0


@pytest.mark.nightly
def test_a_preview_of_version_1_is_one_too(ask: Ask, demo: Path, tmp_path: Path) -> None:
    """The window is read from a plan of either version of the format."""
    document = json.loads((demo / "plan.json").read_bytes())
    to_version_1(document, read_plan_folder(demo).tables)
    origin = document["generated_from"]
    last = dt.date.fromisoformat(origin["window"]["last_day"])
    origin["window"] |= {"first_day": (last - dt.timedelta(days=29)).isoformat(), "days": 30}
    plan = Path(shutil.copytree(demo, tmp_path / "plan"))
    (plan / "chain.json").unlink()
    (plan / "manifest.json").unlink()
    (plan / "plan.json").write_text(json.dumps(document), encoding="utf-8")
    code, _, err = ask("plan", plan, "--out", tmp_path / "r", *emergency_words(demo))
    assert code == 6 and "30 days" in err and not (tmp_path / "r").exists()


def test_the_evidence_of_a_plan_goes_with_its_rollout(ask: Ask, folder: Path, azure: Loopback, demo: Path) -> None:
    """Before anything is written the plan is proved again, and its tables must be those that it names."""
    table = folder / "plan" / "evidence" / "operations.parquet"
    assert table.read_bytes() == (demo / "evidence" / "operations.parquet").read_bytes()
    table.write_bytes((demo / "evidence" / "absent.parquet").read_bytes())
    before = _writes(azure)
    code, _, err = ask("apply", folder, *writing_words(azure), "--db", demo / "demo.duckdb")
    assert (code, _writes(azure)) == (5, before)
    assert "not what the chain of the plan says: `evidence/operations.parquet`" in err
    (folder / "plan" / "chain.json").unlink()
    code, _, err = ask("apply", folder, *writing_words(azure), "--db", demo / "demo.duckdb")
    assert (code, _writes(azure)) == (5, before)
    assert "`evidence/operations.parquet` differs from the plan" in err
