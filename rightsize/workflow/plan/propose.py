"""Propose a plan from the store: write its folder, and store the proposals as a table.

A file of exclusions is read in the format that its ending says.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from rightsize.analyze.inputs import Inputs, schema_of
from rightsize.analyze.lacks import Lack
from rightsize.analyze.planes import PlaneAnalysis
from rightsize.analyze.principals import resolve_known
from rightsize.analyze.requirements import has_rbac, require_catalogue
from rightsize.analyze.verdicts.coverage import days_of_use
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.analyze.window import ShortLog, Window, short_log
from rightsize.model.decisions import ReviewDecision, read_entry_file
from rightsize.model.errors import EvidenceError
from rightsize.model.machine import give_back
from rightsize.model.options import Reads, Unobservable
from rightsize.model.plan import Advice, Plan, Proposal, count_by_plane
from rightsize.model.plan_totals import NextStep, NextSteps
from rightsize.model.progress import counted, step
from rightsize.propose.assembly.next_steps import rank_steps
from rightsize.propose.assembly.purposes import JobTables, job_tables, roles_of_jobs
from rightsize.propose.core.options import SEPARATE_LAYERS, Exclusion, PlanOptions, read_exclusions
from rightsize.propose.drafts.reading import with_needed_calls
from rightsize.propose.jobs import Jobs
from rightsize.propose.pipeline import plan_from_basis, read_basis
from rightsize.propose.selection.layer_separation import as_measured
from rightsize.propose.verify.review import respect, review_states, unmatched
from rightsize.render.comment import short_ids, write_comment
from rightsize.render.deploy.contents import contents_of
from rightsize.render.deploy.files import deploy_files
from rightsize.render.folder import FileText, prepared, write_folder
from rightsize.render.pictures import draw_matrix
from rightsize.render.plan import plan_texts, proposal_document
from rightsize.render.rows import compact
from rightsize.render.sentences import bound_of, describe_grant
from rightsize.render.summary import write_summary
from rightsize.store.connection import Store, open_store
from rightsize.store.stored_analysis import has_current_answers, kept_digests, renew_digest
from rightsize.workflow.analysis.analyze import write_conclusions
from rightsize.workflow.analysis.behaviour import find_behaviour, tables_beside, with_holds
from rightsize.workflow.analysis.find_analysis import require_content
from rightsize.workflow.analysis.keep_analysis import (
    analyse_inputs,
    has_default_options,
    judge_planes,
    keep_analysis,
    keep_jobs,
    kept_analysis,
)
from rightsize.workflow.analysis.layers import keep_layers, matrix_rows, measure_plan
from rightsize.workflow.analysis.reach import keep_planned_reach
from rightsize.workflow.names import resolve_excluded, resolve_scopes
from rightsize.workflow.plan.deploy import COMMENT_FORM, today_of
from rightsize.workflow.plan.next_steps import keep_next
from rightsize.workflow.plan.questions import ask_owners, say_short
from rightsize.workflow.plan.review import answer_rows, found_steps, reached_by, read_review
from rightsize.workflow.signatures import CHAIN, head_of, make_chain

_AT_ONCE = 5_000
"""Number of proposals that become rows at a time, since each is a text of kilobytes."""
_KEEPS_UNUSED: Mapping[str, Any] = {"reads": Reads.ALL, "unobservable": Unobservable.KEEP, "standing_hours": 0.0}
"""The options of a plan for which absence of use decides nothing: no choice takes access for want of use."""
SUMMARY, COMMENT = "summary.html", "comment.md"


@dataclass(frozen=True, slots=True)
class ProposeResult:
    """The result of `propose`.

    Attributes:
        out: The folder that was written.
        files: Names of its files, sorted.
        planes: Number of proposals of each kind, for Azure roles and for each plane beyond them.
        names: Display names of principals, roles and scopes.
        comment: The plan as a comment on a pull request.
        steps: The changes in the order in which they are best made.
        unmatched: Decisions whose proposal no longer exists.
        lacks: The listings that are not complete: the plan has no proposal for what they lack.
        said_first: Where absence of use decides nothing yet: why, from when on it does, and what would tell.
        questions: The questions to owners that such a plan has, the widest access first.
        has_catalogue: Whether a catalogue of operations is loaded; without one no excess is known.
    """

    plan: Plan
    out: Path
    files: list[str]
    planes: dict[str, dict[str, int]]
    names: Mapping[str, str]
    comment: str
    steps: NextSteps
    unmatched: list[ReviewDecision]
    lacks: list[Lack]
    said_first: tuple[str, ...] = ()
    questions: tuple[Advice, ...] = ()
    has_catalogue: bool = True

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield one row a proposal, for people: changes as `next` ranks them, then what stays, most excess first."""
        return proposal_rows(self.plan, self.names, self.steps)


def propose_plan(
    db: Path, options: PlanOptions, out: Path, *, forms: Collection[str] = (), review: Path | None = None
) -> ProposeResult:
    """Judge every grant in the store, plan, prove, replay, and write the plan folder.

    Args:
        db: The store.
        options: The options that the person chose.
        out: The plan folder.
        forms: Further forms to write into the folder: those of `render.deploy.files`, and `markdown`.
        review: A file of decisions: an assignment whose proposal was rejected stays as it is.

    Raises:
        EvidenceError: Nothing is loaded, a log of use is loaded without a catalogue of operations, or the loaded logs
            cover no day of the window.
        InputError: The folder cannot be written, or decisions contradict each other or have ended.
        InternalError: A proof or the replay failed; no plan is written then.
    """
    decisions = read_review(review) if review is not None else None
    with open_store(db, read_only=False, existing=True) as store:
        require_content(store)
        behaviour = find_behaviour(store)
        inputs = Inputs.read(with_holds(store, behaviour))
        options = replace(
            options,
            emergency_access=resolve_known(inputs, options.emergency_access),
            exclude=resolve_excluded(store, inputs, options.exclude),
            standby=resolve_scopes(store, options.standby),
        )
        judged = judge_planes(tables_beside(store, inputs), options)
        # Where nothing of Azure RBAC is loaded, the plan is of the other planes alone.
        of_rbac = has_rbac(inputs) or not judged
        if of_rbac and _has_use(inputs):
            require_catalogue(inputs)
        planes = [one.analysis for one in judged]
        analysis, findings, short = _concluded(store, inputs, behaviour, planes, options, of_rbac=of_rbac)
        careful = options if short is None else replace(options, **_KEEPS_UNUSED)
        analysis = with_needed_calls(analysis, careful)
        basis = read_basis(inputs, analysis, careful)
        # The following steps need no single use, which is most of the memory that was read.
        inputs, analysis = basis.reading.inputs, basis.reading.analysis
        plan, jobs = plan_from_basis(basis, renew_digest(store, kept_digests(store))), basis.jobs
        del basis
        plan = replace(plan, parts=tuple(one.plan(options) for one in judged))
        if decisions is not None:
            plan = respect(plan, decisions)
        layers = measure_plan(inputs, analysis, plan)
        left = layers.violations.filter(pl.col("basis") == "proposed")
        plan = replace(
            plan,
            advice=_with_layers(plan, left.filter(pl.col("state") == "active"), options),
            separation=as_measured(plan.separation, left),
        )
        plan, questions = _with_questions(plan, short, inputs, findings, store.table("object_owners"))
        extra = {SUMMARY: write_summary(plan, layers=draw_matrix(matrix_rows(layers.defeats, plan.names)))}
        if forms:
            extra |= deploy_files(contents_of(plan, today_of(store, inputs, plan, plan.names)), forms)
        names = {**plan.names, **{id_: name for part in plan.parts for id_, name in part.names.items()}}
        steps = rank_steps(plan, reached_by(plan, inputs.principals, inputs.group_closure))
        comment = write_comment(plan, names, review_states(plan) if decisions is not None else None, steps)
        if COMMENT_FORM in forms:
            extra[COMMENT] = comment
        step("writing the plan")
        with prepared(out, plan_texts(plan)) as written:
            texts: dict[str, FileText] = {**written, **extra}
            texts[CHAIN] = chain = make_chain(store.table("loads"), plan.generated_from, texts)
            files = write_folder(texts, out)
        # The use behind the proposals is written, and no further step needs it.
        plan = replace(plan, uses=None)
        step("storing the answers")
        found = _store_plan(store, plan, jobs, answer_rows(steps, names))
        if _is_stored(options):
            keep_jobs(store, inputs, analysis, found)
        keep_layers(store, layers)
        keep_planned_reach(store, inputs, analysis, plan)
        ranked = found_steps(store, plan, steps)
        keep_next(store, head_of(chain), plan, ranked)
    return ProposeResult(
        lacks=[*ranked.lacks],
        unmatched=unmatched(plan, decisions or {}),
        plan=plan,
        out=out,
        files=files,
        planes=count_by_plane((one.plane, one.kind) for one in plan.all_proposals),
        names=names,
        comment=comment,
        steps=steps,
        said_first=tuple(plan.generated_from["window"].get("short", {}).get("said", ())),
        questions=questions,
        has_catalogue=not inputs.operations.is_empty() or not of_rbac,
    )


def _concluded(
    store: Store,
    inputs: Inputs,
    behaviour: pl.DataFrame,
    planes: Sequence[PlaneAnalysis],
    options: PlanOptions,
    *,
    of_rbac: bool,
) -> tuple[Analysis, pl.DataFrame, ShortLog | None]:
    """Return the analysis of Azure RBAC, its findings and the log that is short, after the store has the answers.

    What the store has of the present content and these options is neither judged nor written again. Where logs cover no
    day of the window, nothing is written.
    """
    found = kept_analysis(store, inputs, options) if _is_stored(options) else None
    if found is None:
        analysis, findings = analyse_inputs(inputs, options, planes=planes, standby=options.standby)
    else:
        analysis, findings, _ = found
        give_back()
    short, granted = _short_log(inputs, analysis) if of_rbac else None, None
    if not has_current_answers(store, options, options.standby):
        *_, granted = write_conclusions(store, inputs, analysis, findings, behaviour, planes, options, options.standby)
    if found is None and _is_stored(options):
        keep_analysis(store, inputs, analysis, findings, planes, granted=granted)
    return analysis, findings, short


def _with_layers(plan: Plan, found: pl.DataFrame, options: PlanOptions) -> tuple[Advice, ...]:
    """Return the advice of a plan, with a hint at the split by layers where it would help and was not asked for.

    Args:
        plan: The plan.
        found: The violations that the plan leaves, as rows of `layer_violations`.
        options: The options that the person chose.
    """
    if options.separate_layers or found.is_empty():
        return plan.advice
    who, times = found["principal_id"].n_unique(), found.height
    cases = f"{counted(who, 'principal')} could defeat several layers of one subscription without an activation"
    text = f"{cases} ({counted(times, 'case')}). To split their roles, give this option; the plan says what it costs."
    return tuple(sorted([*plan.advice, Advice(SEPARATE_LAYERS, text)], key=lambda one: (one.subject, one.text)))


def _with_questions(
    plan: Plan, short: ShortLog | None, inputs: Inputs, findings: pl.DataFrame, owners: pl.DataFrame
) -> tuple[Plan, tuple[Advice, ...]]:
    """Return the plan with its questions to owners, and these; only a plan of a short log says so and asks."""
    if short is None:
        return plan, ()
    questions = ask_owners(plan, inputs, findings, owners)
    said = short.as_json() | {"said": list(say_short(short, inputs, plan.names))}
    window = {**plan.generated_from["window"], "short": said}
    advice = sorted({*plan.advice, *questions}, key=lambda one: (one.subject, one.text))
    return replace(plan, generated_from={**plan.generated_from, "window": window}, advice=tuple(advice)), questions


def _is_stored(options: PlanOptions) -> bool:
    """Return whether the analysis of a plan with these options is the one that is stored."""
    return has_default_options(options) and not options.standby


def _store_plan(store: Store, plan: Plan, jobs: Jobs, steps: Iterator[pl.DataFrame]) -> JobTables:
    """Write the answer tables of a plan, its steps and its jobs; return the jobs."""
    store.write_answer("proposals", answer_parts(plan))
    store.write_answer("next_steps", steps)
    found = job_tables(jobs, roles_of_jobs(plan))
    for name, frame in found.named().items():
        store.write_answer(name, frame)
    return found


def answer_parts(plan: Plan) -> Iterator[pl.DataFrame]:
    """Yield the rows of the table `proposals`, some thousands at a time."""
    # In the plan's order, in which its uses are stored: any other order would read a page of uses for each proposal.
    every = plan.all_proposals
    for first in range(0, len(every), _AT_ONCE):
        yield pl.DataFrame([_answer(one) for one in every[first : first + _AT_ONCE]], schema=schema_of("proposals"))


def _answer(one: Proposal) -> dict[str, Any]:
    return {
        "proposal_id": one.id,
        "kind": one.kind,
        "plane": one.plane,
        "principal_ids": list(one.principal_ids),
        "replaces": list(one.replaces),
        "reason": one.reason,
        "excess_before": one.excess_before,
        "excess_after": one.excess_after,
        "plan": compact(proposal_document(one)),
    }


def require_coverage(inputs: Inputs, window: Window) -> None:
    """Raise EvidenceError where no log of use covers any day of the window.

    Raises:
        EvidenceError: No log of use covers any day of it.
    """
    if not days_of_use(inputs, window).is_empty():
        return
    raise EvidenceError(
        f"no log of use covers any day of the window {window.first_day} to {window.last_day}",
        hint=_what_is_covered(days_of_use(inputs)),
    )


def _has_use(inputs: Inputs) -> bool:
    """Return whether any use is loaded, or a log that would show it: orphans and duplicates need neither."""
    return not (inputs.usage_days.is_empty() and days_of_use(inputs).is_empty())


def _short_log(inputs: Inputs, analysis: Analysis) -> ShortLog | None:
    """Return the log of use where absence decides nothing; None where it decides.

    Raises:
        EvidenceError: Logs of use are loaded, and none covers a day of the window.
    """
    if not days_of_use(inputs).is_empty():
        require_coverage(inputs, analysis.window)
    return short_log(inputs, analysis.window, analysis.verdicts)


def _what_is_covered(logs: pl.DataFrame) -> str:
    if logs.is_empty():
        return "load an export of the Activity Log: `rightsize load PATH`; a download of the portal covers no day"
    spans = logs.group_by("source").agg(first=pl.col("day").min(), last=pl.col("day").max()).sort("source")
    covered = ", ".join(f"{source} {first} to {last}" for source, first, last in spans.iter_rows())
    return f"the logs cover {covered}; choose the window with --as-of and --min-window"


def _row(proposal: Proposal, names: Mapping[str, str], short: str, step: NextStep | None) -> dict[str, Any]:
    # What becomes eligible is a proposal of its own, and has no further share.
    is_main = step is not None and step.proposal == proposal.id

    def named(id_: str) -> str:
        return names.get(id_, id_)

    return {
        "id": proposal.id,
        "short": short,
        "principal": named(proposal.principal_ids[0]),
        "principal_id": proposal.principal_ids[0],
        "plane": proposal.plane,
        "kind": proposal.kind,
        "role": named(proposal.evidence["role"]),
        "role_and_scope": describe_grant(
            named(proposal.evidence["role"]), proposal.evidence["scope"], proposal.plane, names
        ),
        "scope": proposal.evidence["scope"],
        "role_assignment_id": proposal.replaces[0],
        "assignments": len(proposal.assignments),
        "excess_before": proposal.excess_before,
        "excess_after": proposal.excess_after,
        "break_probability_30d": proposal.break_probability_30d,
        "break_bound_30d": bound_of(proposal.evidence),
        "reason": proposal.reason,
        "rank": step.rank if step is not None else None,
        "share": round(step.share, 6) if step is not None and is_main else None,
    }


def proposal_rows(plan: Plan, names: Mapping[str, str], ranked: NextSteps) -> Iterator[dict[str, Any]]:
    """Yield one row a proposal: changes in the order of their steps, then what stays, most excess first."""
    steps = ranked.by_proposal()
    short = short_ids([one.id for one in plan.all_proposals])
    last = len(steps) + 1
    ordered = sorted(
        plan.all_proposals,
        key=lambda one: (steps[one.id].rank if one.id in steps else last, -one.excess_before, one.id),
    )
    return (_row(one, names, short[one.id], steps.get(one.id)) for one in ordered)


def change_of(before: float, after: float) -> str:
    """Return the change in whole per cent, truncated, not rounded: `-100 %` means that nothing is left."""
    return f"{int(100 * (after - before) / before):+d} %" if before and before != after else "="


def read_exclusion_file(path: Path) -> tuple[Exclusion, ...]:
    """Return the entries of a file of exclusions.

    Raises:
        InputError: The file cannot be read, or its content does not fit its ending.
    """
    return read_entry_file(path, "exclusions", read_exclusions)
