"""The counts of `load`: each record once, as new, repeated, rejected, late, or read and unused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rightsize.store.connection import open_store
from rightsize.store.merging.loads import MergedFile
from rightsize.workflow.data.load import load_paths
from tests.ingest.entity_records import APP, USER, page, typed

SCOPE = "/subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/rg"
READ = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read"
WRITE = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write"


def counts(row: MergedFile) -> tuple[int, int, int, int, int]:
    """Return what a file was counted as: read, new, duplicate, rejected, not used."""
    return (row.read, row.new, row.duplicate, row.rejected, row.unused_record)


def loaded(db: Path, *documents: Any) -> list[MergedFile]:
    """Load documents, each a file of its own; those that are lists are lines."""
    paths = []
    for place, document in enumerate(documents):
        paths.append(db.parent / f"{place}.json")
        lines = document if isinstance(document, list) else [document]
        paths[-1].write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    return list(load_paths(db, paths).rows)


def activity(
    status: str = "Succeeded", category: str = "Administrative", number: int = 1, **more: Any
) -> dict[str, Any]:
    return {
        "time": f"2026-01-05T10:00:0{number}Z",
        "resourceId": SCOPE,
        "operationName": "Microsoft.Resources/subscriptions/resourceGroups/write",
        "category": category,
        "resultType": status,
        "correlationId": "c-1",
        "caller": "ada@contoso.com",
    } | more


def copied(*actions: str) -> dict[str, Any]:
    """Return a record of storage that needed several authorisations."""
    account = f"{SCOPE}/providers/Microsoft.Storage/storageAccounts/a/blobServices/default"
    authorization = [{"action": action, "result": "Granted"} for action in actions]
    return {
        "time": "2026-01-05T10:00:00Z",
        "resourceId": account,
        "category": "StorageWrite",
        "operationName": "CopyBlob",
        "statusCode": 202,
        "correlationId": "c-2",
        "uri": "https://a.blob.core.windows.net/box/blob",
        "identity": {"type": "OAuth", "requester": {"objectId": APP["id"]}, "authorization": authorization},
        "properties": {"accountName": "a", "objectKey": "/a/box/blob"},
    }


@pytest.mark.nightly
def test_a_category_that_is_no_use_is_no_repeat(tmp_path: Path) -> None:
    (row,) = loaded(tmp_path / "s.duckdb", [activity(), activity(category="Policy", number=2), activity()])
    assert counts(row) == (3, 1, 1, 0, 1)


@pytest.mark.nightly
def test_a_row_that_adds_to_a_call_is_new_and_one_that_adds_nothing_is_a_repeat(tmp_path: Path) -> None:
    (row,) = loaded(tmp_path / "s.duckdb", [activity("Started"), activity("Succeeded", number=2), activity("Started")])
    assert counts(row) == (3, 2, 1, 0, 0)


@pytest.mark.nightly
def test_a_record_with_several_authorisations_is_one(tmp_path: Path) -> None:
    (row,) = loaded(tmp_path / "s.duckdb", [copied(READ, WRITE), copied(READ, WRITE), copied(READ)])
    assert counts(row) == (3, 1, 2, 0, 0)
    (again,) = loaded(tmp_path / "s.duckdb", [copied(READ), copied(READ, WRITE, "x/y/action")])
    assert counts(again) == (2, 1, 1, 0, 0)


@pytest.mark.slow
def test_a_log_that_nothing_is_learnt_from_is_not_used(tmp_path: Path) -> None:
    record = {"TimeGenerated": "2026-01-05T10:00:00Z", "Type": "FunctionAppLogs", "OperationName": "x", "Level": "Info"}
    (row,) = loaded(tmp_path / "s.duckdb", [record, record])
    assert counts(row) == (2, 0, 0, 0, 2)


@pytest.mark.nightly
def test_pages_are_no_records_and_one_that_lists_owners_of_nobody_is_not_used(tmp_path: Path) -> None:
    users = page("users", USER, USER)
    owners = page("groups(id,owners())", {"id": USER["id"], "owners": []})
    found = loaded(tmp_path / "s.duckdb", users, page("groups"), owners)
    assert [counts(row) for row in found] == [(2, 1, 1, 0, 0), (0, 0, 0, 0, 0), (1, 0, 0, 0, 1)]


@pytest.mark.slow
def test_a_record_of_which_several_parts_are_rejected_is_rejected_once(tmp_path: Path) -> None:
    owned = {"id": USER["id"], "owners": [{"id": APP["id"]}, {"id": 7}, {}]}
    (row,) = loaded(tmp_path / "s.duckdb", page("groups(id,owners())", owned))
    assert counts(row) == (1, 0, 0, 1, 0)


@pytest.mark.nightly
def test_the_store_keeps_what_was_not_used(tmp_path: Path) -> None:
    loaded(
        tmp_path / "s.duckdb", [activity(), activity(category="Policy", number=2)], page("users", typed("user", USER))
    )
    with open_store(tmp_path / "s.duckdb", read_only=True) as store:
        assert set(store.table("loads").select("source", "read", "rejected", "unused_record").rows()) == {
            ("activity_log", 2, 0, 1),
            ("users", 1, 0, 0),
        }


def counted_once(db: Path, *folders: Path) -> list[MergedFile]:
    """Load folders, check that every record of every file was counted as one thing, and return what was counted."""
    rows = list(load_paths(db, [str(folder) for folder in folders]).rows)
    assert sum(row.new for row in rows)
    for row in rows:
        assert min(counts(row)) >= 0 and row.read == sum(counts(row)[1:]), row
    return rows


@pytest.mark.nightly
def test_every_record_of_other_publishers_is_counted_once(tmp_path: Path, shared_data: Path) -> None:
    """And a second load finds nothing new: what was new is repeated, what was not used still is not."""
    folders = [shared_data / name for name in ("logs", "arm", "entra")]
    first = counted_once(tmp_path / "s.duckdb", *folders)
    second = load_paths(tmp_path / "s.duckdb", folders).rows
    for row, again in zip(first, second, strict=True):
        assert counts(again) == (row.read, 0, row.new + row.duplicate, row.rejected, row.unused_record)
    assert sum(row.unused_record for row in first) > 0


@pytest.mark.nightly
def test_every_record_of_the_catalogue_is_counted_once(tmp_path: Path, shared_data: Path) -> None:
    counted_once(tmp_path / "s.duckdb", shared_data / "catalog")


@pytest.mark.nightly
def test_every_record_of_the_demo_tenant_is_counted_once(tmp_path: Path, demo_exports: Path) -> None:
    counted_once(tmp_path / "s.duckdb", demo_exports)
