"""Explain one principal from the store."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from rightsize.store.ahead import Ahead
from rightsize.store.connection import open_store
from rightsize.workflow.content import require_content


def explain(
    db: Path,
    principal: str,
    *,
    as_of: dt.date | None = None,
    min_window: int | None = None,
    forget_days: int | None = None,
    min_days: int | None = None,
) -> dict[str, Any]:
    """Return everything known about the principal that an id, UPN, application id or name means.

    The answer has the window and the fields of `Explanation` over all planes, `reach` with what an attacker gains
    from the principal and the shortest ways to it, `tokens` with the calls made with the tokens of its sign-ins, and
    `planes` with the window of each plane beyond Azure RBAC. It is computed from the present store, not from an earlier
    analysis. It equals the answer of a whole-tenant analysis, though only the rows about the principal are read.

    Raises:
        UsageError: No principal has the name, or several have.
    """
    with open_store(db, read_only=True) as store, Ahead(store) as ahead:
        require_content(store)
        # Meanwhile the store reads the tables that no principal decides.
        from rightsize.analyze.small_steps import in_small_steps  # noqa: PLC0415
        from rightsize.analyze.window import DEFAULT_FORGET_DAYS  # noqa: PLC0415
        from rightsize.workflow.concern import judge_principal  # noqa: PLC0415

        def document() -> dict[str, Any]:
            judged = judge_principal(
                ahead,
                principal,
                as_of,
                min_window,
                DEFAULT_FORGET_DAYS if forget_days is None else forget_days,
                min_days,
            )
            from rightsize.workflow.explain_output import report_principal  # noqa: PLC0415
            from rightsize.workflow.names import read_names  # noqa: PLC0415

            names, places = read_names(store, judged.inputs)
            return report_principal(judged, names | places)

        return in_small_steps(document)
