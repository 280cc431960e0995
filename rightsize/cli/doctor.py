"""`rightsize doctor`: list the sources that a collection could not read, and the rights to ask for."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from rightsize.cli.collect import SourceOptions
from rightsize.cli.command import Common, command
from rightsize.cli.exit_codes import ExitCode
from rightsize.cli.narration import say
from rightsize.model.errors import UsageError
from rightsize.model.times import read_instant
from rightsize.workflow import doctor as workflow

_COLUMNS = ("source", "title", "reach", "scopes", "readable", "permission", "role", "at", "reason")
_SHORT = ("source", "reach", "scopes", "readable", "role")


@command()
def doctor(
    *,
    sources: SourceOptions,
    until: Annotated[
        datetime | None,
        typer.Option(
            "--until",
            parser=read_instant,
            metavar="TIME",
            help="End of the one day of logs that is tried, in UTC. Default: now.",
        ),
    ] = None,
    role_out: Annotated[
        Path | None,
        typer.Option("--role-out", help="Write a custom role with exactly the rights that `collect` needs here."),
    ] = None,
    rollout_role: Annotated[
        Path | None,
        typer.Option("--rollout-role", help="Write a custom role with exactly the rights that `rollout apply` needs."),
    ] = None,
    with_pim: Annotated[
        bool,
        typer.Option(
            "--with-pim", help="Let that role also change eligible and time-bound assignments and their rules."
        ),
    ] = False,
    common: Common,
) -> None:
    """Sign in, try each source once, and list the sources that `collect` could not read and the missing rights.

    Exit code 4 means that access to a source is refused. Nothing is written to the tenant.
    """
    if with_pim and rollout_role is None:
        raise UsageError("`--with-pim` needs `--rollout-role`", hint="add --rollout-role FILE")
    found = workflow.examine(
        **sources.arguments(),
        until=until.replace(tzinfo=UTC) if until else None,
        with_pim=with_pim,
        may_ask=not common.no_input,
    )
    named = found.who.name or found.who.principal_id
    say(f"signed in by {found.who.credential}" + (f" as {named}" if named else ""))
    for role in found.roles:
        say(f"ask for the role: {role}")
    for permission in found.permissions:
        say(f"ask for the Graph permission: {permission}")
    if role_out is not None:
        workflow.write_role(found.role, role_out)
        say(f"wrote a custom role to {role_out}")
    if rollout_role is not None:
        workflow.write_role(found.rollout_role, rollout_role)
        say(f"wrote a custom role to {rollout_role}: assign it to a principal that does nothing else")
    rows = [{**asdict(row), "at": ", ".join(row.at)} for row in found.rows]
    if common.is_table and not common.verbose:
        common.show([row for row in rows if row["reach"] != "readable"] or rows, _SHORT)
    else:
        common.show(rows, _COLUMNS)
    if any(row["reach"] == "refused" for row in rows):
        common.say_next("ask for what is missing, then `rightsize doctor` again")
        raise typer.Exit(ExitCode.ACCESS)
    common.say_next("rightsize collect, with the same options")
