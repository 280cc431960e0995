"""Decide what a containment does with calls that the analysis credits to no assignment of their caller.

Such a call went through access that is gone or not known: through an assignment that was removed since, or a group that
no longer has the caller. Today an assignment may allow it that stays, and then nothing has to be done. If only
assignments allow it that the containment changes, it is a need that one of them keeps, as use under an assignment that
is gone counts for its successor. There is one exception: an assignment through which suspect calls went is no
successor, so it keeps no call that was made before it existed or after it ended. Those calls are reported.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import polars as pl

from rightsize.analyze.attribution import attribute
from rightsize.analyze.reasons import Unexplained, Verdict
from rightsize.analyze.tenant import Tenant
from rightsize.analyze.text import folded, place_of
from rightsize.analyze.verdicts import Analysis, with_used
from rightsize.propose.needs.assignments import Key

_NO_ROLE_ALLOWED = (Unexplained.OTHER_ACCESS.value, Unexplained.NOT_MAPPED.value)
_TIMES = ("created_on", "start_on", "end_on")


def decide_earlier_calls(
    analysis: Analysis, principals: Collection[str], contained: Collection[Key], suspect: Collection[Key]
) -> tuple[Analysis, pl.DataFrame]:
    """Credit the calls that contained assignments have to keep, and list those that are forgone.

    Args:
        analysis: The verdicts.
        principals: The folded ids of the contained principals.
        contained: The assignments that may change.
        suspect: Those of them through which suspect calls went.

    Returns:
        The analysis, in which contained assignments are credited with the calls that they keep; and the calls that only
        suspect assignments allow today, which did not exist then: `operation, scope, role_assignment_id, last_seen`,
        the time of the last one in UTC; sorted.
    """
    tenant = analysis.tenant
    held, keys = tenant.assignments, ["role_assignment_id", "state"]
    contained_keys, suspect_keys = (
        pl.DataFrame(sorted(some), schema=dict.fromkeys(keys, pl.String), orient="row") for some in (contained, suspect)
    )
    # What ends some day allows the call for less long than an assignment without an end.
    lasting = ~pl.col("twin") & pl.col("end_on").is_null() & (pl.col("state") != "activated")
    stays = held.join(contained_keys, on=keys, how="anti").filter(lasting)
    changed = held.join(contained_keys, on=keys, how="semi")
    successors = _ageless(changed.join(suspect_keys, on=keys, how="anti"))
    left = _uncredited(analysis, principals)
    left = left.join(_credit(left, tenant, _ageless(stays)), on="u", how="anti")
    kept = _credit(left, tenant, pl.concat([changed.join(suspect_keys, on=keys, how="semi"), successors]))
    forgone = _credit(left.join(kept, on="u", how="anti"), tenant, _ageless(changed))
    named = forgone.join(left, on="u").join(held.select("a", "role_assignment_id"), on="a")
    where = ("operation", "scope", "role_assignment_id")
    return (
        with_used(analysis, kept) if kept.height else analysis,
        named.group_by(where).agg(pl.col("last_seen").max()).sort(where),
    )


def _uncredited(analysis: Analysis, principals: Collection[str]) -> pl.DataFrame:
    """Return the calls that count and go to no assignment that reaches their caller, without the named evidence."""
    tenant = analysis.tenant
    mine = analysis.usage.filter(
        pl.col("principal_id").is_in(list(principals)) & (pl.col("events") > 0) & ~pl.col("quarantined")
    )
    reached = (
        analysis.credited.join(mine.select("u", "principal_id"), on="u")
        .join(tenant.assignments.select("a", holder="principal_id"), on="a")
        .join(tenant.may_reach, on=["principal_id", "holder"], how="semi")
    )
    verdicts = analysis.verdicts.filter(
        (pl.col("verdict") == Verdict.UNEXPLAINED.value) & pl.col("reason").is_in(_NO_ROLE_ALLOWED)
    )
    otherwise = verdicts.select(
        "principal_id", "plane", name=folded(pl.col("operation")), place=place_of(pl.col("scope"))
    )
    left = mine.join(reached, on="u", how="anti").join(otherwise, on=otherwise.columns, how="anti")
    return left.with_columns(evidence=pl.lit(None, dtype=pl.String))


def _ageless(assignments: pl.DataFrame) -> pl.DataFrame:
    return assignments.with_columns(pl.lit(None, dtype=assignments.schema[name]).alias(name) for name in _TIMES)


def _credit(calls: pl.DataFrame, tenant: Tenant, assignments: pl.DataFrame) -> pl.DataFrame:
    """Return `(u, a, reason)` of the calls that some of the given assignments allow."""
    asked = replace(tenant, assignments=assignments.select(tenant.assignments.columns))
    nothing = pl.DataFrame(schema={"id": pl.String, "eligibility": pl.String})
    return attribute(calls, asked, pl.Series("principal_id", [], dtype=pl.String), nothing).used
