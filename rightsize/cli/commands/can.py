"""Commands that ask what access suffices for: can, who-can, and needs, which asks it of a deployment."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from rightsize.cli.command import Common, command
from rightsize.cli.exit_codes import ExitCode
from rightsize.cli.layout import terminal_width, wrapped
from rightsize.cli.narration import say
from rightsize.cli.options import OutputFormat
from rightsize.cli.output import first_rows, show, write
from rightsize.model import file_reading
from rightsize.model.errors import InputError, UsageError
from rightsize.model.progress import counted
from rightsize.model.times import read_instant
from rightsize.render import check_forms
from rightsize.render.escape import for_shell, for_terminal
from rightsize.render.rows import write_json
from rightsize.workflow import tenant_access
from rightsize.workflow.answers import access as workflow
from rightsize.workflow.answers import needs as deployment

CAN_COLUMNS = (
    "principal_id", "operation", "scope", "plane", "allowed", "because", "denied_by", "depends_on_reading", "unknown",
    "lacks",
)  # fmt: skip
WHO_COLUMNS = ("principal_id", "principal_type", "name", *CAN_COLUMNS[1:])
UNKNOWN = "unknown"


_SCOPE = "Scope: a resource id, /, or a loaded scope as tables print it, such as Production/rg-web."


class AskedPlane(StrEnum):
    """The planes that Azure RBAC decides."""

    CONTROL = "control"
    DATA = "data"


Plane = Annotated[
    AskedPlane | None,
    typer.Option("--plane", help="Plane of the operation, if the catalogue does not know it."),
]
AsOf = Annotated[
    dt.datetime | None,
    typer.Option(
        "--as-of",
        parser=read_instant,
        metavar="TIME",
        help="A day or time in UTC: assignments that had ended or not begun do not count. Default: all count.",
    ),
]


@command(rows=True)
def can(
    principal: Annotated[
        str | None,
        typer.Argument(
            metavar="[PRINCIPAL]", help="Object id, UPN, application id or display name, or a beginning that is unique."
        ),
    ] = None,
    operation: Annotated[
        str | None, typer.Argument(help="For example Microsoft.Compute/virtualMachines/write.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="SCOPE", help=_SCOPE),
    ] = None,
    batch: Annotated[
        Path | None,
        typer.Option(
            "--batch",
            help='File of questions, as JSON lines `{"principal_id", "operation", "scope"}`; - reads stdin. Exit 5 if '
            "a line names what nothing loaded knows: its answer is `unknown`.",
        ),
    ] = None,
    plane: Plane = None,
    as_of: AsOf = None,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit 3 when an answer is no, else 6 when one is unknown.")
    ] = False,
    *,
    common: Common,
) -> None:
    """Show whether a principal may perform an operation, and why.

    The assignments that decide it stand beside the answer. The answer is yes, no, eligible (after a PIM activation) or
    conditional (where a condition holds). It is unknown where no assignment allows it and a listing is not complete
    that may have one: the listing and the command for it stand beside it. It is unknown, too, where roles decide
    nothing, as in a vault with access policies. In a batch it is also unknown where nothing loaded knows the principal,
    operation or subscription.
    """
    if batch is not None:
        if principal or operation or at:
            raise UsageError("`--batch` takes no PRINCIPAL, OPERATION or `--at`: each of its lines has all three")
        questions = workflow.read_questions(batch, plane)
    elif principal is None or operation is None or at is None:
        raise UsageError(
            "a principal, an operation and a scope are needed", hint="`rightsize can PRINCIPAL OPERATION --at SCOPE`"
        )
    else:
        questions = [tenant_access.AccessQuestion(principal, operation, at, plane)]
    answers = workflow.can(common.db, questions, as_of=as_of, strict=batch is None)
    _show(answers, CAN_COLUMNS, common, document=answers.rows[0] if batch is None else None)
    for note in answers.notes:
        say(note)
    if answers.misnamed:
        raise InputError(
            f"{answers.misnamed:,} of {counted(len(answers.rows), 'question')} cannot be answered: a name in it "
            "is not known, or is that of several",
            hint="the others are answered; rows that are `unknown` have the nearest names",
        )
    _say_next(answers, common)
    if exit_code:
        _exit_by(
            answers,
            is_no=any(row["allowed"] == "no" for row in answers.rows),
            is_unknown=any(row["allowed"] == UNKNOWN for row in answers.rows),
        )


@command(rows=True)
def who_can(
    operation: Annotated[
        str, typer.Argument(metavar="OPERATION", help="For example Microsoft.Compute/virtualMachines/write.")
    ],
    at: Annotated[str, typer.Option("--at", metavar="SCOPE", help=_SCOPE)],
    plane: Plane = None,
    as_of: AsOf = None,
    exit_code: Annotated[
        bool,
        typer.Option("--exit-code", help="Exit 3 when nobody can, else 6 when it is not known who can."),
    ] = False,
    *,
    common: Common,
) -> None:
    """List the principals that may perform an operation, and why.

    The assignments that decide it stand beside each. Groups are listed beside their members. Where a listing is not
    complete that may have others, the last row is unknown, without a principal: it names the listing and the command
    for it.
    """
    answers = workflow.who_can(common.db, operation, at, plane=plane, as_of=as_of)
    _show(answers, WHO_COLUMNS, common)
    if not answers.rows:
        say("no loaded assignment allows this operation there")
    for note in answers.notes:
        say(note)
    _say_next(answers, common)
    if exit_code:
        is_unknown = any(row["allowed"] == UNKNOWN for row in answers.rows)
        _exit_by(answers, is_no=not answers.rows, is_unknown=is_unknown)


def _exit_by(answers: workflow.Answers, *, is_no: bool, is_unknown: bool) -> None:
    """End with 3 where an answer is a certain no, else with 6 where one is unknown."""
    if is_no:
        raise typer.Exit(ExitCode.GATE)
    if is_unknown or answers.lacks:
        raise typer.Exit(ExitCode.EVIDENCE)


def _say_next(answers: workflow.Answers, common: Common) -> None:
    """Say the next step: to look at the first principal of the answers, or at all access where there is none."""
    who = next((row["principal_id"] for row in answers.rows if row["principal_id"]), None)
    step = "rightsize analyze" if who is None else f"rightsize explain {for_shell(who)}"
    common.say_next(common.with_db(step))


def _show(
    answers: workflow.Answers, columns: tuple[str, ...], common: Common, *, document: Mapping[str, Any] | None = None
) -> None:
    if common.is_table:
        write("".join(_lines(answers, every=common.every)))
    else:
        common.show(answers.rows, columns, document=document)


def _lines(answers: workflow.Answers, *, every: bool) -> Iterator[str]:
    """Yield the answers as text, each with the chain behind it; every line is escaped."""
    shown, rest = first_rows(answers.rows, every=every)
    width = terminal_width()
    for row in shown:
        for line in map(for_terminal, _text(row, answers.names)):
            margin = " " * (len(line) - len(line.lstrip()))
            yield from (f"{part}\n" for part in wrapped(line.lstrip(), width, indent=margin, hanging=f"{margin}    "))
    if rest:
        yield f"{rest}\n"


def _text(row: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[str]:
    who = "others" if row["principal_id"] is None else _called(row["principal_id"], names)
    yield f"{row['allowed']:<12} {who}"
    plane = f" ({row['plane']})" if row["plane"] else ""
    yield f"  {row['operation']}{plane} at {row['scope']}"
    if row["allowed"] == UNKNOWN:
        yield f"  {row['unknown']}"
        return
    if row["depends_on_reading"]:
        yield "  if `/*/` is read in favour of access: Azure does not say whether it may stand for `/`"
    for reason in row["because"]:
        yield f"  by {reason['role_name'] or 'a role without a name'} at {reason['scope']}"
        if "/accesspolicies/" not in reason["role_assignment_id"]:
            yield f"     {reason['state']} assignment {reason['role_assignment_id']}"
        if reason["via"]:
            yield f"     via {' > '.join(_called(group, names) for group in reason['via'])}"
        if reason["condition"]:
            yield f"     where {reason['condition']}"
    for deny in row["denied_by"]:
        yield f"  {'denied' if row['allowed'] == 'no' else 'perhaps denied'} by deny assignment {deny}"
    if row["allowed"] == "no" and not row["denied_by"]:
        yield "  no loaded assignment allows it"


def _called(principal_id: str, names: Mapping[str, str]) -> str:
    name = names.get(principal_id)
    return f"{name} ({principal_id})" if name else principal_id


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
    found = deployment.read_needs(files, at=at or "", parameters=parameters)
    if role is not None:
        deployment.add_roles(common.db, found, role)
        _show_roles(found, output, out, every=common.every)
    else:
        deployment.judge_vaults(common.db, found)
        if by is not None:
            deployment.answer_needs(common.db, found, by)
        _show_needs(found, output, by, every=common.every)
    for note in (*found.not_known, *found.notes):
        say(note)
    if by is None and role is None and output is NeedsFormat.TABLE:
        common.say_next(common.with_db(f"rightsize needs {for_shell(str(files[0]))} --by PRINCIPAL"))
    _exit_by_needs(found)


def _exit_by_needs(found: deployment.DeploymentNeeds) -> None:
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


def _show_needs(found: deployment.DeploymentNeeds, output: NeedsFormat, by: str | None, *, every: bool) -> None:
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


def _show_roles(found: deployment.DeploymentNeeds, output: NeedsFormat, out: Path | None, *, every: bool) -> None:
    if output is NeedsFormat.SARIF:
        raise UsageError("roles have no format `sarif`")
    roles = found.roles or []
    made = deployment.new_roles(roles)
    if out is not None:
        file_reading.write_text(out, write_json(made[0] if len(made) == 1 else made))
        say(f"wrote {counted(len(made), 'new role')} to {out}")
    document = {"roles": made, "assignments": deployment.role_rows(roles)}
    show(deployment.role_rows(roles), _ROLES, OutputFormat(output.value), document=document, every=every)
