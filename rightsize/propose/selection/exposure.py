"""How much an assignment exposes, today and after a plan: the weight of its cells over all people whom it reaches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rightsize.propose.core.weights import cells, risky
from rightsize.propose.needs.context import PlanContext
from rightsize.propose.needs.drafts import Placement, Subject
from rightsize.rbac.text import fold

ELIGIBLE_WEIGHT = 0.25
"""Eligible access is excess too, and counts a quarter: an activation is asked for, limited in time, and logged."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """Weights: of all cells, and of those of operations with a class of risk."""

    cells: float = 0.0
    risky: float = 0.0

    def __add__(self, other: Exposure) -> Exposure:
        return Exposure(self.cells + other.cells, self.risky + other.risky)

    def times(self, factor: float) -> Exposure:
        """Return the exposure of so many people."""
        return Exposure(self.cells * factor, self.risky * factor)


def today_exposure(subject: Subject, granted: int, bench: PlanContext) -> Exposure:
    """Return what an assignment of today exposes."""
    people = bench.groups.people_of(fold(subject.principal_id))
    weight = ELIGIBLE_WEIGHT if subject.state == "eligible" else 1.0
    return _of_one({subject.place: granted}, bench).times(people * weight)


def planned_exposure(subject: Subject, placements: Iterable[Placement], bench: PlanContext) -> Exposure:
    """Return what takes the place of an assignment exposes; a member's own share adds to what the group has."""
    owner = fold(subject.principal_id)
    by_state: dict[str, dict[str, dict[str, int]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(int)))
    for one in placements:
        by_state[one.state][fold(one.principal_id)][one.place] |= one.counted
    whole = Exposure()
    for state, by_principal in sorted(by_state.items()):
        weight = ELIGIBLE_WEIGHT if state == "eligible" else 1.0
        shared = by_principal.pop(owner, {})
        together = _of_one(shared, bench)
        whole += together.times(bench.groups.people_of(owner) * weight)
        for own in by_principal.values():
            both = {place: shared.get(place, 0) | own.get(place, 0) for place in {*shared, *own}}
            whole += (_of_one(both, bench) + together.times(-1)).times(weight)
    return whole


def used_weight(subject: Subject, bench: PlanContext) -> float:
    """Return the weight of the cells that were used, each once for everybody who used it."""
    counted = bench.groups.used_cells.get(subject.key)
    if counted is not None:
        return float(sum(bench.scale.weigh(1 << bit) * number for bit, number in counted))
    uses = bench.uses.get(subject.key, {})
    return float(sum(bench.scale.weigh(use.operations) for use in uses.values()))


def _of_one(granted: Mapping[str, int], bench: PlanContext) -> Exposure:
    return Exposure(
        float(cells(granted, bench.scale, bench.reach)),
        float(cells(risky(granted, bench.scale), bench.scale, bench.reach)),
    )
