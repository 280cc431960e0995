"""Credit use from before the window that still counts to assignments, in the same way as use in the window.

A window without an operation does not prove that an operation used on an earlier loaded day is unneeded. Such an
operation is kept where it was used, until the use is older than `Window.forget_days`. Days after the window are never
read.
"""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from rightsize.analyze.attribution import Attributed, attribute
from rightsize.analyze.data_use import attribute_data_use
from rightsize.analyze.inputs import Inputs
from rightsize.analyze.reasons import OutOfCoverage, Verdict
from rightsize.analyze.tenant import Tenant
from rightsize.analyze.usage import CALL, observe
from rightsize.analyze.window import Window


def earlier_calls(inputs: Inputs, window: Window, usage: pl.DataFrame, *, unnamed: bool = False) -> pl.DataFrame:
    """Return the calls of the days before the window that still count, as `usage.observe` does.

    Refused calls are left out, and so are calls that the window shows as well.

    Args:
        inputs: The tables.
        window: The window.
        usage: The calls of the window, as `usage.observe` returns them.
        unnamed: Whether to return the calls whose log names no operation.
    """
    if window.earlier is None:
        return usage.clear()
    calls = observe(inputs, window.earlier, unnamed=unnamed).filter((pl.col("events") > 0) | pl.col("quarantined"))
    again = usage.filter((pl.col("events") > 0) & ~pl.col("quarantined"))
    return calls.join(again, on=list(CALL), how="anti", nulls_equal=True, maintain_order="left")


def credit_earlier(
    usage: pl.DataFrame, tenant: Tenant, open_groups: pl.Series, activations: pl.DataFrame, credited: pl.Series
) -> tuple[pl.DataFrame, Attributed]:
    """Credit earlier calls to the assignments of today.

    A call goes to an assignment that existed at its time. Where none of today's did, it goes to one made since: use
    under an assignment that is gone counts for its successor.

    Args:
        usage: The calls.
        tenant: The tenant.
        open_groups: Holders that may have members whom no listing shows.
        activations: `(id, eligibility)`: the eligible assignment behind an activation that may have ended.
        credited: `a` of the assignments that calls of the window are credited to: of several that grant an earlier
            call, one of these comes first.

    Returns:
        The calls, those under another permission renamed, and their attribution.
    """
    usage, found = attribute_data_use(usage, tenant, open_groups, activations, credited)
    left = usage.join(found.unexplained, on="u", how="semi")
    if left.is_empty():
        return usage, found
    nothing = pl.lit(None, dtype=pl.Datetime("us"))
    ageless = replace(
        tenant, assignments=tenant.assignments.with_columns(created_on=nothing, start_on=nothing, end_on=nothing)
    )
    since = attribute(left, ageless, open_groups, activations, credited)
    return usage, replace(
        found,
        used=pl.concat([found.used, since.used]),
        unexplained=since.unexplained,
        doubtful=since.doubtful,
    )


def earlier_rows(credited: pl.DataFrame, used: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of earlier use, with the reason of the verdict in place of how the use was attributed.

    Args:
        credited: Rows of use as `verdicts` makes them, with `a` and `name`.
        used: Those of the window: use by the same principal, at the same place, under the same assignment in the
            window has no other row. What another member of a group used says nothing of this one, since an operation
            may be given to few members only.
    """
    same = ["a", "name", "plane", "place", "principal_id"]
    return credited.join(used, on=same, how="anti", nulls_equal=True, maintain_order="left").with_columns(
        verdict=pl.lit(Verdict.OUT_OF_COVERAGE.value), reason=pl.lit(OutOfCoverage.USED_BEFORE_WINDOW.value)
    )


def earlier_operations(earlier: pl.DataFrame, used: pl.DataFrame, tenant: Tenant) -> pl.DataFrame:
    """Return one row per (assignment, plane, operation) that the window does not show, for its holder at its scope.

    Args:
        earlier: As `earlier_rows` returns it.
        used: The rows of the window.
        tenant: The tenant.
    """
    about = tenant.assignments.select("a", "principal_id", "scope")
    return (
        earlier.join(used, on=["a", "name", "plane"], how="anti")
        .group_by("a", "role_assignment_id", "state", "plane", "name", "verdict", "reason")
        .agg(
            pl.col("operation", "first_seen").min(),
            pl.col("events").sum(),
            pl.col("days", "last_seen").max(),
        )
        .join(about, on="a")
        .with_columns(operations=1)
    )
