"""`rightsize mine`: mine roles from plain pairs of user and permission."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rightsize.cli.narration import say, say_next, set_verbosity
from rightsize.cli.options import NoInput, Output, OutputFormat, Quiet, Verbose
from rightsize.cli.output import show


def mine(
    file: Annotated[Path, typer.Argument(help="Text file with a user and a permission on each line.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the roles to this file, one JSON object on each line.")
    ] = None,
    time_limit: Annotated[
        float, typer.Option("--time-limit", min=0.1, help="Time limit of the solver, in seconds.")
    ] = 60.0,
    output: Output = OutputFormat.TABLE,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; this one never asks
) -> None:
    """Find the fewest roles that give each user exactly the listed permissions, with a proven lower bound."""
    from rightsize.render.escape import for_shell  # noqa: PLC0415
    from rightsize.workflow.mine import mine_roles, write_roles  # noqa: PLC0415

    set_verbosity(verbose, quiet)
    mined = mine_roles(file, time_limit=time_limit)
    if out is not None:
        write_roles(mined, out)
        say(f"wrote {len(mined.roles)} roles to {out}")
    answer = mined.answer()
    show([answer], list(answer), output, document=answer)
    step = f"read {out}" if out is not None else f"rightsize mine {for_shell(str(file))} --out roles.jsonl"
    say_next(step, output=output)
