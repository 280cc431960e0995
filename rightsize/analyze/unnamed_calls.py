"""Find the granted operations that a call may have been whose log names no operation.

Where the catalogue does not know the display name of a call (`display_names`), the call may have been any change of the
type that it acted on, or of a type inside it. Where the caller holds such an operation, it is not judged unused.
"""

from __future__ import annotations

import polars as pl

from rightsize.analyze.display_names import READ, type_acted_on, type_of
from rightsize.analyze.reasons import OutOfCoverage
from rightsize.analyze.scoping import containing
from rightsize.analyze.tenant import Tenant

_LONGEST = 12
"""Most segments of a resource type; the longest of Azure's own has ten."""
_HELD = {"a": pl.UInt32, "name": pl.String, "operation": pl.String, "plane": pl.String, "reason": pl.String}


def held_by_unnamed(calls: pl.DataFrame, tenant: Tenant) -> pl.DataFrame:
    """Return `(a, name, operation, plane, reason)`: every change that a call may have been, where its caller holds it.

    Args:
        calls: Unnamed calls as `usage.observe` returns them; a call of an unknown caller may be anybody's.
        tenant: The tenant.
    """
    if calls.is_empty():
        return pl.DataFrame(schema=_HELD)
    suspect = pl.when("quarantined").then(pl.lit(OutOfCoverage.QUARANTINED.value))
    acts = calls.filter((pl.col("events") > 0) | pl.col("quarantined")).select(
        "principal_id",
        "place",
        kind=type_of(pl.col("place")),
        reason=suspect.otherwise(pl.lit(OutOfCoverage.UNNAMED_OPERATION.value)),
    )
    if acts.is_empty():
        return pl.DataFrame(schema=_HELD)
    assignments = tenant.assignments.select("a", "role", holder="principal_id", assigned="place")
    around = containing(acts["place"], assignments["assigned"], tenant.tree)
    pairs = acts.unique().join(around, on="place").join(assignments, on="assigned")
    reach = tenant.may_reach.rename({"principal_id": "who"})
    own = pairs.join(reach, left_on=["principal_id", "holder"], right_on=["who", "holder"], how="semi")
    may = pl.concat([own, pairs.filter(pl.col("principal_id").is_null())]).select("a", "role", "kind", "reason")
    changes = tenant.grants.filter((pl.col("plane") == "control") & ~pl.col("name").str.ends_with(READ))
    within = _types_around(changes["name"].unique()).join(may.select("kind").unique(), on="kind", how="semi")
    found = may.unique().join(within, on="kind").join(changes, on=["role", "name"])
    spelling = tenant.operations.select("name", spelt="operation").unique("name")
    return (
        found.join(spelling, on="name", how="left")
        .with_columns(operation=pl.coalesce("spelt", "name"))
        .select(pl.col(column).cast(kind) for column, kind in _HELD.items())
        .unique()
        .sort(list(_HELD))
    )


def _types_around(names: pl.Series) -> pl.DataFrame:
    """Return `(name, kind)`: the type of each operation, the types that contain it, and the empty type for all."""
    steps = pl.DataFrame({"name": names}).with_columns(steps=type_acted_on(pl.col("name")).str.split("/"))
    parts = [
        steps.filter(pl.col("steps").list.len() >= number).select(
            "name", kind=pl.col("steps").list.head(number).list.join("/")
        )
        for number in (0, *range(2, _LONGEST))
    ]
    return pl.concat(parts)
