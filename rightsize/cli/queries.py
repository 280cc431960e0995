"""`rightsize queries`: list, show and run the saved questions."""

from __future__ import annotations

from typing import Annotated

import typer

from rightsize.cli.command import Common, command
from rightsize.cli.output import write
from rightsize.cli.sql import MaxRows, Parameters, Timeout, show_answer
from rightsize.workflow import sql

Name = Annotated[str, typer.Argument(help="Name of a saved question, from `queries list`.")]


@command()
def list_(*, common: Common) -> None:
    """List the saved questions."""
    rows = [
        {
            "name": question.name,
            "title": question.title,
            "description": question.description,
            "parameters": [parameter.name for parameter in question.parameters],
            "columns": list(question.columns),
        }
        for question in sql.list_questions()
    ]
    common.show(rows, list(rows[0]) if rows else [], table_columns=("name", "title"))
    if rows:
        common.say_next(f"rightsize queries run {rows[0]['name']}")


@command(output=False)
def show_(name: Name) -> None:
    """Print the SQL of a saved question, with its parameters and columns."""
    write(sql.show_question(name).text)


@command(rows=True)
def run(
    name: Name,
    parameters: Parameters = None,
    max_rows: MaxRows = 10_000,
    timeout: Timeout = 60.0,
    *,
    common: Common,
) -> None:
    """Answer a saved question from the store."""
    show_answer(sql.ask_question(common.db, name, parameters or [], max_rows=max_rows, timeout=timeout), common)
