"""The estimate of the chance that a change breaks something, with the counts that it comes from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from rightsize.analyze.window import Window
from rightsize.propose.needs.assignments import Key
from rightsize.propose.risk.arrivals import NewTypes
from rightsize.propose.risk.break_table import LEVELS, MEASURED, chances
from rightsize.propose.risk.incidence import HORIZON_DAYS, KEY, tested_days
from rightsize.rules.measured import measured_unlogged


@dataclass(frozen=True, slots=True)
class Estimate:
    """The probability that access taken from an assignment is needed within the horizon, with its inputs.

    Attributes:
        expected: The probability.
        bound: Its upper bound.
        basis: used, unused, silent (the holder did nothing either), seasonal, or unlogged (no log can judge it).
        operations: The number of novelties (an operation at a place) in the window.
        new_weeks: The weeks with a novelty that no other week has.
        active_days: The days on which the holder worked.
        tested: The number of last days of the window in which it was counted what came.
        counts: For what was measured elsewhere and each level of `break_table`: those that brought something, and all.
        period: The calendar pattern that the use follows, or None.
        beyond: Whether the holder worked, or the logs last, for fewer days than the horizon; then the bound is 1.
        new_types: The chance that comes from types of which there was no resource; None where none of it is lost.
    """

    expected: float
    bound: float
    basis: str
    operations: int
    new_weeks: int
    active_days: int
    tested: int
    counts: tuple[tuple[int, int], ...]
    period: str | None
    beyond: bool
    new_types: NewTypes | None = None

    def exceeds(self, most: float | None) -> bool:
        """Return whether the bound is above `--max-break`; None is no limit."""
        return most is not None and self.bound > most

    def with_new_types(self, found: NewTypes) -> Estimate:
        """Return the estimate with the chance that a new type is needed, taken as independent of the rest."""
        return replace(
            self,
            bound=round(1 - (1 - self.bound) * (1 - found.bound), 4),
            expected=round(1 - (1 - self.expected) * (1 - found.expected), 4),
            new_types=found,
        )

    def as_json(self) -> dict[str, Any]:
        """Return the estimate as values for the evidence of a proposal."""
        said: dict[str, Any] = {
            "expected": self.expected,
            "bound": self.bound,
            "basis": self.basis,
            "operations": self.operations,
            "new_weeks": self.new_weeks,
            "active_days": self.active_days,
            "tested_days": self.tested,
            "counts": {level: list(count) for level, count in zip((MEASURED, *LEVELS), self.counts, strict=True)},
        }
        if self.period is not None:
            said["seasonal"] = self.period
        if self.beyond:
            said["beyond_the_sample"] = True
        if self.new_types is not None:
            said["new_types"] = self.new_types.as_json()
        return said


def unlogged_estimate() -> Estimate:
    """Return the estimate of a whole assignment that goes though no log would have shown any use of it.

    No day of the window says anything. The chance is the measured one of such needs, and its bound is 1.
    """
    rate = measured_unlogged()
    counts = ((rate.broke, rate.of), *((0, 0) for _ in LEVELS))
    return Estimate(round((rate.broke + 1) / (rate.of + 1), 4), 1.0, "unlogged", 0, 0, 0, 0, counts, None, True)


def estimates_of(incidence: pl.DataFrame, window: Window, horizon: int = HORIZON_DAYS) -> dict[Key, Estimate]:
    """Return the estimate of each row of `read_incidence` by its key, for Azure roles or for another plane."""
    tested = tested_days(window)
    found = estimate(incidence, window, horizon).select(
        *KEY,
        *("expected", "bound", "basis", "operations", "new_weeks", "active_days", "period", "beyond"),
        *(f"{of}_{level}" for level in (MEASURED, *LEVELS) for of in "kn"),
    )
    estimates = {}
    for id_, state, expected, bound, basis, operations, weeks, days, period, beyond, *counts in found.iter_rows():
        pairs = tuple(zip(counts[::2], counts[1::2], strict=True))
        estimates[id_, state] = Estimate(expected, bound, basis, operations, weeks, days, tested, pairs, period, beyond)
    return estimates


def estimate(incidence: pl.DataFrame, window: Window, horizon: int) -> pl.DataFrame:
    """Return the rows of `read_incidence` with the columns of `break_table.chances` and `beyond`.

    Args:
        incidence: As `read_incidence` returns it.
        window: The window of the incidence.
        horizon: Days ahead.
    """
    beyond = pl.col("span_days") < horizon
    return (
        chances(incidence, horizon, tested_days(window))
        .with_columns(beyond=beyond, bound=pl.when(beyond).then(1.0).otherwise("bound"))
        .sort(KEY)
    )
