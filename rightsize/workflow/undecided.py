"""Compute for the report what is missing from a store, from an analysis that is there, without writing an answer."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from rightsize.analyze.directory.tables import AUDIT_LOG
from rightsize.analyze.inputs import Inputs
from rightsize.analyze.observability.promises import decided_sets, excess_of, make_promises
from rightsize.analyze.observability.undecided import ASSIGNMENT, plane_cells, weigh_cells
from rightsize.analyze.observability.ways import find_ways, ways_on_planes
from rightsize.analyze.planes import PlaneAnalysis
from rightsize.analyze.reasons import OutOfCoverage
from rightsize.analyze.verdicts import Analysis
from rightsize.render.report.sources import Undecided
from rightsize.rules.prices import known_prices
from rightsize.workflow.log_options import Sources, describe_options
from rightsize.workflow.logs import LogsResult

_PLAN, _REGION = "analytics", "us"
"""The plan and the region of the prices, as `logs` has them by default."""


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
    spared = findings.filter(pl.col("control") == "emergency_access_account")["principal_id"].drop_nulls()
    whole = weigh_cells(analysis, spared)
    of_roles = find_ways(whole, inputs, analysis)
    audited = coverage.filter((pl.col("source") == AUDIT_LOG) & (pl.col("state") != "missing"))
    days = audited.filter(analysis.window.holds("day"))["day"].n_unique()
    beyond = ways_on_planes(plane_cells(planes), audited=days == analysis.window.days)
    cells = pl.concat([of_roles, beyond.select(of_roles.columns)])
    prices = known_prices()
    sources = Sources(inputs, analysis, coverage, cells, prices, _PLAN, _REGION)
    sets = decided_sets(cells)
    undecided = int(cells["excess"].sum())
    result = LogsResult(
        window=analysis.window,
        options=describe_options(make_promises(cells, whole, analysis), sources),
        sets=sets,
        undecided=undecided,
        prices=prices,
        plan=_PLAN,
        chosen=None,
        outcomes=[],
        files=[],
        unlisted={},
        has_grants=True,
    )
    items = [option.promise.item for option in result.options]
    return Undecided(
        options=tuple(result.rows()),
        decidable=result.share(excess_of(sets, items)),
        region=_REGION,
        unlisted=_count_unlisted(analysis),
    )


def _count_unlisted(analysis: Analysis) -> int:
    """Return the number of assignments whose verdicts have no number of operations."""
    words = [word.value for word in (OutOfCoverage.NO_CATALOGUE, OutOfCoverage.NOT_IN_CATALOGUE)]
    words.append(OutOfCoverage.ROLE_DEFINITION_MISSING.value)
    rows = analysis.verdicts.filter(pl.col("reason").is_in(words) & pl.col("role_assignment_id").is_not_null())
    return rows.select(ASSIGNMENT).n_unique()
