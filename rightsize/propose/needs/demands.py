"""Divide the needs of drafts into requests: parts for few group members, and privileged parts, are granted apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from rightsize.model.nouns import AssignmentState
from rightsize.propose.core.bitsets import union
from rightsize.propose.core.role_catalog import Need, RoleBook
from rightsize.propose.needs.drafts import Draft, Key, Subject
from rightsize.propose.needs.grant_requests import GrantRequest
from rightsize.propose.needs.groups import Singled
from rightsize.propose.needs.needs import IMAGES_WORD, USED, USED_BEFORE
from rightsize.propose.needs.privileged import Privilege, split
from rightsize.rbac.azure import ACR_PUSH
from rightsize.rbac.text import Folded

_PUSHER = Folded(ACR_PUSH)


@dataclass(frozen=True, slots=True)
class DemandInput:
    """The roles, and the rules that divide one need into parts with assignments of their own.

    Attributes:
        book: The roles.
        privilege: The operations that get roles of their own, and the rules on who may become eligible.
        singled: The operations that single members of a group may get instead of the group.
        companions: Returns which of some operations (the second argument) some changes (the first) bring along.
    """

    book: RoleBook
    privilege: Privilege
    singled: Singled
    companions: Callable[[int, int], int]


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
        images = _images(draft, need, asked)
        if images:
            yield GrantRequest(
                subject, place, images, subject.principal_id, state, subject.condition, subject.end_on, _PUSHER
            )
        own = _singled_out(draft, place, need, asked)
        common = need.operations & ~images.operations
        for mask in own.values():
            common &= ~mask
        shared = replace(need, operations=common)
        parts = [(subject.principal_id, shared), *((member, Need(mask)) for member, mask in sorted(own.items()))]
        for principal, part in parts:
            # What the condition of today's assignment never restricts is held without it.
            bound, free = asked.book.by_condition(part, subject.condition)
            for one, condition in ((bound, subject.condition), (free, None)):
                request = GrantRequest(subject, place, one, principal, state, condition, subject.end_on)
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


def _images(draft: Draft, need: Need, asked: DemandInput) -> Need:
    """Return what pulls and pushes images and comes along with other work: the built-in role AcrPush grants it."""
    pusher, today = asked.book.roles.get(_PUSHER), asked.book.roles.get(draft.subject.role_definition_id)
    if draft.needs is None or pusher is None or today is None or pusher.granted & ~today.granted:
        return Need(0)
    return Need(need.operations & draft.needs.why.get(IMAGES_WORD, 0) & pusher.granted)


def is_split(draft: Draft, asked: DemandInput) -> bool:
    """Return whether any demand of an assignment is the part of a layer of defence."""
    return any(part.apart in asked.privilege.layers.masks for part in demands_of(draft, asked))


def state_of(subject: Subject) -> AssignmentState:
    """Return the state of an assignment's demands before parts are split off: eligible or active."""
    return "eligible" if subject.state == "eligible" else "active"


def _singled_out(draft: Draft, place: Folded, need: Need, asked: DemandInput) -> dict[Folded, int]:
    """Return the operations that only few members of a group need at a place, by member.

    At the scope of the assignment itself, the group keeps the operations that are not proved unused by the others.
    What comes along with the changes of these members alone is theirs, too. Eligible access stays with the group: the
    others do not have it before an activation, so it is no active excess.
    """
    if draft.profile is None or draft.subject.state == "eligible":
        return {}
    found = {
        at: _spare(draft, at, draft.needs.by_scope[at], masks)
        for at, masks in asked.singled.get(draft.subject.key, {}).items()
        if draft.needs and at in draft.needs.by_scope
    }
    own = found.get(place, {})
    used = union((draft.needs.why.get(word, 0) for word in (USED, USED_BEFORE)) if draft.needs else ())
    brought = need.operations & ~used
    if place != draft.subject.place or not brought or not any(found.values()):
        return own
    group = 0
    for at, one in draft.needs.by_scope.items() if draft.needs else ():
        group |= one.operations & used & ~union(found.get(at, {}).values())
    theirs = brought & ~asked.companions(group, brought)
    for masks in found.values():
        for member, mask in sorted(masks.items()):
            if along := asked.companions(mask, theirs):
                own = {**own, member: own.get(member, 0) | along}
    return own


def _spare(draft: Draft, place: Folded, need: Need, singled: Mapping[Folded, int]) -> dict[Folded, int]:
    """Return what single members used at a place and the group does not need there, by member."""
    unused = draft.profile.unused if draft.profile and place == draft.subject.place else ~0
    return {member: kept for member, mask in singled.items() if (kept := mask & need.operations & unused)}
