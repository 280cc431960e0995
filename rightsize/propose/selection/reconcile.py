"""Make separate drafts one consistent plan: duplicates, existing assignments, last owners and Azure's limits.

A draft that does not fit becomes a `keep`, which never takes away an assignment on which another proposal rests.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence, Set
from dataclasses import replace

from rightsize.model.nouns import AssignmentState
from rightsize.model.plan import REMOVE_DUPLICATE
from rightsize.propose.core.azure_limits import RoleRoom
from rightsize.propose.core.expiry import lasts_as_long
from rightsize.propose.core.role_catalog import RoleContent
from rightsize.propose.core.scopes import anchor_of_place
from rightsize.propose.needs.assignments import Key
from rightsize.propose.needs.drafts import Draft, Placement
from rightsize.propose.needs.eligibility import OwnerFacts
from rightsize.propose.selection.worth import Terms
from rightsize.rbac.text import Folded

RoleKey = tuple[RoleContent, str]
"""The content of a new role, and the management group of its assignment, or the empty string."""


def mark_duplicates(
    drafts: Mapping[Key, Draft], containers: Mapping[Key, Sequence[Key]], untouched: Container[Key] = ()
) -> dict[Key, Draft]:
    """Return the drafts with `remove_duplicate` for assignments that another assignment, kept by this plan, contains.

    Args:
        drafts: All drafts.
        containers: For each assignment that other assignments contain, those other assignments.
        untouched: The assignments that are left alone whatever they are needed for.

    Of assignments that contain each other, the first by id is removed. At the end each removed one needs a container
    among the assignments that stay, so the relation has no cycle.
    """
    stays = {key for key, draft in drafts.items() if draft.kind.keeps}
    going: set[Key] = set()
    for key in sorted(key for key in containers if key in drafts and key not in untouched):
        is_held = drafts[key].kind.has_holder
        if is_held and any(other in stays and other != key for other in containers[key]):
            stays.discard(key)
            going.add(key)
    settled = dict(drafts)
    for key in sorted(going):
        left = sorted(other for other in containers[key] if other in stays)
        if left:
            settled[key] = replace(
                drafts[key],
                kind=REMOVE_DUPLICATE,
                reason=f"assignment {left[0][0]} grants all of it at the same or a wider scope, and stays",
                placements=(),
                rests_on=(left[0][0],),
                open=False,
            )
        elif drafts[key].kind.keeps:
            stays.add(key)
    return settled


def say_duplicates(drafts: Mapping[Key, Draft], containers: Mapping[Key, Sequence[Key]]) -> dict[Key, Draft]:
    """Return the drafts with a note on replaced assignments that another, also replaced, assignment contains today.

    Such an assignment is no `remove_duplicate`, since that rests on an assignment that stays; its replacement grants
    its use. A reviewer has to see that the two belong together, and usually end in the same assignments.
    """
    settled = dict(drafts)
    for key, others in sorted(containers.items()):
        draft = settled.get(key)
        big = next((other for other in sorted(others) if other in drafts and drafts[other].kind.may_break), None)
        if draft is None or big is None or not draft.placements:
            continue
        both = set(draft.placements) <= set(drafts[big].placements)
        end = "the same assignments replace both" if both else "it is replaced as well"
        settled[key] = replace(draft, reason=f"{draft.reason}; assignment {big[0]} grants all of it today, and {end}")
    return settled


def rest_on_existing(drafts: Mapping[Key, Draft]) -> dict[Key, Draft]:
    """Return the drafts without new assignments that already exist, and with the existing ones kept.

    Azure refuses a second assignment of the same role to the same principal at the same scope, whatever its condition.
    A draft is kept if its new assignment differs only in the condition from an existing or another new one. It is also
    kept if its new assignment would have to last longer than the existing one.
    """
    existing = {
        (draft.subject.principal_id, draft.subject.role_definition_id, draft.subject.place, draft.subject.state): key
        for key, draft in sorted(drafts.items())
    }
    settled = dict(drafts)
    for key, word in _conflicting(drafts, existing):
        settled[key] = settled[key].kept(word)
    for key in sorted(drafts):
        draft = settled[key]
        found = {
            placement: existing[identity]
            for placement in draft.placements
            if (identity := _identity(placement)) in existing
        }
        if not found:
            continue
        rests_on = set(draft.rests_on)
        for other in found.values():
            if settled[other].kind.needs_container:
                rests_on.update(settled[other].rests_on)
                continue
            rests_on.add(other[0])
            if settled[other].kind.changes:
                settled[other] = settled[other].kept("relied_upon")
        if key in found.values():
            # One of its new assignments equals its own assignment of today: the loop above made the draft a `keep`.
            continue
        left = tuple(placement for placement in draft.placements if placement not in found)
        settled[key] = replace(draft, placements=left, rests_on=tuple(sorted(rests_on)))
    return settled


_Identity = tuple[Folded, Folded, Folded, AssignmentState]
"""Principal, role, place and state: Azure accepts one assignment of each. An eligible and an active one may coexist."""


def _identity(placement: Placement) -> _Identity:
    return placement.principal_id, placement.choice.role_definition_id, placement.place, placement.state


def _conflicting(drafts: Mapping[Key, Draft], existing: Mapping[_Identity, Key]) -> Iterator[tuple[Key, str]]:
    """Yield the drafts with a placement that Azure would refuse for its condition or end; of new ones, the later."""
    first: dict[tuple[Folded, RoleKey | Folded, Folded, AssignmentState], str | None] = {}
    for key, draft in sorted(drafts.items()):
        for one in draft.placements:
            there = drafts[existing[_identity(one)]].subject if _identity(one) in existing else None
            before = first.setdefault((one.principal_id, role_of(one), one.place, one.state), one.condition)
            if before != one.condition or (there is not None and there.condition != one.condition):
                yield key, "other_condition"
                break
            if there is not None and not lasts_as_long(there.end_on, one.end_on):
                yield key, "other_end"
                break


def keep_last_owners(drafts: Mapping[Key, Draft], used: Mapping[Key, int], facts: OwnerFacts) -> dict[Key, Draft]:
    """Return the drafts with an Owner kept for each subscription who can act: the most used, then by id.

    Where none is known to be able, all of them stay. A deleted holder is no owner.
    """
    held = {key: draft for key, draft in drafts.items() if draft.kind.has_holder}
    preferred = sorted(held, key=lambda key: (-used.get(key, 0), key))
    going = {key for key, draft in held.items() if draft.kind.changes}
    settled = dict(drafts)
    for key, can_act in facts.to_keep([held[key].subject for key in preferred], going).items():
        settled[key] = settled[key].kept("last_owner" if can_act else "no_able_owner")
    return settled


def role_key(placement: Placement) -> RoleKey | None:
    """Return the key that identifies a new role while the plan is made, or None for an existing role."""
    content = placement.choice.content
    if content is None:
        return None
    at_group = placement.place.startswith("/providers/")
    return content, placement.place if at_group else ""


def role_of(placement: Placement) -> RoleKey | Folded:
    """Return what identifies the role of a placement while the plan is made: a new role's key, or an id."""
    return role_key(placement) or placement.choice.role_definition_id


def _roles_of(groups: Set[str]) -> int:
    """Return the number of new roles of one content: one for each management group, of which one has subscriptions."""
    return max(1, len(groups - {""})) if groups else 0


def fit_limits(drafts: Mapping[Key, Draft], terms: Terms) -> dict[Key, Draft]:
    """Return the drafts with those kept that would exceed one of Azure's limits.

    New assignments are made before old ones are removed, so both count; eligible ones do not. The choice of scopes and
    roles has respected the limits as far as possible; this step keeps the drafts that still do not fit, the last by id.
    """
    limits, per_anchor = terms.room.limits, Counter(terms.anchors)
    room = RoleRoom(limits, terms.room.existing)
    groups_of: dict[RoleContent, set[str]] = defaultdict(set)
    roles = 0
    assigned: set[tuple[Folded, RoleKey | Folded, Folded]] = set()
    settled = dict(drafts)
    for key in sorted(drafts):
        draft = drafts[key]
        wider: dict[RoleContent, set[str]] = {}
        for placement in draft.placements:
            if (found := role_key(placement)) is not None:
                wider.setdefault(found[0], set(groups_of.get(found[0], ()))).add(found[1])
        number = roles + sum(_roles_of(groups) - _roles_of(groups_of.get(one, set())) for one, groups in wider.items())
        wanted = {
            (placement.principal_id, role_of(placement), placement.place)
            for placement in draft.placements
            if placement.state != "eligible"
        } - assigned
        added = Counter(anchor_of_place(place) for _, _, place in wanted)
        full = [anchor for anchor, more in sorted(added.items()) if per_anchor[anchor] + more > limits.room_at(anchor)]
        if number > room.most:
            settled[key] = draft.kept(room.refusal(number))
        elif full:
            settled[key] = draft.kept(limits.refusal_at(full[0], per_anchor[full[0]], added[full[0]]))
        else:
            roles = number
            groups_of |= wider
            assigned |= wanted
            per_anchor.update(added)
    return settled
