"""`rightsize sql`: run one read-only SQL statement on the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rightsize.cli.narration import say, set_verbosity
from rightsize.cli.options import DEFAULT_DB, AllRows, Db, NoInput, Output, OutputFormat, Quiet, Verbose
from rightsize.cli.output import show

if TYPE_CHECKING:
    from rightsize.store.sandbox import Answer

Parameters = Annotated[
    list[str] | None,
    typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="Value for `$NAME`. Repeatable."),
]
MaxRows = Annotated[int, typer.Option("--max-rows", min=1, help="Show no more rows than this.")]
Timeout = Annotated[float, typer.Option("--timeout", min=0.1, help="Stop the statement after this many seconds.")]


def sql(
    statement: Annotated[
        str, typer.Argument(help="One SELECT, WITH, FROM, DESCRIBE, SHOW or EXPLAIN; `-` reads it from stdin.")
    ],
    parameters: Parameters = None,
    max_rows: MaxRows = 10_000,
    timeout: Timeout = 60.0,
    db: Db = DEFAULT_DB,
    every: AllRows = False,
    output: Output = OutputFormat.TABLE,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; this one never asks
) -> None:
    """Run one SQL statement that reads the store.

    Values of `-p` are text: cast them, as in `$n::INTEGER`.
    """
    from rightsize.workflow.sql import ask  # noqa: PLC0415

    set_verbosity(verbose, quiet)
    show_answer(ask(db, statement, parameters or [], max_rows=max_rows, timeout=timeout), output, every=every)


def show_answer(answer: Answer, output: OutputFormat, *, every: bool) -> None:
    """Write the rows of an answer, and say where rows were left out.

    Rows that are too wide for the terminal are written one column a line.
    """
    show(answer.rows, answer.columns, output, every=every, wraps=False)
    if answer.cut:
        say(f"only the first {len(answer.rows)} rows are shown; --max-rows gives more")
