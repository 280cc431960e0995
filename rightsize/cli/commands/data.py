"""Commands on the rows of the store and of logs: sql, queries, events, export, prune.

`rightsize sql`: run one read-only SQL statement on the store.

`rightsize queries`: list, show and run the saved questions.

`rightsize events`: parse logs into normalised events, without a store.

`rightsize export`: write the tables behind the report as files, for auditors and spreadsheets.

`rightsize prune`: delete the rows of old days; usage, coverage and sign-ins by day stay.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from rightsize.cli.command import Common, command
from rightsize.cli.narration import say, say_place, say_stale
from rightsize.cli.options import OutputFormat
from rightsize.cli.output import write
from rightsize.ingest import pipeline
from rightsize.model.errors import InputError, UsageError
from rightsize.model.tables import EVENT_COLUMNS
from rightsize.render.escape import for_shell
from rightsize.store import queries, sandbox
from rightsize.workflow.answers import report as export_workflow
from rightsize.workflow.data import status as prune_workflow

Parameters = Annotated[
    list[str] | None,
    typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="Value for `$NAME`. Repeatable."),
]
MaxRows = Annotated[int, typer.Option("--max-rows", min=1, help="Show no more rows than this.")]
Timeout = Annotated[float, typer.Option("--timeout", min=0.1, help="Stop the statement after this many seconds.")]
_EXPORT = Path("reports/export")


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
    try:
        text = sys.stdin.read() if statement == "-" else statement
    except UnicodeDecodeError as error:
        raise InputError("stdin is not UTF-8 text") from error
    given = read_parameters(parameters or ())
    show_answer(sandbox.run_statement(common.db, text, given, max_rows=max_rows, timeout=timeout), common)


def read_parameters(given: Sequence[str]) -> dict[str, str]:
    """Return the parameters of `name=value` texts; raise UsageError for a missing or repeated name."""
    values: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        name = name.strip().removeprefix("$")
        if not equals or not name:
            raise UsageError(f"`{text}` is not NAME=VALUE", hint="write -p name=value")
        if name in values:
            raise UsageError(f"parameter `{name}` is given twice")
        values[name] = value
    return values


def show_answer(answer: sandbox.Answer, common: Common) -> None:
    """Write the rows of an answer, and say where rows were left out or rest on an old analysis.

    Rows that are too wide for the terminal are written one column a line.
    """
    common.show(answer.rows, answer.columns, wraps=False)
    if answer.cut:
        say(f"only the first {len(answer.rows)} rows are shown; --max-rows gives more")
    if answer.is_old:
        say(sandbox.OLD_ANSWERS)


QueryName = Annotated[str, typer.Argument(help="Name of a saved question, from `queries list`.")]


@command()
def list_queries(*, common: Common) -> None:
    """List the saved questions."""
    rows = [
        {
            "name": question.name,
            "title": question.title,
            "description": question.description,
            "parameters": [parameter.name for parameter in question.parameters],
            "columns": list(question.columns),
        }
        for question in map(queries.read_question, queries.question_names())
    ]
    common.show(rows, list(rows[0]) if rows else [], table_columns=("name", "title"))
    if rows:
        common.say_next(f"rightsize queries run {rows[0]['name']}")


@command(output=False)
def show_query(name: QueryName) -> None:
    """Print the SQL of a saved question.

    Its parameters and columns stand in its head.
    """
    write(queries.read_question(name).text)


@command(rows=True)
def run_query(
    name: QueryName,
    parameters: Parameters = None,
    max_rows: MaxRows = 10_000,
    timeout: Timeout = 60.0,
    *,
    common: Common,
) -> None:
    """Answer a saved question from the store."""
    question = queries.read_question(name)
    values = queries.bind_parameters(question, read_parameters(parameters or ()))
    show_answer(sandbox.run_statement(common.db, question.text, values, max_rows=max_rows, timeout=timeout), common)


_FEW_FILES = 40


@command(rows=True)
def events(
    paths: Annotated[list[str], typer.Argument(help="Log exports: files, folders, .gz, .zip, or - for stdin.")],
    *,
    common: Common,
) -> None:
    """Parse logs, and print one normalised event for each call.

    They are in order of time. Every export format of the Activity Log and of storage logs gives the same events. Other
    exports are read and counted; only these two logs hold events.
    """
    report, chunks = pipeline.normalised_events(paths)
    for file in report.files:
        # A diagnostic export has thousands of files; only files with rejected records are always named.
        detail = 0 if len(report.files) <= _FEW_FILES or file.rejected else 1
        say(f"{file.path}: {file.source}, {file.read:,} read, {file.rejected:,} rejected", level=detail)
    if len(report.files) > _FEW_FILES:
        say(f"{len(report.files):,} files, {sum(file.read for file in report.files):,} records read")
    for note in report.notes:
        say(note)
    if common.output is OutputFormat.JSONL:
        # Write each chunk at once, so that millions of events are never in memory together.
        for chunk in chunks:
            common.show(chunk, EVENT_COLUMNS)
    else:
        table_columns = ("time", "principal_name", "principal_id", "operation", "scope", "outcome")
        common.show(list(chain.from_iterable(chunks)), EVENT_COLUMNS, table_columns=table_columns)
        common.say_next(f"rightsize load {' '.join(map(for_shell, paths))}")


class ExportFormat(StrEnum):
    """The format of the exported tables."""

    CSV = "csv"
    XLSX = "xlsx"


@command()
def export(
    out: Annotated[
        Path, typer.Option("--out", help="Folder to write to; files of the same names are replaced.")
    ] = _EXPORT,
    form: Annotated[
        ExportFormat, typer.Option("--format", help="One CSV file or one sheet of a workbook for each table.")
    ] = ExportFormat.CSV,
    plan: Annotated[
        Path | None, typer.Option("--plan", help="Plan folder: also export its proposals, and use its window.")
    ] = None,
    *,
    common: Common,
) -> None:
    """Write the content of the store as complete tables.

    The tables are principals, assignments, roles, scopes, use, layers, coverage, findings and proposals. No cell is
    written as a formula.
    """
    say_place(out, _EXPORT)
    result = export_workflow.export_store(common.db, out, form.value, plan)
    if result.is_stale:
        say_stale(plan)
    common.show(result.rows, ("table", "file", "rows"))
    common.say_next(common.with_db("rightsize report"))


PRUNE_COLUMNS = ("sealed_before", "events", "sign_ins", "kept", "bytes_before", "bytes_after")


@command()
def prune(
    keep_days: Annotated[
        int,
        typer.Option("--keep-days", min=1, help="Number of days that keep their rows, up to the newest logged day."),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Delete the rows. Without --yes they are only counted.")] = False,
    *,
    common: Common,
) -> None:
    """Delete single events of old days; daily use stays.

    Sign-ins of old days go, too, and the store shrinks; coverage and the days of sign-ins stay. Pruned days are sealed:
    rows that are loaded for them later are counted as `late` and change nothing.
    """
    pruning = prune_workflow.prune_store(common.db, keep_days, done=yes)
    common.show([{**asdict(pruning), "sealed_before": pruning.before}], PRUNE_COLUMNS)
    if not yes:
        say("nothing was deleted; deleted rows cannot be restored")
    step = "rightsize status" if yes else f"rightsize prune --keep-days {keep_days} --yes"
    common.say_next(common.with_db(step))
