"""Storage logs: the data action that a request needed, its scope, and its principal."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from tests.ingest.parsing import events_of_records, row_of_each, staged, write_lines

GROUP = "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590/resourceGroups/rg"
ACCOUNT = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/acct"
SERVICE = "Microsoft.Storage/storageAccounts/blobServices"
BLOBS = f"{SERVICE}/containers/blobs"
OID = "5ac2ff43-4a4f-4e8e-9c3c-8c2f5a1c0001"
APP = "691458b9-1327-4635-9f55-ed83a7f1b41c"
GRANT = {
    "action": f"{BLOBS}/read",
    "roleAssignmentId": "4e2521b7-13be-4363-aeda-111111111111",
    "roleDefinitionId": "ba92f5b4-2d11-453d-a403-111111111111",
    "principals": [{"id": "fde5ba15-4355-4223-b2ae-cc5d2a6e3c8a", "type": "Group"}],
    "denyAssignmentId": "",
    "result": "Granted",
    "reason": "Policy",
    "type": "RBAC",
}


def record(**changes: Any) -> dict[str, Any]:
    """Return a diagnostic record of a blob that was read with Entra ID."""
    return {
        "time": "2025-03-04T05:06:07.1234567Z",
        "resourceId": f"{ACCOUNT}/blobServices/default",
        "category": "StorageRead",
        "operationName": "GetBlob",
        "statusCode": 200,
        "statusText": "Success",
        "callerIpAddress": "203.0.113.7:1234",
        "correlationId": "B1C2D3E4-0000-0000-0000-000000000001",
        "identity": {
            "type": "OAuth",
            "requester": {"objectId": OID, "appId": APP, "tenantId": "t", "upn": ""},
            "authorization": [GRANT],
        },
        "uri": "https://acct.blob.core.windows.net/data/a/b.txt?sig=x",
        "properties": {"accountName": "acct", "objectKey": "/acct/data/a/b.txt", "serviceType": "blob"},
    } | changes


def row(**changes: Any) -> dict[str, Any]:
    """Return the same request as a row of StorageBlobLogs."""
    return {
        "TimeGenerated": "2025-03-04T05:06:07.1234567Z",
        "AccountName": "acct",
        "OperationName": "GetBlob",
        "AuthenticationType": "OAuth",
        "AuthorizationDetails": json.dumps([GRANT]),
        "RequesterObjectId": OID,
        "RequesterAppId": APP,
        "RequesterUpn": "",
        "ObjectKey": '"/acct/data/a/b.txt"',
        "Uri": "https://acct.blob.core.windows.net:443/data/a/b.txt",
        "StatusCode": "200",
        "StatusText": "Success",
        "CallerIpAddress": "203.0.113.7:1234",
        "CorrelationId": "b1c2d3e4-0000-0000-0000-000000000001",
        "OperationCount": 0,
        "Category": "StorageRead",
        "ServiceType": "blob",
        "_ResourceId": ACCOUNT,
        "Type": "StorageBlobLogs",
    } | changes


@pytest.mark.parametrize("render", [record, row])
def test_a_read_blob_is_use_of_the_data_action_at_its_container(render: Any, tmp_path: Path) -> None:
    """The log names action and assignment; both shapes give the same event."""
    assert events_of_records(tmp_path, render()) == [
        {
            "time": dt.datetime(2025, 3, 4, 5, 6, 7, 123456),
            "source": "storage_log",
            "plane": "data",
            "principal_id": OID,
            "principal_type": "ServicePrincipal",
            "principal_name": None,
            "app_id": APP,
            "operation": f"{BLOBS}/read",
            "scope": f"{ACCOUNT}/blobServices/default/containers/data",
            "outcome": "succeeded",
            "role_assignment_id": GRANT["roleAssignmentId"],
            "role_definition_id": GRANT["roleDefinitionId"],
            "evidence_principal_id": "fde5ba15-4355-4223-b2ae-cc5d2a6e3c8a",
            "correlation_id": "b1c2d3e4-0000-0000-0000-000000000001",
            "event_id": None,
            "ip": "203.0.113.7",
        }
    ]


@pytest.mark.slow
def test_each_authorisation_of_a_request_is_an_event(tmp_path: Path) -> None:
    """Renaming needs two actions; both were used."""
    identity = record()["identity"] | {"authorization": [GRANT, GRANT | {"action": f"{BLOBS}/move/action"}]}
    path = write_lines(tmp_path, [record(identity=identity), record()])
    con, report = staged(path)
    assert report.files[0].read == 2
    assert con.execute("SELECT line, operation FROM stage_event_rows ORDER BY ALL").fetchall() == [
        (1, f"{BLOBS}/move/action"),
        (1, f"{BLOBS}/read"),
        (2, f"{BLOBS}/read"),
    ]


@pytest.mark.slow
def test_a_denied_authorisation_is_demand_and_a_failed_request_is_use(tmp_path: Path) -> None:
    """What RBAC said decides before what the service said."""
    cases: list[tuple[dict[str, str], int, str]] = [
        ({"result": "Denied"}, 403, "denied"),
        ({"result": "Granted"}, 404, "failed"),
        ({"result": "Granted"}, 403, "failed"),
        ({"result": "Granted"}, 304, "succeeded"),
    ]
    requests = [
        record(identity=record()["identity"] | {"authorization": [GRANT | grant]}, statusCode=status, statusText="")
        for grant, status, _ in cases
    ]
    assert row_of_each(tmp_path, requests, "outcome") == [(outcome,) for _, _, outcome in cases]


@pytest.mark.slow
def test_keys_prove_no_data_action_and_nobody(tmp_path: Path) -> None:
    """A request by key or signature is use of the key, whoever held it."""
    kinds = ["SAS Key", "Account Key", "Anonymous", "AccountKey", "SAS"]
    rows = [row(AuthenticationType=kind, AuthorizationDetails=None) for kind in kinds]
    assert row_of_each(tmp_path, rows, "outcome", "principal_id", "app_id") == [("other", None, None)] * len(kinds)


@pytest.mark.slow
def test_without_details_the_operation_is_mapped(tmp_path: Path) -> None:
    """An operation that no rule maps stands as it is written, so that it is seen and not lost."""
    cases = [
        ("PutBlob", f"{BLOBS}/write", "data", "/blobServices/default/containers/data"),
        ("deleteblob", f"{BLOBS}/delete", "data", "/blobServices/default/containers/data"),
        ("GetBlobTags", f"{BLOBS}/tags/read", "data", "/blobServices/default/containers/data"),
        ("ListContainers", f"{SERVICE}/containers/read", "control", ""),
        ("CreateContainer", f"{SERVICE}/containers/write", "control", "/blobServices/default/containers/data"),
        ("GetUserDelegationKey", f"{SERVICE}/generateUserDelegationKey/action", "control", ""),
        ("NewOperationOfTomorrow", "NewOperationOfTomorrow", "data", "/blobServices/default/containers/data"),
    ]  # fmt: skip
    identity = {name: value for name, value in record()["identity"].items() if name != "authorization"}
    requests = [record(operationName=operation, identity=identity) for operation, *_ in cases]
    found = row_of_each(tmp_path, requests, "operation", "plane", "scope")
    assert found == [(action, plane, ACCOUNT + scope) for _, action, plane, scope in cases]


@pytest.mark.slow
def test_other_services_have_scopes_of_their_own(tmp_path: Path) -> None:
    """Queues, tables and shares are the containers of their services."""
    cases = [
        (
            "StorageQueueLogs",
            "queue",
            "/acct/q1",
            "PutMessage",
            "/queueServices/default/queues/q1",
            "messages/add/action",
        ),
        ("StorageTableLogs", "table", "/acct/t1", "QueryEntities", "/tableServices/default/tables/t1", "entities/read"),
        ("StorageFileLogs", "file", "/acct/s1/f", "GetFile", "/fileServices/default/fileshares/s1", "files/read"),
    ]
    rows = [
        row(
            AuthorizationDetails=None, Uri="", Type=table, ServiceType=service, ObjectKey=f'"{key}"', OperationName=name
        )
        for table, service, key, name, _, _ in cases
    ]
    for (operation, scope), (*_, where, action) in zip(
        row_of_each(tmp_path, rows, "operation", "scope"), cases, strict=True
    ):
        assert scope == ACCOUNT + where
        assert operation.endswith(action)


@pytest.mark.slow
def test_what_let_a_request_through_is_said(tmp_path: Path) -> None:
    """Keys, signatures and nobody are kept apart; a record that does not say it is counted as such."""
    cases: list[tuple[dict[str, Any], str]] = [
        ({}, "roles"),
        ({"AuthenticationType": "SAS Key", "AuthorizationDetails": None}, "sas"),
        ({"AuthenticationType": "Account Key", "AuthorizationDetails": None}, "key"),
        ({"AuthenticationType": "Anonymous", "AuthorizationDetails": None}, "anonymous"),
        ({"OperationName": "NewOperationOfTomorrow", "AuthorizationDetails": None}, "unmapped"),
        ({"AuthenticationType": None, "RequesterObjectId": None, "RequesterAppId": None}, "unsaid"),
    ]
    found = row_of_each(tmp_path, [row(**changes) for changes, _ in cases], "access")
    assert found == [(access,) for _, access in cases]


@pytest.mark.slow
def test_objects_and_operations_of_one_request_are_calls_of_their_own(tmp_path: Path) -> None:
    """A copy touches two objects under one correlation id; the same row twice is one call."""
    rows = [row(), row(), row(OperationCount=1), row(ObjectKey='"/acct/data/other"')]
    assert len(events_of_records(tmp_path, *rows)) == 3


@pytest.mark.nightly
def test_logs_mix_in_one_file(tmp_path: Path, shared_call: dict[str, Any]) -> None:
    """A container of diagnostic logs holds what its settings send to it."""
    sign_in = {
        "time": "2025-03-04T05:06:07Z",
        "category": "SignInLogs",
        "operationName": "Sign-in activity",
        "correlationId": "x",
        "properties": {"userId": OID, "createdDateTime": "2025-03-04T05:06:07Z"},
    }
    audit = {"time": "2025-03-04T05:06:07Z", "category": "AuditLogs", "operationName": "Add user", "correlationId": "y"}
    vault = {
        "time": "2025-03-04T05:06:07Z",
        "category": "AuditEvent",
        "operationName": "SecretGet",
        "correlationId": "z",
    }
    path = write_lines(tmp_path, [shared_call, record(), sign_in, audit, vault, record(correlationId="2")])
    con, report = staged(path)
    assert sorted((file.source, file.read, file.rejected) for file in report.files) == [
        ("activity_log", 1, 0),
        ("entra_audit_log", 1, 0),
        ("resource_log", 1, 0),
        ("sign_in_log", 1, 0),
        ("storage_log", 2, 0),
    ]
    assert con.execute("SELECT source, line FROM stage_event_rows ORDER BY line").fetchall() == [
        ("activity_log", 1),
        ("storage_log", 2),
        ("entra_audit_log", 4),
        ("storage_log", 6),
    ]
    assert con.execute("SELECT line FROM stage_sign_in_rows").fetchall() == [(3,)]


@pytest.fixture
def shared_call() -> dict[str, Any]:
    """A record of the Activity Log."""
    from tests.ingest.renderings import Call, diagnostic  # noqa: PLC0415

    return diagnostic(Call(1))
