"""What the rules say of operations of the unified audit log, with names that Graph has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rightsize.rules.graph import audited_apis, audited_needs
from rightsize.rules.tables import rows_of

GRAPH = "00000003-0000-0000-c000-000000000000"
EXCHANGE = "00000002-0000-0ff1-ce00-000000000000"


@pytest.mark.parametrize(
    ("operation", "api", "permission"),
    [
        ("Exchange/MailItemsAccessed", GRAPH, "Mail.Read"),
        ("Exchange/Send", GRAPH, "Mail.Send"),
        ("Exchange/New-InboxRule", EXCHANGE, "Exchange.ManageAsApp"),
        ("Exchange/Set-Mailbox", EXCHANGE, "Exchange.ManageAsApp"),
        ("SharePoint/FileDownloaded", GRAPH, "Sites.Read.All"),
        ("OneDrive/FileAccessedExtended", GRAPH, "Files.Read.All"),
        ("MicrosoftTeams/MessagesListed", GRAPH, "ChannelMessage.Read.All"),
    ],
)
def test_an_operation_may_need_one_of_these(operation: str, api: str, permission: str) -> None:
    found = {need.api_app_id: need.permissions for need in audited_needs(operation)}
    assert permission in found[api]
    assert [need.api_app_id for need in audited_needs(f"{operation}?api={api}")] == [api]


def test_reading_needs_no_permission_to_write_files_and_an_unknown_operation_none() -> None:
    (need,) = audited_needs(f"SharePoint/FileUploaded?api={GRAPH}")
    assert not {"Sites.Read.All", "Files.Read.All"} & set(need.permissions)
    assert audited_needs("Exchange/Frobnicate") == audited_needs("Copilot/Asked") == ()
    assert audited_needs("Exchange/Send?api=11111111-0000-4000-8000-000000000000") == ()


@pytest.mark.slow
def test_permissions_of_graph_are_those_that_it_has(shared_data: Path) -> None:
    names = json.loads((shared_data / "graph" / "permissions.json").read_text(encoding="utf-8"))["permissions"].keys()
    rows = [row for row in rows_of("m365_operations") if row["api_app_id"] == GRAPH]
    assert len(rows) > 10
    for row in rows:
        assert set(row["permissions"].split("|")) <= names, row["operations"]
        assert row["source"].startswith("Microsoft Purview")
    assert len(audited_apis()) == 3
