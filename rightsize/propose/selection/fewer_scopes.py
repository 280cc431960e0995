"""Gather the needs of one principal at fewer scopes where a separate assignment is not worth its price.

Needs are as narrow as their use shows. Several scopes of one principal take several assignments, and usually several
roles. Two needs are gathered at a wider scope inside today's assignment if that costs less than an assignment is worth,
if both change something and it costs less than a role has to save, or if the principal would get more than
`MOST_ASSIGNMENTS` assignments for one of today. Needs that were split off, needs that give privilege, conditions, a
forced role or patterns that do more than read stay where they are. Needs that read secrets move only where they read
none of a further resource, but for the resource group where the principal would get too many assignments.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rightsize.analyze.scoping import ScopeTree
from rightsize.propose.core.bitsets import without
from rightsize.propose.core.read_patterns import is_read
from rightsize.propose.core.role_catalog import RoleBook
from rightsize.propose.core.scopes import anchor_of_place
from rightsize.propose.needs.assignments import Key
from rightsize.propose.needs.grant_requests import GrantUnit, is_at_or_below, is_below
from rightsize.propose.selection.scope_limits import Slot, slot_of
from rightsize.propose.selection.secret_places import SecretPlaces
from rightsize.propose.selection.worth import Prices
from rightsize.rbac.text import Folded

MOST_ASSIGNMENTS = 3
"""Maximum number of assignments that one principal gets for one assignment of today."""
_ASSIGNMENTS = 20
"""A separate assignment of one principal has to save this part of what a new role has to."""
_GROUP = 5
"""Number of segments in the path of a resource group, with the empty one before the first slash."""


@dataclass(frozen=True, slots=True)
class ScopeFacts:
    """The facts that decide which scopes may be gathered.

    Attributes:
        today: The folded scope of each assignment of today.
        tree: Management groups and subscriptions.
        book: The roles.
        prices: The prices of excess.
        least: The price that a new role has to save.
        secrets: The resources of which something reads a secret.
    """

    today: Mapping[Key, Folded]
    tree: ScopeTree
    book: RoleBook
    prices: Prices
    least: int
    secrets: SecretPlaces


def gather_scopes(units: Iterable[GrantUnit], facts: ScopeFacts) -> dict[Slot, Folded]:
    """Return the wider place of each slot whose needs are gathered with others of the same principal."""
    by_principal: dict[Folded, list[GrantUnit]] = defaultdict(list)
    for unit in units:
        by_principal[unit.principal_id].append(unit)
    moves: dict[Slot, Folded] = {}
    for _, members in sorted(by_principal.items()):
        if len(members) > 1:
            moves |= _Gathering(members, facts).run()
    return moves


@dataclass(slots=True)
class _Gathering:
    """The gathering of one principal's needs, step by step, the cheapest first."""

    units: Sequence[GrantUnit]
    facts: ScopeFacts
    _at: dict[Slot, list[GrantUnit]] = field(default_factory=lambda: defaultdict(list))
    _moves: dict[Slot, Folded] = field(default_factory=dict)
    _prices: dict[tuple[Slot, Folded], int] = field(default_factory=dict)

    def run(self) -> dict[Slot, Folded]:
        for unit in self.units:
            self._at[slot_of(unit)].append(unit)
        fixed = {slot for slot, members in self._at.items() if any(not self._is_movable(unit) for unit in members)}
        while True:
            crowded = self._crowded()
            found = [
                (price, slots, place)
                for slots, place, price in self._steps(fixed)
                if self._is_cheap(slots, place, price)
                or any(key in crowded for slot in slots for unit in self._at[slot] for key in unit.subjects)
            ]
            if not found:
                return self._moves
            _, slots, place = min(found, key=repr_of)
            for slot in slots:
                self._move(slot, place)

    def _is_movable(self, unit: GrantUnit) -> bool:
        return not (
            unit.apart
            or unit.condition is not None
            or unit.role_definition_id is not None
            or self.facts.book.mask(unit.need) & self.facts.prices.privilege
            or any(not is_read(text) for part in unit.need.parts for text in part.patterns)
        )

    def _reads_more(self, slot: Slot, place: Folded) -> bool:
        """Return whether a need would read the secrets of more resources at a wider place."""
        needs = (unit.need.operations & self.facts.secrets.every for unit in self._at[slot])
        return any(need and self.facts.secrets.reads_more(need, slot[-1], place) for need in needs)

    @staticmethod
    def _is_group_of(slot: Slot, place: Folded) -> bool:
        return slot[-1].count("/") >= _GROUP and place.count("/") == _GROUP - 1

    def _is_cheap(self, slots: Sequence[Slot], place: Folded, price: int) -> bool:
        """Return whether separate assignments save less than they have to, and a wider one reads no further secrets.

        Separate assignments have to save the price of an assignment, and that of a role if each would take one for
        changes. If two needs would leave their resource groups for a scope at which the principal does nothing else,
        it is that of an assignment in any case.
        """
        if price >= self.facts.least:
            return False
        is_cheap = price < self.facts.least // _ASSIGNMENTS or self._take_roles(slots, place)
        return is_cheap and not any(self._reads_more(slot, place) for slot in slots)

    def _take_roles(self, slots: Sequence[Slot], place: Folded) -> bool:
        wide = [(*slot[:-1], place) for slot in slots if (*slot[:-1], place) in self._at]
        is_near = place.startswith("/subscriptions/") and (bool(wide) or place.count("/") == _GROUP - 1)
        return is_near and all(any(self._changes(unit) for unit in self._at[slot]) for slot in (*slots, *wide))

    def _changes(self, unit: GrantUnit) -> bool:
        left = without(unit.need.operations, self.facts.book.index.reads)
        return bool(without(left, self.facts.prices.inert))

    def _crowded(self) -> set[Key]:
        """Return the assignments of today for which the principal would get too many new ones."""
        number: Counter[Key] = Counter()
        for members in self._at.values():
            for key in {key for unit in members for key in unit.subjects}:
                own = [unit for unit in members if key in unit.subjects]
                number[key] += any(unit.need.operations for unit in own) + any(unit.need.parts for unit in own)
        return {key for key, found in number.items() if found > MOST_ASSIGNMENTS}

    def _steps(self, fixed: set[Slot]) -> Iterator[tuple[tuple[Slot, ...], Folded, int]]:
        """Yield the possible steps: one slot to a wider one that is there, or two to a wider place that is not."""
        alike: dict[Slot, list[Slot]] = defaultdict(list)
        for slot in self._at:
            alike[(*slot[:-1], Folded(""))].append(slot)
        for slots in alike.values():
            there = {slot[-1] for slot in slots}
            absent: dict[Folded, list[tuple[int, Slot]]] = defaultdict(list)
            for slot in slots:
                if slot in fixed:
                    continue
                for place in self._above(slot):
                    if self._reads_more(slot, place) and not self._is_group_of(slot, place):
                        continue
                    price = self._price(slot, place)
                    if place in there:
                        yield (slot,), place, price
                    else:
                        absent[place].append((price, slot))
            for place, found in absent.items():
                if len(found) > 1:
                    (one, first), (two, second) = sorted(found, key=lambda item: (item[0], item[1][-1]))[:2]
                    yield (first, second), place, one + two

    def _above(self, slot: Slot) -> list[Folded]:
        """Return the wider places inside all of today's assignments: resource group, subscription, used groups."""
        place, anchor = slot[-1], anchor_of_place(slot[-1])
        segments = place.split("/")
        found: list[Folded] = []
        if anchor.startswith("/subscriptions/"):
            found = [Folded("/".join(segments[:length])) for length in (_GROUP, 3) if len(segments) > length]
        here = {other[-1] for other in self._at if other[:-1] == slot[:-1]}
        found += [other for other in sorted(here - {*found}) if is_below(place, other, self.facts.tree)]
        scopes = {self.facts.today[key] for unit in self._at[slot] for key in unit.subjects}
        return [one for one in found if all(is_at_or_below(one, scope, self.facts.tree) for scope in scopes)]

    def _price(self, slot: Slot, place: Folded) -> int:
        if (slot, place) not in self._prices:
            self._prices[slot, place] = sum(self._price_of(unit, place) for unit in self._at[slot])
        return self._prices[slot, place]

    def _price_of(self, unit: GrantUnit, place: Folded) -> int:
        prices = self.facts.prices
        here, there = prices.rate(unit), prices.rate(replace(unit, place=place))
        # A wider scope is at least one more place: others may be made there later, or are not known.
        return max(here, there - here) * prices.live(self.facts.book.mask(unit.need), prices.latent_of([unit]))

    def _move(self, slot: Slot, place: Folded) -> None:
        target = (*slot[:-1], place)
        self._moves[slot] = place
        self._at[target].extend(replace(unit, place=place) for unit in self._at.pop(slot))
        self._prices = {key: price for key, price in self._prices.items() if key[0] != target}


def repr_of(step: tuple[int, tuple[Slot, ...], Folded]) -> tuple[int, str]:
    """Return the sort key of a step: its price, then its places."""
    return step[0], repr(step[1:])
