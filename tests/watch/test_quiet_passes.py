"""A pass leaves the store closed where nothing changed since one that found nothing."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import duckdb
import pytest

from rightsize.guard.watch import conclude as watch_conclude
from rightsize.guard.watch.conclude import WatchSettings, present_files
from rightsize.guard.watch.run import Outlets, WatchResult, run_pass
from rightsize.store.connection import Store, open_store

SCOPE = "/subscriptions/8c450d09-c371-498d-a4d5-7f51f8d56618"


class OpenedError(Exception):
    """A pass opened the store."""


def listing(path: Path, name: str) -> None:
    """A listing of one role assignment."""
    ident = f"{SCOPE}/providers/Microsoft.Authorization/roleAssignments/aaaaaaaa-0000-4000-8000-{name:>012}"
    row = {
        "id": ident,
        "name": ident.rsplit("/", 1)[-1],
        "principalId": "1b39b306-a529-47a8-a394-39d01b275ec5",
        "principalType": "User",
        "roleDefinitionId": "/providers/Microsoft.Authorization/roleDefinitions/8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
        "roleDefinitionName": "Owner",
        "scope": SCOPE,
        "createdOn": "2026-09-24T10:00:00+00:00",
        "type": "Microsoft.Authorization/roleAssignments",
    }
    path.write_text(json.dumps([row]), encoding="utf-8")


def call(path: Path, time: dt.datetime) -> None:
    """A log of one call."""
    row = {
        "eventTimestamp": f"{time:%Y-%m-%dT%H:%M:%SZ}",
        "eventDataId": "11111111-0000-4000-8000-000000000001",
        "correlationId": "22222222-0000-4000-8000-000000000001",
        "operationName": {"value": "Microsoft.Compute/virtualMachines/start/action"},
        "resourceId": f"{SCOPE}/resourceGroups/r/providers/Microsoft.Compute/virtualMachines/v",
        "category": {"value": "Administrative"},
        "status": {"value": "Succeeded"},
        "caller": "someone@example.com",
        "claims": {},
    }
    path.write_text(json.dumps([row]), encoding="utf-8")


class Folder:
    """A folder with a listing, and the store that watches it."""

    def __init__(self, root: Path) -> None:
        self.root, self.db = root / "in", root / "w.duckdb"
        self.root.mkdir()
        listing(self.root / "a.json", "1")

    def look(self, settings: WatchSettings = WatchSettings()) -> WatchResult:  # noqa: B008  frozen
        return run_pass(self.db, [self.root], settings, Outlets(lambda _: None))

    def opens(self, monkeypatch: pytest.MonkeyPatch, settings: WatchSettings = WatchSettings()) -> bool:  # noqa: B008  frozen
        """Whether a pass opens the store; it then ends there."""

        def refuse(*_: object, **__: object) -> Store:
            raise OpenedError

        with monkeypatch.context() as patched:
            patched.setattr(watch_conclude, "open_store", refuse)
            try:
                self.look(settings)
            except OpenedError:
                return True
        return False


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_a_pass_after_a_quiet_one_leaves_the_store_closed(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """And says what the quiet one said."""
    folder.look()
    quiet = folder.look()
    assert not folder.opens(monkeypatch)
    again = folder.look()
    assert (again.taken, again.reported, again.waiting) == (quiet.taken, quiet.reported, quiet.waiting)
    assert (again.concluded.as_of, again.concluded.changes) == (quiet.concluded.as_of, 0)


@pytest.mark.parametrize("change", ["a new file", "a written store", "other settings", "a new store"])
def test_a_change_opens_the_store_again(folder: Folder, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    """Whoever made it."""
    folder.look()
    folder.look()
    settings = WatchSettings()
    if change == "a new file":
        listing(folder.root / "b.json", "2")
    elif change == "a written store":
        with open_store(folder.db, read_only=False) as store:
            store.remember("mark", "1")
    elif change == "other settings":
        settings = WatchSettings(min_window=30)
    else:
        folder.db.unlink()
    assert folder.opens(monkeypatch, settings)


def test_records_dated_in_the_future_keep_the_passes_awake(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their time comes without any change of files."""
    call(folder.root / "log.json", dt.datetime.now(dt.UTC) + dt.timedelta(days=3))
    folder.look()
    folder.look()
    assert folder.opens(monkeypatch)


def test_what_concludes_cannot_read_files(folder: Folder) -> None:
    """The connection that loaded the new files gives up access to files, and cannot have it again."""
    for number in range(2):
        with watch_conclude.open_with_new(folder.db, [folder.root], present_files([folder.root])) as (store, taken, _):
            assert taken is not None
            watch_conclude.conclude(store, WatchSettings(), taken)
            assert taken.files == 1 - number
            for text in (
                f"SELECT * FROM read_text('{folder.root / 'a.json'}')",
                f"COPY (SELECT 1) TO '{folder.root / 'out.csv'}'",
                f"ATTACH '{folder.root / 'other.duckdb'}'",
                "SET enable_external_access = true",
            ):
                with pytest.raises(duckdb.Error):
                    store.connection.execute(text)
                with pytest.raises(duckdb.Error):
                    store.frame(text)
