"""`rightsize exports`: write the script that fetches a tenant's exports with `az`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rightsize.cli.collect import Subscriptions
from rightsize.cli.command import Common, command
from rightsize.cli.narration import say
from rightsize.cli.output import write
from rightsize.render.escape import for_shell
from rightsize.workflow import exports as workflow
from rightsize.workflow import text_files


class Shell(StrEnum):
    """The shell that runs the script."""

    BASH = "bash"
    POWERSHELL = "powershell"


@command(output=False)
def exports(
    shell: Annotated[Shell, typer.Option("--shell", help="The shell that runs the script.")] = Shell.BASH,
    out: Annotated[Path | None, typer.Option("--out", help="Write the script to this file, not to stdout.")] = None,
    days: Annotated[
        int, typer.Option("--days", min=1, max=365, help="Number of days of logs that the script fetches.")
    ] = 90,
    subscription: Subscriptions = None,
    source: Annotated[
        list[str] | None,
        typer.Option("--source", help="Only this source of `rightsize collect` and those it needs. Repeatable."),
    ] = None,
    *,
    common: Common,
) -> None:
    """Write a script that fetches what `load` reads with `az`, over all subscriptions and management groups.

    The script writes a folder with a manifest, which says who read each file and whether it is complete. A refusal
    stops nothing, and the same command continues an interrupted run. This command itself asks nothing of Azure.
    """
    text = workflow.write_exports_script(days, subscription or (), source or (), shell.value)
    if out is None:
        write(text)
        return
    text_files.write_text(out, text)
    run = "bash" if shell is Shell.BASH else "pwsh"
    say(f"wrote {out}; review it and sign in with `az login`")
    common.say_next(f"{run} {for_shell(str(out))} exports; rightsize load exports")
