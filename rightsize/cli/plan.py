"""`rightsize plan`: write an existing plan in other forms, as a comment, sign it, or write the schema of plans."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rightsize.cli.command import Common, command
from rightsize.cli.narration import say
from rightsize.cli.output import write
from rightsize.cli.plan_options import PlanSigners
from rightsize.cli.propose import FormChoice
from rightsize.render import schemas
from rightsize.render.escape import for_shell
from rightsize.workflow import deploy, plan_folder

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
    """Write the new roles and assignments of a plan for other deployment tools; the files remove nothing.

    Each role and assignment has the same id as in `rollout`. Assignments that become eligible or time-bound are left
    out: they take requests to Privileged Identity Management, after its rules. With --review, only accepted proposals
    are written.
    """
    made = deploy.write_deployment(common.db, folder, out, [form.value for form in forms], review, trusted.asked)
    common.show([{"file": name} for name in made.files], ("file",))
    contents = made.contents
    say(f"wrote {len(contents.roles)} roles and {len(contents.assignments)} assignments to {out}")
    if contents.managed:
        say(f"left out: {contents.managed} assignments that become eligible or time-bound")
    common.say_next(common.with_db(f"rightsize verify {for_shell(str(folder))}"))


@command(output=False)
def comment_(
    folder: PlanFolder,
    review: Decisions = None,
    *,
    trusted: PlanSigners,
    common: Common,
) -> None:
    """Write a plan to stdout as a pull request comment: changes, reasons, proof and what may break.

    The comment keeps to the length that hosts accept. If some changes do not fit, its top says how many. Names come
    from the store.
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
    """Sign the chain of hashes of a plan with `ssh-keygen` or `minisign`; `verify --signers` checks the signature."""
    say(f"signed: {plan_folder.sign_plan(folder, key)}")
    common.say_next(f"rightsize verify {for_shell(str(folder))} --signers FILE")


@command(output=False)
def schema_() -> None:
    """Write the JSON Schema of plan.json to stdout."""
    write(schemas.schema_text("plan"))
