"""Cloud audit events of Defender XDR beside the Activity Log: no call counts twice, and reads are used or undecided."""

from __future__ import annotations

import datetime as dt
import itertools
from pathlib import Path
from typing import Any

import pytest

from rightsize.store.connection import Store, open_store
from rightsize.workflow.analysis.analyze import analyze_store
from rightsize.workflow.data.load import load_paths
from tests.ingest.entity_records import SUB, guid
from tests.ingest.parsing import write_lines

pytestmark = pytest.mark.slow

VM = f"{SUB}/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/vm"
MACHINES = "Microsoft.Compute/virtualMachines"
ADA, ROLE, ASSIGNMENT = guid(3), guid(60), guid(61)
DAYS = [dt.date(2026, 1, 1) + dt.timedelta(days=number) for number in range(90)]
LAST = DAYS[-1]
GRANTED = [f"{MACHINES}/read", f"{MACHINES}/write", f"{MACHINES}/delete", "Microsoft.Compute/disks/read"]


def entry(day: dt.date, operation: str) -> dict[str, Any]:
    """Return a diagnostic record of the Activity Log, which names the caller by its object id."""
    return {
        "time": f"{day}T10:00:00Z", "resourceId": VM.upper(), "operationName": operation.upper(), "category": "Write",
        "resultType": "Success", "correlationId": f"c-{day}", "identity": {
            "authorization": {"action": operation, "scope": VM}, "claims": {"oid": ADA}},
    }  # fmt: skip


def event(day: dt.date, operation: str, report: str, raw: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a cloud audit event, which names the caller by its UPN."""
    found = {
        "Timestamp": f"{day}T10:00:01Z", "ReportId": f"{report}-{day}", "DataSource": "Azure", "ResourceId": VM,
        "OperationName": operation, "Account": "ada@contoso.com",
    }  # fmt: skip
    return found | ({} if raw is None else {"RawEventData": raw})


ACTIVITY = [entry(day, f"{MACHINES}/write") for day in DAYS]
EVENTS = [
    *(event(day, f"{MACHINES}/read", "read") for day in DAYS),
    # The same write with and without the record that it was made from, and a call that the Activity Log has not.
    event(LAST, f"{MACHINES}/write", "whole", entry(LAST, f"{MACHINES}/write") | {"caller": "ada@contoso.com"}),
    event(LAST, f"{MACHINES}/write", "bare"),
    event(LAST, f"{MACHINES}/delete", "alone"),
]
LISTINGS = [
    {"id": ADA, "displayName": "Ada", "userPrincipalName": "ada@contoso.com", "userType": "Member"},
    {
        "id": f"{SUB}/providers/Microsoft.Authorization/roleDefinitions/{ROLE}", "name": ROLE,
        "type": "Microsoft.Authorization/roleDefinitions", "properties": {
            "roleName": "Machines", "type": "CustomRole", "assignableScopes": [SUB], "permissions": [
                {"actions": GRANTED, "notActions": [], "dataActions": [], "notDataActions": []}]},
    },
    {
        "id": f"{SUB}/providers/Microsoft.Authorization/roleAssignments/{ASSIGNMENT}", "name": ASSIGNMENT,
        "type": "Microsoft.Authorization/roleAssignments", "properties": {
            "principalId": ADA, "principalType": "User", "roleDefinitionId": ROLE, "scope": SUB},
    },
]  # fmt: skip
CATALOGUE = [
    {"operation": name, "is_data_action": False, "is_data_action_source": "provider-operations"} for name in GRANTED
]


def _load(folder: Path, *parts: list[dict[str, Any]]) -> Store:
    for place, part in enumerate(parts):
        load_paths(folder / "s.duckdb", [write_lines(folder, part, f"part{place}")])
    return open_store(folder / "s.duckdb", read_only=True)


_USE = """
    SELECT operation, sum(succeeded)::BIGINT, sum(started)::BIGINT FROM usage_days WHERE day = $day
    GROUP BY operation ORDER BY operation"""
USED = [(f"{MACHINES}/delete", 0, 1), (f"{MACHINES}/read", 0, 1), (f"{MACHINES}/write", 1, 0)]


@pytest.mark.parametrize("order", list(itertools.permutations([ACTIVITY, EVENTS])), ids=["activity", "events"])
def test_a_call_that_both_logs_have_counts_once(order: tuple[list[dict[str, Any]], ...], tmp_path: Path) -> None:
    """By the record within it is the same call; without one, the day, caller, operation and scope are the same."""
    with _load(tmp_path, *order) as store:
        assert store.frame(_USE, {"day": LAST}).rows() == USED
        covered = "SELECT source, category, state, count(*) FROM coverage GROUP BY ALL ORDER BY ALL"
        assert store.frame(covered).rows() == [
            ("activity_log", "Administrative", "observed", 90),
            ("cloud_audit_log", "CloudAuditEvents", "observed", 90),
        ]


@pytest.mark.nightly
def test_a_read_is_used_if_it_was_seen_and_undecided_if_it_was_not(tmp_path: Path) -> None:
    """The log shows reads of every day, and still is no evidence that another read was not used."""
    paths = [
        write_lines(tmp_path, part, f"part{place}")
        for place, part in enumerate((*([one] for one in LISTINGS), CATALOGUE, ACTIVITY, EVENTS))
    ]
    load_paths(tmp_path / "s.duckdb", paths)
    analyze_store(tmp_path / "s.duckdb")
    with open_store(tmp_path / "s.duckdb", read_only=True) as store:
        asked = "SELECT operation, verdict, reason FROM verdict_operations ORDER BY operation"
        found = {operation: (verdict, reason) for operation, verdict, reason in store.frame(asked).iter_rows()}
    assert found == {
        f"{MACHINES}/read": ("used", "elimination"),
        f"{MACHINES}/write": ("used", "elimination"),
        f"{MACHINES}/delete": ("used", "elimination"),
        "Microsoft.Compute/disks/read": ("unobservable", "arm_read"),
    }
