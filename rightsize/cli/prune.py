"""`rightsize prune`: delete the rows of old days; usage, coverage and sign-ins by day stay."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from rightsize.cli.command import Common, command
from rightsize.cli.narration import say
from rightsize.workflow import prune as workflow

COLUMNS = ("sealed_before", "events", "sign_ins", "kept", "bytes_before", "bytes_after")


@command()
def prune(
    keep_days: Annotated[
        int,
        typer.Option("--keep-days", min=1, help="Number of days that keep their rows, up to the newest logged day."),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Delete the rows. Without --yes they are only counted.")] = False,
    *,
    common: Common,
) -> None:
    """Delete the single events and sign-ins of old days and shrink the store; daily use, coverage and sign-ins stay.

    Pruned days are sealed: rows that are loaded for them later are counted as `late` and change nothing.
    """
    pruning = workflow.prune_store(common.db, keep_days, done=yes)
    common.show([{**asdict(pruning), "sealed_before": pruning.before}], COLUMNS)
    if not yes:
        say("nothing was deleted; deleted rows cannot be restored")
    step = "rightsize status" if yes else f"rightsize prune --keep-days {keep_days} --yes"
    common.say_next(common.with_db(step))
