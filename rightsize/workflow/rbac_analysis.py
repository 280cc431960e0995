"""Analyse Azure RBAC from the tables, and compute its findings."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import polars as pl

from rightsize.analyze.findings import find
from rightsize.analyze.inputs import Inputs
from rightsize.analyze.planes import PlaneAnalysis
from rightsize.analyze.verdicts.judge import Analysis, analyse
from rightsize.analyze.window import DEFAULT_FORGET_DAYS, choose_window
from rightsize.model.errors import EvidenceError


def has_rbac(inputs: Inputs) -> bool:
    """Return whether any data about Azure RBAC is loaded."""
    return not (inputs.role_assignments.is_empty() and inputs.usage_days.is_empty())


def require_rbac(inputs: Inputs) -> None:
    """Raise EvidenceError where no data about Azure RBAC is loaded.

    Raises:
        EvidenceError: There is none.
    """
    if not has_rbac(inputs):
        raise EvidenceError(
            "neither assignments nor use are loaded",
            hint="load an export of role assignments and one of the Activity Log: `rightsize load PATH`",
        )


def analyse_inputs(
    inputs: Inputs,
    *,
    as_of: dt.date | None = None,
    min_window: int | None = None,
    forget_days: int = DEFAULT_FORGET_DAYS,
    min_days: int | None = None,
    planes: Sequence[PlaneAnalysis] = (),
    standby: tuple[str, ...] = (),
) -> tuple[Analysis, pl.DataFrame]:
    """Return the analysis of Azure RBAC by the tables, and its findings.

    `planes` are the analyses of other planes; where nothing of RBAC is loaded, their window is used. `standby` is as in
    `analyse`.

    Raises:
        EvidenceError: Nothing is loaded that could be analysed.
    """
    if not has_rbac(inputs) and planes:
        as_of = planes[0].window.last_day + dt.timedelta(days=1)
    else:
        require_rbac(inputs)
    window = choose_window(inputs, as_of, min_window, forget_days, min_days)
    analysis = analyse(inputs, window, standby)
    return analysis, find(inputs, analysis)
