"""The category of a record decides its log, never the resource that sends it; an unknown one covers nothing."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from rightsize.store.connection import open_store
from rightsize.workflow.data.load import load_paths
from tests.ingest.parsing import rejects_of, staged, write_lines

TENANT = "/tenants/11111111-1111-4111-8111-111111111111/providers/Microsoft.aadiam"
SERVICE, APP = "5ac2ff43-4a4f-4e8e-9c3c-8c2f5a1c0002", "04b07795-8ddb-461a-bbee-02f9e1bf7b46"


def of_tenant(category: str | None, **properties: Any) -> dict[str, Any]:
    """Return a record as the diagnostic settings of Microsoft Entra send it."""
    record = {
        "time": "2026-01-05T10:00:00Z",
        "resourceId": TENANT,
        "operationName": "Sign-in activity",
        "category": category,
        "correlationId": "c-1",
        "properties": properties,
    }
    return {key: value for key, value in record.items() if value is not None}


OF_MICROSOFT = of_tenant(
    "MicrosoftServicePrincipalSignInLogs",
    id="s-1",
    servicePrincipalId=SERVICE,
    appId=APP,
    resourceId="797f4846-ba00-4fd7-ba43-dac1f8f63013",
    createdDateTime="2026-01-05T10:00:00Z",
    status={"errorCode": 0},
)


def coverage_of(folder: Path, *records: dict[str, Any]) -> set[tuple[str, str]]:
    load_paths(folder / "s.duckdb", [write_lines(folder, records)])
    with open_store(folder / "s.duckdb", read_only=True) as store:
        return set(store.table("coverage").select("source", "category").rows())


@pytest.mark.slow
def test_sign_ins_of_microsofts_applications_cover_no_other_log(tmp_path: Path) -> None:
    """They counted as the directory audit log, which comes from the same resource."""
    assert coverage_of(tmp_path, OF_MICROSOFT) == {("sign_in_log", "microsoft_service_principal")}


@pytest.mark.slow
def test_sign_ins_of_microsofts_applications_are_sign_ins(tmp_path: Path) -> None:
    row = {
        "Type": "MicrosoftServicePrincipalSignInLogs",
        "TimeGenerated": "2026-01-05T10:00:00Z",
        "CorrelationId": "c-1",
        "ServicePrincipalId": SERVICE,
        "AppId": APP,
        "Id": "s-1",
    }
    for record in (OF_MICROSOFT, row):
        con, _ = staged(write_lines(tmp_path, [record]))
        found = con.execute("SELECT kind, principal_id, app_id FROM stage_sign_in_rows").fetchall()
        assert found == [("microsoft_service_principal", SERVICE, APP)]


@pytest.mark.nightly
@pytest.mark.many(2)
@pytest.mark.parametrize(
    "category", ["ProvisioningLogs", "ADFSSignInLogs", "NetworkAccessTrafficLogs", "B2CRequestLogs", "NeverHeardOf"]
)
def test_a_log_of_the_tenant_that_no_rule_knows_is_read_and_covers_nothing(category: str, tmp_path: Path) -> None:
    record = of_tenant(category, servicePrincipalId=SERVICE, appId=APP)
    row = {
        "Type": category,
        "TimeGenerated": "2026-01-05T10:00:00Z",
        "Category": category,
        "ResourceId": TENANT,
        "OperationName": "x",
        "CorrelationId": "c-2",
        "AppId": APP,
        "UserId": SERVICE,
    }
    for place, one in enumerate((record, row)):
        (tmp_path / str(place)).mkdir()
        assert coverage_of(tmp_path / str(place), one) == set()
        _, report = staged(write_lines(tmp_path, [one]))
        assert [(file.source, file.read, file.rejected) for file in report.files] == [("resource_log", 1, 0)]
        assert any("recognised and not used" in note for note in report.notes)


@pytest.mark.slow
def test_a_record_of_the_tenant_without_a_category_is_rejected(tmp_path: Path) -> None:
    path = write_lines(tmp_path, [OF_MICROSOFT, of_tenant(None)])
    assert [(line, reason) for line, reason, _ in rejects_of(path)] == [(2, "it is not a record of a known log")]


@pytest.mark.nightly
def test_what_an_audit_record_is_about_counts_as_its_category(tmp_path: Path) -> None:
    record = of_tenant("UserManagement", loggedByService="Core Directory") | {"operationName": "Delete user"}
    assert coverage_of(tmp_path, record) == {("entra_audit_log", "AuditLogs")}


@pytest.mark.slow
def test_no_category_however_odd_loses_a_record_or_covers_the_audit_log(tmp_path: Path) -> None:
    said = random.Random(3)  # noqa: S311  odd words, not secrets
    words = ["AuditLog", "s", "SignIn", "Logs", "Microsoft", "ServicePrincipal", "\u0130", "'", "%", " ", "Other2"]
    categories = {"".join(said.choices(words, k=said.randint(1, 4))) for _ in range(150)} - {"AuditLogs"}
    records = [of_tenant(category, servicePrincipalId=SERVICE) for category in sorted(categories)]
    con, report = staged(write_lines(tmp_path, records))
    assert sum(file.read for file in report.files) == len(records)
    audits = {file.source for file in report.files if file.read} & {"entra_audit_log"}
    assert audits == set()
    assert con.execute("SELECT count(*) FROM stage_rejects").fetchall() == [(0,)]
