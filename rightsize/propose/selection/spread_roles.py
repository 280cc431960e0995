"""Remove new roles whose holders can take other new roles of the plan instead."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from rightsize.propose.core.bitsets import without
from rightsize.propose.needs.drafts import Key
from rightsize.propose.optimize.biclique_kernel import bits
from rightsize.propose.selection.equivalence import share_domain
from rightsize.propose.selection.fewer_scopes import MOST_ASSIGNMENTS
from rightsize.propose.selection.role_state import NewRole, RoleState

_TRIED = 12
"""Maximum number of roles that are tried for one operation, the cheapest first."""


def spread(state: RoleState, least: int) -> None:
    """Remove roles whose holders can take other new roles instead, where that costs less than a role has to save.

    Joining does not find these: a role that fits two others together is like neither of them. Nobody gets more than
    `MOST_ASSIGNMENTS` assignments for one by it.
    """
    classes: dict[Key, list[int]] = defaultdict(list)
    for number, case in enumerate(state.cases):
        for unit in case.whole.units:
            for key in unit.subjects:
                classes[key].append(number)
    _Spreading(state, classes).run(least)


@dataclass(frozen=True, slots=True)
class _Spreading:
    """The removal of roles, the cheapest first.

    Attributes:
        state: The roles of the plan.
        classes: By assignment of today, the class of each need that replaces it.
    """

    state: RoleState
    classes: Mapping[Key, Sequence[int]]

    def run(self, least: int) -> None:
        """Remove roles until none can be removed for less than `least`."""
        while True:
            found = ((number, self._others_of(number, least)) for number in self.state.roles)
            ranked = sorted((others[0], number) for number, others in found if others is not None)
            before = len(self.state.roles)
            for _, number in ranked:
                others = self._others_of(number, least)
                if others is not None:
                    self._spread(number, others[1])
            if len(self.state.roles) == before:
                return

    def _others_of(self, number: int, least: int) -> tuple[int, dict[int, tuple[int, ...]]] | None:
        """Return the price below `least` of removing a role, and the other new roles for each of its takers."""
        own = self.state.roles[number]
        only = 0
        for atom in bits(own.operations):
            only |= (len(self.state.granting[atom]) == 1) << atom
        if only and any(only & self._missing(number, taker) for taker in own.takers):
            return None
        price, others = 0, {}
        for taker in sorted(own.takers):
            found = self._others(number, taker)
            if found is None:
                return None
            price += found[0] - self.state.paid[taker]
            others[taker] = found[1]
            if price * self.state.weight(own) >= least:
                return None
        return price * self.state.weight(own), others

    def _price(self, taker: int, operations: int) -> int:
        return self.state.price(taker, without(operations, self.state.cases[taker].needed))

    def _others(self, number: int, taker: int) -> tuple[int, tuple[int, ...]] | None:
        """Return the cheapest other new roles that grant a taker what a role grants it, with the new price."""
        case, left = self.state.cases[taker], self.state.taken[taker] - {number}
        missing, granted = self._missing(number, taker), self.state.granted_by(left)
        room = case.whole.most_roles - len(self.state.roles_beside(taker)) - len(left)
        room = min(room, 1 + self._spare_assignments(taker))
        covers = self._covers(taker, missing, room, {number, *left})
        return min(
            ((self._price(taker, granted | self.state.granted_by(cover)), cover) for cover in covers),
            key=lambda found: (found[0], len(found[1]), found[1]),
            default=None,
        )

    def _missing(self, number: int, taker: int) -> int:
        """Return the atoms that a taker needs from a role alone."""
        return self.state.missing(taker, self.state.roles_beside(taker), self.state.taken[taker] - {number})

    def _spare_assignments(self, taker: int) -> int:
        """Return how many assignments more each holder of a class may get for one of today."""
        made = [self._made(key) for unit in self.state.cases[taker].whole.units for key in unit.subjects]
        return max(0, MOST_ASSIGNMENTS - max(made, default=0))

    def _made(self, key: Key) -> int:
        """Return how many assignments replace one of today."""
        return sum(len(self.state.roles_beside(one)) + len(self.state.taken[one]) for one in self.classes[key])

    def _covers(self, taker: int, missing: int, room: int, without_these: Set[int]) -> Iterator[tuple[int, ...]]:
        """Yield sets of at most `room` other new roles that grant all missing atoms and that a taker may take."""
        if not missing:
            yield ()
            return
        operations = self.state.atoms.operations(missing)
        if room <= 0 or not operations:
            return
        rarest = min((self.state.granting[atom] for atom in bits(operations)), key=len)
        roles = self.state.roles
        able = (one for one in rarest if room > 1 or not without(missing, roles[one].content))
        fitting = [one for one in able if one not in without_these and self._may_take(taker, one)]
        fitting.sort(key=lambda one: (self._price(taker, roles[one].operations), one))
        for one in fitting[:_TRIED]:
            rest = without(missing, roles[one].content)
            for more in self._covers(taker, rest, room - 1, {*without_these, one}):
                yield (one, *more)

    def _may_take(self, taker: int, number: int) -> bool:
        """Return whether a class may take a new role of others, by the rules for joining two roles."""
        case, role = self.state.cases[taker], self.state.roles[number]
        return (
            share_domain(role.domain, case.whole.domain)
            and not role.content & self.state.outside[taker]
            and not self.state.barred(taker, without(role.operations, case.needed), role)
            and (self._is_for(taker, role) or self.state.has_elsewhere(taker, role))
        )

    def _is_for(self, taker: int, role: NewRole) -> bool:
        """Return whether a role is for the job of a class, and has nothing beside that job."""
        prices, asked, need = self.state.prices, self.state.asked[taker], self.state.cases[taker].needed
        felt = prices.felt(role.content)
        return prices.is_same_job(felt, asked) and not prices.beside_job(felt, asked, need)

    def _spread(self, first: int, others: Mapping[int, tuple[int, ...]]) -> None:
        """Remove a role, and give its takers other new roles."""
        self.state.take(first)
        for taker, new in sorted(others.items()):
            self.state.taken[taker] = self.state.taken[taker] - {first} | set(new)
            for role in (self.state.roles[one] for one in new):
                role.takers.add(taker)
                role.domain = role.domain or self.state.cases[taker].whole.domain
            self.state.count(taker)
        for one in {one for new in others.values() for one in new}:
            self.state.limit(self.state.roles[one])
        self.state.points.append(self.state.point())
