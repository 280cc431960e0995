"""Turn a check report into rows: one a control for people, one a finding for programs."""

from __future__ import annotations

from typing import Any

from rightsize.analyze.controls import CheckReport, ControlFinding, ControlOutcome, Named

CONTROL_COLUMNS = ("severity", "control", "status", "failing", "unknown", "passed", "exempt", "known", "title")
CONTROL_TABLE = ("severity", "control", "failing", "unknown", "passed")
FINDING_COLUMNS = (
    "severity",
    "control",
    "status",
    "subject",
    "resource",
    "scope",
    "principal_id",
    "reason",
    "exempt_until",
    "known",
    "fingerprint",
)
FINDING_TABLE = ("severity", "status", "reason")


def control_rows(report: CheckReport) -> list[dict[str, Any]]:
    """Return one row a control, of `CONTROL_COLUMNS`."""
    return [_control(outcome) for outcome in report.outcomes]


def finding_rows(report: CheckReport) -> list[dict[str, Any]]:
    """Return one row a finding, of `FINDING_COLUMNS`."""
    return [_finding(finding, report.named.get(finding.resource)) for finding in report.findings]


def report_document(report: CheckReport) -> dict[str, Any]:
    """Return the whole report as `check -o json` writes it."""
    tagged = {outcome.name: [f"{tag.framework} {tag.id}" for tag in outcome.tags] for outcome in report.outcomes}
    return {
        "as_of": report.as_of,
        "controls": [row | {"tags": tagged[row["control"]]} for row in control_rows(report)],
        "findings": finding_rows(report),
    }


def _control(outcome: ControlOutcome) -> dict[str, Any]:
    return {
        "severity": outcome.severity,
        "control": outcome.name,
        "status": outcome.status,
        "failing": len(outcome.counting),
        "unknown": outcome.unknown,
        "passed": outcome.passed,
        "exempt": sum(finding.exempt_until is not None for finding in outcome.findings),
        "known": sum(finding.known and finding.exempt_until is None for finding in outcome.findings),
        "title": outcome.title,
    }


def _finding(finding: ControlFinding, named: Named | None) -> dict[str, Any]:
    principal = finding.resource if finding.subject == "principal" else named.principal_id if named else None
    return {
        "severity": finding.severity,
        "control": finding.control,
        "status": finding.status,
        "subject": finding.subject,
        "resource": finding.resource,
        "scope": finding.resource if finding.subject == "scope" else named.scope if named else None,
        "principal_id": principal,
        "reason": finding.reason,
        "exempt_until": finding.exempt_until,
        "known": finding.known,
        "fingerprint": finding.fingerprint,
    }
