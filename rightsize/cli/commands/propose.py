"""`rightsize propose`: write a plan of the smallest role assignments that would have allowed the observed use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from rightsize.analyze.lacks import note_of
from rightsize.analyze.reasons import sentence
from rightsize.cli.command import Common, command
from rightsize.cli.narration import say, say_place
from rightsize.cli.options import DEFAULT_PLAN, OutputFormat, PlanSigners
from rightsize.cli.output import copy_file, short_name, write
from rightsize.model.options import PlanChoices
from rightsize.model.plan import AZURE_ROLES, PLANE_NAMES, PROPOSAL_KINDS
from rightsize.model.plan_totals import total_excess
from rightsize.model.progress import counted
from rightsize.propose.core import options as plan_options
from rightsize.render import next_steps, sentences
from rightsize.render.deploy.files import PLAN_FORMS
from rightsize.render.escape import for_shell
from rightsize.render.sentences import separation_lines
from rightsize.workflow import plan_folder
from rightsize.workflow.plan import propose as exclusions
from rightsize.workflow.plan import propose as workflow

COLUMNS = (
    "id",
    "principal_id",
    "principal",
    "kind",
    "role_assignment_id",
    "role",
    "scope",
    "assignments",
    "excess_before",
    "excess_after",
    "break_probability_30d",
    "break_bound_30d",
    "reason",
    "plane",
    "rank",
    "share",
)
_QUESTIONS = 12
"""The number of questions that are written to the terminal."""
BRIEF = ("id", "share", "breaks", "change", "assignment")


class FormChoice(StrEnum):
    """A further form of a plan: its roles and assignments, or a comment on a pull request."""

    _ignore_ = "form"
    for form in (*PLAN_FORMS, "markdown"):
        vars()[form.upper()] = form


@command(rows=True)
def propose(
    *,
    out: Annotated[
        Path, typer.Option("--out", help="The plan folder; earlier files of rightsize are replaced.")
    ] = DEFAULT_PLAN,
    asked: PlanChoices,
    previous: Annotated[
        Path | None,
        typer.Option(
            "--previous",
            metavar="PLAN",
            help="An earlier plan folder. Its new roles stay while each saves half of what a new one has to save.",
        ),
    ] = None,
    exclude_from: Annotated[
        list[Path] | None,
        typer.Option(
            "--exclude-from",
            metavar="FILE",
            help="Leave alone the principals, roles, scopes and tags in a .toml, .json or .csv file, each with reason, "
            "owner and last day. Repeatable.",
        ),
    ] = None,
    forms: Annotated[
        list[FormChoice] | None,
        typer.Option(
            "--format",
            help="Also write roles and assignments in this format; markdown is a pull request comment. Repeatable.",
        ),
    ] = None,
    review: Annotated[
        Path | None,
        typer.Option("--review", help="File of decisions, from `rightsize review`: rejected changes are not made."),
    ] = None,
    trusted: PlanSigners,
    common: Common,
) -> None:
    """Write a plan of the smallest roles for what was used.

    They would have allowed the observed use; the plan has the proof.
    """
    options = plan_options.PlanOptions.of(
        asked,
        plan_folder.read_plan_folder(previous, trusted.asked).roles.values() if previous is not None else (),
        (entry for path in exclude_from or () for entry in exclusions.read_exclusion_file(path)),
    )
    say_place(out, DEFAULT_PLAN)
    result = workflow.propose_plan(common.db, options, out, forms=[form.value for form in forms or ()], review=review)
    for line in result.said_first:
        say(line)
    if common.output is OutputFormat.MARKDOWN:
        write(result.comment)
    elif common.output is OutputFormat.JSON:
        copy_file(result.out / "plan.json")
    else:
        rows = map(brief, result.rows()) if common.is_table else result.rows()
        common.show(rows, COLUMNS, table_columns=BRIEF, below="reason")
    for line in (*_total_lines(result), *_question_lines(result)):
        say(line)
    for advice in (*result.plan.advice, *(one for part in result.plan.parts for one in part.advice)):
        say(f"{advice.subject}: {advice.text}", level=0 if advice.subject.startswith("--") else 1)
    for line in note_of(result.lacks, "the plan has no proposal for access that no listing shows"):
        say(line)
    for one in result.unmatched:
        say(f"decision on a proposal that no longer exists: {one.proposal}, {one}")
    say(f"wrote {counted(len(result.files), 'file')} to {out}")
    # Without a change, only further logs or listings change the answer.
    step = f"rightsize next{name_plan(out)}" if result.steps.by_proposal() else "rightsize status logs"
    common.say_next(common.with_db(step))


_NO_EXCESS = (
    "the excess is not known without the catalogue of operations: `az provider operation list -o json > "
    "operations.json`, then `rightsize catalog import operations.json`"
)


def _total_lines(result: workflow.ProposeResult) -> Iterator[str]:
    """Yield the changes of each plane, its replay, the excess, and what to do first."""
    for plane, kinds in result.planes.items():
        counts = ", ".join(f"{number} {kind}" for kind, number in kinds.items()).replace("_", " ")
        yield f"{PLANE_NAMES[plane]}: {counts}"
    if not result.planes:
        yield "no assignments are loaded"
    yield _replay_line(AZURE_ROLES, result.plan.replay, result.plan.verdicts.get("unexplained", 0))
    for part in result.plan.parts:
        yield _replay_line(part.plane, part.replay, part.replay["unknown"])
    excess = sentences.excess_lines(total_excess(result.plan.proposals))
    yield from excess if result.has_catalogue else [_NO_EXCESS]
    yield from separation_lines(result.plan.separation)
    yield from next_steps.next_lines(result.steps)
    yield from filter(None, (next_steps.left_out_line(result.steps),))


def _question_lines(result: workflow.ProposeResult) -> Iterator[str]:
    """Yield the questions to owners, the widest access first."""
    if result.questions:
        yield f"questions to owners: {len(result.questions):,}, which the plan's advice has"
    for one in result.questions[:_QUESTIONS]:
        yield f"  {result.names.get(one.subject, one.subject)}: {one.text}"
    if len(result.questions) > _QUESTIONS:
        yield f"  and {len(result.questions) - _QUESTIONS:,} more, in `{result.out / workflow.SUMMARY}`"


def name_plan(plan: Path) -> str:
    """Return a plan folder as the argument of a command, with a space before it; empty for the usual one."""
    return "" if plan == DEFAULT_PLAN else f" {for_shell(str(plan))}"


def _replay_line(plane: str, replay: Mapping[str, int], unexplained: int) -> str:
    """Return what the replay of a plane's calls found under the plan."""
    return (
        f"replay of {PLANE_NAMES[plane]}: {replay['allowed']:,} distinct calls stay allowed, "
        f"{replay['needs_activation']:,} need an activation, {replay['denied']:,} are denied; "
        f"unexplained operations: {unexplained:,}"
    )


def brief(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row for a terminal; its id, names and scope are taken by other commands as they stand there."""
    return {
        **row,
        "id": row["short"],
        "share": "" if row["share"] is None else f"{row['share']:.1%}",
        "breaks": f"{100 * row['break_probability_30d']:.1f} %" if PROPOSAL_KINDS[row["kind"]].changes else "",
        "change": row["kind"].replace("_", " "),
        "assignment": f"{short_name(row['principal'])}: {row['role_and_scope']}",
        "reason": "; ".join(map(sentence, row["reason"].split("; "))),
    }
