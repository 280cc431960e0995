"""Write the first steps of the wave of today as cards: each with what to do on Monday and its way back.

Order and sentences are those of `next`. A card adds what `reach` measured of the holder, today and under the plan.
"""

from __future__ import annotations

import textwrap
from typing import Any

from rightsize.model.plan_totals import TODAY, NextStep
from rightsize.model.progress import counted
from rightsize.rbac.text import fold
from rightsize.render.next_steps import stays_for_emergency
from rightsize.render.report.figures import Figures
from rightsize.render.report.sections import step_row
from rightsize.render.report.sources import clean

CARDS = 5
_REASON = 110


def danger_cards(figures: Figures) -> dict[str, Any]:
    """Return `cards`, the first five steps of today, the `whole` number, and the emergency access that `stays`.

    Without a plan there is none.
    """
    steps = figures.sources.steps.of_wave(TODAY)
    shown = [step for step in steps if not stays_for_emergency(step)]
    stays = {figures.principal_name(step.principal_id): None for step in steps if stays_for_emergency(step)}
    return {"cards": [_card(step, figures) for step in shown[:CARDS]], "whole": len(shown), "stays": list(stays)}


def _card(step: NextStep, figures: Figures) -> dict[str, Any]:
    reason = textwrap.shorten(step.reason.partition(" (")[0], _REASON, placeholder=" …")
    takes = _takes_text(step, figures)
    return step_row(step, figures) | {
        "principal_id": step.principal_id if fold(step.principal_id) in figures.names else "",
        "takes": takes,
        "kept": clean(reason) if step.kind.keeps else "",
        "left": _left_text(step, figures) if takes else "",
    }


def _takes_text(step: NextStep, figures: Figures) -> str:
    """Return in how many steps the holder takes the tenant; of an eligible assignment, once it is activated."""
    state, once = ("eligible", ", once activated") if step.state == "eligible" else ("active", "")
    for row in figures.sources.reach:
        if row["takes_tenant"] and row["state"] == state and fold(row["subject"]) == fold(step.principal_id):
            return f"whole tenant in {counted(row['tenant_steps'], 'step')}{once}"
    return ""


def _left_text(step: NextStep, figures: Figures) -> str:
    """Return what the whole plan leaves of the way of the holder, where the page draws it.

    It draws what is active.
    """
    ways = (one["way"] for one in figures.sources.blasts if fold(one["subject"]) == fold(step.principal_id))
    way = next(ways, None)
    if not way or way["after"] is None or step.state == "eligible":
        return ""
    if not way["after"]:
        return "The plan leaves no way."
    return f"Under the whole plan, a way of {counted(len(way['after']), 'step')} is left."
