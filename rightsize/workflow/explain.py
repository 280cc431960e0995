"""Explain one principal from the store."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rightsize.analyze.explanation import explain_principal
from rightsize.analyze.facts import read_facts
from rightsize.analyze.inputs import Inputs
from rightsize.analyze.naming import resolve_principal
from rightsize.analyze.planes import ledger
from rightsize.analyze.token_use import sum_tokens
from rightsize.analyze.window import DEFAULT_DAYS, Window
from rightsize.store.connection import open_store
from rightsize.workflow.analyze import analyse_inputs
from rightsize.workflow.layers import read_names
from rightsize.workflow.planes import judge_planes
from rightsize.workflow.reach import reach_of_node


def explain(
    db: Path, principal: str, *, as_of: dt.date | None = None, min_window: int = DEFAULT_DAYS
) -> dict[str, Any]:
    """Return everything known about the principal that an id, UPN, application id or name means.

    The answer has the window and the fields of `Explanation` over all planes, `reach` with what falls with the
    principal and the shortest ways to it, `tokens` with what was done with the tokens of its sign-ins, and `planes`
    with the window of each plane beyond Azure RBAC. It is computed
    from what the store holds now, not from an earlier analysis.

    Raises:
        UsageError: No principal or several are called so.
    """
    with open_store(db, read_only=True) as store:
        inputs = Inputs.read(store.table)
        facts = read_facts(inputs, store.table)
        names, places = read_names(store)
        planes = [one.analysis for one in judge_planes(store.table, as_of, min_window)]
        principal_id = resolve_principal(inputs, principal)
        token_calls = store.table("token_calls", principal_id=principal_id)
    analysis, findings = analyse_inputs(inputs, as_of=as_of, min_window=min_window, planes=planes)
    answer = {"window": _window(analysis.window)} | asdict(explain_principal(inputs, analysis, findings, principal_id))
    holders = {
        principal_id: [],
        **{group["group_id"]: [*group["via"], group["group_id"]] for group in answer["groups"]},
    }
    for plane in planes:
        for section, rows in ledger(plane, holders, principal_id).items():
            answer[section] = [*answer[section], *rows]
    reach = reach_of_node(f"p:{principal_id}", facts, inputs, analysis, names | places)
    answer["reach"] = reach.counts | {"ways": reach.ways}
    answer["tokens"] = sum_tokens(token_calls, analysis.window)
    return answer | {"planes": {plane.plane: _window(plane.window) for plane in planes}}


def _window(window: Window) -> dict[str, dt.date]:
    return {"first_day": window.first_day, "last_day": window.last_day}
