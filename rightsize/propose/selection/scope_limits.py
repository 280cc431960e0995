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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rightsize.analyze.scoping import ROOT, ScopeTree
from rightsize.propose.core.azure_limits import AzureLimits
from rightsize.propose.core.scopes import anchor_of_place
from rightsize.propose.needs.assignments import Key
from rightsize.propose.needs.grant_requests import GrantRequest, GrantUnit, is_at_or_below
from rightsize.propose.optimize.ilp import Outcome, Rows, solve
from rightsize.rbac.text import Folded

Slot = tuple[Folded, str, str | None, str | None, Folded | None, Folded]
"""(folded principal, state, condition, end, forced role, folded place)."""


def slot_of(one: GrantRequest | GrantUnit) -> Slot:
    """Return the key of the units that a demand or unit may belong to."""
    return one.principal_id, one.state, one.condition, one.end_on, one.role_definition_id, one.place


@dataclass(frozen=True, slots=True)
class Move:
    """A move of all units of one principal below a place to that place."""

    slots: tuple[Slot, ...]
    place: Folded
    excess: int
    saved: Mapping[Folded, int]
    """By subscription or management group, the number of assignments saved; negative if there are more."""


@dataclass(frozen=True, slots=True)
class Room:
    """The chosen moves to wider scopes.

    Attributes:
        places: The new place of each slot that moves.
        excess: The excess that the moves add.
        lower_bound: A proved lower bound on the excess of any choice of moves that makes as much room.
        left_over: The number of assignments that still fit nowhere.
    """

    places: Mapping[Slot, Folded] = field(default_factory=dict)
    excess: int = 0
    lower_bound: int = 0
    left_over: int = 0


@dataclass(frozen=True, slots=True)
class LimitContext:
    """The facts of the tenant that decide how many assignments fit where.

    Attributes:
        existing: By subscription or management group, the number of today's assignments, which exist beside new ones.
        today: The folded scope of each assignment of today.
        limits: Azure's limits.
        tree: Management groups and subscriptions.
        weigh: The weight of the operations of a unit.
        exposure: The number of resource groups times people that an operation of a principal at a place reaches.
        has_data: Whether a unit needs a data action, which no new role may grant at a management group.
    """

    existing: Mapping[Folded, int]
    today: Mapping[Key, Folded]
    limits: AzureLimits
    tree: ScopeTree
    weigh: Callable[[GrantUnit], int]
    exposure: Callable[[Folded, Folded], int]
    has_data: Callable[[GrantUnit], bool]


def make_room(units: Sequence[GrantUnit], made: Mapping[GrantUnit, int], tenant: LimitContext) -> Room:
    """Return the moves that bring every subscription and management group inside its limit, at the least excess.

    Args:
        units: The units to grant.
        made: The number of assignments that each unit takes at its own place.
        tenant: The facts of the tenant.
    """
    wanted = Counter(dict(tenant.existing))
    for unit in units:
        wanted[anchor_of_place(unit.place)] += made.get(unit, 0)
    over = {
        anchor: number - room
        for anchor, number in wanted.items()
        if anchor != ROOT
        and number > (room := tenant.limits.room_at(anchor))
        and number > tenant.existing.get(anchor, 0)
    }
    if not over:
        return Room()
    moves = [move for move in _moves(units, made, tenant) if any(move.saved.get(anchor, 0) > 0 for anchor in over)]
    spare = {anchor: tenant.limits.room_at(anchor) - wanted[anchor] for move in moves for anchor in move.saved}
    program = _Program(moves, over, {anchor: max(0, room) for anchor, room in spare.items() if anchor not in over})
    return program.solve()


def _moves(units: Iterable[GrantUnit], made: Mapping[GrantUnit, int], tenant: LimitContext) -> Iterator[Move]:
    grouped: dict[Slot, list[GrantUnit]] = defaultdict(list)
    for unit in units:
        grouped[(*slot_of(unit)[:-1], Folded(""))].append(unit)
    for _, members in sorted(grouped.items(), key=lambda item: repr(item[0])):
        if len(members) < 2:
            continue
        above: dict[Folded, list[GrantUnit]] = defaultdict(list)
        for unit in members:
            for place in _places_above(unit, tenant):
                above[place].append(unit)
        for place, below in sorted(above.items()):
            there = [unit for unit in members if unit.place == place]
            if len(below) + len(there) < 2:
                continue
            yield _move(below, there, place, made, tenant)


def _move(
    below: Sequence[GrantUnit],
    there: Sequence[GrantUnit],
    place: Folded,
    made: Mapping[GrantUnit, int],
    tenant: LimitContext,
) -> Move:
    saved: Counter[Folded] = Counter()
    for unit in (*below, *there):
        saved[anchor_of_place(unit.place)] += made.get(unit, 0)
    # The roles of the joined need are chosen later; its estimate is the largest number that one of its parts takes.
    # Parts with different words in `apart` are joined separately.
    most: dict[str, int] = {}
    for unit in (*below, *there):
        most[unit.apart] = max(most.get(unit.apart, 0), made.get(unit, 0))
    saved[anchor_of_place(place)] -= sum(most.values())
    wider = tenant.exposure(below[0].principal_id, place)
    excess = sum(tenant.weigh(unit) * max(0, wider - tenant.exposure(unit.principal_id, unit.place)) for unit in below)
    return Move(tuple(sorted({slot_of(unit) for unit in below}, key=repr)), place, excess, dict(saved))


def _places_above(unit: GrantUnit, tenant: LimitContext) -> list[Folded]:
    """Return the scopes above a unit at which all of its assignments already grant access today."""
    segments = unit.place.split("/")
    anchor = anchor_of_place(unit.place)
    found: list[Folded] = []
    if anchor.startswith("/subscriptions/"):
        found = [Folded("/".join(segments[:length])) for length in (5, 3) if len(segments) > length]
    if not tenant.has_data(unit):
        found.extend(sorted(tenant.tree.ancestors_of(anchor) - {ROOT}))
    scopes = [tenant.today[key] for key in unit.subjects]
    return [place for place in found if all(is_at_or_below(place, scope, tenant.tree) for scope in scopes)]


@dataclass(slots=True)
class _Program:
    """The 0/1 program. Columns: one for each move, then for each anchor over its limit the share that fits nowhere."""

    moves: list[Move]
    over: Mapping[Folded, int]
    spare: Mapping[Folded, int]

    def solve(self) -> Room:
        width = len(self.moves)
        anchors = sorted(self.over)
        lost = array("d", [0.0] * width + [float(self.over[anchor]) for anchor in anchors])
        first = self._solved(lost)
        if first.values is None:
            return Room(left_over=sum(self.over.values()))
        unplaced = math.ceil(first.objective - 1e-6)
        costs = array("d", [float(move.excess) for move in self.moves] + [0.0] * len(anchors))
        second = self._solved(costs, (lost, first.objective), first.values)
        values = second.values or first.values
        chosen = [move for move, value in zip(self.moves, values, strict=False) if value > 0.5]
        places = {slot: move.place for move in chosen for slot in move.slots}
        excess = sum(move.excess for move in chosen)
        bound = max(0, math.ceil(second.bound - 1e-6)) if math.isfinite(second.bound) else 0
        return Room(places, excess, min(bound, excess), unplaced)

    def _solved(
        self,
        costs: array[float],
        most: tuple[array[float], float] | None = None,
        start: tuple[float, ...] | None = None,
    ) -> Outcome:
        width = len(self.moves)
        rows = Rows()
        for position, anchor in enumerate(sorted(self.over)):
            freed = [(i, float(move.saved[anchor])) for i, move in enumerate(self.moves) if move.saved.get(anchor)]
            rows.add([*freed, (width + position, float(self.over[anchor]))], float(self.over[anchor]), math.inf)
        for anchor, room in sorted(self.spare.items()):
            taken = [(i, -float(move.saved[anchor])) for i, move in enumerate(self.moves) if move.saved.get(anchor)]
            rows.add(taken, -math.inf, float(room))
        of_slot: dict[Slot, list[int]] = defaultdict(list)
        for i, move in enumerate(self.moves):
            for slot in move.slots:
                of_slot[slot].append(i)
        for _, those in sorted(of_slot.items(), key=lambda item: repr(item[0])):
            if len(those) > 1:
                rows.add_sum(those, 0.0, 1.0)
        if most is not None:
            rows.add([(i, value) for i, value in enumerate(most[0]) if value], 0.0, most[1] + 1e-6)
        anchors = range(width, width + len(self.over))
        return solve(rows, costs, continuous=anchors, start=start)
