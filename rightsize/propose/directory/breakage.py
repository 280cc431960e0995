"""Estimate the break probability of each directory role assignment that is removed or reduced, from logged days.

The estimate is that of Azure roles (`propose.risk.break_table`), for each assignment. Active days are the days on which
the directory's logs show an action of the holder, or of a member of the group. A *novelty* is an action at a scope:
without the days of its use the plan would remove it. Reads are no novelties, since no log shows that one is unused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import polars as pl

from rightsize.analyze.directory.judge import DirectoryAnalysis
from rightsize.analyze.observability.undecided import Gaps
from rightsize.analyze.reasons import Unused
from rightsize.analyze.window import days_missing
from rightsize.propose.directory.cases import DirectoryAssignmentCase
from rightsize.propose.risk.estimate import Estimate, estimates_of
from rightsize.propose.risk.incidence import HORIZON_DAYS, KEY, count_incidence
from rightsize.rbac.expand import is_read

_UNITS: dict[str, pl.DataType] = {
    **dict.fromkeys((*KEY, "role", "holder_type", "holder"), pl.String()),
    "a": pl.Int64(),
}
_CALL = ["principal_id", "principal_name", "name", "place"]


def case_bounds(
    analysis: DirectoryAnalysis, cases: Iterable[DirectoryAssignmentCase], horizon: int = HORIZON_DAYS
) -> dict[tuple[str, str], Estimate]:
    """Return the estimate of each assignment that the plan may change, by its id and state.

    Args:
        analysis: The verdicts.
        cases: The cases that the plan decides.
        horizon: Days ahead.
    """
    units = pl.DataFrame(list(_units(cases)), schema=_UNITS, orient="row")
    if units.is_empty():
        return {}
    window = analysis.plane.window
    days = analysis.tables.days.filter(window.holds("day") & (pl.col("use") > 0))
    active = days.select("principal_id", "day").join(analysis.tables.membership, on="principal_id")
    used = analysis.used.select("a", *_CALL, "way").join(
        units.select(pl.col("a").cast(analysis.used.schema["a"]), *KEY), on="a"
    )
    changes = used.filter(~pl.col("way").is_in([one for one in used["way"].unique() if is_read(one)]))
    novelty = [*KEY, "way", "place"]
    numbers = changes.select(novelty).unique().sort(novelty).with_row_index("novelty")
    seen = (
        changes.join(numbers, on=novelty, nulls_equal=True)
        .join(days.select(*_CALL, "day"), on=_CALL, nulls_equal=True)
        .select(*KEY, "novelty", "day")
        .unique()
    )
    in_part = analysis.state == Unused.COVERED_IN_PART
    missing = days_missing(analysis.tables.coverage["day"], window)
    gaps = Gaps.of_one_log(units.select(KEY), missing if in_part else missing.clear())
    incidence = count_incidence(units.drop("a"), active.select("holder", "day"), seen, window, gaps)
    return {(id_, state): one for (id_, state), one in estimates_of(incidence, window, horizon).items()}


def _units(cases: Iterable[DirectoryAssignmentCase]) -> Iterator[tuple[object, ...]]:
    for case in cases:
        if not case.left:
            row = case.row
            yield row["role_assignment_id"], row["state"], row["role"], case.holder_type, row["principal_id"], case.a
