"""Tell whether a wider scope would let a holder read the secrets of more resources than today's listing shows it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from rightsize.analyze.resources import kind_of, resource_of
from rightsize.analyze.text import place_of
from rightsize.propose.core.bitsets import OperationIndex
from rightsize.propose.needs.touched_types import masks_by_type
from rightsize.rbac.text import Folded


@dataclass(slots=True)
class SecretPlaces:
    """The resources of which something reads a secret.

    Attributes:
        secrets: The operations that read secrets, by the folded type of the resource.
        resources: The folded scopes of the listed resources of each of these types, sorted.
        every: All operations that read secrets.
    """

    secrets: Mapping[str, int] = field(default_factory=dict)
    resources: Mapping[str, Sequence[str]] = field(default_factory=dict)
    every: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        for mask in self.secrets.values():
            self.every |= mask

    @classmethod
    def of(cls, resources: pl.DataFrame, index: OperationIndex, secrets: int) -> SecretPlaces:
        """Return the places of a tenant.

        Args:
            resources: Column `scope` of the listed resources.
            index: The operations.
            secrets: The operations that read secrets.
        """
        return cls.listed(resources, {kind: mask & secrets for kind, mask in masks_by_type(index).items()})

    @classmethod
    def listed(cls, resources: pl.DataFrame, secrets: Mapping[str, int]) -> SecretPlaces:
        """Return the places of the resources of which an operation reads a secret; the arguments are those of `of`."""
        secrets = {kind: mask for kind, mask in secrets.items() if mask}
        places = pl.DataFrame({"place": place_of(resources["scope"])}).select(scope=resource_of("place"))
        places = places.with_columns(kind=kind_of("scope")).filter(pl.col("kind").is_in(list(secrets))).unique()
        return cls(secrets, dict(places.group_by("kind").agg(pl.col("scope").sort()).iter_rows()))

    def reads_more(self, operations: int, place: Folded, wider: Folded) -> bool:
        """Return whether operations read more secrets at a wider scope than at a place.

        So it is if a resource of the type is listed there and not at the place, if none is listed at the place (then
        nobody knows what else is there), or if the wider scope is above subscriptions.
        """
        kinds = [kind for kind, mask in self.secrets.items() if mask & operations]
        if kinds and not wider.startswith("/subscriptions/"):
            return True
        numbers = ((_number(self.resources.get(kind, ()), one) for one in (place, wider)) for kind in kinds)
        return any(not here or there > here for here, there in numbers)


def _number(scopes: Sequence[str], place: str) -> int:
    """Return the number of sorted scopes at a place or below it."""
    below = bisect_left(scopes, f"{place}0") - bisect_left(scopes, f"{place}/")
    at = bisect_left(scopes, place)
    return below + (at < len(scopes) and scopes[at] == place)
