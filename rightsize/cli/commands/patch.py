"""`rightsize plan patch`: write a plan as patches of a team's own Terraform and Bicep."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rightsize.cli.command import Common, command
from rightsize.cli.commands.plan import Decisions, PlanFolder
from rightsize.cli.narration import say
from rightsize.cli.options import PlanSigners
from rightsize.model.progress import counted
from rightsize.render.escape import for_shell
from rightsize.workflow.plan import patch as workflow

COLUMNS = ("result", "change", "path", "line", "why", "proposal")


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
    sources = workflow.Sources((*(states or ()), *(shown or ())), deployments or (), has_stacks)
    made = workflow.write_patch(
        common.db, folder, into, out, sources, with_branches=branch, review=review, signers=trusted.asked
    )
    common.show(made.rows, COLUMNS[:-1] if common.is_table else COLUMNS)
    say(
        f"{counted(made.count('patched'), 'change')} patched, {made.count('by hand')} by hand, "
        f"{made.count('no code')} without code; wrote {', '.join(made.files)} to {out}"
    )
    for note in made.notes:
        say(note)
    for name in made.branches:
        say(f"made the branch {name}")
    if made.count("patched"):
        common.say_next(f"less {for_shell(str(out / workflow.ADD))}")
