"""Report the quality of a choice of roles: its four numbers, their proved lower bounds, and the curve of excess.

A bound holds for every choice that the model allows: existing roles, new roles inside today's grant, and at most
`equivalence.MOST_ROLES` roles a unit. If the numbers are compared one after the other, the bound of a later number
holds for choices that are as good in the earlier ones.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from rightsize.propose.core.objective import TERMS, Cost, Weights, gap
from rightsize.propose.optimize.biclique_kernel import bits
from rightsize.propose.optimize.rows import smallest_cover
from rightsize.propose.selection.bounds import ExcessBound
from rightsize.propose.selection.equivalence import MOST_ROLES, ClassCase
from rightsize.propose.selection.fallback import Fallbacks, hard_atoms
from rightsize.propose.selection.role_state import Point

PROVED_POINTS = 12
CURVE_POINTS = 200
"""A curve with more points than this is thinned out; about `PROVED_POINTS` of them get the best proof."""
_LOOKED_AT = 8


def cost_of(point: Point) -> Cost:
    """Return the four numbers of a point."""
    return Cost(point.excess, point.custom_roles, point.assignments, point.change)


@dataclass(slots=True)
class Judge:
    """A reporter on the quality of plans for the same classes.

    Attributes:
        cases: The classes that new roles may serve.
        blocked: The classes that only existing roles may serve.
        forced: The number of units that may take only one given role.
        excess: The bounds on the excess.
        fewest: The proved lower bound on the number of new roles without excess.
        fallbacks: The existing roles that classes take without a new role.
    """

    cases: Sequence[ClassCase]
    blocked: Sequence[ClassCase]
    forced: int
    excess: ExcessBound
    fewest: int
    fallbacks: Fallbacks
    _always: Cost = field(init=False)
    _always_bound: int = field(init=False)

    def __post_init__(self) -> None:
        found = [(case, self.fallbacks.of(case)) for case in self.blocked]
        self._always = Cost(
            excess=sum(case.whole.exposure * fallback.weight for case, fallback in found),
            roles=0,
            assignments=self.forced + sum(len(case.whole.units) * len(fallback.roles) for case, fallback in found),
            change=sum(
                len(case.whole.units) * sum(one.kind != "own" for one in fallback.roles) for case, fallback in found
            ),
        )
        self._always_bound = sum(case.whole.exposure * self._least(case) for case in self.blocked)

    def judge(self, point: Point, weights: Weights | None) -> dict[str, Any]:
        """Return the report on the choice for `plan.json`: values, lower bounds and gaps."""
        cost, bound = self._whole(cost_of(point)), self._bound(point, weights)
        found: dict[str, Any] = {
            "value": cost.as_json(),
            "lower_bound": bound.as_json(),
            "gap": gap(cost.as_json(), bound.as_json()),
            "classes": len(self.cases) + len(self.blocked),
            "most_roles_a_unit": MOST_ROLES,
        }
        if weights is not None:
            value = weights.weigh(cost)
            least = min(
                weights.weigh(self._bound_with(number, self._always_bound + self.excess.with_roles(number)))
                for number in range(self.excess.size + 1)
            )
            found["weighted"] = {"value": value, "lower_bound": least} | {
                "gap": round((value - least) / value, 4) if value else 0.0
            }
        return found

    def draw(self, points: Sequence[Point], chosen: Point) -> tuple[dict[str, Any], ...]:
        """Return the points of the curve, most roles first, including the chosen one."""
        best: dict[int, Point] = {}
        for point in (*points, chosen):
            best.setdefault(point.custom_roles, point)
        numbers = sorted(best, reverse=True)
        shown = _spread(numbers, CURVE_POINTS) | {chosen.custom_roles}
        proved = _spread(numbers, PROVED_POINTS) | {chosen.custom_roles}
        found, bound = [], 0
        for number in sorted(shown | proved, reverse=True):
            # What is proved for some number of roles holds for fewer.
            bound = max(bound, self.excess.proved(number) if number in proved else self.excess.with_roles(number))
            found.append(self._point_json(best[number], bound))
        return tuple(found)

    def _point_json(self, point: Point, bound: int) -> dict[str, Any]:
        cost = self._whole(cost_of(point))
        return {
            "custom_roles": cost.roles,
            "excess": cost.excess,
            "lower_bound": self._always_bound + bound,
            "assignments": cost.assignments,
        }

    def _whole(self, cost: Cost) -> Cost:
        """Return a cost plus the cost that is the same in every plan."""
        always = self._always
        return Cost(*(getattr(cost, name) + getattr(always, name) for name in TERMS))

    def _bound(self, point: Point, weights: Weights | None) -> Cost:
        if weights is None and not point.excess:
            least = sum(self._least_roles(case) * len(case.whole.units) for case in self.cases)
            change = sum(self._least_new(case) * len(case.whole.units) for case in self.cases)
            fewest = max(self.fewest, self._fewest_with(0))
            return Cost(self._always_bound, fewest, self._always_made + least, change)
        if weights is not None:
            return self._bound_with(0, self._always_bound)
        fewest = self._fewest_with(point.excess)
        return self._bound_with(fewest, self._always_bound + self.excess.proved(point.custom_roles))

    def _fewest_with(self, excess: int) -> int:
        """Return the proved lower bound on the number of new roles with at most this excess."""
        return bisect_left(range(self.excess.size), True, key=lambda n: self.excess.proved(n) <= excess)

    def _bound_with(self, roles: int, excess: int) -> Cost:
        """Return the bound for choices with excess: one assignment a unit, unless today's assignments may stay."""
        made = sum(len(case.whole.units) for case in self.cases if self.fallbacks.of(case).roles)
        return Cost(excess, roles, self._always_made + made, 0)

    @property
    def _always_made(self) -> int:
        return self.forced + sum(len(case.whole.units) for case in self.blocked if self.fallbacks.of(case).roles)

    def _least_roles(self, case: ClassCase) -> int:
        """Return the least number of roles that a unit takes if nothing may be granted beyond its need."""
        columns = [case.allowed, *(one.atoms for one in case.existing)]
        return len(smallest_cover(case.atoms, columns, [0] * len(columns), MOST_ROLES) or (0,))

    def _least_new(self, case: ClassCase) -> int:
        """Return the least number of roles that a unit takes and its holder does not have today, without excess."""
        left = case.atoms
        for one in case.existing:
            left &= ~one.atoms if one.kind == "own" else -1
        columns = [case.allowed, *(one.atoms for one in case.existing if one.kind != "own")]
        return len(smallest_cover(left, columns, [0] * len(columns), MOST_ROLES) or ()) if left else 0

    def _least(self, case: ClassCase) -> int:
        atoms = islice(bits(hard_atoms(case)), _LOOKED_AT)
        return max((self.fallbacks.bound(case, 1 << atom) for atom in atoms), default=0)


def _spread(numbers: Sequence[int], most: int) -> set[int]:
    """Return at most about `most` of the numbers, evenly spread, with the first and the last."""
    step = max(1.0, (len(numbers) - 1) / (most - 1)) if len(numbers) > 1 else 1.0
    return {numbers[round(step * turn)] for turn in range(most) if round(step * turn) < len(numbers)} | {numbers[-1]}
