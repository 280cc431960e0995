"""`rightsize review`: record decisions on the proposals of a plan in a file that lives in git."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from rightsize.cli.narration import say, say_next, set_verbosity
from rightsize.cli.options import (
    DEFAULT_DB,
    DEFAULT_PLAN,
    AllRows,
    Db,
    Expires,
    NoInput,
    Output,
    OutputFormat,
    Quiet,
    Today,
    Verbose,
    day_or_today,
    with_db,
)
from rightsize.cli.output import short_name, show
from rightsize.model.errors import UsageError

if TYPE_CHECKING:
    from rightsize.propose.verify.review_status import ReviewStatus
    from rightsize.workflow.review import Review

DEFAULT_REVIEW = Path("review.jsonl")
_LISTED = ("id", "state", "change", "assignment", "excess")
_DECIDED = ("id", "state", "by", "reason", "expires")
_COLUMNS = (
    "proposal", "state", "kind", "plane", "principal_id", "principal", "role", "scope", "excess_before", "excess_after",
    "break_probability_30d", "by", "reason", "decided", "expires",
)  # fmt: skip


class _WalksByDefault(TyperGroup):
    """A command group that reads a first word that is no command as the plan to walk through."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["walk", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, cls=_WalksByDefault)

Plan = Annotated[Path, typer.Argument(metavar="[PLAN]", help="The plan folder, or its plan.json.")]
PlanOption = Annotated[Path, typer.Option("--plan", help="The plan folder, or its plan.json.")]
File = Annotated[
    Path, typer.Option("--review", envvar="RIGHTSIZE_REVIEW", help="The file of decisions.", show_default=True)
]
Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of proposals, or their first characters.")]
By = Annotated[str | None, typer.Option("--by", help="Who decides. Default: the user of git.")]
Reason = Annotated[str, typer.Option("--reason", help="Reason of the decision.")]


@app.callback()
def review() -> None:
    """Decide on the proposals of a plan: `review PLAN` asks for each of them, the other commands never ask."""


@app.command("walk")
def walk(
    plan: Plan = DEFAULT_PLAN,
    file: File = DEFAULT_REVIEW,
    by: By = None,
    as_of: Today = None,
    db: Db = DEFAULT_DB,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,
) -> None:
    """Walk through the open proposals, one a screen, with a key for each decision; `?` shows the keys.

    Each decision is written to the file at once, and the totals show its effect.
    """
    from rightsize.cli.review_walk import Walk  # noqa: PLC0415
    from rightsize.workflow.review import open_review, who_am_i  # noqa: PLC0415

    set_verbosity(verbose, quiet)
    if no_input or not sys.stdin.isatty():
        raise UsageError(
            "cannot ask: stdin is no terminal, or `--no-input` is set",
            hint="use `rightsize review list`, `accept`, `reject`, `defer` or `reopen`",
        )
    found = open_review(db, plan, file, day_or_today(as_of))
    Walk(found, by or who_am_i()).run()
    _end(found, plan, db)


@app.command("list")
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
    db: Db = DEFAULT_DB,
    every: AllRows = False,
    output: Output = OutputFormat.TABLE,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; this one never asks
) -> None:
    """Show the state of each proposal, and the totals of the review.

    `outdated`: the proposed change differs from the one decided on. `expired`: the last day of the decision has passed.
    """
    from rightsize.propose.verify.review_status import STATES  # noqa: PLC0415
    from rightsize.render.summary import describe_grant  # noqa: PLC0415
    from rightsize.workflow.propose import change_of  # noqa: PLC0415
    from rightsize.workflow.review import open_review  # noqa: PLC0415

    def brief(row: dict[str, Any]) -> dict[str, Any]:
        excess = change_of(row["excess_before"], row["excess_after"])
        granted = describe_grant(row["role"], row["scope"], row["plane"], found.names)
        return {
            **row,
            "id": row["short"],
            "change": row["kind"].replace("_", " "),
            "assignment": f"{short_name(row['principal'])}: {granted}",
            "excess": excess,
        }

    set_verbosity(verbose, quiet)
    for one in states or ():
        if one not in STATES:
            raise UsageError(f"`{one}` is not a state of a proposal", hint=f"states: {', '.join(STATES)}")
    found = open_review(db, plan, file, day_or_today(as_of))
    rows = found.rows(states or ())
    decided = bool(states) and not {"open"} & set(states or ())
    show(
        [brief(row) for row in rows] if output is OutputFormat.TABLE else rows,
        _COLUMNS,
        output,
        table_columns=_DECIDED if decided else _LISTED,
        every=every,
    )
    _end(found, plan, db, output)


@app.command("accept")
def accept(
    ids: Ids,
    reason: Reason = "",
    by: By = None,
    expires: Expires = None,
    plan: PlanOption = DEFAULT_PLAN,
    file: File = DEFAULT_REVIEW,
    as_of: Today = None,
    db: Db = DEFAULT_DB,
    every: AllRows = False,
    output: Output = OutputFormat.TABLE,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; this one never asks
) -> None:
    """Accept proposals: `rollout plan --review` includes only accepted ones."""
    set_verbosity(verbose, quiet)
    found = _open(db, plan, file, as_of)
    _show(found, _decide("accept", ids, reason, by, expires, found), output, every=every)
    _end(found, plan, db, output)


@app.command("reject")
def reject(
    ids: Ids,
    reason: Reason,
    by: By = None,
    expires: Expires = None,
    plan: PlanOption = DEFAULT_PLAN,
    file: File = DEFAULT_REVIEW,
    as_of: Today = None,
    db: Db = DEFAULT_DB,
    every: AllRows = False,
    output: Output = OutputFormat.TABLE,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; this one never asks
) -> None:
    """Reject proposals: `propose --review` keeps the assignments that they would change, with the reason."""
    set_verbosity(verbose, quiet)
    found = _open(db, plan, file, as_of)
    _show(found, _decide("reject", ids, reason, by, expires, found), output, every=every)
    _end(found, plan, db, output)


@app.command("defer")
def defer(
    ids: Ids,
    reason: Reason,
    by: By = None,
    expires: Expires = None,
    plan: PlanOption = DEFAULT_PLAN,
    file: File = DEFAULT_REVIEW,
    as_of: Today = None,
    db: Db = DEFAULT_DB,
    every: AllRows = False,
    output: Output = OutputFormat.TABLE,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; this one never asks
) -> None:
    """Defer proposals: they stay in the plan, and no rollout includes them."""
    set_verbosity(verbose, quiet)
    found = _open(db, plan, file, as_of)
    _show(found, _decide("defer", ids, reason, by, expires, found), output, every=every)
    _end(found, plan, db, output)


@app.command("reopen")
def reopen(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID...]", help="Ids of proposals, or their first characters.")
    ] = None,
    ended: Annotated[
        bool, typer.Option("--ended", help="All decisions that have ended or whose proposal no longer exists.")
    ] = False,
    plan: PlanOption = DEFAULT_PLAN,
    file: File = DEFAULT_REVIEW,
    as_of: Today = None,
    db: Db = DEFAULT_DB,
    every: AllRows = False,
    output: Output = OutputFormat.TABLE,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; this one never asks
) -> None:
    """Remove decisions from the file."""
    set_verbosity(verbose, quiet)
    if bool(ids) == ended:
        raise UsageError("`reopen` takes either ids or `--ended`", hint="`rightsize review list` shows the ids")
    found = _open(db, plan, file, as_of)
    _show(found, found.reopen(ids or found.ended()), output, every=every)
    _end(found, plan, db, output)


def _open(db: Path, plan: Path, file: Path, as_of: dt.date | None) -> Review:
    from rightsize.workflow.review import open_review  # noqa: PLC0415

    return open_review(db, plan, file, day_or_today(as_of))


def _decide(
    kind: Any, ids: list[str], reason: str, by: str | None, expires: dt.date | None, found: Review
) -> list[ReviewStatus]:
    from rightsize.workflow.review import who_am_i  # noqa: PLC0415

    return found.decide(ids, kind, by or who_am_i(), reason, expires)


def _show(found: Review, changed: list[ReviewStatus], output: OutputFormat, *, every: bool) -> None:
    rows = [found.row(one) for one in changed]
    if output is OutputFormat.TABLE:
        rows = [{**row, "id": row["short"]} for row in rows]
    show(rows, _COLUMNS, output, table_columns=_DECIDED, every=every)


def _end(found: Review, plan: Path, db: Path, output: OutputFormat | None = None) -> None:
    """Say the totals, and the next step: to decide on what is left, else to roll out what is accepted."""
    from rightsize.workflow.next_command import command_after_review  # noqa: PLC0415

    _say_totals(found)
    command = command_after_review(found.totals().states, plan, found.file, DEFAULT_REVIEW)
    say_next(with_db(command, db), output=output)


def _say_totals(found: Review) -> None:
    from rightsize.cli.review_walk import totals_lines  # noqa: PLC0415  loads rich, which `--help` does without

    for line in totals_lines(found):
        say(line)
    for one in found.unmatched():
        say(f"decision on a proposal that no longer exists: {one.proposal}, {one}")
