"""Make the plan of Azure roles from an analysis and options: decide, choose roles, prove, replay, write."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from rightsize.analyze.inputs import Inputs, empty
from rightsize.analyze.naming import principal_names
from rightsize.analyze.text import folded, place_of
from rightsize.analyze.totals import count_verdicts
from rightsize.analyze.verdicts import Analysis
from rightsize.model.errors import InternalError
from rightsize.model.nouns import PermissionBlock
from rightsize.model.plan import Advice, Plan, PlannedRole, Proof, Proposal
from rightsize.model.progress import step, through
from rightsize.propose.assembly.absence import advise_existence
from rightsize.propose.assembly.advice import write_advice
from rightsize.propose.assembly.assemble import role_evidences, write_proposals
from rightsize.propose.assembly.evidence import uses_of, would_tell
from rightsize.propose.assembly.proof_obligations import claim_name, make_claims
from rightsize.propose.assembly.read_costs import price_reads
from rightsize.propose.assembly.role_summary import summarise_roles
from rightsize.propose.assembly.role_texts import give_texts
from rightsize.propose.assembly.role_uses import read_role_uses, role_id_of
from rightsize.propose.core.azure_limits import AzureLimits, refusals
from rightsize.propose.core.expiry import AT_ONCE, last_of
from rightsize.propose.core.fingerprint import take_readings
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.needs.context import PlanContext, prepare, quarantined_only, read_findings
from rightsize.propose.needs.drafts import Draft, Key, Subject, first_draft, keep_reason
from rightsize.propose.needs.linked_checks import Writes, writes_within_reach
from rightsize.propose.needs.needs import NeedReader
from rightsize.propose.needs.parts import Part
from rightsize.propose.needs.privileged import may_split, opened_by_layer
from rightsize.propose.proof.access_evaluator import GRANTS_SCHEMA, Evaluator
from rightsize.propose.proof.proof import prove
from rightsize.propose.proof.replay import Replay, distinct_uses, replay
from rightsize.propose.risk.breakage import BreakBounds, break_bounds, keep_risky
from rightsize.propose.selection.assign import GrantedNeeds, grant_needs, is_split
from rightsize.propose.selection.layer_separation import (
    Separated,
    advise,
    annotate_split,
    find_parts,
    lost_by,
    report_separation,
)
from rightsize.propose.selection.reconcile import (
    fit_limits,
    keep_last_owners,
    mark_duplicates,
    rest_on_existing,
    say_duplicates,
)
from rightsize.propose.selection.role_naming import NewRoles, identify_roles
from rightsize.propose.selection.wildcards import with_wildcards
from rightsize.rbac.text import Folded

Roles = Mapping[Folded, tuple[PermissionBlock, ...]]


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


def plan_from_context(context: PlanContext, content_hash: str) -> Plan:
    """Return the plan for a prepared context, as `make_plan` does."""
    return plan_from_basis(_basis_of(context), content_hash)


@dataclass(frozen=True, slots=True)
class PlanBasis:
    """The context of a plan without the single uses, which are most of its memory, and what was read from them.

    Attributes:
        context: The context; of the uses, its tables have none and its analysis has those in quarantine.
        bounds: The estimates of what may break.
        calls: The calls to replay, as `replay.distinct_uses` returns them.
    """

    context: PlanContext
    bounds: BreakBounds
    calls: pl.DataFrame


def read_basis(
    inputs: Inputs, analysis: Analysis, options: PlanOptions, limits: AzureLimits | None = None
) -> PlanBasis:
    """Return the basis of a plan; the arguments are those of `make_plan`.

    A caller that drops its own tables and analysis then frees the single uses before roles are chosen.
    """
    return _basis_of(prepare(inputs, analysis, read_findings(inputs, analysis), options, limits or AzureLimits()))


def _basis_of(context: PlanContext) -> PlanBasis:
    inputs, analysis = context.inputs, context.analysis
    lean = replace(
        context,
        inputs=replace(inputs, usage_days=empty("usage_days")),
        analysis=quarantined_only(analysis),
    )
    return PlanBasis(lean, break_bounds(context), distinct_uses(inputs, analysis.window.remembered))


def plan_from_basis(basis: PlanBasis, content_hash: str) -> Plan:
    """Return the plan of a basis, as `make_plan` does."""
    context, bounds = basis.context, basis.bounds
    inputs, analysis, options = context.inputs, context.analysis, context.options
    granted = _settled(context, bounds)
    separated = None
    if options.separate_layers:
        context, granted, separated = _separated(context, granted, bounds)
    drafts = granted.drafts
    if options.wildcards:
        drafts = with_wildcards(drafts, context)
    step("naming the roles")
    ordered = [drafts[key] for key in sorted(drafts)]
    new = identify_roles(ordered, context.book.roles, context.spelling, context.limits)
    uses = read_role_uses(drafts, new, context)
    evidence = role_evidences(new, uses, context)
    earlier = {one.role_definition_id: one.role_name for one in options.previous}
    new = give_texts(new, uses, evidence, context, earlier)
    _check_roles(new, drafts, context)
    roles = {id_: role.blocks for id_, role in context.book.roles.items()}
    roles |= {id_: role.permissions for id_, role in new.definitions.items()}
    proofs = _prove(drafts, new, roles, context)
    outcome = _replay(basis.calls, drafts, new, roles, context)
    proposals = write_proposals(drafts, proofs, new, context, bounds)
    step("summing up the plan")
    summaries = summarise_roles(new.definitions, uses, evidence, proposals, context)
    separation = report_separation(separated, context) if separated is not None else {}
    return Plan(
        generated_from={
            "content_hash": content_hash,
            "catalogue_hash": catalogue_hash(inputs.operations),
            "window": analysis.window.as_json(),
            "options": options.as_json(analysis.window.days),
        },
        proposals=proposals,
        uses=uses_of(proposals, context.rows, context.earlier_rows, context.book.index),
        would_tell=would_tell(proposals),
        roles=tuple(
            PlannedRole(role, new.slugs[id_], {**evidence[id_], "summary": summaries[id_]})
            for id_, role in sorted(new.definitions.items())
        ),
        advice=_advice(context, proposals, separation),
        replay=outcome.as_json(),
        verdicts=count_verdicts(analysis.verdicts),
        names=_names(context, new),
        optimum=granted.optimum,
        reads=price_reads(context, stays_within_reach(context.need_reader(), context)),
        curve=granted.curve,
        separation=separation,
        rests_on=take_readings(inputs, (one.role for proposal in proposals for one in proposal.assignments)),
    )


def _advice(context: PlanContext, proposals: Sequence[Proposal], separation: Mapping[str, Any]) -> tuple[Advice, ...]:
    found = {*write_advice(context.inputs, context.analysis, context.options, proposals), *advise(separation)}
    found |= {*advise_existence(context.inputs, context.analysis)}
    return tuple(sorted(found, key=lambda one: (one.subject, one.text)))


def _settled(context: PlanContext, bounds: BreakBounds) -> GrantedNeeds:
    """Return the drafts of all assignments, made consistent with each other as one plan."""
    return settle(keep_risky(draft_all(context), bounds, context), context)


def _separated(
    context: PlanContext, unsplit: GrantedNeeds, bounds: BreakBounds
) -> tuple[PlanContext, GrantedNeeds, Separated]:
    """Split by layer the needs of principals that violate the independence of layers.

    An assignment that the split would keep unchanged is left whole. If the split prevents the change of an assignment
    that is not split itself, such as by a limit of Azure, then no layers are split at all.
    """
    parts = find_parts(unsplit.drafts, context)
    whole: dict[Key, str] = {}
    while True:
        split = replace(context, privilege=replace(context.privilege, layers=parts))
        granted = _settled(split, bounds)
        found = Separated(unsplit.drafts, granted.drafts, whole)
        lost = lost_by(found)
        if not lost:
            return split, replace(granted, drafts=annotate_split(granted.drafts, split)), found
        ours = all(key not in parts.whole and is_split(granted.drafts[key], split) for key in lost)
        whole |= lost
        parts = replace(parts, whole=frozenset(whole), pairs=parts.pairs if ours else frozenset())


def _names(context: PlanContext, new: NewRoles) -> dict[str, str]:
    names: dict[str, str] = dict(principal_names(context.inputs).select("principal_id", "name").iter_rows())
    names |= {id_: role.role_name for id_, role in context.book.roles.items() if role.role_name}
    names |= {id_: role.role_name for id_, role in new.definitions.items()}
    high = context.inputs.scopes.filter(
        pl.col("kind").is_in(["subscription", "management_group"]) & (pl.col("display_name").fill_null("") != "")
    )
    names |= {
        context.spelling.get(place, scope): name
        for place, scope, name in high.select(place_of(pl.col("scope")), text="scope", name="display_name").iter_rows()
    }
    return dict(sorted(names.items()))


def catalogue_hash(operations: pl.DataFrame) -> str:
    """Return the hash of the catalogue: of its operations and their planes, sorted."""
    rows = sorted((name, str(flag)) for name, flag in operations.select("operation", "is_data_action").iter_rows())
    return hashlib.sha256("\n".join("\t".join(row) for row in rows).encode()).hexdigest()


def draft_all(context: PlanContext) -> dict[Key, Draft]:
    """Return a draft for each assignment, decided without regard to the other drafts."""
    reader = context.need_reader()
    around = stays_within_reach(reader, context)
    parts = context.parts
    subjects = through(context.subjects, "deciding what each assignment needs", "assignments")
    return {subject.key: _draft_one(subject, reader, around, context, parts) for subject in subjects}


def stays_within_reach(reader: NeedReader, context: PlanContext) -> Mapping[Folded, Writes]:
    """Return for each folded holder the writes that stay with all principals who reach its assignments.

    A running activation adds no writes: it ends, and use under it counts for the eligible assignment behind it.
    """
    ending = {one.role_assignment_id for one in context.subjects if one.state == "activated"}
    staying = (one for one in context.subjects if one.role_assignment_id not in ending)
    return writes_within_reach(
        ((subject.principal_id, _staying(subject, reader, context)) for subject in staying),
        context.analysis.tenant.may_reach,
    )


def _staying(subject: Subject, reader: NeedReader, context: PlanContext) -> Writes:
    """Return the operations that stay of an assignment; all operations of its role where it is not analysed."""
    profile = context.profiles.get(subject.key)
    role = context.book.roles.get(subject.role_definition_id)
    if role is None:
        everything = (1 << len(context.book.index.names)) - 1
        return Writes(everything, polls=reader.polls.asked(everything))
    if profile is None or subject.key in context.untouched or subject.key in context.undecided:
        staying = role.granted & ~context.elsewhere
        return Writes(staying, polls=reader.polls.asked(staying) & ~role.granted)
    return reader.staying(profile, context.uses.get(subject.key, {}), context.peer_uses.get(subject.key))


def _draft_one(
    subject: Subject,
    reader: NeedReader,
    around: Mapping[Folded, Writes],
    context: PlanContext,
    parts: Mapping[Key, Part],
) -> Draft:
    if subject.key in context.untouched:
        return Draft(subject, "keep", keep_reason(context.untouched[subject.key]))
    if subject.key in context.findings.orphans:
        return Draft(subject, "remove_orphan", "its holder no longer exists")
    if subject.key in context.undecided:
        return Draft(subject, "keep", keep_reason(context.undecided[subject.key]))
    profile = context.profiles.get(subject.key)
    if profile is None:
        return Draft(subject, "keep", keep_reason("not_analysed"))
    role = context.book.roles[subject.role_definition_id]
    uses = context.uses.get(subject.key, {})
    peers = context.peer_uses.get(subject.key)
    part = parts.get(subject.key)
    if part is not None:
        profile, uses = part.profile, part.outside(uses, context.analysis.tenant.tree)
    needs = reader.read(role, subject.place, profile, uses, around[subject.principal_id], peers)
    if part is not None:
        needs = replace(needs, stays_at=part.nodes)
    by_layer = opened_by_layer(subject, role, needs, context.privilege, context.book.index)
    opened = by_layer is None and may_split(subject, profile, needs, context.privilege, context.book.index.reads)
    by_logs = None
    if profile.by_logs is not None and not needs.by_scope:
        by_logs = reader.read(role, subject.place, profile.by_logs, uses, around[subject.principal_id])
    draft = first_draft(
        subject, role, profile, needs, context.book, context.options.max_excess, may_split=opened, by_logs=by_logs
    )
    if by_layer is not None and draft.kind == "keep":
        draft = first_draft(subject, role, profile, by_layer, context.book, context.options.max_excess, may_split=True)
    if draft.open and subject.state == "eligible" and not context.privilege.eligibility.knows(subject):
        return draft.kept("activation_rules_unknown")
    return draft


def settle(drafts: dict[Key, Draft], context: PlanContext) -> GrantedNeeds:
    """Return the drafts with roles and places, consistent with duplicates, last owners and Azure's limits."""
    movable = {
        key: others
        for key, others in context.findings.containers.items()
        if key in drafts and key not in context.untouched and drafts[key].kind != "remove_orphan"
    }
    drafts = mark_duplicates(drafts, movable)
    drafts = keep_last_owners(drafts, {key: number for key, (_, number) in context.rows.spans.items()})
    granted = grant_needs(drafts, context)
    drafts = rest_on_existing(granted.drafts)
    custom = context.inputs.role_definitions.filter(pl.col("role_type") == "CustomRole").height
    active = [subject for subject in context.subjects if subject.state == "active"]
    drafts = say_duplicates(fit_limits(drafts, active, custom, context.limits), context.findings.containers)
    return replace(granted, drafts=drafts)


def _check_roles(new: NewRoles, drafts: Mapping[Key, Draft], context: PlanContext) -> None:
    """Raise `InternalError` if Azure would refuse a new role."""
    replaced = {draft.subject.role_definition_id for draft in drafts.values() if draft.placements}
    inherited = frozenset().union(*(context.book.roles[id_].strings for id_ in replaced))
    for role in new.definitions.values():
        found = refusals(role, context.book.index.lists, inherited, context.limits)
        if found:
            raise InternalError(f"Azure would refuse the new role `{role.role_name}`: {found[0]}")


def _prove(drafts: Mapping[Key, Draft], new: NewRoles, roles: Roles, context: PlanContext) -> dict[Key, Proof]:
    """Return the proof of each draft; unchanged assignments and those of deleted holders hold without one."""
    claims = make_claims(drafts, new, context)
    uses = context.placed.select(
        "plane",
        "place",
        claim=pl.col("role_assignment_id") + " " + pl.col("state"),
        principal_id=folded(pl.col("principal_id")).fill_null(""),
        operation="name",
    ).unique()
    proved = prove(claims, uses, roles, context.analysis.tenant.tree, context.requests)
    for name, proof in proved.items():
        if not proof.holds:
            raise InternalError(f"the proposal for assignment `{name}` cannot be proved: {proof.witness}")
    return {key: proved.get(claim_name(key), Proof(True, True)) for key in drafts}


def _activations_of_changed(drafts: Mapping[Key, Draft], context: PlanContext) -> set[Folded]:
    """Return the folded ids of running activations whose eligible assignment changes; the replay ends them with it."""
    changed = {id_ for (id_, state), draft in drafts.items() if state == "eligible" and draft.kind != "keep"}
    rows = context.analysis.tenant.assignments.filter(
        (pl.col("state") == "activated") & pl.col("eligibility").is_in(sorted(changed))
    )
    return set(rows["id"])


def _replay(
    calls: pl.DataFrame, drafts: Mapping[Key, Draft], new: NewRoles, roles: Roles, context: PlanContext
) -> Replay:
    ending = _activations_of_changed(drafts, context)
    activated = {one.role_assignment_id for one in context.subjects if one.state == "activated"}
    today: list[tuple[str | None, ...]] = []
    after: list[tuple[str | None, ...]] = []
    for key, draft in sorted(drafts.items()):
        subject = draft.subject
        last = AT_ONCE if key[0] in activated else last_of(subject.end_on)
        own = (subject.principal_id, subject.place, subject.role_definition_id, subject.state, None, last)
        if key in context.findings.orphans:
            continue
        today.append(own)
        if draft.kind == "keep" and key[0] not in ending:
            after.append(own)
        after.extend(
            (
                placement.principal_id,
                placement.place,
                role_id_of(placement, new),
                placement.state,
                None if placement.condition == subject.condition else placement.condition,
                last_of(placement.end_on),
            )
            for placement in draft.placements
        )
    outcome = replay(
        calls,
        pl.DataFrame(today, schema=GRANTS_SCHEMA, orient="row"),
        pl.DataFrame(after, schema=GRANTS_SCHEMA, orient="row"),
        Evaluator(roles, context.analysis.tenant.tree, context.requests),
        context.analysis.tenant,
        context.inputs,
    )
    if outcome.denied:
        raise InternalError(
            f"the plan would deny {outcome.denied} calls that count, the first of them {outcome.first_denied}"
        )
    return outcome
