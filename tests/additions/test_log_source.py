"""A log of another data plane is one file and one line."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from tests.additions.tree import Registration, with_addition

pytestmark = pytest.mark.nightly

SOURCE = '''"""Declare the log of requests to box stores, which nobody sells."""

from __future__ import annotations

from rightsize.rules.log_source import LogSource, Opened

SOURCE = LogSource(
    name="boxes",
    source="box_log",
    records="requests",
    covered=("BoxRequests",),
    pascal={"box_caller": ("BoxCallerId",)},
    tables=("boxstorerequests",),
    categories=("boxrequests",),
    opened=(Opened("properties", {"in_caller": ("$.boxCaller",), "in_code": ("$.boxStatus",)}),),
    columns={
        "category": "'BoxRequests'",
        "service": "'boxes'",
        "object_id": "coalesce(box_caller, in_caller)",
        "http_status": "coalesce(http_status, in_code)",
    },
    rules={
        "log_request_operations": """
boxes,GetItem,Microsoft.Boxes/stores/items/read,data,resource,roles,made up
boxes,PutItem,Microsoft.Boxes/stores/items/write,data,resource,roles,made up
""",
        "observability": """
Microsoft.Boxes/stores/items/shake/action,data,,no_resource_log,made up
Microsoft.Boxes/*,data,box_log,,made up
""",
        "resource_logs": "Microsoft.Boxes/*,data,box_log,Microsoft.Boxes/stores,,BoxRequests,made up",
        "log_tables": "log:microsoft.boxes/stores,box_log,BoxRequests,BoxStoreRequests,,500,1000,0,,,made up",
    },
)
'''

SUBSCRIPTION = "/subscriptions/11111111-1111-4111-8111-111111111111"
STORE = f"{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.Boxes/stores/attic"
HOLDER = "22222222-2222-4222-8222-222222222222"
ROLE = "33333333-3333-4333-8333-333333333333"
ITEMS = "Microsoft.Boxes/stores/items"
KEPT = [f"{ITEMS}/read", f"{ITEMS}/write", f"{ITEMS}/shake/action"]


def _write(path: Path, *records: dict[str, Any]) -> Path:
    path.write_text("\n".join(map(json.dumps, records)) + "\n", encoding="utf-8")
    return path


def _records() -> list[dict[str, Any]]:
    """Return a read on each of ninety days, in both envelopes, and a refused write."""
    of_days = [f"{dt.date(2026, 1, 1) + dt.timedelta(day)}T08:00:00Z" for day in range(90)]
    common = {"category": "BoxRequests", "resourceId": STORE.upper()}
    sent = [
        {**common, "time": time, "operationName": "GetItem", "correlationId": f"c{number}",
         "properties": {"boxCaller": HOLDER, "boxStatus": 200}}
        for number, time in enumerate(of_days)
    ]  # fmt: skip
    refused = sent[-1] | {"operationName": "PutItem", "properties": {"boxCaller": HOLDER, "boxStatus": 403}}
    row = {
        "TimeGenerated": of_days[-1], "Type": "BoxStoreRequests", "OperationName": "GetItem", "CorrelationId": "row",
        "_ResourceId": STORE, "BoxCallerId": HOLDER, "HttpStatusCode": 200,
    }  # fmt: skip
    return [*sent, refused, row]


def test_a_log_of_another_data_plane_is_read_counted_and_judged(tmp_path: Path) -> None:
    """Its requests are events of the data plane, its days are covered, and what it shows is used or unused."""
    line = Registration("rightsize/rules/log_sources/__init__.py", '"data_stores.SQL",', '    "boxes.SOURCE",')
    tree = with_addition(tmp_path / "tree", "rightsize/rules/log_sources/boxes.py", SOURCE, line)
    db, records = tmp_path / "store.duckdb", _records()
    role = f"{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/{ROLE}"
    block = {"actions": [], "notActions": [], "dataActions": KEPT, "notDataActions": []}
    files = [
        _write(tmp_path / "logs", *records[:-1]),
        _write(tmp_path / "rows", records[-1]),
        _write(tmp_path / "roles", {
            "id": role, "name": ROLE, "type": "Microsoft.Authorization/roleDefinitions", "properties": {
                "roleName": "Box Keeper", "type": "CustomRole", "permissions": [block],
                "assignableScopes": [SUBSCRIPTION]}}),
        _write(tmp_path / "assignments", {
            "id": f"{STORE}/providers/Microsoft.Authorization/roleAssignments/{HOLDER}", "name": HOLDER,
            "type": "Microsoft.Authorization/roleAssignments", "properties": {
                "principalId": HOLDER, "principalType": "User", "roleDefinitionId": role, "scope": STORE}}),
        _write(tmp_path / "operations", *(
            {"operation": name, "is_data_action": True, "is_data_action_source": "provider-operations"}
            for name in KEPT)),
    ]  # fmt: skip

    def asked(*arguments: str) -> Any:
        # From the root of the copy, so that no installed package comes before it.
        return json.loads(tree.run(*arguments, "--db", str(db), "-o", "json", cwd=tree.root).stdout)

    counted = asked("load", *map(str, files[:2]))
    assert [(row["source"], row["read"], row["new"], row["rejected"]) for row in counted] == [
        ("box_log", 91, 91, 0),
        ("box_log", 1, 1, 0),
    ]
    asked("load", *map(str, files[2:]))
    events = "SELECT plane, operation, outcome, principal_id, count(*) AS n FROM events GROUP BY ALL ORDER BY ALL"
    assert [tuple(row.values()) for row in asked("sql", events)] == [
        ("data", f"{ITEMS}/read", "succeeded", HOLDER, 91),
        ("data", f"{ITEMS}/write", "denied", HOLDER, 1),
    ]
    coverage = "SELECT source, category, lower(scope) AS scope, state, count(*) AS days FROM coverage GROUP BY ALL"
    assert [tuple(row.values()) for row in asked("sql", coverage)] == [
        ("box_log", "BoxRequests", STORE.lower(), "observed", 90)
    ]
    (judged,) = [row for row in asked("analyze", "--by", "assignment") if row["plane"] == "data"]
    words = ("granted", "used", "unused", "unobservable", "out_of_coverage")
    assert [judged[word] for word in words] == [3, 1, 1, 1, 0]
