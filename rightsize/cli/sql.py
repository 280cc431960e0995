"""`rightsize sql`: run one read-only SQL statement on the store."""

from __future__ import annotations

from typing import Annotated

import typer

from rightsize.cli.command import Common, command
from rightsize.cli.narration import say
from rightsize.store import sandbox
from rightsize.workflow import sql as workflow

Parameters = Annotated[
    list[str] | None,
    typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="Value for `$NAME`. Repeatable."),
]
MaxRows = Annotated[int, typer.Option("--max-rows", min=1, help="Show no more rows than this.")]
Timeout = Annotated[float, typer.Option("--timeout", min=0.1, help="Stop the statement after this many seconds.")]


@command(rows=True)
def sql(
    statement: Annotated[
        str, typer.Argument(help="One SELECT, WITH, FROM, DESCRIBE, SHOW or EXPLAIN; `-` reads it from stdin.")
    ],
    parameters: Parameters = None,
    max_rows: MaxRows = 10_000,
    timeout: Timeout = 60.0,
    *,
    common: Common,
) -> None:
    """Run one SQL statement that reads the store.

    Values of `-p` are text: cast them, as in `$n::INTEGER`.
    """
    show_answer(workflow.ask(common.db, statement, parameters or [], max_rows=max_rows, timeout=timeout), common)


def show_answer(answer: sandbox.Answer, common: Common) -> None:
    """Write the rows of an answer, and say where rows were left out.

    Rows that are too wide for the terminal are written one column a line.
    """
    common.show(answer.rows, answer.columns, wraps=False)
    if answer.cut:
        say(f"only the first {len(answer.rows)} rows are shown; --max-rows gives more")
