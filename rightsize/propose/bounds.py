"""How little excess any choice with so many new roles may have: what is proved beside what was found.

The proof rests on *cells*: a class and an operation that no existing role grants it without excess, chosen so that no
role without excess grants two of them. A class has to take a new role that grants its cell, or pay for an existing one.
Classes that share this role pay for the cells of each other: one of them, the *first* of its group, and each other one
at least what they cost one another. No class pays for the same operation twice, so with fewer roles than cells that
adds up to a bound.
"""

from __future__ import annotations

import math
from array import array
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from rightsize.propose.atoms import Atoms
from rightsize.propose.classes import Case
from rightsize.propose.fallback import Fallbacks
from rightsize.propose.rows import independent_cells
from rightsize.propose.solver import Program, Rows, solve

_MOST = 1_000
"""So many cells are looked at, the heaviest."""
_EXACT = 60
"""With more cells than this no program is solved, and each pays as if its nearest were the first of its group."""


@dataclass(frozen=True, slots=True)
class ExcessBound:
    """What classes pay.

    Attributes:
        alone: What each pays at least without a new role for its cell.
        joined: What each pair (lower, higher) pays at least for sharing a role; a pair that may not is left out.
        nearest: What so many of them pay at least who are not the first of their group, none first.
    """

    alone: tuple[int, ...]
    joined: Mapping[tuple[int, int], int]
    nearest: tuple[int, ...]

    @property
    def size(self) -> int:
        """With as many new roles nothing is proved."""
        return len(self.alone)

    def with_roles(self, most: int) -> int:
        """Return the excess that no choice with at most so many new roles goes below."""
        left = len(self.alone) - most
        if left <= 0:
            return 0
        return self.nearest[left] if most else sum(self.alone)

    def proved(self, most: int) -> int:
        """Return a bound that is at least as high, and takes a solver; for a few points."""
        simple = self.with_roles(most)
        if not most or most >= len(self.alone) or len(self.alone) > _EXACT:
            return simple
        outcome = solve(self._program(most))
        return max(simple, math.ceil(outcome.bound) if math.isfinite(outcome.bound) else 0)

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


def bound_excess(cases: Sequence[Case], atoms: Atoms, weigh: Callable[[int], int], fallbacks: Fallbacks) -> ExcessBound:
    """Return what any choice of roles for these classes pays at least."""

    def price(atom: int) -> int:
        # Patterns overlap each other and operations, so nobody pays for them here.
        return weigh(1 << atom) if atom < atoms.width else 0

    by_domain: dict[str, list[Case]] = defaultdict(list)
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
            if len(cells) <= _EXACT:
                joined[low, high] = cost
    return ExcessBound(tuple(alone), joined, tuple(accumulate(sorted(nearest), initial=0)))
