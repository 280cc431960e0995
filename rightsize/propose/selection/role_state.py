"""Keep the new roles of a plan while steps reduce their number: who takes which, what it grants, and what it costs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field

from rightsize.propose.core.bitsets import without
from rightsize.propose.optimize.biclique_kernel import bits
from rightsize.propose.selection.atoms import Atoms
from rightsize.propose.selection.candidates import Existing
from rightsize.propose.selection.equivalence import ClassCase, share_domain
from rightsize.propose.selection.fallback import Fallbacks
from rightsize.propose.selection.worth import Prices


@dataclass(frozen=True, slots=True)
class Point:
    """The four numbers of a plan with a given number of new roles."""

    custom_roles: int
    excess: int
    assignments: int
    change: int


@dataclass(slots=True)
class NewRole:
    """A new role: its area, its atoms and operations, the classes that take it, and what follows from these.

    `outside` has the atoms that a role for at least one taker must not have; `is_apart` says whether a taker has a part
    that was split off; `people` has the principals of all takers.
    """

    domain: str
    content: int
    operations: int
    takers: set[int]
    outside: int
    is_apart: bool
    people: Set[str] = frozenset()


@dataclass(slots=True)
class RoleState:
    """The new roles of a plan, the classes that take them, and what they cost; steps change it.

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
        paid: For each class, the price of what it gets beyond its need.
        reached: For each class, the operations that it needs or gets.
        asked: For each class, the atoms that it needs.
        outside: For each class, the atoms that no new role for it may have.
        apart: Whether each class has a part that was split off.
        people: The principals of each class.
        granting: By operation, the numbers of the roles that grant it.
        next_number: The number of the next new role.
    """

    cases: Sequence[ClassCase]
    taken: list[set[int]]
    beside: list[tuple[int, ...]]
    atoms: Atoms
    prices: Prices
    fallbacks: Fallbacks
    roles: dict[int, NewRole] = field(default_factory=dict)
    fallen: set[int] = field(default_factory=set)
    adopted: Set[tuple[str, int]] = frozenset()
    points: list[Point] = field(default_factory=list)
    _tallies: list[tuple[int, int, int]] = field(default_factory=list)
    paid: list[int] = field(default_factory=list)
    reached: list[int] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    outside: list[int] = field(default_factory=list)
    apart: list[bool] = field(default_factory=list)
    people: list[Set[str]] = field(default_factory=list)
    _falls: dict[int, int] = field(default_factory=dict)
    _sums: tuple[int, int, int] = (0, 0, 0)
    next_number: int = 0
    granting: dict[int, dict[int, None]] = field(default_factory=lambda: defaultdict(dict))

    def set_roles(self, contents: Sequence[tuple[str, int]]) -> None:
        """Set the new roles to start from, each with its domain; `taken` refers to them by position."""
        # Positive masks: Python takes several times as long for `a & ~b` of numbers with thousands of digits.
        whole = (1 << self.atoms.width + len(self.atoms.parts)) - 1
        kept_out: dict[int, int] = {}
        for case in self.cases:
            if case.within not in kept_out:
                kept_out[case.within] = whole & ~case.within
        self.outside = [kept_out[case.within] for case in self.cases]
        self.asked = [_joined(case.needed, case.atoms) for case in self.cases]
        self.apart = [case.is_apart for case in self.cases]
        self.people = [{unit.principal_id for unit in case.whole.units} for case in self.cases]
        takers: list[set[int]] = [set() for _ in contents]
        for number, new in enumerate(self.taken):
            for one in new:
                takers[one].add(number)
        for number, (domain, content) in enumerate(contents):
            role = NewRole(domain, content, self.atoms.operations(content), takers[number], 0, False)
            self.limit(role)
            self.put(number, role)
        self.next_number = len(contents)
        self._tallies = [(0, 0, 0)] * len(self.cases)
        self.reached = [0] * len(self.cases)
        self.paid = [0] * len(self.cases)
        for number in range(len(self.cases)):
            self.count(number)
        self.points.append(self.point())

    def limit(self, role: NewRole) -> None:
        """Set what follows for a role from its takers."""
        role.outside = 0
        for number in role.takers:
            role.outside |= self.outside[number]
        role.is_apart = any(self.apart[number] for number in role.takers)
        role.people = {one for number in role.takers for one in self.people[number]}

    def put(self, number: int, role: NewRole) -> None:
        """Add a role."""
        self.roles[number] = role
        for atom in bits(role.operations):
            self.granting[atom][number] = None

    def take(self, number: int) -> NewRole:
        """Remove a role, and return it."""
        role = self.roles.pop(number)
        for atom in bits(role.operations):
            del self.granting[atom][number]
        return role

    def may_join(self, first: NewRole, second: NewRole) -> bool:
        """Return whether today's grants of all takers of two roles allow one role in their place."""
        return (
            share_domain(first.domain, second.domain)
            and not second.content & first.outside
            and not first.content & second.outside
        )

    def barred(self, taker: int, more: int, role: NewRole) -> int:
        """Return which operations of a role a class may not get by a step: see `Prices.barred`."""
        return self.prices.barred(more, self.cases[taker].needed, daily=not role.is_apart)

    def has_elsewhere(self, number: int, role: NewRole) -> bool:
        """Return whether all principals of a class take a role elsewhere."""
        return self.people[number] <= role.people

    def weight(self, own: NewRole, other: NewRole | None = None) -> int:
        """Return 2 for a step after which an adopted role is gone, so that it leaves only at half the price; else 1."""
        left = own.content | other.content if other is not None else 0
        before = ((role.domain, role.content) for role in (own, other) if role is not None and role.content != left)
        return 2 if any(one in self.adopted for one in before) else 1

    def spare(self, number: int) -> int:
        """Return the operations that the fallback of a class grants beyond its need."""
        return self.fallbacks.of(self.cases[number]).spare

    def price_of_fallback(self, number: int) -> int:
        """Return the price of the existing roles that a class falls back to, or of today's assignments."""
        if number not in self._falls:
            case = self.cases[number]
            fallback = self.fallbacks.of(case)
            price = self.price(number, fallback.spare)
            self._falls[number] = price if fallback.roles else max(case.whole.stay, price)
        return self._falls[number]

    def price(self, number: int, operations: int) -> int:
        """Return the price of operations that a class gets beyond its need."""
        return self.cases[number].whole.price(operations, self.prices)

    def granted_by(self, numbers: Iterable[int]) -> int:
        """Return the operations that some roles grant together."""
        granted = 0
        for number in numbers:
            granted |= self.roles[number].operations
        return granted

    def roles_beside(self, number: int) -> tuple[Existing, ...]:
        """Return the existing roles that a class takes."""
        case = self.cases[number]
        if number in self.fallen:
            return self.fallbacks.of(case).roles
        return tuple(case.existing[one] for one in self.beside[number])

    def missing(self, number: int, beside: Iterable[Existing], taken: Iterable[int]) -> int:
        """Return the atoms that a class needs, and that neither these existing roles nor these new roles grant."""
        left = self.cases[number].atoms
        for atoms in (*(one.atoms for one in beside), *(self.roles[one].content for one in taken)):
            left = without(left, atoms)
        return left

    def leave(self, number: int, one: int) -> None:
        """Take a class from the takers of a role; without takers the role is gone."""
        role = self.roles[one]
        role.takers.discard(number)
        if role.takers:
            self.limit(role)
        else:
            self.take(one)

    def leave_out_repeats(self) -> None:
        """Let no class take a role if the others that it takes grant its whole need: a joined role may do so."""
        for number, case in enumerate(self.cases):
            if number in self.fallen or len(self.beside[number]) + len(self.taken[number]) < 2:
                continue
            for place in self.beside[number]:
                beside = tuple(other for other in self.beside[number] if other != place)
                if not self.missing(number, (case.existing[other] for other in beside), self.taken[number]):
                    self.beside[number] = beside
                    self.count(number)
            for one in sorted(self.taken[number]):
                taken = self.taken[number] - {one}
                if not self.missing(number, self.roles_beside(number), taken):
                    self.taken[number] = taken
                    self.leave(number, one)
                    self.count(number)
                    if one not in self.roles:
                        self.points.append(self.point())
        self.points[-1] = self.point()

    def count(self, number: int) -> None:
        """Update the sums after a change of the roles that a class takes."""
        case = self.cases[number]
        beside, new = self.roles_beside(number), len(self.taken[number])
        granted = self.granted_by(self.taken[number])
        beyond = without(granted, case.needed)
        # The operations needed or granted: anything beyond them that a role grants is added excess.
        self.reached[number] = granted | case.needed if beyond else case.needed
        excess = case.whole.exposure * self.prices.weigh(beyond) if beyond else 0
        if number in self.fallen:
            excess = case.whole.exposure * self.fallbacks.of(case).weight
            self.paid[number] = self.price_of_fallback(number)
        else:
            self.paid[number] = self.price(number, beyond) if beyond else 0
        units = len(case.whole.units)
        now = (excess, units * (len(beside) + new), units * (sum(one.kind != "own" for one in beside) + new))
        before = self._tallies[number]
        self._tallies[number] = now
        self._sums = (
            self._sums[0] + now[0] - before[0],
            self._sums[1] + now[1] - before[1],
            self._sums[2] + now[2] - before[2],
        )

    def point(self) -> Point:
        """Return the four numbers of the plan."""
        return Point(len(self.roles), *self._sums)


def _joined(mask: int, more: int) -> int:
    """Return the union of two sets; if the first has it all, that object, since a set takes kilobytes."""
    both = mask | more
    return mask if both == mask else both
