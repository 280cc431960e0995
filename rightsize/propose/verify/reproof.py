"""Prove a written plan again: the replacements of each assignment cover its use and grant no new access.

The proof uses only the role files, the planned assignments and the tables of today. Several assignments of a principal
may be replaced together by shared ones. So a planned assignment is compared with all access of its principal today.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from rightsize.analyze.inputs import Inputs, containing
from rightsize.analyze.tenant import Tenant
from rightsize.model.plan import PlannedAssignment
from rightsize.model.text import Folded
from rightsize.propose.needs.assignments import Key, Subject, lasts_as_long
from rightsize.propose.proof import Containment
from rightsize.propose.verify.plan_reader import WrittenPlan, WrittenProposal


@dataclass(frozen=True, slots=True)
class Reproof:
    """The proof for one assignment that the plan removes or replaces.

    `witness` is an example against `used_subset` or `granted_superset`, or None where both hold.
    """

    role_assignment_id: Folded
    state: str
    kinds: tuple[str, ...]
    used_subset: bool
    granted_superset: bool
    witness: str | None


@dataclass(frozen=True, slots=True)
class ProofContext:
    """A plan together with the tenant of today.

    Attributes:
        inputs: The tables.
        tenant: The memberships and the tree of scopes.
        within: The roles of the tenant and the new roles of the plan, and whether they contain each other.
        today: Today's assignments.
        going: The assignments that the plan removes or replaces, each with the proposals for it.
    """

    plan: WrittenPlan
    inputs: Inputs
    tenant: Tenant
    within: Containment
    today: Mapping[Key, Subject]
    going: Mapping[Key, Sequence[WrittenProposal]]

    def proposals(self) -> list[WrittenProposal]:
        """Return the proposals that remove or replace an assignment, each once."""
        return list({one.id: one for proposals in self.going.values() for one in proposals}.values())


def prove_again(case: ProofContext, lost: Mapping[Key, str]) -> list[Reproof]:
    """Return the proof for each assignment that the plan removes or replaces.

    Args:
        case: The plan and the tenant.
        lost: One uncovered use for each assignment that has any.
    """
    added = _more_than_today(case)
    duplicates = _contained_by_what_stays(case)
    proofs = []
    for key, proposals in case.going.items():
        kinds = tuple(sorted({proposal.kind for proposal in proposals}))
        new = next((added[proposal.id] for proposal in proposals if proposal.id in added), None)
        if new is None and any(kind.needs_container for kind in kinds) and key in case.today and key not in duplicates:
            new = "no assignment that stays grants all of it"
        proofs.append(Reproof(*key, kinds, key not in lost, new is None, new or lost.get(key)))
    return proofs


def _more_than_today(case: ProofContext) -> dict[str, str]:
    """Return for each proposal that would grant new access a sentence that names it, by the proposal's id."""
    planned = [one for proposal in case.proposals() for one in proposal.assignments]
    principals = sorted({one.principal_id for one in planned})
    through: dict[Folded, set[Folded]] = {principal: {principal} for principal in principals}
    membership = case.tenant.membership.filter(pl.col("principal_id").is_in(principals))
    for principal, holder in membership.select("principal_id", "holder").iter_rows():
        through[principal].add(holder)
    activated = {id_ for id_, state in case.today if state == "activated"}
    held: dict[Folded, list[Subject]] = defaultdict(list)
    for (id_, _), holding in case.today.items():
        # An activation lasts hours, so its access does not justify an assignment that stays.
        if id_ not in activated:
            held[holding.principal_id].append(holding)
    places = pl.Series("place", [one.scope for one in planned], dtype=pl.String)
    assigned = pl.Series("assigned", sorted({one.place for many in held.values() for one in many}), dtype=pl.String)
    within = set(containing(places, assigned, case.tenant.tree).select("place", "assigned").iter_rows())
    replaced: dict[str, set[Folded]] = defaultdict(set)
    for key, proposals in case.going.items():
        for proposal in proposals:
            if key in case.today:
                replaced[proposal.id].add(case.today[key].principal_id)
    found: dict[str, str] = {}
    for proposal in case.proposals():
        for one in proposal.assignments:
            if not replaced[proposal.id]:
                reason: str | None = "the assignment that it replaces no longer exists"
            elif not replaced[proposal.id] & through[one.principal_id]:
                reason = f"{one.principal_id} does not hold the assignment that is replaced"
            else:
                own = [holding for holder in sorted(through[one.principal_id]) for holding in held.get(holder, ())]
                reason = _beyond(case, one, own, within)
            if reason is not None:
                found.setdefault(proposal.id, reason)
    return found


def _beyond(
    case: ProofContext, one: PlannedAssignment, own: Sequence[Subject], within: set[tuple[Folded, str]]
) -> str | None:
    """Return how a planned assignment exceeds all assignments that its principal has today, or None."""
    above = [holding for holding in own if (one.scope, holding.place) in within]
    if not above:
        return f"nothing is granted today at {one.scope}"
    as_active = [holding for holding in above if one.state == "eligible" or holding.key[1] == "active"]
    if not as_active:
        return "eligible access would become active"
    lasting = [holding for holding in as_active if lasts_as_long(holding.end_on, one.end_on)]
    if not lasting:
        return "it would last longer than today's assignment"
    beyond = case.within.beyond(
        [case.within.held_role(holding.role_definition_id, holding.condition, one.condition) for holding in lasting],
        one.role,
    )
    if beyond is None:
        return None
    if all(holding.condition not in (None, one.condition) for holding in lasting):
        return "the condition of today's assignment would be lost"
    return f"{beyond} is not granted today"


def _contained_by_what_stays(case: ProofContext) -> set[Key]:
    """Return the assignments that the plan removes as duplicates and that an assignment which stays contains.

    The containing assignment is active and permanent, is of the same principal or a group of it, is at the same or a
    wider scope, and has no condition that the removed one lacks.
    """
    going = [
        case.today[key]
        for key, proposals in case.going.items()
        if key in case.today and any(proposal.kind.needs_container for proposal in proposals)
    ]
    activated = {id_ for id_, state in case.today if state == "activated"}
    by_holder: dict[Folded, list[Subject]] = defaultdict(list)
    for key, holding in case.today.items():
        if key not in case.going and key[1] == "active" and holding.end_on is None and key[0] not in activated:
            by_holder[holding.principal_id].append(holding)
    through: dict[Folded, list[Folded]] = dict(
        case.tenant.membership.filter(pl.col("principal_id").is_in([small.principal_id for small in going]))
        .group_by("principal_id")
        .agg(pl.col("holder").sort())
        .iter_rows()
    )
    above = containing(
        pl.Series("place", [small.place for small in going], dtype=pl.String),
        pl.Series("assigned", sorted({one.place for many in by_holder.values() for one in many}), dtype=pl.String),
        case.tenant.tree,
    )
    reached = set(above.iter_rows())
    return {
        small.key
        for small in going
        if any(
            (small.place, big.place) in reached
            and big.condition in (None, small.condition)
            and case.within.beyond([big.role_definition_id], small.role_definition_id) is None
            for holder in through.get(small.principal_id, [small.principal_id])
            for big in by_holder.get(holder, ())
        )
    }
