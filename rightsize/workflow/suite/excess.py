"""Weigh the excess of a suite tenant: live on types of resources that exist there, latent on all others.

An operation of a type is weighed once for each resource of the type that an assignment reaches. An operation that
applies everywhere (role assignments, deployments, support), and one on a type that does not exist within reach, are
weighed once for each resource group. What only eligible assignments give counts a quarter. Needs, logged or not, are no
excess.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass

from rightsize.demo.suite.model import SuiteNeed, SuiteTenant
from rightsize.mining.bitsets import mask_of
from rightsize.model.nouns import AssignmentState
from rightsize.model.text import fold, is_read
from rightsize.propose.core.operation_sets import OperationIndex, Scale
from rightsize.propose.selection.worth import ELIGIBLE_WEIGHT
from rightsize.rules.resource_types import is_extension

_ABSENT, _EVERYWHERE = "absent", "everywhere"
_BEYOND_RESOURCES = ("microsoft.resources/", "microsoft.support/", "microsoft.authorization/")
"""Providers whose objects exist in every subscription."""


@dataclass(frozen=True, slots=True)
class Held:
    """The operations that an assignment gives, at a folded scope."""

    operations: int
    scope: str
    state: AssignmentState


@dataclass(frozen=True, slots=True)
class Weight:
    """Live and latent weight of access, which are never added up, and the part of each that only reads."""

    live: float = 0.0
    latent: float = 0.0
    live_reads: float = 0.0
    latent_reads: float = 0.0

    def __add__(self, other: Weight) -> Weight:
        return Weight(*(one + two for one, two in zip(astuple(self), astuple(other), strict=True)))

    def __sub__(self, other: Weight) -> Weight:
        return Weight(*(one - two for one, two in zip(astuple(self), astuple(other), strict=True)))


NOTHING = Weight()


class Ledger:
    """Weighs access in one tenant.

    Args:
        tenant: The tenant, whose resources decide what is live.
        index: The operations.
        scale: Their weights.
    """

    def __init__(self, tenant: SuiteTenant, index: OperationIndex, scale: Scale) -> None:
        self._index, self._scale = index, scale
        self._below = _subscriptions_below(tenant)
        self._places: dict[str, list[str]] = {}
        for one in tenant.resources:
            self._places.setdefault(fold(one.resource_type), []).append(fold(one.scope))
        self._kinds = _kinds_of(index, self._places)
        groups = {"/".join(fold(one.scope).split("/")[:5]) for one in tenant.resources}
        self._places[_EVERYWHERE] = self._places[_ABSENT] = sorted(groups)
        self._called: dict[str, set[str]] = {}
        for need in tenant.needs:
            if need.is_recorded:
                self._called.setdefault(_type_of(fold(need.operation)), set()).add(fold(need.scope))
        self._reached: dict[tuple[str, str], int] = {}
        self._weighed: dict[tuple[Held, ...], Weight] = {}

    def of(self, held: Iterable[Held]) -> Weight:
        """Return the weight of all that one principal holds, each operation once for each place."""
        whole = tuple(sorted(set(held), key=lambda one: (one.scope, one.state, one.operations)))
        if whole not in self._weighed:
            self._weighed[whole] = self._weigh(whole)
        return self._weighed[whole]

    def of_need(self, need: SuiteNeed, *, is_eligible: bool) -> Weight:
        """Return the weight of a need: its operation at one place."""
        bit = self._index.bit(need.plane, fold(need.operation))
        weight = self._scale.weigh(1 << bit) * (ELIGIBLE_WEIGHT if is_eligible else 1.0) if bit is not None else 0.0
        return _weight(self.kind_of(need.operation), weight, weight if _reads(need) else 0.0)

    def kind_of(self, operation: str) -> str:
        """Return the folded type of resource that an operation or pattern is about, if it exists in the tenant."""
        return _kind_of(fold(operation), self._places)

    def exists(self, text: str, scopes: Iterable[str]) -> bool:
        """Return whether the type that a string of a role is about is there at or below one of some scopes.

        It is there if a resource of the type is, or was, or if a log has a call on the type by anybody.
        """
        kind, places = self.kind_of(text), [fold(scope) for scope in scopes]
        if kind == _EVERYWHERE or (kind != _ABSENT and any(self._reach(kind, place) for place in places)):
            return True
        called = self._called.get(_type_of(fold(text)), ())
        roots = [root for place in places for root in self._below.get(place, (place,))]
        return any(f"{scope}/".startswith(f"{root}/") for scope in called for root in roots)

    def _weigh(self, held: Sequence[Held]) -> Weight:
        parts: dict[tuple[int, ...], int] = {}
        rest = 0
        for one in held:
            rest |= one.operations
        parts[()] = rest
        for number, one in enumerate(held):
            parts = _split(parts, one.operations, number)
        found = Weight()
        for numbers, operations in parts.items():
            for kind, members in self._kinds.items():
                if common := operations & members:
                    giving = [held[number] for number in numbers]
                    here = kind if any(self._reach(kind, one.scope) for one in giving) else _ABSENT
                    cells = self._cells(here, giving)
                    reads = self._scale.weigh(common & self._index.reads)
                    found += _weight(here, self._scale.weigh(common) * cells, reads * cells)
        return found

    def _cells(self, kind: str, held: Sequence[Held]) -> float:
        """Return the number of places of a kind that assignments reach; eligible ones count less."""
        standing = every = 0
        for one in held:
            reached = self._reach(kind, one.scope)
            every |= reached
            standing |= 0 if one.state == "eligible" else reached
        return standing.bit_count() + ELIGIBLE_WEIGHT * (every & ~standing).bit_count()

    def _reach(self, kind: str, scope: str) -> int:
        """Return the places of a kind at or below a scope, as a bit set; a place above a scope within it counts."""
        key = (kind, scope)
        if key not in self._reached:
            roots = self._below.get(scope, (scope,))
            self._reached[key] = sum(
                1 << number
                for number, place in enumerate(self._places[kind])
                if any(f"{place}/".startswith(f"{root}/") or f"{root}/".startswith(f"{place}/") for root in roots)
            )
        return self._reached[key]


def _weight(kind: str, weight: float, reads: float) -> Weight:
    return Weight(latent=weight, latent_reads=reads) if kind == _ABSENT else Weight(live=weight, live_reads=reads)


def _reads(need: SuiteNeed) -> bool:
    """Return whether a need is a read of the control plane, as `OperationIndex.reads` has them."""
    return need.plane == "control" and is_read(need.operation)


def _split(parts: Mapping[tuple[int, ...], int], operations: int, number: int) -> dict[tuple[int, ...], int]:
    """Split sets of operations by whether one more assignment gives them."""
    found = {}
    for numbers, members in parts.items():
        if inside := members & operations:
            found[(*numbers, number)] = inside
        if outside := members & ~operations:
            found[numbers] = outside
    return found


def _kinds_of(index: OperationIndex, places: Mapping[str, object]) -> dict[str, int]:
    bits: dict[str, list[int]] = {}
    for bit, (_, operation) in enumerate(index.keys):
        bits.setdefault(_kind_of(operation, places), []).append(bit)
    return {kind: mask_of(found) for kind, found in sorted(bits.items())}


def _type_of(text: str) -> str:
    """Return the top-level type of a folded operation or pattern; of one without a type, its provider."""
    words = text.split("/")
    return "/".join(words[: -2 if words[-1] == "action" else -1][:2])


def _kind_of(operation: str, places: Mapping[str, object]) -> str:
    kind = _type_of(operation)
    if kind in places:
        return kind
    if operation.startswith(_BEYOND_RESOURCES) or is_extension(kind):
        return _EVERYWHERE
    return _ABSENT


def _subscriptions_below(tenant: SuiteTenant) -> dict[str, tuple[str, ...]]:
    """Return the folded subscriptions below each folded management group, and below the root."""
    parents = {one.scope: one.parent for one in tenant.scopes}
    found: dict[str, list[str]] = {"/": [fold(one.scope) for one in tenant.subscriptions]}
    for one in tenant.subscriptions:
        above = one.parent
        while above:
            found.setdefault(fold(above), []).append(fold(one.scope))
            above = parents[above]
    return {group: tuple(below) for group, below in found.items()}
