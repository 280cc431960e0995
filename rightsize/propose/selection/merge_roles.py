"""Reduce the number of new roles at the price of excess: join two roles, or replace one by existing roles.

It starts from the roles of `warm_start`, usually the fewest roles without excess. Each step removes the role whose
removal costs the least by the prices of `worth`. Either two roles become one that grants both, if today's grants of all
its takers allow that, or all takers of a role fall back to existing roles. Steps have a fixed order, so a plan with one
role less differs by one step. Steps that give anybody privileged operations come last, and steps that make a role
longer than a reviewer reads come before them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush, nsmallest
from itertools import islice

from rightsize.propose.core.bitsets import without
from rightsize.propose.optimize.biclique_kernel import bits
from rightsize.propose.selection.role_state import NewRole, RoleState
from rightsize.propose.selection.worth import MOST_STRINGS

_ALL_PAIRS = 300
"""With more roles than this, each role is paired only with the most similar ones."""
_NEAR = 12
_LOOKED_AT = 200
"""Maximum number of roles that are compared with a role whose operations they share."""

Cost = tuple[int, int]
"""The rank of a step (0, or one of the two below), and its price."""
_LONG, _PRIVILEGED = 1, 2


@dataclass(slots=True)
class Joining(RoleState):
    """The step-by-step reduction of new roles: the state, and the possible steps, the cheapest first."""

    _heap: list[tuple[Cost, int, int]] = field(default_factory=list)

    def begin(self, contents: Sequence[tuple[str, int]]) -> None:
        """Set the new roles to start from, each with its domain; `taken` refers to them by position."""
        self.set_roles(contents)
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
            if (one < number if lower_only else one != number) and self.may_join(own, self.roles[one])
        ]
        if is_small:
            return others
        return nsmallest(
            _NEAR, others, key=lambda one: ((self.roles[one].operations ^ own.operations).bit_count(), one)
        )

    def _alike(self, number: int) -> list[int]:
        """Return roles that share operations with a role, preferring those that share the rarest operations."""
        sharing = (self.granting[atom] for atom in bits(self.roles[number].operations))
        found: set[int] = set()
        for members in sorted(sharing, key=len):
            if found and len(found) + len(members) > _LOOKED_AT:
                break
            found.update(islice(members, _LOOKED_AT))
        return sorted(found)

    def _cost(self, first: int, second: int) -> Cost | None:
        """Return the cost of a step: joining two roles, or removing the first if `second` is below zero.

        None if the two roles may not be joined.
        """
        own = self.roles[first]
        if second < 0:
            return self._cost_to_drop(own)
        other = self.roles[second]
        if not self.may_join(own, other):
            return None
        price, privileged = 0, 0
        for takers, added in ((own.takers - other.takers, other), (other.takers - own.takers, own)):
            for number in takers:
                if more := without(added.operations, self.reached[number]):
                    price += self.price(number, more)
                    privileged |= self.barred(number, more, added)
        price *= self.weight(own, other)
        if privileged:
            return _PRIVILEGED, price
        return _LONG if self._is_long(own, other) or self._widens(own, other) else 0, price

    def _is_long(self, own: NewRole, other: NewRole) -> bool:
        """Return whether a joined role would be too long for a reviewer, or mostly foreign to one of its takers."""
        joined = own.content | other.content
        size = joined.bit_count()
        if size > max(MOST_STRINGS, own.content.bit_count(), other.content.bit_count()):
            return True
        felt = self.prices.felt(joined)
        return any(
            self.prices.is_foreign(felt, self.asked[number], self.cases[number].needed)
            and not self.has_elsewhere(number, added)
            for takers, added in ((own.takers, other), (other.takers, own))
            for number in takers
        )

    def _widens(self, own: NewRole, other: NewRole) -> bool:
        """Return whether a principal that needs one role at a management group needs the other one only below it.

        What it does in a subscription would be granted to it in all that lies below the group.
        """
        if own.domain == other.domain:
            return False
        holders = (
            {unit.principal_id for one in role.takers for unit in self.cases[one].whole.units} for role in (own, other)
        )
        return not set.isdisjoint(*holders)

    def _cost_to_drop(self, own: NewRole) -> Cost:
        price, privileged = 0, 0
        for number in own.takers:
            privileged |= without(self.spare(number) & self.prices.privileged, self.reached[number])
            price += self.price_of_fallback(number) - self.paid[number]
            if not self.fallbacks.of(self.cases[number]).roles and self.apart[number]:
                privileged = -1
        return _PRIVILEGED if privileged else 0, price * self.weight(own)

    def _join(self, first: int, second: int) -> None:
        own, other = self.take(first), self.take(second)
        joined = NewRole(
            own.domain or other.domain,
            own.content | other.content,
            own.operations | other.operations,
            own.takers | other.takers,
            own.outside | other.outside,
            own.is_apart or other.is_apart,
            own.people | other.people,
        )
        number = self.next_number
        self.next_number += 1
        self.put(number, joined)
        for taker in joined.takers:
            self.taken[taker] = self.taken[taker] - {first, second} | {number}
            self.count(taker)
        self.points.append(self.point())
        for entry in self._entries(number, lower_only=False):
            heappush(self._heap, entry)

    def _drop(self, first: int) -> None:
        gone = self.take(first)
        for taker in sorted(gone.takers):
            for one in self.taken[taker] - {first}:
                self.leave(taker, one)
            self.taken[taker] = set()
            self.fallen.add(taker)
            self.count(taker)
        self.points.append(self.point())
