"""Write a check report as SARIF 2.1.0, within the limits of GitHub's code scanning.

Sources: OASIS, "Static Analysis Results Interchange Format 2.1.0"; GitHub Docs, "SARIF support for code scanning".
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

from rightsize import __version__
from rightsize.analyze.controls import SEVERITIES, CheckReport, ControlFinding, ControlOutcome, Severity
from rightsize.render.escape import for_terminal

MAX_RESULTS = 25_000
"""The most results in a run that GitHub accepts; it shows the worst 5,000 of them."""
MAX_TAGS = 20
MAX_TEXT, MAX_NAME = 1_024, 255

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS: dict[Severity, str] = {"critical": "error", "high": "error", "medium": "warning", "low": "note"}
# GitHub reads over 9.0 as critical, 7.0 to 8.9 as high, 4.0 to 6.9 as medium, below as low.
_SCORES: dict[Severity, str] = {"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "2.0"}


def write_sarif(report: CheckReport) -> str:
    """Return a report as one SARIF log: a rule for each control, a result for each failure, the worst first.

    An unknown result is written as a notification, not as a result, since a repository has nothing to fix for it.
    """
    index = {outcome.name: number for number, outcome in enumerate(report.outcomes)}
    failing = sorted(
        (finding for finding in report.findings if finding.status == "fail"),
        key=lambda one: (not one.counts, -SEVERITIES.index(one.severity), one.control, one.resource),
    )
    shown = failing[:MAX_RESULTS]
    run = {
        "tool": {
            "driver": {
                "name": "rightsize",
                "semanticVersion": __version__,
                "rules": [_rule(outcome) for outcome in report.outcomes],
            }
        },
        "automationDetails": {"id": "rightsize/check/"},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": True, "toolExecutionNotifications": _notes(report, len(failing))}],
        "results": [_result(finding, index[finding.control], report) for finding in shown],
    }
    document = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _notes(report: CheckReport, failing: int) -> list[dict[str, Any]]:
    notes = [
        {
            "level": "warning",
            "message": {"text": _text(f"{finding.control} is not known: {finding.reason}")},
            "associatedRule": {"id": finding.control},
        }
        for outcome in report.outcomes
        for finding in outcome.findings
        if finding.status == "unknown"
    ][:MAX_TEXT]
    if failing > MAX_RESULTS:
        text = f"{failing - MAX_RESULTS} of {failing} findings are left out, the least severe"
        notes.insert(0, {"level": "warning", "message": {"text": text}})
    return notes


def _rule(outcome: ControlOutcome) -> dict[str, Any]:
    tags = ["security", *(f"{tag.framework} {tag.id}" for tag in outcome.tags)][:MAX_TAGS]
    checks = "".join(f"\n\nChecks {tag.source.partition(':')[0]}, {tag.id}: {tag.title}." for tag in outcome.tags)
    return {
        "id": outcome.name,
        "name": _camel(outcome.name)[:MAX_NAME],
        "shortDescription": {"text": _text(outcome.title)},
        "fullDescription": {"text": _text(outcome.description)},
        "help": {"text": f"{outcome.description}{checks}"},
        "defaultConfiguration": {"level": _LEVELS[outcome.severity]},
        "properties": {
            "tags": tags,
            "precision": "high",
            "problem.severity": {"error": "error", "warning": "warning", "note": "recommendation"}[
                _LEVELS[outcome.severity]
            ],
            "security-severity": _SCORES[outcome.severity],
        },
    }


def _result(finding: ControlFinding, rule: int, report: CheckReport) -> dict[str, Any]:
    named = report.named.get(finding.resource)
    place = finding.resource if finding.subject == "scope" else (named.scope if named else None) or ""
    result: dict[str, Any] = {
        "ruleId": finding.control,
        "ruleIndex": rule,
        "level": _LEVELS[finding.severity],
        "message": {"text": _text(finding.reason)},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _uri(place, finding)},
                    "region": {"startLine": 1, "startColumn": 1, "endColumn": 1},
                },
                "logicalLocations": [{"fullyQualifiedName": for_terminal(finding.resource), "kind": "resource"}],
            }
        ],
        "partialFingerprints": {"rightsizeFinding/v1": finding.fingerprint},
        "baselineState": "unchanged" if finding.known else "new",
    }
    if finding.exempt_until is not None:
        why = f"{finding.exempt_because}, until {finding.exempt_until}"
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": _text(why)}]
    return result


def _uri(place: str, finding: ControlFinding) -> str:
    """Return a path for a finding without a file: code scanning accepts no result without one."""
    parts = [part for part in (*place.split("/"), finding.resource.rpartition("/")[2]) if part not in ("", ".", "..")]
    return "azure/" + "/".join(quote(part, safe="") for part in dict.fromkeys(parts)) if parts else "azure/tenant"


def _text(text: str) -> str:
    safe = for_terminal(text)
    return safe if len(safe) <= MAX_TEXT else safe[: MAX_TEXT - 1] + "…"


def _camel(name: str) -> str:
    return "".join(word.capitalize() for word in re.split("[^a-z0-9]+", name))
