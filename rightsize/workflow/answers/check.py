"""Judge the store by controls, apply exemptions and a baseline, and gate on what is left."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rightsize.analyze.controls import (
    SEVERITIES,
    CheckReport,
    ControlFinding,
    ControlOutcome,
    Exemption,
    Named,
    Severity,
    read_exemptions,
)
from rightsize.analyze.lacks import sentence_of
from rightsize.model.decisions import read_entry_file
from rightsize.model.errors import EvidenceError, GateError, InputError, RightsizeError, UsageError
from rightsize.model.file_reading import read_given
from rightsize.model.role_forms import load_json
from rightsize.store.connection import Store, open_store
from rightsize.store.controls import Control, ControlResult, control_names, judge, read_control, whole_statement
from rightsize.store.queries import query_text
from rightsize.workflow.analysis.find_analysis import provide_answers, require_content

_BASELINE_FORMAT = 1


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of `check`.

    Attributes:
        report: The results of the controls, after exemptions and baseline.
        remarks: Remarks for people, one sentence each.
        refusal: The error to end with, or None where the gate passes.
    """

    report: CheckReport
    remarks: tuple[str, ...]
    refusal: RightsizeError | None


def list_controls(names: Sequence[str] = ()) -> list[Control]:
    """Return the controls of these names, or all; raise UsageError for an unknown name."""
    return [read_control(name) for name in names or control_names()]


def control_statement(name: str) -> str:
    """Return a control as one statement that `rightsize sql` runs, or raise UsageError."""
    return whole_statement(read_control(name))


def check_store(
    db: Path,
    *,
    as_of: dt.date,
    names: Sequence[str] = (),
    parameters: Sequence[str] = (),
    exemptions: Path | None = None,
    baseline: Path | None = None,
    fail_on: Severity | None = None,
    fail_on_unknown: bool = False,
    note: Callable[[str], None] = lambda _: None,
) -> CheckResult:
    """Judge a store by controls.

    Args:
        db: The store; it is only read.
        as_of: The day of the check; exemptions that expire before it no longer count.
        names: The controls; all of them where none is named.
        parameters: `CONTROL.NAME=VALUE` texts.
        exemptions: A file of exemptions.
        baseline: A file of findings that are already known.
        fail_on: The lowest severity at which a finding fails the gate.
        fail_on_unknown: Whether an unknown result fails the gate, too.
        note: Called with a sentence where the last analysis is not of the present content.

    Raises:
        UsageError: A control or parameter does not exist.
        InputError: There is no store, or a file has the wrong content.
        EvidenceError: Nothing is loaded that any control could judge.
    """
    controls = list_controls(names)
    given = _parameters(parameters, controls)
    exempt = read_entry_file(exemptions, "exemptions", read_exemptions) if exemptions else ()
    before = read_baseline(baseline) if baseline else frozenset()
    with open_store(db, read_only=True) as store:
        require_content(store)
        if any("analysis" in control.needs for control in controls):
            provide_answers(store, note)
        judgements = judge(store, controls, given)
        named = _named(store, judgements)
    if all(not judged.passed and judged.findings and _is_unmet(judged) for judged in judgements):
        raise EvidenceError(
            f"nothing that is loaded answers any of {len(judgements)} controls: {judgements[0].findings[0].reason}",
            hint="load exports first: `rightsize load PATH`",
        )
    outcomes = [_outcome(judged, exempt, named, before, as_of) for judged in judgements]
    worst_first = sorted(outcomes, key=lambda one: (-SEVERITIES.index(one.severity), -len(one.counting), one.name))
    report = CheckReport(as_of.isoformat(), tuple(worst_first), named)
    ended = _ended(exempt, report, as_of)
    return CheckResult(
        report,
        _remarks(exempt, ended, before, report),
        _refusal(report, ended, fail_on, fail_on_unknown) or _doubt(judgements, fail_on),
    )


def _is_unmet(judged: ControlResult) -> bool:
    return all(finding.status == "unknown" and finding.resource == "/" for finding in judged.findings)


def _parameters(texts: Sequence[str], controls: Sequence[Control]) -> dict[str, dict[str, str]]:
    names = {control.name for control in controls}
    given: dict[str, dict[str, str]] = {}
    for text in texts:
        place, equals, value = text.partition("=")
        control, dot, name = place.strip().partition(".")
        if not equals or not dot or not name:
            raise UsageError(f"`{text}` is not CONTROL.NAME=VALUE", hint="write -p CONTROL.NAME=VALUE")
        if control not in names:
            raise UsageError(f"`{control}` is not one of the controls that run")
        given.setdefault(control, {})[name] = value
    return given


def read_baseline(path: Path) -> frozenset[str]:
    """Return the fingerprints of the failures in a baseline or in output of `check -o json`; else raise InputError."""
    document = load_json(read_given(path))
    findings = document.get("findings") if isinstance(document, dict) else None
    if not isinstance(findings, list):
        raise InputError(f"`{path}` is not a baseline", hint="`rightsize check --write-baseline FILE` writes one")
    prints = set()
    for number, entry in enumerate(findings, 1):
        name = entry.get("fingerprint") if isinstance(entry, dict) else None
        if not isinstance(name, str):
            raise InputError(f"finding {number} of the baseline `{path}` has no fingerprint")
        if entry.get("status", "fail") == "fail":
            prints.add(name)
    return frozenset(prints)


def baseline_document(report: CheckReport) -> dict[str, Any]:
    """Return the baseline of a report: every failure without an exemption, known failures included."""
    failing = {finding.fingerprint: finding for finding in report.findings if finding.status == "fail"}
    return {
        "format_version": _BASELINE_FORMAT,
        "findings": [
            {"control": one.control, "resource": one.resource, "fingerprint": name}
            for name, one in sorted(failing.items(), key=lambda item: (item[1].control, item[1].resource))
            if one.exempt_until is None
        ],
    }


def _named(store: Store, judgements: Sequence[ControlResult]) -> dict[str, Named]:
    ids = sorted({finding.resource for judged in judgements for finding in judged.findings})
    found = store.frame(query_text("answers/named"), {"ids": ids})
    return {row.pop("id"): Named(**row) for row in found.sort("id").to_dicts()}


def _outcome(
    judged: ControlResult,
    exempt: Sequence[Exemption],
    named: Mapping[str, Named],
    before: frozenset[str],
    as_of: dt.date,
) -> ControlOutcome:
    control = judged.control
    return ControlOutcome(
        name=control.name,
        title=control.question.title,
        description=control.question.description,
        severity=control.severity,
        subject=control.subject,
        tags=control.tags,
        passed=judged.passed,
        findings=tuple(_marked(finding, exempt, named, before, as_of) for finding in judged.findings),
    )


def _marked(
    finding: ControlFinding,
    exempt: Sequence[Exemption],
    named: Mapping[str, Named],
    before: frozenset[str],
    as_of: dt.date,
) -> ControlFinding:
    if finding.status != "fail":
        return finding
    holding = [one for one in exempt if one.expires >= as_of and one.covers(finding, named.get(finding.resource))]
    last = max(holding, key=lambda one: one.expires, default=None)
    return replace(
        finding,
        known=finding.fingerprint in before,
        exempt_until=last.expires.isoformat() if last else None,
        exempt_because=f"{last.reason} ({last.owner})" if last else None,
    )


def _ended(exempt: Sequence[Exemption], report: CheckReport, as_of: dt.date) -> list[Exemption]:
    """Return the exemptions that have expired while a finding they covered still fails without another exemption."""
    return [
        one
        for one in exempt
        if one.expires < as_of
        and any(
            finding.status == "fail"
            and finding.exempt_until is None
            and one.covers(finding, report.named.get(finding.resource))
            for finding in report.findings
        )
    ]


def _remarks(
    exempt: Sequence[Exemption], ended: Sequence[Exemption], before: frozenset[str], report: CheckReport
) -> tuple[str, ...]:
    failing = [finding for finding in report.findings if finding.status == "fail"]
    names = {outcome.name for outcome in report.outcomes}
    said = [f"an exemption has ended: {one}" for one in ended]
    for one in exempt:
        if one.control in {"*", *names} and not any(one.covers(f, report.named.get(f.resource)) for f in failing):
            said.append(f"an exemption covers nothing that fails: {one}")
    gone = len(before - {finding.fingerprint for finding in failing})
    if gone:
        said.append(
            f"{gone} findings of the baseline no longer fail: write a new baseline, so that they count if they return"
        )
    unknown = sum(outcome.status == "unknown" for outcome in report.outcomes)
    if unknown:
        said.append(f"{unknown} controls are unknown, because data that they need is not loaded")
    return tuple(said)


def _refusal(
    report: CheckReport, ended: Sequence[Exemption], fail_on: Severity | None, fail_on_unknown: bool
) -> RightsizeError | None:
    if ended:
        return GateError(
            f"{len(ended)} exemptions have ended and their findings still fail, the first is {ended[0]}",
            hint="renew them with a new reason and last day, or remove the cause of the findings",
        )
    if fail_on is not None:
        least = SEVERITIES.index(fail_on)
        counting = [finding for finding in report.counting if SEVERITIES.index(finding.severity) >= least]
        if counting:
            controls = list(dict.fromkeys(finding.control for finding in counting))
            first = ", ".join(f"`{name}`" for name in controls[:3]) + (" and others" if len(controls) > 3 else "")
            return GateError(
                f"{len(counting)} findings of severity {fail_on} or higher, of {first}",
                hint="`rightsize check CONTROL` lists them; exemptions or a baseline excuse accepted ones",
            )
    if fail_on_unknown:
        open_ = [o.name for o in report.outcomes if o.unknown and (not fail_on or _worse(o.severity, fail_on))]
        if open_:
            return GateError(
                f"{len(open_)} controls have no complete answer, the first is `{open_[0]}`",
                hint="load the data that they need; `rightsize check CONTROL` names it",
            )
    return None


def _doubt(judgements: Sequence[ControlResult], fail_on: Severity | None) -> RightsizeError | None:
    """Return the error of a gate that finds nothing, although listings are not complete that may have something."""
    if fail_on is None:
        return None
    lacks = [lack for one in judgements if _worse(one.control.severity, fail_on) for lack in one.lacks]
    if not lacks:
        return None
    return EvidenceError(
        f"it is unknown whether the gate holds: {sentence_of(lacks)}",
        hint="no finding of that severity is known; load the listings, and check again",
    )


def _worse(severity: Severity, least: Severity) -> bool:
    return SEVERITIES.index(severity) >= SEVERITIES.index(least)
