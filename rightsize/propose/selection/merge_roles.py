"""Reduce the number of new roles at the price of excess: join two roles, or replace one by existing roles.

It starts from the roles of `warm_start`, usually the fewest roles without excess. Each step removes the role whose
removal costs the least by the prices of `worth`. Either two roles become one that grants both, if today's grants of all
its takers allow that, or all takers of a role fall back to existing roles. Steps have a fixed order, so a plan with one
role less differs by one step. Steps that give anybody privileged operations come last, and steps that make a role
longer than a reviewer reads come before them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush, nsmallest
from itertools import islice

from rightsize.propose.core.bitsets import without
from rightsize.propose.optimize.biclique_kernel import bits
from rightsize.propose.selection.atoms import Atoms
from rightsize.propose.selection.candidates import Existing
from rightsize.propose.selection.equivalence import ClassCase, share_domain
from rightsize.propose.selection.fallback import Fallbacks
from rightsize.propose.selection.worth import MOST_STRINGS, Prices, is_foreign

_ALL_PAIRS = 300
"""With more roles than this, each role is paired only with the most similar ones."""
_NEAR = 12
_LOOKED_AT = 200

Cost = tuple[int, int]
"""The rank of a step (0, or one of the two below), and its price."""
_LONG, _PRIVILEGED = 1, 2
"""Maximum number of roles that are compared with a role whose operations they share."""


@dataclass(frozen=True, slots=True)
class Point:
    """The four numbers of a plan with a given number of new roles."""

    custom_roles: int
    excess: int
    assignments: int
    change: int


@dataclass(slots=True)
class _Role:
    """A new role: its area, its atoms and operations, the classes that take it, and what follows from these.

    `outside` has the atoms that a role for at least one taker must not have; `is_apart` says whether a taker has a part
    that was split off.
    """

    domain: str
    content: int
    operations: int
    takers: set[int]
    outside: int
    is_apart: bool


@dataclass(slots=True)
class Joining:
    """The state of the step-by-step reduction of new roles.

    Attributes:
        cases: The classes.
        taken: For each class, the numbers of the new roles that it takes.
        beside: For each class, the positions of the existing roles that it takes.
        atoms: The numbering of operations and patterns.
        prices: The prices of excess.
        fallbacks: The existing roles that classes take without a new role.
        fallen: The classes that take their fallback.
        adopted: The roles of an earlier plan, by domain and content.
        points: The four numbers after each step, the start first.
    """

    cases: Sequence[ClassCase]
    taken: list[set[int]]
    beside: list[tuple[int, ...]]
    atoms: Atoms
    prices: Prices
    fallbacks: Fallbacks
    roles: dict[int, _Role] = field(default_factory=dict)
    fallen: set[int] = field(default_factory=set)
    adopted: Set[tuple[str, int]] = frozenset()
    points: list[Point] = field(default_factory=list)
    _tallies: list[tuple[int, int, int]] = field(default_factory=list)
    _paid: list[int] = field(default_factory=list)
    _reached: list[int] = field(default_factory=list)
    _asked: list[int] = field(default_factory=list)
    _outside: list[int] = field(default_factory=list)
    _apart: list[bool] = field(default_factory=list)
    _falls: dict[int, int] = field(default_factory=dict)
    _sums: tuple[int, int, int] = (0, 0, 0)
    _next: int = 0
    _granting: dict[int, dict[int, None]] = field(default_factory=lambda: defaultdict(dict))
    _heap: list[tuple[Cost, int, int]] = field(default_factory=list)

    def begin(self, contents: Sequence[tuple[str, int]]) -> None:
        """Set the new roles to start from, each with its domain; `taken` refers to them by position."""
        # Positive masks: Python takes several times as long for `a & ~b` of numbers with thousands of digits.
        whole = (1 << self.atoms.width + len(self.atoms.parts)) - 1
        kept_out: dict[int, int] = {}
        for case in self.cases:
            if case.within not in kept_out:
                kept_out[case.within] = whole & ~case.within
        self._outside = [kept_out[case.within] for case in self.cases]
        self._asked = [_joined(case.needed, case.atoms) for case in self.cases]
        self._apart = [case.is_apart for case in self.cases]
        takers: list[set[int]] = [set() for _ in contents]
        for number, new in enumerate(self.taken):
            for one in new:
                takers[one].add(number)
        for number, (domain, content) in enumerate(contents):
            role = _Role(domain, content, self.atoms.operations(content), takers[number], 0, False)
            self._limit(role)
            self._put(number, role)
        self._next = len(contents)
        self._tallies = [(0, 0, 0)] * len(self.cases)
        self._reached = [0] * len(self.cases)
        self._paid = [0] * len(self.cases)
        for number in range(len(self.cases)):
            self._count(number)
        self.points.append(self._point())
        self._heap = [entry for number in self.roles for entry in self._entries(number, lower_only=True)]
        heapify(self._heap)

    def reduce_to(self, most: int) -> None:
        """Remove roles until at most `most` are left."""
        while len(self.roles) > most:
            self._step()

    def reduce_worthless(self, least: int) -> None:
        """Remove roles as long as that costs nothing, or less than a role has to save."""
        while self._heap and (self._heap[0][0] <= (0, 0) or self._heap[0][0] < (0, least)):
            self._step()

    def _step(self) -> None:
        """Take the cheapest step, or put it back into the queue if its cost has risen."""
        cost, first, second = heappop(self._heap)
        if first not in self.roles or (second >= 0 and second not in self.roles):
            return
        now = self._cost(first, second)
        if now is None:
            return
        if now > cost:
            heappush(self._heap, (now, first, second))
        elif second < 0:
            self._drop(first)
        else:
            self._join(first, second)

    def _limit(self, role: _Role) -> None:
        """Set what follows for a role from its takers."""
        role.outside = 0
        for number in role.takers:
            role.outside |= self._outside[number]
        role.is_apart = any(self._apart[number] for number in role.takers)

    def _put(self, number: int, role: _Role) -> None:
        self.roles[number] = role
        for atom in bits(role.operations):
            self._granting[atom][number] = None

    def _take(self, number: int) -> _Role:
        role = self.roles.pop(number)
        for atom in bits(role.operations):
            del self._granting[atom][number]
        return role

    def _entries(self, number: int, *, lower_only: bool) -> list[tuple[Cost, int, int]]:
        found = []
        for second in (-1, *self._near(number, lower_only=lower_only)):
            cost = self._cost(number, second)
            if cost is not None:
                found.append((cost, number, second))
        return found

    def _near(self, number: int, *, lower_only: bool) -> Iterable[int]:
        """Return the numbers of the roles that a role is paired with."""
        own = self.roles[number]
        is_small = len(self.roles) <= _ALL_PAIRS
        found: Iterable[int] = self.roles if is_small else self._alike(number)
        others = [
            one
            for one in found
            if (one < number if lower_only else one != number) and self._may_join(own, self.roles[one])
        ]
        if is_small:
            return others
        return nsmallest(
            _NEAR, others, key=lambda one: ((self.roles[one].operations ^ own.operations).bit_count(), one)
        )

    def _alike(self, number: int) -> list[int]:
        """Return roles that share operations with a role, preferring those that share the rarest operations."""
        sharing = (self._granting[atom] for atom in bits(self.roles[number].operations))
        found: set[int] = set()
        for members in sorted(sharing, key=len):
            if found and len(found) + len(members) > _LOOKED_AT:
                break
            found.update(islice(members, _LOOKED_AT))
        return sorted(found)

    def _may_join(self, first: _Role, second: _Role) -> bool:
        return (
            share_domain(first.domain, second.domain)
            and not second.content & first.outside
            and not first.content & second.outside
        )

    def _cost(self, first: int, second: int) -> Cost | None:
        """Return the cost of a step: joining two roles, or removing the first if `second` is below zero.

        None if the two roles may not be joined.
        """
        own = self.roles[first]
        if second < 0:
            return self._cost_to_drop(own)
        other = self.roles[second]
        if not self._may_join(own, other):
            return None
        price, privileged = 0, 0
        for takers, added in ((own.takers - other.takers, other), (other.takers - own.takers, own)):
            for number in takers:
                if more := without(added.operations, self._reached[number]):
                    price += self._price(number, more)
                    privileged |= self.prices.barred(more, self.cases[number].needed, daily=not added.is_apart)
        price *= self._weight(own, other)
        if privileged:
            return _PRIVILEGED, price
        return _LONG if self._is_long(own, other) or self._widens(own, other) else 0, price

    def _weight(self, own: _Role, other: _Role | None = None) -> int:
        """Return 2 for a step after which an adopted role is gone, so that it leaves only at half the price; else 1."""
        left = own.content | other.content if other is not None else 0
        before = ((role.domain, role.content) for role in (own, other) if role is not None and role.content != left)
        return 2 if any(one in self.adopted for one in before) else 1

    def _is_long(self, own: _Role, other: _Role) -> bool:
        """Return whether a joined role would be too long for a reviewer, or mostly foreign to one of its takers."""
        joined = own.content | other.content
        size = joined.bit_count()
        if size > max(MOST_STRINGS, own.content.bit_count(), other.content.bit_count()):
            return True
        takers = own.takers | other.takers
        if not any(is_foreign(joined, self._asked[number]) for number in takers):
            return False
        # Holders of one job: whatever one of them does not need is on a type that it writes.
        return any(
            without(without(joined, self._asked[number]), self.prices.written(self.cases[number].needed))
            for number in takers
        )

    def _widens(self, own: _Role, other: _Role) -> bool:
        """Return whether a principal that needs one role at a management group needs the other one only below it.

        What it does in a subscription would be granted to it in all that lies below the group.
        """
        if own.domain == other.domain:
            return False
        holders = (
            {unit.principal_id for one in role.takers for unit in self.cases[one].whole.units} for role in (own, other)
        )
        return not set.isdisjoint(*holders)

    def _cost_to_drop(self, own: _Role) -> Cost:
        price, privileged = 0, 0
        for number in own.takers:
            privileged |= without(self._spare(number) & self.prices.privileged, self._reached[number])
            price += self._price_of_fallback(number) - self._paid[number]
            if not self.fallbacks.of(self.cases[number]).roles and self._apart[number]:
                privileged = -1
        return _PRIVILEGED if privileged else 0, price * self._weight(own)

    def _spare(self, number: int) -> int:
        return self.fallbacks.of(self.cases[number]).spare

    def _price_of_fallback(self, number: int) -> int:
        """Return the price of the existing roles that a class falls back to, or of today's assignments."""
        if number not in self._falls:
            case = self.cases[number]
            fallback = self.fallbacks.of(case)
            price = self._price(number, fallback.spare)
            self._falls[number] = price if fallback.roles else max(case.whole.stay, price)
        return self._falls[number]

    def _price(self, number: int, operations: int) -> int:
        return self.cases[number].whole.price(operations, self.prices)

    def _join(self, first: int, second: int) -> None:
        own, other = self._take(first), self._take(second)
        joined = _Role(
            own.domain or other.domain,
            own.content | other.content,
            own.operations | other.operations,
            own.takers | other.takers,
            own.outside | other.outside,
            own.is_apart or other.is_apart,
        )
        number = self._next
        self._next += 1
        self._put(number, joined)
        for taker in joined.takers:
            self.taken[taker] = self.taken[taker] - {first, second} | {number}
            self._count(taker)
        self.points.append(self._point())
        for entry in self._entries(number, lower_only=False):
            heappush(self._heap, entry)

    def _drop(self, first: int) -> None:
        gone = self._take(first)
        for taker in sorted(gone.takers):
            for one in self.taken[taker] - {first}:
                self.roles[one].takers.discard(taker)
                if self.roles[one].takers:
                    self._limit(self.roles[one])
                else:
                    self._take(one)
            self.taken[taker] = set()
            self.fallen.add(taker)
            self._count(taker)
        self.points.append(self._point())

    def roles_beside(self, number: int) -> tuple[Existing, ...]:
        """Return the existing roles that a class takes."""
        case = self.cases[number]
        if number in self.fallen:
            return self.fallbacks.of(case).roles
        return tuple(case.existing[one] for one in self.beside[number])

    def _count(self, number: int) -> None:
        """Update the sums after a change of the roles that a class takes."""
        case = self.cases[number]
        beside, new = self.roles_beside(number), len(self.taken[number])
        granted = 0
        for one in self.taken[number]:
            granted |= self.roles[one].operations
        beyond = without(granted, case.needed)
        # The operations needed or granted: anything beyond them that a role grants is added excess.
        self._reached[number] = granted | case.needed if beyond else case.needed
        excess = case.whole.exposure * self.prices.weigh(beyond) if beyond else 0
        if number in self.fallen:
            excess = case.whole.exposure * self.fallbacks.of(case).weight
            self._paid[number] = self._price_of_fallback(number)
        else:
            self._paid[number] = self._price(number, beyond) if beyond else 0
        units = len(case.whole.units)
        now = (excess, units * (len(beside) + new), units * (sum(one.kind != "own" for one in beside) + new))
        before = self._tallies[number]
        self._tallies[number] = now
        self._sums = (
            self._sums[0] + now[0] - before[0],
            self._sums[1] + now[1] - before[1],
            self._sums[2] + now[2] - before[2],
        )

    def _point(self) -> Point:
        return Point(len(self.roles), *self._sums)


def _joined(mask: int, more: int) -> int:
    """Return the union of two sets; if the first has it all, that object, since a set takes kilobytes."""
    both = mask | more
    return mask if both == mask else both
