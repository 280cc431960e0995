"""`rightsize contain`: write the smallest plan that stops a suspected principal; send nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from rightsize.cli.command import Common, command
from rightsize.cli.narration import say
from rightsize.cli.options import EmergencyAccess, WholeWindow
from rightsize.cli.reach import reach_text
from rightsize.model.errors import UsageError
from rightsize.model.times import read_instant
from rightsize.render import left_behind, summary
from rightsize.render.escape import for_shell
from rightsize.workflow import contain as workflow

_COLUMNS = ("role_assignment_id", "kind", "role", "scope", "why", "assignments")
_BRIEF = ("kind", "role", "at", "why", "assignments")
_STEPS = {"today": "today", "after": "after the plan", "and_options": "after the plan and all requests"}


@command(rows=True)
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
    *,
    common: Common,
) -> None:
    """Write a plan with the smallest change that stops a suspected principal and the access it could gain next.

    An agent identity is contained with its user account, the principal of an agent blueprint with all its agents.

    The plan changes assignments that suspect calls used and assignments that lead to more access. Access that the
    principal needed outside the suspect time stays. `verify` and `rollout` take the plan like any other. Requests that
    block its sign-in, end its sessions or remove it from groups are written beside the plan, each with its reversal;
    nothing sends them.
    """
    result = workflow.contain_principal(
        common.db,
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
    if common.is_table:
        rows = [
            row
            | {"kind": row["kind"].replace("_", " "), "why": ", ".join(row["why"]).replace("_", " ")}
            | {"at": summary.short_scope(row["scope"], places)}
            for row in rows
        ]
    common.show(rows, _COLUMNS, document=document, table_columns=_BRIEF)
    _tell(result, dwell)
    _tell_agents(result)
    for line in left_behind.left_behind_lines(document["left_behind"], places, common.with_db):
        say(line)
    common.say_next(common.with_db(f"rightsize verify {for_shell(str(result.out))}"))


def _tell_agents(result: workflow.ContainResult) -> None:
    group, named = result.agents, result.names
    if group.kind == "agent":
        say(f"other agents of its blueprint that keep working: {len(group.siblings) or 'none known'}")
    elif group.kind:
        say(f"the requests stop all of the blueprint: {', '.join(named.get(one, one) for one in group.members[1:])}")


def _suspicion(since: datetime | None, until: datetime | None, reason: str, owner: str) -> workflow.Suspicion | None:
    if since is None:
        if until is not None:
            raise UsageError("`--until` needs `--since`")
        return None
    return workflow.Suspicion(since, until, reason, owner)


def _tell(result: workflow.ContainResult, dwell: timedelta | None) -> None:
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
        say(f"the plan was ready {workflow.span_told(dwell)} after the first suspect record")
    say(f"wrote the plan to {result.out} in {result.seconds:.1f} s")
