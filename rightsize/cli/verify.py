"""`rightsize verify`: does a plan still stand on what is known today?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rightsize.cli.narration import say, set_verbosity
from rightsize.cli.options import DEFAULT_DB, Db, NoInput, Output, OutputFormat, Quiet, Verbose
from rightsize.cli.output import show

COLUMNS = ("what", "id", "name", "change", "operation", "plane", "scope", "role_assignment_ids", "detail")
BRIEF = ("what", "change", "id", "name", "operation", "detail")
SHOWN = 20
"""How many rows people see; programs see all."""


def verify(
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help="The plan folder, or its plan.json.")],
    db: Db = DEFAULT_DB,
    output: Output = OutputFormat.TABLE,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; this one never asks
) -> None:
    """Prove a plan again, against the store of today, and refuse it where it is stale.

    Stale is a plan when an assignment, a role definition, a membership or a deny that it read has changed, or when
    there is a use that it does not cover: exit code 6, with everything that changed. Exit code 3 means that nothing
    has changed, and the plan still does not hold.
    """
    from rightsize.workflow.verify import verify_plan  # noqa: PLC0415

    set_verbosity(verbose, quiet)
    result = verify_plan(db, plan)
    rows = result.rows[:SHOWN] if output is OutputFormat.TABLE else result.rows
    if rows or output is not OutputFormat.TABLE:
        show(rows, COLUMNS, output, document=result.document, table_columns=BRIEF)
    if len(rows) < len(result.rows):
        say(f"and {len(result.rows) - len(rows)} more: `-o json` has all")
    if result.refusal is not None:
        raise result.refusal
    say(f"verified: {result.summary}")
