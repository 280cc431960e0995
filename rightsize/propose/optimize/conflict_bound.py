"""Needs of which no two can be served by one role: so many roles there must be, or somebody pays for sharing.

A need takes few roles. So of the atoms that only new roles grant it, one of them grants a share: of seven atoms and at
most three roles, one role grants three or more. A *demand* is a need with such atoms and that number. Two demands can
be served by one role only where each need reaches so many atoms of the other; demands *apart* are such that no two can.

Where nobody may be granted more than is needed, demands apart take a role each, and their number is a bound. Where
there are fewer roles than that, let each demand that does not fall back to an existing role stand by the one of its
roles that grants it its share. Of two that stand by the same role at least one is granted atoms of the other that it
does not need, and pays for them; so of all that stand by one role at most one pays nothing. With n demands and k roles
at least n - k of them pay, and the least that each could pay adds up to a bound of the excess.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rightsize.propose.optimize.biclique_kernel import bits, count_in, counted_at_least, large_bitset

_SIZES = (1, 4, 7, 10)
"""So many atoms of a need make a demand, those first that the fewest needs reach."""
_MOST = 12_000
"""So many needs are looked at, those that reach the rarest atoms."""


@dataclass(frozen=True, slots=True)
class Want:
    """A need as demands are made of it.

    Attributes:
        hard: The atoms that have to be granted, and that nothing but a new role grants.
        reach: The atoms that a role may have for it without excess, the hard ones among them.
        most: How many roles it may take.
    """

    hard: int
    reach: int
    most: int


@dataclass(frozen=True, slots=True)
class ConflictDemand:
    """Atoms of a need, of which one of its new roles grants at least so many.

    Attributes:
        number: The position of the need.
        atoms: The atoms.
        least: How many of them one role grants.
    """

    number: int
    atoms: int
    least: int


def demands_apart(wants: Sequence[Want]) -> list[ConflictDemand]:
    """Return demands, one a need at most, of which no role without excess serves two; as many as are found."""
    holders = _holders(wants)
    counts = {atom: members.bit_count() for atom, members in holders.items()}
    rarest = {number: sorted(bits(one.hard), key=lambda atom: (counts[atom], atom)) for number, one in enumerate(wants)}
    looked_at = sorted((number for number in rarest if rarest[number]), key=lambda one: (counts[rarest[one][0]], one))
    asked: dict[int, tuple[int, ConflictDemand]] = {}
    for number in looked_at[:_MOST]:
        sizes = {_size(len(rarest[number]), size, wants[number].most) for size in _SIZES}
        own = [_demand(number, rarest[number][:size], wants[number].most) for size in sorted(sizes)]
        # The demand that the fewest needs could share.
        able = [_reaching(one, holders) for one in own]
        best = min(range(len(own)), key=lambda one: (able[one].bit_count(), one))
        asked[number] = able[best], own[best]
    left = large_bitset(list(asked))
    found = []
    for number in sorted(asked, key=lambda one: (asked[one][0].bit_count(), one)):
        if left >> number & 1:
            able_to, demand = asked[number]
            found.append(demand)
            left &= ~large_bitset([other for other in bits(able_to & left) if _serves(asked[other][1], wants[number])])
    return found


def _size(atoms: int, size: int, most: int) -> int:
    """Return how many atoms a demand has: one more than a multiple of the roles; more would add to no share."""
    return (min(size, atoms) - 1) // most * most + 1


def _demand(number: int, atoms: Sequence[int], most: int) -> ConflictDemand:
    return ConflictDemand(number, sum(1 << atom for atom in atoms), -(-len(atoms) // most))


def _serves(demand: ConflictDemand, want: Want) -> bool:
    """Return whether a role that serves a demand could stay within the reach of a need."""
    return (demand.atoms & want.reach).bit_count() >= demand.least


def _holders(wants: Sequence[Want]) -> dict[int, int]:
    """Return for each hard atom the needs that reach it."""
    asked = 0
    for want in wants:
        asked |= want.hard
    found: dict[int, list[int]] = defaultdict(list)
    for number, want in enumerate(wants):
        for atom in bits(want.reach & asked):
            found[atom].append(number)
    return {atom: large_bitset(members) for atom, members in found.items()}


def _reaching(one: ConflictDemand, holders: dict[int, int]) -> int:
    """Return the needs that reach enough atoms of a demand, its own among them."""
    digits: list[int] = []
    for atom in bits(one.atoms):
        count_in(digits, holders[atom])
    return counted_at_least(digits, one.least)


def least_paid(
    demands: Sequence[ConflictDemand],
    wants: Sequence[Want],
    rates: Sequence[int],
    alone: Sequence[int],
    price: Callable[[int], int],
) -> list[int]:
    """Return what each demand pays at least that pays anything, as the proof above has it.

    Args:
        demands: Demands apart.
        wants: The needs, by the number of a demand.
        rates: What one unit of weight costs each need.
        alone: What each demand pays at least that stands by no new role.
        price: The weight of an atom.
    """
    having: dict[int, list[int]] = defaultdict(list)
    for position, one in enumerate(demands):
        for atom in bits(one.atoms):
            having[atom].append(position)
    every = large_bitset(list(having))
    prices = {atom: price(atom) for atom in having}
    # What a need pays for a demand of which it reaches nothing; the two cheapest, since one of them may be its own.
    whole = sorted((_cheapest(one, 0, prices), position) for position, one in enumerate(demands))[:2]
    found = []
    for position, one in enumerate(demands):
        reach = wants[one.number].reach
        met = Counter(other for atom in bits(reach & every) for other in having[atom])
        paid = [cost for cost, other in whole if other != position]
        paid += [
            _cheapest(demands[other], reach, prices)
            for other, number in met.items()
            if other != position and number < demands[other].least
        ]
        found.append(min([alone[position], *(rates[one.number] * cost for cost in paid)]))
    return found


def _cheapest(one: ConflictDemand, reach: int, prices: dict[int, int]) -> int:
    """Return the weight that a need with this reach is granted in vain at least by a role that serves a demand."""
    lacking = sorted(prices[atom] for atom in bits(one.atoms & ~reach))
    return sum(lacking[: one.least - (one.atoms & reach).bit_count()])
