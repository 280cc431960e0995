"""Write a check report as OCSF 1.6.0: Compliance Finding (2003) and IAM Analysis Finding (2008).

Source: Open Cybersecurity Schema Framework, schema 1.6.0, classes `compliance_finding` and `iam_analysis_finding`.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

from rightsize import __version__
from rightsize.analyze.controls import (
    SEVERITIES,
    CheckReport,
    ControlFinding,
    ControlOutcome,
    Named,
    Severity,
    fingerprint,
)
from rightsize.render.escape import for_terminal

VERSION = "1.6.0"

_SEVERITY: dict[Severity, tuple[int, str]] = {
    "low": (2, "Low"),
    "medium": (3, "Medium"),
    "high": (4, "High"),
    "critical": (5, "Critical"),
}
_INFORMATIONAL = (1, "Informational")
_USER_TYPES = {"User": (1, "User"), "ServicePrincipal": (4, "Service"), "ManagedIdentity": (4, "Service")}


def write_ocsf(report: CheckReport) -> str:
    """Return a report as JSON lines, one event each, all of the day of the check.

    A control that passes is one Compliance Finding. Otherwise each resource that fails (status Fail) or is unknown
    (status Warning, OCSF's status for missing information) is one. Each principal with a failure, of its own or of an
    assignment, is one IAM Analysis Finding with the roles that were judged.
    """
    events = [*_compliance(report), *_identities(report)]
    return "".join(json.dumps(event, ensure_ascii=False, separators=(",", ":")) + "\n" for event in events)


def _compliance(report: CheckReport) -> Iterator[dict[str, Any]]:
    for outcome in report.outcomes:
        if not outcome.findings:
            yield _event(report, 2003, _INFORMATIONAL) | {
                "finding_info": _info(outcome, fingerprint(outcome.name, ""), outcome.title),
                "compliance": _state(outcome, 1, "Pass", f"{outcome.passed} resources pass"),
            }
        for finding in outcome.findings:
            fails = finding.status == "fail"
            severity = _SEVERITY[finding.severity] if fails else _INFORMATIONAL
            yield _event(report, 2003, severity, finding) | {
                "message": for_terminal(finding.reason),
                "finding_info": _info(outcome, finding.fingerprint, outcome.title),
                "compliance": _state(outcome, 3 if fails else 2, "Fail" if fails else "Warning", finding.reason),
                "resources": [_resource(finding, report.named.get(finding.resource))],
            }


def _identities(report: CheckReport) -> Iterator[dict[str, Any]]:
    titles = {outcome.name: outcome.title for outcome in report.outcomes}
    held: dict[str, list[ControlFinding]] = {}
    for finding in report.counting:
        named = report.named.get(finding.resource)
        if named is not None and named.principal_id is not None:
            held.setdefault(named.principal_id, []).append(finding)
    for principal_id, findings in sorted(held.items()):
        analysed = _permissions(findings, report)
        if not analysed:
            continue
        worst = max(findings, key=lambda one: SEVERITIES.index(one.severity)).severity
        failed = sorted({titles[finding.control] for finding in findings})
        yield _event(report, 2008, _SEVERITY[worst]) | {
            "finding_info": {
                "uid": fingerprint("iam-analysis", principal_id),
                "title": "Access of a principal fails controls",
                "desc": "; ".join(failed),
                "types": sorted({finding.control for finding in findings}),
                "analytic": {"type_id": 1, "type": "Rule", "name": "rightsize check", "uid": "rightsize/check"},
            },
            "user": _user(principal_id, report.named[findings[0].resource]),
            "permission_analysis_results": analysed,
        }


def _permissions(findings: list[ControlFinding], report: CheckReport) -> list[dict[str, Any]]:
    results: dict[str, dict[str, Any]] = {}
    for finding in findings:
        named = report.named[finding.resource]
        if finding.subject == "role_assignment" and named.role_definition_id:
            policy = {
                "uid": named.role_definition_id,
                "name": for_terminal(named.role_name or named.role_definition_id),
                "type": "Azure role assignment",
                "desc": for_terminal(f"assignment {finding.resource} at {named.scope or ''}"),
                "is_applied": True,
            }
            unused = {} if named.unused is None else {"unused_privileges_count": named.unused}
            results[finding.resource] = {"policy": policy, **unused}
    return [results[key] for key in sorted(results)]


def _event(
    report: CheckReport, class_uid: int, severity: tuple[int, str], finding: ControlFinding | None = None
) -> dict[str, Any]:
    excused = finding is not None and finding.exempt_until is not None
    day = dt.datetime.fromisoformat(report.as_of).replace(tzinfo=dt.UTC)
    return {
        "activity_id": 1,
        "activity_name": "Create",
        "category_uid": 2,
        "category_name": "Findings",
        "class_uid": class_uid,
        "class_name": "Compliance Finding" if class_uid == 2003 else "IAM Analysis Finding",
        "type_uid": class_uid * 100 + 1,
        "severity_id": severity[0],
        "severity": severity[1],
        "status_id": 3 if excused else 1,
        "status": "Suppressed" if excused else "New",
        "time": int(day.timestamp() * 1000),
        "cloud": {"provider": "Azure"},
        "metadata": {
            "version": VERSION,
            "product": {"name": "rightsize", "vendor_name": "rightsize", "version": __version__},
            "profiles": ["cloud"],
        },
    }


def _info(outcome: ControlOutcome, uid: str, title: str) -> dict[str, Any]:
    return {
        "uid": uid,
        "title": title,
        "desc": outcome.description,
        "types": [outcome.name],
        "analytic": {"type_id": 1, "type": "Rule", "name": outcome.title, "uid": outcome.name},
    }


def _state(outcome: ControlOutcome, status_id: int, status: str, detail: str) -> dict[str, Any]:
    return {
        "control": outcome.name,
        "standards": sorted({tag.source.partition(":")[0] for tag in outcome.tags}),
        "requirements": [f"{tag.framework} {tag.id}" for tag in outcome.tags],
        "status_id": status_id,
        "status": status,
        "status_details": [for_terminal(detail)],
    }


def _resource(finding: ControlFinding, named: Named | None) -> dict[str, Any]:
    known = named or Named()
    name = known.role_name if finding.subject in ("role_assignment", "role_definition") else known.principal_name
    resource: dict[str, Any] = {"uid": for_terminal(finding.resource), "type": finding.subject}
    if name:
        resource["name"] = for_terminal(name)
    if known.scope:
        resource["namespace"] = for_terminal(known.scope)
    return resource


def _user(principal_id: str, named: Named) -> dict[str, Any]:
    kind = named.principal_type or ""
    type_id, caption = _USER_TYPES.get(kind, (99, kind or "Unknown"))
    user: dict[str, Any] = {"uid": principal_id, "type_id": type_id, "type": caption}
    if named.principal_name:
        user["name"] = for_terminal(named.principal_name)
    return user
