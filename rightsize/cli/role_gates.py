"""`rightsize roles no-new-access` and `roles not-granted`: gates for changes of role definitions."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rightsize.cli.command import Common, command
from rightsize.cli.narration import say
from rightsize.cli.options import VarFiles
from rightsize.model.errors import GateError, InputError, UsageError
from rightsize.workflow import role_gates as gates

COLUMNS = ("role", "change", "operation", "plane", "file")
_SHOWN = ("role", "change", "operation", "plane")


class GatePlane(StrEnum):
    """The planes on which operations are looked up."""

    CONTROL = "control"
    DATA = "data"
    BOTH = "both"


@command(rows=True)
def no_new_access(
    places: Annotated[
        list[Path],
        typer.Argument(metavar="OLD NEW", help="Two files or folders; with --since, the files to compare with git."),
    ],
    since: Annotated[str | None, typer.Option("--since", help="Compare the files with this git revision.")] = None,
    allow_new_roles: Annotated[
        bool, typer.Option("--allow-new-roles", help="Accept roles that did not exist before.")
    ] = False,
    var_file: VarFiles = None,
    *,
    common: Common,
) -> None:
    """Check that a change of role definitions grants nothing new; exit with 3 if it does.

    Roles are read from JSON of any form, ARM templates, Bicep (.bicep), Terraform (.tf, .tf.json, .tfstate) or YAML,
    and matched by GUID or name. The answer holds for all possible operations; each witness is an operation that only
    the new role grants. A file or folder without a role, and values that only a deployment knows, end with exit code 5;
    a condition that only a parameter or a deployment decides counts with both sides.
    """
    if since is not None:
        found = gates.no_new_access_since(since, places, allow_new_roles=allow_new_roles, variables=var_file or ())
    elif len(places) == 2:
        old, new = places
        found = gates.no_new_access(old, new, allow_new_roles=allow_new_roles, variables=var_file or ())
    else:
        raise UsageError("two files or folders are needed", hint="OLD NEW, or --since REVISION FILE…")
    _show(found, common)
    if found.rows:
        first = found.rows[0]
        raise GateError(f"role `{first['role']}` {_verb(first['change'])} `{first['operation']}` ({first['plane']})")
    _refuse(found)
    say(f"{found.roles} roles grant no more than before")
    common.say_next("merge the change")


@command(rows=True)
def not_granted(
    role: Annotated[Path, typer.Argument(metavar="ROLE", help="File or folder with role definitions of any form.")],
    operations: Annotated[
        list[str] | None,
        typer.Option("--operation", help="An operation, or a pattern of operations. Repeatable."),
    ] = None,
    plane: Annotated[GatePlane, typer.Option("--plane", help="Plane of the operations.")] = GatePlane.BOTH,
    var_file: VarFiles = None,
    *,
    common: Common,
) -> None:
    """Check that no role in a file or folder grants given operations, with or without a condition.

    The exit code is 3 if one does, and 5 if the file or folder has no role, or one that cannot be read. A condition
    that only a parameter or a deployment decides counts with both sides.
    """
    found = gates.not_granted(role, operations or (), plane.value, variables=var_file or ())
    _show(found, common)
    if found.rows:
        first = found.rows[0]
        raise GateError(f"role `{first['role']}` grants `{first['operation']}` ({first['plane']})")
    _refuse(found)
    say(f"none of {found.roles} roles grants these operations")
    common.say_next("merge the change")


def _verb(change: str) -> str:
    return "is new, and grants" if change == "new role" else "now grants"


def _show(found: gates.Gate, common: Common) -> None:
    if found.rows or not common.is_table:
        common.show(found.rows, COLUMNS, table_columns=_SHOWN)
    for remark in found.remarks:
        say(remark)
    for error in found.refused[1 if not found.rows else 0 :]:
        say(f"not read: {error.message}")


def _refuse(found: gates.Gate) -> None:
    """Raise the error of the first file that cannot be read: what it grants is not known, so the gate stays shut."""
    if found.refused:
        first = found.refused[0]
        raise InputError(f"{first.message}; the roles of all other files pass", hint=first.hint)
