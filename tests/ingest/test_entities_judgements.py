"""What other tools say of access is read in the shapes that Microsoft documents, and in those seen elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rightsize.store.connection import open_store
from rightsize.workflow.data.load import load_paths

pytestmark = pytest.mark.slow

GRAPH = "00000003-0000-0000-c000-000000000000"
APP = "aaaaaaaa-0000-4000-8000-000000000001"
SERVICE = "cccccccc-0000-4000-8000-000000000003"
ANN = "bbbbbbbb-0000-4000-8000-000000000002"
SUB = "/subscriptions/10000000-0000-4000-8000-000000000000"
INACTIVE = "8b0bd683-bcfe-4ab1-96b9-f15a60eaa89d"
TITLE = "Azure overprovisioned identities should have only the necessary permissions (Preview)"


def application(permissions: Any, **more: Any) -> dict[str, Any]:
    row = {"Timestamp": "2026-01-20T00:00:00Z", "ReportId": "r", "OAuthAppId": APP, "ServicePrincipalId": SERVICE}
    row |= {"AppName": "HR", "AppStatus": "Enabled", "LastUsedTime": "2026-01-19T00:00:00Z", "PrivilegeLevel": "High"}
    return row | {"Permissions": permissions} | more


def permission(name: str, **more: Any) -> dict[str, Any]:
    return {"PermissionValue": name, "PermissionType": "Application", "TargetAppId": GRAPH, "InUse": False} | more


def assessment(key: str, **properties: Any) -> dict[str, Any]:
    """An assessment as Resource Graph returns it from `securityresources`."""
    name = f"{SUB}/providers/Microsoft.Security/assessments/{key}"
    inner = {
        "displayName": TITLE,
        "status": {"code": "Unhealthy", "statusChangeDate": "2026-01-21T00:00:00Z"},
        "resourceDetails": {"Source": "Azure", "Id": f"{SUB}/providers/Microsoft.Security/identities/{ANN}"},
        "additionalData": {"ResourceName": ANN, "ResourceType": "User"},
    }
    row = {"id": name, "name": key, "type": "microsoft.security/assessments", "tags": None, "location": ""}
    return row | {"properties": inner | properties}


def loaded(tmp_path: Path, *records: dict[str, Any]) -> list[dict[str, Any]]:
    path = tmp_path / "records.json"
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    result = load_paths(tmp_path / "s.duckdb", [str(path)])
    assert sum(row.rejected for row in result.rows) == 0
    with open_store(tmp_path / "s.duckdb", read_only=True) as store:
        return store.frame("SELECT * FROM tool_judgements ORDER BY tool, judgement_id").rows(named=True)


@pytest.mark.many(4)
@pytest.mark.parametrize(
    ("part", "says"),
    [
        (permission("Mail.Send"), "unused"),
        (permission("Mail.Send", InUse=True), "used"),
        (json.dumps(permission("Mail.Send", InUse="NotInUse")), "unused"),
        ({"PermissionName": "Mail.Send", "UsageStatus": "InUse", "PermissionType": "Delegated"}, "used"),
        (permission("Mail.Send", InUse=None), "unknown"),
    ],
    ids=["seen", "seen in use", "as text", "documented", "says nothing"],
)  # fmt: skip
@pytest.mark.parametrize("table", [False, True], ids=["hunting", "workspace"])
def test_permissions_of_an_application(tmp_path: Path, part: Any, says: str, table: bool) -> None:
    more = {"TimeGenerated": "2026-01-20T00:00:00Z", "Type": "OAuthAppInfo"} if table else {}
    (row,) = loaded(tmp_path, application([part], **more))
    assert (row["says"], row["principal_id"], row["app_id"], row["permission"]) == (says, SERVICE, APP, "Mail.Send")
    assert row["api_app_id"] in (GRAPH, None)
    assert (row["principal_name"], str(row["last_used"])[:10]) == ("HR", "2026-01-19")


@pytest.mark.nightly
def test_the_newest_record_of_an_application_counts_in_any_order(tmp_path: Path) -> None:
    old = application([permission("Mail.Send")])
    new = application([permission("Mail.Send", InUse=True)], Timestamp="2026-01-25T00:00:00Z")
    for place, records in enumerate(((old, new), (new, old))):
        (tmp_path / str(place)).mkdir()
        (row,) = loaded(tmp_path / str(place), *records)
        assert (row["says"], str(row["read_on"])[:10]) == ("used", "2026-01-25")


def test_identities_of_defender_by_key_or_title(tmp_path: Path) -> None:
    """Other assessments are about no access; of a healthy one only that the identity acted is known."""
    healthy = {"code": "Healthy", "statusChangeDate": "2026-01-21T00:00:00Z"}
    rows = loaded(
        tmp_path,
        assessment("11111111-0000-4000-8000-000000000001"),
        assessment(INACTIVE, displayName="Renamed", status=healthy),
        assessment("22222222-0000-4000-8000-000000000001", displayName="Disks should be encrypted"),
    )
    told = [(row["tool"], row["says"], row["principal_id"], row["scope"]) for row in rows]
    assert told == [
        ("defender_ciem", "overprovisioned", ANN, SUB),
        ("defender_ciem", "used", ANN, SUB),
    ]


def test_a_recommendation_of_advisor_that_comes_from_defender(tmp_path: Path) -> None:
    source = f"{SUB}/providers/Microsoft.Security/assessments/{INACTIVE}"
    properties = {
        "category": "Security", "impact": "Medium", "impactedField": "Microsoft.Subscriptions/subscriptions",
        "impactedValue": SUB.rpartition("/")[2], "lastUpdated": "2026-01-22T00:00:00Z",
        "shortDescription": {"problem": "Permissions of inactive identities", "solution": "Revoke them"},
        "resourceMetadata": {"resourceId": SUB, "source": source},
    }  # fmt: skip
    recommendation = {
        "id": f"{SUB}/providers/Microsoft.Advisor/recommendations/c5532a76", "name": "c5532a76",
        "type": "Microsoft.Advisor/recommendations", "properties": properties,
    }  # fmt: skip
    (row,) = loaded(tmp_path, recommendation)
    assert (row["tool"], row["says"], row["principal_id"], row["scope"]) == ("azure_advisor", "inactive", None, SUB)


def test_a_permission_without_a_name_is_rejected_and_the_others_count(tmp_path: Path) -> None:
    path = tmp_path / "records.json"
    path.write_text(json.dumps(application([{"InUse": True}, permission("Mail.Read")])), encoding="utf-8")
    result = load_paths(tmp_path / "s.duckdb", [str(path)])
    assert [(row.source, row.rejected) for row in result.rows] == [("oauth_applications", 1)]
    with open_store(tmp_path / "s.duckdb", read_only=True) as store:
        assert store.frame("SELECT permission FROM tool_judgements").rows() == [("Mail.Read",)]
