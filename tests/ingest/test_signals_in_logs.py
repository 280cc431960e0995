"""Alerts and risk between the log records of an Event Hub load like separate files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.ingest.parsing import staged, write_lines
from tests.ingest.signal_records import (
    ARM_ALERT,
    RISK_DETECTION,
    RISKY_USER,
    RISKY_WORKLOAD,
    SECURITY_ALERT,
    WORKLOAD_DETECTION,
    in_event_hub,
    in_workspace,
)
from tests.ingest.test_sign_in_logs import diagnostic_record

SIGNALS = {
    "UserRiskEvents": RISK_DETECTION,
    "ServicePrincipalRiskEvents": WORKLOAD_DETECTION,
    "RiskyUsers": RISKY_USER,
    "RiskyServicePrincipals": RISKY_WORKLOAD,
}
EXPORTED = ARM_ALERT["properties"] | {"SystemAlertId": ARM_ALERT["name"], "AlertDisplayName": "exported"}


def signals_of(*paths: Path) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]], dict[str, int]]:
    con, report = staged(*paths)
    rows = con.execute("SELECT * EXCLUDE (file_id, line) FROM stage_signals ORDER BY ALL").fetchall()
    entities = con.execute("SELECT * EXCLUDE (file_id, line) FROM stage_signal_entities ORDER BY ALL").fetchall()
    return rows, entities, {file.source: file.read for file in report.files}


@pytest.mark.nightly
@pytest.mark.parametrize("category", SIGNALS)
def test_risk_between_sign_ins_is_what_it_is_alone(category: str, tmp_path: Path) -> None:
    signal = in_event_hub(SIGNALS[category], category)
    alone = signals_of(write_lines(tmp_path, [signal], "alone.jsonl"))
    sign_in = diagnostic_record("interactive")
    mixed = signals_of(write_lines(tmp_path, [sign_in, signal, sign_in | {"correlationId": "d"}], "mixed.jsonl"))
    assert alone[0]
    assert mixed[:2] == alone[:2]
    assert mixed[2] == {"sign_in_log": 2, "signals": 1}


@pytest.mark.nightly
def test_everything_in_one_file_is_loaded_and_nothing_counted_as_unused(tmp_path: Path) -> None:
    records = [diagnostic_record("interactive"), *(in_event_hub(one, name) for name, one in SIGNALS.items()), EXPORTED]
    rows, _, read = signals_of(write_lines(tmp_path, records, "all.jsonl"))
    assert sorted(row[1] for row in rows) == [
        "defender_alert", "risk_detection", "risk_detection", "risky_service_principal", "risky_user",
    ]  # fmt: skip
    assert read == {"sign_in_log": 1, "signals": 5}


@pytest.mark.slow
def test_a_batch_of_an_event_hub_is_taken_apart(tmp_path: Path) -> None:
    batch = {"records": [diagnostic_record("interactive"), in_event_hub(RISK_DETECTION, "UserRiskEvents")]}
    path = tmp_path / "batch.json"
    path.write_text(json.dumps(batch))
    rows, _, read = signals_of(path)
    assert (len(rows), read) == (1, {"sign_in_log": 1, "signals": 1})


@pytest.mark.nightly
def test_rows_of_a_workspace_beside_others_are_loaded(tmp_path: Path) -> None:
    activity = {
        "TimeGenerated": "2026-01-05T10:00:00Z", "OperationNameValue": "MICROSOFT.WEB/SITES/WRITE", "Caller": "a@b",
        "ActivityStatusValue": "Success", "CorrelationId": "c", "CategoryValue": "Administrative",
        "Type": "AzureActivity", "_ResourceId": "/subscriptions/s/resourceGroups/rg",
    }  # fmt: skip
    rows, _, read = signals_of(
        write_lines(tmp_path, [activity, SECURITY_ALERT, in_workspace(RISKY_USER, "AADRiskyUsers")], "rows.jsonl")
    )
    assert sorted(row[1] for row in rows) == ["risky_user", "security_alert"]
    assert read == {"activity_log": 1, "signals": 2}


@pytest.mark.nightly
def test_a_damaged_line_between_them_is_one_reject(tmp_path: Path) -> None:
    """What is odd in a file is read again, and its signals still once."""
    records = [diagnostic_record("interactive"), "{", in_event_hub(RISK_DETECTION, "UserRiskEvents")]
    con, _ = staged(write_lines(tmp_path, records, "odd.jsonl"))
    assert con.execute("SELECT count(*) FROM stage_signals").fetchall() == [(1,)]
    assert con.execute("SELECT count(*) FROM stage_rejects").fetchall() == [(1,)]
