"""`rightsize roles`: compare, expand and convert role definitions in files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from rightsize.cli.command import Common, command
from rightsize.cli.exit_codes import ExitCode
from rightsize.cli.narration import say
from rightsize.cli.options import OutputFormat, VarFiles
from rightsize.cli.output import write
from rightsize.model.errors import UsageError
from rightsize.render import comment
from rightsize.render.deploy.files import ROLE_FORMATS
from rightsize.render.escape import for_shell
from rightsize.workflow import operations as catalogues
from rightsize.workflow import roles as workflow

_FORMS = "a file with a role definition in any form, or `FILE#NAME` if it has several roles"
Catalogue = Annotated[
    Path | None,
    typer.Option(
        "--operations",
        help="Catalogue file: CSV, or output of `az provider operation list`. Default: the store's catalogue.",
    ),
]


@command(rows=True)
def contains(
    big: Annotated[
        str | None, typer.Argument(metavar="[BIG]", help=f"The role that should grant more: {_FORMS}.")
    ] = None,
    small: Annotated[
        str | None, typer.Argument(metavar="[SMALL]", help=f"The role that should grant less: {_FORMS}.")
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            "--pairs",
            help='File of pairs, as JSON lines `{"big", "small"}`, each a file or a list of permission blocks; - reads '
            "stdin.",
        ),
    ] = None,
    big_role: Annotated[str | None, typer.Option("--big-role", help="Name or GUID of the role in BIG.")] = None,
    small_role: Annotated[str | None, typer.Option("--small-role", help="Name or GUID of the role in SMALL.")] = None,
    var_file: VarFiles = None,
    *,
    common: Common,
) -> None:
    """Check that BIG grants everything that SMALL grants, for all possible operations; exit with 3 if it does not.

    The witness is an operation that SMALL grants and BIG does not. A conditional block of BIG counts only where the
    block of SMALL has the same condition. Azure does not say whether `/*/` may stand for `/`: where that alone decides,
    the answer is no, and the witness says so.
    """
    if pairs is not None:
        if big or small or big_role or small_role:
            raise UsageError("`--pairs` takes no BIG or SMALL: each of its lines has both")
        answers = list(workflow.contains_pairs(pairs, var_file or ()))
    elif big is None or small is None:
        raise UsageError("two roles are needed", hint="`rightsize roles contains BIG SMALL`, or `--pairs FILE`")
    else:
        whole = workflow.read_role(big, big_role, variables=var_file or (), must_be_decided=True)
        part = workflow.read_role(small, small_role, variables=var_file or ())
        answers = [workflow.contains_answer(whole.permissions, part.permissions)]
    _show_answers(answers, common, many=pairs is not None)
    if big is not None and small is not None and not (big_role or small_role):
        common.say_next(f"rightsize roles diff {for_shell(big)} {for_shell(small)}")
    elif pairs is None:
        common.say_next("rightsize roles diff A B, with `FILE#NAME` for a role of a file")
    else:
        common.say_next("rightsize roles diff A B, for a pair")
    if not all(answer["contains"] for answer in answers):
        raise typer.Exit(ExitCode.GATE)


@command(rows=True)
def diff(
    one: Annotated[str, typer.Argument(metavar="A", help=f"A role: {_FORMS}.")],
    other: Annotated[str, typer.Argument(metavar="B", help=f"The other role: {_FORMS}.")],
    operations: Catalogue = None,
    var_file: VarFiles = None,
    *,
    common: Common,
) -> None:
    """Show the operations that only A grants, and those that only B grants.

    Witnesses are examples among all possible operations, one for each part that the other role does not grant. With a
    catalogue, its operations that only one role grants are listed too. If an operation depends on the reading, the
    answer holds only if `/*/` may stand for `/`, or only if it may not. `-o markdown` writes a pull request comment
    for the change from A to B.
    """
    catalogue = (
        catalogues.read_operations(operations)
        if operations
        else catalogues.stored_operations(common.db)
        if common.db.exists()
        else None
    )
    old, new = (workflow.read_role(side, variables=var_file or ()) for side in (one, other))
    only_one, only_other = workflow.diff_roles(old.permissions, new.permissions, catalogue)
    document = {"only_a": only_one.document(), "only_b": only_other.document()}
    rows = [
        {
            "only_in": side,
            "operation": item["operation"],
            "plane": item["plane"],
            "from": source,
            "depends_on_reading": item["depends_on_reading"],
        }
        for side, found in (("A", document["only_a"]), ("B", document["only_b"]))
        for source, items in (("witness", found["witnesses"]), ("catalogue", found["operations"] or ()))
        for item in items
    ]
    if common.output is OutputFormat.MARKDOWN:
        write(comment.write_difference(old, new, rows))
    else:
        common.show(rows, ("only_in", "operation", "plane", "from", "depends_on_reading"), document=document)
    if not rows:
        say("both grant the same, for all possible operations")
    elif catalogue is None:
        say("there is no catalogue of operations: `--operations FILE` lists the operations behind the witnesses")
    common.say_next(f"rightsize roles expand {for_shell(other)}")


@command(rows=True)
def expand(
    role: Annotated[str, typer.Argument(metavar="ROLE", help=f"A role: {_FORMS}.")],
    operations: Catalogue = None,
    var_file: VarFiles = None,
    *,
    common: Common,
) -> None:
    """List the operations that a role grants, from the store's catalogue or that of `--operations`.

    An operation is conditional if only blocks with a condition grant it. It depends on the reading if `/*/` has to be
    read in favour of the role: Azure does not say whether `/*/` may stand for `/`.
    """
    rows = workflow.expand_role(
        workflow.read_role(role, variables=var_file or ()),
        catalogues.read_operations(operations) if operations else catalogues.stored_operations(common.db),
    )
    common.show(rows, ("operation", "plane", "conditional", "depends_on_reading"))
    say(f"{len(rows)} operations")
    common.say_next(f"rightsize roles convert {for_shell(role)} --to bicep")


class RoleForm(StrEnum):
    """A form for writing a role definition."""

    _ignore_ = "form"
    for form in ROLE_FORMATS:
        vars()[form.upper()] = form


@command(output=False)
def convert(
    role: Annotated[str, typer.Argument(metavar="ROLE", help=f"A role: {_FORMS}.")],
    to: Annotated[
        RoleForm,
        typer.Option("--to", help="The form: json for Resource Manager, arm for a template with it."),
    ],
    var_file: VarFiles = None,
) -> None:
    """Write a role in another form to stdout; it is an error if the form cannot hold the whole role."""
    found = workflow.read_role(role, variables=var_file or (), must_be_decided=True)
    write(workflow.convert_role(found, to.value))


def _show_answers(answers: list[dict[str, Any]], common: Common, *, many: bool) -> None:
    if common.output in (OutputFormat.JSON, OutputFormat.JSONL):
        common.show(answers, ("contains", "witness"), document=None if many else answers[0])
    else:
        columns: tuple[str, ...] = ("contains", "operation", "plane")
        if not common.is_table:
            columns = (*columns, "depends_on_reading")
        common.show(list(_flat(answers)), columns)
    witnesses = [answer["witness"] for answer in answers if answer["witness"]]
    resting = [witness["operation"] for witness in witnesses if witness["depends_on_reading"]]
    if resting:
        reading = "the answer no depends on the reading: Azure does not say whether `/*/` may stand for `/`"
        say(f"{reading}: {', '.join(resting[:5])}{', …' if len(resting) > 5 else ''}")


def _flat(answers: Iterable[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    for answer in answers:
        witness = answer["witness"] or {"operation": None, "plane": None, "depends_on_reading": None}
        yield {"contains": answer["contains"], **witness}
