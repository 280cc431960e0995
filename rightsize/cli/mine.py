"""`rightsize mine`: mine roles from plain pairs of user and permission."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rightsize.cli.command import Common, command
from rightsize.cli.narration import say
from rightsize.render.escape import for_shell
from rightsize.workflow import mine as workflow


@command()
def mine(
    file: Annotated[Path, typer.Argument(help="Text file with a user and a permission on each line.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the roles to this file, one JSON object on each line.")
    ] = None,
    time_limit: Annotated[float, typer.Option("--time-limit", min=0.1, help="Time limit, in seconds.")] = 60.0,
    *,
    common: Common,
) -> None:
    """Find the fewest roles that give each user exactly the listed permissions, with a proven lower bound."""
    mined = workflow.mine_roles(file, time_limit=time_limit)
    if out is not None:
        workflow.write_roles(mined, out)
        say(f"wrote {len(mined.roles)} roles to {out}")
    answer = mined.answer()
    common.show([answer], list(answer), document=answer)
    step = f"read {out}" if out is not None else f"rightsize mine {for_shell(str(file))} --out roles.jsonl"
    common.say_next(step)
