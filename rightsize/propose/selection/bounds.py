"""How little excess any choice with so many new roles may have: what is proved beside what was found.

The proof rests on *cells*: a class and an operation that no existing role grants it without excess, chosen so that no
role without excess grants two of them. A class has to take a new role that grants its cell, or pay for an existing one.
Classes that share this role pay for the cells of each other: one of them, the *first* of its group, and each other one
at least what they cost one another. No class pays for the same operation twice, so with fewer roles than cells that
adds up to a bound.

With few roles groups are large, and each class pays for the cells of all others in its group, not of the first alone:
see `_grouped`. With many roles there are fewer cells than roles, and `demands` prove more: a class takes few roles, so
one of them grants it several of its operations.
"""

from __future__ import annotations

import math
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from rightsize.propose.optimize.conflict_bound import Want, demands_apart, least_paid
from rightsize.propose.optimize.ilp import Program, Rows, solve
from rightsize.propose.optimize.rows import independent_cells
from rightsize.propose.selection.atoms import Atoms
from rightsize.propose.selection.equivalence import ClassCase
from rightsize.propose.selection.fallback import Fallbacks, hard_atoms

_MOST = 1_000
"""So many cells are looked at, the heaviest."""
_TURNS = 24
_ROUNDING = 1e-9
"""What sums of fractions may be off by."""
_EXACT = 60
"""With more cells than this no program is solved, and each pays as if its nearest were the first of its group."""


@dataclass(frozen=True, slots=True)
class ExcessBound:
    """What classes pay.

    Attributes:
        alone: What each pays at least without a new role for its cell.
        joined: What each pair (lower, higher) pays at least for sharing a role; a pair that may not is left out.
        nearest: What so many of them pay at least who are not the first of their group, none first.
        together: For each class the sum of what its cheapest one, two and so on pairs pay, none first.
        demands: What so many demands pay at least that pay anything, none first.
    """

    alone: tuple[int, ...]
    joined: Mapping[tuple[int, int], int]
    nearest: tuple[int, ...]
    together: tuple[tuple[int, ...], ...]
    demands: tuple[int, ...]

    @property
    def size(self) -> int:
        """With as many new roles nothing is proved."""
        return max(len(self.alone), len(self.demands) - 1)

    def with_roles(self, most: int) -> int:
        """Return the excess that no choice with at most so many new roles goes below."""
        if not most:
            return max(sum(self.alone), self.demands[-1])
        left = len(self.alone) - most, len(self.demands) - 1 - most
        return max(self.nearest[max(0, left[0])], self.demands[max(0, left[1])])

    def proved(self, most: int) -> int:
        """Return a bound that is at least as high, and takes longer; for a few points."""
        simple = self.with_roles(most)
        if not most or most >= len(self.alone):
            return simple
        grouped = max(simple, self._grouped(most))
        if len(self.alone) > _EXACT:
            return grouped
        outcome = solve(self._program(most))
        return max(grouped, math.ceil(outcome.bound) if math.isfinite(outcome.bound) else 0)

    def _grouped(self, most: int) -> int:
        """Return what classes pay at least where those of a group all pay for each other.

        A class in a group of g is in g - 1 pairs, which pay at least what its g - 1 cheapest pairs do, and half of that
        is counted for it, since each pair has two. Groups are as many as 1/g summed over the classes, at most `most`.
        For any price on a group, the least of pairs and price for each class by itself, less the price of all groups
        that there may be, is no more than the least of all (weak duality). The best price is searched.
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
        """Choose at most so many firsts; every other class joins one of them, or pays alone."""
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
    """Return what a class costs at least in the group that is best for it: its pairs, and its share of the price."""
    # A larger group costs ever more and spares ever less, so the first that does not pay ends it.
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
    """Return what any choice of roles for these classes pays at least."""

    def price(atom: int) -> int:
        # Patterns overlap each other and operations, so nobody pays for them here.
        return weigh(1 << atom) if atom < atoms.width else 0

    by_domain: dict[str, list[ClassCase]] = defaultdict(list)
    for case in cases:
        by_domain[case.whole.domain].append(case)
    found = [
        (members[number], atom, price(atom))
        for _, members in sorted(by_domain.items())
        for number, atom in independent_cells([case.row for case in members], price)
    ]
    cells = sorted(found, key=lambda cell: -cell[0].whole.exposure * cell[2])[:_MOST]
    alone = [case.whole.exposure * fallbacks.bound(case, 1 << atom) for case, atom, _ in cells]
    joined: dict[tuple[int, int], int] = {}
    pairs: list[list[int]] = [[] for _ in cells]
    nearest = list(alone)
    for high, (one, atom, own) in enumerate(cells):
        for low, (other, other_atom, theirs) in enumerate(cells[:high]):
            may_share = one.whole.domain == other.whole.domain
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
        tuple(accumulate(sorted(_of_demands(by_domain.values(), atoms, price, fallbacks)), initial=0)),
    )


def _of_demands(
    domains: Iterable[Sequence[ClassCase]], atoms: Atoms, price: Callable[[int], int], fallbacks: Fallbacks
) -> Iterator[int]:
    """Yield what each of the demands pays at least that pays anything; those of two domains share no role."""
    operations = (1 << atoms.width) - 1
    for members in domains:
        wants = [
            Want(hard_atoms(case) & operations & case.needed, case.needed, case.whole.most_roles) for case in members
        ]
        found = demands_apart(wants)
        alone = [members[one.number].whole.exposure * fallbacks.bound(members[one.number], one.atoms) for one in found]
        yield from least_paid(found, wants, [case.whole.exposure for case in members], alone, price)
