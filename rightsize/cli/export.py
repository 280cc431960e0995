"""`rightsize export`: write the tables behind the report as files, for auditors and spreadsheets."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rightsize.cli.narration import say, say_next, set_verbosity
from rightsize.cli.options import DEFAULT_DB, Db, NoInput, Output, OutputFormat, Quiet, Verbose, with_db
from rightsize.cli.output import show


class ExportFormat(StrEnum):
    """The format of the exported tables."""

    CSV = "csv"
    XLSX = "xlsx"


def export(
    out: Annotated[
        Path, typer.Option("--out", help="Folder to write to; files of the same names are replaced.")
    ] = Path("reports/export"),
    form: Annotated[
        ExportFormat, typer.Option("--format", help="One CSV file or one sheet of a workbook for each table.")
    ] = ExportFormat.CSV,
    plan: Annotated[
        Path | None, typer.Option("--plan", help="Plan folder: also export its proposals, and use its window.")
    ] = None,
    db: Db = DEFAULT_DB,
    output: Output = OutputFormat.TABLE,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; this one never asks
) -> None:
    """Write principals, assignments, roles, scopes, use, layers, coverage, findings and proposals as complete tables.

    No cell is written as a formula.
    """
    from rightsize.workflow.export import export_store  # noqa: PLC0415

    set_verbosity(verbose, quiet)
    result = export_store(db, out, form.value, plan)
    if result.is_stale:
        say(f"the loaded data has changed since the plan was made: `rightsize verify {plan}` checks whether it holds")
    show(result.rows, ("table", "file", "rows"), output)
    say_next(with_db("rightsize report", db), output=output)
