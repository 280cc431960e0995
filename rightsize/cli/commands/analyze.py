"""Commands that show verdicts: analyze, differences, report.

`rightsize analyze`: show verdicts on all that is granted, with scores of creep and risk.

`rightsize differences`: list where other tools judge access differently.

`rightsize report`: write the whole analysis as one HTML page, for the people who decide.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from rightsize.cli.command import Common, command
from rightsize.cli.narration import say, say_place, say_stale
from rightsize.cli.options import AsOf, PlanSigners
from rightsize.cli.output import short_name
from rightsize.model.options import WindowOptions
from rightsize.model.plan import PLANE_NAMES
from rightsize.model.progress import counted
from rightsize.render import sentences
from rightsize.workflow.analysis import analyze as analyze_workflow
from rightsize.workflow.analysis import find_analysis as differences_workflow
from rightsize.workflow.answers import report as report_workflow

COUNTS = ("granted", "used", "unused", "unobservable", "out_of_coverage", "creep", "risk")


class By(StrEnum):
    """The unit of a row: a principal or an assignment, for each plane."""

    PRINCIPAL = "principal"
    ASSIGNMENT = "assignment"


_REPORT = Path("reports/report.html")
_ANALYZE_BRIEF = ("granted", "used", "unused", "cannot_decide", "creep")
_ANALYZE_COLUMNS: dict[By, tuple[tuple[str, ...], tuple[str, ...]]] = {
    By.PRINCIPAL: (("principal_id", "plane", *COUNTS, "name", "principal_type"), ("name", "plane", *_ANALYZE_BRIEF)),
    By.ASSIGNMENT: (
        ("role_assignment_id", "state", "plane", *COUNTS, "principal_id", "name", "role_name", "scope"),
        ("name", "plane", *_ANALYZE_BRIEF),
    ),
}


@command(rows=True)
def analyze(
    by: Annotated[By, typer.Option("--by", help="Unit of a row, on each plane.")] = By.PRINCIPAL,
    *,
    window: WindowOptions,
    common: Common,
) -> None:
    """Judge whether each granted operation was used.

    A verdict is used, unused, unobservable or out of coverage; scores are creep and risk.
    """
    result = analyze_workflow.analyze_store(common.db, window, by=by.value)
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
    columns, brief = _ANALYZE_COLUMNS[by]
    rows = [_short_verdict(row, result.places) for row in result.rows] if common.is_table else result.rows
    below = "role_and_scope" if by is By.ASSIGNMENT else None
    common.show(rows, columns, table_columns=brief, below=below)
    if result.has_catalogue and any(row["used"] for row in result.rows):
        common.say_next(common.with_db("rightsize propose"))
    else:
        common.say_next_of_store()


def _short_verdict(row: dict[str, Any], places: Mapping[str, str]) -> dict[str, Any]:
    """Return a row for a terminal: a short name, one count of what no log decides, and role with scope."""
    granted = (
        sentences.describe_grant(row["role_name"], row["scope"], row["plane"], places) if "role_name" in row else None
    )
    return row | {
        "role_and_scope": granted,
        "name": short_name(row["name"] or row["principal_id"]),
        "cannot_decide": row["unobservable"] + row["out_of_coverage"],
    }


_DIFFERENCE_BRIEF = ("difference", "they_say", "we_say", "name", "about", "calls", "last_seen")
"""The columns of the table for people; other formats have all."""


@command(rows=True)
def differences(
    every: Annotated[
        bool, typer.Option("--all", help="Also list what agrees, and what one side cannot decide.")
    ] = False,
    *,
    common: Common,
) -> None:
    """List access that Defender or Advisor judges differently.

    Each row has our verdict and its evidence. `we_say_used` and `we_say_unused` contradict the other tool; `we_lack` is
    access that only the other tool knows.
    """
    found = differences_workflow.find_differences(common.db, every=every, note=say)
    if common.is_table:
        common.show([row | _short_difference(row) for row in found.rows], _DIFFERENCE_BRIEF)
    else:
        common.show(found.rows, found.columns)
    say(f"{counted(len(found.rows), 'row')} of {counted(found.judged, 'judgement')} by other tools")
    common.say_next(common.with_db("rightsize explain PRINCIPAL"))


def _short_difference(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the table has instead of several columns: what the row is about, and the last day of use."""
    seen = row["last_seen"]
    return {"about": row["permission"] or row["scope"], "last_seen": seen and seen.date().isoformat()}


REPORT_COLUMNS = ("file", "bytes", "principals_with_access", "assignments", "proposals", "plan_is_of_this_store")


@command()
def report(
    out: Annotated[Path, typer.Option("--out", help="The HTML file; it is replaced.")] = _REPORT,
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
    """Write the analysis and the plan as one HTML file.

    The file needs no network.
    """
    say_place(out, _REPORT)
    every = {"as_of": as_of, "min_window": min_window, "min_days": min_days, "forget_days": forget_days}
    given: dict[str, Any] = {name: one for name, one in every.items() if one is not None}
    asked = WindowOptions(**given) if given else None
    sources = report_workflow.read_sources(
        common.db, plan=plan, signers=trusted.asked, title=title, asked=asked, note=say
    )
    result = report_workflow.report_store(sources, out)
    if result.is_stale:
        say_stale(plan)
    say(f"wrote {result.out}, {result.size / 1024:,.0f} KiB")
    common.show([result.document()], REPORT_COLUMNS, document=result.document(), table_columns=REPORT_COLUMNS[:-1])
    common.say_next(f"open {result.out} in a browser")
