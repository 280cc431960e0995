"""`rightsize roles`: compare, expand and convert role definitions in files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from rightsize.cli.exit_codes import ExitCode
from rightsize.cli.narration import say, say_next, set_verbosity
from rightsize.cli.options import DEFAULT_DB, AllRows, Db, NoInput, Output, OutputFormat, Quiet, Verbose
from rightsize.cli.output import show, write
from rightsize.model.errors import UsageError
from rightsize.render.deploy.files import ROLE_FORMATS

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

_FORMS = "a file with a role definition in any form, or `FILE#NAME` if it has several roles"
Catalogue = Annotated[
    Path | None,
    typer.Option(
        "--operations",
        help="Catalogue file: CSV, or output of `az provider operation list`. Default: the store's catalogue.",
    ),
]


@app.callback()
def roles() -> None:
    """Compare, expand and convert role definitions in files, for all possible operations."""


@app.command("contains")
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
    db: Db = DEFAULT_DB,  # noqa: ARG001  every command takes it; files need no store
    every: AllRows = False,
    output: Output = OutputFormat.TABLE,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; this one never asks
) -> None:
    """Check that BIG grants everything that SMALL grants, for all possible operations; exit with 3 if it does not.

    The witness is an operation that SMALL grants and BIG does not. A conditional block of BIG counts only where the
    block of SMALL has the same condition. Azure does not say whether `/*/` may stand for `/`: where that alone decides,
    the answer is no, and the witness says so.
    """
    from rightsize.render.escape import for_shell  # noqa: PLC0415
    from rightsize.workflow.roles import contains_answer, contains_pairs, read_role  # noqa: PLC0415

    set_verbosity(verbose, quiet)
    if pairs is not None:
        if big or small or big_role or small_role:
            raise UsageError("`--pairs` takes no BIG or SMALL: each of its lines has both")
        answers = list(contains_pairs(pairs))
    elif big is None or small is None:
        raise UsageError("two roles are needed", hint="`rightsize roles contains BIG SMALL`, or `--pairs FILE`")
    else:
        answers = [contains_answer(read_role(big, big_role).permissions, read_role(small, small_role).permissions)]
    _show_answers(answers, output, many=pairs is not None, every=every)
    if big is not None and small is not None and not (big_role or small_role):
        say_next(f"rightsize roles diff {for_shell(big)} {for_shell(small)}", output=output)
    elif pairs is None:
        say_next("rightsize roles diff A B, with `FILE#NAME` for a role of a file", output=output)
    else:
        say_next("rightsize roles diff A B, for a pair", output=output)
    if not all(answer["contains"] for answer in answers):
        raise typer.Exit(ExitCode.GATE)


@app.command("diff")
def diff(
    one: Annotated[str, typer.Argument(metavar="A", help=f"A role: {_FORMS}.")],
    other: Annotated[str, typer.Argument(metavar="B", help=f"The other role: {_FORMS}.")],
    operations: Catalogue = None,
    db: Db = DEFAULT_DB,
    every: AllRows = False,
    output: Output = OutputFormat.TABLE,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; this one never asks
) -> None:
    """Show the operations that only A grants, and those that only B grants.

    Witnesses are examples among all possible operations, one for each part that the other role does not grant. With a
    catalogue, its operations that only one role grants are listed too. If an operation depends on the reading, the
    answer holds only if `/*/` may stand for `/`, or only if it may not. `-o markdown` writes a pull request comment
    for the change from A to B.
    """
    from rightsize.render.comment import write_difference  # noqa: PLC0415
    from rightsize.render.escape import for_shell  # noqa: PLC0415
    from rightsize.workflow.operations import read_operations, stored_operations  # noqa: PLC0415
    from rightsize.workflow.roles import diff_roles, read_role  # noqa: PLC0415

    set_verbosity(verbose, quiet)
    catalogue = read_operations(operations) if operations else stored_operations(db) if db.exists() else None
    old, new = read_role(one), read_role(other)
    only_one, only_other = diff_roles(old.permissions, new.permissions, catalogue)
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
    if output is OutputFormat.MARKDOWN:
        write(write_difference(old, new, rows))
    else:
        show(
            rows,
            ("only_in", "operation", "plane", "from", "depends_on_reading"),
            output,
            document=document,
            every=every,
        )
    if not rows:
        say("both grant the same, for all possible operations")
    elif catalogue is None:
        say("there is no catalogue of operations: `--operations FILE` lists the operations behind the witnesses")
    say_next(f"rightsize roles expand {for_shell(other)}", output=output)


@app.command("expand")
def expand(
    role: Annotated[str, typer.Argument(metavar="ROLE", help=f"A role: {_FORMS}.")],
    operations: Catalogue = None,
    db: Db = DEFAULT_DB,
    every: AllRows = False,
    output: Output = OutputFormat.TABLE,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; this one never asks
) -> None:
    """List the operations that a role grants, from the store's catalogue or that of `--operations`.

    An operation is conditional if only blocks with a condition grant it. It depends on the reading if `/*/` has to be
    read in favour of the role: Azure does not say whether `/*/` may stand for `/`.
    """
    from rightsize.render.escape import for_shell  # noqa: PLC0415
    from rightsize.workflow.operations import read_operations, stored_operations  # noqa: PLC0415
    from rightsize.workflow.roles import expand_role, read_role  # noqa: PLC0415

    set_verbosity(verbose, quiet)
    rows = expand_role(read_role(role), read_operations(operations) if operations else stored_operations(db))
    show(rows, ("operation", "plane", "conditional", "depends_on_reading"), output, every=every)
    say(f"{len(rows)} operations")
    say_next(f"rightsize roles convert {for_shell(role)} --to bicep", output=output)


class RoleForm(StrEnum):
    """A form for writing a role definition."""

    _ignore_ = "form"
    for form in ROLE_FORMATS:
        vars()[form.upper()] = form


@app.command("convert")
def convert(
    role: Annotated[str, typer.Argument(metavar="ROLE", help=f"A role: {_FORMS}.")],
    to: Annotated[
        RoleForm,
        typer.Option("--to", help="The form: json for Resource Manager, arm for a template with it."),
    ],
    db: Db = DEFAULT_DB,  # noqa: ARG001  every command takes it; files need no store
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; this one never asks
) -> None:
    """Write a role in another form to stdout; it is an error if the form cannot hold the whole role."""
    from rightsize.workflow.roles import convert_role, read_role  # noqa: PLC0415

    set_verbosity(verbose, quiet)
    write(convert_role(read_role(role), to.value))


def _show_answers(answers: list[dict[str, Any]], output: OutputFormat, *, many: bool, every: bool) -> None:
    if output in (OutputFormat.JSON, OutputFormat.JSONL):
        show(answers, ("contains", "witness"), output, document=None if many else answers[0])
    else:
        columns: tuple[str, ...] = ("contains", "operation", "plane")
        if output is not OutputFormat.TABLE:
            columns = (*columns, "depends_on_reading")
        show(list(_flat(answers)), columns, output, every=every)
    witnesses = [answer["witness"] for answer in answers if answer["witness"]]
    resting = [witness["operation"] for witness in witnesses if witness["depends_on_reading"]]
    if resting:
        reading = "the answer no depends on the reading: Azure does not say whether `/*/` may stand for `/`"
        say(f"{reading}: {', '.join(resting[:5])}{', …' if len(resting) > 5 else ''}")


def _flat(answers: Iterable[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    for answer in answers:
        witness = answer["witness"] or {"operation": None, "plane": None, "depends_on_reading": None}
        yield {"contains": answer["contains"], **witness}
