"""`rightsize check`: judge the store by controls, and fail a pipeline on findings."""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rightsize.analyze import controls as control_findings
from rightsize.cli.command import Common, command
from rightsize.cli.narration import say
from rightsize.cli.options import OutputFormat, Today, day_or_today
from rightsize.cli.output import show, write
from rightsize.model.errors import InputError, UsageError
from rightsize.model.progress import counted
from rightsize.render import check_forms, check_ocsf
from rightsize.render.rows import write_json, write_jsonl, write_separated
from rightsize.workflow.answers import check as workflow


class CheckFormat(StrEnum):
    """The output format of a report."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    TSV = "tsv"
    MARKDOWN = "markdown"
    SARIF = "sarif"
    OCSF = "ocsf"
    JUNIT = "junit"
    GITHUB = "github"


class SeverityName(StrEnum):
    """The lowest severity at which the gate fails."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


_ROWS = ("table", "json", "jsonl", "csv", "tsv")


@command(rows=True)
def check(
    controls: Annotated[
        list[str] | None, typer.Argument(metavar="[CONTROL]...", help="Names of controls. Default: all.")
    ] = None,
    fail_on: Annotated[
        SeverityName | None,
        typer.Option("--fail-on", help="Exit with 3 if a finding has this severity or a higher one."),
    ] = None,
    fail_on_unknown: Annotated[
        bool, typer.Option("--fail-on-unknown", help="Exit with 3 also if data that a control needs is not loaded.")
    ] = False,
    exemptions: Annotated[
        Path | None,
        typer.Option(
            "--exemptions", help="File of exemptions (TOML, JSON, CSV), each with reason, owner and last day."
        ),
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option("--baseline", help="File of known findings; only new ones count.")
    ] = None,
    write_baseline: Annotated[
        Path | None,
        typer.Option("--write-baseline", help="Write today's findings to this file as a baseline, and exit with 0."),
    ] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option("-p", "--parameter", help="Parameter of a control, as CONTROL.NAME=VALUE. Repeatable."),
    ] = None,
    as_of: Today = None,
    writes: Annotated[
        list[str] | None, typer.Option("--write", help="FORMAT=FILE: also write the report to this file. Repeatable.")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="Only list the controls.")] = False,
    statement: Annotated[bool, typer.Option("--sql", help="Print the SQL of the one control that is named.")] = False,
    output: Annotated[CheckFormat, typer.Option("-o", "--output", help="How to write the report.")] = CheckFormat.TABLE,
    *,
    common: Common,
) -> None:
    """Check the tenant by controls, as a report or as a gate.

    Controls are on owners, permanent privileged roles, unused access and ways to gain rights. A control passes, fails,
    or is unknown because data that it needs is not loaded. With `--fail-on`, the exit code is 3 if a finding of that
    severity or higher has no exemption and is not in the baseline. It is also 3 if an exemption has ended and its
    finding still fails. `-o ocsf` writes JSON lines. `-o github` writes annotations, and a summary to the file that
    GITHUB_STEP_SUMMARY names.
    """
    named = tuple(controls or ())
    if list_ or statement:
        _show_controls(named, output, statement=statement)
        if output is CheckFormat.TABLE and not statement:
            common.say_next(common.with_db("rightsize check"))
        return
    files = [_file_of(text) for text in writes or ()]
    result = workflow.check_store(
        common.db,
        as_of=day_or_today(as_of),
        names=named,
        parameters=parameters or (),
        exemptions=exemptions,
        baseline=baseline,
        fail_on=fail_on.value if fail_on else None,
        fail_on_unknown=fail_on_unknown,
        note=say,
    )
    _show(result.report, output, named, every=common.every)
    for form, path in files:
        _save(path, _text(result.report, form))
    for remark in result.remarks:
        say(remark)
    if write_baseline is not None:
        _write_baseline(result.report, write_baseline)
    elif result.refusal is not None:
        raise result.refusal
    if output is CheckFormat.TABLE:
        common.say_next(common.with_db(_next(result.report, named)))


def _next(report: control_findings.CheckReport, named: tuple[str, ...]) -> str:
    """Return the next step: the findings of the first control that fails, else a plan."""
    failing = next((outcome.name for outcome in report.outcomes if outcome.counting and not named), None)
    return "rightsize propose" if failing is None else f"rightsize check {failing}"


def _show_controls(names: tuple[str, ...], output: CheckFormat, *, statement: bool) -> None:
    if statement:
        if len(names) != 1:
            raise UsageError("`--sql` takes exactly one control", hint="`rightsize check --sql CONTROL`")
        write(workflow.control_statement(names[0]))
        return
    if output.value not in (*_ROWS, "markdown"):
        raise UsageError(f"`--list` has no format `{output.value}`", hint=f"formats: {', '.join((*_ROWS, 'markdown'))}")
    rows = [
        {
            "severity": control.severity,
            "control": control.name,
            "title": control.question.title,
            "description": control.question.description,
            "subject": control.subject,
            "needs": list(control.needs),
            "tags": [f"{tag.framework} {tag.id}" for tag in control.tags],
            "parameters": [f"{one.name}={one.default}" for one in control.question.parameters],
        }
        for control in workflow.list_controls(names)
    ]
    show(rows, list(rows[0]), OutputFormat(output.value), table_columns=("severity", "control", "title"))


def _file_of(text: str) -> tuple[CheckFormat, Path]:
    form, equals, path = text.partition("=")
    if not equals or not path or form not in [one.value for one in CheckFormat if one is not CheckFormat.TABLE]:
        raise UsageError(f"`--write {text}` is not FORMAT=FILE", hint="for example `--write sarif=check.sarif`")
    return CheckFormat(form), Path(path)


def _show(report: control_findings.CheckReport, output: CheckFormat, named: tuple[str, ...], *, every: bool) -> None:
    if output is CheckFormat.TABLE and not named:
        shown = [row for row in check_forms.control_rows(report) if row["status"] != "pass"]
        show(shown, check_forms.CONTROL_COLUMNS, OutputFormat.TABLE, table_columns=check_forms.CONTROL_TABLE)
        passed = len(report.outcomes) - len(shown)
        say(f"{counted(len(report.counting), 'finding')} of controls; {passed} of {len(report.outcomes)} controls pass")
    elif output is CheckFormat.TABLE:
        found = check_forms.finding_rows(report)
        brief = check_forms.FINDING_TABLE
        show(found, check_forms.FINDING_COLUMNS, OutputFormat.TABLE, table_columns=brief, every=every)
        say(f"{sum(outcome.passed for outcome in report.outcomes)} others pass")
    else:
        write(_text(report, output))
    if output is CheckFormat.GITHUB and os.environ.get("GITHUB_STEP_SUMMARY"):
        _save(Path(os.environ["GITHUB_STEP_SUMMARY"]), _text(report, CheckFormat.MARKDOWN), mode="a")


def _text(report: control_findings.CheckReport, form: CheckFormat) -> str:
    writers: dict[CheckFormat, Callable[[], str]] = {
        CheckFormat.JSON: lambda: write_json(check_forms.report_document(report)),
        CheckFormat.JSONL: lambda: write_jsonl(check_forms.finding_rows(report)),
        CheckFormat.CSV: lambda: write_separated(check_forms.finding_rows(report), check_forms.FINDING_COLUMNS, ","),
        CheckFormat.TSV: lambda: write_separated(check_forms.finding_rows(report), check_forms.FINDING_COLUMNS, "\t"),
        CheckFormat.MARKDOWN: lambda: check_forms.write_summary(report),
        CheckFormat.SARIF: lambda: check_forms.write_sarif(report),
        CheckFormat.OCSF: lambda: check_ocsf.write_ocsf(report),
        CheckFormat.JUNIT: lambda: check_forms.write_junit(report),
        CheckFormat.GITHUB: lambda: check_forms.write_annotations(report),
    }
    return writers[form]()


def _write_baseline(report: control_findings.CheckReport, path: Path) -> None:
    document = workflow.baseline_document(report)
    _save(path, write_json(document))
    say(f"wrote a baseline of {counted(len(document['findings']), 'finding')} to {path}")


def _save(path: Path, text: str, *, mode: str = "w") -> None:
    try:
        with path.open(mode, encoding="utf-8", newline="") as file:
            file.write(text)
    except OSError as error:
        raise InputError(f"cannot write `{path}`: {error.strerror}") from error
