"""`rightsize report`: write the whole analysis as one HTML page, for the people who decide."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rightsize.cli.narration import say, say_next, set_verbosity
from rightsize.cli.options import DEFAULT_DB, AsOf, Db, NoInput, Output, OutputFormat, Quiet, Verbose
from rightsize.cli.output import show

COLUMNS = ("file", "bytes", "principals_with_access", "assignments", "proposals", "plan_is_of_this_store")


def report(
    out: Annotated[Path, typer.Option("--out", help="The HTML file; it is replaced.")] = Path("reports/report.html"),
    plan: Annotated[
        Path | None,
        typer.Option("--plan", help="Plan folder: also show its proposals, and use its window."),
    ] = None,
    title: Annotated[str, typer.Option("--title", help="Title of the page.")] = "Least privilege for this tenant",
    as_of: AsOf = None,
    min_window: Annotated[
        int | None,
        typer.Option("--min-window", min=1, help="As for `analyze`. Default: its default, or that of the plan."),
    ] = None,
    min_days: Annotated[
        int | None,
        typer.Option("--min-days", min=1, help="As for `analyze`. Default: its default, or that of the plan."),
    ] = None,
    forget_days: Annotated[
        int | None,
        typer.Option("--forget-days", min=0, help="As for `analyze`. Default: 400, or that of the plan."),
    ] = None,
    db: Db = DEFAULT_DB,
    output: Output = OutputFormat.TABLE,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; this one never asks
) -> None:
    """Write the analysis and the proposals of a plan as one HTML file, which needs no network."""
    from rightsize.workflow.report import report_store  # noqa: PLC0415

    set_verbosity(verbose, quiet)
    result = report_store(
        db,
        out,
        plan=plan,
        title=title,
        as_of=as_of,
        min_window=min_window,
        forget_days=forget_days,
        min_days=min_days,
        note=say,
    )
    if result.is_stale:
        say(f"the loaded data has changed since the plan was made: `rightsize verify {plan}` checks whether it holds")
    say(f"wrote {result.out}, {result.size / 1024:,.0f} KiB")
    show([result.document()], COLUMNS, output, document=result.document(), table_columns=COLUMNS[:-1])
    say_next(f"open {result.out} in a browser", output=output)
