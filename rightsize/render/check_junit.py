"""Write a check report as JUnit XML for Jenkins, GitLab and Azure DevOps: one test case for each control."""

from __future__ import annotations

from collections.abc import Iterator

from rightsize.analyze.controls import CheckReport, ControlFinding, ControlOutcome
from rightsize.render.escape import for_xml

_SHOWN = 200
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
        yield f'      <failure type="{outcome.severity}" message="{said}">{_lines(outcome.counting)}</failure>'
    elif outcome.status == "unknown":
        unknown = [finding for finding in outcome.findings if finding.status == "unknown"]
        yield f'      <skipped message="{for_xml(unknown[0].reason)}"/>'
    excused = [finding for finding in outcome.findings if finding.status == "fail" and not finding.counts]
    if excused:
        yield f"      <system-out>{_lines(excused)}</system-out>"
    yield "    </testcase>"


def _lines(findings: tuple[ControlFinding, ...] | list[ControlFinding]) -> str:
    shown = [for_xml(f"{finding.resource}: {finding.reason}{_excuse(finding)}") for finding in findings[:_SHOWN]]
    if len(findings) > _SHOWN:
        shown.append(f"and {len(findings) - _SHOWN} more")
    return "\n".join(shown)


def _excuse(finding: ControlFinding) -> str:
    if finding.exempt_until is not None:
        return f" [exempt until {finding.exempt_until}: {finding.exempt_because}]"
    return " [in the baseline]" if finding.known else ""
