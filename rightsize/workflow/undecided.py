"""Compute for the report what is missing from a store, from an analysis that is there, without writing an answer."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.planes import PlaneAnalysis
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.render.report.sources import Undecided
from rightsize.rules.prices import known_prices
from rightsize.workflow.log_volumes import Tariff
from rightsize.workflow.logs import rank_missing


def find_undecided(
    inputs: Inputs,
    coverage: pl.DataFrame,
    analysis: Analysis,
    findings: pl.DataFrame,
    planes: Sequence[PlaneAnalysis],
) -> Undecided:
    """Return what `logs` answers for the same window, with its default prices and without a budget.

    Args:
        inputs: The tables.
        coverage: The whole table `coverage`, logs of the tenant among them.
        analysis: The analysis.
        findings: Its findings.
        planes: The analyses of the planes beyond Azure RBAC.
    """
    tariff = Tariff(known_prices())
    result, _ = rank_missing(inputs, coverage, analysis, findings, planes, tariff)
    rows = tuple(result.rows())
    decided = result.decides([row["item"] for row in rows])
    unlisted = sum(result.unlisted.values())
    return Undecided(options=rows, decidable=result.share(decided), region=tariff.region, unlisted=unlisted)
