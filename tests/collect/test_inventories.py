"""A collection vouches for its listings of resources and providers: who read them, of what, and to which end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rightsize.store.connection import open_store
from rightsize.workflow.data import collect as workflow
from rightsize.workflow.data.load import load_paths
from tests.collect.collecting import Collect
from tests.loopback.server import Loopback

pytestmark = pytest.mark.slow

SOURCES = ("resources", "resource_graph", "providers")
KINDS = ("resource_list", "resource_graph", "providers")


def inventories(db: Path) -> list[dict[str, Any]]:
    with open_store(db, read_only=True) as store:
        return store.frame("FROM inventories ORDER BY scope, kind").to_dicts()


@pytest.mark.nightly
def test_a_collection_vouches_for_each_subscription(
    loopback: Loopback, collect: Collect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages of Resource Graph are followed to their end; a subscription without resources is listed, too."""
    monkeypatch.setattr(loopback.monitor, "query_rows", 3)
    report = collect(db=tmp_path / "store.duckdb", sources=SOURCES)
    found = inventories(tmp_path / "store.duckdb")
    scopes = {scope.scope.lower() for scope in loopback.content.subscriptions}
    assert {(row["scope"], row["kind"]) for row in found} == {(scope, kind) for scope in scopes for kind in KINDS}
    assert {(row["complete"], row["problem"], row["vouched_by"]) for row in found} == {(True, None, "collection")}
    assert len({row["reader_id"] for row in found}) == 1
    assert all(row["reader_id"] and row["read_on"] <= row["finished_on"] for row in found)
    rows = {(row["scope"], row["kind"]): row["rows"] for row in found}
    assert all(rows[scope, "resource_list"] == rows[scope, "resource_graph"] for scope in scopes)
    assert any(rows[scope, "resource_graph"] > 3 for scope in scopes)
    with open_store(tmp_path / "store.duckdb", read_only=True) as store:
        states = store.frame("SELECT DISTINCT state, reader_id IS NOT NULL AS said FROM provider_registrations")
        resources = store.frame("SELECT count(*) AS n FROM resources")["n"][0]
    assert set(states.rows()) == {("Registered", True), ("NotRegistered", True)}
    assert resources == sum(number for (_, kind), number in rows.items() if kind == "resource_list")
    load_paths(tmp_path / "again.duckdb", [report.folder])
    load_paths(tmp_path / "again.duckdb", [report.folder])
    assert inventories(tmp_path / "again.duckdb") == found


def test_a_refused_subscription_is_not_complete(loopback: Loopback, collect: Collect, tmp_path: Path) -> None:
    scope = loopback.content.subscriptions[0].scope.lower()
    loopback.faults.add("forbidden", rf"(?i){scope}/providers\?", times=None)
    collect(db=tmp_path / "store.duckdb", sources=SOURCES)
    found = {(row["scope"], row["kind"]): row for row in inventories(tmp_path / "store.duckdb")}
    refused = found.pop((scope, "providers"))
    assert not refused["complete"]
    assert refused["problem"].startswith("the reading failed: ")
    assert all(row["complete"] for row in found.values())


@pytest.mark.nightly
def test_a_collection_by_two_principals_proves_nothing(
    loopback: Loopback, collect: Collect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a listing has depends on who reads it."""
    loopback.faults.add("503", r"/providers\?", times=None)
    first = collect(sources=SOURCES)
    assert not first.is_whole
    loopback.faults.clear()
    real = workflow.sign_in
    monkeypatch.setattr(workflow, "sign_in", lambda *given: replace(real(*given), principal_id="somebody else"))
    collect(db=tmp_path / "store.duckdb", sources=SOURCES)
    problems = {row["problem"] for row in inventories(tmp_path / "store.duckdb")}
    assert problems == {"the reading failed: two principals collected it one after the other"}
