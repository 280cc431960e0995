"""Compute the first card of the report: the waves of a plan, with the share that they buy and their first steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rightsize.model.plan import AZURE_ROLES, PLANE_NAMES
from rightsize.model.plan_totals import NextStep
from rightsize.rbac.text import fold
from rightsize.render.next_steps import describe_effort, describe_step, wave_rows
from rightsize.render.report.figures import Figures
from rightsize.render.report.sources import clean

_SHOWN: Mapping[int, int] = {1: 1, 2: 1, 3: 5, 4: 0}
"""The most steps of each wave on the card: the first screen has room for seven."""


def first_waves(figures: Figures) -> list[dict[str, Any]]:
    """Return the waves with steps for Azure roles or, where there are none, the other planes; each with first steps.

    `others` says how many steps other planes have in the wave.
    """
    steps = figures.sources.steps
    rows = wave_rows(steps)
    has_azure = any(row["plane"] == AZURE_ROLES for row in rows)
    found = []
    for wave in sorted({row["wave"] for row in rows}):
        of_wave = [row for row in rows if row["wave"] == wave]
        own = [row for row in of_wave if row["plane"] == AZURE_ROLES]
        shown = [one for one in steps.of_wave(wave) if not has_azure or one.plane == AZURE_ROLES][: _SHOWN[wave]]
        others = ", ".join(f"{PLANE_NAMES[row['plane']]} {row['steps']:,}" for row in of_wave if row not in own)
        found.append(
            {
                "wave": wave,
                "name": of_wave[0]["name"],
                "steps": sum(row["steps"] for row in own),
                "share": sum(row["share"] for row in own),
                "running_share": own[0]["running_share"] if own else None,
                "roles": sum(row["roles_to_create"] for row in own),
                "others": others,
                "first": [_row(one, figures) for one in shown],
            }
        )
    return found


def _row(step: NextStep, figures: Figures) -> dict[str, Any]:
    names = {step.principal_id: figures.principal_name(step.principal_id)} | dict(figures.sources.scope_names)
    names |= {role: figures.roles[fold(role)] for role in (step.role, *step.becomes) if fold(role) in figures.roles}
    return {
        "rank": step.rank,
        "principal_id": step.principal_id,
        "proposal": step.proposal if step.plane == AZURE_ROLES else "",
        "name": names[step.principal_id],
        "does": clean(describe_step(step, names)),
        "effort": clean(describe_effort(step)),
        "share": step.share,
        "total": step.total,
    }
