"""Sign-ins and the calls of every log are joined by the id of the token, in any shape of export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rightsize.store.connection import open_store
from rightsize.workflow.data.load import load_paths

pytestmark = pytest.mark.slow

USER = "bbbbbbbb-0000-4000-8000-000000000002"
APP = "aaaaaaaa-0000-4000-8000-000000000001"
GRAPH = "00000003-0000-0000-c000-000000000000"
SESSION = "5E551012-0000-4000-8000-000000000009"
TOKEN = "aB-cD_eF0123456789AbCd"
Row = dict[str, Any]

_WHO = {"userId": USER, "appId": APP, "resourceDisplayName": "Microsoft Graph", "ipAddress": "203.0.113.7"}
SIGN_INS: dict[str, Row] = {
    "graph page": {
        "id": "s1", "createdDateTime": "2026-01-05T09:00:00Z", **_WHO, "resourceId": GRAPH,
        "uniqueTokenIdentifier": TOKEN, "sessionId": SESSION, "status": {"errorCode": 0}, "isInteractive": True,
    },
    "diagnostic record": {
        "time": "2026-01-05T09:00:00Z", "category": "SignInLogs", "operationName": "Sign-in activity",
        "resultType": "0", "callerIpAddress": "203.0.113.7", "correlationId": "c1",
        "properties": {"id": "s1", **_WHO, "uniqueTokenIdentifier": TOKEN + "==", "sessionId": SESSION},
    },
    "table": {
        "TimeGenerated": "2026-01-05T09:00:00Z", "Type": "SigninLogs", "Id": "s1", "UserId": USER, "AppId": APP,
        "ResourceIdentity": GRAPH, "ResultType": "0", "IPAddress": "203.0.113.7", "CorrelationId": "c1",
        "UniqueTokenIdentifier": TOKEN.replace("-", "+").replace("_", "/"), "SessionId": SESSION,
    },
}  # fmt: skip


def _graph(**more: Any) -> Row:
    return {
        "TimeGenerated": "2026-01-05T10:00:00Z", "Type": "MicrosoftGraphActivityLogs", "RequestId": "r1",
        "RequestMethod": "GET", "RequestUri": "https://graph.microsoft.com/v1.0/users", "ResponseStatusCode": 200,
        "AppId": APP, "UserId": USER, "IPAddress": "203.0.113.7",
    } | more  # fmt: skip


_PROPERTIES = {
    "requestId": "r1", "requestMethod": "GET", "requestUri": "https://graph.microsoft.com/v1.0/users",
    "responseStatusCode": 200, "appId": APP,
}  # fmt: skip
_ENVELOPE = {
    "time": "2026-01-05T10:00:00Z", "category": "MicrosoftGraphActivityLogs", "callerIpAddress": "203.0.113.7",
    "operationName": "Microsoft Graph Activity",
}  # fmt: skip
CALLS: dict[str, Row] = {
    "graph table": _graph(SignInActivityId=TOKEN),
    "graph table, newer column": _graph(UniqueTokenId=TOKEN, SessionId=SESSION),
    "graph record": _ENVELOPE | {"properties": {**_PROPERTIES, "userId": USER, "signInActivityId": TOKEN}},
    "graph record, 2024": _ENVELOPE | {
        "properties": {**_PROPERTIES, "UserPrincipalObjectID": USER, "SignInActivityId": TOKEN, "sessionId": SESSION}
    },
    "activity log": {
        "time": "2026-01-05T10:00:00Z", "category": "Administrative", "correlationId": "c9", "resultType": "Success",
        "operationName": "Microsoft.Compute/virtualMachines/start/action", "callerIpAddress": "203.0.113.7",
        "resourceId": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/v",
        "identity": {
            "authorization": {"action": "Microsoft.Compute/virtualMachines/start/action"},
            "claims": {"oid": USER, "appid": APP, "uti": TOKEN, "sid": SESSION},
        },
    },
    "key vault record": {
        "time": "2026-01-05T10:00:00Z", "category": "AuditEvent", "operationName": "SecretGet", "resultType": "Success",
        "correlationId": "k1", "callerIpAddress": "203.0.113.7",
        "resourceId": "/SUBSCRIPTIONS/S/RESOURCEGROUPS/G/PROVIDERS/MICROSOFT.KEYVAULT/VAULTS/V",
        "identity": {"claim": {"oid": USER, "appid": APP, "uti": TOKEN}},
        "properties": {"id": "https://v.vault.azure.net/secrets/x", "httpStatusCode": 200, "isRbacAuthorized": True},
    },
    "directory audit": {
        "id": "d1", "activityDateTime": "2026-01-05T10:00:00Z", "activityDisplayName": "Add user",
        "loggedByService": "Core Directory", "category": "UserManagement", "result": "success", "correlationId": "d1",
        "initiatedBy": {
            "user": {"id": USER},
            "linkableIdentifiers": {"sessionId": SESSION, "tokenDetails": {"uniqueTokenIdentifier": TOKEN}},
        },
        "targetResources": [],
    },
}  # fmt: skip


def _load(folder: Path, *records: Row) -> Path:
    for number, record in enumerate(records):
        (folder / f"{number}.jsonl").write_text(json.dumps(record) + "\n")
    load_paths(folder / "s.duckdb", [folder / f"{number}.jsonl" for number in range(len(records))])
    return folder / "s.duckdb"


@pytest.mark.parametrize("sign_in", SIGN_INS)
def test_every_shape_of_a_sign_in_gives_the_same_row(sign_in: str, tmp_path: Path) -> None:
    with open_store(_load(tmp_path, SIGN_INS[sign_in]), read_only=True) as store:
        (row,) = store.table("sign_in_events").to_dicts()
    assert (row["token_id"], row["session_id"], row["sign_in_id"]) == (TOKEN, SESSION.lower(), "s1")
    assert (row["principal_id"], row["ip"], row["succeeded"]) == (USER, "203.0.113.7", True)


@pytest.mark.nightly
@pytest.mark.many(4)
@pytest.mark.parametrize("call", CALLS)
def test_a_call_of_any_log_finds_its_sign_in(call: str, tmp_path: Path) -> None:
    with open_store(_load(tmp_path, CALLS[call], *SIGN_INS.values()), read_only=True) as store:
        (row,) = store.table("token_calls").to_dicts()
        (event,) = store.table("events").to_dicts()
    assert (row["token_id"], row["principal_id"], row["sign_in_principal_id"]) == (TOKEN, USER, USER)
    assert (row["calls"], row["sign_in_id"], row["session_id"]) == (1, "s1", SESSION.lower())
    assert event["token_id"] == TOKEN


@pytest.mark.nightly
def test_capitals_of_a_token_count_and_a_token_without_a_sign_in_is_still_there(tmp_path: Path) -> None:
    """Two tokens that differ in capitals are two tokens; neither is taken for the other's sign-in."""
    other = _graph(SignInActivityId=TOKEN.swapcase(), RequestId="r2", IPAddress="198.51.100.9")
    with open_store(_load(tmp_path, CALLS["graph table"], other, SIGN_INS["table"]), read_only=True) as store:
        rows = {row["token_id"]: row["sign_in_id"] for row in store.table("token_calls").to_dicts()}
    assert rows == {TOKEN: "s1", TOKEN.swapcase(): None}
