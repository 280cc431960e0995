"""Alerts, incidents and risk collected from the services: content, later states, and a watch over them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rightsize.cli.main import run
from rightsize.store.connection import open_store
from rightsize.workflow.data import collect as collecting
from tests.azure.hurried import Hurried
from tests.collect.collecting import Collect, collector, row_of
from tests.ingest.signal_records import (
    ARM_ALERT,
    GRAPH_ALERT,
    GRAPH_INCIDENT,
    ORIGINAL,
    RISK_DETECTION,
    RISKY_USER,
    RISKY_WORKLOAD,
    WORKLOAD_DETECTION,
)
from tests.loopback.fixtures import sign_in
from tests.loopback.server import Loopback

pytestmark = pytest.mark.slow

SOURCES = (
    "alerts", "incidents", "risk_detections", "service_principal_risk_detections", "risky_users",
    "risky_service_principals", "defender_alerts",
)  # fmt: skip
UNTIL = dt.datetime(2026, 2, 1, tzinfo=dt.UTC)


@pytest.fixture
def collect(loopback: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Collect]:
    """Collect the signals, as they stand a month after they were raised, into a store."""
    sign_in(monkeypatch, loopback)
    subscription = loopback.content.subscriptions[0].scope
    loopback.content.signals = {
        "security/alerts_v2": [GRAPH_ALERT],
        "security/incidents": [GRAPH_INCIDENT | {"classification": None, "status": "active"}],
        "identityprotection/riskdetections": [RISK_DETECTION],
        "identityprotection/serviceprincipalriskdetections": [WORKLOAD_DETECTION],
        "identityprotection/riskyusers": [RISKY_USER],
        "identityprotection/riskyserviceprincipals": [RISKY_WORKLOAD],
        "microsoft.security/alerts": [ARM_ALERT | {"id": f"{subscription}/providers/Microsoft.Security/{ORIGINAL}"}],
    }
    inner = collector(loopback, tmp_path)
    yield partial(inner, sources=SOURCES, until=UNTIL, days=60, db=tmp_path / "store.duckdb",
                  clock=Hurried(UNTIL + dt.timedelta(hours=1)))  # fmt: skip
    loopback.content.signals = {}
    loopback.faults.clear()


def signals(db: Path) -> dict[str, Any]:
    with open_store(db, read_only=True) as store:
        rows = store.table("signals").to_dicts()
    return {row["source"]: row for row in rows}


@pytest.mark.nightly
def test_each_source_gives_its_signal(collect: Collect, tmp_path: Path) -> None:
    report = collect()
    assert {row.source: row.rows for row in report.rows if row.source in SOURCES} == dict.fromkeys(SOURCES, 1)
    found = signals(tmp_path / "store.duckdb")
    assert set(found) == {
        "graph_alert", "graph_incident", "risk_detection", "risky_user", "risky_service_principal", "defender_alert",
    }  # fmt: skip
    assert found["risky_user"]["status"] == "confirmedcompromised"
    assert found["graph_alert"]["original_id"] == found["defender_alert"]["original_id"]


@pytest.mark.nightly
@pytest.mark.parametrize("fault", ["throttle", "cut", "503", "truncate"])
def test_faults_on_the_way_change_nothing(fault: str, loopback: Loopback, collect: Collect, tmp_path: Path) -> None:
    loopback.faults.add(fault, "/security/|/identityProtection/|Microsoft.Security", times=3)
    assert collect().is_whole
    assert len(signals(tmp_path / "store.duckdb")) == 6


@pytest.mark.nightly
def test_a_later_state_of_an_alert_is_collected(loopback: Loopback, collect: Collect, tmp_path: Path) -> None:
    """The next run asks for what changed since, and an alert that was dismissed meanwhile is dismissed."""
    collect()
    assert not signals(tmp_path / "store.duckdb")["graph_alert"]["dismissed"]
    closed = {"status": "resolved", "classification": "falsePositive", "lastUpdateDateTime": "2026-02-02T08:00:00Z"}
    loopback.content.signals["security/alerts_v2"] = [GRAPH_ALERT | closed]
    later = UNTIL + dt.timedelta(days=3)
    collect(until=later, clock=Hurried(later + dt.timedelta(hours=1)))
    found = signals(tmp_path / "store.duckdb")
    assert found["graph_alert"]["dismissed"]
    assert found["defender_alert"]["dismissed"], "the same alert in another export"


def test_a_source_that_is_refused_loses_no_other(loopback: Loopback, collect: Collect, tmp_path: Path) -> None:
    loopback.faults.add("forbidden", "/identityProtection/riskDetections", times=None)
    report = collect()
    assert row_of(report, "risk_detections").state == "refused"
    assert set(signals(tmp_path / "store.duckdb")) >= {"graph_alert", "risky_user", "defender_alert"}


@pytest.mark.nightly
def test_a_watch_collects_tells_what_is_new_and_what_it_could_not_read(
    loopback: Loopback, collect: Collect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """A first pass that takes what stands as known, a next one with a new alert and a source that fails."""
    monkeypatch.chdir(tmp_path)
    at = {"until": UNTIL, "clock": Hurried(UNTIL + dt.timedelta(hours=1))}
    real = collecting.collect_tenant
    monkeypatch.setattr(collecting, "collect_tenant", lambda folder, **asked: real(folder, **(asked | at)))
    watch = ["watch", "--collect", "runs", "--cloud", str(loopback.cloud), "--auth", "env", "--db", "w.duckdb"]
    for source in ("role_assignments", *SOURCES):
        watch += ["--source", source]
    assert run(watch) == 0
    first = capsys.readouterr()
    assert first.out == ""
    assert "first pass" in first.err

    later = UNTIL + dt.timedelta(days=1)
    at |= {"until": later, "clock": Hurried(later + dt.timedelta(hours=1))}
    fresh = GRAPH_ALERT | {"id": "new", "providerAlertId": "new", "title": "Mass download", "lastUpdateDateTime":
                           "2026-02-01T20:00:00Z", "createdDateTime": "2026-02-01T20:00:00Z"}  # fmt: skip
    loopback.content.signals["security/alerts_v2"] = [GRAPH_ALERT, fresh]
    loopback.faults.add("forbidden", "/identityProtection/riskyUsers", times=None)
    assert run([*watch, "--fail-on", "signal"]) == 3
    second = capsys.readouterr()
    told = {change["kind"]: change["text"] for change in map(json.loads, second.out.splitlines())}
    assert set(told) == {"signal", "source_failed"}
    assert "Mass download" in told["signal"]
    assert told["source_failed"].startswith("the source risky_users could not be read: refused, IdentityRiskyUser.Read")
    assert "risky_users: refused" in second.err
    assert run(watch) == 0
    assert capsys.readouterr().out == "", "each change is told once, also one that goes on"

    loopback.faults.clear()
    assert run(watch) == 0
    third = capsys.readouterr()
    assert [json.loads(line)["kind"] for line in third.out.splitlines()] == ["source_failed_gone"]
    assert "is refused" not in third.err
