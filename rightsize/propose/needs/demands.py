"""Divide the needs of drafts into requests: parts for few group members, and privileged parts, are granted apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from rightsize.model.nouns import AssignmentState
from rightsize.propose.core.role_catalog import Need, RoleBook
from rightsize.propose.needs.drafts import Draft, Key, Subject
from rightsize.propose.needs.grant_requests import GrantRequest
from rightsize.propose.needs.groups import Singled
from rightsize.propose.needs.privileged import Privilege, split
from rightsize.rbac.text import Folded


@dataclass(frozen=True, slots=True)
class DemandInput:
    """The roles, and the rules that divide one need into parts with assignments of their own.

    Attributes:
        book: The roles.
        privilege: The operations that get roles of their own, and the rules on who may become eligible.
        singled: The operations that single members of a group may get instead of the group.
    """

    book: RoleBook
    privilege: Privilege
    singled: Singled


def demands(drafts: Mapping[Key, Draft], asked: DemandInput) -> Iterator[GrantRequest]:
    """Yield the demands of the open drafts, by assignment and place."""
    for _, draft in sorted(drafts.items()):
        if draft.open:
            yield from demands_of(draft, asked)


def demands_of(draft: Draft, asked: DemandInput) -> Iterator[GrantRequest]:
    """Yield the demands of one assignment, with parts for few group members and privileged parts as own demands."""
    subject = draft.subject
    state = state_of(subject)
    for place, need in sorted(draft.needs.by_scope.items() if draft.needs and not draft.needs.through else ()):
        own = _singled_out(draft, place, need, asked.singled)
        common = need.operations
        for mask in own.values():
            common &= ~mask
        shared = replace(need, operations=common)
        parts = [(subject.principal_id, shared), *((member, Need(mask)) for member, mask in sorted(own.items()))]
        for principal, part in parts:
            request = GrantRequest(subject, place, part, principal, state, subject.condition, subject.end_on)
            yield from split(request, draft.profile, asked.privilege)
    role = asked.book.roles.get(subject.role_definition_id)
    for role_id, part in draft.needs.through if draft.needs else ():
        yield GrantRequest(
            subject, subject.place, part, subject.principal_id, state, subject.condition, subject.end_on, role_id
        )
    for place in sorted(draft.needs.stays_at) if draft.needs and role else ():
        yield GrantRequest(
            subject,
            place,
            Need(role.certain if role else 0),
            subject.principal_id,
            state,
            subject.condition,
            subject.end_on,
            role_definition_id=subject.role_definition_id,
        )


def is_split(draft: Draft, asked: DemandInput) -> bool:
    """Return whether any demand of an assignment is the part of a layer of defence."""
    return any(part.apart in asked.privilege.layers.masks for part in demands_of(draft, asked))


def state_of(subject: Subject) -> AssignmentState:
    """Return the state of an assignment's demands before parts are split off: eligible or active."""
    return "eligible" if subject.state == "eligible" else "active"


def _singled_out(draft: Draft, place: Folded, need: Need, singled: Singled) -> dict[Folded, int]:
    """Return the operations that only few members of a group need at a place, by member.

    At the scope of the assignment itself, the group keeps the operations that are not proved unused by the others.
    Eligible access stays with the group: the others do not have it before an activation, so it is no active excess.
    """
    if draft.profile is None or draft.subject.state == "eligible":
        return {}
    spare = need.operations & (draft.profile.unused if place == draft.subject.place else ~0)
    found = singled.get(draft.subject.key, {}).get(place, {})
    return {member: mask & spare for member, mask in found.items() if mask & spare}
