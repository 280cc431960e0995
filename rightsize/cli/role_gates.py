"""`rightsize roles no-new-access` and `roles not-granted`: gates for changes of role definitions."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rightsize.cli.narration import say, say_next, set_verbosity
from rightsize.cli.options import AllRows, NoInput, Output, OutputFormat, Quiet, Verbose
from rightsize.cli.output import show
from rightsize.model.errors import GateError, UsageError

if TYPE_CHECKING:
    from rightsize.workflow.role_gates import Gate

COLUMNS = ("role", "change", "operation", "plane", "file")
_SHOWN = ("role", "change", "operation", "plane")


class GatePlane(StrEnum):
    """The planes on which operations are looked up."""

    CONTROL = "control"
    DATA = "data"
    BOTH = "both"


def no_new_access(
    places: Annotated[
        list[Path],
        typer.Argument(metavar="OLD NEW", help="Two files or folders; with --since, the files to compare with git."),
    ],
    since: Annotated[str | None, typer.Option("--since", help="Compare the files with this git revision.")] = None,
    allow_new_roles: Annotated[
        bool, typer.Option("--allow-new-roles", help="Accept roles that did not exist before.")
    ] = False,
    every: AllRows = False,
    output: Output = OutputFormat.TABLE,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; this one never asks
) -> None:
    """Check that a change of role definitions grants nothing new; exit with 3 if it does.

    Roles are read from JSON of any form, ARM templates, Bicep (.bicep) or Terraform (.tf, .tf.json), and matched by
    GUID or name. The answer holds for all possible operations; each witness is an operation that only the new role
    grants. Values that are only known at deployment cannot be judged: exit code 5.
    """
    from rightsize.workflow import role_gates as gates  # noqa: PLC0415

    set_verbosity(verbose, quiet)
    if since is not None:
        found = gates.no_new_access_since(since, places, allow_new_roles=allow_new_roles)
    elif len(places) == 2:
        found = gates.no_new_access(places[0], places[1], allow_new_roles=allow_new_roles)
    else:
        raise UsageError("two files or folders are needed", hint="OLD NEW, or --since REVISION FILE…")
    _show(found, output, every=every)
    if found.rows:
        first = found.rows[0]
        raise GateError(f"role `{first['role']}` {_verb(first['change'])} `{first['operation']}` ({first['plane']})")
    say(f"{found.roles} roles grant no more than before")
    say_next("merge the change", output=output)


def not_granted(
    role: Annotated[Path, typer.Argument(metavar="ROLE", help="File or folder with role definitions of any form.")],
    operations: Annotated[
        list[str] | None,
        typer.Option("--operation", help="An operation, or a pattern of operations. Repeatable."),
    ] = None,
    plane: Annotated[GatePlane, typer.Option("--plane", help="Plane of the operations.")] = GatePlane.BOTH,
    every: AllRows = False,
    output: Output = OutputFormat.TABLE,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; this one never asks
) -> None:
    """Check that no role in a file or folder grants given operations, with or without a condition.

    The exit code is 3 if one does.
    """
    from rightsize.workflow import role_gates as gates  # noqa: PLC0415

    set_verbosity(verbose, quiet)
    found = gates.not_granted(role, operations or (), plane.value)
    _show(found, output, every=every)
    if found.rows:
        first = found.rows[0]
        raise GateError(f"role `{first['role']}` grants `{first['operation']}` ({first['plane']})")
    say(f"none of {found.roles} roles grants these operations")
    say_next("merge the change", output=output)


def _verb(change: str) -> str:
    return "is new, and grants" if change == "new role" else "now grants"


def _show(found: Gate, output: OutputFormat, *, every: bool) -> None:
    if found.rows or output is not OutputFormat.TABLE:
        show(found.rows, COLUMNS, output, table_columns=_SHOWN, every=every)
    for remark in found.remarks:
        say(remark)
