"""Judge one principal from the tables: all rows of a store, or only the rows that concern it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from rightsize.analyze.facts import Facts, read_facts
from rightsize.analyze.inputs import Inputs
from rightsize.analyze.naming import principal_names
from rightsize.analyze.planes import PlaneAnalysis
from rightsize.analyze.tenant import read_granted
from rightsize.analyze.verdicts import Analysis
from rightsize.analyze.window import DEFAULT_FORGET_DAYS
from rightsize.store.ahead import GRANTED, NAMING
from rightsize.store.concern import Concern
from rightsize.workflow.directory import directory_of
from rightsize.workflow.graph import graph_of
from rightsize.workflow.plane_steps import TableOf
from rightsize.workflow.planes import judge_planes
from rightsize.workflow.rbac_analysis import analyse_inputs

_LISTED = (*NAMING, *GRANTED, "scopes", "group_schedule_instances", "resources")
"""Tables of the analysis that are read whole, before its other tables."""


@dataclass(frozen=True, slots=True)
class JudgedPrincipal:
    """The tables and results that were computed for one principal; rows about others are incomplete.

    Attributes:
        principal_id: The principal, folded.
        inputs: The tables.
        facts: Attached identities, owners, and what is held beyond Azure roles, for the whole tenant.
        planes: The planes beyond Azure RBAC.
        analysis: Azure RBAC.
        findings: As the table `findings`.
        token_calls: As the table `token_calls`, of the principal.
    """

    principal_id: str
    inputs: Inputs
    facts: Facts
    planes: list[PlaneAnalysis]
    analysis: Analysis
    findings: pl.DataFrame
    token_calls: pl.DataFrame


def judge_from(
    principal_id: str,
    table_of: TableOf,
    as_of: dt.date | None,
    min_window: int | None,
    concern: Concern | None = None,
    *,
    forget_days: int = DEFAULT_FORGET_DAYS,
    min_days: int | None = None,
) -> JudgedPrincipal:
    """Judge a principal by the tables that `table_of` returns: whole tables, or those of its `Concern`.

    With the `concern`, other principals are left out where they can be told apart.
    """
    # Results that need no use are computed first: the tables of use are still being read.
    read_granted(Inputs.of(**{name: table_of(name) for name in (*NAMING, *GRANTED)}))
    listed = Inputs.of(**{name: table_of(name) for name in _LISTED})
    facts = read_facts(listed, table_of)
    principal_names(listed)
    beyond = _beyond(table_of, as_of, min_window, forget_days, min_days, None if concern is None else concern.holders)
    inputs = Inputs.read(table_of)
    only, judged = (None, None) if concern is None else (concern.creditable, principal_id)
    analysis, findings = analyse_inputs(
        inputs,
        as_of=as_of,
        min_window=min_window,
        forget_days=forget_days,
        min_days=min_days,
        planes=beyond,
        only=only,
        principal_id=judged,
    )
    tokens = table_of("token_calls").filter(pl.col("principal_id") == principal_id)
    return JudgedPrincipal(principal_id, inputs, facts, beyond, analysis, findings, tokens)


def _beyond(
    table_of: TableOf,
    as_of: dt.date | None,
    days: int | None,
    forget_days: int,
    min_days: int | None,
    holders: Sequence[str] | None,
) -> list[PlaneAnalysis]:
    """Return the analyses of the other planes, for these holders or for all."""
    if holders is None:
        return [one.analysis for one in judge_planes(table_of, as_of, days, forget_days, min_days)]
    found = (judge(table_of, as_of, days, forget_days, min_days, holders) for judge in (graph_of, directory_of))
    return [one for one in found if one is not None]
