"""Choose the things to buy under a budget that together cover the most weight; what several cover counts once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rightsize.propose.optimize.ilp import Rows, solve

_SCALE = 1e6
_LEAST = 1e-4
"""The price of the whole budget in the objective: of sets that cover as much, the cheaper one is chosen."""

Goal = tuple[int, tuple[frozenset[str], ...]]
"""A weight, and the ways to cover it: of one way everything is needed."""


def choose_under_budget(goals: Sequence[Goal], prices: Mapping[str, float], budget: float) -> tuple[str, ...]:
    """Return the things of the best set, sorted; a thing that adds nothing to the others is not in it.

    Args:
        goals: What may be covered.
        prices: The price of each thing, the best one first; what has no price here is not chosen.
        budget: The most that the set may cost.
    """
    affordable = sorted(item for item, price in prices.items() if price <= budget)
    known = set(affordable)
    possible = [(weight, [way for way in ways if way <= known]) for weight, ways in goals]
    possible = [(weight, ways) for weight, ways in possible if weight > 0 and ways]
    if not possible:
        return ()
    chosen = _solved(possible, affordable, prices, budget)
    return _without_idle(chosen, possible, prices)


def covered(goals: Sequence[Goal], chosen: frozenset[str]) -> int:
    """Return the weight that a set covers."""
    return sum(weight for weight, ways in goals if any(way <= chosen for way in ways))


def _solved(
    goals: Sequence[tuple[int, list[frozenset[str]]]], items: Sequence[str], prices: Mapping[str, float], budget: float
) -> frozenset[str]:
    """Return the set that a program finds: one 0/1 column an item, one column a way and one a goal."""
    place = {item: column for column, item in enumerate(items)}
    largest = max(weight for weight, _ in goals)
    costs = [_LEAST * prices[item] / budget if budget else 0.0 for item in items]
    rows = Rows()
    if budget:
        rows.add(((place[item], prices[item] / budget) for item in items if prices[item]), -math.inf, 1.0)
    continuous = []
    for weight, ways in goals:
        goal = len(costs)
        costs.append(-_SCALE * weight / largest)
        columns = range(goal + 1, goal + 1 + len(ways))
        costs.extend([0.0] * len(ways))
        continuous += [goal, *columns]
        rows.add([(goal, 1.0), *((column, -1.0) for column in columns)], -math.inf, 0.0)
        for column, way in zip(columns, ways, strict=True):
            for item in sorted(way):
                rows.add([(column, 1.0), (place[item], -1.0)], -math.inf, 0.0)
    values = solve(rows.program(costs, continuous)).values
    if values is None:
        return frozenset()
    return frozenset(item for item, column in place.items() if values[column] > 0.5)


def _without_idle(
    chosen: frozenset[str], goals: Sequence[tuple[int, list[frozenset[str]]]], prices: Mapping[str, float]
) -> tuple[str, ...]:
    """Return the set without what covers nothing more: the dearest such thing goes first, then the last one."""
    whole = [(weight, tuple(ways)) for weight, ways in goals]
    wanted = covered(whole, chosen)
    place = {item: number for number, item in enumerate(prices)}
    for item in sorted(chosen, key=lambda one: (-prices[one], -place[one])):
        if covered(whole, chosen - {item}) == wanted:
            chosen -= {item}
    return tuple(sorted(chosen))
