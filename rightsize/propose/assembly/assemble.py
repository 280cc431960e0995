"""Write drafts and proofs as the proposals that a person reviews, with their evidence."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from rightsize.analyze.inputs import ROOT, ScopeTree, folded
from rightsize.analyze.lacks import Lack, sentence_of
from rightsize.analyze.listings import Listings, parents_of
from rightsize.analyze.reasons import Choice, OutOfCoverage, Unused, Verdict, sentence
from rightsize.mining.bitsets import union
from rightsize.model.options import Unobservable
from rightsize.model.plan import MAKE_ELIGIBLE, Growth, PlannedAssignment, Proof, Proposal
from rightsize.model.plan_file import BEFORE, WINDOW
from rightsize.model.progress import through
from rightsize.model.text import Folded
from rightsize.propose.assembly.advice import AbsenceProofs, Adviser, describe_enough
from rightsize.propose.assembly.plan_proof import role_id_of
from rightsize.propose.core.operation_sets import OperationIndex
from rightsize.propose.core.role_catalog import RoleBook, RoleChoice
from rightsize.propose.core.scopes import anchor_of_place
from rightsize.propose.drafts.demands import DemandInput, activation_evidence, demands_of, privileged_evidence
from rightsize.propose.drafts.drafts import LATER_COST, Draft
from rightsize.propose.drafts.reading import ObservedUse, TenantReading
from rightsize.propose.drafts.reasons import cause_of
from rightsize.propose.needs.assignments import KEY, Key, Subject, describe_end
from rightsize.propose.needs.delegation import describe_delegation
from rightsize.propose.needs.grant_requests import GrantRequest
from rightsize.propose.needs.needs import DECLARED, USED, USED_BEFORE
from rightsize.propose.needs.privileged import DAILY
from rightsize.propose.risk.breakage import BreakBounds
from rightsize.propose.risk.estimate import Estimate
from rightsize.propose.selection.role_names import NewRoles
from rightsize.propose.selection.worth import absent_types, planned_exposure, today_exposure, used_weight
from rightsize.rbac.conditions import targets
from rightsize.rbac.scopes import parse_scope
from rightsize.rules.attacks import GROUP_POWER, ROOT_POWER, role_assigning_rules

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


def write_proposals(
    drafts: Mapping[Key, Draft],
    proofs: Mapping[Key, Proof],
    new: NewRoles,
    bounds: BreakBounds,
    reading: TenantReading,
    demands: DemandInput,
    choice: Unobservable,
) -> tuple[Proposal, ...]:
    """Return one proposal for each assignment, and a second one where a part of it becomes eligible.

    Proposals are sorted by principal, assignment and id.

    Args:
        drafts: The drafts.
        proofs: Their proofs.
        new: The new roles.
        bounds: The estimates of what may break.
        reading: The tenant.
        demands: The roles, and the rules that divide needs into parts.
        choice: The option that decides which unlogged operations stay.
    """
    writer = _Writer(new, reading, demands, choice)
    layers = demands.privilege.layers.masks
    found = []
    for key, draft in through(sorted(drafts.items()), "writing the evidence", "assignments"):
        parts = demands_of(draft, demands) if draft.placements else ()
        apart = [one for one in parts if one.apart not in ("", DAILY)]
        why = _GUARD_REASON if any(one.apart in layers for one in apart) else _ELIGIBLE_REASON
        estimate = bounds.of(draft)
        for part in _parts(draft, why):
            found.append(writer.proposal(part, proofs[key], estimate, whole=draft, apart=apart))
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


class _Writer:
    """Writes proposals; what their sentences rest on is read once."""

    def __init__(self, new: NewRoles, reading: TenantReading, demands: DemandInput, choice: Unobservable) -> None:
        today, inputs = reading.today, reading.inputs
        self._new, self._reading, self._demands, self._choice = new, reading, demands, choice
        self._book, self._weights, self._uses = demands.book, reading.weights, reading.evidence.uses
        self._declared = _declared_by_anchor(inputs.coverage, today.subjects, reading.analysis.tenant.tree)
        self._absences = AbsenceProofs(reading.analysis)
        self._adviser = Adviser(self._book.roles, self._weights.scale.weigh, self._uses)
        self._role_names = {id_: role.role_name for id_, role in self._book.roles.items()}
        self._listings = Listings(inputs.listings, parents_of(inputs.scopes))

    def proposal(
        self, draft: Draft, proof: Proof, estimate: Estimate | None, *, whole: Draft, apart: Sequence[GrantRequest]
    ) -> Proposal:
        """Return the proposal of a draft, which is a part of `whole`; `apart` are the parts that were split off."""
        subject, book = draft.subject, self._book
        granted = book.granted(subject.role_definition_id)
        is_first = not draft.kind.makes_eligible or not any(one.state != "eligible" for one in whole.placements)
        before = today_exposure(subject, granted, self._weights)
        after = before if draft.kind.keeps else planned_exposure(subject, draft.placements, self._weights)
        used = used_weight(subject, self._uses.get(subject.key, {}), self._weights)
        evidence = self._evidence(draft, granted, left_of(whole, book), apart)
        evidence |= self._latent(draft, granted, is_first=is_first)
        twins = self._possible_twins(draft)
        if twins:
            evidence["not_listed"] = [one.text for one in twins]
        risked = estimate if is_first else None
        if risked is not None:
            evidence["break_probability"] = risked.as_json()
        roles = [(role_id_of(one, self._new), one) for one in draft.placements]
        return Proposal(
            id=proposal_id(subject.role_assignment_id, subject.state, "eligible" if draft.kind.makes_eligible else ""),
            plane="data" if granted & ~book.index.control else "control",  # roles for data grant some reads as well
            principal_ids=(subject.principal_id,),
            kind=draft.kind,
            replaces=(subject.role_assignment_id,),
            assignments=tuple(
                sorted(
                    PlannedAssignment(
                        self._spelt(one.place), role, one.principal_id, one.condition, one.state, one.end_on
                    )
                    for role, one in roles
                )
            ),
            reason="; ".join(
                (draft.reason, *describe_enough(evidence), *describe_delegation(evidence), *_describe_twins(twins))
            ),
            evidence=evidence,
            proof=replace(proof, tomorrow=_what_may_grow(((role, one.choice) for role, one in roles), book)),
            break_probability_30d=risked.expected if risked is not None else 0.0,
            excess_before=max(0.0, before.cells - used) if is_first else 0.0,
            excess_after=max(0.0, after.cells - (used if is_first else 0.0)),
            risk_before=before.risky if is_first else 0.0,
            risk_after=after.risky,
        )

    def _spelt(self, place: Folded) -> str:
        return self._reading.today.spelling.get(place, place)

    def _possible_twins(self, draft: Draft) -> list[Lack]:
        """Return the listings that are not complete and may have a twin or duplicate of what a draft removes."""
        scope = draft.subject.scope
        return self._listings.below(parse_scope(scope)) if draft.kind.removes and scope.startswith("/") else []

    def _evidence(self, draft: Draft, granted: int, left: int, apart: Sequence[GrantRequest]) -> dict[str, Any]:
        """Return the evidence of a proposal, without its chance of breaking something.

        `left` has the operations that are granted after the change.
        """
        subject, profile, gone = draft.subject, draft.profile, granted & ~left
        use, privilege, index = self._reading.use, self._demands.privilege, self._book.index
        evidence: dict[str, Any] = {
            "role": subject.role_definition_id,
            "scope": subject.scope,
            "state": subject.state,
            "granted": granted.bit_count(),
            "used": use.rows.number_of(subject.key),
        }
        containers = self._reading.today.containers.get(subject.key, ()) if draft.placements else ()
        said: Mapping[str, Any] = {
            "used_before": use.earlier_rows.number_of(subject.key),
            "declared": use.declared_rows.number_of(subject.key),
            "rests_on": list(draft.rests_on),
            "together_with": list(draft.together_with),
        }
        evidence |= {name: value for name, value in said.items() if value}
        if profile is not None:
            evidence["kept_unseen"] = _counts(draft, left, (Verdict.UNOBSERVABLE, Verdict.OUT_OF_COVERAGE))
            evidence["removed"] = _removed(draft, gone, self._choice)
            if profile.coverage is not None and Unused.COVERED_IN_PART in evidence["removed"]:
                evidence["covered_days"] = profile.coverage[0]
        said = {
            "declared_by_user": list(self._declared.get(subject.anchor, ())),
            "absent": self._absences.of(subject.place, profile, gone, index) if profile is not None else [],
            "duplicate_of": sorted(id_ for id_, _ in containers),
        }
        evidence |= {name: value for name, value in said.items() if value}
        evidence |= privileged_evidence(draft, apart, privilege, index, self._role_names)
        evidence |= activation_evidence(draft, privilege)
        evidence |= self._adviser.evidence(draft)
        evidence |= self._given_away(subject, granted)
        return evidence | self._parts_evidence(draft)

    def _given_away(self, subject: Subject, granted: int) -> dict[str, Any]:
        """Return the evidence that an assignment gives any role at the root or a management group; else nothing.

        A condition that may restrict it takes it out. A group with no known group above it counts as the root.
        """
        if subject.place.startswith("/subscriptions/"):
            return {}
        for operation, what in role_assigning_rules().items():
            assigns = self._book.index.mask([("control", Folded(operation))])
            if granted & assigns and not targets(subject.condition, operation):
                above = self._reading.analysis.tenant.tree.ancestors_of(subject.place) - {ROOT}
                return {"gives_away": {"power": GROUP_POWER if above else ROOT_POWER, "what": what}}
        return {}

    def _parts_evidence(self, draft: Draft) -> dict[str, Any]:
        """Return the scopes below where today's role stays, with reasons, and the cost; nothing where none does."""
        if draft.needs is None or not draft.needs.stays_at or draft.kind.keeps:
            return {}
        stays_at = [
            {"scope": self._spelt(place), "why": why, "meaning": sentence(why)}
            for place, why in sorted(draft.needs.stays_at.items())
        ]
        is_by_logs = any(why != OutOfCoverage.QUARANTINED for why in draft.needs.stays_at.values())
        return {"stays_at": stays_at} | ({"cost": LATER_COST} if is_by_logs else {})

    def _latent(self, draft: Draft, granted: int, *, is_first: bool) -> dict[str, Any]:
        """Return the part of the excess on types that provably do not exist there; nothing where there is none."""
        absent = absent_types(self._reading.evidence.profiles.get(draft.subject.key)) & granted
        if not absent:
            return {}
        before = today_exposure(draft.subject, absent, self._weights).cells
        placements = [replace(one, counted=one.counted & absent) for one in draft.placements]
        after = before if draft.kind.keeps else planned_exposure(draft.subject, placements, self._weights).cells
        return {"latent": {"before": before if is_first else 0.0, "after": after}}


def _describe_twins(twins: Sequence[Lack]) -> list[str]:
    said = "a twin or duplicate of it may stand in a listing that is not complete"
    return [f"{said}: {sentence_of(twins, 1)}"] if twins else []


def _what_may_grow(assigned: Iterable[tuple[Folded, RoleChoice]], book: RoleBook) -> tuple[Growth, ...]:
    """Return the assigned roles that may grant more in future: patterns, and built-in roles, which Azure changes."""
    found = set()
    for role_id, choice in assigned:
        known = book.roles.get(role_id)
        if choice.content is not None and choice.content.wildcards:
            found.add(Growth(role_id, "patterns"))
        elif choice.content is None and known is not None and known.is_builtin:
            found.add(Growth(role_id, "built_in"))
    return tuple(sorted(found))


def left_of(draft: Draft, book: RoleBook) -> int:
    """Return the operations that the holder keeps, by the new placements or by other assignments that it relies on."""
    if draft.kind.keeps:
        return book.granted(draft.subject.role_definition_id)
    stays_at = draft.needs.stays_at if draft.needs else {}
    left = union(one.choice.granted for one in draft.placements if one.place not in stays_at)
    if draft.needs and (draft.kind.makes_role or draft.rests_on or draft.together_with):
        left |= union(map(book.mask, draft.needs.by_scope.values()))
    return left


def gone_of(draft: Draft, book: RoleBook) -> int:
    """Return the operations that the holder loses."""
    return book.granted(draft.subject.role_definition_id) & ~left_of(draft, book)


def not_touched(draft: Draft, gone: int, choice: Unobservable) -> int:
    """Return the removed operations that `--unobservable touched` removes."""
    is_asked = draft.profile is not None and choice is Unobservable.TOUCHED
    return draft.profile.untouched & gone if draft.profile is not None and is_asked else 0


def _removed(draft: Draft, gone: int, choice: Unobservable) -> dict[str, int]:
    """Return the number of removed operations by reason; those that a choice of the person removes have its reason."""
    untouched = not_touched(draft, gone, choice)
    loose = draft.needs.loose & gone if draft.needs is not None else 0
    found = _counts(draft, gone & ~(untouched | loose), (Verdict.UNUSED, Verdict.UNOBSERVABLE))
    for word, operations in ((Choice.TYPE_NOT_USED, untouched), (Choice.NOTHING_REFERS, loose)):
        if operations:
            found[word] = operations.bit_count()
    return found


def _counts(draft: Draft, mask: int, verdicts: Iterable[str]) -> dict[str, int]:
    profile = draft.profile
    used, *others = (draft.needs.why.get(word, 0) if draft.needs else 0 for word in (USED, USED_BEFORE, DECLARED))
    found: dict[str, int] = {}
    for word, members in zip((USED_BEFORE, DECLARED), others, strict=True):
        if Verdict.OUT_OF_COVERAGE in verdicts and members & mask:
            found[word] = (members & mask).bit_count()
    for (verdict, reason), members in sorted(profile.reasons.items() if profile else ()):
        number = (members & mask & ~used & ~union(others)).bit_count()
        if verdict in verdicts and number:
            found[reason] = found.get(reason, 0) + number
    return found


def uses_of(proposals: Sequence[Proposal], use: ObservedUse, index: OperationIndex) -> pl.DataFrame:
    """Return the use behind proposals as the table `operations` of a plan's evidence.

    Args:
        proposals: The proposals.
        use: The use in the window and before it, and what is declared.
        index: The operations.
    """
    keys = pl.DataFrame(
        [(one.id, one.replaces[0], one.evidence["state"]) for one in proposals],
        schema=dict.fromkeys(("proposal_id", *KEY), pl.String),
        orient="row",
    )
    periods = ((WINDOW, use.rows), (BEFORE, use.earlier_rows), (DECLARED, use.declared_rows))
    return pl.concat([rows.rows_of(keys, period, index) for period, rows in periods])


def would_tell(proposals: Iterable[Proposal]) -> dict[str, str]:
    """Return what would decide the use that kept assignments leave undecided, by its reason."""
    words = {word for one in proposals if one.kind.keeps for word in one.evidence.get("kept_unseen", ())}
    return {word: cause_of(word).tells for word in sorted(words) if cause_of(word).tells}


def _declared_by_anchor(
    coverage: pl.DataFrame, subjects: Iterable[Subject], tree: ScopeTree
) -> dict[Folded, tuple[str, ...]]:
    """Return the windows that a user declared complete, as sentences by the subscription or group that they concern."""
    declared = list(_declared_windows(coverage).iter_rows())
    found: dict[Folded, tuple[str, ...]] = {}
    for anchor in sorted({subject.anchor for subject in subjects}) if declared else ():
        groups, below = tree.below(anchor)
        concerned = {"/", anchor, *groups, *below, *tree.chain.filter(pl.col("node") == anchor)["ancestor"]}
        found[anchor] = tuple(
            text for scope, text in declared if scope in concerned or anchor_of_place(scope) in concerned - {"/"}
        )
    return found


def _declared_windows(coverage: pl.DataFrame) -> pl.DataFrame:
    """Return `(scope, text)` for each coverage window that a user declared; `scope` is folded."""
    return (
        coverage.filter(pl.col("declared_by") == "user")
        .group_by("source", "category", "scope")
        .agg(first=pl.col("day").min(), last=pl.col("day").max())
        .sort("source", "category", "scope")
        .select(
            scope=folded(pl.col("scope")),
            text=pl.format("{} {} {} {}..{}", "source", "category", "scope", "first", "last"),
        )
    )
