"""`rightsize report`: write the whole analysis as one HTML page, for the people who decide."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rightsize.cli.command import Common, command
from rightsize.cli.narration import say
from rightsize.cli.options import AsOf
from rightsize.cli.plan_options import PlanSigners
from rightsize.workflow import report as workflow

COLUMNS = ("file", "bytes", "principals_with_access", "assignments", "proposals", "plan_is_of_this_store")


@command()
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
    *,
    trusted: PlanSigners,
    common: Common,
) -> None:
    """Write the analysis and the proposals of a plan as one HTML file, which needs no network."""
    result = workflow.report_store(
        common.db,
        out,
        plan=plan,
        signers=trusted.asked,
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
    common.show([result.document()], COLUMNS, document=result.document(), table_columns=COLUMNS[:-1])
    common.say_next(f"open {result.out} in a browser")
