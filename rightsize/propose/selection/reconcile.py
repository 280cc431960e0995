"""Make separate drafts one consistent plan: duplicates, existing assignments, last owners and Azure's limits.

A draft that does not fit becomes a `keep`, which never takes away an assignment on which another proposal rests.

Scopes of needs widen where a subscription or management group would exceed its limit of assignments.

The narrowest legal scope is used as long as Azure's limits allow it. If they do not, all needs of a principal in a
resource group, a subscription or a management group may be granted there together. That scope is never wider than
today's assignment. It takes fewer assignments, and adds excess at the places where the access was not needed. One 0/1
program over all principals chooses the moves: first the fewest assignments that fit nowhere, then the least excess.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace

from rightsize.analyze.inputs import ROOT
from rightsize.mining.programs import Rows, solve
from rightsize.model.nouns import AssignmentState
from rightsize.model.plan import REMOVE_DUPLICATE
from rightsize.model.text import Folded
from rightsize.propose.core.role_catalog import RoleContent
from rightsize.propose.core.role_patterns import RoleRoom
from rightsize.propose.core.scopes import anchor_of_place
from rightsize.propose.drafts.drafts import Draft, Placement
from rightsize.propose.needs.assignments import Key, lasts_as_long
from rightsize.propose.needs.grant_requests import GrantRequest, GrantUnit, is_at_or_below
from rightsize.propose.needs.holders import OwnerFacts
from rightsize.propose.selection.worth import Terms

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
    kept if its new assignment would have to last longer than the existing one. Who leans on a draft that rests on an
    existing assignment rests on that as well.
    """
    existing = {
        (draft.subject.principal_id, draft.subject.role_definition_id, draft.subject.place, draft.subject.state): key
        for key, draft in sorted(drafts.items())
    }
    settled = dict(drafts)
    for key, word in _conflicting(drafts, existing):
        settled[key] = settled[key].kept(word)
    resting: dict[Folded, set[Folded]] = defaultdict(set)
    for key in sorted(drafts):
        draft = settled[key]
        found = {
            placement: existing[identity]
            for placement in draft.placements
            if (identity := _identity(placement)) in existing
        }
        if not found:
            continue
        for other in found.values():
            if settled[other].kind.needs_container:
                resting[key[0]].update(settled[other].rests_on)
                continue
            resting[key[0]].add(other[0])
            if settled[other].kind.changes:
                settled[other] = settled[other].kept("relied_upon")
        if key in found.values():
            # One of its new assignments equals its own assignment of today: the loop above made the draft a `keep`.
            continue
        left = tuple(placement for placement in draft.placements if placement not in found)
        settled[key] = replace(draft, placements=left, rests_on=tuple(sorted({*draft.rests_on, *resting[key[0]]})))
    for key, draft in sorted(settled.items()):
        more = set().union(*(resting.get(id_, ()) for id_ in draft.together_with)) - {key[0]}
        if more and draft.kind.changes:
            settled[key] = replace(draft, rests_on=tuple(sorted({*draft.rests_on, *more})))
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


Slot = tuple[Folded, str, str | None, str | None, Folded | None, Folded]
"""(folded principal, state, condition, end, forced role, folded place)."""
GROUP_PARTS = 5
"""Number of segments in the path of a resource group, with the empty one before the first slash."""


def slot_of(one: GrantRequest | GrantUnit) -> Slot:
    """Return the key of the units that a demand or unit may belong to."""
    return one.principal_id, one.state, one.condition, one.end_on, one.role_definition_id, one.place


def places_above(place: Folded, others: Iterable[Folded], keys: Iterable[Key], terms: Terms) -> list[Folded]:
    """Return the scopes above a place that are inside all of some assignments of today.

    Args:
        place: The folded scope.
        others: Further scopes above it, beside its resource group and subscription.
        keys: The assignments.
        terms: What scopes are chosen from.
    """
    found: list[Folded] = []
    if place.startswith("/subscriptions/"):
        parts = place.split("/")
        found = [Folded("/".join(parts[:length])) for length in (GROUP_PARTS, 3) if len(parts) > length]
    found += sorted({*others} - {*found})
    scopes = {terms.subjects[key].place for key in keys}
    return [one for one in found if all(is_at_or_below(one, scope, terms.tree) for scope in scopes)]


@dataclass(frozen=True, slots=True)
class _Move:
    """A move of all units of one principal below a place to that place.

    `saved` has the number of assignments saved by subscription or management group; negative if there are more.
    """

    slots: tuple[Slot, ...]
    place: Folded
    excess: int
    saved: Mapping[Folded, int]


def make_room(units: Sequence[GrantUnit], made: Mapping[GrantUnit, int], terms: Terms) -> dict[Slot, Folded]:
    """Return the wider place of each slot that moves, so that every limit holds as far as possible, at least excess.

    Args:
        units: The units to grant.
        made: The number of assignments that each unit takes at its own place.
        terms: What scopes are chosen from.
    """
    limits, wanted = terms.room.limits, Counter(terms.anchors)
    for unit in units:
        wanted[anchor_of_place(unit.place)] += made.get(unit, 0)
    spare = {anchor: limits.room_at(anchor) - number for anchor, number in wanted.items()}
    over = {
        anchor: -spare[anchor]
        for anchor, number in sorted(wanted.items())
        if anchor != ROOT and spare[anchor] < 0 and number > terms.anchors[anchor]
    }
    if not over:
        return {}
    moves = [move for move in _moves(units, made, terms) if any(move.saved.get(anchor, 0) > 0 for anchor in over)]
    touched = sorted({anchor for move in moves for anchor in move.saved} - over.keys())
    room = {anchor: max(0, spare.get(anchor, limits.room_at(anchor))) for anchor in touched}
    chosen = _choose_moves(moves, over, room)
    return {slot: move.place for move in chosen for slot in move.slots}


def _moves(units: Iterable[GrantUnit], made: Mapping[GrantUnit, int], terms: Terms) -> Iterator[_Move]:
    grouped: dict[Slot, list[GrantUnit]] = defaultdict(list)
    for unit in units:
        grouped[(*slot_of(unit)[:-1], Folded(""))].append(unit)
    for _, members in sorted(grouped.items(), key=lambda item: repr(item[0])):
        if len(members) < 2:
            continue
        above: dict[Folded, list[GrantUnit]] = defaultdict(list)
        for unit in members:
            # No new role may grant a data action at a management group.
            has_data = terms.book.mask(unit.need) & ~terms.book.index.control
            groups = () if has_data else terms.tree.ancestors_of(anchor_of_place(unit.place)) - {ROOT}
            for place in places_above(unit.place, groups, unit.subjects, terms):
                above[place].append(unit)
        for place, below in sorted(above.items()):
            there = [unit for unit in members if unit.place == place]
            if len(below) + len(there) > 1:
                yield _move(below, there, place, made, terms)


def _move(
    below: Sequence[GrantUnit],
    there: Sequence[GrantUnit],
    place: Folded,
    made: Mapping[GrantUnit, int],
    terms: Terms,
) -> _Move:
    saved: Counter[Folded] = Counter()
    # The roles of the joined need are chosen later; its estimate is the largest number that one of its parts takes.
    # Parts with different words in `apart` are joined separately.
    most: dict[str, int] = {}
    for unit in (*below, *there):
        saved[anchor_of_place(unit.place)] += made.get(unit, 0)
        most[unit.apart] = max(most.get(unit.apart, 0), made.get(unit, 0))
    saved[anchor_of_place(place)] -= sum(most.values())
    wider = terms.weights.cells(below[0].principal_id, place)
    excess = sum(terms.weigh(terms.book.mask(unit.need)) * max(0, wider - terms.exposure(unit)) for unit in below)
    return _Move(tuple(sorted({slot_of(unit) for unit in below}, key=repr)), place, excess, dict(saved))


def _choose_moves(moves: Sequence[_Move], over: Mapping[Folded, int], room: Mapping[Folded, int]) -> list[_Move]:
    """Return the moves that a 0/1 program chooses; none where it finds no solution.

    Its columns are one for each move, then for each anchor over its limit the share that fits nowhere.

    Args:
        moves: The possible moves; of those that move one slot, at most one is chosen.
        over: The number of assignments too many, by anchor.
        room: The number of assignments that fit, by anchor of the others.
    """
    width = len(moves)
    rows = Rows()
    for column, (anchor, number) in enumerate(over.items(), width):
        freed = [(i, float(move.saved[anchor])) for i, move in enumerate(moves) if move.saved.get(anchor)]
        rows.add([*freed, (column, float(number))], float(number), math.inf)
    for anchor, number in room.items():
        taken = [(i, -float(move.saved[anchor])) for i, move in enumerate(moves) if move.saved.get(anchor)]
        rows.add(taken, -math.inf, float(number))
    of_slot: dict[Slot, list[int]] = defaultdict(list)
    for i, move in enumerate(moves):
        for slot in move.slots:
            of_slot[slot].append(i)
    for _, those in sorted(of_slot.items(), key=lambda item: repr(item[0])):
        if len(those) > 1:
            rows.add_sum(those, 0.0, 1.0)
    shares = range(width, width + len(over))
    lost = array("d", [0.0] * width + [float(number) for number in over.values()])
    first = solve(rows, lost, continuous=shares)
    if first.values is None:
        return []
    rows.add([(i, value) for i, value in enumerate(lost) if value], 0.0, first.objective + 1e-6)
    costs = array("d", [float(move.excess) for move in moves] + [0.0] * len(over))
    second = solve(rows, costs, continuous=shares, start=first.values)
    values = second.values or first.values
    return [move for move, value in zip(moves, values, strict=False) if value > 0.5]
