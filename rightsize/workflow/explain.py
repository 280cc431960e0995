"""Explain one principal from the store."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rightsize.analyze.explanation import explain_principal
from rightsize.analyze.planes import ledger
from rightsize.analyze.tenant import read_tenant
from rightsize.analyze.token_use import sum_tokens
from rightsize.analyze.window import DEFAULT_DAYS, Window
from rightsize.store.connection import open_store
from rightsize.workflow.concern import JudgedPrincipal, judge_principal
from rightsize.workflow.names import read_names
from rightsize.workflow.ways import reach_of_node


def explain(
    db: Path, principal: str, *, as_of: dt.date | None = None, min_window: int = DEFAULT_DAYS
) -> dict[str, Any]:
    """Return everything known about the principal that an id, UPN, application id or name means.

    The answer has the window and the fields of `Explanation` over all planes, `reach` with what falls with the
    principal and the shortest ways to it, `tokens` with what was done with the tokens of its sign-ins, and `planes`
    with the window of each plane beyond Azure RBAC. It is computed from what the store holds now, not from an earlier
    analysis, and says what an analysis of the whole tenant would, though it reads only what concerns the principal.

    Raises:
        UsageError: No principal or several are called so.
    """
    with open_store(db, read_only=True) as store:
        judged = judge_principal(store, principal, as_of, min_window)
        names, places = read_names(store, judged.inputs)
    return tell(judged, names | places)


def tell(judged: JudgedPrincipal, names: Mapping[str, str]) -> dict[str, Any]:
    """Return the answer of `explain`; `names` are what people call principals and places."""
    inputs, analysis, principal_id = judged.inputs, judged.analysis, judged.principal_id
    answer = {"window": _window(analysis.window)} | asdict(
        explain_principal(inputs, analysis, judged.findings, principal_id)
    )
    holders = {
        principal_id: [],
        **{group["group_id"]: [*group["via"], group["group_id"]] for group in answer["groups"]},
    }
    for plane in judged.planes:
        for section, rows in ledger(plane, holders, principal_id).items():
            answer[section] = [*answer[section], *rows]
    reach = reach_of_node(f"p:{principal_id}", judged.facts, inputs, read_tenant(inputs), names)
    answer["reach"] = reach.counts | {"ways": reach.ways}
    answer["tokens"] = sum_tokens(judged.token_calls, analysis.window)
    return answer | {"planes": {plane.plane: _window(plane.window) for plane in judged.planes}}


def _window(window: Window) -> dict[str, dt.date]:
    return {"first_day": window.first_day, "last_day": window.last_day}
