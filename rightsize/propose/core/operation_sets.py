"""Represent sets of operations as integers, where bit i is the i-th operation of the catalogue, and weigh them.

A plan compares thousands of roles and needs. On integers of a few kilobytes, containment, difference and size are
single fast steps.

The excess and the risk of granted access count *cells*: one operation at one place for one person. A group's assignment
has the cells of all its members. The reach of a scope is the number of known resource groups at or below it. So the
same role at one group of twenty has a twentieth of the cells. `excess` is the weight of the cells that were not used.
`risk` is the weight of the cells whose operations belong to a class of risk, used or not. The classes in `rules` give
the weights, so both numbers are comparable from plan to plan.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from rightsize.analyze.inputs import ROOT, ScopeTree, place_of
from rightsize.mining.bitsets import bits_of, mask_of, union
from rightsize.model.nouns import PermissionBlock
from rightsize.model.text import Folded, fold, is_read
from rightsize.rbac.expand import Catalogue, doubtful_positions, granted_positions
from rightsize.rbac.permissions import Reading, read_permissions
from rightsize.rules.tables import risk_weights

OperationKey = tuple[str, str]
"""(plane, operation in ARM's spelling)."""
FoldedKey = tuple[str, Folded]
"""(plane, folded operation)."""


class Interner(dict[int, int]):
    """An interner of equal bitmasks: a mask takes kilobytes, and thousands of needs and classes have equal ones."""

    def __missing__(self, mask: int) -> int:
        """Store a mask that is seen for the first time, and return it for all equal masks later."""
        return self.setdefault(mask, mask)


@dataclass(frozen=True, slots=True)
class OperationIndex:
    """An index of the operations in a fixed order: by plane, then by folded name.

    Attributes:
        names: (plane, operation in ARM's spelling), one for each bit.
        keys: (plane, folded operation), one for each bit.
        bits: (plane, folded operation) to its bit.
        control: All operations of the control plane.
        reads: The operations of the control plane that end in `/read`.
        listed: Operations that the catalogue lists; only roles name the others.
        providers: Folded names of the catalogue's resource providers.
        catalogue: The names of all planes, at the positions of their bits.
    """

    names: tuple[OperationKey, ...]
    keys: tuple[FoldedKey, ...]
    bits: dict[FoldedKey, int]
    control: int
    reads: int
    listed: int
    providers: frozenset[str]
    catalogue: Catalogue

    def mask(self, keys: Iterable[FoldedKey]) -> int:
        """Return the set of the given (plane, folded operation) that this index has."""
        return mask_of(bit for key in keys if (bit := self.bits.get(key)) is not None)

    def frame(self) -> pl.DataFrame:
        """Return a frame `(plane, name, bit)` with folded names, for joins."""
        planes, names = zip(*self.bits, strict=True) if self.bits else ((), ())
        columns = {"plane": planes, "name": names, "bit": list(self.bits.values())}
        return pl.DataFrame(columns, schema={"plane": pl.String, "name": pl.String, "bit": pl.Int64})

    def bit(self, plane: str, operation: Folded) -> int | None:
        """Return the bit of a folded operation, or None if neither the catalogue nor a role names it on that plane."""
        return self.bits.get((plane, operation))

    def lists(self, plane: str, operation: Folded) -> bool:
        """Return whether the catalogue lists a folded operation on that plane."""
        bit = self.bit(plane, operation)
        return bit is not None and bool(self.listed >> bit & 1)

    def granted_by(self, blocks: Sequence[PermissionBlock], reading: Reading = Reading.MOST) -> int:
        """Return the operations that permission blocks grant without a condition, by the given reading."""
        permissions = read_permissions(blocks)
        return self._of_planes(lambda plane: granted_positions(permissions, plane, self.catalogue, reading)[0])

    def doubtful_of(self, blocks: Sequence[PermissionBlock]) -> int:
        """Return the operations that blocks grant only by the reading `MOST`, or by `LEAST` under a condition."""
        permissions = read_permissions(blocks)
        return self._of_planes(lambda plane: doubtful_positions(permissions, plane, self.catalogue))

    def _of_planes(self, positions: Callable[[str], Iterable[int]]) -> int:
        control, data = mask_of(positions("control")), mask_of(positions("data"))
        return control & self.control | data & ~self.control

    def members(self, mask: int) -> Iterator[OperationKey]:
        """Yield the (plane, operation) of a set, in the order of the index."""
        for bit in bits_of(mask):
            yield self.names[bit]

    def folded_members(self, mask: int) -> Iterator[FoldedKey]:
        """Yield the (plane, folded operation) of a set, in the order of the index."""
        for bit in bits_of(mask):
            yield self.keys[bit]


def index_operations(operations: pl.DataFrame, role_operations: pl.DataFrame) -> OperationIndex:
    """Build the index: number every operation on each plane where a role may grant it.

    Args:
        operations: The operations of a `Tenant`: the catalogue, and operations that only roles name.
        role_operations: The table of that name; it gives the plane of operations for which no other source does.
    """
    known = pl.concat(
        [
            operations.select("plane", "operation", "in_catalogue"),
            role_operations.select("plane", "operation", in_catalogue=pl.lit(True)),
        ]
    ).unique()
    spelling: dict[FoldedKey, str] = {}
    listed: set[FoldedKey] = set()
    for plane, operation, in_catalogue in known.iter_rows():
        key = (plane, fold(operation))
        spelling[key] = min(operation, spelling.get(key, operation))
        if in_catalogue:
            listed.add(key)
    keys = sorted(spelling)
    control = [bit for bit, key in enumerate(keys) if key[0] == "control"]
    return OperationIndex(
        names=tuple((key[0], spelling[key]) for key in keys),
        keys=tuple(keys),
        bits={key: bit for bit, key in enumerate(keys)},
        control=mask_of(control),
        reads=mask_of(bit for bit in control if is_read(keys[bit][1])),
        listed=mask_of(bit for bit, key in enumerate(keys) if key in listed),
        providers=frozenset(key[1].split("/", 1)[0] for key in listed),
        catalogue=Catalogue([key[1] for key in keys]),
    )


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
    classes = tuple((weight, mask_of(bits)) for weight, bits in sorted(by_weight.items()))
    return Scale(classes, mask_of(risky))


def read_reach(scopes: pl.DataFrame, tree: ScopeTree) -> Reach:
    """Build the reach from the resource groups of each subscription in the table `scopes`."""
    groups = scopes.filter(pl.col("kind") == "resource_group").select(place=place_of(pl.col("scope"))).unique()
    return Reach(Counter("/".join(place.split("/")[:3]) for place in groups["place"]), tree)


def cells(granted: Mapping[Folded, int], scale: Scale, reach: Reach) -> int:
    """Return the weighted number of cells granted to one person; `granted` has operations by folded scope."""
    return sum(scale.weigh(mask) * reach.of(place) for place, mask in without_nested(granted, reach.tree).items())


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
