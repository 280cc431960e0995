"""Make the plan of Azure roles from an analysis and options, in steps.

1. Read the tenant (`needs.reading`) and estimate what may break (`risk.breakage`). Both need the single uses.
2. Decide for each assignment alone (`needs.first_drafts`), and keep what is too risky to change.
3. Find the jobs of the tenant (`jobs`), choose roles and places (`selection.assign`), split by layer of defence if
   asked to, and make the drafts consistent as one plan (`selection.reconcile`).
4. Identify, evidence and name the new roles (`selection.role_names`, `assembly.role_uses`, `assembly.role_texts`).
5. Prove every proposal and replay every call (`assembly.plan_proof`).
6. Write the proposals (`assembly.assemble`), and sum up the plan.

Each step takes an input of its own. The functions `_..._input` make these inputs, and only they see the whole reading.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.listings import Listings, parents_of
from rightsize.analyze.naming import principal_names
from rightsize.analyze.text import place_of
from rightsize.analyze.totals import count_verdicts
from rightsize.analyze.verdicts import Analysis
from rightsize.model.errors import InternalError
from rightsize.model.freed_memory import give_back
from rightsize.model.plan import Advice, Plan, PlannedRole, Proposal
from rightsize.model.progress import step
from rightsize.propose.assembly.absence import AbsenceProofs, advise_existence
from rightsize.propose.assembly.advice import write_advice
from rightsize.propose.assembly.assemble import (
    ProposalInput,
    Statements,
    declared_by_anchor,
    role_evidences,
    write_proposals,
)
from rightsize.propose.assembly.evidence import uses_of, would_tell
from rightsize.propose.assembly.job_reasons import JobReasons
from rightsize.propose.assembly.plan_proof import ProofInput, ReplayInput, check_roles, prove_drafts, replay_drafts
from rightsize.propose.assembly.read_costs import price_reads
from rightsize.propose.assembly.role_summary import summarise_roles
from rightsize.propose.assembly.role_texts import TextInput, give_texts
from rightsize.propose.assembly.role_uses import read_role_uses
from rightsize.propose.assembly.stays_by_design import Adviser
from rightsize.propose.core.azure_limits import AzureLimits, RoleRoom
from rightsize.propose.core.bitsets import union
from rightsize.propose.core.fingerprint import take_readings
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.core.role_catalog import RoleContent
from rightsize.propose.jobs.jobs import Jobs, find_jobs
from rightsize.propose.jobs.work import read_work
from rightsize.propose.needs.check_reader import linked_checks
from rightsize.propose.needs.demands import DemandInput
from rightsize.propose.needs.drafts import Key
from rightsize.propose.needs.first_drafts import DecisionInput, StayingInput, decide
from rightsize.propose.needs.groups import Singled, joined, only_among
from rightsize.propose.needs.needs import NeedReader
from rightsize.propose.needs.owners import read_owner_facts
from rightsize.propose.needs.parts import Part, PartsInput, worthwhile_parts
from rightsize.propose.needs.privileged import Privilege
from rightsize.propose.needs.reading import (
    PlanSettings,
    TenantReading,
    read_plan_settings,
    read_tenant,
    without_single_uses,
)
from rightsize.propose.needs.unobserved_work import UnobservedWork
from rightsize.propose.proof.replay import distinct_uses
from rightsize.propose.proof.role_gate import refused_roles
from rightsize.propose.risk.breakage import BreakBounds, BreakInput, break_bounds, keep_risky
from rightsize.propose.risk.incidence import HORIZON_DAYS
from rightsize.propose.selection.assign import GrantedNeeds, grant_needs
from rightsize.propose.selection.layer_separation import advise, separate
from rightsize.propose.selection.reconcile import (
    fit_limits,
    keep_last_owners,
    mark_duplicates,
    rest_on_existing,
    say_duplicates,
)
from rightsize.propose.selection.role_names import NewRoles, PlaceNames, identify_roles
from rightsize.propose.selection.unobserved import read_active_holders
from rightsize.propose.selection.worth import Terms
from rightsize.rbac.text import Folded, fold


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
        staying: What decides which operations stay with whom.
        refused: The contents of new roles that may not be written, each with what speaks against it.
    """

    reading: TenantReading
    settings: PlanSettings
    bounds: BreakBounds
    calls: pl.DataFrame
    jobs: Jobs
    staying: StayingInput
    refused: Mapping[RoleContent, str] = field(default_factory=dict)


def read_basis(
    inputs: Inputs, analysis: Analysis, options: PlanOptions, limits: AzureLimits | None = None
) -> PlanBasis:
    """Return the basis of a plan; the arguments are those of `make_plan`.

    A caller that drops its own tables and analysis then frees the single uses before roles are chosen.
    """
    reading = read_tenant(inputs, analysis)
    return _basis_of(reading, read_plan_settings(reading, options, limits))


def _basis_of(reading: TenantReading, settings: PlanSettings) -> PlanBasis:
    bounds = bounds_of(reading, settings)
    window = reading.analysis.window
    calls = distinct_uses(reading.inputs, window.remembered, since=window.first_day)
    jobs = find_jobs(read_work(reading.use.placed, reading.inputs, reading.risky, reading.today.book.index))
    lean = without_single_uses(reading)
    return PlanBasis(lean, settings, bounds, calls, jobs, _staying_input(lean, settings))


def plan_from_basis(basis: PlanBasis, content_hash: str) -> Plan:
    """Return the plan of a basis, as `make_plan` does.

    Roles are chosen again without those that may not be written.
    """
    give_back()
    reading, settings = basis.reading, basis.settings
    today, use, tenant, options = reading.today, reading.use, reading.analysis.tenant, settings.options
    demands = _demand_input(basis, settings.privilege)
    # The costs come first and the drafts go early: together with the proposals they would be the peak of memory.
    reads = price_reads(basis.staying, today.orphans, tenant.may_reach)
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
    role_uses = read_role_uses(drafts, new, use.rows, use.earlier_rows, today.book)
    reasons = _job_reasons(basis)
    evidence = role_evidences(new, role_uses, today.book, options.unobservable, demands.privilege.layers, reasons)
    if refused := refused_roles(new.definitions, evidence):
        if again := sorted(refused.keys() & basis.refused.keys()):
            raise InternalError(f"a new role was chosen again that may not be written: {refused[again[0]]}")
        return plan_from_basis(replace(basis, refused={**basis.refused, **refused}), content_hash)
    new = give_texts(new, role_uses, _text_input(reading, options))
    check_roles(new.definitions, drafts, today.book, settings.limits)
    roles = {id_: role.blocks for id_, role in today.book.roles.items()}
    roles |= {id_: role.permissions for id_, role in new.definitions.items()}
    proofs = prove_drafts(drafts, new, ProofInput(today.subjects, roles, use.placed, tenant, use.requests))
    calls = ReplayInput(basis.calls, roles, today.orphans, tenant, reading.inputs, use.requests)
    outcome = replay_drafts(drafts, new, calls)
    proposals = write_proposals(drafts, proofs, new, basis.bounds, _proposal_input(reading, options, demands))
    curve = granted.curve
    del calls, demands, drafts, granted, ordered, proofs
    step("summing up the plan")
    summaries = summarise_roles(new.definitions, role_uses, evidence, proposals, today.book, basis.jobs)
    return Plan(
        generated_from=_generated_from(reading, options, content_hash),
        proposals=proposals,
        uses=uses_of(proposals, use.rows, use.earlier_rows, today.book.index),
        would_tell=would_tell(proposals),
        roles=tuple(
            PlannedRole(role, new.slugs[id_], {**evidence[id_], "summary": summaries[id_]}, role_uses[id_].job)
            for id_, role in sorted(new.definitions.items())
        ),
        advice=_advice(reading, options, proposals, separation),
        replay=outcome.as_json(),
        verdicts=count_verdicts(reading.analysis.verdicts),
        names=_names(reading, new),
        reads=reads,
        curve=curve,
        separation=separation,
        rests_on=take_readings(reading.inputs, (one.role for proposal in proposals for one in proposal.assignments)),
    )


def _settled(basis: PlanBasis, privilege: Privilege) -> GrantedNeeds:
    """Return the drafts of all assignments, decided one by one and then made consistent as one plan."""
    reading, settings = basis.reading, basis.settings
    drafts = decide(
        DecisionInput(
            basis.staying,
            reading.today.orphans,
            _parts(reading, settings.options),
            privilege,
            reading.analysis.tenant.may_reach,
        )
    )
    drafts = keep_risky(drafts, basis.bounds, settings.options.max_break)
    drafts = mark_duplicates(drafts, reading.today.containers, settings.left_alone.untouched)
    terms, used = _terms(basis, privilege), {key: number for key, (_, number) in reading.use.rows.spans.items()}
    drafts = keep_last_owners(drafts, used, read_owner_facts(reading.inputs, terms.ended))
    granted = grant_needs(drafts, terms)
    drafts = fit_limits(rest_on_existing(granted.drafts), terms)
    return replace(granted, drafts=say_duplicates(drafts, reading.today.containers))


def bounds_of(reading: TenantReading, settings: PlanSettings, horizon: int = HORIZON_DAYS) -> BreakBounds:
    """Return the estimates of what may break within a number of days; the reading has its single uses."""
    asked = BreakInput(
        inputs=reading.inputs,
        analysis=reading.analysis,
        placed=reading.use.placed,
        parts=_parts(reading, settings.options),
        orphans=reading.today.orphans,
        singled=_singled(reading, settings.options),
        book=reading.today.book,
    )
    return break_bounds(asked, horizon)


def _parts(reading: TenantReading, options: PlanOptions) -> Mapping[Key, Part]:
    today, weights = reading.today, reading.weights
    return worthwhile_parts(
        PartsInput(
            today.subjects,
            reading.parts,
            reading.evidence.profiles,
            today.book,
            options,
            weights.scale,
            weights.reach,
        )
    )


def _staying_input(reading: TenantReading, settings: PlanSettings) -> StayingInput:
    reader = NeedReader(reading.today.book, settings.options, reading.checks)
    checks = linked_checks(reading.evidence.profiles.values(), reading.today.book.index)
    return StayingInput(reading.today.subjects, settings.left_alone, reading.evidence, reader, checks)


def _singled(reading: TenantReading, options: PlanOptions) -> Singled:
    """Return the operations that single members of a group get instead of the group: odd and risky ones, or all."""
    groups = reading.weights.groups
    if options.split_groups:
        return groups.singled
    return joined(only_among(groups.singled, union(reading.risky.values())), groups.odd)


def _demand_input(basis: PlanBasis, privilege: Privilege) -> DemandInput:
    reading = basis.reading
    return DemandInput(
        reading.today.book, privilege, _singled(reading, basis.settings.options), _companions(basis.staying)
    )


def _companions(asked: StayingInput) -> Callable[[int, int], int]:
    """Return a function that says which of some operations (the second argument) some changes (the first) bring."""
    return lambda changes, among: asked.reader.companions(changes, among, asked.checks)


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
    )


def _job_reasons(basis: PlanBasis) -> JobReasons:
    adopted = frozenset(Folded(fold(one.role_definition_id)) for one in basis.settings.options.previous)
    return JobReasons(basis.jobs, basis.staying.reader, basis.staying.checks, adopted)


def _text_input(reading: TenantReading, options: PlanOptions) -> TextInput:
    today = reading.today
    return TextInput(
        places=PlaceNames.of(reading.inputs, today.spelling),
        taken=[role.role_name for role in today.book.roles.values()],
        earlier={one.role_definition_id: one.role_name for one in options.previous},
        risky=reading.risky,
        book=today.book,
    )


def _proposal_input(reading: TenantReading, options: PlanOptions, demands: DemandInput) -> ProposalInput:
    today, evidence = reading.today, reading.evidence
    tree, scale = reading.analysis.tenant.tree, reading.weights.scale
    statements = Statements(
        declared_by_anchor(reading.inputs.coverage, today.subjects, tree),
        AbsenceProofs(reading.analysis),
        Adviser(today.book.roles, scale.weigh, evidence.uses),
        today.containers,
        {id_: role.role_name for id_, role in today.book.roles.items()},
        Listings(reading.inputs.listings, parents_of(reading.inputs.scopes)),
    )
    return ProposalInput(
        demands=demands,
        weights=reading.weights,
        evidence=evidence,
        window=reading.use.rows,
        earlier=reading.use.earlier_rows,
        statements=statements,
        spelling=today.spelling,
        unobservable=options.unobservable,
    )


def _advice(
    reading: TenantReading, options: PlanOptions, proposals: Sequence[Proposal], separation: Mapping[str, Any]
) -> tuple[Advice, ...]:
    found = {*write_advice(reading.inputs, reading.analysis, options, proposals), *advise(separation)}
    found |= {*advise_existence(reading.inputs, reading.analysis)}
    return tuple(sorted(found, key=lambda one: (one.subject, one.text)))


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


def _generated_from(reading: TenantReading, options: PlanOptions, content_hash: str) -> dict[str, Any]:
    window = reading.analysis.window
    return {
        "content_hash": content_hash,
        "catalogue_hash": catalogue_hash(reading.inputs.operations),
        "window": window.as_json(),
        "options": options.as_json(window.days),
    }


def catalogue_hash(operations: pl.DataFrame) -> str:
    """Return the hash of the catalogue: of its operations and their planes, sorted."""
    rows = sorted((name, str(flag)) for name, flag in operations.select("operation", "is_data_action").iter_rows())
    return hashlib.sha256("\n".join("\t".join(row) for row in rows).encode()).hexdigest()
