"""Sign-ins in the shapes of Graph, of diagnostic settings and of Log Analytics."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from tests.ingest.parsing import rejects_of, row_of_each, staged, write_lines

pytestmark = pytest.mark.slow

USER = "5ac2ff43-4a4f-4e8e-9c3c-8c2f5a1c0001"
SERVICE = "5ac2ff43-4a4f-4e8e-9c3c-8c2f5a1c0002"
APP = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
ARM = "797f4846-ba00-4fd7-ba43-dac1f8f63013"
COLUMNS = "time, sign_in_id, principal_id, principal_name, app_id, resource_id, resource_name, kind, succeeded"


def graph(kind: str, code: int = 0) -> dict[str, Any]:
    """Return a sign-in as Microsoft Graph lists it."""
    is_user = kind in ("interactive", "non_interactive")
    types = {
        "interactive": "interactiveUser",
        "non_interactive": "nonInteractiveUser",
        "service_principal": "servicePrincipal",
        "managed_identity": "managedIdentity",
    }
    return {
        "id": "66ea54eb-6301-4ee5-be62-ff5a759b0100",
        "createdDateTime": "2025-03-04T05:06:07Z",
        "userDisplayName": "Some Body" if is_user else "",
        "userPrincipalName": "a@b.example" if is_user else "",
        "userId": USER if is_user else "",
        "servicePrincipalId": "" if is_user else SERVICE,
        "servicePrincipalName": None if is_user else "robot",
        "appId": APP,
        "appDisplayName": "Azure CLI",
        "ipAddress": "203.0.113.7",
        "isInteractive": kind == "interactive",
        "signInEventTypes": [types[kind]],
        "resourceDisplayName": "Azure Resource Manager",
        "resourceId": ARM,
        "status": {"errorCode": code, "failureReason": None},
        "correlationId": "c",
    }


_CATEGORIES = {
    "interactive": "SignInLogs",
    "non_interactive": "NonInteractiveUserSignInLogs",
    "service_principal": "ServicePrincipalSignInLogs",
    "managed_identity": "ManagedIdentitySignInLogs",
}


def diagnostic_record(kind: str, code: int = 0) -> dict[str, Any]:
    """Return the same as a diagnostic record."""
    properties = {name: value for name, value in graph(kind, code).items() if name != "signInEventTypes"}
    return {
        "time": "2025-03-04T05:09:00Z",
        "resourceId": "/tenants/0b1f6471-1bf0-4dda-aec3-cb9272f09590/providers/Microsoft.aadiam",
        "operationName": "Sign-in activity",
        "category": _CATEGORIES[kind],
        "resultType": str(code),
        "correlationId": "c",
        "identity": "Some Body",
        "properties": properties,
    }


def table(kind: str, code: int = 0) -> dict[str, Any]:
    """Return the same as a row of its table."""
    record = graph(kind, code)
    return {
        "TimeGenerated": "2025-03-04T05:06:07Z",
        "OperationName": "Sign-in activity",
        "Category": _CATEGORIES[kind],
        "ResultType": str(code),
        "CorrelationId": "c",
        "CreatedDateTime": "2025-03-04T05:06:07Z",
        "Id": record["id"],
        "IPAddress": record["ipAddress"],
        "IsInteractive": record["isInteractive"],
        "Status": record["status"],
        "UserId": record["userId"],
        "UserPrincipalName": record["userPrincipalName"],
        "ServicePrincipalId": record["servicePrincipalId"],
        "ServicePrincipalName": record["servicePrincipalName"],
        "AppId": APP,
        "ResourceId": "/tenants/x/providers/Microsoft.aadiam",
        "ResourceIdentity": ARM,
        "ResourceDisplayName": "Azure Resource Manager",
        "Type": "SigninLogs" if kind == "interactive" else "AAD" + _CATEGORIES[kind],
    }


def test_every_shape_gives_the_same_sign_in(tmp_path: Path) -> None:
    """Who, with which client, for which resource, and whether a token was given."""
    cases = [
        (render, kind, code)
        for render in (graph, diagnostic_record, table)
        for kind in _CATEGORIES
        for code in (0, 50126)
    ]
    found = row_of_each(
        tmp_path, [render(kind, code) for render, kind, code in cases], "source", COLUMNS, table="sign_in_rows"
    )
    for row, (_, kind, code) in zip(found, cases, strict=True):
        is_user = kind in ("interactive", "non_interactive")
        assert row == (
            "sign_in_log",
            dt.datetime(2025, 3, 4, 5, 6, 7),
            "66ea54eb-6301-4ee5-be62-ff5a759b0100",
            USER if is_user else SERVICE,
            "a@b.example" if is_user else "robot",
            APP,
            ARM,
            "Azure Resource Manager",
            kind,
            code == 0,
        )


def test_a_graph_page_of_sign_ins(tmp_path: Path) -> None:
    """Pages have a context and a next link."""
    page = {
        "@odata.context": "$metadata#auditLogs/signIns",
        "@odata.nextLink": "x",
        "value": [graph("interactive")] * 2,
    }
    path = tmp_path / "page.json"
    path.write_text(json.dumps(page))
    con, report = staged(path)
    assert report.files[0].read == 2
    assert con.execute("SELECT list(line) FROM stage_sign_in_rows").fetchall() == [([1, 2],)]


def test_a_sign_in_of_nobody_is_rejected(tmp_path: Path) -> None:
    """Without an id and a name it is nobody's."""
    record = diagnostic_record("interactive")
    record["properties"] |= {"userId": "", "userPrincipalName": ""}
    ((line, reason, _),) = rejects_of(write_lines(tmp_path, [record]))
    assert (line, reason) == (1, "it names nobody who signed in")


def test_an_id_that_is_no_guid_leaves_the_name(tmp_path: Path) -> None:
    """The store resolves the name, where a listing has it."""
    record = diagnostic_record("interactive")
    record["properties"]["userId"] = "user-1"
    con, _ = staged(write_lines(tmp_path, [record]))
    assert con.execute("SELECT principal_id, principal_name FROM stage_sign_in_rows").fetchall() == [
        (None, "a@b.example")
    ]


def test_the_federated_credential_is_read_in_every_shape(tmp_path: Path) -> None:
    """An empty value looks like none: exports without the column have none either."""
    records = []
    for said in ("7F1E", "", None):
        diagnostic = diagnostic_record("managed_identity")
        diagnostic["properties"] |= {"federatedCredentialId": said}
        records += [
            graph("service_principal") | {"federatedCredentialId": said},
            diagnostic,
            table("service_principal") | {"FederatedCredentialId": said},
        ]
    found = row_of_each(tmp_path, records, "federated_credential_id", table="sign_in_rows")
    assert found == [("7f1e",)] * 3 + [(None,)] * 6


def test_a_secret_is_no_federated_credential(tmp_path: Path) -> None:
    record = graph("service_principal") | {"clientCredentialType": "clientSecret"}
    con, _ = staged(write_lines(tmp_path, [record]))
    assert con.execute("SELECT federated_credential_id FROM stage_sign_in_rows").fetchall() == [("",)]
