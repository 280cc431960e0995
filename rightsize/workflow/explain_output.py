"""Build the answer of `explain` from the analysis of one principal."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rightsize.analyze.explanation import explain_principal
from rightsize.analyze.planes import ledger
from rightsize.analyze.tenant import read_tenant
from rightsize.analyze.token_use import sum_tokens
from rightsize.analyze.window import Window
from rightsize.workflow.attack_paths import reach_of_node
from rightsize.workflow.principal_analysis import JudgedPrincipal


def report_principal(judged: JudgedPrincipal, names: Mapping[str, str]) -> dict[str, Any]:
    """Return the answer of `explain`; `names` has the display names of principals and places."""
    inputs, analysis, principal_id = judged.inputs, judged.analysis, judged.principal_id
    explained = explain_principal(inputs, analysis, judged.findings, principal_id)
    reach = reach_of_node(f"p:{principal_id}", judged.facts, inputs, read_tenant(inputs), names)
    answer = {"window": _window(analysis.window)} | asdict(explained)
    holders = {
        principal_id: [],
        **{group["group_id"]: [*group["via"], group["group_id"]] for group in answer["groups"]},
    }
    for plane in judged.planes:
        for section, rows in ledger(plane, holders, principal_id).items():
            answer[section] = [*answer[section], *rows]
    answer["reach"] = reach.counts | {"ways": reach.ways}
    answer["tokens"] = sum_tokens(judged.token_calls, analysis.window)
    return answer | {"planes": {plane.plane: _window(plane.window) for plane in judged.planes}}


def _window(window: Window) -> dict[str, dt.date]:
    return {"first_day": window.first_day, "last_day": window.last_day}
