"""What a choice of roles comes to, in the four numbers that it is judged by, and how they are weighed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from rightsize.model.errors import UsageError

TERMS = ("excess", "roles", "assignments", "change")
"""In the order in which they decide where no weights are given."""


@dataclass(frozen=True, slots=True)
class Cost:
    """The four numbers.

    Attributes:
        excess: Weight of operations beyond the needs, times the resource groups and people that they reach. What an
            existing role may grant beyond a need by `--max-excess` is free.
        roles: New custom roles.
        assignments: Assignments that are made.
        change: Assignments of roles that their holder does not have today.
    """

    excess: int
    roles: int
    assignments: int
    change: int

    def as_json(self) -> dict[str, int]:
        """Return them by name."""
        return {name: getattr(self, name) for name in TERMS}


@dataclass(frozen=True, slots=True)
class Weights:
    """What one unit of each number counts in their sum; `None` as a whole means that the earlier one always decides."""

    excess: float = 0.0
    roles: float = 0.0
    assignments: float = 0.0
    change: float = 0.0

    def weigh(self, cost: Cost) -> float:
        """Return the weighted sum."""
        return math.fsum(getattr(self, name) * getattr(cost, name) for name in TERMS)

    def as_json(self) -> dict[str, float]:
        """Return them by name."""
        return {name: getattr(self, name) for name in TERMS}


def rank(cost: Cost, weights: Weights | None) -> tuple[float, ...]:
    """Return what costs are compared by: the weighted sum where there are weights, then one number after the other."""
    numbers = tuple(float(getattr(cost, name)) for name in TERMS)
    return numbers if weights is None else (weights.weigh(cost), *numbers)


def read_weights(text: str) -> Weights:
    """Read `excess=1,roles=500,assignments=20`; a term that is not named weighs nothing.

    Raises:
        UsageError: It is no such list.
    """
    found: dict[str, float] = {}
    for item in text.split(","):
        name, equals, number = item.strip().partition("=")
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if name not in TERMS or name in found or not equals or not (0 <= value < math.inf):
            raise UsageError(
                f"`--weights {text}` is no list of weights",
                hint=f"give some of {', '.join(f'{term}=NUMBER' for term in TERMS)}, separated by commas",
            )
        found[name] = value
    return Weights(**found)


def gap(cost: Mapping[str, float], bound: Mapping[str, float]) -> dict[str, float]:
    """Return by how much each number may still be above the best, as a share of it; 0 is proved to be a best one."""
    return {name: round((cost[name] - bound[name]) / cost[name], 4) if cost[name] else 0.0 for name in cost}
