"""Weigh access: the weight of operations times the reach of a scope times the people behind a holder."""

from __future__ import annotations

from dataclasses import dataclass

from rightsize.propose.core.weights import Reach, Scale
from rightsize.propose.needs.groups import Groups
from rightsize.rbac.text import Folded


@dataclass(frozen=True, slots=True)
class AccessWeights:
    """The weights of operations, the reach of scopes, and the members of the groups that hold assignments."""

    scale: Scale
    reach: Reach
    groups: Groups

    def cells(self, principal_id: Folded, place: Folded) -> int:
        """Return the number of resource groups times people that one operation of a holder at a place reaches."""
        return self.reach.of(place) * self.groups.people_of(principal_id)
