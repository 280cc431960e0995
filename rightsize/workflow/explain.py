"""Explain one principal from the store."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rightsize.analyze.explanation import explain_principal
from rightsize.analyze.inputs import Inputs
from rightsize.analyze.naming import resolve_principal
from rightsize.analyze.window import DEFAULT_DAYS
from rightsize.store.connection import open_store
from rightsize.workflow.analyze import analyse_inputs


def explain(
    db: Path, principal: str, *, as_of: dt.date | None = None, min_window: int = DEFAULT_DAYS
) -> dict[str, Any]:
    """Return everything known about the principal that an id, UPN, application id or name means.

    The answer has the window and the fields of `Explanation`, and is computed from what the store holds now, not
    from an earlier analysis.

    Raises:
        UsageError: No principal or several are called so.
    """
    with open_store(db, read_only=True) as store:
        inputs = Inputs.read(store.table)
    principal_id = resolve_principal(inputs, principal)
    analysis, findings = analyse_inputs(inputs, as_of=as_of, min_window=min_window)
    window = {"first_day": analysis.window.first_day, "last_day": analysis.window.last_day}
    return {"window": window} | asdict(explain_principal(inputs, analysis, findings, principal_id))
