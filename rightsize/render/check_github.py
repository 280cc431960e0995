"""Write a check report for GitHub: annotations of the workflow run, and the summary of its step.

Source: GitHub Docs, "Workflow commands for GitHub Actions", and its limit of ten annotations of a level a step.
"""

from __future__ import annotations

from rightsize.analyze.controls import CheckReport, ControlOutcome, Severity
from rightsize.render.escape import for_github_message, for_github_property, for_markdown

MAX_A_LEVEL = 10
MAX_SUMMARY = 1_000_000
"""Bytes; GitHub takes 1 MiB a step."""
_SHOWN = 20
_LEVELS: dict[Severity, str] = {"critical": "error", "high": "error", "medium": "warning", "low": "notice"}


def write_annotations(report: CheckReport) -> str:
    """Return workflow commands, one for each control that fails, the worst first, ten of each level at most."""
    lines: list[str] = []
    used: dict[str, int] = {}
    for outcome in report.outcomes:
        if outcome.status != "fail":
            continue
        level = _LEVELS[outcome.severity]
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
        section = _section(outcome)
        if len((text + section).encode()) > MAX_SUMMARY:
            return text + "\nThe rest is left out: `rightsize check -o json` has all.\n"
        text += section
    return text


def _section(outcome: ControlOutcome) -> str:
    lines = [f"\n### {for_markdown(outcome.title)}\n\n{for_markdown(outcome.description)}\n\n"]
    lines += [f"- {for_markdown(finding.reason)}\n" for finding in outcome.counting[:_SHOWN]]
    if len(outcome.counting) > _SHOWN:
        lines.append(f"- and {len(outcome.counting) - _SHOWN} more\n")
    return "".join(lines)
