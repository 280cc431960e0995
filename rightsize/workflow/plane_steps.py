"""The interface of a plane beyond Azure RBAC: how it is judged, planned and verified."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import polars as pl

from rightsize.analyze.planes import PlaneAnalysis
from rightsize.model.nouns import Plane

if TYPE_CHECKING:
    from rightsize.model.plan import PlanePart
    from rightsize.propose.core.options import PlanOptions
    from rightsize.propose.verify.plan_reader import WrittenPart
    from rightsize.propose.verify.verify import Change

TableOf = Callable[[str], pl.DataFrame]


class Judged(Protocol):
    """A judged plane: its analysis, and a way to plan from it."""

    @property
    def analysis(self) -> PlaneAnalysis:
        """The analysis of the plane."""
        ...

    def plan(self, options: PlanOptions) -> PlanePart:
        """Return the plane's part of the plan."""
        ...


@dataclass(frozen=True, slots=True)
class PlaneSteps:
    """The functions that judge and verify a plane.

    Attributes:
        plane: The name of the plane.
        judge: Judges every grant of the plane over the `days` days before `as_of`, with use that is at most
            `forget_days` old as evidence too, and with logs that cover `min_days` (`Window`); None where nothing of
            the plane is loaded. Without `as_of` the window ends with the newest day that the plane's own log covers.
        verify: Returns what makes a written part stale, or what the part does not cover, by the tables of today.
    """

    plane: Plane
    judge: Callable[[TableOf, dt.date | None, int | None, int, int | None], Judged | None]
    verify: Callable[[TableOf, WrittenPart], Sequence[Change]]
