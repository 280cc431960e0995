"""Find the cheapest set of permissions that meets every need, by integer programming."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rightsize.propose.optimize.ilp import Rows, solve


def cheapest_cover(needs: Sequence[frozenset[str]], costs: Mapping[str, int], given: frozenset[str]) -> frozenset[str]:
    """Return the cheapest permissions that, together with `given`, contain one of each need; ties go by name.

    Args:
        needs: Non-empty sets; of each set one permission has to be held.
        costs: The cost of each permission, above zero.
        given: Permissions that are held in any case and cost nothing.
    """
    open_needs = _minimal([need for need in needs if not need & given])
    chosen = frozenset(one for need in open_needs if len(need) == 1 for one in need)
    left = [need for need in open_needs if not need & chosen]
    if not left:
        return chosen
    names = sorted(frozenset().union(*left))
    places = {name: place for place, name in enumerate(names)}
    # A tie is broken by the order of names: the sum of all these shares is below 1, the smallest difference in cost.
    share = 1.0 / (2 * len(names) * (len(names) + 1))
    scale = 1.0 / max(costs[name] for name in names) if max(costs[name] for name in names) > 1e6 else 1.0
    rows = Rows()
    for need in left:
        rows.add_sum((places[name] for name in sorted(need)), 1.0, math.inf)
    weighed = [(costs[name] + share * (place + 1)) * scale for name, place in places.items()]
    found = solve(rows, weighed, start=[1.0] * len(names))
    if found.values is None:
        return chosen | frozenset(names)
    return chosen | frozenset(name for name, value in zip(names, found.values, strict=True) if value)


def _minimal(needs: Sequence[frozenset[str]]) -> list[frozenset[str]]:
    """Return the needs without those that contain another need, which settles them."""
    kept: list[frozenset[str]] = []
    for need in sorted(set(needs), key=lambda need: (len(need), sorted(need))):
        if not any(other <= need for other in kept):
            kept.append(need)
    return kept
