"""`rightsize review`: record decisions on the proposals of a plan in a file that lives in git."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from rightsize.cli.command import Common, command
from rightsize.cli.commands import review_walk
from rightsize.cli.narration import say
from rightsize.cli.options import DEFAULT_PLAN, Expires, PlanSigners, SignerName, SignersFile, Today, day_or_today
from rightsize.cli.output import short_name
from rightsize.model.errors import UsageError
from rightsize.propose.verify import review
from rightsize.render import sentences
from rightsize.workflow.data import next_command
from rightsize.workflow.plan import propose
from rightsize.workflow.plan import review as workflow

DEFAULT_REVIEW = Path("review.jsonl")
_LISTED = ("id", "state", "change", "assignment", "excess")
_DECIDED = ("id", "state", "by", "reason", "expires")
_COLUMNS = (
    "proposal", "state", "kind", "plane", "principal_id", "principal", "role", "scope", "excess_before", "excess_after",
    "break_probability_30d", "by", "reason", "decided", "expires",
)  # fmt: skip


Plan = Annotated[Path, typer.Argument(metavar="[PLAN]", help="The plan folder, or its plan.json.")]
PlanOption = Annotated[Path, typer.Option("--plan", help="The plan folder, or its plan.json.")]
File = Annotated[
    Path, typer.Option("--review", envvar="RIGHTSIZE_REVIEW", help="The file of decisions.", show_default=True)
]
Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of proposals, or their first characters.")]
By = Annotated[str | None, typer.Option("--by", help="Who decides. Default: the user of git.")]
Reason = Annotated[str, typer.Option("--reason", help="Reason of the decision.")]


@dataclass(frozen=True, slots=True)
class Decider:
    """The options that say who decides, and until when."""

    by: By = None
    expires: Expires = None


@dataclass(frozen=True, slots=True)
class Reviewed:
    """The options that say what is decided on: the plan and its signers, the file of decisions, and the day."""

    plan: PlanOption = DEFAULT_PLAN
    file: File = DEFAULT_REVIEW
    as_of: Today = None
    signers: SignersFile = None
    signer: SignerName = None


@command(output=False)
def walk(
    plan: Plan = DEFAULT_PLAN,
    file: File = DEFAULT_REVIEW,
    by: By = None,
    as_of: Today = None,
    *,
    trusted: PlanSigners,
    common: Common,
) -> None:
    """Decide on the proposals of a plan, one by one.

    Each decision has a key; `?` shows the keys. It is written to the file at once, and the totals show its effect.
    """
    if common.no_input or not sys.stdin.isatty():
        raise UsageError(
            "cannot ask: stdin is no terminal, or `--no-input` is set",
            hint="use `rightsize review list`, `accept`, `reject`, `defer` or `reopen`",
        )
    found = workflow.open_review(common.db, plan, file, day_or_today(as_of), trusted.asked)
    review_walk.Walk(found, by or workflow.who_am_i()).run()
    _end(found, plan, common)


@command(rows=True)
def list_(
    plan: Plan = DEFAULT_PLAN,
    file: File = DEFAULT_REVIEW,
    states: Annotated[
        list[str] | None,
        typer.Option(
            "--state", help="Only this state: open, outdated, expired, deferred, accepted, rejected. Repeatable."
        ),
    ] = None,
    as_of: Today = None,
    *,
    trusted: PlanSigners,
    common: Common,
) -> None:
    """Show the state of each proposal, and the totals.

    `outdated`: the proposed change differs from the one decided on. `expired`: the last day of the decision has passed.
    """

    def brief(row: dict[str, Any]) -> dict[str, Any]:
        excess = propose.change_of(row["excess_before"], row["excess_after"])
        granted = sentences.describe_grant(row["role"], row["scope"], row["plane"], found.names)
        return {
            **row,
            "id": row["short"],
            "change": row["kind"].replace("_", " "),
            "assignment": f"{short_name(row['principal'])}: {granted}",
            "excess": excess,
        }

    for one in states or ():
        if one not in review.STATES:
            raise UsageError(f"`{one}` is not a state of a proposal", hint=f"states: {', '.join(review.STATES)}")
    found = workflow.open_review(common.db, plan, file, day_or_today(as_of), trusted.asked)
    rows = found.rows(states or ())
    decided = bool(states) and not {"open"} & set(states or ())
    shown = [brief(row) for row in rows] if common.is_table else rows
    common.show(shown, _COLUMNS, table_columns=_DECIDED if decided else _LISTED)
    _end(found, plan, common)


@command(rows=True)
def accept(
    ids: Ids,
    reason: Reason = "",
    *,
    decider: Decider,
    reviewed: Reviewed,
    common: Common,
) -> None:
    """Accept proposals, so that a rollout includes them.

    `rollout plan --review` includes only accepted ones.
    """
    _decide("accept", ids, reason, decider, reviewed, common)


@command(rows=True)
def reject(
    ids: Ids,
    reason: Reason,
    *,
    decider: Decider,
    reviewed: Reviewed,
    common: Common,
) -> None:
    """Reject proposals, so that the next plan keeps the access.

    `propose --review` keeps the assignments that they would change, with the reason.
    """
    _decide("reject", ids, reason, decider, reviewed, common)


@command(rows=True)
def defer(
    ids: Ids,
    reason: Reason,
    *,
    decider: Decider,
    reviewed: Reviewed,
    common: Common,
) -> None:
    """Defer proposals: they stay, and no rollout includes them."""
    _decide("defer", ids, reason, decider, reviewed, common)


@command(rows=True)
def reopen(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID...]", help="Ids of proposals, or their first characters.")
    ] = None,
    ended: Annotated[
        bool, typer.Option("--ended", help="All decisions that have ended or whose proposal no longer exists.")
    ] = False,
    *,
    reviewed: Reviewed,
    common: Common,
) -> None:
    """Remove decisions from the file."""
    if bool(ids) == ended:
        raise UsageError("`reopen` takes either ids or `--ended`", hint="`rightsize review list` shows the ids")
    found = _open(reviewed, common)
    _show(found, found.reopen(ids or found.ended()), common)
    _end(found, reviewed.plan, common)


def _open(reviewed: Reviewed, common: Common) -> workflow.Review:
    return workflow.open_review(
        common.db,
        reviewed.plan,
        reviewed.file,
        day_or_today(reviewed.as_of),
        PlanSigners(reviewed.signers, reviewed.signer).asked,
    )


def _decide(kind: Any, ids: list[str], reason: str, decider: Decider, reviewed: Reviewed, common: Common) -> None:
    """Record the same decision on several proposals, and show it."""
    found = _open(reviewed, common)
    _show(found, found.decide(ids, kind, decider.by or workflow.who_am_i(), reason, decider.expires), common)
    _end(found, reviewed.plan, common)


def _show(found: workflow.Review, changed: list[review.ReviewStatus], common: Common) -> None:
    rows = [found.row(one) for one in changed]
    if common.is_table:
        rows = [{**row, "id": row["short"]} for row in rows]
    common.show(rows, _COLUMNS, table_columns=_DECIDED)


def _end(found: workflow.Review, plan: Path, common: Common) -> None:
    """Say the totals, and the next step: to decide on what is left, else to roll out what is accepted."""
    _say_totals(found)
    step = next_command.command_after_review(found.totals().states, plan, found.file, DEFAULT_REVIEW)
    common.say_next(common.with_db(step))


def _say_totals(found: workflow.Review) -> None:
    for line in review_walk.totals_lines(found):
        say(line)
    for one in found.unmatched():
        say(f"decision on a proposal that no longer exists: {one.proposal}, {one}")
