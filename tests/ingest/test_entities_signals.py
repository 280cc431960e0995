"""Alerts, incidents and risk of every export: one row a signal, with its principals and other names."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from rightsize.ingest.entities import ENTITY_SHAPES
from rightsize.ingest.entities.shape import Context, look_at
from rightsize.ingest.logs.values import family_of
from tests.ingest import signal_records as records
from tests.ingest.entity_records import guid, stage_document, stage_files
from tests.ingest.parsing import row_of_each

ADA = ("principal", guid(10), guid(10), None)
ADDRESS = ("ip", "203.0.113.7", None, None)
SESSION = ("session", "0a-session", None, None)
MACHINE = ("resource", records.VM.lower(), None, records.VM)
SIGN_IN = ("sign_in", "b2c1e7f0-3333-4333-8333-333333333333", None, None)
ENTITIES = ("entity_kind", "value", "principal_id", "scope")


@pytest.mark.slow
@pytest.mark.many(4)
@pytest.mark.parametrize("form", records.SIGNALS)
def test_each_form_is_told_from_every_other(form: str, tmp_path: Path) -> None:
    source, document = records.SIGNALS[form]
    staged = stage_document(tmp_path, document)
    assert [(file.source, file.read, file.rejected) for file in staged.report.files] == [(source, 1, 0)]
    assert len(staged.rows("signals", "signal_id")) == 1
    for name in ("principals", "listings", "event_rows", "sign_in_rows"):
        assert staged.con.execute(f"SELECT count(*) FROM stage_{name}").fetchall() == [(0,)], name


@pytest.mark.parametrize("form", ["rows of alerts", "detections", "risky users", "risky workloads", "alerts of Graph"])
def test_exactly_one_shape_and_no_log_takes_a_record(form: str) -> None:
    _, document = records.SIGNALS[form]
    record = document[0] if isinstance(document, list) else document["value"][0]
    assert len([shape for shape in ENTITY_SHAPES if shape.recognises(look_at(record), Context("a.json"))]) == 1
    assert family_of(record) is None


@pytest.mark.slow
@pytest.mark.parametrize("form", ["rows of alerts", "alerts of ARM", "alerts of Graph"])
def test_an_alert_says_the_same_in_every_export(form: str, tmp_path: Path) -> None:
    """Entities as text or as objects, an account within a session, and evidence that is only context."""
    staged = stage_document(tmp_path, records.SIGNALS[form][1])
    columns = ("kind", "original_id", "severity", "first_time", "last_time", "tactics", "dismissed")
    ((kind, original, severity, first, last, tactics, dismissed),) = staged.rows("signals", *columns)
    assert (kind, original, severity) == ("alert", f"alert/{records.ORIGINAL}", "high")
    assert (str(first), str(last)) == ("2026-01-05 10:00:00", "2026-01-05 10:20:00")
    assert (tactics, dismissed) == (["CredentialAccess"], None)
    named = [row for row in staged.rows("signal_entities", *ENTITIES) if row[0] != "incident"]
    assert sorted(named) == sorted([ADA, ADDRESS, SESSION, MACHINE])


@pytest.mark.slow
def test_a_detection_names_who_where_from_and_which_sign_in(tmp_path: Path) -> None:
    staged = stage_document(tmp_path, records.SIGNALS["detections"][1])
    columns = ("signal_id", "name", "severity", "status", "dismissed")
    assert staged.rows("signals", *columns) == [
        ("risk_detection/6a5874ca-abcd-4abc-8abc-2222aaaa3333", "anomalousToken", "high", "atrisk", None)
    ]
    assert sorted(staged.rows("signal_entities", *ENTITIES)) == sorted([ADA, ADDRESS, SIGN_IN])


@pytest.mark.slow
def test_a_detection_without_an_object_id_names_the_user_by_name(tmp_path: Path) -> None:
    record = records.RISK_DETECTION | {"userId": None, "ipAddress": "", "requestId": None}
    staged = stage_document(tmp_path, records.listing("x", record))
    assert staged.rows("signal_entities", *ENTITIES) == [("principal", "ada@contoso.com", None, None)]


@pytest.mark.slow
def test_what_people_judged_of_a_risk(tmp_path: Path) -> None:
    cases = [
        ("atRisk", "none", None),
        ("confirmedCompromised", "none", False),
        ("remediated", "userPerformedSecuredPasswordChange", True),
        ("dismissed", "adminDismissedAllRiskForUser", True),
        ("confirmedSafe", "adminConfirmedSigninSafe", True),
        ("remediated", "adminConfirmedUserCompromised", False),
        ("somethingNew", "", None),
    ]
    risks = [records.RISK_DETECTION | {"riskState": state, "riskDetail": detail} for state, detail, _ in cases]
    assert _dismissed(tmp_path, risks) == [(dismissed,) for *_, dismissed in cases]


@pytest.mark.slow
def test_what_people_judged_of_an_alert(tmp_path: Path) -> None:
    cases = [
        ("new", None, None),
        ("resolved", None, None),
        ("resolved", "falsePositive", True),
        ("resolved", "informationalExpectedActivity", True),
        ("resolved", "truePositive", False),
        ("dismissed", None, True),
    ]
    alerts = [records.GRAPH_ALERT | {"status": status, "classification": word} for status, word, _ in cases]
    assert _dismissed(tmp_path, alerts) == [(dismissed,) for *_, dismissed in cases]


def _dismissed(folder: Path, told: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return row_of_each(folder, [records.listing("x", one) for one in told], "dismissed", table="signals")


@pytest.mark.slow
def test_an_incident_names_its_alerts(tmp_path: Path) -> None:
    staged = stage_document(tmp_path, records.SIGNALS["incidents of a query"][1])
    assert staged.rows("signals", "kind", "dismissed") == [("incident", True)]
    assert staged.rows("signal_entities", "entity_kind", "value") == [("alert", "5c6f0e9a-1111-4111-8111-111111111111")]


def test_the_portals_table_with_its_own_times(tmp_path: Path) -> None:
    row = records.SECURITY_ALERT | {"StartTime": "1/5/2026, 10:00:00.000 AM", "EndTime": "1/5/2026, 10:20:00.000 AM"}
    row = {f"{key} [UTC]" if "Time" in key else key: value for key, value in row.items()}
    path = tmp_path / "query_data.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, row)
        writer.writeheader()
        writer.writerow(row)
    staged = stage_files(path)
    assert [str(time) for time in staged.rows("signals", "first_time")] == ["2026-01-05 10:00:00"]
    assert sorted(staged.rows("signal_entities", *ENTITIES)) == sorted([ADA, ADDRESS, SESSION, MACHINE])


@pytest.mark.slow
@pytest.mark.many(3)
@pytest.mark.parametrize("entities", ["{broken", '{"Type": "ip"}', '"text"', "[1, null]", '[[{"Type": "ip"}]]'])
def test_odd_entities_lose_no_alert_in_silence(entities: str, tmp_path: Path) -> None:
    staged = stage_document(tmp_path, [records.SECURITY_ALERT | {"Entities": entities}])
    kept = len(staged.rows("signals", "signal_id"))
    assert kept == 1 or staged.rejects
    assert staged.rejects


@pytest.mark.slow
@pytest.mark.parametrize("record", [records.GRAPH_ALERT, records.ARM_ALERT, records.SECURITY_ALERT])
def test_an_alert_without_an_id_is_rejected(record: dict[str, Any], tmp_path: Path) -> None:
    text = json.dumps(record)
    for identifier in (records.GRAPH_ALERT["id"], records.ORIGINAL, records.SECURITY_ALERT["SystemAlertId"]):
        text = text.replace(identifier, "")
    staged = stage_document(tmp_path, [json.loads(text)])
    assert staged.rows("signals", "signal_id") == []
    assert [reason for _, reason in staged.rejects] == ["it has no id"]
