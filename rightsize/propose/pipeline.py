"""Make the plan of Azure roles from an analysis and options, in steps.

1. Read the tenant (`drafts.reading`) and estimate what may break (`risk.breakage`). Both need the single uses.
2. Decide for each assignment alone (`drafts.drafts`), and keep what is too risky to change.
3. Find the jobs of the tenant (`jobs`), choose roles and places (`selection.assign`), split by layer of defence if
   asked to, and make the drafts consistent as one plan (`selection.reconcile`).
4. Identify, evidence and name the new roles (`selection.role_names`, `assembly.role_evidence`, `assembly.role_pages`).
5. Prove every proposal and replay every call (`assembly.plan_proof`).
6. Write the proposals (`assembly.assemble`), and sum up the plan.

Steps 2 and 3, which decide, take what `_staying_input`, `_demand_input` and `_terms` make: no decision sees more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from rightsize.analyze.counting import count_verdicts
from rightsize.analyze.inputs import Inputs, place_of
from rightsize.analyze.principals import principal_names
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.model.errors import InternalError
from rightsize.model.machine import give_back
from rightsize.model.plan import Plan, PlannedRole
from rightsize.model.progress import step
from rightsize.model.text import fold
from rightsize.propose.assembly.advice import write_advice
from rightsize.propose.assembly.assemble import uses_of, would_tell, write_proposals
from rightsize.propose.assembly.plan_proof import check_roles, prove_drafts, read_role_uses, replay_drafts
from rightsize.propose.assembly.role_evidence import JobReasons, price_reads, role_evidences
from rightsize.propose.assembly.role_pages import give_texts, summarise_roles
from rightsize.propose.core.fingerprint import take_readings
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.core.role_catalog import RoleContent
from rightsize.propose.core.role_patterns import AzureLimits, RoleRoom
from rightsize.propose.drafts.demands import DemandInput
from rightsize.propose.drafts.drafts import StayingInput, decide
from rightsize.propose.drafts.reading import (
    PlanSettings,
    TenantReading,
    read_plan_settings,
    read_tenant,
    without_single_uses,
)
from rightsize.propose.jobs import Jobs, find_jobs, read_work
from rightsize.propose.needs.assignments import Key
from rightsize.propose.needs.holders import MemberWork, read_owner_facts
from rightsize.propose.needs.linked_checks import linked_checks
from rightsize.propose.needs.needs import NeedReader, UnobservedWork
from rightsize.propose.needs.privileged import Privilege
from rightsize.propose.needs.profiles import Part, worthwhile_parts
from rightsize.propose.proof import refused_roles
from rightsize.propose.replay import distinct_uses
from rightsize.propose.risk.breakage import BreakBounds, break_bounds, keep_risky
from rightsize.propose.risk.incidence import HORIZON_DAYS
from rightsize.propose.selection.assign import GrantedNeeds, grant_needs, read_active_holders
from rightsize.propose.selection.layer_separation import advise, separate
from rightsize.propose.selection.reconcile import (
    fit_limits,
    keep_last_owners,
    mark_duplicates,
    rest_on_existing,
    say_duplicates,
)
from rightsize.propose.selection.role_names import NewRoles, identify_roles
from rightsize.propose.selection.worth import Terms


def make_plan(
    inputs: Inputs,
    analysis: Analysis,
    options: PlanOptions,
    *,
    content_hash: str,
    limits: AzureLimits | None = None,
) -> Plan:
    """Return the plan, proved and replayed.

    Args:
        inputs: The tables.
        analysis: The verdicts of the window.
        options: The options of the command.
        content_hash: Hash of the stored content that the plan is made from.
        limits: Azure's limits; None means the limits of the public cloud.

    Raises:
        InternalError: A proposal cannot be proved, or the replay denies a call. No plan may be written then.
    """
    return plan_from_basis(read_basis(inputs, analysis, options, limits), content_hash)


def plan_from_reading(reading: TenantReading, settings: PlanSettings, content_hash: str) -> Plan:
    """Return the plan of a reading that other plans share, as `make_plan` does."""
    return plan_from_basis(_basis_of(reading, settings), content_hash)


@dataclass(frozen=True, slots=True)
class PlanBasis:
    """The reading of a plan without the single uses, which are most of its memory, and what was read from them.

    Attributes:
        reading: The reading; of the uses, its tables have none and its analysis has those in quarantine.
        settings: The options, and what they set apart.
        bounds: The estimates of what may break.
        calls: The calls to replay, as `replay.distinct_uses` returns them.
        jobs: The jobs of the tenant.
        singled: What single members of a group get instead of the group.
        staying: What decides which operations stay with whom.
        refused: The contents of new roles that may not be written, each with what speaks against it.
    """

    reading: TenantReading
    settings: PlanSettings
    bounds: BreakBounds
    calls: pl.DataFrame
    jobs: Jobs
    singled: MemberWork
    staying: StayingInput
    refused: Mapping[RoleContent, str] = field(default_factory=dict)


def read_basis(
    inputs: Inputs, analysis: Analysis, options: PlanOptions, limits: AzureLimits | None = None
) -> PlanBasis:
    """Return the basis of a plan; the arguments are those of `make_plan`.

    A caller that drops its own tables and analysis then frees the single uses before roles are chosen.
    """
    give_back()
    reading = read_tenant(inputs, analysis)
    give_back()
    return _basis_of(reading, read_plan_settings(reading, options, limits))


def _basis_of(reading: TenantReading, settings: PlanSettings) -> PlanBasis:
    jobs = jobs_of(reading)
    singled = _singled(reading, settings.options, jobs)
    give_back()
    bounds = break_bounds(reading, _parts(reading, settings.options), singled.by_place, HORIZON_DAYS)
    give_back()
    window = reading.analysis.window
    calls = distinct_uses(reading.inputs, window.remembered, since=window.first_day)
    lean = without_single_uses(reading)
    return PlanBasis(lean, settings, bounds, calls, jobs, singled, _staying_input(lean, settings))


def plan_from_basis(basis: PlanBasis, content_hash: str) -> Plan:
    """Return the plan of a basis, as `make_plan` does.

    Roles are chosen again without those that may not be written.
    """
    give_back()
    reading, settings = basis.reading, basis.settings
    today, use, tenant, options = reading.today, reading.use, reading.analysis.tenant, settings.options
    window = reading.analysis.window
    demands = _demand_input(basis, settings.privilege)
    # Costs and counts come first and the drafts go early: together with the proposals they would be the peak of memory.
    reads = price_reads(basis.staying, today.orphans, tenant.may_reach)
    verdicts = count_verdicts(reading.analysis.verdicts)
    granted = _settled(basis, settings.privilege)
    separation: dict[str, Any] = {}
    if options.separate_layers:
        demands, granted, separation = separate(
            granted, demands, tenant, today.spelling, lambda privilege: _settled(basis, privilege)
        )
    drafts = granted.drafts
    give_back()
    step("naming the roles")
    ordered = [drafts[key] for key in sorted(drafts)]
    new = identify_roles(ordered, today.book.roles, today.spelling, settings.limits)
    role_uses = read_role_uses(drafts, new, use, today.book)
    adopted = frozenset(fold(one.role_definition_id) for one in options.previous)
    reasons = JobReasons(basis.jobs, basis.staying.reader, adopted, ordered)
    evidence = role_evidences(new, role_uses, today.book, options.unobservable, demands.privilege.layers, reasons)
    if refused := refused_roles(new.definitions, evidence):
        if again := sorted(refused.keys() & basis.refused.keys()):
            raise InternalError(f"a new role was chosen again that may not be written: {refused[again[0]]}")
        return plan_from_basis(replace(basis, refused={**basis.refused, **refused}), content_hash)
    new = give_texts(new, role_uses, reading, options.previous)
    check_roles(new.definitions, drafts, today.book, settings.limits)
    roles = {id_: role.blocks for id_, role in today.book.roles.items()}
    roles |= {id_: role.permissions for id_, role in new.definitions.items()}
    proofs = prove_drafts(drafts, new, reading, roles)
    outcome = replay_drafts(drafts, new, basis.calls, reading, roles)
    proposals = write_proposals(drafts, proofs, new, basis.bounds, reading, demands, options.unobservable)
    curve = granted.curve
    del demands, drafts, granted, ordered, proofs, reasons
    give_back()
    step("summing up the plan")
    advice = {*write_advice(reading.inputs, reading.analysis, options, proposals), *advise(separation)}
    summaries = summarise_roles(new.definitions, role_uses, evidence, proposals, today.book, basis.jobs)
    return Plan(
        generated_from={
            "content_hash": content_hash,
            "catalogue_hash": catalogue_hash(reading.inputs.operations),
            "window": window.as_json(),
            "options": options.as_json(window.days),
        },
        proposals=proposals,
        uses=uses_of(proposals, use, today.book.index),
        would_tell=would_tell(proposals),
        roles=tuple(
            PlannedRole(role, new.slugs[id_], {**evidence[id_], "summary": summaries[id_]}, role_uses[id_].job)
            for id_, role in sorted(new.definitions.items())
        ),
        advice=tuple(sorted(advice, key=lambda one: (one.subject, one.text))),
        replay=outcome.as_json(),
        verdicts=verdicts,
        names=_names(reading, new),
        reads=reads,
        curve=curve,
        separation=separation,
        rests_on=take_readings(reading.inputs, (one.role for proposal in proposals for one in proposal.assignments)),
    )


def _settled(basis: PlanBasis, privilege: Privilege) -> GrantedNeeds:
    """Return the drafts of all assignments, decided one by one and then made consistent as one plan."""
    reading, settings = basis.reading, basis.settings
    parts, reach = _parts(reading, settings.options), reading.analysis.tenant.may_reach
    drafts = decide(basis.staying, reading.today.orphans, parts, privilege, reach)
    drafts = keep_risky(drafts, basis.bounds, settings.options.max_break)
    drafts = mark_duplicates(drafts, reading.today.containers, settings.left_alone.untouched)
    terms = _terms(basis, privilege)
    drafts = keep_last_owners(drafts, reading.use.rows.counts, read_owner_facts(reading.inputs, terms.ended))
    granted = grant_needs(drafts, terms)
    drafts = fit_limits(rest_on_existing(granted.drafts), terms)
    return replace(granted, drafts=say_duplicates(drafts, reading.today.containers))


def bounds_of(reading: TenantReading, settings: PlanSettings, horizon: int) -> BreakBounds:
    """Return the estimates of what may break within a number of days; the reading has its single uses."""
    singled = _singled(reading, settings.options, jobs_of(reading))
    return break_bounds(reading, _parts(reading, settings.options), singled.by_place, horizon)


def jobs_of(reading: TenantReading) -> Jobs:
    """Return the jobs of a tenant; the reading has its single uses."""
    return find_jobs(read_work(reading.use.placed, reading.inputs, reading.risky, reading.today.book.index))


def _parts(reading: TenantReading, options: PlanOptions) -> Mapping[Key, Part]:
    today, profiles = reading.today, reading.evidence.profiles
    return worthwhile_parts(today.subjects, reading.parts, profiles, today.book, options, reading.weights)


def _staying_input(reading: TenantReading, settings: PlanSettings) -> StayingInput:
    linked = linked_checks(reading.evidence.profiles.values(), reading.today.book.index)
    reader = NeedReader(reading.today.book, settings.options, reading.checks, linked)
    subjects, decided = reading.today.subjects, settings.decided
    if decided is not None:
        subjects = tuple(one for one in subjects if one.key in decided)
    return StayingInput(subjects, settings.left_alone, reading.evidence, reader)


def _singled(reading: TenantReading, options: PlanOptions, jobs: Jobs) -> MemberWork:
    """Return what single members of a group get instead of the group: odd and risky operations, or all.

    What belongs to a job that several members do is nobody's odd end.
    """
    groups = reading.weights.groups
    return groups.singled if options.split_groups else groups.odd.without(jobs.usual_in())


def _demand_input(basis: PlanBasis, privilege: Privilege) -> DemandInput:
    reader = basis.staying.reader
    return DemandInput(basis.reading.today.book, privilege, basis.singled, reader.companions, reader.checks.linked)


def _terms(basis: PlanBasis, privilege: Privilege) -> Terms:
    reading, settings = basis.reading, basis.settings
    today, untouched, profiles = reading.today, settings.left_alone.untouched, reading.evidence.profiles
    return Terms(
        subjects={subject.key: subject for subject in today.subjects},
        demands=_demand_input(basis, privilege),
        weights=reading.weights,
        tree=reading.analysis.tenant.tree,
        room=RoleRoom(settings.limits, today.custom_roles, settings.options.most_roles),
        options=settings.options,
        jobs=basis.jobs,
        latent={key: profile.lacking for key, profile in profiles.items() if profile.lacking},
        active=read_active_holders(reading.inputs, reading.use.placed, today.subjects, profiles),
        work=UnobservedWork(reading.analysis, today.book.index),
        ended={key for key, word in untouched.items() if word in ("activated", "ended")},
        resources=reading.inputs.resources,
        barred=basis.refused,
        never_spare=settings.never_spare,
    )


def _names(reading: TenantReading, new: NewRoles) -> dict[str, str]:
    inputs, today = reading.inputs, reading.today
    names: dict[str, str] = dict(principal_names(inputs).select("principal_id", "name").iter_rows())
    names |= {id_: role.role_name for id_, role in today.book.roles.items() if role.role_name}
    names |= {id_: role.role_name for id_, role in new.definitions.items()}
    high = inputs.scopes.filter(
        pl.col("kind").is_in(["subscription", "management_group"]) & (pl.col("display_name").fill_null("") != "")
    )
    rows = high.select(place_of(pl.col("scope")), text="scope", name="display_name").iter_rows()
    names |= {today.spelling.get(place, scope): name for place, scope, name in rows}
    return dict(sorted(names.items()))


def catalogue_hash(operations: pl.DataFrame) -> str:
    """Return the hash of the catalogue: of its operations and their planes, sorted."""
    rows = sorted((name, str(flag)) for name, flag in operations.select("operation", "is_data_action").iter_rows())
    return hashlib.sha256("\n".join("\t".join(row) for row in rows).encode()).hexdigest()
