"""Choose the things to buy under a budget that together cover the most weight; what several cover counts once."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from rightsize.propose.optimize.ilp import Rows, solve

_SCALE = 1e6
_LEAST = 1e-4
"""The price of the whole budget in the objective: of sets that cover as much, the cheaper one is chosen."""

Goal = tuple[int, tuple[frozenset[str], ...]]
"""A weight, and the ways to cover it: of one way every need has to be met."""
_OpenGoal = tuple[int, tuple[frozenset[frozenset[str]], ...]]
"""The same with the things that meet each need in its place."""


def choose_under_budget(
    goals: Sequence[Goal], prices: Mapping[str, float], budget: float, met: Mapping[str, frozenset[str]]
) -> tuple[str, ...]:
    """Return the things of the best set, sorted; a thing that adds nothing to the others is not in it.

    Args:
        goals: What may be covered.
        prices: The price of each thing, the best one first; what has no price here is not chosen.
        budget: The most that the set may cost.
        met: By need: the things of which each meets it.
    """
    affordable = frozenset(item for item, price in prices.items() if price <= budget)
    meets = {need: met[need] & affordable for _, ways in goals for way in ways for need in way}
    possible = [(weight, tuple(way for way in ways if all(meets[need] for need in way))) for weight, ways in goals]
    possible = [(weight, ways) for weight, ways in possible if weight > 0 and ways]
    if not possible:
        return ()
    # What costs nothing is taken first, so that the program has only what costs something.
    free = frozenset(item for item in affordable if not prices[item])
    chosen = free | _solved(_left(possible, meets, free), sorted(affordable - free), prices, budget)
    return _without_idle(chosen, [ways for _, ways in possible], meets, prices)


def _left(goals: Sequence[Goal], met: Mapping[str, frozenset[str]], free: frozenset[str]) -> list[_OpenGoal]:
    """Return the goals that what is free does not cover; their ways have the things that meet each other need."""
    found: dict[tuple[frozenset[frozenset[str]], ...], int] = defaultdict(int)
    for weight, ways in goals:
        rest = {frozenset(met[need] for need in way if met[need].isdisjoint(free)) for way in ways}
        if frozenset() not in rest:
            found[tuple(sorted(rest, key=lambda way: sorted(sorted(some) for some in way)))] += weight
    return [(weight, ways) for ways, weight in found.items()]


def _solved(
    goals: Sequence[_OpenGoal], items: Sequence[str], prices: Mapping[str, float], budget: float
) -> frozenset[str]:
    """Return the set that a program finds: one 0/1 column an item, one column a way and one a goal."""
    if not goals or not items:
        return frozenset()
    place = {item: column for column, item in enumerate(items)}
    largest = max(weight for weight, _ in goals)
    costs = [_LEAST * prices[item] / budget for item in items]
    rows = Rows()
    rows.add(((place[item], prices[item] / budget) for item in items), -math.inf, 1.0)
    continuous = []
    for weight, ways in goals:
        goal = len(costs)
        costs.append(-_SCALE * weight / largest)
        columns = range(goal + 1, goal + 1 + len(ways))
        costs.extend([0.0] * len(ways))
        continuous += [goal, *columns]
        rows.add([(goal, 1.0), *((column, -1.0) for column in columns)], -math.inf, 0.0)
        for column, way in zip(columns, ways, strict=True):
            for some in sorted(way, key=sorted):
                rows.add([(column, 1.0), *((place[item], -1.0) for item in sorted(some))], -math.inf, 0.0)
    values = solve(rows, costs, continuous=continuous).values
    if values is None:
        return frozenset()
    return frozenset(item for item, column in place.items() if values[column] > 0.5)


def _without_idle(
    chosen: frozenset[str],
    goals: Sequence[tuple[frozenset[str], ...]],
    met: Mapping[str, frozenset[str]],
    prices: Mapping[str, float],
) -> tuple[str, ...]:
    """Return the set without what covers nothing more: the dearest such thing goes first, then the last one."""

    def covers(things: frozenset[str], ways: tuple[frozenset[str], ...]) -> bool:
        return any(all(not met[need].isdisjoint(things) for need in way) for way in ways)

    of_item: dict[str, list[tuple[frozenset[str], ...]]] = defaultdict(list)
    for ways in goals:
        for item in {item for way in ways for need in way for item in met[need]} if covers(chosen, ways) else ():
            of_item[item].append(ways)
    place = {item: number for number, item in enumerate(prices)}
    for item in sorted(chosen, key=lambda one: (-prices[one], -place[one])):
        fewer = chosen - {item}
        if all(covers(fewer, ways) for ways in of_item[item]):
            chosen = fewer
    return tuple(sorted(chosen))
