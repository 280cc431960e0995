"""`rightsize needs`: show what a deployment takes, and whether a principal would be refused it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from rightsize.cli.command import Common, command
from rightsize.cli.exit_codes import ExitCode
from rightsize.cli.narration import say
from rightsize.cli.options import OutputFormat
from rightsize.cli.output import show, write
from rightsize.model import file_reading
from rightsize.model.errors import UsageError
from rightsize.model.progress import counted
from rightsize.render import check_forms
from rightsize.render.escape import for_shell
from rightsize.render.rows import write_json
from rightsize.workflow.answers import needs as workflow

_TABLE, _ANSWERS, _ROLES = ("operation", "scope", "resource"), ("allowed", "operation", "scope", "resource"), (
    "role_name", "is_new", "scope", "operations", "beyond",
)  # fmt: skip


class NeedsFormat(StrEnum):
    """The output format of what a deployment takes."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    TSV = "tsv"
    MARKDOWN = "markdown"
    SARIF = "sarif"


@command(rows=True)
def needs(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="ARM template, Bicep, what-if output, or `terraform show -json` of a plan or a state; - is stdin."
        ),
    ],
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="SCOPE", help="Id of the scope that a template is deployed to. Default: unnamed."),
    ] = None,
    parameters: Annotated[
        Path | None, typer.Option("--parameters", help="File with the parameters of a template, as JSON.")
    ] = None,
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="PRINCIPAL", help="Who deploys: exit 3 if it would be refused, 6 if unknown."),
    ] = None,
    role: Annotated[
        str | None,
        typer.Option("--role", metavar="NAME", help="Show the smallest roles instead; NAME is that of a new one."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="With --role: write the new roles to this file, as ARM has them.")
    ] = None,
    output: Annotated[NeedsFormat, typer.Option("-o", "--output", help="How to write the result.")] = NeedsFormat.TABLE,
    *,
    common: Common,
) -> None:
    """Show which operations a deployment takes, and where.

    Nothing is deployed. Each operation has the resource and the rule that ask for it. `--by` says from the store
    whether the principal would be refused, by the same decision as `can`; `-o sarif` and `-o markdown` then have what
    would be. `--role` takes existing roles of the store first. In a scope, a name in braces is one that the code does
    not say.
    """
    if (out is not None and role is None) or (role is not None and by is not None):
        raise UsageError("`--out` goes with `--role`, and `--role` not with `--by`")
    found = workflow.read_needs(files, at=at or "", parameters=parameters)
    if role is not None:
        workflow.add_roles(common.db, found, role)
        _show_roles(found, output, out, every=common.every)
    else:
        workflow.judge_vaults(common.db, found)
        if by is not None:
            workflow.answer_needs(common.db, found, by)
        _show(found, output, by, every=common.every)
    for note in (*found.not_known, *found.notes):
        say(note)
    if by is None and role is None and output is NeedsFormat.TABLE:
        common.say_next(common.with_db(f"rightsize needs {for_shell(str(files[0]))} --by PRINCIPAL"))
    _exit_by(found)


def _exit_by(found: workflow.DeploymentNeeds) -> None:
    """End with 3 where something would certainly be refused, else with 6 where it is not known."""
    missing, undecided = len(found.missing), len(found.undecided)
    total = counted(len(found.needs), "operation")
    if found.answer == "refused":
        say(f"the deployment would be refused: {missing:,} of {total} are not allowed")
        raise typer.Exit(ExitCode.GATE)
    if found.answer == "unknown":
        say(f"of {undecided:,} of {total} it is not known whether they are allowed")
        raise typer.Exit(ExitCode.EVIDENCE)
    if found.answer == "allowed":
        say(f"all {total} are allowed")


def _show(found: workflow.DeploymentNeeds, output: NeedsFormat, by: str | None, *, every: bool) -> None:
    rows: list[dict[str, Any]] = found.rows()
    if output is NeedsFormat.SARIF:
        if by is None:
            raise UsageError("`-o sarif` has what would be refused: name who deploys", hint="`--by PRINCIPAL`")
        write(check_forms.needs_sarif(found.missing, found.undecided))
    elif output is NeedsFormat.MARKDOWN:
        write(check_forms.write_comment(by, rows, found.missing, found.undecided, [*found.not_known, *found.notes]))
    elif output is NeedsFormat.TABLE and by is not None:
        show([*found.missing, *found.undecided], _ANSWERS, OutputFormat.TABLE, below="rule", every=every)
    else:
        columns = check_forms.NEED_COLUMNS if by is None else check_forms.ANSWER_COLUMNS
        show(rows, columns, OutputFormat(output.value), table_columns=_TABLE, every=every)


def _show_roles(found: workflow.DeploymentNeeds, output: NeedsFormat, out: Path | None, *, every: bool) -> None:
    if output is NeedsFormat.SARIF:
        raise UsageError("roles have no format `sarif`")
    roles = found.roles or []
    made = workflow.new_roles(roles)
    if out is not None:
        file_reading.write_text(out, write_json(made[0] if len(made) == 1 else made))
        say(f"wrote {counted(len(made), 'new role')} to {out}")
    document = {"roles": made, "assignments": workflow.role_rows(roles)}
    show(workflow.role_rows(roles), _ROLES, OutputFormat(output.value), document=document, every=every)
