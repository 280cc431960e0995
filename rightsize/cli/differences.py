"""`rightsize differences`: list where other tools judge access differently."""

from __future__ import annotations

from typing import Annotated

import typer

from rightsize.cli.command import Common, command
from rightsize.cli.narration import say
from rightsize.model.wording import counted
from rightsize.workflow import differences as workflow

_SHOWN = ("difference", "tool", "they_say", "we_say", "name", "permission", "scope", "reason", "calls", "last_seen")
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
    common.show(found.rows, _SHOWN if common.is_table else found.columns)
    say(f"{counted(len(found.rows), 'row')} of {counted(found.judged, 'judgement')} by other tools")
    common.say_next(common.with_db("rightsize explain PRINCIPAL"))
