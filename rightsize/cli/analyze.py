"""`rightsize analyze`: show verdicts on all that is granted, with scores of creep and risk."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer

from rightsize.cli.command import Common, command
from rightsize.cli.narration import say
from rightsize.cli.options import WindowOptions
from rightsize.cli.output import short_name
from rightsize.model.plan import PLANE_NAMES
from rightsize.render import summary
from rightsize.workflow import analyze as workflow

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


@command(rows=True)
def analyze(
    by: Annotated[By, typer.Option("--by", help="Unit of a row, on each plane.")] = By.PRINCIPAL,
    *,
    window: WindowOptions,
    common: Common,
) -> None:
    """Judge each granted operation as used, unused, unobservable or out of coverage, and score creep and risk."""
    result = workflow.analyze_store(
        common.db,
        as_of=window.as_of,
        min_window=window.min_window,
        forget_days=window.forget_days,
        min_days=window.min_days,
        by=by.value,
    )
    found = result.window
    say(
        f"window {found.first_day} to {found.last_day}, {found.days} days; "
        f"the Activity Log covers {result.covered:.0%} of the days of all subscriptions"
    )
    if found.preview is not None:
        say(f"this is a preview: {found.preview}")
    parts = ", ".join(f"{PLANE_NAMES[plane]} {number:,}" for plane, number in result.unexplained.items())
    unexplained = f"{sum(result.unexplained.values()):,}" + (f" ({parts})" if parts else "")
    say(f"findings: {result.findings:,}; unexplained operations: {unexplained}")
    if not result.has_catalogue:
        say("no catalogue of operations is loaded, so only use is counted: `rightsize catalog import FILE` loads one")
    unscored = sum(row["creep"] is None for row in result.rows)
    if unscored:
        say(f"{unscored:,} rows have no score: a definition of their roles or the catalogue of operations is missing")
    columns, brief = _COLUMNS[by]
    rows = [_shortened(row, result.places) for row in result.rows] if common.is_table else result.rows
    below = "role_and_scope" if by is By.ASSIGNMENT else None
    common.show(rows, columns, table_columns=brief, below=below)
    if result.has_catalogue and any(row["used"] for row in result.rows):
        common.say_next(common.with_db("rightsize propose"))
    else:
        common.say_next_of_store()


def _shortened(row: dict[str, Any], places: Mapping[str, str]) -> dict[str, Any]:
    """Return a row for a terminal: a short name, one count of what no log decides, and role with scope."""
    granted = (
        summary.describe_grant(row["role_name"], row["scope"], row["plane"], places) if "role_name" in row else None
    )
    return row | {
        "role_and_scope": granted,
        "name": short_name(row["name"] or row["principal_id"]),
        "cannot_decide": row["unobservable"] + row["out_of_coverage"],
    }
