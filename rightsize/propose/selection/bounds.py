"""Prove a lower bound on the excess of every choice of roles with a given number of new roles.

The proof rests on *cells*. A cell is a class and an operation that no existing role grants the class without excess.
Cells are chosen so that no role without excess grants two of them. A class has to take a new role that grants its cell,
or pay for an existing one. The classes that share a new role form a group and pay for each other's cells: each class
but the *first* of the group pays at least the price of sharing with the first. No class pays for the same operation
twice, so with fewer roles than cells these prices add up to a bound.

With few roles, groups are large, and each class pays for the cells of all others in its group, not only of the first:
see `_grouped`. With many roles, there are fewer cells than roles, and `demands` prove more: a class takes few roles, so
one of them grants it several of its operations.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from rightsize.propose.optimize.conflict_bound import Want, demands_apart, least_paid
from rightsize.propose.optimize.ilp import Program, Rows, solve
from rightsize.propose.optimize.rows import independent_cells
from rightsize.propose.selection.atoms import Atoms
from rightsize.propose.selection.equivalence import ClassCase, share_domain
from rightsize.propose.selection.fallback import Fallbacks, hard_atoms

_MOST = 1_000
"""Maximum number of cells in the proof; the heaviest are taken."""
_TURNS = 24
_ROUNDING = 1e-9
"""The relative rounding error of sums of fractions."""
_EXACT = 60
"""With more cells than this, no program is solved, and each class pays as if its nearest were first of its group."""


@dataclass(frozen=True, slots=True)
class ExcessBound:
    """The least prices that classes pay, from which bounds follow.

    Attributes:
        alone: The least price of each class without a new role for its cell.
        joined: The least price of each pair (lower, higher) for sharing a role; pairs that may not share are left out.
        nearest: At position n, the least total price of n classes that are not the first of their group.
        together: For each class, at position n the least total price of n pairs that it is in.
        demands: At position n, the least total price of n demands that pay.
    """

    alone: tuple[int, ...]
    joined: Mapping[tuple[int, int], int]
    nearest: tuple[int, ...]
    together: tuple[tuple[int, ...], ...]
    demands: tuple[int, ...]

    @property
    def size(self) -> int:
        """The number of new roles from which on nothing is proved."""
        return max(len(self.alone), len(self.demands) - 1)

    def with_roles(self, most: int) -> int:
        """Return a lower bound on the excess of every choice with at most `most` new roles."""
        if not most:
            return max(sum(self.alone), self.demands[-1])
        left = len(self.alone) - most, len(self.demands) - 1 - most
        return max(self.nearest[max(0, left[0])], self.demands[max(0, left[1])])

    def proved(self, most: int) -> int:
        """Return a bound at least as high as `with_roles`; it is slower, so use it for few points."""
        simple = self.with_roles(most)
        if not most or most >= len(self.alone):
            return simple
        grouped = max(simple, self._grouped(most))
        if len(self.alone) > _EXACT:
            return grouped
        outcome = solve(self._program(most))
        return max(grouped, math.ceil(outcome.bound) if math.isfinite(outcome.bound) else 0)

    def _grouped(self, most: int) -> int:
        """Return a lower bound where all classes of a group pay for each other.

        A class in a group of g is in g - 1 pairs. They pay at least as much as its g - 1 cheapest pairs. Half of that
        counts for the class, since each pair has two classes. The number of groups is the sum of 1/g over the classes,
        and at most `most`. Put any price on a group. For each class take the least sum of its pairs and its share of
        the price, add these up, and subtract the price of `most` groups. The result is a lower bound (weak duality).
        The method searches for the best price.
        """

        def value(price: float) -> float:
            paid = (
                min(2.0 * own, _best_group(sums, price)) for own, sums in zip(self.alone, self.together, strict=True)
            )
            return (sum(paid) - price * most) / 2

        low, high = 0.0, 2.0 * sum(self.alone) / most
        best = 0.0
        for _ in range(_TURNS):
            first, second = low + (high - low) / 3, high - (high - low) / 3
            one, other = value(first), value(second)
            best = max(best, one, other)
            low, high = (first, high) if one < other else (low, second)
        return math.floor(best * (1 - _ROUNDING))

    def _program(self, most: int) -> Program:
        """Return the program that chooses at most `most` firsts; each other class joins one of them or pays alone."""
        size = len(self.alone)
        costs = array("d", [0.0] * size + [float(price) for price in self.alone])
        choices: list[list[int]] = [[number, size + number] for number in range(size)]
        links: list[tuple[int, int]] = []
        for pair, price in sorted(self.joined.items()):
            for own, first in (pair, pair[::-1]):
                choices[own].append(len(costs))
                links.append((first, len(costs)))
                costs.append(float(price))
        rows = Rows()
        for own_choices in choices:
            rows.add_sum(own_choices, 1.0, math.inf)
        for first, column in links:
            rows.add([(first, 1.0), (column, -1.0)], 0.0, math.inf)
        rows.add_sum(range(size), 0.0, float(most))
        # Fractions only lower the bound, and a linear program takes no search.
        return rows.program(costs, continuous=range(len(costs)))


def _best_group(sums: Sequence[int], price: float) -> float:
    """Return the least cost of a class over all group sizes: its pairs, and its share of the group's price."""
    # Each further member costs more and saves less, so the search ends at the first size that does not pay off.
    low, high = 1, len(sums)
    while low < high:
        size = (low + high) // 2
        if sums[size] - sums[size - 1] >= price / (size * (size + 1)):
            high = size
        else:
            low = size + 1
    return sums[low - 1] + price / low


def bound_excess(
    cases: Sequence[ClassCase], atoms: Atoms, weigh: Callable[[int], int], fallbacks: Fallbacks
) -> ExcessBound:
    """Return the prices from which lower bounds on the excess of any choice for these classes follow."""

    def price(atom: int) -> int:
        # Patterns overlap with each other and with operations, so they have no price here.
        return weigh(1 << atom) if atom < atoms.width else 0

    found = [
        (cases[number], atom, price(atom)) for number, atom in independent_cells([case.row for case in cases], price)
    ]
    cells = sorted(found, key=lambda cell: -cell[0].whole.exposure * cell[2])[:_MOST]
    alone = [case.whole.exposure * fallbacks.bound(case, 1 << atom) for case, atom, _ in cells]
    joined: dict[tuple[int, int], int] = {}
    pairs: list[list[int]] = [[] for _ in cells]
    nearest = list(alone)
    for high, (one, atom, own) in enumerate(cells):
        for low, (other, other_atom, theirs) in enumerate(cells[:high]):
            may_share = share_domain(one.whole.domain, other.whole.domain)
            if not may_share or not one.within >> other_atom & 1 or not other.within >> atom & 1:
                continue
            cost = 0 if one.needed >> other_atom & 1 else one.whole.exposure * theirs
            cost += 0 if other.needed >> atom & 1 else other.whole.exposure * own
            nearest[low] = min(nearest[low], cost)
            nearest[high] = min(nearest[high], cost)
            pairs[low].append(cost)
            pairs[high].append(cost)
            if len(cells) <= _EXACT:
                joined[low, high] = cost
    return ExcessBound(
        tuple(alone),
        joined,
        tuple(accumulate(sorted(nearest), initial=0)),
        tuple(tuple(accumulate(sorted(costs), initial=0)) for costs in pairs),
        tuple(accumulate(sorted(_of_demands(cases, atoms, price, fallbacks)), initial=0)),
    )


def _of_demands(
    cases: Sequence[ClassCase], atoms: Atoms, price: Callable[[int], int], fallbacks: Fallbacks
) -> Iterator[int]:
    """Yield the least price of each demand if it pays."""
    operations = (1 << atoms.width) - 1
    wants = [Want(hard_atoms(case) & operations & case.needed, case.needed, case.whole.most_roles) for case in cases]
    found = demands_apart(wants)
    alone = [cases[one.number].whole.exposure * fallbacks.bound(cases[one.number], one.atoms) for one in found]
    yield from least_paid(found, wants, [case.whole.exposure for case in cases], alone, price)
