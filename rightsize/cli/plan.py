"""`rightsize plan`: write an existing plan in other forms, as a comment, or sign it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rightsize.cli.narration import say, set_verbosity
from rightsize.cli.options import DEFAULT_DB, Db, NoInput, Output, OutputFormat, Quiet, Verbose
from rightsize.cli.output import show, write
from rightsize.cli.propose import FormChoice

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

Decisions = Annotated[
    Path | None, typer.Option("--review", help="Decisions, as `rightsize review` writes them.", show_default=False)
]
PlanFolder = Annotated[Path, typer.Argument(metavar="PLAN", help="The plan folder, or its plan.json.")]


@app.callback()
def plan() -> None:
    """Write a plan in the forms that teams deploy and review."""


@app.command("files")
def files_(
    folder: PlanFolder,
    forms: Annotated[list[FormChoice], typer.Option("--format", help="A form to write. Repeatable.")],
    out: Annotated[Path, typer.Option("--out", help="The folder; earlier files of ours in it are replaced.")],
    review: Decisions = None,
    db: Db = DEFAULT_DB,
    output: Output = OutputFormat.TABLE,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; this one never asks
) -> None:
    """Write the roles and assignments that a plan brings, to be deployed by other tools; they remove nothing.

    Every role and assignment has the id that `rollout` gives it. What is to become eligible or to end by itself is left
    out: that takes requests to Privileged Identity Management, and its rules first. With --review only what is accepted
    is written.
    """
    from rightsize.workflow.deploy import write_deployment  # noqa: PLC0415

    set_verbosity(verbose, quiet)
    made = write_deployment(db, folder, out, [form.value for form in forms], review)
    show([{"file": name} for name in made.files], ("file",), output)
    contents = made.contents
    say(f"{len(contents.roles)} roles, {len(contents.assignments)} assignments; in {out}")
    if contents.managed:
        say(f"left out: {contents.managed} assignments that are to become eligible, or to end by themselves")


@app.command("comment")
def comment_(
    folder: PlanFolder,
    review: Decisions = None,
    db: Db = DEFAULT_DB,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; this one never asks
) -> None:
    """Write a plan to stdout as a comment on a pull request: what goes, what comes, why, the proof, and what may break.

    It is never longer than a host takes; where not all changes fit, its top says how many do not. The store gives the
    names.
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
            "--key", help="A key of OpenSSH (a public one whose other half the agent holds will do), or of minisign."
        ),
    ],
    verbose: Verbose = 0,
    quiet: Quiet = False,
    db: Db = DEFAULT_DB,  # noqa: ARG001  every command takes it; files need no store
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; what asks is the tool
) -> None:
    """Sign a plan by the chain of hashes beside it, with `ssh-keygen` or `minisign`; `verify --signers` checks it."""
    from rightsize.workflow.signatures import sign_plan  # noqa: PLC0415

    set_verbosity(verbose, quiet)
    say(f"signed: {sign_plan(folder, key)}")
