"""Widen the scopes of needs where a subscription or management group would exceed its limit of assignments.

The narrowest legal scope is used as long as Azure's limits allow it. If they do not, all needs of a principal in a
resource group, a subscription or a management group may be granted there together. That scope is never wider than
today's assignment. It takes fewer assignments, and adds excess at the places where the access was not needed. One 0/1
program over all principals chooses the moves: first the fewest assignments that fit nowhere, then the least excess.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rightsize.analyze.columns import ROOT
from rightsize.propose.core.scopes import anchor_of_place
from rightsize.propose.needs.assignments import Key
from rightsize.propose.needs.grant_requests import GrantRequest, GrantUnit, is_at_or_below
from rightsize.propose.optimize.ilp import Rows, solve
from rightsize.propose.selection.worth import Terms
from rightsize.rbac.text import Folded

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
