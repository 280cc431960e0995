"""`rightsize exports`: write the script that fetches a tenant's exports with `az`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rightsize.cli.collect import Subscriptions
from rightsize.cli.narration import say, say_next, set_verbosity
from rightsize.cli.options import DEFAULT_DB, Db, NoInput, Quiet, Verbose
from rightsize.cli.output import write


class Shell(StrEnum):
    """The shell that runs the script."""

    BASH = "bash"
    POWERSHELL = "powershell"


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
    db: Db = DEFAULT_DB,  # noqa: ARG001  every command takes it; a script needs no store
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; this one never asks
) -> None:
    """Write a script that fetches what `load` reads with `az`, over all subscriptions and management groups.

    The script writes a folder with a manifest, which says who read each file and whether it is complete. A refusal
    stops nothing, and the same command continues an interrupted run. This command itself asks nothing of Azure.
    """
    from rightsize.render.escape import for_shell  # noqa: PLC0415
    from rightsize.workflow.exports import write_exports_script  # noqa: PLC0415
    from rightsize.workflow.text_files import write_text  # noqa: PLC0415

    set_verbosity(verbose, quiet)
    text = write_exports_script(days, subscription or (), source or (), shell.value)
    if out is None:
        write(text)
        return
    write_text(out, text)
    run = "bash" if shell is Shell.BASH else "pwsh"
    say(f"wrote {out}; review it and sign in with `az login`")
    say_next(f"{run} {for_shell(str(out))} exports; rightsize load exports")
