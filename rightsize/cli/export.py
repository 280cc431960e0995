"""`rightsize export`: write the tables behind the report as files, for auditors and spreadsheets."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rightsize.cli.narration import say, set_verbosity
from rightsize.cli.options import DEFAULT_DB, Db, NoInput, Output, OutputFormat, Quiet, Verbose
from rightsize.cli.output import show


class ExportFormat(StrEnum):
    """The format of the exported tables."""

    CSV = "csv"
    XLSX = "xlsx"


def export(
    out: Annotated[Path, typer.Option("--out", help="The folder; files of the same names in it are replaced.")] = Path(
        "reports/export"
    ),
    form: Annotated[
        ExportFormat, typer.Option("--format", help="A CSV file a table, or one workbook with a sheet a table.")
    ] = ExportFormat.CSV,
    plan: Annotated[
        Path | None, typer.Option("--plan", help="A plan folder of `propose`: its proposals too, and its window.")
    ] = None,
    db: Db = DEFAULT_DB,
    output: Output = OutputFormat.TABLE,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; this one never asks
) -> None:
    """Write principals, assignments, roles, scopes, use, layers, coverage, findings and proposals as whole tables.

    No cell is a formula, whatever it says.
    """
    from rightsize.workflow.export import export_store  # noqa: PLC0415

    set_verbosity(verbose, quiet)
    result = export_store(db, out, form.value, plan)
    if result.is_stale:
        say(f"what is loaded has changed since the plan was made: `rightsize verify {plan}` says whether it holds")
    show(result.rows, ("table", "file", "rows"), output)
