"""`rightsize next`: say which changes of a plan to make first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from rightsize.analyze.lacks import note_of
from rightsize.cli.command import Common, command
from rightsize.cli.layout import terminal_width, wrapped
from rightsize.cli.narration import say
from rightsize.cli.options import DEFAULT_DB, DEFAULT_PLAN, OutputFormat
from rightsize.cli.output import short_name, write
from rightsize.cli.plan_options import PlanSigners
from rightsize.cli.propose import name_plan
from rightsize.model.plan import AZURE_ROLES, PLANE_NAMES
from rightsize.model.plan_totals import NextStep
from rightsize.render import next_steps as lines
from rightsize.render import summary
from rightsize.render.escape import for_terminal
from rightsize.workflow import next_steps as workflow

SHOWN = 10
"""The most steps of a wave and plane, and the most assignments that are not worth a role, that people see at once."""
_INDENT = 23
_NARROWEST, _WIDEST = 30, 140


@command()
def next_(
    plan: Annotated[Path, typer.Argument(metavar="[PLAN]", help="The plan folder, or its plan.json.")] = DEFAULT_PLAN,
    wave: Annotated[int | None, typer.Option("--wave", min=1, max=4, help="Only the steps of this wave.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Show all steps; other formats than table always do.")] = False,
    *,
    trusted: PlanSigners,
    common: Common,
) -> None:
    """Show which changes of a plan to make first: those that remove the most excess for their effort and risk.

    Wave 1 has orphans and duplicates, wave 2 removals that are proved unused, wave 3 the five changes of each plane
    that buy most, wave 4 the rest. Shares are of the live excess that the plan can remove, each plane for itself.
    """
    found = workflow.next_of(common.db, plan, names_db=common.db != DEFAULT_DB, signers=trusted.asked)
    if common.is_table:
        write("".join(f"{line}\n" for line in _lines(found, wave, every=every or wave is not None)))
    else:
        document = found.document(wave) if common.output is OutputFormat.JSON else None
        common.show(found.rows(wave), lines.COLUMNS, document=document)
    if not found.steps.steps:
        say("the plan changes nothing")
    for line in note_of(found.lacks, "no step is about access that no listing shows"):
        say(line)
    step = f"rightsize review{name_plan(plan)}" if found.steps.steps else "rightsize logs"
    common.say_next(common.with_db(step))


def _lines(found: workflow.NextResult, wave: int | None, *, every: bool) -> Iterator[str]:
    """Yield the lines for people, each escaped."""
    width = min(terminal_width(), _WIDEST)
    rows = [row for row in lines.wave_rows(found.steps) if wave in (None, row["wave"])]
    for row in rows:
        of = "" if row["plane"] == AZURE_ROLES else f", {PLANE_NAMES[row['plane']]}"
        title = f"Wave {row['wave']}, {row['name']}{of}: {lines.describe_wave(row)}"
        yield from wrapped(title, width, hanging="  ")
        yield f"{'':>3}  {'share':>6}  {'so far':>6}"
        steps = [one for one in found.steps.of_wave(row["wave"]) if one.plane == row["plane"]]
        shown = steps if every else steps[:SHOWN]
        for step in shown:
            yield from _step_lines(step, found, width)
        if len(steps) > len(shown):
            rest = sum(step.share for step in steps[len(shown) :])
            yield f"{'':>5}{rest:>6.1%}  and {len(steps) - len(shown)} more: --all, or --wave {row['wave']}"
        yield ""
    if wave is None:
        yield from _left_out(found, width, every=every)


def _step_lines(step: NextStep, found: workflow.NextResult, width: int) -> Iterator[str]:
    name = short_name(found.names.get(step.principal_id, step.principal_id))
    numbers = f"{step.rank:>3}  {step.share:>6.1%}  {step.total:>6.1%}  "
    room = max(width, _INDENT + _NARROWEST)
    margin = " " * _INDENT
    yield from wrapped(
        for_terminal(f"{name}: {lines.describe_step(step, found.names)}"), room, indent=numbers, hanging=margin
    )
    id_ = f"   {found.short[step.proposal]}".ljust(_INDENT)
    yield from wrapped(for_terminal(f"{lines.describe_effort(step)}; {step.reason}"), room, indent=id_, hanging=margin)
    # One line, to the left where the terminal is narrow, so that it can be copied.
    look = for_terminal(found.look(step.principal_id))
    yield " " * max(min(_INDENT, width - len(look)), 5) + look


def _left_out(found: workflow.NextResult, width: int, *, every: bool) -> Iterator[str]:
    """Yield what is not worth a role: what it would free, and what a role would save."""
    left = found.steps.left_out
    if not left:
        return
    yield from wrapped(lines.left_out_line(found.steps).capitalize(), width)
    for row in (lines.left_row(one, found.names) for one in (left if every else left[:SHOWN])):
        place = summary.short_scope(row["scope"], found.names)
        text = f"{row['principal']}: {row['role']} at {place}, at most {row['excess']:,.0f}; {row['saves']}"
        yield from wrapped(for_terminal(text), width, indent="  ", hanging="    ")
    if not every and len(left) > SHOWN:
        yield f"  and {len(left) - SHOWN} more: --all"
    yield ""
