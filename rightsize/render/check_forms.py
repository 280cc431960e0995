"""Write a check report as rows, GitHub annotations, JUnit XML and SARIF.

Turn a check report into rows: one a control for people, one a finding for programs.

Write a check report for GitHub: annotations of the workflow run, and the summary of its step.

Source: GitHub Docs, "Workflow commands for GitHub Actions", and its limit of ten annotations of a level a step.

Write a check report as JUnit XML for Jenkins, GitLab and Azure DevOps: one test case for each control.

Write a check report as SARIF 2.1.0, within the limits of GitHub's code scanning.

Sources: OASIS, "Static Analysis Results Interchange Format 2.1.0"; GitHub Docs, "SARIF support for code scanning".

Write what a deployment takes as a SARIF log of what would be refused, or as a comment on a pull request.

Names of files, resources and scopes come from the code of a pull request: each is escaped for where it stands.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from rightsize import __version__
from rightsize.analyze.controls import SEVERITIES, CheckReport, ControlFinding, ControlOutcome, Named, Severity
from rightsize.render.escape import for_github_message, for_github_property, for_markdown, for_terminal, for_xml

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


MAX_A_LEVEL = 10
MAX_SUMMARY = 1_000_000
"""Bytes; GitHub takes 1 MiB a step."""
_GITHUB_SHOWN = 20
_GITHUB_LEVELS: dict[Severity, str] = {"critical": "error", "high": "error", "medium": "warning", "low": "notice"}


def write_annotations(report: CheckReport) -> str:
    """Return workflow commands, one for each control that fails, the worst first, ten of each level at most."""
    lines: list[str] = []
    used: dict[str, int] = {}
    for outcome in report.outcomes:
        if outcome.status != "fail":
            continue
        level = _GITHUB_LEVELS[outcome.severity]
        used[level] = used.get(level, 0) + 1
        if used[level] <= MAX_A_LEVEL:
            first, more = outcome.counting[0], len(outcome.counting) - 1
            # The line break is ours; one in a name is escaped.
            more_text = f"%0Aand {more} more: rightsize check {outcome.name}" if more else ""
            title = for_github_property(f"{outcome.name} ({outcome.severity})")
            text = for_github_message(f"Does not hold: {outcome.title}. {first.reason}")
            lines.append(f"::{level} title={title}::{text}{more_text}")
    return "".join(line + "\n" for line in lines)


def write_summary(report: CheckReport) -> str:
    """Return Markdown for people: a table of the controls, and the findings of those that fail."""
    failing = [outcome for outcome in report.outcomes if outcome.status == "fail"]
    unknown = [outcome for outcome in report.outcomes if outcome.status == "unknown"]
    head = (
        f"## rightsize check\n\n{len(report.counting)} findings of {len(failing)} controls; "
        f"{len(unknown)} of {len(report.outcomes)} controls lack data for a whole answer.\n\n"
    )
    rows = [
        f"| {o.severity} | {for_markdown(o.name)} | {len(o.counting)} | {o.unknown} | {o.passed} | "
        f"{for_markdown(o.title)} |"
        for o in report.outcomes
        if o.status != "pass"
    ]
    table = "| severity | control | failing | unknown | passed | question |\n|---|---|---:|---:|---:|---|\n"
    text = head + (table + "".join(row + "\n" for row in rows) if rows else "Every control passes.\n")
    for outcome in failing:
        section = _summary_section(outcome)
        if len((text + section).encode()) > MAX_SUMMARY:
            return text + "\nThe rest is left out: `rightsize check -o json` has all.\n"
        text += section
    return text


def _summary_section(outcome: ControlOutcome) -> str:
    lines = [f"\n### {for_markdown(outcome.title)}\n\n{for_markdown(outcome.description)}\n\n"]
    lines += [f"- {for_markdown(finding.reason)}\n" for finding in outcome.counting[:_GITHUB_SHOWN]]
    if len(outcome.counting) > _GITHUB_SHOWN:
        lines.append(f"- and {len(outcome.counting) - _GITHUB_SHOWN} more\n")
    return "".join(lines)


_JUNIT_SHOWN = 200
"""The most findings in the failure of one control; nobody reads a hundred thousand lines."""


def write_junit(report: CheckReport) -> str:
    """Return a report as one test suite: failures fail, unknown results are skipped, exempt findings are output."""
    failures = sum(outcome.status == "fail" for outcome in report.outcomes)
    skipped = sum(outcome.status == "unknown" for outcome in report.outcomes)
    counts = f'tests="{len(report.outcomes)}" failures="{failures}" errors="0" skipped="{skipped}"'
    stamp = f'timestamp="{for_xml(report.as_of)}T00:00:00"'
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuites name="rightsize" {counts}>',
        f'  <testsuite name="rightsize check" {counts} {stamp} time="0">',
    ]
    for outcome in report.outcomes:
        lines.extend(_case(outcome))
    return "\n".join([*lines, "  </testsuite>", "</testsuites>"]) + "\n"


def _case(outcome: ControlOutcome) -> Iterator[str]:
    yield f'    <testcase classname="rightsize.{outcome.severity}" name="{for_xml(outcome.name)}" time="0">'
    if outcome.status == "fail":
        said = for_xml(f"{outcome.title}: {len(outcome.counting)} findings")
        yield f'      <failure type="{outcome.severity}" message="{said}">{_junit_lines(outcome.counting)}</failure>'
    elif outcome.status == "unknown":
        unknown = [finding for finding in outcome.findings if finding.status == "unknown"]
        yield f'      <skipped message="{for_xml(unknown[0].reason)}"/>'
    excused = [finding for finding in outcome.findings if finding.status == "fail" and not finding.counts]
    if excused:
        yield f"      <system-out>{_junit_lines(excused)}</system-out>"
    yield "    </testcase>"


def _junit_lines(findings: tuple[ControlFinding, ...] | list[ControlFinding]) -> str:
    shown = [for_xml(f"{finding.resource}: {finding.reason}{_excuse(finding)}") for finding in findings[:_JUNIT_SHOWN]]
    if len(findings) > _JUNIT_SHOWN:
        shown.append(f"and {len(findings) - _JUNIT_SHOWN} more")
    return "\n".join(shown)


def _excuse(finding: ControlFinding) -> str:
    if finding.exempt_until is not None:
        return f" [exempt until {finding.exempt_until}: {finding.exempt_because}]"
    return " [in the baseline]" if finding.known else ""


MAX_RESULTS = 25_000
"""The most results in a run that GitHub accepts; it shows the worst 5,000 of them."""
MAX_TAGS = 20
MAX_TEXT, MAX_NAME = 1_024, 255

_SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_SARIF_LEVELS: dict[Severity, str] = {"critical": "error", "high": "error", "medium": "warning", "low": "note"}
# GitHub reads over 9.0 as critical, 7.0 to 8.9 as high, 4.0 to 6.9 as medium, below as low.
_SARIF_SCORES: dict[Severity, str] = {"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "2.0"}


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
    return sarif_log(
        "check",
        rules=[_rule(outcome) for outcome in report.outcomes],
        results=[_result(finding, index[finding.control], report) for finding in shown],
        notes=_notes(report, len(failing)),
    )


def sarif_log(
    command: str, *, rules: list[dict[str, Any]], results: list[dict[str, Any]], notes: list[dict[str, Any]]
) -> str:
    """Return the SARIF log of one run of a command."""
    run = {
        "tool": {"driver": {"name": "rightsize", "semanticVersion": __version__, "rules": rules}},
        "automationDetails": {"id": f"rightsize/{command}/"},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": True, "toolExecutionNotifications": notes}],
        "results": results,
    }
    document = {"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _notes(report: CheckReport, failing: int) -> list[dict[str, Any]]:
    notes = [
        {
            "level": "warning",
            "message": {"text": sarif_text(f"{finding.control} is not known: {finding.reason}")},
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
        "shortDescription": {"text": sarif_text(outcome.title)},
        "fullDescription": {"text": sarif_text(outcome.description)},
        "help": {"text": f"{outcome.description}{checks}"},
        "defaultConfiguration": {"level": _SARIF_LEVELS[outcome.severity]},
        "properties": {
            "tags": tags,
            "precision": "high",
            "problem.severity": {"error": "error", "warning": "warning", "note": "recommendation"}[
                _SARIF_LEVELS[outcome.severity]
            ],
            "security-severity": _SARIF_SCORES[outcome.severity],
        },
    }


def _result(finding: ControlFinding, rule: int, report: CheckReport) -> dict[str, Any]:
    named = report.named.get(finding.resource)
    place = finding.resource if finding.subject == "scope" else (named.scope if named else None) or ""
    result: dict[str, Any] = {
        "ruleId": finding.control,
        "ruleIndex": rule,
        "level": _SARIF_LEVELS[finding.severity],
        "message": {"text": sarif_text(finding.reason)},
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
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": sarif_text(why)}]
    return result


def _uri(place: str, finding: ControlFinding) -> str:
    """Return a path for a finding without a file: code scanning accepts no result without one."""
    parts = [part for part in (*place.split("/"), finding.resource.rpartition("/")[2]) if part not in ("", ".", "..")]
    return "azure/" + "/".join(quote(part, safe="") for part in dict.fromkeys(parts)) if parts else "azure/tenant"


def sarif_text(text: str) -> str:
    """Return a text without hidden characters, as long as code scanning shows it."""
    safe = for_terminal(text)
    return safe if len(safe) <= MAX_TEXT else safe[: MAX_TEXT - 1] + "…"


def _camel(name: str) -> str:
    return "".join(word.capitalize() for word in re.split("[^a-z0-9]+", name))


NEED_COLUMNS = ("operation", "scope", "resource", "rule", "only_if", "privilege", "file")
ANSWER_COLUMNS = (*NEED_COLUMNS, "allowed", "because", "denied_by", "unknown", "lacks")
_RULES = {
    "refused": (
        "The deployment would be refused",
        "error",
        "No role of the principal allows an operation that it takes.",
    ),
    "undecided": (
        "It is not known whether the deployment would be refused",
        "warning",
        "A listing is not complete, or an activation or a condition decides.",
    ),
}
_SHOWN = 100
_COMMENT = ("operation", "scope", "resource", "rule")


def needs_sarif(missing: Sequence[Mapping[str, Any]], undecided: Sequence[Mapping[str, Any]]) -> str:
    """Return a SARIF log: an error for each operation that would be refused, a warning for each that may be.

    Args:
        missing: The rows of what would certainly be refused.
        undecided: The rows of which it is not known.
    """
    rules = [
        {
            "id": f"needs_{name}",
            "shortDescription": {"text": title},
            "fullDescription": {"text": text},
            "defaultConfiguration": {"level": level},
        }
        for name, (title, level, text) in _RULES.items()
    ]
    found = [*((0, row) for row in missing), *((1, row) for row in undecided)]
    results = [_refusal_result(number, row) for number, row in found[:MAX_RESULTS]]
    return sarif_log("needs", rules=rules, results=results, notes=[])


def _refusal_result(number: int, row: Mapping[str, Any]) -> dict[str, Any]:
    name = list(_RULES)[number]
    said = "is not allowed" if number == 0 else f"may be refused: {row['unknown'] or row['allowed']}"
    text = f"{row['operation']} {said} at {row['scope']}, and {row['resource']} takes it ({row['rule']})"
    key = hashlib.sha256(f"{row['operation']} {row['scope']} {row['resource']}".lower().encode()).hexdigest()
    path = "/".join(quote(part, safe="") for part in str(row["file"]).split("/") if part not in ("", ".", ".."))
    return {
        "ruleId": f"needs_{name}",
        "ruleIndex": number,
        "level": list(_RULES.values())[number][1],
        "message": {"text": sarif_text(text)},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": path or "code"},
                    "region": {"startLine": 1, "startColumn": 1, "endColumn": 1},
                },
                "logicalLocations": [{"fullyQualifiedName": for_terminal(str(row["resource"])), "kind": "resource"}],
            }
        ],
        "partialFingerprints": {"rightsizeNeed/v1": key},
    }


def write_comment(
    principal: str | None,
    rows: Sequence[Mapping[str, Any]],
    missing: Sequence[Mapping[str, Any]],
    undecided: Sequence[Mapping[str, Any]],
    not_known: Sequence[str],
) -> str:
    """Return a comment on a pull request: what would be refused, or all that the deployment takes.

    Args:
        principal: Who deploys; None where nobody is asked about.
        rows: All that the deployment takes.
        missing: Those that would certainly be refused.
        undecided: Those of which it is not known.
        not_known: What the code does not say.
    """
    if principal is None:
        head, shown = f"### The deployment takes {len(rows):,} operations", list(rows)
    else:
        who = for_markdown(principal)
        head = f"### {who} may do all {len(rows):,} that the deployment takes"
        if missing:
            head = f"### {who} would be refused {len(missing):,} of {len(rows):,} that the deployment takes"
        elif undecided:
            head = f"### It is not known whether {who} may do {len(undecided):,} of {len(rows):,}"
        shown = [*missing, *undecided]
    lines = [head, ""]
    if shown:
        lines += [f"| {' | '.join(_COMMENT)} |", f"|{'---|' * len(_COMMENT)}"]
        lines += [f"| {' | '.join(for_markdown(str(row[name])) for name in _COMMENT)} |" for row in shown[:_SHOWN]]
    if len(shown) > _SHOWN:
        lines.append(f"\nand {len(shown) - _SHOWN:,} more")
    lines += ["", *(f"- {for_markdown(one)}" for one in not_known[:_SHOWN])]
    return "\n".join(lines).rstrip() + "\n"
