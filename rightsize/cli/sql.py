"""`rightsize sql`: run one read-only SQL statement on the store."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from rightsize.cli.narration import say, set_verbosity
from rightsize.cli.options import DEFAULT_DB, Db, NoInput, Output, OutputFormat, Quiet, Verbose
from rightsize.cli.output import show, write

if TYPE_CHECKING:
    from rightsize.store.sandbox import Answer

Parameters = Annotated[
    list[str] | None,
    typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="Value for `$NAME`. Repeatable."),
]
MaxRows = Annotated[int, typer.Option("--max-rows", min=1, help="Show no more rows than this.")]
Timeout = Annotated[float, typer.Option("--timeout", min=0.1, help="Stop the statement after this many seconds.")]

# Number of spaces between two columns of a terminal table.
_GAP = 3


def sql(
    statement: Annotated[
        str, typer.Argument(help="One SELECT, WITH, FROM, DESCRIBE, SHOW or EXPLAIN; `-` reads it from stdin.")
    ],
    parameters: Parameters = None,
    max_rows: MaxRows = 10_000,
    timeout: Timeout = 60.0,
    db: Db = DEFAULT_DB,
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
    show_answer(ask(db, statement, parameters or [], max_rows=max_rows, timeout=timeout), output)


def show_answer(answer: Answer, output: OutputFormat) -> None:
    """Write the rows of an answer, and say where rows were left out.

    Rows that are too wide for the terminal are written one column a line.
    """
    lines = list(_records(answer)) if output is OutputFormat.TABLE and _is_too_wide(answer) else []
    if lines:
        write("".join(f"{line}\n" for line in lines))
    else:
        show(answer.rows, answer.columns, output)
    if answer.cut:
        say(f"only the first {len(answer.rows)} rows are shown; --max-rows gives more")


def _is_too_wide(answer: Answer) -> bool:
    from rightsize.render.rows import cell  # noqa: PLC0415  kept out of `--help`

    widths = (max(len(name), *(len(cell(row[name])) for row in answer.rows)) for name in answer.columns if answer.rows)
    return sum(width + _GAP for width in widths) > shutil.get_terminal_size((80, 24)).columns


def _records(answer: Answer) -> Iterator[str]:
    from rightsize.render.escape import for_terminal  # noqa: PLC0415  kept out of `--help`
    from rightsize.render.rows import cell  # noqa: PLC0415

    names = [for_terminal(name) for name in answer.columns]
    size = max(map(len, names))
    for number, row in enumerate(answer.rows):
        if number:
            yield ""
        for name, column in zip(names, answer.columns, strict=True):
            yield f"{name.ljust(size)}  {for_terminal(cell(row[column]))}".rstrip()
