"""Compute the excess and the risk of granted access from weighted operations and the reach of scopes.

Both numbers count *cells*: one operation at one place for one person. A group's assignment has the cells of all its
members. The reach of a scope is the number of known resource groups at or below it. So the same role at one group of
twenty has a twentieth of the cells. `excess` is the weight of the cells that were not used. `risk` is the weight of the
cells whose operations belong to a class of risk, used or not. The classes in `rules` give the weights, so both numbers
are comparable from plan to plan.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from rightsize.analyze.columns import ROOT, ScopeTree, place_of
from rightsize.propose.core.bitsets import OperationIndex, union
from rightsize.rbac.text import Folded
from rightsize.rules.operations import risk_weights


@dataclass(frozen=True, slots=True)
class Scale:
    """The weights of operations.

    Attributes:
        classes: (weight, the operations with this weight).
        risky: The operations that belong to a class of risk.
    """

    classes: tuple[tuple[int, int], ...]
    risky: int

    def weigh(self, mask: int) -> int:
        """Return the total weight of a set of operations."""
        total = 0
        for weight, members in self.classes:
            if part := mask & members:
                total += weight * part.bit_count()
        return total


@dataclass(slots=True)
class Reach:
    """The number of resource groups at or below each folded scope."""

    groups: Counter[str]
    tree: ScopeTree
    _high: dict[str, int] = field(default_factory=dict)

    def of(self, place: str) -> int:
        """Return the reach of a folded scope: 1 at resource groups and resources, at least 1 above."""
        if place.startswith("/subscriptions/"):
            return max(1, self.groups[place]) if place.count("/") == 2 else 1
        if place not in self._high:
            _, below = self.tree.below(place)
            self._high[place] = max(1, sum(self.groups[subscription] for subscription in below))
        return self._high[place]


def read_scale(operations: pl.DataFrame, index: OperationIndex) -> Scale:
    """Build the scale from the weights and risks of a `Tenant`'s operations."""
    rows = operations.select("name", "weight", "risk").iter_rows()
    described: dict[Folded, tuple[int, str | None]] = {name: (weight, risk) for name, weight, risk in rows}
    unlisted = risk_weights()["change"]
    by_weight: dict[int, list[int]] = defaultdict(list)
    risky = []
    for bit, (_, operation) in enumerate(index.keys):
        weight, risk = described.get(operation, (unlisted, None))
        by_weight[weight].append(bit)
        if risk is not None:
            risky.append(bit)
    classes = tuple((weight, index.mask_of_bits(bits)) for weight, bits in sorted(by_weight.items()))
    return Scale(classes, index.mask_of_bits(risky))


def read_reach(scopes: pl.DataFrame, tree: ScopeTree) -> Reach:
    """Build the reach from the resource groups of each subscription in the table `scopes`."""
    groups = scopes.filter(pl.col("kind") == "resource_group").select(place=place_of(pl.col("scope"))).unique()
    return Reach(Counter("/".join(place.split("/")[:3]) for place in groups["place"]), tree)


def cells(granted: Mapping[Folded, int], scale: Scale, reach: Reach) -> int:
    """Return the weighted number of cells granted to one person; `granted` has operations by folded scope."""
    return sum(scale.weigh(mask) * reach.of(place) for place, mask in without_nested(granted, reach.tree).items())


def excess(granted: Mapping[Folded, int], used: Mapping[Folded, int], scale: Scale, reach: Reach) -> float:
    """Return the weight of the cells that one person was granted and did not use.

    Args:
        granted: Operations by the folded scope where they are granted.
        used: Operations by the folded scope where their use counts.
        scale: The weights.
        reach: The reach of scopes.
    """
    return float(max(0, cells(granted, scale, reach) - sum(scale.weigh(mask) for mask in used.values())))


def risky(granted: Mapping[Folded, int], scale: Scale) -> dict[Folded, int]:
    """Return only the granted operations that belong to a class of risk, by folded scope."""
    return {place: mask & scale.risky for place, mask in granted.items()}


def without_nested(granted: Mapping[Folded, int], tree: ScopeTree) -> dict[Folded, int]:
    """Return granted operations without those that a scope above grants too, so that no cell counts twice."""
    return {
        place: mask
        & ~union(other for above, other in granted.items() if place != above and _is_above(above, place, tree))
        for place, mask in sorted(granted.items())
    }


def _is_above(above: str, place: str, tree: ScopeTree) -> bool:
    if above == ROOT or above.startswith("/subscriptions/"):
        return place.startswith(above.removesuffix("/") + "/")
    groups, subscriptions = tree.below(above)
    return place in groups or "/".join(place.split("/")[:3]) in subscriptions
