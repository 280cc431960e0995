"""Divide the needs of drafts into requests: parts for few group members, and privileged parts, are granted apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rightsize.analyze.verdicts.usage import duration
from rightsize.mining.bitsets import union
from rightsize.model.nouns import AssignmentState
from rightsize.model.text import Folded
from rightsize.propose.core.operation_sets import OperationIndex
from rightsize.propose.core.role_catalog import Need, RoleBook
from rightsize.propose.drafts.drafts import Draft
from rightsize.propose.needs.assignments import Subject
from rightsize.propose.needs.delegation import WHY_UNCONSTRAINED, Delegation, Delegations, area_of
from rightsize.propose.needs.grant_requests import GrantRequest
from rightsize.propose.needs.holders import WHY_ACTIVE, MemberWork
from rightsize.propose.needs.needs import DECLARED, USED, USED_BEFORE
from rightsize.propose.needs.privileged import Privilege, is_to_sleep, split, why_active
from rightsize.propose.needs.profiles import Profile

NAMED = 20
"""Maximum number of operations that a proposal names one by one."""


@dataclass(frozen=True, slots=True)
class DemandInput:
    """The roles, and the rules that divide one need into parts with assignments of their own.

    Attributes:
        privilege: The operations that get roles of their own, and the rules on who may become eligible.
        singled: The operations that single members of a group may get instead of the group.
        companions: Returns which of some operations (the second argument) some changes (the first) bring along.
        checks: The linked checks.
    """

    book: RoleBook
    privilege: Privilege
    singled: MemberWork
    companions: Callable[[int, int], int]
    checks: int


def demands_of(draft: Draft, asked: DemandInput) -> Iterator[GrantRequest]:
    """Yield the demands of one assignment, with parts for few group members and privileged parts as own demands."""
    subject, needs, state = draft.subject, draft.needs, state_of(draft.subject)
    whole = GrantRequest(
        subject.principal_id, subject.place, Need(0), state, subject.condition, subject.end_on, subject=subject
    )
    singled = _singled_out(draft, asked)
    for place, need in sorted(needs.by_scope.items()) if not needs.through else ():
        own = singled.get(place, {})
        shared = need.without(union(own.values()))
        parts = [(subject.principal_id, shared), *((member, Need(mask)) for member, mask in sorted(own.items()))]
        for principal, part in parts:
            # What the condition of today's assignment never restricts is held without it.
            bound, free = asked.book.by_condition(part, subject.condition)
            for one, condition in ((bound, subject.condition), (free, None)):
                request = replace(whole, principal_id=principal, place=place, need=one, condition=condition)
                yield from split(request, draft.profile, asked.privilege)
    for role_id, part in needs.through:
        yield replace(whole, need=part, role_definition_id=role_id)
    role = asked.book.roles.get(subject.role_definition_id)
    for place in sorted(needs.stays_at) if role is not None else ():
        kept = Need(role.certain if role is not None else 0)
        yield replace(whole, place=place, need=kept, role_definition_id=subject.role_definition_id)


def is_split(draft: Draft, asked: DemandInput) -> bool:
    """Return whether any demand of an assignment is the part of a layer of defence."""
    return any(part.apart in asked.privilege.layers.masks for part in demands_of(draft, asked))


def state_of(subject: Subject) -> AssignmentState:
    """Return the state of an assignment's demands before parts are split off: eligible or active."""
    return "eligible" if subject.state == "eligible" else "active"


def _singled_out(draft: Draft, asked: DemandInput) -> dict[Folded, dict[Folded, int]]:
    """Return the operations that only few members of a group need at a place, by place and member.

    At the scope of the assignment itself, the group keeps the operations that are not proved unused by the others.
    What comes along with the changes of these members alone is theirs, too. Eligible access stays with the group: the
    others do not have it before an activation, so it is no active excess.
    """
    subject, needs, work = draft.subject, draft.needs, asked.singled
    if draft.profile is None or subject.state == "eligible":
        return {}
    found: dict[Folded, dict[Folded, int]] = {}
    for place, masks in work.by_place.get(subject.key, {}).items():
        if place in needs.by_scope:
            unused = draft.profile.unused if place == subject.place else ~0
            spare = needs.by_scope[place].operations & unused
            found[place] = {member: kept for member, mask in masks.items() if (kept := mask & spare)}
    alone = work.of_member.get(subject.principal_id, {})
    used = union(needs.why.get(word, 0) for word in (USED, USED_BEFORE, DECLARED)) & ~union(alone.values())
    brought = needs.by_scope.get(subject.place, Need(0)).operations & ~used
    theirs = brought & ~asked.companions(work.of_others.get(subject.principal_id, 0) | used, brought) if alone else 0
    own = dict(found.get(subject.place, {}))
    for member, mask in sorted(alone.items()) if theirs else ():
        if along := asked.companions(mask, theirs):
            own[member] = own.get(member, 0) | along
    return {**found, subject.place: own} if own else found


def privileged_evidence(
    draft: Draft,
    parts: Sequence[GrantRequest],
    privilege: Privilege,
    index: OperationIndex,
    names: Mapping[Folded, str],
) -> dict[str, Any]:
    """Return a proposal's evidence on its split-off parts: operations, delegations and reasons for staying active.

    Args:
        draft: The draft whose placements the proposal lists.
        parts: The parts that were split off from the assignment.
        privilege: The operations that are split off.
        index: The operations.
        names: The names of roles by id.
    """
    given = {(one.principal_id, one.place, one.state) for one in draft.placements}
    privileged, separated = [], []
    for part in parts:
        if (part.principal_id, part.place, part.state) not in given:
            continue
        operations = [name for _, name in index.members(part.need.operations)]
        said: dict[str, Any] = {
            "scope": part.place,
            "principal_id": part.principal_id,
            "state": part.state,
            "operations": len(operations),
            "operation_names": operations[:NAMED],
        }
        word = why_active(part, privilege)
        if word and is_to_sleep(part, privilege):
            said |= {"why_active": word, "meaning": WHY_ACTIVE[word]}
        if part.need.operations & privilege.delegations.operations:
            said["delegation"] = _delegation_json(part, draft.profile, privilege.delegations, names)
        if part.apart in privilege.layers.masks:
            separated.append({"layer": part.apart, **said})
        else:
            privileged.append(said)
    found: dict[str, Any] = {"privileged": privileged} if privileged else {}
    found |= {"separated": separated} if separated else {}
    if found and draft.subject.key in privilege.hours:
        found["seldom"] = {
            "activation": duration(privilege.hours[draft.subject.key]),
            "meaning": "an activation of this length would have covered the use on 95 of 100 days of work",
        }
    return found


def activation_evidence(draft: Draft, privilege: Privilege) -> dict[str, Any]:
    """Return the activation settings for a draft that makes access eligible: those of today's role; else empty."""
    subject = draft.subject
    activation = privilege.eligibility.policies.get((subject.place, subject.role_definition_id))
    if activation is None or not any(one.state == "eligible" for one in draft.placements):
        return {}
    return {
        "activation": activation.as_json()
        | {
            "policy_id": activation.policy_id,
            "of_role": subject.role_definition_id,
            "of_scope": subject.scope,
            "meaning": "set these on the role management policy of each assigned role and scope before anybody uses "
            "it; the policy holds for everybody who is eligible for the role there",
        }
    }


def _delegation_json(
    part: GrantRequest, profile: Profile | None, delegations: Delegations, names: Mapping[Folded, str]
) -> dict[str, Any]:
    """Return the roles that a part may assign, or the reason why it may assign any role."""
    if part.role_definition_id is not None:
        return delegations.found[part.principal_id, area_of(part.place)].as_json(names)
    found = delegations.of(part, profile)
    if isinstance(found, Delegation):
        return {
            "why_unconstrained": "assigned_there",
            "meaning": WHY_UNCONSTRAINED["assigned_there"],
            "condition": found.condition,
        }
    return {"why_unconstrained": found, "meaning": WHY_UNCONSTRAINED[found]}
