"""`rightsize prune`: delete the rows of old days; usage, coverage and sign-ins by day stay."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from rightsize.cli.narration import say, say_next, set_verbosity
from rightsize.cli.options import DEFAULT_DB, Db, NoInput, Output, OutputFormat, Quiet, Verbose, with_db
from rightsize.cli.output import show

COLUMNS = ("sealed_before", "events", "sign_ins", "kept", "bytes_before", "bytes_after")


def prune(
    keep_days: Annotated[
        int,
        typer.Option("--keep-days", min=1, help="Number of days that keep their rows, up to the newest logged day."),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Delete the rows. Without --yes they are only counted.")] = False,
    db: Db = DEFAULT_DB,
    output: Output = OutputFormat.TABLE,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; this one never asks
) -> None:
    """Delete the single events and sign-ins of old days and shrink the store; daily use, coverage and sign-ins stay.

    Pruned days are sealed: rows that are loaded for them later are counted as `late` and change nothing.
    """
    from rightsize.workflow.prune import prune_store  # noqa: PLC0415

    set_verbosity(verbose, quiet)
    pruning = prune_store(db, keep_days, done=yes)
    show([{**asdict(pruning), "sealed_before": pruning.before}], COLUMNS, output)
    if not yes:
        say("nothing was deleted; deleted rows cannot be restored")
    step = "rightsize status" if yes else f"rightsize prune --keep-days {keep_days} --yes"
    say_next(with_db(step, db), output=output)
