"""Records of the unified audit log become use of API permissions where they name an application."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rightsize.store.connection import open_store
from rightsize.workflow.data.load import load_paths
from tests.ingest.parsing import events_of_records, rejects_of, write_lines

APP = "aaaaaaaa-0000-4000-8000-000000000001"
GRAPH = "00000003-0000-0000-c000-000000000000"
OUTLOOK = "00000002-0000-0ff1-ce00-000000000000"
USER = "anna@contoso.com"


def audit(**more: Any) -> dict[str, Any]:
    """A record of the Management Activity API, in the shape that its schema documents."""
    record = {
        "CreationTime": "2026-01-05T10:00:00",
        "Id": "cf89b0a1-0000-4000-8000-000000000001",
        "Operation": "Send",
        "OrganizationId": "5622ad4e-cf23-49a9-8a97-2fe4f267e0f5",
        "RecordType": 2,
        "ResultStatus": "Succeeded",
        "UserKey": APP,
        "UserType": 5,
        "Version": 1,
        "Workload": "Exchange",
        "UserId": USER,
        "ClientIP": "203.0.113.5",
        "AppId": OUTLOOK,
        "ClientAppId": APP,
        "AppAccessContext": {"APIId": GRAPH, "ClientAppId": APP, "UniqueTokenId": "tok-1"},
    }
    return record | more


@pytest.mark.slow
def test_what_an_application_did_as_itself_is_its_use_of_an_api(tmp_path: Path) -> None:
    (event,) = events_of_records(tmp_path, audit())
    assert (event["plane"], event["source"], event["operation"]) == (
        "graph", "m365_audit_log", f"Exchange/Send?api={GRAPH}",
    )  # fmt: skip
    assert (event["app_id"], event["principal_type"], event["principal_id"], event["principal_name"]) == (
        APP, "ServicePrincipal", None, None,
    )  # fmt: skip
    assert event["outcome"] == "succeeded"


@pytest.mark.slow
def test_what_it_did_for_a_user_names_the_user(tmp_path: Path) -> None:
    (event,) = events_of_records(tmp_path, audit(UserType=0, AppAccessContext={"ClientAppId": APP}))
    assert (event["principal_type"], event["principal_name"], event["operation"]) == ("User", USER, "Exchange/Send")


@pytest.mark.nightly
def test_a_row_of_log_analytics_is_the_same_event(tmp_path: Path) -> None:
    row = {
        "TimeGenerated": "2026-01-05T10:00:00Z", "Type": "OfficeActivity", "OfficeWorkload": "Exchange",
        "RecordType": "ExchangeItem", "Operation": "Send", "UserType": "Application", "UserId": USER,
        "OfficeId": audit()["Id"], "ResultStatus": "Succeeded", "Client_IPAddress": "203.0.113.5",
        "AppAccessContext": json.dumps(audit()["AppAccessContext"]), "ClientAppId": APP,
    }  # fmt: skip
    (one,), (other,) = events_of_records(tmp_path, audit()), events_of_records(tmp_path, row)
    compared = ("time", "operation", "app_id", "principal_type", "outcome", "correlation_id")
    assert [one[name] for name in compared] == [other[name] for name in compared]
    assert other["ip"] == "203.0.113.5"


@pytest.mark.slow
def test_people_failures_and_the_directory_are_counted_and_show_no_use(tmp_path: Path) -> None:
    person = audit(AppAccessContext={}, ClientAppId="", AppId="", UserType=0, Id="1")
    failed = audit(ResultStatus="Failed", Id="2")
    directory = audit(Workload="AzureActiveDirectory", Operation="UserLoggedIn", ApplicationId=APP, Id="3")
    assert {event["outcome"] for event in events_of_records(tmp_path, person, failed, directory)} == {"other"}


@pytest.mark.nightly
def test_hostile_words_are_no_operations_and_a_record_without_time_is_rejected(tmp_path: Path) -> None:
    (event,) = events_of_records(tmp_path, audit(Operation="Send?api=x\u202e<b>", Workload="a/b" * 100))
    assert event["operation"] == f"unnamed/unnamed?api={GRAPH}"
    lines = write_lines(tmp_path, [audit(), audit(CreationTime="yesterday")])
    assert [reason for _, reason, _ in rejects_of(lines)] == ["its time cannot be read"]


@pytest.mark.nightly
def test_the_store_counts_them_apart_from_requests_to_graph(tmp_path: Path) -> None:
    """A user's name is resolved when it is read, and each workload has days of its own."""
    db = tmp_path / "s.duckdb"
    people = [{"id": "bbbbbbbb-0000-4000-8000-000000000002", "userPrincipalName": USER, "displayName": "Anna"}]
    load_paths(db, [str(write_lines(tmp_path, [audit(), audit(Id="2", UserType=0)]))])
    (tmp_path / "users.json").write_text(json.dumps({"value": people}), encoding="utf-8")
    load_paths(db, [str(tmp_path / "users.json")])
    with open_store(db, read_only=True) as store:
        used = store.frame("SELECT access, principal_id, operation, succeeded FROM m365_usage_days ORDER BY ALL").rows()
        days = store.frame("SELECT source, category, state FROM coverage").rows()
        graph = store.frame("SELECT count(*) FROM graph_usage_days").item()
    send = f"Exchange/Send?api={GRAPH}"
    assert used == [("application", None, send, 1), ("delegated", people[0]["id"], send, 1)]
    assert (days, graph) == ([("m365_audit_log", "Exchange", "observed")], 0)
