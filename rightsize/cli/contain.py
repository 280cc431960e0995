"""`rightsize contain`: write the smallest plan that stops a suspected principal; send nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rightsize.cli.narration import say, say_next, set_verbosity
from rightsize.cli.options import (
    DEFAULT_DB,
    AllRows,
    Db,
    EmergencyAccess,
    NoInput,
    Output,
    OutputFormat,
    Quiet,
    Verbose,
    WholeWindow,
    with_db,
)
from rightsize.cli.output import show
from rightsize.model.errors import UsageError
from rightsize.model.times import read_instant

if TYPE_CHECKING:
    from rightsize.workflow.contain import ContainResult, Suspicion

_COLUMNS = ("role_assignment_id", "kind", "role", "scope", "why", "assignments")
_BRIEF = ("kind", "role", "at", "why", "assignments")
_STEPS = {"today": "today", "after": "after the plan", "and_options": "after the plan and all requests"}


def contain(
    principal: Annotated[str, typer.Argument(help="Id, UPN, application id or name of the suspected principal.")],
    out: Annotated[Path, typer.Option("--out", help="The plan folder.")] = Path("reports/containment"),
    since: Annotated[
        datetime | None,
        typer.Option(
            "--since",
            parser=read_instant,
            metavar="TIME",
            help="Time in UTC from which its calls count as an attacker's; stored as a decision.",
        ),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option("--until", parser=read_instant, metavar="TIME", help="End of this time. Default: newest record."),
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Reason of the decision.")] = "containment",
    owner: Annotated[str, typer.Option("--owner", help="Who is responsible for the decision.")] = "whoever ran contain",
    emergency_account: EmergencyAccess = None,
    min_window: WholeWindow = 90,
    db: Db = DEFAULT_DB,
    every: AllRows = False,
    output: Output = OutputFormat.TABLE,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; this one never asks
) -> None:
    """Write a plan with the smallest change that stops a suspected principal and the access it could gain next.

    The plan changes assignments that suspect calls used and assignments that lead to more access. Access that the
    principal needed outside the suspect time stays. `verify` and `rollout` take the plan like any other. Requests that
    block its sign-in, end its sessions or remove it from groups are written beside the plan, each with its reversal;
    nothing sends them.
    """
    from rightsize.render.escape import for_shell  # noqa: PLC0415
    from rightsize.render.summary import short_scope  # noqa: PLC0415
    from rightsize.workflow.contain import contain_principal  # noqa: PLC0415

    set_verbosity(verbose, quiet)
    result = contain_principal(
        db,
        principal,
        out,
        suspicion=_suspicion(since, until, reason, owner),
        emergency=emergency_account or (),
        min_window=min_window,
    )
    dwell = result.dwell(datetime.now(UTC).replace(tzinfo=None))
    document = result.document() | {"dwell_seconds": None if dwell is None else int(dwell.total_seconds())}
    places = result.containment.plan.names
    rows = document["changes"]
    if output is OutputFormat.TABLE:
        rows = [
            row
            | {"kind": row["kind"].replace("_", " "), "why": ", ".join(row["why"]).replace("_", " ")}
            | {"at": short_scope(row["scope"], places)}
            for row in rows
        ]
    show(rows, _COLUMNS, output, document=document, table_columns=_BRIEF, every=every)
    _tell(result, dwell)
    say_next(with_db(f"rightsize verify {for_shell(str(result.out))}", db), output=output)


def _suspicion(since: datetime | None, until: datetime | None, reason: str, owner: str) -> Suspicion | None:
    from rightsize.workflow.contain import Suspicion  # noqa: PLC0415

    if since is None:
        if until is not None:
            raise UsageError("`--until` needs `--since`")
        return None
    return Suspicion(since, until, reason, owner)


def _tell(result: ContainResult, dwell: timedelta | None) -> None:
    from rightsize.cli.reach import reach_text  # noqa: PLC0415
    from rightsize.workflow.contain import span_told  # noqa: PLC0415

    if result.first_suspect is None:
        say("none of its calls is suspect, so all of them count as need: `--since` sets the start of the suspect time")
    else:
        say(f"{result.suspect} suspect calls since {result.first_suspect:%Y-%m-%d %H:%M} UTC do not count as need")
    if result.fitting_days is not None:
        say(
            f"the logs fit a window of {result.fitting_days} days, which is shorter: what they do not cover counts as "
            f"unknown, so it stays; `--min-window {result.fitting_days}` takes it as unused"
        )
    for name, counts in result.reach.items():
        say(f"reach {_STEPS[name]}: {reach_text(counts)}")
    for key, why in result.containment.stays.items():
        say(f"{key[0]} stays: {why}")
    if result.options:
        say(f"wrote {len(result.options)} requests for people to {result.out / 'containment.md'}; nothing sends them")
    if dwell is not None:
        say(f"the plan was ready {span_told(dwell)} after the first suspect record")
    say(f"wrote the plan to {result.out} in {result.seconds:.1f} s")
