"""Compare choices of roles by four numbers: excess, new roles, assignments and changes, with optional weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from rightsize.model.errors import UsageError

TERMS = ("excess", "roles", "assignments", "change")
"""The four numbers, in the order in which they decide when no weights are given."""


@dataclass(frozen=True, slots=True)
class Cost:
    """The four numbers of one choice of roles.

    Attributes:
        excess: Weight of operations beyond the needs, times the resource groups and people that they reach. Operations
            that an existing role grants beyond a need within `--max-excess` cost nothing.
        roles: Number of new custom roles.
        assignments: Number of assignments that the plan makes.
        change: Number of assignments of roles that their holder does not have today.
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
    """The weight of each number in the weighted sum; without weights (`None`) the earlier number always decides."""

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
    """Return the sort key of a cost: the weighted sum if there are weights, then the four numbers in order."""
    numbers = tuple(float(getattr(cost, name)) for name in TERMS)
    return numbers if weights is None else (weights.weigh(cost), *numbers)


def read_weights(text: str) -> Weights:
    """Return the weights from a text like `excess=1,roles=500,assignments=20`; a term that is not named weighs 0.

    Raises:
        UsageError: The text is not such a list.
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
                f"`--weights {text}` is not a list of weights",
                hint=f"give some of {', '.join(f'{term}=NUMBER' for term in TERMS)}, separated by commas",
            )
        found[name] = value
    return Weights(**found)


def gap(cost: Mapping[str, float], bound: Mapping[str, float]) -> dict[str, float]:
    """Return the optimality gap of each number: (cost - bound) / cost; 0 means that the number is proved minimal."""
    return {name: round((cost[name] - bound[name]) / cost[name], 4) if cost[name] else 0.0 for name in cost}
