"""Rows that a query counted are use of their log, with the number of their requests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rightsize.store.connection import open_store
from rightsize.workflow.data.load import load_paths
from tests.ingest.request_records import ASSIGNMENT, OID, VAULT

pytestmark = pytest.mark.slow


def counted(**changes: Any) -> dict[str, Any]:
    """Return a counted row of Key Vault's table."""
    return {
        "log_table": "AZKVAuditLogs",
        "received": "2026-09-07T10:00:00Z",
        "first_seen": "2026-09-07T10:05:00Z",
        "last_seen": "2026-09-07T10:50:00Z",
        "records": 12,
        "OperationName": "SecretGet",
        "ResourceId": VAULT,
        "identity_claim_oid_g": OID,
        "HttpStatusCode": "200",
        "AppliedAssignmentId": ASSIGNMENT,
        "RequestUri": "https://kv.vault.azure.net/secrets/db",
        **changes,
    }


def load(folder: Path, *rows: dict[str, Any]) -> Path:
    path, store = folder / "rows.jsonl", folder / "s.duckdb"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    load_paths(store, [path])
    return store


def test_equal_use_of_several_rows_adds_up(tmp_path: Path) -> None:
    """Rows that differ only in what no reading depends on, and one that was refused."""
    with open_store(
        load(tmp_path, counted(), counted(OperationName="secretget"), counted(HttpStatusCode="403", records=2)),
        read_only=True,
    ) as store:
        (row,) = store.table("usage_days").select("principal_id", "role_assignment_id", "succeeded", "denied").rows()
    assert row == (OID, ASSIGNMENT, 24, 2)


def test_the_same_answer_again_changes_nothing(tmp_path: Path) -> None:
    store = load(tmp_path, counted(), counted(OperationName="secretget"))
    (report,) = load_paths(store, [tmp_path / "rows.jsonl"]).rows
    assert (report.read, report.new, report.duplicate) == (2, 0, 2)


def test_a_row_that_cannot_be_used_is_rejected(tmp_path: Path) -> None:
    wrong = [
        ({"log_table": "Diary"}, "its log is unknown"),
        ({"records": "many"}, "one of its times or counts cannot be read"),
        ({"records": 0}, "one of its counts is below one"),
        ({"last_seen": "2026-09-07T11:00:00Z"}, "its requests are not within its hour"),
        ({"OperationName": None}, "it names no operation"),
    ]
    with open_store(load(tmp_path, counted(), *(counted(**one) for one, _ in wrong)), read_only=True) as store:
        found = store.table("rejects").sort("line").select("line", "reason").rows()
    assert found == [(line, reason) for line, (_, reason) in enumerate(wrong, start=2)]
