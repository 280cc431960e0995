"""Commands for incidents: contain, signals.

`rightsize contain`: write the smallest plan that stops a suspected principal; send nothing.

`rightsize signals`: list alerts, risk and odd days, and the calls that they hold in quarantine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from rightsize.cli.command import Common, command
from rightsize.cli.narration import say, say_place
from rightsize.cli.options import EmergencyAccess, WholeWindow
from rightsize.cli.output import short_name
from rightsize.guard import contain as contain_workflow
from rightsize.model.errors import UsageError
from rightsize.model.progress import counted
from rightsize.model.times import read_instant, read_last_instant
from rightsize.render import containment, sentences
from rightsize.render.escape import for_shell
from rightsize.workflow.analysis import behaviour as signals_workflow

_CONTAIN_COLUMNS = ("role_assignment_id", "kind", "role", "scope", "why", "assignments")
_CONTAIN_BRIEF = ("kind", "role", "at", "why", "assignments")
_SHOWN = 3
_OUT = Path("reports/containment")


@command(rows=True)
def contain(
    principal: Annotated[str, typer.Argument(help="Id, UPN, application id or name of the suspected principal.")],
    out: Annotated[Path, typer.Option("--out", help="The plan folder.")] = _OUT,
    since: Annotated[
        datetime | None,
        typer.Option(
            "--since",
            parser=read_instant,
            metavar="TIME",
            help="Day or time in any form of ISO 8601, in UTC without an offset, from which its calls count as an "
            "attacker's; a call counts from its beginning. Stored as a decision.",
        ),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(
            "--until",
            parser=read_last_instant,
            metavar="TIME",
            help="End of this time, the whole of a day or minute that it names. Default: newest record.",
        ),
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Reason of the decision.")] = "containment",
    owner: Annotated[str, typer.Option("--owner", help="Who is responsible for the decision.")] = "whoever ran contain",
    emergency_account: EmergencyAccess = None,
    keep_reads: Annotated[
        bool,
        typer.Option(
            "--keep-reads",
            help="Keep the reads that no log shows and without which kept operations fail, such as deployments.",
        ),
    ] = False,
    min_window: WholeWindow = 90,
    *,
    common: Common,
) -> None:
    """Write a plan that stops a suspected principal.

    It is the smallest change that stops the principal and the access it could gain next. An agent identity is contained
    with its user account, the principal of an agent blueprint with all its agents.

    The plan changes assignments that suspect calls used and assignments that lead to more access. Access that the
    principal needed outside the suspect time stays. `plan verify` and `rollout` take the plan like any other. Requests
    that block its sign-in, end its sessions or remove it from groups are written beside the plan, each with its
    reversal; nothing sends them.
    """
    say_place(out, _OUT)
    result = contain_workflow.contain_principal(
        common.db,
        principal,
        out,
        suspicion=_suspicion(since, until, reason, owner),
        emergency=emergency_account or (),
        min_window=min_window,
        keep_reads=keep_reads,
    )
    dwell = result.dwell(datetime.now(UTC).replace(tzinfo=None))
    document = result.document() | {"dwell_seconds": None if dwell is None else int(dwell.total_seconds())}
    places = result.containment.plan.names
    rows = document["changes"]
    if common.is_table:
        rows = [
            row
            | {"kind": row["kind"].replace("_", " "), "why": ", ".join(row["why"]).replace("_", " ")}
            | {"at": sentences.short_scope(row["scope"], places)}
            for row in rows
        ]
    common.show(rows, _CONTAIN_COLUMNS, document=document, table_columns=_CONTAIN_BRIEF)
    _tell(result, document, dwell, since)
    _tell_agents(result)
    for line in containment.left_behind_lines(document["left_behind"], places, common.with_db):
        say(line)
    common.say_next(common.with_db(f"rightsize plan verify {for_shell(str(result.out))}"))


def _tell_reads(reads: Mapping[str, Any]) -> None:
    reads_text = containment.reads_text
    if reads["operations"] and reads["kept"]:
        say(f"the plan keeps {reads_text(reads)}")
    elif reads["operations"] and reads["deploys"]:
        say(f"its deployments may fail without reads that no log shows. `--keep-reads` keeps {reads_text(reads)}")


def _tell_leads(after: Mapping[str, Any]) -> None:
    if not after["blocked"]:
        where = ", ".join(after["attached"]) or "its resources"
        say(f"no request blocks the sign-in of a managed identity: remove it from {where}")
    elif after["leads_on"]:
        said = "; ".join(f"{one['name']}: {one['why']}" for one in after["leads_on"][:_SHOWN])
        more = f"; and {len(after['leads_on']) - _SHOWN} more" if len(after["leads_on"]) > _SHOWN else ""
        say(f"may still lead on without its sign-in: {said}{more}")
    if after["enables_itself"]:
        say("what it may have left leads back to its own account: take that away first")


def _tell_agents(result: contain_workflow.ContainResult) -> None:
    group, named = result.agents, result.names
    if group.kind == "agent":
        say(f"other agents of its blueprint that keep working: {len(group.siblings) or 'none known'}")
    elif group.kind:
        say(f"the requests stop all of the blueprint: {', '.join(named.get(one, one) for one in group.members[1:])}")


def _suspicion(
    since: datetime | None, until: datetime | None, reason: str, owner: str
) -> contain_workflow.Suspicion | None:
    if since is None:
        if until is not None:
            raise UsageError("`--until` needs `--since`")
        return None
    return contain_workflow.Suspicion(since, until, reason, owner)


def _tell(
    result: contain_workflow.ContainResult, document: Mapping[str, Any], dwell: timedelta | None, since: datetime | None
) -> None:
    if result.first_suspect is None and since is not None:
        say(f"no loaded call of it began from {since:%Y-%m-%d %H:%M} UTC on, so all of its calls count as need")
    elif result.first_suspect is None:
        say("none of its calls is suspect, so all of them count as need: `--since` sets the start of the suspect time")
    else:
        say(f"{result.suspect} suspect calls since {result.first_suspect:%Y-%m-%d %H:%M} UTC do not count as need")
    if (forgone := result.containment.forgone.height) > 0:
        say(
            f"{counted(forgone, 'earlier use')} not kept: today only suspect assignments would allow it, and they did "
            "not exist at the time"
        )
    if result.fitting_days is not None:
        say(
            f"the logs fit a window of {result.fitting_days} days, which is shorter: what they do not cover counts as "
            f"unknown, so it stays; `--min-window {result.fitting_days}` takes it as unused"
        )
    _tell_reads(document["unlogged_reads"])
    say("reach, as principals, resources with code, stores of secrets or data, cells (layers in subscriptions):")
    for name, counts in result.reach.counts.items():
        numbers = ", ".join(str(counts[word]) for word in ("identities", "resources", "secrets", "cells"))
        say(f"  {containment.STEPS[name]}: {numbers}{', the whole tenant' if counts['takes_tenant'] else ''}")
    _tell_leads(document["without_sign_in"])
    found = result.containment
    if not found.plan.proposals:
        say("the plan changes no assignment; the requests contain it" if result.options else "the plan changes nothing")
    for key, why in found.stays.items():
        role, scope = found.places[key]
        ends = "; a request ends it" if key in found.by_request else ""
        say(f"{role} at {sentences.short_scope(scope, found.plan.names)} ({key[1]}) stays: {why}{ends}")
    allowed = [
        f"still allowed: {one['operation']} by {one['role']}: {sentences.why_allowed(one)}"
        for one in document["still_allowed"]
    ]
    allowed += [f"beyond roles: {one['operation']}: {sentences.what_ends(one)}" for one in document["beyond_roles"]]
    for line in allowed[:_SHOWN]:
        say(line)
    if len(allowed) > _SHOWN:
        say(f"{len(allowed) - _SHOWN} more suspect operations have their reason on the page")
    if result.options:
        requests = counted(len(result.options), "request")
        say(f"wrote {requests} for people to {result.out / 'containment.md'}; nothing sends them")
    if dwell is not None:
        say(f"the plan was ready {contain_workflow.span_told(dwell)} after the first suspect record")
    say(f"wrote the plan to {result.out} in {result.seconds:.1f} s")


class SignalsShow(StrEnum):
    """The kind of rows to list."""

    SIGNALS = "signals"
    QUARANTINE = "quarantine"
    BEHAVIOUR = "behaviour"


_SIGNAL_COLUMNS: dict[SignalsShow, tuple[tuple[str, ...], tuple[str, ...]]] = {
    SignalsShow.SIGNALS: (
        ("signal_id", "kind", "name", "severity", "first_time", "last_time", "who", "state", "status",
         "classification", "calls", "operations"),
        ("name", "severity", "day", "who", "state", "calls"),
    ),
    SignalsShow.QUARANTINE: (
        ("principal_id", "name", "operation", "scope", "plane", "calls", "first_seen", "last_seen", "other_calls",
         "only_evidence", "signals", "basis"),
        ("name", "operation", "at", "calls", "other_calls"),
    ),
    SignalsShow.BEHAVIOUR: (
        ("principal_id", "day", "score", "kinds", "operations", "first_time", "last_time", "sentence", "days_before",
         "days_alike"),
        ("day", "score", "sentence"),
    ),
}  # fmt: skip


@command(rows=True)
def signals(
    listed: Annotated[SignalsShow, typer.Option("--show", help="What to list.")] = SignalsShow.SIGNALS,
    decisions: Annotated[
        Path | None,
        typer.Option(
            "--decisions",
            help="First replace all decisions by those of this file (.toml, .json, .csv).",
            show_default=False,
        ),
    ] = None,
    *,
    common: Common,
) -> None:
    """List alerts, risks, quarantined calls or unusual days.

    Each alert or risk has the principals that it names.
    """
    if decisions is not None:
        stored = signals_workflow.decide_signals(common.db, decisions)
        say(f"{stored} decisions are stored; `rightsize analyze` applies them")
    found = signals_workflow.show_signals(common.db)
    rows: list[dict[str, Any]] = getattr(found, listed.value)
    columns, brief = _SIGNAL_COLUMNS[listed]
    if common.is_table:
        common.show([_short_signal(row) for row in rows], columns, table_columns=brief)
        alone = sum(1 for row in found.quarantine if row["only_evidence"])
        if listed is not SignalsShow.BEHAVIOUR:
            calls = sum(row["calls"] for row in found.quarantine)
            say(f"{calls} calls in quarantine; {alone} used operations have no other evidence and wait for a decision")
        common.say_next(common.with_db(_next_of_signals(listed, found.quarantine, rows, alone)))
    else:
        common.show(rows, columns)


def _next_of_signals(
    listed: SignalsShow, quarantine: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]], alone: int
) -> str:
    """Return the next step: to see what waits for a decision, else who is behind the first row."""
    if listed is not SignalsShow.QUARANTINE and alone:
        return "rightsize signals --show quarantine"
    held = [row["principal_id"] for row in (rows if listed is not SignalsShow.SIGNALS else quarantine)]
    who = next(filter(None, held), None)
    return "rightsize analyze" if who is None else f"rightsize explain {for_shell(who)}"


def _short_signal(row: dict[str, Any]) -> dict[str, Any]:
    if "sentence" in row:
        return row
    if "scope" in row:
        return row | {"at": row["scope"].rsplit("/", 1)[-1] or "/", "name": short_name(row["name"] or "")}
    return row | {
        "day": row["last_time"].date() if row["last_time"] else None,
        "who": short_name(row["who"] or ""),
    }
