"""`rightsize analyze`: show verdicts on all that is granted, with scores of creep and risk."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer

from rightsize.cli.narration import say, say_next, say_next_of_store, set_verbosity
from rightsize.cli.options import (
    DEFAULT_DB,
    DEFAULT_FORGET_DAYS,
    AllRows,
    AsOf,
    Db,
    ForgetDays,
    MinDays,
    MinWindow,
    NoInput,
    Output,
    OutputFormat,
    Quiet,
    Verbose,
    with_db,
)
from rightsize.cli.output import short_name, show

COUNTS = ("granted", "used", "unused", "unobservable", "out_of_coverage", "creep", "risk")


class By(StrEnum):
    """The unit of a row: a principal or an assignment, for each plane."""

    PRINCIPAL = "principal"
    ASSIGNMENT = "assignment"


_BRIEF = ("granted", "used", "unused", "cannot_decide", "creep")
_COLUMNS: dict[By, tuple[tuple[str, ...], tuple[str, ...]]] = {
    By.PRINCIPAL: (("principal_id", "plane", *COUNTS, "name", "principal_type"), ("name", "plane", *_BRIEF)),
    By.ASSIGNMENT: (
        ("role_assignment_id", "state", "plane", *COUNTS, "principal_id", "name", "role_name", "scope"),
        ("name", "plane", *_BRIEF),
    ),
}


def analyze(
    by: Annotated[By, typer.Option("--by", help="Unit of a row, on each plane.")] = By.PRINCIPAL,
    as_of: AsOf = None,
    min_window: MinWindow = None,
    min_days: MinDays = None,
    forget_days: ForgetDays = DEFAULT_FORGET_DAYS,
    db: Db = DEFAULT_DB,
    every: AllRows = False,
    output: Output = OutputFormat.TABLE,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; this one never asks
) -> None:
    """Judge each granted operation as used, unused, unobservable or out of coverage, and score creep and risk."""
    from rightsize.model.plan import PLANE_NAMES  # noqa: PLC0415
    from rightsize.workflow.analyze import analyze_store  # noqa: PLC0415

    set_verbosity(verbose, quiet)
    result = analyze_store(
        db, as_of=as_of, min_window=min_window, forget_days=forget_days, min_days=min_days, by=by.value
    )
    window = result.window
    say(
        f"window {window.first_day} to {window.last_day}, {window.days} days; "
        f"the Activity Log covers {result.covered:.0%} of the days of all subscriptions"
    )
    if window.preview is not None:
        say(f"this is a preview: {window.preview}")
    parts = ", ".join(f"{PLANE_NAMES[plane]} {number:,}" for plane, number in result.unexplained.items())
    unexplained = f"{sum(result.unexplained.values()):,}" + (f" ({parts})" if parts else "")
    say(f"findings: {result.findings:,}; unexplained operations: {unexplained}")
    if not result.has_catalogue:
        say("no catalogue of operations is loaded, so only use is counted: `rightsize catalog import FILE` loads one")
    unscored = sum(row["creep"] is None for row in result.rows)
    if unscored:
        say(f"{unscored:,} rows have no score: a definition of their roles or the catalogue of operations is missing")
    columns, brief = _COLUMNS[by]
    is_table = output is OutputFormat.TABLE
    rows = [_shortened(row, result.places) for row in result.rows] if is_table else result.rows
    below = "role_and_scope" if by is By.ASSIGNMENT else None
    show(rows, columns, output, table_columns=brief, below=below, every=every)
    if result.has_catalogue and any(row["used"] for row in result.rows):
        say_next(with_db("rightsize propose", db), output=output)
    else:
        say_next_of_store(db, output)


def _shortened(row: dict[str, Any], places: Mapping[str, str]) -> dict[str, Any]:
    """Return a row for a terminal: a short name, one count of what no log decides, and role with scope."""
    from rightsize.render.summary import describe_grant  # noqa: PLC0415  kept out of `--help`

    granted = describe_grant(row["role_name"], row["scope"], row["plane"], places) if "role_name" in row else None
    return row | {
        "role_and_scope": granted,
        "name": short_name(row["name"] or row["principal_id"]),
        "cannot_decide": row["unobservable"] + row["out_of_coverage"],
    }
