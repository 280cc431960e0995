"""Find needs of which no role can serve two, and derive lower bounds on the number of new roles or on the excess.

A need takes few roles. So of the atoms that only new roles grant it, one role grants a share: with seven atoms and at
most three roles, one role grants three or more. A *demand* is a need with such atoms and that number. One role can
serve two demands only if each need reaches that many atoms of the other. Demands are *apart* if no role can serve two
of them.

If no need may be granted more than it needs, each of the demands apart takes its own role, and their number is a lower
bound. With fewer roles, assign each demand that does not fall back to an existing role to the new role that grants its
share. Of two demands assigned to the same role, at least one is granted atoms of the other that it does not need, and
pays for them. So of all demands of one role at most one pays nothing. With n demands and k roles at least n - k of them
pay, and the sum of the least prices is a lower bound on the excess.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rightsize.propose.optimize.biclique_kernel import bits, count_in, counted_at_least, large_bitset

_SIZES = (1, 4, 7, 10)
"""The numbers of atoms that are tried for a demand; atoms that the fewest needs reach come first."""
_MOST = 12_000
"""Maximum number of needs to look at; those with the rarest atoms come first."""


@dataclass(frozen=True, slots=True)
class Want:
    """A need in the form from which demands are made.

    Attributes:
        hard: The atoms that have to be granted, and that only a new role grants.
        reach: The atoms that a role for it may have without excess, including the hard ones.
        most: The maximum number of roles that it takes.
    """

    hard: int
    reach: int
    most: int


@dataclass(frozen=True, slots=True)
class ConflictDemand:
    """Atoms of a need, and the number of them that one of its new roles grants at least.

    Attributes:
        number: The position of the need.
        atoms: The atoms.
        least: The number of these atoms that one role grants at least.
    """

    number: int
    atoms: int
    least: int


def demands_apart(wants: Sequence[Want]) -> list[ConflictDemand]:
    """Return demands found greedily, at most one a need, such that no role without excess serves two of them."""
    holders = _holders(wants)
    counts = {atom: members.bit_count() for atom, members in holders.items()}
    rarest = {number: sorted(bits(one.hard), key=lambda atom: (counts[atom], atom)) for number, one in enumerate(wants)}
    looked_at = sorted((number for number in rarest if rarest[number]), key=lambda one: (counts[rarest[one][0]], one))
    asked: dict[int, tuple[int, ConflictDemand]] = {}
    for number in looked_at[:_MOST]:
        sizes = {_size(len(rarest[number]), size, wants[number].most) for size in _SIZES}
        own = [_demand(number, rarest[number][:size], wants[number].most) for size in sorted(sizes)]
        # Choose the demand that the fewest needs could share.
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
    """Return the number of atoms of a demand: a multiple of `most` plus 1, since more would not raise the share."""
    return (min(size, atoms) - 1) // most * most + 1


def _demand(number: int, atoms: Sequence[int], most: int) -> ConflictDemand:
    return ConflictDemand(number, sum(1 << atom for atom in atoms), -(-len(atoms) // most))


def _serves(demand: ConflictDemand, want: Want) -> bool:
    """Return whether a role that serves a demand can also serve a need: enough of its atoms are within reach."""
    return (demand.atoms & want.reach).bit_count() >= demand.least


def _holders(wants: Sequence[Want]) -> dict[int, int]:
    """Return the needs that reach each hard atom."""
    asked = 0
    for want in wants:
        asked |= want.hard
    found: dict[int, list[int]] = defaultdict(list)
    for number, want in enumerate(wants):
        for atom in bits(want.reach & asked):
            found[atom].append(number)
    return {atom: large_bitset(members) for atom, members in found.items()}


def _reaching(one: ConflictDemand, holders: dict[int, int]) -> int:
    """Return the needs that reach enough atoms of a demand, including its own need."""
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
    """Return for each demand the least price that it pays if it pays, by the proof in the module's docstring.

    Args:
        demands: Demands that are apart.
        wants: The needs, by the number of a demand.
        rates: The cost of one unit of weight for each need.
        alone: The least price of each demand that falls back to existing roles.
        price: The weight of an atom.
    """
    having: dict[int, list[int]] = defaultdict(list)
    for position, one in enumerate(demands):
        for atom in bits(one.atoms):
            having[atom].append(position)
    every = large_bitset(list(having))
    prices = {atom: price(atom) for atom in having}
    # The price for sharing with a demand of which a need reaches no atom: the two cheapest, as one may be its own.
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
    """Return the least weight of excess that a role which serves a demand grants to a need with the given reach."""
    lacking = sorted(prices[atom] for atom in bits(one.atoms & ~reach))
    return sum(lacking[: one.least - (one.atoms & reach).bit_count()])
