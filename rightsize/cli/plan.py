"""`rightsize plan`: write an existing plan in other forms, as a comment, sign it, or write the schema of plans."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rightsize.cli.narration import say, say_next, set_verbosity
from rightsize.cli.options import DEFAULT_DB, AllRows, Db, NoInput, Output, OutputFormat, Quiet, Verbose, with_db
from rightsize.cli.output import show, write
from rightsize.cli.propose import FormChoice

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

Decisions = Annotated[
    Path | None, typer.Option("--review", help="File of decisions, from `rightsize review`.", show_default=False)
]
PlanFolder = Annotated[Path, typer.Argument(metavar="PLAN", help="The plan folder, or its plan.json.")]


@app.callback()
def plan() -> None:
    """Write a plan as files to deploy or as a comment to review, sign it, or write its schema."""


@app.command("files")
def files_(
    folder: PlanFolder,
    forms: Annotated[list[FormChoice], typer.Option("--format", help="Format to write. Repeatable.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write to; earlier files of rightsize are replaced.")],
    review: Decisions = None,
    db: Db = DEFAULT_DB,
    every: AllRows = False,
    output: Output = OutputFormat.TABLE,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; this one never asks
) -> None:
    """Write the new roles and assignments of a plan for other deployment tools; the files remove nothing.

    Each role and assignment has the same id as in `rollout`. Assignments that become eligible or time-bound are left
    out: they take requests to Privileged Identity Management, after its rules. With --review, only accepted proposals
    are written.
    """
    from rightsize.render.escape import for_shell  # noqa: PLC0415
    from rightsize.workflow.deploy import write_deployment  # noqa: PLC0415

    set_verbosity(verbose, quiet)
    made = write_deployment(db, folder, out, [form.value for form in forms], review)
    show([{"file": name} for name in made.files], ("file",), output, every=every)
    contents = made.contents
    say(f"wrote {len(contents.roles)} roles and {len(contents.assignments)} assignments to {out}")
    if contents.managed:
        say(f"left out: {contents.managed} assignments that become eligible or time-bound")
    say_next(with_db(f"rightsize verify {for_shell(str(folder))}", db), output=output)


@app.command("comment")
def comment_(
    folder: PlanFolder,
    review: Decisions = None,
    db: Db = DEFAULT_DB,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; this one never asks
) -> None:
    """Write a plan to stdout as a pull request comment: changes, reasons, proof and what may break.

    The comment keeps to the length that hosts accept. If some changes do not fit, its top says how many. Names come
    from the store.
    """
    from rightsize.workflow.deploy import comment_on  # noqa: PLC0415

    set_verbosity(verbose, quiet)
    write(comment_on(db, folder, review))


@app.command("sign")
def sign_(
    folder: PlanFolder,
    key: Annotated[
        Path,
        typer.Option(
            "--key", help="Key of OpenSSH or minisign. A public OpenSSH key is enough if the agent has the private one."
        ),
    ],
    verbose: Verbose = 0,
    quiet: Quiet = False,
    db: Db = DEFAULT_DB,  # noqa: ARG001  every command takes it; files need no store
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; what asks is the tool
) -> None:
    """Sign the chain of hashes of a plan with `ssh-keygen` or `minisign`; `verify --signers` checks the signature."""
    from rightsize.render.escape import for_shell  # noqa: PLC0415
    from rightsize.workflow.signatures import sign_plan  # noqa: PLC0415

    set_verbosity(verbose, quiet)
    say(f"signed: {sign_plan(folder, key)}")
    say_next(f"rightsize verify {for_shell(str(folder))} --signers FILE")


@app.command("schema")
def schema_(
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; this one never asks
) -> None:
    """Write the JSON Schema of plan.json to stdout."""
    from rightsize.render.plan import plan_schema  # noqa: PLC0415

    set_verbosity(verbose, quiet)
    write(plan_schema())
