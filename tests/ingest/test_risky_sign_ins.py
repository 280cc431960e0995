"""Risky sign-ins are signals with their session, in every shape of the sign-in logs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.ingest.entity_records import guid, stage_files

GRAPH: dict[str, Any] = {
    "id": guid(7),
    "createdDateTime": "2026-01-05T10:00:00Z",
    "userId": guid(10),
    "userPrincipalName": "ada@contoso.com",
    "appId": guid(13),
    "ipAddress": "203.0.113.7",
    "sessionId": "S-1",
    "correlationId": guid(71),
    "isInteractive": True,
    "conditionalAccessStatus": "notApplied",
    "riskState": "atRisk",
    "riskLevelDuringSignIn": "high",
    "riskDetail": "none",
    "status": {"errorCode": 0},
}


def in_hub(record: dict[str, Any]) -> dict[str, Any]:
    outer = {"time": record["createdDateTime"], "category": "SignInLogs", "operationName": "Sign-in activity"}
    return outer | {"correlationId": record["correlationId"], "callerIpAddress": "203.0.113.7", "properties": record}


def in_table(record: dict[str, Any]) -> dict[str, Any]:
    row = {key[0].upper() + key[1:]: value for key, value in record.items() if key != "ipAddress"}
    return {"TimeGenerated": record["createdDateTime"], "IPAddress": "203.0.113.7", "Type": "SigninLogs"} | row


@pytest.mark.parametrize("shape", [dict, in_hub, in_table])
def test_a_risky_sign_in_names_who_where_from_and_its_session(shape: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    quiet = GRAPH | {"id": guid(8), "riskState": "none", "riskLevelDuringSignIn": "none"}
    path.write_text("".join(json.dumps(shape(record)) + "\n" for record in (GRAPH, quiet)), encoding="utf-8")
    staged = stage_files(path)
    assert staged.rows("sign_in_rows", "sign_in_id") == [guid(7), guid(8)]
    assert staged.rows("signals", "signal_id", "kind", "severity", "status", "dismissed") == [
        (f"risky_sign_in/{guid(7)}", "risky_sign_in", "high", "atrisk", None)
    ]
    assert sorted(staged.rows("signal_entities", "entity_kind", "value")) == [
        ("ip", "203.0.113.7"),
        ("principal", guid(10)),
        ("session", "s-1"),
        ("sign_in", guid(7)),
    ]
