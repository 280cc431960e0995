"""Commands on a plan that is there: next, plan, verify, patch.

`rightsize next`: say which changes of a plan to make first.

`rightsize plan`: write an existing plan in other forms, as a comment, sign it, or write the schema of plans.

`rightsize plan verify`: prove a plan again on the store of today, and refuse it where it is stale.

`rightsize plan patch`: write a plan as patches of a team's own Terraform and Bicep.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from rightsize.analyze.lacks import note_of
from rightsize.cli.command import Common, command
from rightsize.cli.commands.propose import FormChoice, name_plan
from rightsize.cli.layout import terminal_width, wrapped
from rightsize.cli.narration import say, say_stale
from rightsize.cli.options import DEFAULT_DB, DEFAULT_PLAN, OutputFormat, PlanSigners
from rightsize.cli.output import first_rows, short_name, write
from rightsize.model.plan import AZURE_ROLES, PLANE_NAMES
from rightsize.model.plan_totals import TODAY, WAVES, NextStep
from rightsize.model.progress import counted
from rightsize.render import next_steps as lines
from rightsize.render import schemas, sentences
from rightsize.render.escape import for_shell, for_terminal
from rightsize.workflow import plan_folder
from rightsize.workflow.plan import deploy
from rightsize.workflow.plan import next_steps as next_workflow
from rightsize.workflow.plan import patch as patch_workflow
from rightsize.workflow.plan import verify as verify_workflow

_SCREEN = 28
"""The most lines of the short form, which leaves two for what stderr says."""
_INDENT = 23
_MARGIN = " " * 5
_NARROWEST, _WIDEST = 30, 140


@command()
def next_(
    plan: Annotated[Path, typer.Argument(metavar="[PLAN]", help="The plan folder, or its plan.json.")] = DEFAULT_PLAN,
    wave: Annotated[
        int | None, typer.Option("--wave", min=0, max=4, help="Only the steps of this wave; 0 is today.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Show all steps in full; other formats than table always do.")
    ] = False,
    *,
    trusted: PlanSigners,
    common: Common,
) -> None:
    """Show what to do first: what gives the tenant away.

    Today's steps, wave 0, each have their way back; what the plan keeps is a question to its owner. Wave 1 has orphans
    and duplicates, wave 2 removals that are proved unused, wave 3 the five changes of each plane that buy most, wave 4
    the rest. Shares in the table are of all live excess, each plane for itself.
    """
    found = next_workflow.next_of(common.db, plan, names_db=common.db != DEFAULT_DB, signers=trusted.asked)
    if common.is_table:
        shown = _next_lines(found, wave) if every or wave is not None else _short_lines(found)
        write("".join(f"{line}\n" for line in shown))
    else:
        document = found.document(wave) if common.output is OutputFormat.JSON else None
        common.show(found.rows(wave), lines.COLUMNS, document=document)
    changes = found.steps.by_proposal()
    if not changes:
        say("the plan changes nothing")
    if found.is_stale:
        say_stale(plan)
    for line in note_of(found.lacks, "no step is about access that no listing shows"):
        say(line)
    step = f"rightsize review{name_plan(plan)}" if changes else "rightsize status logs"
    common.say_next(common.with_db(step))


def _short_lines(found: lines.NextResult) -> Iterator[str]:
    """Yield every wave as a line, and below them as many of the first steps as a screen has room for."""
    width = min(terminal_width(), _WIDEST)
    rows = lines.wave_rows(found.steps)
    waves = {wave: [row for row in rows if row["wave"] == wave] for wave in WAVES}
    heads = {
        wave: wrapped(lines.wave_line(wave, own, is_short=True), width, hanging="  ")
        for wave, own in waves.items()
        if own
    }
    stays = [step for step in found.steps.steps if lines.stays_for_emergency(step)]
    names = ", ".join(dict.fromkeys(_name_of(step, found) for step in stays))
    emergency = wrapped(for_terminal(f"stays, emergency access: {names}"), width, indent=_MARGIN) if stays else []
    left = lines.left_out_line(found.steps).capitalize().partition(", the most")[0]
    below = wrapped(left, width) if left else []
    room = _SCREEN - 1 - sum(map(len, heads.values())) - len(emergency) - len(below)
    shown: dict[int, list[str]] = {wave: [] for wave in heads}
    more = len(found.steps.steps) - len(stays)
    for step in found.steps.steps:
        if step not in stays:
            text = list(_short_step(step, found, width))
            if len(text) > room:
                break
            room, more = room - len(text), more - 1
            shown[step.wave] += text
    for wave, head in heads.items():
        yield from (*head, *shown[wave], *(emergency if wave == TODAY else ()))
    yield from below
    if more:
        yield f"and {counted(more, 'more step')}: --all, or --wave {min(heads)} to {max(heads)}"
    elif left:
        yield "details: --all"


def _short_step(step: NextStep, found: lines.NextResult, width: int) -> Iterator[str]:
    """Yield what a step does, and below it why and its way back; of a long reason only the beginning."""
    room = max(width, len(_MARGIN) + _NARROWEST)
    does = for_terminal(f"{_name_of(step, found)}: {lines.describe_step(step, found.names)}")
    yield from wrapped(does, room, indent=f"{step.rank:>3}  ", hanging=_MARGIN)
    undo = lines.describe_undo(step)
    if step.danger is None:
        why = f"{lines.describe_effort(step)}; {step.reason}"
    else:
        why = f"{lines.describe_danger(step, found.names)}; {f'undo: {undo}' if undo else step.reason}"
    first, *rest = wrapped(for_terminal(why), room - 2, indent=_MARGIN)
    if step.danger is not None and undo:
        yield from (first, *rest)
    else:
        yield f"{first} …" if rest else first


def _name_of(step: NextStep, found: lines.NextResult) -> str:
    return short_name(found.names.get(step.principal_id, step.principal_id))


def _next_lines(found: lines.NextResult, wave: int | None) -> Iterator[str]:
    """Yield every step of a wave, or of all, each line escaped; today is one list of all planes."""
    width = min(terminal_width(), _WIDEST)
    rows = [row for row in lines.wave_rows(found.steps) if wave in (None, row["wave"])]
    lists = {(row["wave"], "" if row["wave"] == TODAY else row["plane"]): row for row in rows}
    for (number, plane), row in lists.items():
        of = "" if plane in ("", AZURE_ROLES) else f", {PLANE_NAMES[plane]}"
        said = f"{lines.wave_title(number)}{of}: {lines.describe_wave(row)}"
        title = said if plane else lines.wave_line(number, [one for one in rows if one["wave"] == number])
        yield from wrapped(title, width, hanging="  ")
        yield f"{'':>3}  {'share':>6}  {'so far' if plane else ''}".rstrip()
        for step in found.steps.of_wave(number):
            if plane in ("", step.plane):
                yield from _step_lines(step, found, width)
        yield ""
    if wave is None:
        yield from _left_out(found, width)


def _step_lines(step: NextStep, found: lines.NextResult, width: int) -> Iterator[str]:
    share = "" if step.kind.keeps else f"{step.of_all:.1%}"
    # Steps of all planes stand in the list of today, and each plane has shares of its own.
    total = "" if step.wave == TODAY else f"{step.total_of_all:.1%}"
    numbers = f"{step.rank:>3}  {share:>6}  {total:>6}  "
    room = max(width, _INDENT + _NARROWEST)
    margin = " " * _INDENT
    does = for_terminal(f"{_name_of(step, found)}: {lines.describe_step(step, found.names)}")
    yield from wrapped(does, room, indent=numbers, hanging=margin)
    id_ = f"   {found.short[step.proposal]}".ljust(_INDENT)
    effort = lines.describe_effort(step, with_chance=step.kind.changes)
    why = "; ".join([*filter(None, [lines.describe_danger(step, found.names)]), effort, step.reason])
    yield from wrapped(for_terminal(why), room, indent=id_, hanging=margin)
    undo = lines.describe_undo(step)
    if undo:
        yield from wrapped(for_terminal(f"undo: {undo}"), room, indent=margin)
    # One line, to the left where the terminal is narrow, so that it can be copied.
    look = for_terminal(found.look(step.principal_id))
    yield " " * max(min(_INDENT, width - len(look)), 5) + look


def _left_out(found: lines.NextResult, width: int) -> Iterator[str]:
    """Yield what is not worth a role: what it would free, and what a role would save."""
    left = found.steps.left_out
    if not left:
        return
    yield from wrapped(lines.left_out_line(found.steps).capitalize(), width)
    for row in (lines.left_row(one, found.names) for one in left):
        place = sentences.short_scope(row["scope"], found.names)
        text = f"{row['principal']}: {row['role']} at {place}, at most {row['excess']:,.0f}; {row['saves']}"
        yield from wrapped(for_terminal(text), width, indent="  ", hanging="    ")
    yield ""


Decisions = Annotated[
    Path | None, typer.Option("--review", help="File of decisions, from `rightsize review`.", show_default=False)
]
PlanFolder = Annotated[Path, typer.Argument(metavar="PLAN", help="The plan folder, or its plan.json.")]


@command(rows=True)
def files_(
    folder: PlanFolder,
    forms: Annotated[list[FormChoice], typer.Option("--format", help="Format to write. Repeatable.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write to; earlier files of rightsize are replaced.")],
    review: Decisions = None,
    *,
    trusted: PlanSigners,
    common: Common,
) -> None:
    """Write the roles and assignments of a plan for other tools.

    The files remove nothing. Each role and assignment has the same id as in `rollout`. Assignments that become eligible
    or time-bound are left out: they take requests to Privileged Identity Management, after its rules. With --review,
    only accepted proposals are written.
    """
    made = deploy.write_deployment(common.db, folder, out, [form.value for form in forms], review, trusted.asked)
    common.show([{"file": name} for name in made.files], ("file",))
    contents = made.contents
    roles, made_of = counted(len(contents.roles), "role"), counted(len(contents.assignments), "assignment")
    say(f"wrote {roles} and {made_of} to {out}")
    if contents.managed:
        say(f"left out: {contents.managed} assignments that become eligible or time-bound")
    common.say_next(common.with_db(f"rightsize plan verify {for_shell(str(folder))}"))


@command(output=False)
def comment_(
    folder: PlanFolder,
    review: Decisions = None,
    *,
    trusted: PlanSigners,
    common: Common,
) -> None:
    """Write a plan to stdout as a pull request comment.

    It has changes, reasons, proof and what may break. The comment keeps to the length that hosts accept. If some
    changes do not fit, its top says how many. Names come from the store.
    """
    write(deploy.comment_on(common.db, folder, review, trusted.asked))


@command(output=False)
def sign_(
    folder: PlanFolder,
    key: Annotated[
        Path,
        typer.Option(
            "--key", help="Key of OpenSSH or minisign. A public OpenSSH key is enough if the agent has the private one."
        ),
    ],
    *,
    common: Common,
) -> None:
    """Sign a plan with `ssh-keygen` or `minisign`.

    The signature is of the chain of hashes; `plan verify --signers` checks it.
    """
    say(f"signed: {plan_folder.sign_plan(folder, key)}")
    common.say_next(f"rightsize plan verify {for_shell(str(folder))} --signers FILE")


@command(output=False)
def schema_() -> None:
    """Write the JSON Schema of plan.json to stdout."""
    write(schemas.schema_text("plan"))


VERIFY_COLUMNS = ("what", "id", "name", "change", "operation", "plane", "scope", "role_assignment_ids", "detail")


class Prover(StrEnum):
    """The solvers that can be asked."""

    SMT = "smt"


@command(rows=True)
def verify(
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help="The plan folder, or its plan.json.")],
    prover: Annotated[
        Prover | None,
        typer.Option(
            "--prover",
            help="Also ask this solver, which knows nothing of rightsize, what each proof rests on. smt is Z3, of the "
            "extra rightsize-azure[prover].",
        ),
    ] = None,
    *,
    trusted: PlanSigners,
    common: Common,
) -> None:
    """Prove a plan on today's store, and refuse a stale one.

    A plan is stale if an assignment, role definition, membership or deny assignment that it read has changed, or if the
    logs show use that it does not cover. Exit code 6 comes with all changes. Exit code 3 means that nothing has changed
    and the plan still does not hold, or that it lacks a signature of --signers. Exit code 5 means that the folder
    differs from the chain of hashes beside the plan. With --prover, exit code 3 also means that the solver found one of
    our answers about roles wrong, and exit code 6 that it could not decide one.
    """
    result = verify_workflow.verify_plan(common.db, plan, signers=trusted.asked, with_solver=prover is Prover.SMT)
    if common.is_table:
        write("".join(_reason_lines(result.rows, every=common.every)))
    else:
        common.show(result.rows, VERIFY_COLUMNS, document=result.document)
    for note in result.notes:
        say(note)
    if result.refusal is not None:
        raise result.refusal
    say(f"verified: {result.summary}")
    common.say_next(common.with_db(f"rightsize rollout plan {for_shell(str(plan))} --out rollout"))


def _reason_lines(rows: Sequence[Mapping[str, Any]], *, every: bool) -> Iterator[str]:
    """Yield the faults of the plan as lines for people; every line is escaped."""
    shown, rest = first_rows(rows, every=every)
    for row in shown:
        for line in _reason_text(row):
            yield for_terminal(line) + "\n"
    if rest:
        yield f"{rest}\n"


def _reason_text(row: Mapping[str, Any]) -> Iterator[str]:
    called = f"{row['name']} ({row['id']})" if row["name"] else row["id"]
    yield f"{row['what'].replace('_', ' ')} {row['change'].replace('_', ' ')}: {called}"
    if row["what"] == "use":
        yield f"  {row['operation']} ({row['plane']}) at {row['scope']}"
        yield f"  allowed by assignments that the plan removes: {', '.join(row['role_assignment_ids'])}"
    else:
        yield f"  {row['detail']}"


PATCH_COLUMNS = ("result", "change", "path", "line", "why", "proposal")


@command(rows=True)
def patch_(
    folder: PlanFolder,
    into: Annotated[Path, typer.Option("--into", help="The repository with the code, or a folder of it.")],
    states: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            metavar="[FOLDER=]FILE",
            help="State of Terraform. FOLDER is that of its code, where it does not stand in it. Repeatable.",
            show_default=False,
        ),
    ] = None,
    shown: Annotated[
        list[str] | None,
        typer.Option(
            "--show-json",
            metavar="[FOLDER=]FILE",
            help="Output of `terraform show -json`, of a state or a plan. Repeatable.",
            show_default=False,
        ),
    ] = None,
    deployments: Annotated[
        list[Path] | None,
        typer.Option(
            "--deployment", help="Output of `az deployment … show` for Bicep. Repeatable.", show_default=False
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for the patches and ISSUE.md.")] = Path("reports/patch"),
    branch: Annotated[
        bool, typer.Option("--branch", help="Also commit the edits to two new branches; nothing is pushed.")
    ] = False,
    has_stacks: Annotated[
        bool, typer.Option("--stack", help="Deployment stacks delete what leaves a Bicep file.")
    ] = False,
    review: Decisions = None,
    *,
    trusted: PlanSigners,
    common: Common,
) -> None:
    """Write a plan as patches of your own Terraform and Bicep.

    add.patch makes the new roles and assignments; apply it, deploy, and then remove.patch. ISSUE.md has what no edit
    can be proved for, with the place and the reason. An edit is offered only if the edited code, read back with the
    same states, grants what the plan says, and everything else stays as it was.
    """
    sources = patch_workflow.Sources((*(states or ()), *(shown or ())), deployments or (), has_stacks)
    made = patch_workflow.write_patch(
        common.db, folder, into, out, sources, with_branches=branch, review=review, signers=trusted.asked
    )
    common.show(made.rows, PATCH_COLUMNS[:-1] if common.is_table else PATCH_COLUMNS)
    say(
        f"{counted(made.count('patched'), 'change')} patched, {made.count('by hand')} by hand, "
        f"{made.count('no code')} without code; wrote {', '.join(made.files)} to {out}"
    )
    for note in made.notes:
        say(note)
    for name in made.branches:
        say(f"made the branch {name}")
    if made.count("patched"):
        common.say_next(f"less {for_shell(str(out / patch_workflow.ADD))}")
