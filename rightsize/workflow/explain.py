"""Explain one principal from the store."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rightsize.store.connection import open_store
from rightsize.store.stored_analysis import AnalysisOptions
from rightsize.workflow.content import require_content
from rightsize.workflow.explain_output import explain_principal
from rightsize.workflow.find_analysis import find_analysis
from rightsize.workflow.principal_names import AnalysedNames, find_principal

_AGENTIC = """
    SELECT 1 FROM principals WHERE principal_id = $id AND (object_type ILIKE 'agent%' OR blueprint_app_id IS NOT NULL
        OR app_id IN (SELECT blueprint_app_id FROM principals UNION ALL SELECT blueprint_app_id FROM agent_sightings))
    UNION ALL SELECT 1 FROM agent_sightings WHERE app_id = $id"""
"""Whether a principal may be an agent, an agent's user account, or the principal of a blueprint.

It asks in SQL and too generously, so that an answer about anybody else needs no frames; `agent_answer` decides.
"""


def explain(
    db: Path,
    principal: str,
    *,
    as_of: dt.date | None = None,
    min_window: int | None = None,
    forget_days: int | None = None,
    min_days: int | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Return everything known about the principal that an id, UPN, application id or name means.

    The fields are those of `explain_principal`, and `agent` for an AI agent or the principal of a blueprint: what
    `rightsize agents` shows of it. They are read from the stored analysis where it is of the present
    content and these options, else from an analysis in memory: `note` is then called with a sentence that says so.

    Raises:
        UsageError: No principal has the name, or several have.
        EvidenceError: Nothing is loaded that could be analysed.
    """
    with open_store(db, read_only=True) as store:
        require_content(store)
        analysed = find_analysis(store, AnalysisOptions(as_of, min_window, forget_days, min_days), note)
        found = find_principal(store, AnalysedNames(analysed), principal)
        answer = explain_principal(analysed, found)
        if not store.rows(_AGENTIC, {"id": found}):
            return answer
        # Its frames take longer to import than the answer about anybody else.
        from rightsize.workflow.agents import agent_answer  # noqa: PLC0415

        agent = agent_answer(store, found, as_of)
        return answer if agent is None else answer | {"agent": agent}
