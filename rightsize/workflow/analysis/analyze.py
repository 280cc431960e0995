"""Analyse the store: write verdicts and findings back, and return counts and scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import polars as pl

from rightsize.analyze.counting import count_unexplained_by_plane
from rightsize.analyze.inputs import Inputs
from rightsize.analyze.kept_tables import GrantedReach
from rightsize.analyze.planes import (
    PlaneAnalysis,
    answers_of,
    bucket_of,
    judged_scores,
    score_assignments,
    sets_of_all,
    unscored,
    with_planes,
    with_unknown_roles,
)
from rightsize.analyze.principals import principal_names, with_role_names
from rightsize.analyze.reach.layers import measure_layers
from rightsize.analyze.verdicts.coverage import covered_share
from rightsize.analyze.verdicts.existence import existence_rows, type_rows
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.analyze.window import Window
from rightsize.model.options import USUAL, WindowOptions
from rightsize.model.progress import step
from rightsize.store.connection import Store, open_store
from rightsize.store.stored_analysis import has_current_answers, mark_answers
from rightsize.workflow.analysis.behaviour import behaviour_rows, find_behaviour, tables_beside, with_holds
from rightsize.workflow.analysis.find_analysis import require_content
from rightsize.workflow.analysis.keep_analysis import (
    analyse_inputs,
    has_default_options,
    judge_planes,
    keep_analysis,
    keep_jobs,
)
from rightsize.workflow.analysis.layers import keep_layers
from rightsize.workflow.analysis.reach import keep_reach
from rightsize.workflow.names import scope_names

Subject = Literal["principal", "assignment"]


@dataclass(frozen=True, slots=True)
class AnalysisResult:
    """The result of `analyze`.

    Attributes:
        window: The days that were analysed.
        rows: One row a (principal, plane) or (assignment, plane), the worst creep first.
        unexplained: Number of unexplained operations, for Azure roles and for each plane beyond them.
        has_catalogue: Whether a catalogue of operations is loaded; without it only use is counted.
        covered: Share of (subscription, day) pairs of the window that an Activity Log covers.
        places: Display names of subscriptions and management groups, by scope in lower case.
    """

    window: Window
    rows: list[dict[str, Any]]
    unexplained: dict[str, int]
    findings: int
    has_catalogue: bool
    covered: float
    places: Mapping[str, str] = field(default_factory=dict)


def analyze_store(db: Path, asked: WindowOptions = USUAL, *, by: Subject = "principal") -> AnalysisResult:
    """Judge every grant in the store over a window.

    Raises:
        EvidenceError: The store has neither assignments nor usage.
    """
    # A missing store is an error; the analysis does not create one.
    with open_store(db, read_only=False, existing=True) as store:
        require_content(store)
        behaviour = find_behaviour(store)
        store.release()
        inputs = Inputs.read(with_holds(store, behaviour))
        judged = judge_planes(tables_beside(store, inputs), asked)
        store.release()
        planes = [one.analysis for one in judged]
        analysis, judged_findings = analyse_inputs(inputs, asked, planes=planes)
        unexplained, findings, granted = write_conclusions(
            store, inputs, analysis, judged_findings, behaviour, planes, asked
        )
        keep_layers(store, measure_layers(analysis))
        scores = judged_scores(analysis) if by == "principal" else None
        scored = _by_assignment(inputs, analysis, planes) if scores is None else _by_principal(inputs, scores, planes)
        if has_default_options(asked):
            keep_analysis(store, inputs, analysis, judged_findings, planes, scores, granted)
            # The single calls and what is reached are much of what is in memory, and jobs need none.
            analysis = replace(analysis, usage=analysis.usage.clear())
            del granted
            store.release()
            keep_jobs(store, inputs, analysis)
    return AnalysisResult(
        window=analysis.window,
        rows=_with_bucket(scored),
        unexplained=unexplained,
        findings=len(findings),
        has_catalogue=analysis.tenant.has_catalogue,
        covered=covered_share(inputs, analysis.window, analysis.tenant),
        places={scope.lower(): name for scope, name in scope_names(inputs.scopes).items()},
    )


def write_conclusions(
    store: Store,
    inputs: Inputs,
    analysis: Analysis,
    findings: pl.DataFrame,
    behaviour: pl.DataFrame,
    planes: Sequence[PlaneAnalysis],
    asked: WindowOptions,
    standby: Sequence[str] = (),
) -> tuple[dict[str, int], pl.DataFrame, GrantedReach]:
    """Write the answers of an analysis; return unexplained operations by plane, findings, and what everybody reaches.

    These are verdicts, findings, activations, what existed, and reach as granted and as used; when all are written,
    they are marked as current. `behaviour` has the unusual days. `find_behaviour` reads all use, so call it while
    nothing else is in memory.
    """
    step("storing the answers")
    if not has_current_answers(store):
        _forget_plan(store)
    verdicts = with_planes(analysis.verdicts, planes)
    found = all_findings(analysis.window, findings, behaviour, planes)
    store.write_answer("behaviour_findings", behaviour)
    store.write_answer("verdicts", verdicts)
    unexplained = count_unexplained_by_plane(verdicts)
    # Reach needs much memory, and no verdict of other planes.
    del verdicts
    store.write_answer("verdict_operation_sets", sets_of_all(analysis.sets, planes))
    store.write_answer("findings", found)
    for name, rows in answers_of(planes).items():
        store.write_answer(name, rows)
    store.write_answer("activations", pl.concat([analysis.activations, *(plane.activations for plane in planes)]))
    listed = type_rows(analysis.tenant, store.table("resources"), store.table("provider_registrations"))
    store.write_answer("resource_types", listed)
    store.write_answer("resource_existence", existence_rows(analysis.existence, analysis.tenant))
    granted = keep_reach(store, inputs, analysis)
    mark_answers(store, asked, standby)
    return unexplained, found, granted


def _forget_plan(store: Store) -> None:
    """Delete what the last plan leaves from the answers: it was made of other content, whose principals it had."""
    for name in ("reach", "reach_layers", "layer_defeats", "layer_violations"):
        rows = store.table(name)
        if (kept := rows.filter(pl.col("basis") != "proposed")).height < rows.height:
            store.write_answer(name, kept)


def all_findings(
    window: Window, findings: pl.DataFrame, behaviour: pl.DataFrame, planes: Sequence[PlaneAnalysis]
) -> pl.DataFrame:
    """Return the findings on Azure roles, on the unusual days of the window, and on each plane beyond Azure roles."""
    unusual = behaviour_rows(behaviour.filter(window.holds("day")))
    return pl.concat([findings, unusual, *(plane.findings for plane in planes)]).sort("control", "subject")


def _by_principal(inputs: Inputs, scores: pl.DataFrame, planes: Sequence[PlaneAnalysis]) -> pl.DataFrame:
    table = pl.concat([scores, *(plane.principals for plane in planes)])
    named = table.join(principal_names(inputs), on="principal_id", how="left", maintain_order="left")
    return named.with_columns(name=pl.coalesce("name", "principal_id")).sort(
        "creep", "risk", "principal_id", "plane", descending=[True, True, False, False], nulls_last=True
    )


def _by_assignment(inputs: Inputs, analysis: Analysis, planes: Sequence[PlaneAnalysis]) -> pl.DataFrame:
    about = with_role_names(inputs, analysis.tenant.assignments).select(
        "role_assignment_id", "state", "principal_id", "role_name", "scope"
    )
    unknown = with_unknown_roles(analysis.tenant)["role_assignment_id"]
    scored = unscored(score_assignments(analysis), "role_assignment_id", unknown).join(
        about, on=["role_assignment_id", "state"], how="left", maintain_order="left"
    )
    return (
        pl.concat([scored, *(plane.assignments.select(scored.columns) for plane in planes)])
        .join(principal_names(inputs).select("principal_id", "name"), on="principal_id", how="left")
        .sort(
            "creep",
            "risk",
            "role_assignment_id",
            "state",
            "plane",
            descending=[True, True, False, False, False],
            nulls_last=True,
        )
    )


def _with_bucket(scored: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the rows, each with the bucket of its creep."""
    return [row | {"bucket": bucket_of(row["creep"])} for row in scored.to_dicts()]
