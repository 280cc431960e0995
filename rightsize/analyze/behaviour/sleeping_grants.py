"""Find grants that wake: long held, long unused at their scope, and used again for what attackers seek.

A grant is judged by itself. Its holder may be new, may have slept with it, or may be active elsewhere every day.
"""

from __future__ import annotations

import polars as pl

from rightsize.analyze.behaviour.context_signals import log2
from rightsize.analyze.text import GROUP

SILENT = 30
"""The least days without a call at the scope of a grant."""
_OLD = 90
"""The least days of a grant's age."""
_ELSEWHERE = 0.7
"""Weight of the silence of one grant while its holder is active elsewhere, as people are who take up other work."""
_KNOWN = 0.5
"""Weight of the class of a call that need not be a first use."""


def find_wakings(
    woken: pl.DataFrame, days: pl.DataFrame, grants: pl.DataFrame, role_operations: pl.DataFrame, starts: pl.DataFrame,
    weights: pl.Expr,
) -> list[pl.DataFrame]:  # fmt: skip
    """Return days on which an old grant is used for what attackers seek after a month of silence at its scope.

    The bits are those of the days of silence, and of the classes of the calls, which need not be first uses. `what` has
    the name of the role, the scope, the age and the silence in days.

    Args:
        woken: As in `facts.BehaviourInputs`.
        days: `principal_id, day, young`: the days that are judged.
        grants: As in `facts.BehaviourInputs`.
        role_operations: As in `facts.BehaviourInputs`.
        starts: `plane, log_start`: the first day of the logs of each plane.
        weights: The most bits of each class of risk, from the column `risk`.
    """
    above = (pl.col("scope") == "/") | pl.col("scope").str.contains("/managementgroups/", literal=True)
    place = pl.when(above).then(pl.lit("")).otherwise(pl.coalesce(pl.col("scope").str.extract(GROUP, 1), "scope"))
    held = grants.with_columns(place=place, above=above)
    called = pl.col("called")
    under = called.str.starts_with(pl.col("scope") + "/") | (called == pl.col("scope"))
    silent = pl.coalesce("gap", (pl.col("day") - pl.col("log_start")).dt.total_days())
    used = (
        woken.rename({"scope": "called"})
        .join(days.select("principal_id", "day", "young"), on=["principal_id", "day"])
        .join(starts, on="plane")
        .join(held, on=["principal_id", "place"])
        .with_columns(age=(pl.col("day") - pl.col("created_on").dt.date()).dt.total_days(), silent=silent)
        .filter((pl.col("above") | under) & (pl.col("age") >= _OLD) & (pl.col("silent") >= SILENT))
    )
    allowed = used.join(role_operations, on=["role", "name"], how="semi")
    unknown = used.join(role_operations, on="role", how="anti")
    silence = pl.min_horizontal("silent", "age")
    said = pl.concat_str(pl.col("role_name").fill_null(pl.col("role")), pl.col("scope"),
                         pl.col("age").cast(pl.String), silence.cast(pl.String), separator="\x1f")  # fmt: skip
    weight = pl.when("young").then(1.0).otherwise(_ELSEWHERE)
    rows = pl.concat([allowed, unknown]).with_columns(bits=weight * log2(silence), what=said).sort(
        "first_seen", pl.col("scope").str.len_bytes(), "role", descending=[False, True, False]
    )  # fmt: skip
    risky = rows.group_by("principal_id", "day", "risk").agg(what=pl.col("operation").min())
    return [
        rows.unique(["principal_id", "day"], keep="first", maintain_order=True).with_columns(kind=pl.lit("wakes")),
        risky.with_columns(bits=_KNOWN * weights, kind="risk_" + pl.col("risk")),
    ]
