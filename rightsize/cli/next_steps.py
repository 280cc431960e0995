"""`rightsize next`: say which changes of a plan to make first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rightsize.cli.layout import terminal_width, wrapped
from rightsize.cli.narration import say, say_next, set_verbosity
from rightsize.cli.options import DEFAULT_DB, DEFAULT_PLAN, Db, NoInput, Output, OutputFormat, Quiet, Verbose, with_db
from rightsize.cli.output import short_name, show, write
from rightsize.cli.propose import name_plan

if TYPE_CHECKING:
    from rightsize.model.next_steps import NextStep
    from rightsize.workflow.next_steps import NextResult

SHOWN = 10
"""The most steps of a wave and plane, and the most assignments that are not worth a role, that people see at once."""
_INDENT = 23
_NARROWEST, _WIDEST = 30, 140


def next_(
    plan: Annotated[Path, typer.Argument(metavar="[PLAN]", help="The plan folder, or its plan.json.")] = DEFAULT_PLAN,
    wave: Annotated[int | None, typer.Option("--wave", min=1, max=4, help="Only the steps of this wave.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Show all steps; other formats than table always do.")] = False,
    db: Db = DEFAULT_DB,
    output: Output = OutputFormat.TABLE,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; this one never asks
) -> None:
    """Show which changes of a plan to make first: those that remove the most excess for their effort and risk.

    Wave 1 has orphans and duplicates, wave 2 removals that are proved unused, wave 3 the five changes of each plane
    that buy most, wave 4 the rest. Shares are of the live excess that the plan can remove, each plane for itself.
    """
    from rightsize.render.next_steps import COLUMNS  # noqa: PLC0415
    from rightsize.workflow.next_steps import next_of  # noqa: PLC0415

    set_verbosity(verbose, quiet)
    found = next_of(db, plan, names_db=db != DEFAULT_DB)
    if output is OutputFormat.TABLE:
        write("".join(f"{line}\n" for line in _lines(found, wave, every=every or wave is not None)))
    else:
        document = found.document(wave) if output is OutputFormat.JSON else None
        show(found.rows(wave), COLUMNS, output, document=document)
    if not found.steps.steps:
        say("the plan changes nothing")
    step = f"rightsize review{name_plan(plan)}" if found.steps.steps else "rightsize logs"
    say_next(with_db(step, db), output=output)


def _lines(found: NextResult, wave: int | None, *, every: bool) -> Iterator[str]:
    """Yield the lines for people, each escaped."""
    from rightsize.model.plan import AZURE_ROLES, PLANE_NAMES  # noqa: PLC0415
    from rightsize.render.next_steps import describe_wave, wave_rows  # noqa: PLC0415

    width = min(terminal_width(), _WIDEST)
    rows = [row for row in wave_rows(found.steps) if wave in (None, row["wave"])]
    for row in rows:
        of = "" if row["plane"] == AZURE_ROLES else f", {PLANE_NAMES[row['plane']]}"
        title = f"Wave {row['wave']}, {row['name']}{of}: {describe_wave(row)}"
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


def _step_lines(step: NextStep, found: NextResult, width: int) -> Iterator[str]:
    from rightsize.render.escape import for_terminal  # noqa: PLC0415
    from rightsize.render.next_steps import describe_effort, describe_step  # noqa: PLC0415

    name = short_name(found.names.get(step.principal_id, step.principal_id))
    numbers = f"{step.rank:>3}  {step.share:>6.1%}  {step.total:>6.1%}  "
    room = max(width, _INDENT + _NARROWEST)
    margin = " " * _INDENT
    yield from wrapped(
        for_terminal(f"{name}: {describe_step(step, found.names)}"), room, indent=numbers, hanging=margin
    )
    id_ = f"   {found.short[step.proposal]}".ljust(_INDENT)
    yield from wrapped(for_terminal(f"{describe_effort(step)}; {step.reason}"), room, indent=id_, hanging=margin)
    # One line, to the left where the terminal is narrow, so that it can be copied.
    command = for_terminal(found.look(step.principal_id))
    yield " " * max(min(_INDENT, width - len(command)), 5) + command


def _left_out(found: NextResult, width: int, *, every: bool) -> Iterator[str]:
    """Yield what is not worth a role: what it would free, and what a role would save."""
    from rightsize.render.escape import for_terminal  # noqa: PLC0415
    from rightsize.render.next_steps import left_out_line, left_row  # noqa: PLC0415
    from rightsize.render.summary import short_scope  # noqa: PLC0415

    left = found.steps.left_out
    if not left:
        return
    yield from wrapped(left_out_line(found.steps).capitalize(), width)
    for row in (left_row(one, found.names) for one in (left if every else left[:SHOWN])):
        place = short_scope(row["scope"], found.names)
        text = f"{row['principal']}: {row['role']} at {place}, at most {row['excess']:,.0f}; {row['saves']}"
        yield from wrapped(for_terminal(text), width, indent="  ", hanging="    ")
    if not every and len(left) > SHOWN:
        yield f"  and {len(left) - SHOWN} more: --all"
    yield ""
