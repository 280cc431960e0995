"""Explain one principal from the store."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from rightsize.store.ahead import Ahead
from rightsize.store.connection import open_store


def explain(
    db: Path,
    principal: str,
    *,
    as_of: dt.date | None = None,
    min_window: int | None = None,
    forget_days: int | None = None,
) -> dict[str, Any]:
    """Return everything known about the principal that an id, UPN, application id or name means.

    The answer has the window and the fields of `Explanation` over all planes, `reach` with what falls with the
    principal and the shortest ways to it, `tokens` with what was done with the tokens of its sign-ins, and `planes`
    with the window of each plane beyond Azure RBAC. It is computed from what the store holds now, not from an earlier
    analysis, and says what an analysis of the whole tenant would, though it reads only what concerns the principal.

    Raises:
        UsageError: No principal or several are called so.
    """
    with open_store(db, read_only=True) as store, Ahead(store) as ahead:
        # The store answers meanwhile what it is asked of everybody.
        from rightsize.analyze.small_steps import in_small_steps  # noqa: PLC0415
        from rightsize.analyze.window import DEFAULT_DAYS, DEFAULT_FORGET_DAYS  # noqa: PLC0415
        from rightsize.workflow.concern import judge_principal  # noqa: PLC0415

        def told() -> dict[str, Any]:
            judged = judge_principal(
                ahead,
                principal,
                as_of,
                min_window or DEFAULT_DAYS,
                DEFAULT_FORGET_DAYS if forget_days is None else forget_days,
            )
            from rightsize.workflow.explain_output import report_principal  # noqa: PLC0415
            from rightsize.workflow.names import read_names  # noqa: PLC0415

            names, places = read_names(store, judged.inputs)
            return report_principal(judged, names | places)

        return in_small_steps(told)
