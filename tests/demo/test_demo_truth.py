"""The planted truth agrees with the logs and with today's grants."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rightsize.rules.resource_types import linked_pairs
from tests.ingest.parsing import staged
from tests.tenants.oracle import Oracle
from tests.tenants.records import Row, activity, members, records, requests, storage

Truth = dict[str, Any]


@pytest.fixture(scope="module")
def rows(demo_exports: Path) -> list[Row]:
    """Every record of the Activity Log that can be read."""
    return list(activity(demo_exports))


@pytest.fixture(scope="module")
def oracle(demo_exports: Path) -> Oracle:
    """Who may do what today."""
    return Oracle(demo_exports)


@pytest.fixture(scope="module")
def callers(demo_exports: Path) -> dict[str, str]:
    """Object ids by UPN, and by themselves."""
    users = next(records(demo_exports / "directory/users.json"), None)
    assert users is not None
    return {user["userPrincipalName"]: user["id"] for user in records(demo_exports / "directory/users.json")}


def _day(row: Row) -> dt.date:
    if "/" in row.time:
        return dt.datetime.strptime(row.time, "%m/%d/%Y, %I:%M:%S.%f %p").date()
    return dt.date.fromisoformat(row.time[:10])


@pytest.mark.slow
def test_every_used_need_is_in_a_log_of_the_window(
    demo_exports: Path, demo_truth: Truth, rows: list[Row], callers: dict[str, str]
) -> None:
    """A logged need that no export shows inside the window would be a truth that nobody can find."""
    first = dt.date.fromisoformat(demo_truth["window"]["first_day"])
    shown = {
        (row.principal_id or callers.get(row.caller, row.caller), row.operation, row.scope)
        for row in rows
        if row.category == "Administrative" and row.time and row.time[0].isdigit() and _day(row) >= first
    }
    for record in storage(demo_exports):
        for entry in record["identity"].get("authorization", ()):
            account = record["resourceId"].removesuffix("/blobServices/default")
            container = record["properties"]["objectKey"].split("/")[2]
            scope = f"{account}/blobServices/default/containers/{container}"
            if record["time"][:10] >= first.isoformat():
                shown.add((record["identity"]["requester"]["objectId"], entry["action"], scope))
    asked = tuple(demo_truth["request_resources"])
    needs = [n for n in demo_truth["needs"] if n["kind"] == "used" and not _is_asked(n, asked)]
    assert needs
    missing = [n for n in needs if (n["principal_id"], n["operation"], n["scope"]) not in shown]
    assert missing == []


def _is_asked(need: dict[str, Any], resources: tuple[str, ...]) -> bool:
    """Tell whether the log of a resource's requests shows a need; that of storage has a test of its own."""
    is_asked = need["plane"] == "data" or need["operation"].endswith("/pull/read")
    return is_asked and need["scope"].startswith(resources) and "/storageAccounts/" not in need["scope"]


@pytest.mark.slow
def test_every_need_at_a_resource_that_logs_requests_is_in_its_log(demo_exports: Path, demo_truth: Truth) -> None:
    """Some record names who, by object or application id, and where."""
    texts = list(requests(demo_exports))
    apps = {p["id"]: p["appId"] for p in records(demo_exports / "directory/servicePrincipals.json")}
    needs = [n for n in demo_truth["needs"] if _is_asked(n, tuple(demo_truth["request_resources"]))]
    assert {need["operation"].split("/")[0] for need in needs} == {
        "Microsoft.KeyVault",
        "Microsoft.ServiceBus",
        "Microsoft.ContainerService",
        "Microsoft.ContainerRegistry",
    }
    for need in needs:
        names = {need["principal_id"], apps.get(need["principal_id"], need["principal_id"])}
        where = need["scope"].rsplit("/", 1)[-1].lower()
        assert any(where in text and any(name in text for name in names) for text in texts), need


@pytest.mark.nightly
def test_the_logs_of_requests_have_a_shape_each_and_none_is_rejected(demo_exports: Path, demo_truth: Truth) -> None:
    """Lines, an answer of a query, an envelope of Event Hubs, the portal's CSV and AzureDiagnostics."""
    _, report = staged(demo_exports / "requests")
    found = {file.source: (file.read, file.rejected) for file in report.files}
    assert set(found) == {
        *("key_vault_log", "messaging_log", "aks_audit_log", "registry_log", "cosmos_log", "sql_audit_log")
    }
    assert all(read and not rejected for read, rejected in found.values())
    assert demo_truth["events"]["request_logs"] <= sum(read for read, _ in found.values())


@pytest.mark.slow
def test_silent_needs_are_in_no_log(demo_truth: Truth, rows: list[Row]) -> None:
    """Reads, linked checks and unlogged data actions stand in the truth only."""
    silent = {
        (n["principal_id"], n["operation"]) for n in demo_truth["needs"] if n["kind"] not in ("used", "out_of_coverage")
    }
    assert {need["kind"] for need in demo_truth["needs"]} >= {
        "read",
        "linked",
        "unruled_check",
        "unlogged_data",
        "data_endpoint",
    }
    assert {(row.principal_id, row.operation) for row in rows if row.category == "Administrative"} & silent == set()


@pytest.mark.slow
def test_no_rule_knows_the_checks_that_are_made_up(demo_truth: Truth, rows: list[Row]) -> None:
    """Nor do the rules name what their holders wrote as a cause; of the other logged checks they do."""
    made: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        made[str(row.principal_id)].add(row.operation.lower())
    known = {need["kind"]: [] for need in demo_truth["needs"]}
    for need in demo_truth["needs"]:
        writes = pl.Series(sorted(made[need["principal_id"]]), dtype=pl.String)
        known[need["kind"]].append(not linked_pairs(pl.Series([need["operation"].lower()]), writes).is_empty())
    assert len(known["unruled_check"]) == 5
    assert not any(known["unruled_check"])
    assert sum(known["linked"]) == 4


@pytest.mark.slow
def test_every_need_is_granted_by_the_assignment_that_it_is_credited_to(demo_truth: Truth, oracle: Oracle) -> None:
    """Replaying the truth over today's grants denies nothing."""
    refused = [
        need
        for need in demo_truth["needs"]
        if not oracle.grants(
            need["role_assignment_id"], need["principal_id"], need["operation"], need["scope"], need["plane"]
        )
    ]
    assert refused == []


@pytest.mark.slow
def test_unexplained_use_is_granted_by_nothing(demo_truth: Truth, oracle: Oracle) -> None:
    """What the truth calls unexplained, no assignment of today allows."""
    assert demo_truth["unexplained"]
    for use in demo_truth["unexplained"] + demo_truth["demand"]:
        keys = (use["principal_id"], use["operation"], use["scope"], "control")
        data = (*keys[:3], "data")
        assert not any(oracle.grants(name, *keys) or oracle.grants(name, *data) for name in oracle.assignments)


@pytest.mark.slow
def test_evidence_names_an_assignment_that_the_truth_knows(demo_truth: Truth, rows: list[Row]) -> None:
    """Evidence has ids without dashes, of today's assignments or of those that the truth says are gone."""
    known = {a["role_assignment_id"].replace("-", "") for a in demo_truth["assignments"]}
    gone = {name.replace("-", "") for name in demo_truth["gone_assignments"]}
    named = {row.evidence["roleAssignmentId"] for row in rows if row.evidence}
    assert named <= known | gone
    assert named & gone
    assert all(
        "-" not in row.evidence[key] for row in rows if row.evidence for key in ("principalId", "roleDefinitionId")
    )


@pytest.mark.slow
def test_the_truth_lists_exactly_todays_assignments(demo_truth: Truth, oracle: Oracle) -> None:
    """Standing, eligible and activated ones; nothing that is gone."""
    assert {a["role_assignment_id"] for a in demo_truth["assignments"]} == set(oracle.assignments)


@pytest.mark.slow
def test_duplicates_are_contained_in_what_they_duplicate(demo_truth: Truth, oracle: Oracle) -> None:
    """A duplicate has the same principal or a group of it, at the same scope or above."""
    by_id = {a["role_assignment_id"]: a for a in demo_truth["assignments"]}
    duplicates = [a for a in by_id.values() if a["duplicate_of"]]
    assert len(duplicates) >= 3
    for one in duplicates:
        other = by_id[one["duplicate_of"]]
        assert other["principal_id"] in oracle.holders(one["principal_id"])
        assert oracle.within(one["scope"], other["scope"])


@pytest.mark.slow
def test_never_used_assignments_have_no_use_in_the_window(demo_truth: Truth, rows: list[Row]) -> None:
    """Evidence of the window names none of them."""
    first = dt.date.fromisoformat(demo_truth["window"]["first_day"])
    never = {a["role_assignment_id"].replace("-", "") for a in demo_truth["assignments"] if a["never_used"]}
    assert never
    assert {row.evidence["roleAssignmentId"] for row in rows if row.evidence and _day(row) >= first} & never == set()


@pytest.mark.slow
def test_orphans_are_in_no_listing(demo_exports: Path, demo_truth: Truth) -> None:
    """Their assignments have no name, and no page of the directory knows them."""
    orphans = {a["principal_id"] for a in demo_truth["assignments"] if a["orphan"]}
    assert len(orphans) == 2
    listed = {
        item["id"]
        for name in ("users", "groups", "servicePrincipals", "deletedItems-servicePrincipals")
        for item in records(demo_exports / f"directory/{name}.json")
    }
    assert not orphans & listed


@pytest.mark.nightly
def test_counts_of_records_are_those_of_the_files(demo_exports: Path, demo_truth: Truth) -> None:
    """The truth knows each file, and how many records a reader finds in it."""
    paths = {str(path.relative_to(demo_exports)) for path in demo_exports.rglob("*") if path.is_file()}
    assert paths == set(demo_truth["files"])
    for name, counts in demo_truth["files"].items():
        if name == "activity/damaged.jsonl":
            lines = next(members(demo_exports / name))[1].splitlines()
            assert (len(lines), counts["rejected"]) == (counts["records"], 4)
        else:
            assert len(list(records(demo_exports / name))) == counts["records"], name


@pytest.mark.slow
def test_counts_of_calls_are_those_of_the_logs(demo_truth: Truth, rows: list[Row]) -> None:
    """One call is one event, however many rows and files show it."""
    usable = [row for row in rows if row.time and row.time[0].isdigit() and row.category == "Administrative"]
    calls = {(row.correlation_id, row.operation.lower(), row.scope.lower()) for row in usable}
    assert len(calls) == sum(demo_truth["events"]["activity_log"].values())
    assert len(usable) > 2 * len(calls) * 0.9
    begun = Counter(row.status for row in usable)
    assert {"Started", "Start", "Accept", "Accepted", "Success", "Succeeded", "Failure", "Failed"} <= set(begun)


@pytest.mark.slow
def test_days_without_a_log_are_really_without(demo_truth: Truth, rows: list[Row]) -> None:
    """The silent subscription shows rows before and after, and none between."""
    ((scope, days),) = demo_truth["missing_days"].items()
    first, last = dt.date.fromisoformat(days["first_day"]), dt.date.fromisoformat(days["last_day"])
    seen = {_day(row) for row in rows if row.scope.startswith(scope)}
    assert not {day for day in seen if first <= day <= last}
    assert first - dt.timedelta(days=1) in seen
    assert last + dt.timedelta(days=1) in seen


@pytest.mark.slow
def test_every_other_subscription_has_rows_on_every_day(demo_truth: Truth, rows: list[Row]) -> None:
    """So that what was not seen there was not done."""
    days: dict[str, set[dt.date]] = {}
    for row in rows:
        if row.scope.startswith("/subscriptions/") and row.category == "Administrative" and row.time[:1].isdigit():
            days.setdefault(row.scope.split("/")[2], set()).add(_day(row))
    silent = {scope.split("/")[2] for scope in demo_truth["missing_days"]}
    length = (
        dt.date.fromisoformat(demo_truth["window"]["last_day"]) - dt.date.fromisoformat(demo_truth["first_day"])
    ).days
    assert {name: len(found) for name, found in days.items() if name not in silent} == dict.fromkeys(
        set(days) - silent, length + 1
    )
