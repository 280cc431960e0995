"""`rightsize differences`: list where other tools judge access differently."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from rightsize.cli.command import Common, command
from rightsize.cli.narration import say
from rightsize.model.progress import counted
from rightsize.workflow import differences as workflow

_SHOWN = ("difference", "they_say", "we_say", "name", "about", "calls", "last_seen")
"""The columns of the table for people; other formats have all."""


@command(rows=True)
def differences(
    every: Annotated[
        bool, typer.Option("--all", help="Also list what agrees, and what one side cannot decide.")
    ] = False,
    *,
    common: Common,
) -> None:
    """List access that Defender or Advisor judges differently, with our verdict and its evidence.

    `we_say_used` and `we_say_unused` contradict the other tool; `we_lack` is access that only the other tool knows.
    """
    found = workflow.find_differences(common.db, every=every, note=say)
    if common.is_table:
        common.show([row | _for_people(row) for row in found.rows], _SHOWN)
    else:
        common.show(found.rows, found.columns)
    say(f"{counted(len(found.rows), 'row')} of {counted(found.judged, 'judgement')} by other tools")
    common.say_next(common.with_db("rightsize explain PRINCIPAL"))


def _for_people(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the table has instead of several columns: what the row is about, and the last day of use."""
    seen = row["last_seen"]
    return {"about": row["permission"] or row["scope"], "last_seen": seen and seen.date().isoformat()}
