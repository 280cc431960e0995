"""`rightsize export`: write the tables behind the report as files, for auditors and spreadsheets."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rightsize.cli.command import Common, command
from rightsize.cli.narration import say
from rightsize.workflow import export as workflow


class ExportFormat(StrEnum):
    """The format of the exported tables."""

    CSV = "csv"
    XLSX = "xlsx"


@command()
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
    *,
    common: Common,
) -> None:
    """Write principals, assignments, roles, scopes, use, layers, coverage, findings and proposals as complete tables.

    No cell is written as a formula.
    """
    result = workflow.export_store(common.db, out, form.value, plan)
    if result.is_stale:
        say(f"the loaded data has changed since the plan was made: `rightsize verify {plan}` checks whether it holds")
    common.show(result.rows, ("table", "file", "rows"))
    common.say_next(common.with_db("rightsize report"))
