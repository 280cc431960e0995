"""How proposals stand in a review: matched by id and by content, so that new days of logs leave decisions alone.

A proposal's id is made of the assignment that it speaks of, so it stays. Its content is what would be changed: kind,
what goes, what comes. Counts, excess and the chance of breaking are evidence, not content.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from rightsize.model.decisions import PARTICIPLE, ReviewDecision
from rightsize.model.errors import InputError
from rightsize.model.plan import Plan, PlanePart, Proof, Proposal
from rightsize.rbac.text import fold

State = Literal["open", "accepted", "rejected", "deferred", "outdated", "expired"]
STATES: tuple[State, ...] = ("open", "outdated", "expired", "deferred", "accepted", "rejected")
"""How a proposal can stand: `outdated` was decided on as another change, `expired` until a day that is past."""

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class ReviewStatus:
    """One proposal that changes something, or would have if it were not rejected, and how it stands."""

    proposal: Proposal
    state: State
    content: str
    decision: ReviewDecision | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """What a review comes to, for Azure RBAC.

    Attributes:
        states: Number of proposals in each state, of all planes.
        excess_today: Excess of today.
        excess_accepted: Excess once what is accepted is brought in, and `excess_all` once all is that is not rejected.
        roles: New roles that the accepted ones need.
        made: Assignments that come with them, and `gone` those that go.
    """

    states: Mapping[str, int]
    excess_today: float
    excess_accepted: float
    excess_all: float
    roles: int
    made: int
    gone: int


def content_of(proposal: Proposal) -> str:
    """Return the hash of what a proposal would change; of one that was rejected, of what it would have changed."""
    reviewed = proposal.evidence.get("review")
    if proposal.kind == "keep" and isinstance(reviewed, Mapping) and isinstance(reviewed.get("content"), str):
        return str(reviewed["content"])
    document = {
        "kind": proposal.kind,
        "plane": proposal.plane,
        "state": proposal.evidence.get("state", "active"),
        "principals": sorted(map(fold, proposal.principal_ids)),
        "replaces": sorted(map(fold, proposal.replaces)),
        "assignments": sorted(
            [fold(one.scope), fold(one.role), fold(one.principal_id), one.condition or "", one.state]
            + ([one.end_on] if one.end_on else [])
            for one in proposal.assignments
        ),
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def standings(plan: Plan, decisions: Mapping[str, ReviewDecision], day: dt.date) -> list[ReviewStatus]:
    """Return how every proposal stands that somebody can decide on, in the plan's order.

    Args:
        plan: The plan.
        decisions: Decisions by proposal.
        day: The day that ends are looked at on.
    """
    found = []
    for one in plan.all_proposals:
        if one.kind == "keep" and "review" not in one.evidence:
            continue
        content, decision = content_of(one), decisions.get(one.id)
        found.append(ReviewStatus(one, _state(content, decision, day), content, decision))
    return found


def _state(content: str, decision: ReviewDecision | None, day: dt.date) -> State:
    if decision is None:
        return "open"
    if decision.content != content:
        return "outdated"
    if decision.has_ended(day):
        return "expired"
    states: Mapping[str, State] = {"accept": "accepted", "reject": "rejected", "defer": "deferred"}
    return states[decision.decision]


def unmatched(plan: Plan, decisions: Mapping[str, ReviewDecision]) -> list[ReviewDecision]:
    """Return the decisions that speak of no proposal of a plan, or of one that changes nothing any more."""
    open_ = {one.id for one in plan.all_proposals if one.kind != "keep" or "review" in one.evidence}
    return [decision for id_, decision in sorted(decisions.items()) if id_ not in open_]


def require_current(found: Iterable[ReviewStatus]) -> None:
    """Refuse decisions that have ended.

    Raises:
        InputError: One has; the message names it.
    """
    ended = [one for one in found if one.state == "expired"]
    if ended:
        said = "; ".join(
            f"`{one.proposal.id}` until {one.decision.expires}, {one.decision}"
            for one in ended[:_SHOWN]
            if one.decision
        )
        raise InputError(
            f"{len(ended)} decisions have ended: {said}",
            hint="decide again with `rightsize review`, or take them out with `rightsize review reopen --ended`",
        )


def totals(found: Sequence[ReviewStatus], plan: Plan) -> Totals:
    """Return what a review comes to; proposals that nobody can decide on count as they are."""
    decided = {one.proposal.id for one in found}
    of_rbac = [one for one in found if one.proposal.is_of_rbac]
    kept = sum(one.excess_before for one in plan.all_proposals if one.is_of_rbac and one.id not in decided)
    accepted = [one.proposal for one in of_rbac if one.state == "accepted" and one.proposal.kind != "keep"]
    new = {fold(role.definition.role_definition_id) for role in plan.roles}
    made = {place for one in accepted for place in one.assignments}
    return Totals(
        states=Counter(one.state for one in found),
        excess_today=kept + sum(one.proposal.excess_before for one in of_rbac),
        excess_accepted=kept
        + sum(one.proposal.excess_after if one.state == "accepted" else one.proposal.excess_before for one in of_rbac),
        excess_all=kept
        + sum(one.proposal.excess_before if one.state == "rejected" else one.proposal.excess_after for one in of_rbac),
        roles=len({fold(place.role) for place in made} & new),
        made=len(made),
        gone=len({fold(id_) for one in accepted for id_ in one.replaces}),
    )


def respect(plan: Plan, decisions: Mapping[str, ReviewDecision]) -> Plan:
    """Return a plan in which what is rejected stays as it is, and everything that was decided on says so.

    What another proposal rests on is granted by what stays as well: a change grants nothing that today's assignment
    does not. So the rest of the plan needs no second look, and a later rejection moves no role of what is accepted.
    Roles that only rejected proposals would assign are gone. Planes beyond Azure RBAC lose the files of principals
    that keep something after all.

    Raises:
        InputError: A decision has ended, on the day after the window.
    """
    day = dt.date.fromisoformat(plan.generated_from["window"]["last_day"]) + dt.timedelta(days=1)
    found = {one.proposal.id: one for one in standings(plan, decisions, day)}
    require_current(found.values())
    proposals = tuple(_respected(one, found.get(one.id)) for one in plan.proposals)
    assigned = {fold(place.role) for one in proposals for place in one.assignments}
    return replace(
        plan,
        generated_from={**plan.generated_from, "decisions": _hash(decisions.values())},
        proposals=proposals,
        roles=tuple(role for role in plan.roles if fold(role.definition.role_definition_id) in assigned),
        parts=tuple(_part(part, found) for part in plan.parts),
    )


def review_states(plan: Plan) -> dict[str, str]:
    """Return how each proposal of a plan that respects decisions stands, by id; what nobody decided on is left out."""
    reviewed = {one.id: one.evidence.get("review") for one in plan.all_proposals}
    return {id_: str(said["state"]) for id_, said in reviewed.items() if isinstance(said, Mapping)}


def _hash(decisions: Iterable[ReviewDecision]) -> str:
    said = sorted((one.proposal, one.decision, one.content, str(one.expires)) for one in decisions)
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _part(part: PlanePart, found: Mapping[str, ReviewStatus]) -> PlanePart:
    rejected = {fold(id_) for one in part.proposals if _is(found.get(one.id), "rejected") for id_ in one.principal_ids}
    files = {name: text for name, text in part.files.items() if _stem(name) not in rejected}
    return replace(part, proposals=tuple(_respected(one, found.get(one.id)) for one in part.proposals), files=files)


def _stem(name: str) -> str:
    return fold(name.rpartition("/")[2].partition(".")[0])


def _is(standing: ReviewStatus | None, state: State) -> bool:
    return standing is not None and standing.state == state


def _respected(one: Proposal, standing: ReviewStatus | None) -> Proposal:
    if standing is None or standing.decision is None:
        return one
    decision = standing.decision
    review: dict[str, Any] = {
        "state": standing.state,
        "by": decision.by,
        "reason": decision.reason,
        "decided": decision.decided.isoformat(),
        "expires": decision.expires and decision.expires.isoformat(),
    }
    if standing.state != "rejected":
        return replace(one, evidence={**one.evidence, "review": review})
    review |= {"content": standing.content, "proposed": one.kind, "because": one.reason}
    return replace(
        one,
        kind="keep",
        assignments=(),
        reason=f"{PARTICIPLE[decision.decision]} by {decision.by}: {decision.reason}",
        evidence={
            **{key: value for key, value in one.evidence.items() if key not in ("removed", "comes")},
            "review": review,
        },
        proof=Proof(True, True),
        break_probability_30d=0.0,
        excess_after=one.excess_before,
        risk_after=one.risk_before,
    )
