"""Compute the exposure of an assignment today and under a plan: the weight of its cells over all people it reaches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rightsize.propose.core.weights import cells, risky
from rightsize.propose.needs.assignments import Subject, Use
from rightsize.propose.needs.drafts import Placement
from rightsize.propose.needs.groups import AccessWeights
from rightsize.propose.needs.profiles import Profile
from rightsize.rbac.text import Folded

ELIGIBLE_WEIGHT = 0.25
"""The weight of eligible access: it is excess too, but an activation is requested, limited in time, and logged."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """The weight of all cells, and the weight of the cells whose operations have a class of risk."""

    cells: float = 0.0
    risky: float = 0.0

    def __add__(self, other: Exposure) -> Exposure:
        return Exposure(self.cells + other.cells, self.risky + other.risky)

    def times(self, factor: float) -> Exposure:
        """Return the exposure multiplied by a factor, for example a number of people."""
        return Exposure(self.cells * factor, self.risky * factor)


def absent_types(profile: Profile | None) -> int:
    """Return the unused operations on resource types that the analysis proves absent: their excess is latent."""
    return profile.absent if profile is not None else 0


def today_exposure(subject: Subject, granted: int, weights: AccessWeights) -> Exposure:
    """Return the exposure of one of today's assignments."""
    people = weights.groups.people_of(subject.principal_id)
    weight = ELIGIBLE_WEIGHT if subject.state == "eligible" else 1.0
    return _of_one({subject.place: granted}, weights).times(people * weight)


def planned_exposure(subject: Subject, placements: Iterable[Placement], weights: AccessWeights) -> Exposure:
    """Return the exposure of an assignment's replacements; a member's own assignment adds to that of its group."""
    owner = subject.principal_id
    by_state: dict[str, dict[Folded, dict[Folded, int]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(int)))
    for one in placements:
        by_state[one.state][one.principal_id][one.place] |= one.counted
    whole = Exposure()
    for state, by_principal in sorted(by_state.items()):
        weight = ELIGIBLE_WEIGHT if state == "eligible" else 1.0
        shared = by_principal.pop(owner, {})
        together = _of_one(shared, weights)
        whole += together.times(weights.groups.people_of(owner) * weight)
        for own in by_principal.values():
            both = {place: shared.get(place, 0) | own.get(place, 0) for place in {*shared, *own}}
            whole += (_of_one(both, weights) + together.times(-1)).times(weight)
    return whole


def used_weight(subject: Subject, uses: Mapping[Folded, Use], weights: AccessWeights) -> float:
    """Return the weight of the used cells; a cell counts once for each principal that used it.

    Args:
        subject: The assignment.
        uses: Its use, by the folded scope at which it has to be granted.
        weights: The weights of access.
    """
    counted = weights.groups.used_cells.get(subject.key)
    if counted is not None:
        return float(sum(weights.scale.weigh(1 << bit) * number for bit, number in counted))
    return float(sum(weights.scale.weigh(use.operations) for use in uses.values()))


def _of_one(granted: Mapping[Folded, int], weights: AccessWeights) -> Exposure:
    scale, reach = weights.scale, weights.reach
    return Exposure(float(cells(granted, scale, reach)), float(cells(risky(granted, scale), scale, reach)))
