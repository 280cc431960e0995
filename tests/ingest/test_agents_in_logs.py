"""Logs show what an agent inherits, in the tokens of its calls, and who signed in as an agent."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from tests.ingest.entity_records import guid, stage_document

pytestmark = pytest.mark.slow

AGENT, ANN = guid(60), guid(10)
CALL = {
    "time": "2026-03-01T09:00:00Z",
    "category": "MicrosoftGraphActivityLogs",
    "operationName": "Microsoft Graph Activity",
    "correlationId": guid(1),
    "properties": {
        "requestId": guid(1),
        "requestMethod": "GET",
        "requestUri": "https://graph.microsoft.com/v1.0/users",
        "responseStatusCode": 200,
        "appId": AGENT,
        "servicePrincipalId": AGENT,
        "C_Idtyp": "app",
        "roles": "User.Read.All Mail.Send",
        "scopes": "",
        "timeGenerated": "2026-03-01T09:00:00Z",
    },
}
ROW = {
    "Type": "MicrosoftGraphActivityLogs",
    "TimeGenerated": "2026-03-01T10:00:00Z",
    "RequestId": guid(2),
    "RequestMethod": "GET",
    "RequestUri": "https://graph.microsoft.com/v1.0/me",
    "ResponseStatusCode": 200,
    "AppId": AGENT.upper(),
    "UserId": ANN,
    "Roles": "",
    "Scopes": "User.Read Mail.Read",
}
TOKENS = ("app_id", "access", "permissions", "day")
DAY = dt.date(2026, 3, 1)


def in_call(**properties: Any) -> dict[str, Any]:
    return CALL | {"properties": CALL["properties"] | properties}  # type: ignore[operator]


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (CALL, ("application", "Mail.Send User.Read.All")),
        (ROW, ("delegated", "Mail.Read User.Read")),
        # A token of an application may name scopes in some exports; only its roles count.
        (in_call(scopes="User.Read"), ("application", "Mail.Send User.Read.All")),
        (in_call(C_Idtyp="user", userId=ANN, scopes="Mail.Read"), ("delegated", "Mail.Read")),
        (in_call(roles='["Mail.Send","User.Read.All"]'), ("application", "Mail.Send User.Read.All")),
    ],
)
def test_a_call_shows_the_permissions_of_its_token(
    record: dict[str, Any], said: tuple[str, str], tmp_path: Path
) -> None:
    staged = stage_document(tmp_path, [record, record])
    assert staged.rows("token_permissions", *TOKENS) == [(AGENT, *said, DAY)]


def test_a_call_without_permissions_shows_nothing(tmp_path: Path) -> None:
    staged = stage_document(tmp_path, [in_call(roles="", scopes=None), in_call(requestId=guid(3), roles=" ")])
    assert staged.rows("token_permissions", *TOKENS) == []
    assert len(staged.rows("events", "file_id")) == 2


SIGN_IN = {
    "id": "s1",
    "createdDateTime": "2026-03-01T09:00:00Z",
    "appId": AGENT,
    "servicePrincipalId": AGENT,
    "ipAddress": "192.0.2.1",
    "resourceDisplayName": "Microsoft Graph",
    "signInEventTypes": ["servicePrincipal"],
    "correlationId": guid(4),
    "status": {"errorCode": 0},
    "agent": {
        "agentType": "agenticAppInstance",
        "agentSubjectType": "notAgentic",
        "agentSubjectParentId": None,
        "parentAppId": guid(61).upper(),
    },
}


def test_a_sign_in_says_that_it_is_an_agents_and_of_which_blueprint(tmp_path: Path) -> None:
    plain = SIGN_IN | {"id": "s2", "agent": {"agentType": "notAgentic"}}
    staged = stage_document(tmp_path, [SIGN_IN, plain, SIGN_IN | {"id": "s3", "agent": None}])
    columns = ("principal_id", "app_id", "agent_type", "blueprint_app_id", "parent_id")
    assert staged.rows("agent_sightings", *columns) == [(AGENT, AGENT, "agenticAppInstance", guid(61), "")]


def test_an_agent_user_signs_in_below_its_agent(tmp_path: Path) -> None:
    row = {
        "Type": "AADNonInteractiveUserSignInLogs",
        "TimeGenerated": "2026-03-01T09:00:00Z",
        "CreatedDateTime": "2026-03-01T09:00:00Z",
        "Id": "s4",
        "UserId": guid(63),
        "AppId": AGENT,
        "CorrelationId": guid(5),
        "ResultType": "0",
        "Agent": json.dumps(
            {"agentType": "agenticAppInstance", "agentSubjectType": "agentIDuser", "agentSubjectParentId": AGENT}
        ),
    }
    staged = stage_document(tmp_path, [row])
    assert staged.rows("agent_sightings", "principal_id", "subject_type", "parent_id") == [
        (guid(63), "agentIDuser", AGENT)
    ]
