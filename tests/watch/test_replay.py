"""A watch reports each change exactly once, for any steps and any place of a kill."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rightsize.demo.generator import generate
from rightsize.guard.watch import run as watch_delivery
from rightsize.guard.watch import run as watch_run
from rightsize.guard.watch.conclude import WatchSettings
from rightsize.guard.watch.run import Outlets, run_pass
from rightsize.store import watching
from tests.tenants.streams import Stream, copy_listings

pytestmark = pytest.mark.slow

END = dt.datetime(2026, 9, 26)
START = END - dt.timedelta(days=2)
STEP = dt.timedelta(hours=12)
INTRUDER = "1b39b306-a529-47a8-a394-39d01b275ec5"


class KilledError(BaseException):
    """What a kill looks like from inside: nothing after it happens, and what was not committed is gone."""


@dataclass(frozen=True)
class Watch:
    """A store that a first pass has seen, and the stream that follows."""

    store: Path
    stream: Stream


@pytest.fixture(scope="module")
def begun(demo_exports: Path, tmp_path_factory: pytest.TempPathFactory) -> Watch:
    root = tmp_path_factory.mktemp("watch")
    stream = Stream.of(generate())
    copy_listings(demo_exports, root / "past")
    stream.write(root / "past" / "activity.jsonl", dt.datetime(2026, 1, 1), START)
    shown: list[Any] = []
    first = run_pass(root / "watched.duckdb", [root / "past"], WatchSettings(), Outlets(shown.extend))
    assert (first.concluded.is_first, first.concluded.changes, shown) == (True, 0, [])
    assert first.concluded.standing > 100
    return Watch(root / "watched.duckdb", stream)


def listing(path: Path) -> None:
    """A new listing of role assignments, in which somebody has become Owner of a subscription."""
    owner = {
        "id": "/subscriptions/8c450d09-c371-498d-a4d5-7f51f8d56618/providers/Microsoft.Authorization/roleAssignments/"
        "aaaaaaaa-0000-4000-8000-000000000001",
        "name": "aaaaaaaa-0000-4000-8000-000000000001",
        "principalId": INTRUDER,
        "principalType": "User",
        "roleDefinitionId": "/providers/Microsoft.Authorization/roleDefinitions/8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
        "roleDefinitionName": "Owner",
        "scope": "/subscriptions/8c450d09-c371-498d-a4d5-7f51f8d56618",
        "createdOn": "2026-09-24T10:00:00+00:00",
        "createdBy": "a06bd91b-6faa-4f45-a4f3-b4903b6edaaf",
        "type": "Microsoft.Authorization/roleAssignments",
    }
    path.write_text(json.dumps([owner]), encoding="utf-8")


def changes_of(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The changes by id, without their number; each is there once."""
    found = {row["change_id"]: {name: row[name] for name in row if name != "seq"} for row in rows}
    assert len(found) == len(rows)
    return found


@pytest.mark.nightly
def test_steps_with_kills_in_between_tell_what_one_pass_tells(
    begun: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Passes of hours, killed before they commit, before they tell and before they write down that they told."""
    at_once, stepwise = tmp_path / "once.duckdb", tmp_path / "steps.duckdb"
    for path in (at_once, stepwise):
        shutil.copy(begun.store, path)
    question = WatchSettings(automation=("terraform-landing-zones",))
    folder = tmp_path / "all"
    begun.stream.write(folder / "all.jsonl", START, END)
    listing(folder / "listing.json")
    whole: list[Any] = []
    run_pass(at_once, [folder], question, Outlets(whole.extend))
    wanted = changes_of(whole)

    folder, told, file = tmp_path / "steps", [], tmp_path / "changes.jsonl"
    outlets = Outlets(told.extend, file)
    kills = {0: "commit_pass", 1: "pending_changes", 2: "acknowledge", 3: "write_to_file"}
    folder.mkdir()
    listing(folder / "listing.json")
    for number in range(int((END - START) / STEP)):
        begun.stream.write(folder / f"{number}.jsonl", START + number * STEP, START + (number + 1) * STEP)
        if number in kills:
            module = watching if kills[number] == "commit_pass" else watch_run
            if kills[number] == "acknowledge":
                module = watch_delivery  # between the file and the outbox
            with monkeypatch.context() as patched, pytest.raises(KilledError):
                patched.setattr(module, kills[number], _kill)
                run_pass(stepwise, [folder], question, outlets)
                raise KilledError  # there was nothing to write down
        run_pass(stepwise, [folder], question, outlets)

    # A kill between telling and noting tells again on stdout; the file has each change once.
    found = changes_of(list({row["change_id"]: row for row in told}.values()))
    assert {row["kind"] for row in wanted.values()} >= {"grant", "grant_outside", "escalation", "violation"}
    assert found == wanted
    written = [json.loads(line)["id"] for line in file.read_text(encoding="utf-8").splitlines()]
    assert len(written) == len(set(written))
    assert set(written) == set(wanted)


def _kill(*_: object) -> None:
    raise KilledError


@pytest.mark.nightly
def test_a_new_owner_is_told_with_who_did_it_and_what_follows(begun: Watch, tmp_path: Path) -> None:
    """Once, as a grant; what he can do from then on is told beside it, and the next pass tells nothing."""
    db, folder = tmp_path / "w.duckdb", tmp_path / "in"
    shutil.copy(begun.store, db)
    folder.mkdir()
    listing(folder / "listing.json")
    told: list[Any] = []
    run_pass(db, [folder], WatchSettings(), Outlets(told.extend))
    grant = next(row for row in told if row["kind"] == "grant_outside")
    assert (grant["severity"], grant["actor_id"]) == ("high", "a06bd91b-6faa-4f45-a4f3-b4903b6edaaf")
    assert grant["text"] == (
        "beatrice.moreau@aldervalley.example holds Owner (active) at Clinical Records, granted by "
        "mei.lin@aldervalley.example, outside PIM; a listing shows it"
    )
    assert any("assigns itself any role" in row["text"] for row in told if row["kind"] == "escalation")
    assert {row["principal_id"] for row in told} == {INTRUDER}
    again: list[Any] = []
    later = run_pass(db, [folder], WatchSettings(), Outlets(again.extend))
    assert (later.taken.files if later.taken else None, later.concluded.changes, again) == (0, 0, [])


def test_a_file_that_is_cut_is_set_aside_told_once_and_taken_when_it_is_whole(tmp_path: Path) -> None:
    """A damaged archive holds up no other file; when its writer is done it is loaded like any other."""
    db, folder, stream = tmp_path / "w.duckdb", tmp_path / "in", Stream.of(generate())
    folder.mkdir()
    listing(folder / "listing.json")
    assert run_pass(db, [folder], WatchSettings(), Outlets(lambda _: None)).concluded.is_first
    stream.write(folder / "a.jsonl", START, START + STEP)
    stream.write(tmp_path / "b.jsonl", START + STEP, START + 2 * STEP)
    packed = gzip.compress((tmp_path / "b.jsonl").read_bytes(), mtime=0)
    (folder / "b.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    told: list[Any] = []
    first = run_pass(db, [folder], WatchSettings(), Outlets(told.extend))
    assert first.taken is not None
    assert first.taken.new > 0
    assert [row["text"].split(" was ")[0] for row in told if row["kind"] == "file_unread"] == [
        f"the file {folder / 'b.jsonl.gz'}"
    ]
    run_pass(db, [folder], WatchSettings(), Outlets(told.extend))
    assert sum(row["kind"] == "file_unread" for row in told) == 1
    (folder / "b.jsonl.gz").write_bytes(packed)
    last = run_pass(db, [folder], WatchSettings(), Outlets(told.extend))
    assert last.taken is not None
    assert last.taken.new > 0
    assert last.taken.unread == ()
