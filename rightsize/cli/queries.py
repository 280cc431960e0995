"""`rightsize queries`: list, show and run the saved questions."""

from __future__ import annotations

from typing import Annotated

import typer

from rightsize.cli.narration import say_next, set_verbosity
from rightsize.cli.options import DEFAULT_DB, AllRows, Db, NoInput, Output, OutputFormat, Quiet, Verbose
from rightsize.cli.output import show, write
from rightsize.cli.sql import MaxRows, Parameters, Timeout, show_answer

queries = typer.Typer(
    help="List, show and run the saved questions about the store.", no_args_is_help=True, rich_markup_mode=None
)

Name = Annotated[str, typer.Argument(help="Name of a saved question, from `queries list`.")]


@queries.command("list")
def list_(
    output: Output = OutputFormat.TABLE,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; this one never asks
) -> None:
    """List the saved questions."""
    from rightsize.workflow.sql import list_questions  # noqa: PLC0415

    set_verbosity(verbose, quiet)
    rows = [
        {
            "name": question.name,
            "title": question.title,
            "description": question.description,
            "parameters": [parameter.name for parameter in question.parameters],
            "columns": list(question.columns),
        }
        for question in list_questions()
    ]
    show(rows, list(rows[0]) if rows else [], output, table_columns=("name", "title"))
    if rows:
        say_next(f"rightsize queries run {rows[0]['name']}", output=output)


@queries.command("show")
def show_(
    name: Name,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; this one never asks
) -> None:
    """Print the SQL of a saved question, with its parameters and columns."""
    from rightsize.workflow.sql import show_question  # noqa: PLC0415

    set_verbosity(verbose, quiet)
    write(show_question(name).text)


@queries.command("run")
def run(
    name: Name,
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
    """Answer a saved question from the store."""
    from rightsize.workflow.sql import ask_question  # noqa: PLC0415

    set_verbosity(verbose, quiet)
    show_answer(ask_question(db, name, parameters or [], max_rows=max_rows, timeout=timeout), output, every=every)
