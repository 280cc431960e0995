"""Analyse Azure RBAC and the planes beyond it, and keep the tables of an analysis from which readers answer.

They are kept in the store, or in memory where the store is only read.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import polars as pl

from rightsize.analyze.findings import find
from rightsize.analyze.inputs import Inputs, schema_of
from rightsize.analyze.kept_tables import (
    GrantedReach,
    measure_granted,
    principal_tables,
    reach_tables,
    read_parts,
    write_parts,
)
from rightsize.analyze.planes import PlaneAnalysis, judged_scores, with_planes
from rightsize.analyze.principals import callings
from rightsize.analyze.reach import measure
from rightsize.analyze.reach.facts import read_facts, without_grants
from rightsize.analyze.reach.layers import measure_layers
from rightsize.analyze.requirements import has_rbac, require_rbac
from rightsize.analyze.tenant import Tenant, read_tenant
from rightsize.analyze.verdicts.coverage import days_of_use
from rightsize.analyze.verdicts.judge import Analysis, analyse
from rightsize.analyze.window import Window, choose_window
from rightsize.model.machine import give_back
from rightsize.model.options import DEFAULT_FORGET_DAYS, USUAL, WindowOptions
from rightsize.model.progress import step, through
from rightsize.model.tables import JOB_TABLES
from rightsize.planes.judging import JUDGING, TableOf
from rightsize.planes.planes import DIRECTORY, GRAPH, TRUST, VAULTS, Judged, PlaneSteps
from rightsize.propose.assembly.purposes import JobTables, job_tables, read_jobs
from rightsize.store.connection import Store
from rightsize.store.stored_analysis import (
    NOT_STORED,
    Analysed,
    AnalysisTable,
    Days,
    in_memory,
    is_current,
    store_analysis,
    store_beside,
    stored_analysis,
)
from rightsize.workflow.analysis.behaviour import tables_beside, with_holds
from rightsize.workflow.names import read_names

if TYPE_CHECKING:
    from rightsize.propose.verify.plan_reader import WrittenPlan
    from rightsize.propose.verify.verify import Change


def analyse_inputs(
    inputs: Inputs,
    asked: WindowOptions = USUAL,
    *,
    planes: Sequence[PlaneAnalysis] = (),
    standby: tuple[str, ...] = (),
) -> tuple[Analysis, pl.DataFrame]:
    """Return the analysis of Azure RBAC by the tables, and its findings.

    `planes` are the analyses of other planes; where nothing of RBAC is loaded, their window is used. `standby` is as in
    `analyse`.

    Raises:
        EvidenceError: Nothing is loaded that could be analysed.
    """
    as_of = asked.as_of
    if not has_rbac(inputs) and planes:
        as_of = planes[0].window.last_day + dt.timedelta(days=1)
    else:
        require_rbac(inputs)
    window = choose_window(inputs, as_of, *asked.span)
    analysis = analyse(inputs, window, standby)
    return analysis, find(inputs, analysis)


PLANES: tuple[PlaneSteps, ...] = (GRAPH, DIRECTORY, TRUST, VAULTS)


def judge_planes(
    table_of: TableOf, asked: WindowOptions = USUAL, planes: Sequence[PlaneSteps] | None = None
) -> list[Judged]:
    """Judge every plane of which something is loaded."""
    chosen = PLANES if planes is None else planes
    judged = (steps.judge(table_of, asked) for steps in through(chosen, JUDGING, "planes"))
    return [one for one in judged if one is not None]


def verify_parts(
    table_of: TableOf, plan: WrittenPlan, planes: Sequence[PlaneSteps] | None = None
) -> tuple[Change, ...]:
    """Return the changes that make the parts of a plan beyond Azure RBAC stale."""
    steps: dict[str, PlaneSteps] = {one.plane: one for one in (PLANES if planes is None else planes)}
    return tuple(change for part in plan.parts for change in steps[part.plane].verify(table_of, part))


# Per principal, since the calls of a token are many. As everywhere, calls across the edges of the window count.
_TOKENS = """
    SELECT principal_id, plane, source, sign_in_kind, resource_id, count(DISTINCT token_id) AS tokens,
        count(DISTINCT session_id) AS sessions, sum(calls)::BIGINT AS calls, sum(denied)::BIGINT AS denied,
        count(DISTINCT token_id) FILTER (addresses > 1) AS moved, min(first_seen) AS first_seen,
        max(last_seen) AS last_seen
    FROM token_calls
    WHERE principal_id IS NOT NULL AND first_seen::DATE <= $last_day AND last_seen::DATE >= $first_day
    GROUP BY ALL"""


def has_default_options(asked: WindowOptions) -> bool:
    """Return whether an analysis with these options is the one that is stored."""
    return (asked.as_of, asked.span) == (USUAL.as_of, USUAL.span)


def options_of(window: Window) -> WindowOptions:
    """Return the options that ask for an analysis over a window, such as that of a plan."""
    return WindowOptions(
        as_of=window.end.date(), min_window=window.days, forget_days=window.forget_days, min_days=window.min_days
    )


def keep_analysis(
    store: Store,
    inputs: Inputs,
    analysis: Analysis,
    findings: pl.DataFrame,
    planes: Sequence[PlaneAnalysis],
    scores: pl.DataFrame | None = None,
    granted: GrantedReach | None = None,
) -> None:
    """Store an analysis of the present content with default options, in one transaction.

    `scores` are those that `judged_scores` returns, and `granted` what `measure_granted` does, where the caller has
    them already.
    """
    step("storing the analysis")
    # Of the jobs, which are found later, none may stay that an earlier analysis had.
    tables = chain(_tables(store, inputs, analysis, findings, planes, scores, granted), _tables_of_jobs({}))
    parts = write_parts(analysis, findings, planes)
    store_analysis(store, tables, parts, _windows(analysis, planes), DEFAULT_FORGET_DAYS)


def keep_jobs(store: Store, inputs: Inputs, analysis: Analysis, found: JobTables | None = None) -> None:
    """Store the tables of jobs beside the stored analysis; none where a plan lacks what it needs to find them.

    `found` are the tables, where the caller has them already.
    """
    if not (inputs.operations.is_empty() or days_of_use(inputs, analysis.window).is_empty()):
        found = job_tables(read_jobs(inputs, analysis), {}) if found is None else found
        store_beside(store, _tables_of_jobs(found.named()))


def _tables_of_jobs(found: Mapping[str, pl.DataFrame]) -> Iterator[AnalysisTable]:
    for name in JOB_TABLES:
        rows = found.get(name, pl.DataFrame(schema=schema_of(name)))
        yield AnalysisTable(name, rows.with_row_index("n"), ("n",))


def renew_analysis(store: Store) -> None:
    """Analyse the store with default options, and store it, unless the stored analysis is of the present content.

    Raises:
        EvidenceError: Nothing is loaded that could be analysed.
    """
    if not is_current(store):
        inputs = Inputs.read(with_holds(store))
        judged = _judge(store, inputs, USUAL)
        keep_analysis(store, inputs, *judged)
        keep_jobs(store, inputs, judged[0])


def whole_analysis(
    store: Store, inputs: Inputs, asked: WindowOptions, note: Callable[[str], None] = lambda _: None
) -> tuple[Analysis, pl.DataFrame, list[PlaneAnalysis]]:
    """Return the analysis of Azure RBAC, its findings, and the analyses of the other planes, for these options.

    They are read from the store where it has them, as `find_analysis` finds out, else made; they are the same.

    Raises:
        EvidenceError: Nothing is loaded that could be analysed.
    """
    found = kept_analysis(store, inputs, asked)
    if found is None:
        note(NOT_STORED)
        return _judge(store, inputs, asked)
    return found


def kept_analysis(
    store: Store, inputs: Inputs, asked: WindowOptions
) -> tuple[Analysis, pl.DataFrame, list[PlaneAnalysis]] | None:
    """Return the stored analysis as `whole_analysis` does; None where the store has none for these options."""
    found = stored_analysis(store, asked)
    if found is None:
        return None
    forget_days = DEFAULT_FORGET_DAYS
    windows = {name: Window(one.first_day, one.last_day, forget_days) for name, one in found.windows.items()}
    return read_parts(found.part, windows, read_tenant(inputs))


def analysis_of_rbac(
    store: Store, inputs: Inputs, asked: WindowOptions, note: Callable[[str], None] = lambda _: None
) -> Analysis:
    """Return the analysis of Azure RBAC alone, as `whole_analysis` finds it; an empty one where nothing is loaded."""
    found = kept_analysis(store, inputs, asked)
    if found is not None:
        return found[0]
    note(NOT_STORED)
    return analyse(inputs, choose_window(inputs, asked.as_of, *asked.span))


def analyse_in_memory(store: Store, asked: WindowOptions) -> Analysed:
    """Analyse the store, and return the tables in memory.

    Raises:
        EvidenceError: Nothing is loaded that could be analysed.
    """
    inputs = Inputs.read(with_holds(store))
    return laid_out(store, inputs, *_judge(store, inputs, asked))


def laid_out(
    store: Store, inputs: Inputs, analysis: Analysis, findings: pl.DataFrame, planes: Sequence[PlaneAnalysis]
) -> Analysed:
    """Return the tables of an analysis in memory."""
    return in_memory(_tables(store, inputs, analysis, findings, planes), _windows(analysis, planes))


def reach_in_memory(store: Store) -> Analysed:
    """Return the tables of names and reach in memory, which need no verdict."""
    inputs = Inputs.read(store.table)
    return in_memory(_tables_of_reach(store, inputs, read_tenant(inputs)), {})


def _judge(store: Store, inputs: Inputs, asked: WindowOptions) -> tuple[Analysis, pl.DataFrame, list[PlaneAnalysis]]:
    planes = [one.analysis for one in judge_planes(tables_beside(store, inputs), asked)]
    return *analyse_inputs(inputs, asked, planes=planes), planes


def _tables(
    store: Store,
    inputs: Inputs,
    analysis: Analysis,
    findings: pl.DataFrame,
    planes: Sequence[PlaneAnalysis],
    scores: pl.DataFrame | None = None,
    granted: GrantedReach | None = None,
) -> Iterator[AnalysisTable]:
    scores = judged_scores(analysis) if scores is None else scores
    for one in principal_tables(inputs, analysis, findings, planes, scores):
        yield AnalysisTable(*one)
    window = {"first_day": analysis.window.first_day, "last_day": analysis.window.last_day}
    yield AnalysisTable("tokens", store.frame(_TOKENS, window), ("principal_id", "plane", "source"))
    yield from _tables_of_reach(store, inputs, analysis.tenant, granted)


def _tables_of_reach(
    store: Store, inputs: Inputs, tenant: Tenant, granted: GrantedReach | None = None
) -> Iterator[AnalysisTable]:
    granted = measure_granted(read_facts(inputs, store.table), tenant, inputs) if granted is None else granted
    for one in reach_tables(granted):
        yield AnalysisTable(*one)
    yield AnalysisTable("callings", callings(inputs), ("name", "kind"))
    names, places = read_names(store, inputs)
    both = names | places
    named = pl.DataFrame({"id": list(both), "name": list(both.values())}, schema={"id": pl.String, "name": pl.String})
    yield AnalysisTable("names", named, ("id",))


def _windows(analysis: Analysis, planes: Sequence[PlaneAnalysis]) -> dict[str, Days]:
    windows: dict[str, Window] = {"rbac": analysis.window, **{one.plane: one.window for one in planes}}
    return {name: Days(one.first_day, one.last_day) for name, one in windows.items()}


def reach_of(store: Store, inputs: Inputs, analysis: Analysis) -> tuple[GrantedReach, dict[str, pl.DataFrame]]:
    """Return what everybody reaches, and the answer tables about it: as granted and as used, and escalations."""
    step("measuring what each principal reaches")
    store.release()
    facts = read_facts(inputs, store.table)
    found = measure_granted(facts, analysis.tenant, inputs)
    give_back()
    granted = measure.rows_of_reach("granted", found.states, facts, analysis.tenant)
    used = measure.measure_reach(analysis, inputs, [("used", without_grants(facts), measure.used_holdings(analysis))])
    rows, layers = measure.joined_rows([granted, used])
    give_back()
    return found, {"reach": rows, "reach_layers": layers, "escalations": found.escalations}


IN_MEMORY = ("verdicts", "findings", "reach", "reach_layers", "escalations", "layer_defeats", "layer_violations")
"""The answer tables that `answers_in_memory` returns."""


def answers_in_memory(store: Store) -> dict[str, pl.DataFrame]:
    """Return answer tables of the present content by an analysis with default options, as if no plan was made.

    Findings on unusual days are left out: no control asks about them.

    Raises:
        EvidenceError: Nothing is loaded that could be analysed.
    """
    inputs = Inputs.read(with_holds(store))
    analysis, findings, planes = _judge(store, inputs, USUAL)
    found = pl.concat([findings, *(plane.findings for plane in planes)])
    layers = measure_layers(analysis)
    return {
        "verdicts": with_planes(analysis.verdicts, planes),
        "findings": found,
        **reach_of(store, inputs, analysis)[1],
        "layer_defeats": layers.defeats,
        "layer_violations": layers.violations,
    }
