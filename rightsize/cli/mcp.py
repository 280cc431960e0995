"""`rightsize mcp`: answer the questions of AI agents about the store, read-only, over the Model Context Protocol."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from rightsize.cli.command import Common, command
from rightsize.cli.narration import say
from rightsize.cli.options import DEFAULT_PLAN
from rightsize.cli.output import write
from rightsize.cli.plan_options import PlanSigners
from rightsize.mcp import serve as server
from rightsize.mcp import skill as page


@command(output=False)
def mcp(
    plan: Annotated[
        Path, typer.Option("--plan", help="The plan folder that the tools show. They read no other.")
    ] = DEFAULT_PLAN,
    rows: Annotated[int, typer.Option("--rows", min=1, max=1000, help="The most rows of a list in an answer.")] = 50,
    timeout: Annotated[float, typer.Option("--timeout", min=1, help="The most seconds for an answer.")] = 120.0,
    skill: Annotated[
        bool, typer.Option("--skill", help="Print the page that tells an agent how to use the tools, and end.")
    ] = False,
    *,
    trusted: PlanSigners,
    common: Common,
) -> None:
    """Answer the questions of AI agents over stdin and stdout (Model Context Protocol); every tool only reads.

    A client starts this command; docs/mcp.md shows its settings. It needs the extra `mcp`.
    """
    if skill:
        write(page.read_skill())
        return
    if sys.stdin.isatty():
        say("waiting for a client's messages on stdin; Ctrl-D ends")
    server.serve(common.db, plan, trusted.asked, rows=rows, seconds=timeout)
