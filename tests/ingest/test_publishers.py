"""Records as their publishers write them, each with what becomes of it: an event, or a number of the load's summary."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from rightsize.ingest.entities.log_tables import PORTAL_COLUMNS
from rightsize.ingest.pipeline import StagedFile
from rightsize.store.connection import Store, open_store
from rightsize.workflow.data.load import LoadReport, load_paths
from tests.ingest.entity_records import SUB, guid
from tests.ingest.parsing import staged, write_lines
from tests.ingest.signal_records import GRAPH_ALERT, GRAPH_INCIDENT, RISK_DETECTION, RISKY_USER

Record = dict[str, Any]

TENANT = f"/tenants/{guid(1)}/providers/Microsoft.aadiam"
USER, WORKLOAD, APP, DEVICE = guid(3), guid(7), guid(8), guid(9)
TIME = "2026-01-05T10:00:00Z"
DISK = f"{SUB}/resourceGroups/rg/providers/Microsoft.Compute/disks/d"
VM = f"{SUB}/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/vm"
NSG = f"{SUB}/resourceGroups/rg/providers/Microsoft.Network/networkSecurityGroups/n".upper()


def sent(category: str, resource: str = TENANT, **more: Any) -> Record:
    """Return a record of a diagnostic setting."""
    return {"time": TIME, "resourceId": resource, "operationName": "x", "category": category} | more


def row(table: str, **columns: Any) -> Record:
    """Return a row of a table of Log Analytics."""
    return {"TimeGenerated": TIME, "Type": table} | columns


def audit(activity: str, service: str = "Core Directory") -> Record:
    return sent(
        "AuditLogs",
        operationName=activity,
        correlationId="c-1",
        properties={
            "id": "a-1", "activityDisplayName": activity, "activityDateTime": TIME, "loggedByService": service,
            "result": "success", "initiatedBy": {"user": {"id": USER, "userPrincipalName": "ada@contoso.com"}},
            "targetResources": [{"id": DEVICE, "type": "Device"}],
        },
    )  # fmt: skip


def graph(**properties: Any) -> Record:
    asked = {
        "requestId": "r-1",
        "requestMethod": "GET",
        "requestUri": "https://graph.microsoft.com/v1.0/users",
        "appId": APP,
        "responseStatusCode": 200,
    }
    return sent("MicrosoftGraphActivityLogs", properties=asked | properties)


def changed(**more: Any) -> Record:
    """Return columns of a row of AzureActivity, which other tables have, too."""
    return {
        "CategoryValue": "Administrative", "OperationNameValue": "Microsoft.Compute/disks/write",
        "ActivityStatusValue": "Success", "Caller": "ada@contoso.com", "CorrelationId": "c-1", "ResourceId": DISK,
    } | more  # fmt: skip


NO_TIME = {key: value for key, value in sent("AzureADGraphActivityLogs").items() if key != "time"}
OLDER_GRAPH = NO_TIME | {
    "properties": {
        "timeGenerated": TIME, "requestId": "r-1", "requestMethod": "GET", "appId": APP, "servicePrincipalId": WORKLOAD,
        "requestUri": "https://graph.windows.net/contoso.com/users/ada@contoso.com?api-version=1.6",
    }
}  # fmt: skip
SIGN_IN = {"UserId": USER, "AppId": APP, "IPAddress": "203.0.113.7", "ResultType": "0", "CorrelationId": "c-1"}
SELECTED = {
    "id": f"{DISK}/events/{guid(5)}/ticks/638000000000000000", "eventTimestamp": TIME, "caller": "ada@contoso.com",
    "operationName": {"value": "Microsoft.Compute/disks/write"}, "status": {"value": "Succeeded"},
}  # fmt: skip
LIKE_ARM = {
    "operationName": "Microsoft.Network/networkSecurityGroups/write",
    "caller": "ada@contoso.com",
    "claims": {"oid": USER},
    "correlationId": "c-1",
}

RAW = {
    "eventTimestamp": TIME, "correlationId": "c-1", "operationName": "Microsoft.Compute/virtualMachines/write",
    "category": "Administrative", "resourceId": VM, "caller": "ada@contoso.com", "status": "Succeeded",
    "authorization": json.dumps({"action": "Microsoft.Compute/virtualMachines/write", "scope": VM}),
    "claims": {"oid": USER, "upn": "ada@contoso.com"},
}  # fmt: skip
WRITE = {
    "Timestamp": TIME, "ReportId": "w", "DataSource": "Azure", "ActionType": "Update", "ResourceId": VM,
    "OperationName": "Microsoft.Compute/virtualMachines/write", "Account": "ada@contoso.com", "RawEventData": RAW,
}  # fmt: skip
READ = {
    "Timestamp": TIME, "ReportId": "r", "DataSource": "Azure ARM Logs", "ActionType": "Read", "AzureResourceId": VM,
    "OperationName": "Microsoft.Compute/virtualMachines/read", "Account": USER,
}  # fmt: skip


def streamed(event: Record) -> Record:
    """Return an event as Defender XDR streams it to Event Hubs and storage."""
    category = "AdvancedHunting-CloudAuditEvents"
    return {"time": TIME, "tenantId": guid(1), "operationName": "Publish", "category": category, "properties": event}


_AS_USER = "SELECT plane, principal_id, operation, outcome FROM stage_event_rows WHERE {} ORDER BY operation"
_OF_TENANT = "SELECT principal_id, principal_type, operation, scope FROM stage_event_rows WHERE {}"
_SIGN_INS = "SELECT kind, principal_id, time::VARCHAR FROM stage_sign_in_rows WHERE {}"
_COUNTED: tuple[str, list[tuple[Any, ...]]] = ("SELECT * FROM stage_event_rows WHERE {}", [])
_LAPS = "microsoft.directory/deviceLocalCredentials/password/read"
_ARM = "Microsoft.Compute/virtualMachines"
_EVENTS = [("control", USER, f"{_ARM}/read", "started"), ("control", USER, f"{_ARM}/write", "succeeded")]

TABLE: dict[str, tuple[list[Record], str, str, list[tuple[Any, ...]]]] = {
    "an application's own request has the id of the application where others have a user's": (
        [graph(C_Idtyp="app", servicePrincipalId=WORKLOAD, scopes="", UserPrincipalObjectID=WORKLOAD)],
        "graph_activity_log", _OF_TENANT, [(WORKLOAD, "ServicePrincipal", "GET /users", "/")],
    ),
    "the category says that it is no audit, though the resource is that of audits": (
        [sent("MicrosoftServicePrincipalSignInLogs", correlationId="c-1",
              properties={"id": "s-1", "servicePrincipalId": WORKLOAD, "appId": APP, "createdDateTime": TIME})],
        "sign_in_log", _SIGN_INS, [("microsoft_service_principal", WORKLOAD, "2026-01-05 10:00:00")],
    ),
    "a category that no rule knows": (
        [sent("NeverHeardOf", correlationId="c-1", appId=APP)], "resource_log", *_COUNTED,
    ),
    "a request to Azure AD Graph has its time within, and is no use": (
        [OLDER_GRAPH], "azure_ad_graph_log", _AS_USER, [("directory", WORKLOAD, "GET /users/{id}", "other")],
    ),
    "the same in a workspace": (
        [row("AADGraphActivityLogs", RequestMethod="GET", AppId=APP, ServicePrincipalId=WORKLOAD, RequestId="r-1",
             RequestUri="https://graph.windows.net/me?api-version=1.6")],
        "azure_ad_graph_log", _AS_USER, [("directory", WORKLOAD, "GET /me", "other")],
    ),
    "a sign-in with the time at which it was made": (
        [{"Type": "SigninLogs", "CreatedDateTime": TIME} | SIGN_IN],
        "sign_in_log", _SIGN_INS, [("interactive", USER, "2026-01-05 10:00:00")],
    ),
    "the same as the portal names the column": (
        [{"Type": "SigninLogs", "CreatedDateTime [UTC]": TIME} | SIGN_IN],
        "sign_in_log", _SIGN_INS, [("interactive", USER, "2026-01-05 10:00:00")],
    ),
    "the table decides, not the columns of another one": (
        [row("AADNonInteractiveUserSignInLogs", Category="AuditLogs", LoggedByService="Core Directory", **SIGN_IN)],
        "sign_in_log", _SIGN_INS, [("non_interactive", USER, "2026-01-05 10:00:00")],
    ),
    "the same the other way round": (
        [row("AuditLogs", Category="SignInLogs", LoggedByService="Core Directory", OperationName="Add user",
             Result="success", InitiatedBy={"user": {"id": USER}}, AppId=APP, UserId=WORKLOAD, CorrelationId="c-1")],
        "entra_audit_log", _AS_USER, [("directory", USER, "microsoft.directory/users/create", "succeeded")],
    ),
    "a row of a table that no rule knows": ([row("Copies_CL", **changed())], "resource_log", *_COUNTED),
    "reading a LAPS password": (
        [audit("Recover device local administrator password", "Device Registration Service")],
        "entra_audit_log", _AS_USER, [("directory", USER, _LAPS, "succeeded")],
    ),
    "credentials of a new application, with the dash of the log": (
        [audit("Create application – Certificates and secrets management ")],  # noqa: RUF001  the log's own dash
        "entra_audit_log", _AS_USER,
        [("directory", USER, "microsoft.directory/applications/credentials/update", "succeeded")],
    ),
    "selected columns of the Activity Log, without the resource": (
        [SELECTED], "activity_log", "SELECT operation, scope, outcome FROM stage_event_rows WHERE {}",
        [("Microsoft.Compute/disks/write", DISK, "succeeded")],
    ),
    "flows of a network": (
        [sent("NetworkSecurityGroupFlowEvent", NSG, operationName="NetworkSecurityGroupFlowEvents", systemId="x")],
        "resource_log", *_COUNTED,
    ),
    "rules of a network": (
        [sent("NetworkSecurityGroupEvent", NSG, operationName="NetworkSecurityGroupEvents", systemId="x")],
        "resource_log", *_COUNTED,
    ),
    "rules of a network in a workspace": (
        [row("AzureDiagnostics", Category="NetworkSecurityGroupEvent", ResourceId=NSG,
             OperationName="NetworkSecurityGroupEvents")],
        "resource_log", *_COUNTED,
    ),
    "flows of a virtual network": (
        [{"time": TIME, "category": "FlowLogFlowEvent", "operationName": "FlowLogFlowEvent", "flowLogResourceID": NSG,
          "flowRecords": {"flows": []}}],
        "resource_log", *_COUNTED,
    ),
    "another log with a caller and claims": ([sent("Operational", NSG) | LIKE_ARM], "resource_log", *_COUNTED),
    "cloud audit events as lines of advanced hunting": ([WRITE, READ], "cloud_audit_log", _AS_USER, _EVENTS),
    "the record within as text": (
        [WRITE | {"RawEventData": json.dumps(RAW)}, READ], "cloud_audit_log", _AS_USER, _EVENTS,
    ),
    "the same in a workspace, whatever the columns": (
        [row("CloudAuditEvents", **WRITE), row("CloudAuditEvents", **READ)], "cloud_audit_log", _AS_USER, _EVENTS,
    ),
    "the same as a stream": ([streamed(WRITE), streamed(READ)], "cloud_audit_log", _AS_USER, _EVENTS),
    "what Defender knows of other clouds": (
        [READ | {"DataSource": "AWS CloudTrail"}, READ | {"DataSource": "Azure Kubernetes Service"}],
        "cloud_audit_log", *_COUNTED,
    ),
    "the same as a stream, and no source": (
        [streamed(READ | {"DataSource": "GCP"}), streamed(READ | {"DataSource": None})], "cloud_audit_log", *_COUNTED,
    ),
}  # fmt: skip
"""By what is shown: the records, the log that they count for, a question, and its answer."""


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> tuple[duckdb.DuckDBPyConnection, dict[str, StagedFile]]:
    """Parse all records of the table at once; the name of a file is that of another log, and says nothing."""
    folder = tmp_path_factory.mktemp("publishers")
    paths = [
        write_lines(folder, records, f"AzureActivity-{place}.json")
        for place, (records, *_) in enumerate(TABLE.values())
    ]
    con, report = staged(*paths)
    by_path = {file.path: file for file in report.files}
    assert len(by_path) == len(report.files) == len(paths)
    return con, {shown: by_path[str(path)] for shown, path in zip(TABLE, paths, strict=True)}


@pytest.mark.slow
@pytest.mark.parametrize("shown", TABLE)
def test_a_record_becomes_what_its_publisher_means(
    shown: str, parsed: tuple[duckdb.DuckDBPyConnection, dict[str, StagedFile]]
) -> None:
    con, files = parsed
    records, source, question, answer = TABLE[shown]
    file = files[shown]
    assert (file.source, file.read, file.rejected) == (source, len(records), 0)
    of_file = f"file_id IN (SELECT file_id FROM stage_files WHERE path = '{file.path}')"
    assert con.execute(question.format(of_file)).fetchall() == answer


def _page(*events: Record) -> str:
    return json.dumps({"schema": [{"name": "Timestamp", "type": "DateTime"}], "results": events})


def _answer(*events: Record) -> str:
    return json.dumps({"Stats": {}, "Schema": [], "Results": events})


def _hub(*events: Record) -> str:
    return json.dumps({"records": [streamed(event) for event in events]})


def _table(*events: Record) -> str:
    text = io.StringIO()
    table = csv.DictWriter(text, list(dict.fromkeys(key for event in events for key in event)))
    table.writeheader()
    table.writerows({key: json.dumps(cell) if isinstance(cell, dict) else cell for key, cell in event.items()}
                    for event in events)  # fmt: skip
    return text.getvalue()


@pytest.mark.nightly
def test_every_form_of_cloud_audit_events_gives_the_same_events(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("graph", "defender", "hub", "portal")]
    for path, write in zip(paths, (_page, _answer, _hub, _table), strict=True):
        path.write_text(write(WRITE, READ), encoding="utf-8")
    con, report = staged(*paths)
    assert [(file.source, file.read, file.rejected) for file in report.files] == [("cloud_audit_log", 2, 0)] * 4
    for (part,) in con.execute("SELECT file_id FROM stage_files").fetchall():
        assert con.execute(_AS_USER.format(f"file_id = {part}")).fetchall() == _EVENTS


@pytest.mark.slow
def test_tables_of_the_portal_are_calls_and_assignments(tmp_path: Path) -> None:
    """The Activity Log blade has display names of operations, the IAM blade the columns of PowerShell."""
    calls = dict.fromkeys(PORTAL_COLUMNS, "") | {
        "Correlation id": guid(30), "Operation name": "Create or Update Disk", "Status": "Succeeded", "Time": TIME,
        "Event category": "Administrative", "Subscription": guid(1), "Event initiated by": "ada@contoso.com",
        "Resource": DISK,
    }  # fmt: skip
    held = {
        "RoleAssignmentId": f"{SUB}/providers/Microsoft.Authorization/roleAssignments/{guid(31)}", "Scope": SUB,
        "DisplayName": "Ada", "SignInName": "ada@contoso.com", "RoleDefinitionName": "Reader",
        "RoleDefinitionId": guid(32), "ObjectId": USER, "ObjectType": "User",
    }  # fmt: skip
    for name, record in (("QueryResult.csv", calls), ("role-assignments.csv", held)):
        (tmp_path / name).write_text(_table(record), encoding="utf-8")
    con, report = staged(tmp_path / "QueryResult.csv", tmp_path / "role-assignments.csv")
    assert [(file.source, file.read, file.rejected) for file in report.files] == [
        ("activity_log_download", 1, 0),
        ("role_assignments", 1, 0),
    ]
    called = "SELECT principal_name, operation, scope, category FROM stage_event_rows"
    assert con.execute(called).fetchall() == [("ada@contoso.com", "Create or Update Disk", DISK, "Download")]
    assigned = "SELECT role_assignment_id, principal_id, role_definition_id, scope FROM stage_role_assignments"
    assert con.execute(assigned).fetchall() == [(guid(31), USER, guid(32), SUB)]


@pytest.mark.slow
def test_pages_of_signals_load_with_the_type_on_each_record(tmp_path: Path) -> None:
    listed = {
        "riskDetection": (RISK_DETECTION, "risk_detections"),
        "riskyUser": (RISKY_USER, "risky_users"),
        "security.alert": (GRAPH_ALERT, "graph_alerts"),
        "security.incident": (GRAPH_INCIDENT, "graph_incidents"),
    }
    for kind, (record, _) in listed.items():
        page = {"value": [{"@odata.type": f"#microsoft.graph.{kind}"} | record]}
        (tmp_path / f"{kind}.json").write_text(json.dumps(page), encoding="utf-8")
    con, report = staged(*(tmp_path / f"{kind}.json" for kind in listed))
    assert [(file.source, file.read, file.rejected) for file in report.files] == [
        (source, 1, 0) for _, source in listed.values()
    ]
    assert con.execute("SELECT count(*) FROM stage_signals").fetchall() == [(4,)]


def _loaded(folder: Path, *paths: Path, named: bool = True) -> tuple[Store, LoadReport]:
    db = folder / "s.duckdb"
    report = load_paths(db, paths, named=named)
    return open_store(db, read_only=True), report


ROLE = "62e90394-69f5-4237-9190-012177145e10"
MEMBER = {"@odata.type": "#microsoft.graph.user", "id": USER, "displayName": "Ada"}
LISTED = {"id": guid(20), "displayName": "Global Administrator", "roleTemplateId": ROLE, "members": [MEMBER, {}]}
ASSIGNED = {"id": "lAPpYvVpN0KRkAEhdxReEA", "principalId": USER, "roleDefinitionId": ROLE, "directoryScopeId": "/"}


@pytest.mark.nightly
def test_the_older_listing_of_roles_gives_active_assignments_at_the_tenant_and_no_listing(tmp_path: Path) -> None:
    """It is left out where the newer listing has the same, and proves nothing of what it lacks."""
    old, new = write_lines(tmp_path, [LISTED], "old"), write_lines(tmp_path, [ASSIGNED], "new")
    held = "SELECT role_assignment_id, state, principal_id, directory_role_id, scope FROM directory_role_assignments"
    store, report = _loaded(tmp_path, old)
    with store:
        assert store.frame(held).rows() == [(f"directoryRoles/{ROLE}/{USER}", "active", USER, ROLE, "/")]
        assert store.frame("SELECT listing FROM listings").rows() == []
        assert store.frame("SELECT reason FROM rejects").rows() == [("one of its members has no `id`",)]
    assert [(file.source, file.read, file.rejected) for file in report.rows] == [("directory_role_members", 1, 1)]
    store, _ = _loaded(tmp_path, new)
    with store:
        assert store.frame(held).rows() == [(ASSIGNED["id"], "active", USER, ROLE, "/")]


@pytest.mark.nightly
def test_records_of_unknown_files_are_counted(tmp_path: Path) -> None:
    """A folder may hold anything: what is not known is a number of the summary, and a row of `loads`."""
    folder = tmp_path / "exports"
    folder.mkdir()
    write_lines(folder, [SELECTED], "a")
    write_lines(folder, [{"a": 1}, {"a": 2}], "b")
    (folder / "c").write_text("x,y\n1,2\n3,4\n5,6\n", encoding="utf-8")
    (folder / "d").write_text('[{"z": 1}, {"z": ', encoding="utf-8")
    store, report = _loaded(tmp_path, folder, named=False)
    counted = [(file.source, file.read, file.new, file.unused_record) for file in report.rows]
    unknown = [("unknown", records, 0, records) for records in (0, 2, 3)]
    assert sorted(counted) == [("activity_log", 1, 1, 0), *unknown]
    with store:
        kept = "SELECT sum(read)::BIGINT, sum(unused_record)::BIGINT FROM loads WHERE source = 'unknown'"
        assert store.frame(kept).rows() == [(5, 5)]


@pytest.mark.nightly
def test_an_audit_without_a_rule_is_an_unmapped_operation(tmp_path: Path) -> None:
    store, _ = _loaded(tmp_path, write_lines(tmp_path, [audit("Tidy the shelf"), audit("Add user")]))
    with store:
        found = store.frame("SELECT source, operation, events, resources FROM unmapped_operations").rows()
    assert found == [("entra_audit_log", "Core Directory/Tidy the shelf", 1, 0)]


@pytest.mark.nightly
def test_azure_ad_graph_covers_nothing(tmp_path: Path) -> None:
    """Neither its own days nor those of Microsoft Graph, so no window rests on it."""
    store, report = _loaded(tmp_path, write_lines(tmp_path, [OLDER_GRAPH]))
    with store:
        assert store.frame("SELECT * FROM coverage").is_empty()
        assert store.frame("SELECT * FROM usage_days").is_empty()
        assert store.frame("SELECT * FROM graph_usage_days").is_empty()
    assert [(file.source, file.new) for file in report.rows] == [("azure_ad_graph_log", 1)]
