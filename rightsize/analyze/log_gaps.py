"""Find for each assignment the days of the window that the logs behind its unused operations do not cover.

Only logs that are evidence for a part of the window have such days. Of several logs, a day counts as covered if all of
them cover it.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from rightsize.analyze.reasons import Unused
from rightsize.analyze.verdicts import Analysis
from rightsize.analyze.window import Window

_ASSIGNMENT = ["role_assignment_id", "state"]


@dataclass(frozen=True, slots=True)
class Gaps:
    """The days that logs do not cover, as few distinct sets.

    Attributes:
        of: `(role_assignment_id, state, gap)`: the set of each assignment with operations that are unused by a log of a
            part of the window; others have none.
        days: `(gap, day)`: the days of each set.
    """

    of: pl.DataFrame
    days: pl.DataFrame

    @classmethod
    def of_one_log(cls, units: pl.DataFrame, missing: pl.Series) -> Gaps:
        """Return the same days as missing for all units (`role_assignment_id`, `state`)."""
        one = pl.lit(0, dtype=pl.UInt32).alias("gap")
        if missing.is_empty():
            units = units.clear()
        return cls(units.select(*_ASSIGNMENT, one), missing.to_frame("day").select(one, "day"))

    def covered(self, window: Window) -> pl.DataFrame:
        """Return `(role_assignment_id, state, covered_days)`: the number of days of the window that the logs cover."""
        counts = self.days.group_by("gap").agg(missing=pl.len().cast(pl.Int64))
        return self.of.join(counts, on="gap").select(*_ASSIGNMENT, covered_days=window.days - pl.col("missing"))


def find_gaps(analysis: Analysis) -> Gaps:
    """Return the days that the logs behind the verdicts of each assignment do not cover."""
    in_part = analysis.profile_operations.filter(pl.col("reason") == Unused.COVERED_IN_PART.value)
    places = analysis.tenant.assignments.select(*_ASSIGNMENT, "place")
    keyed = (
        analysis.profiles.join(in_part.select("profile_id", "plane").unique(), on="profile_id")
        .group_by(_ASSIGNMENT)
        .agg(planes=pl.col("plane").sort().str.join(" "))
        .join(places, on=_ASSIGNMENT)
    )
    sets = keyed.select("place", "planes").unique().sort("place", "planes").with_row_index("gap")
    days = (
        sets.with_columns(plane=pl.col("planes").str.split(" "))
        .explode("plane")
        .join(analysis.gaps, on=["place", "plane"])
        .select("gap", "day")
        .unique()
        .sort("gap", "day")
    )
    of = keyed.join(sets, on=["place", "planes"]).select(*_ASSIGNMENT, "gap").sort(_ASSIGNMENT)
    return Gaps(of, days)
