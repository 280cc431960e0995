"""`rightsize roles no-new-access` and `roles not-granted`: gates for changes of role definitions."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rightsize.cli.narration import say, set_verbosity
from rightsize.cli.options import NoInput, Output, OutputFormat, Quiet, Verbose
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
    since: Annotated[
        str | None, typer.Option("--since", help="Compare files with what they were at this revision.")
    ] = None,
    allow_new_roles: Annotated[
        bool, typer.Option("--allow-new-roles", help="Let a role that was not there before grant something.")
    ] = False,
    output: Output = OutputFormat.TABLE,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; this one never asks
) -> None:
    """Ask whether a change of role definitions grants anything that was not granted before; exit 3 when it does.

    Roles stand in JSON of any form, in ARM templates, Bicep (.bicep) or Terraform (.tf, .tf.json); a role is the same
    by its GUID or its name. The answer holds for all operations there can be; each witness is one that only the new
    role grants. What a template leaves to its deployment cannot be judged, and is exit code 5.
    """
    from rightsize.workflow import role_gates as gates  # noqa: PLC0415

    set_verbosity(verbose, quiet)
    if since is not None:
        found = gates.no_new_access_since(since, places, allow_new_roles=allow_new_roles)
    elif len(places) == 2:
        found = gates.no_new_access(places[0], places[1], allow_new_roles=allow_new_roles)
    else:
        raise UsageError("two files or folders are compared", hint="OLD NEW, or --since REVISION FILE…")
    _show(found, output)
    if found.rows:
        first = found.rows[0]
        raise GateError(f"role `{first['role']}` {_verb(first['change'])} `{first['operation']}` ({first['plane']})")
    say(f"{found.roles} roles grant no more than before")


def not_granted(
    role: Annotated[Path, typer.Argument(metavar="ROLE", help="File or folder with role definitions of any form.")],
    operations: Annotated[
        list[str] | None,
        typer.Option("--operation", help="An operation, or a pattern of operations; as often as needed."),
    ] = None,
    plane: Annotated[GatePlane, typer.Option("--plane", help="Where it is looked for.")] = GatePlane.BOTH,
    output: Output = OutputFormat.TABLE,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; this one never asks
) -> None:
    """Ask whether no role of a file or folder grants some operations; exit 3 when one does, conditions or not."""
    from rightsize.workflow import role_gates as gates  # noqa: PLC0415

    set_verbosity(verbose, quiet)
    found = gates.not_granted(role, operations or (), plane.value)
    _show(found, output)
    if found.rows:
        first = found.rows[0]
        raise GateError(f"role `{first['role']}` grants `{first['operation']}` ({first['plane']})")
    say(f"{found.roles} roles grant none of it")


def _verb(change: str) -> str:
    return "is new, and grants" if change == "new role" else "now grants"


def _show(found: Gate, output: OutputFormat) -> None:
    if found.rows or output is not OutputFormat.TABLE:
        show(found.rows, COLUMNS, output, table_columns=_SHOWN)
    for remark in found.remarks:
        say(remark)
