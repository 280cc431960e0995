"""Write drafts, proofs and new roles as the proposals and planned roles that a person reviews."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import or_
from typing import Any

import polars as pl

from rightsize.analyze.lacks import Lack, sentence_of
from rightsize.analyze.listings import Listings
from rightsize.analyze.reasons import OutOfCoverage, sentence
from rightsize.analyze.scoping import ScopeTree
from rightsize.model.plan import PlannedAssignment, Proof, Proposal
from rightsize.model.progress import through
from rightsize.model.proposal_kinds import MAKE_ELIGIBLE
from rightsize.propose.assembly.absence import AbsenceProofs
from rightsize.propose.assembly.evidence import declared_windows, not_touched, proposal_evidence, role_evidence
from rightsize.propose.assembly.growth import what_may_grow
from rightsize.propose.assembly.job_reasons import JobReasons
from rightsize.propose.assembly.role_uses import RoleUses, role_id_of
from rightsize.propose.assembly.stays_by_design import Adviser, describe_enough
from rightsize.propose.core.expiry import describe_end
from rightsize.propose.core.options import Unobservable
from rightsize.propose.core.role_catalog import RoleBook
from rightsize.propose.core.scopes import anchor_of_place
from rightsize.propose.needs.access_weights import AccessWeights
from rightsize.propose.needs.delegation import describe_delegation
from rightsize.propose.needs.demands import DemandInput, demands_of
from rightsize.propose.needs.drafts import LATER_COST, Draft, Key, Subject
from rightsize.propose.needs.grant_requests import GrantRequest
from rightsize.propose.needs.layer_parts import DAILY, LayerParts
from rightsize.propose.needs.privileged import activation_evidence, privileged_evidence
from rightsize.propose.needs.reading import AssignmentEvidence
from rightsize.propose.needs.use_rows import UseRows
from rightsize.propose.risk.breakage import BreakBounds
from rightsize.propose.risk.estimate import Estimate
from rightsize.propose.selection.role_names import NewRoles
from rightsize.propose.selection.worth import absent_types, planned_exposure, today_exposure, used_weight
from rightsize.rbac.scopes import parse_scope
from rightsize.rbac.text import Folded

_NAMESPACE = uuid.UUID("0b7e7c0e-93a4-5c0c-8a3b-3d1c8b8f6a52")
"""The UUID namespace of proposal ids; the name within it is made of the assignment that the proposal is about."""

_ELIGIBLE_REASON = "it gives privilege, or reads secrets on few days: its holder can activate it for each use"
_GUARD_REASON = (
    "it gives privilege, reads secrets on few days, or defeats identity control or monitoring, which guard all other "
    "layers: its holder can activate it for each use"
)


def proposal_id(role_assignment_id: str, state: str, part: str = "") -> str:
    """Return the id of the proposal for an assignment; the id does not depend on the content of the proposal.

    The part of an assignment that becomes eligible has a proposal of its own: `part` gives it a different id.
    """
    return str(uuid.uuid5(_NAMESPACE, f"{role_assignment_id} {state} {part}".rstrip()))


@dataclass(frozen=True, slots=True)
class Statements:
    """The readers that write sentences of a proposal: on declared windows, absence, alternatives and duplicates.

    Attributes:
        declared: By subscription or management group, sentences on the windows that a user declared complete.
        absences: The proofs of absence.
        adviser: What would be enough in the place of assignments that stay by design.
        duplicates: For each assignment that other assignments contain, those other assignments.
        role_names: The names of today's roles by id.
        listings: The listings of assignments; one that is not complete may have a twin of what a proposal removes.
    """

    declared: Mapping[Folded, tuple[str, ...]]
    absences: AbsenceProofs
    adviser: Adviser
    duplicates: Mapping[Key, Sequence[Key]]
    role_names: Mapping[Folded, str]
    listings: Listings


@dataclass(frozen=True, slots=True)
class ProposalInput:
    """The input of `write_proposals`, besides the drafts and their proofs.

    Attributes:
        demands: The roles, and the rules that divide needs into parts.
        weights: The weights of access.
        evidence: The evidence on each assignment.
        window: The use in the window.
        earlier: The use before it that still counts.
        statements: The readers that write sentences.
        spelling: Folded scope to the scope as it is spelled.
        unobservable: The option that decides which unlogged operations stay.
    """

    demands: DemandInput
    weights: AccessWeights
    evidence: AssignmentEvidence
    window: UseRows
    earlier: UseRows
    statements: Statements
    spelling: Mapping[Folded, str]
    unobservable: Unobservable


def write_proposals(
    drafts: Mapping[Key, Draft],
    proofs: Mapping[Key, Proof],
    new: NewRoles,
    bounds: BreakBounds,
    asked: ProposalInput,
) -> tuple[Proposal, ...]:
    """Return one proposal for each assignment, and a second one where a part of it becomes eligible.

    Proposals are sorted by principal, assignment and id.
    """
    layers = asked.demands.privilege.layers.masks
    found = []
    for key, draft in through(sorted(drafts.items()), "writing the evidence", "assignments"):
        apart = [one for one in demands_of(draft, asked.demands) if one.apart not in ("", DAILY)]
        why = _GUARD_REASON if any(one.apart in layers for one in apart) else _ELIGIBLE_REASON
        estimate = bounds.of(draft)
        for part in _parts(draft, why):
            found.append(_proposal(part, proofs[key], new, estimate, asked, whole=draft, apart=apart))
    return tuple(sorted(found, key=lambda proposal: (proposal.principal_ids, proposal.replaces, proposal.id)))


def _parts(draft: Draft, why: str) -> Iterator[Draft]:
    """Yield the draft with its active placements, then its eligible placements as a separate draft."""
    if draft.subject.state == "eligible":
        yield draft
        return
    eligible = tuple(one for one in draft.placements if one.state == "eligible")
    active = tuple(one for one in draft.placements if one.state != "eligible")
    if active or not eligible:
        yield replace(draft, placements=active)
    if eligible:
        reason = f"{why}{describe_end(draft.subject.end_on)}"
        yield replace(draft, kind=MAKE_ELIGIBLE, reason=reason, placements=eligible)


def _proposal(
    draft: Draft,
    proof: Proof,
    new: NewRoles,
    estimate: Estimate | None,
    asked: ProposalInput,
    *,
    whole: Draft,
    apart: Sequence[GrantRequest],
) -> Proposal:
    subject, book = draft.subject, asked.demands.book
    role = book.roles.get(subject.role_definition_id)
    granted = role.granted if role else 0
    is_first = not draft.kind.makes_eligible or not any(one.state != "eligible" for one in whole.placements)
    before = today_exposure(subject, granted, asked.weights)
    after = before if draft.kind.keeps else planned_exposure(subject, draft.placements, asked.weights)
    used = used_weight(subject, asked.evidence.uses.get(subject.key, {}), asked.weights)
    evidence = _evidence(draft, granted, left_of(whole, granted, book), asked, apart)
    evidence |= _latent(draft, granted, asked, is_first=is_first)
    twins = _possible_twins(draft, asked.statements.listings)
    if twins:
        evidence["not_listed"] = [one.text for one in twins]
    risked = estimate if is_first else None
    if risked is not None:
        evidence["break_probability"] = risked.as_json()
    return Proposal(
        id=proposal_id(subject.role_assignment_id, subject.state, "eligible" if draft.kind.makes_eligible else ""),
        plane="data" if granted & ~book.index.control else "control",  # roles for data grant some reads as well
        principal_ids=(subject.principal_id,),
        kind=draft.kind,
        replaces=(subject.role_assignment_id,),
        assignments=tuple(
            sorted(
                PlannedAssignment(
                    asked.spelling.get(placement.place, placement.place),
                    role_id_of(placement, new),
                    placement.principal_id,
                    placement.condition,
                    placement.state,
                    placement.end_on,
                )
                for placement in draft.placements
            )
        ),
        reason="; ".join(
            (draft.reason, *describe_enough(evidence), *describe_delegation(evidence), *_describe_twins(twins))
        ),
        evidence=evidence,
        proof=replace(
            proof, tomorrow=what_may_grow(((role_id_of(one, new), one.choice) for one in draft.placements), book)
        ),
        break_probability_30d=risked.expected if risked is not None else 0.0,
        excess_before=max(0.0, before.cells - used) if is_first else 0.0,
        excess_after=max(0.0, after.cells - (used if is_first else 0.0)),
        risk_before=before.risky if is_first else 0.0,
        risk_after=after.risky,
    )


def _possible_twins(draft: Draft, listings: Listings) -> list[Lack]:
    """Return the listings that are not complete and may have a twin or duplicate of what a draft removes."""
    scope = draft.subject.scope
    return listings.below(parse_scope(scope)) if draft.kind.removes and scope.startswith("/") else []


def _describe_twins(twins: Sequence[Lack]) -> list[str]:
    said = "a twin or duplicate of it may stand in a listing that is not complete"
    return [f"{said}: {sentence_of(twins, 1)}"] if twins else []


def _evidence(
    draft: Draft, granted: int, left: int, asked: ProposalInput, apart: Sequence[GrantRequest]
) -> dict[str, Any]:
    """Return the evidence of a proposal, without its chance of breaking something.

    `apart` are the parts that were split off from its assignment.
    """
    subject, demands, said = draft.subject, asked.demands, asked.statements
    book = demands.book
    evidence = proposal_evidence(
        draft,
        asked.window.number_of(subject.key),
        asked.earlier.number_of(subject.key),
        left,
        book,
        said.declared.get(subject.anchor, ()),
        asked.unobservable,
    )
    if draft.profile is not None and (absent := said.absences.of(draft, granted & ~left, book.index)):
        evidence["absent"] = absent
    if draft.placements and subject.key in said.duplicates:
        evidence["duplicate_of"] = sorted(id_ for id_, _ in said.duplicates[subject.key])
    evidence |= privileged_evidence(draft, apart, demands.privilege, book.index, said.role_names)
    evidence |= activation_evidence(draft, demands.privilege)
    evidence |= said.adviser.evidence(draft)
    return evidence | _parts_evidence(draft, asked.spelling)


def _parts_evidence(draft: Draft, spelling: Mapping[Folded, str]) -> dict[str, Any]:
    """Return the scopes below where today's role stays, each with the reason, and the cost; nothing where none does."""
    if draft.needs is None or not draft.needs.stays_at or draft.kind.keeps:
        return {}
    stays_at = [
        {"scope": spelling.get(place, place), "why": why, "meaning": sentence(why)}
        for place, why in sorted(draft.needs.stays_at.items())
    ]
    is_by_logs = any(why != OutOfCoverage.QUARANTINED for why in draft.needs.stays_at.values())
    return {"stays_at": stays_at} | ({"cost": LATER_COST} if is_by_logs else {})


def _latent(draft: Draft, granted: int, asked: ProposalInput, *, is_first: bool) -> dict[str, Any]:
    """Return the part of the excess on types that provably do not exist there; nothing where there is none."""
    absent = absent_types(asked.evidence.profiles.get(draft.subject.key)) & granted
    if not absent:
        return {}
    before = today_exposure(draft.subject, absent, asked.weights).cells
    placements = [replace(one, counted=one.counted & absent) for one in draft.placements]
    after = before if draft.kind.keeps else planned_exposure(draft.subject, placements, asked.weights).cells
    return {"latent": {"before": before if is_first else 0.0, "after": after}}


def left_of(draft: Draft, granted: int, book: RoleBook) -> int:
    """Return the operations that the holder keeps, by the new placements or by other assignments that it relies on."""
    if draft.kind.keeps:
        return granted
    left = 0
    stays_at = draft.needs.stays_at if draft.needs else {}
    for placement in draft.placements:
        if placement.place not in stays_at:
            left |= placement.choice.granted
    if draft.kind.makes_role or draft.rests_on or draft.together_with:
        for need in draft.needs.by_scope.values() if draft.needs else ():
            left |= book.mask(need)
    return left


def declared_by_anchor(
    coverage: pl.DataFrame, subjects: Iterable[Subject], tree: ScopeTree
) -> dict[Folded, tuple[str, ...]]:
    """Return the windows that a user declared complete, as sentences by the subscription or group that they concern."""
    declared = list(declared_windows(coverage).iter_rows())
    found: dict[Folded, tuple[str, ...]] = {}
    for anchor in sorted({subject.anchor for subject in subjects}) if declared else ():
        groups, below = tree.below(anchor)
        concerned = {"/", anchor, *groups, *below, *tree.chain.filter(pl.col("node") == anchor)["ancestor"]}
        found[anchor] = tuple(
            text for scope, text in declared if scope in concerned or anchor_of_place(scope) in concerned - {"/"}
        )
    return found


def role_evidences(
    new: NewRoles,
    uses: Mapping[Folded, RoleUses],
    book: RoleBook,
    choice: Unobservable,
    layers: LayerParts,
    reasons: JobReasons,
) -> dict[Folded, Mapping[str, Any]]:
    """Return the evidence of each new role, by its id.

    Args:
        new: The new roles.
        uses: By id, what each is assigned for.
        book: The roles of today.
        choice: The option that decides which unlogged operations stay.
        layers: The layers of defence, if needs are split by them.
        reasons: The reasons for strings that no replaced assignment used.
    """
    return {
        id_: role_evidence(
            role,
            uses[id_],
            book,
            reduce(or_, (_untouched(draft, book, choice) for draft in uses[id_].drafts), 0),
            reasons,
        )
        | ({"layers": list(layers.layers_of(book.index.granted_by(role.permissions)))} if layers.pairs else {})
        for id_, role in sorted(new.definitions.items())
    }


def _untouched(draft: Draft, book: RoleBook, choice: Unobservable) -> int:
    """Return the operations that the option `--unobservable touched` takes from the holder of a draft."""
    role = book.roles.get(draft.subject.role_definition_id)
    granted = role.granted if role else 0
    return not_touched(draft, granted & ~left_of(draft, granted, book), choice)
