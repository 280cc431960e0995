"""The best set under a budget, compared with every set there is."""

from __future__ import annotations

import random
from itertools import combinations

import pytest

from rightsize.mining.programs import Goal, choose_under_budget


def itself(*items: str) -> dict[str, frozenset[str]]:
    """Return needs that only the thing of that name meets."""
    return {item: frozenset({item}) for item in items}


def covered(goals: list[Goal], chosen: frozenset[str], met: dict[str, frozenset[str]]) -> int:
    """Return the weight that a set covers."""
    return sum(weight for weight, ways in goals if any(all(met[need] & chosen for need in way) for way in ways))


def best_by_trying(goals: list[Goal], prices: dict[str, float], budget: float, met: dict[str, frozenset[str]]) -> int:
    sets = (frozenset(some) for size in range(len(prices) + 1) for some in combinations(prices, size))
    return max(covered(goals, one, met) for one in sets if sum(prices[item] for item in one) <= budget + 1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_no_other_set_covers_more_for_the_money(seed: int) -> None:
    """The set fits the budget, covers as much as any, and nothing in it could be left out."""
    draw = random.Random(seed)  # noqa: S311  an example, not a secret
    items = [f"i{number}" for number in range(7)]
    prices = {item: float(draw.randint(0, 9)) for item in items}
    goals = [
        (draw.randint(1, 10**9), tuple(frozenset(draw.sample(items, draw.randint(1, 3))) for _ in range(2)))
        for _ in range(12)
    ]
    budget = float(draw.randint(0, 25))
    met = itself(*items)
    chosen = choose_under_budget(goals, prices, budget, met)
    assert sum(prices[item] for item in chosen) <= budget
    found = covered(goals, frozenset(chosen), met)
    assert found == best_by_trying(goals, prices, budget, met)
    assert all(covered(goals, frozenset(chosen) - {item}, met) < found for item in chosen)


def test_overlapping_promises_count_once() -> None:
    """Two things that cover the same are worth one of them; the cheaper one is bought."""
    goals: list[Goal] = [(10, (frozenset("a"), frozenset("b"))), (3, (frozenset("c"),))]
    assert choose_under_budget(goals, {"a": 2.0, "b": 1.0, "c": 1.0}, 3.0, itself("a", "b", "c")) == ("b", "c")


def test_what_has_no_price_or_costs_too_much_is_not_chosen() -> None:
    goals: list[Goal] = [(10, (frozenset("a"),)), (3, (frozenset("c"),))]
    assert choose_under_budget(goals, {"c": 5.0}, 4.0, itself("a", "c")) == ()
    assert choose_under_budget(goals, {"c": 0.0}, 0.0, itself("a", "c")) == ("c",)
    assert choose_under_budget([], {}, 10.0, {}) == ()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_a_need_that_several_things_meet_is_met_by_the_best_of_them(seed: int) -> None:
    """As above, where each need of a way is met by any of some things."""
    draw = random.Random(seed)  # noqa: S311  an example, not a secret
    items = [f"i{number}" for number in range(7)]
    prices = {item: float(draw.choice([0, 0, draw.randint(1, 9)])) for item in items}
    met = {f"n{number}": frozenset(draw.sample(items, draw.randint(1, 3))) for number in range(6)}
    goals: list[Goal] = [
        (draw.randint(1, 10**6), tuple(frozenset(draw.sample(list(met), draw.randint(1, 3))) for _ in range(2)))
        for _ in range(10)
    ]
    budget = float(draw.randint(0, 15))
    chosen = frozenset(choose_under_budget(goals, prices, budget, met))
    found = covered(goals, chosen, met)
    assert found == best_by_trying(goals, prices, budget, met)
    assert sum(prices[item] for item in chosen) <= budget
    assert all(covered(goals, chosen - {item}, met) < found for item in chosen)
