"""Count verdicts once for all: commands, pages and plans take their totals from here."""

from __future__ import annotations

import polars as pl

from rightsize.analyze.inputs import RBAC_PLANES
from rightsize.analyze.reasons import Verdict
from rightsize.analyze.text import folded, place_of
from rightsize.model.plan import AZURE_ROLES


def count_verdicts(verdicts: pl.DataFrame) -> dict[str, int]:
    """Return the number of granted operations over all assignments, the number by verdict, and the unexplained ones.

    A used operation counts once for each assignment. `granted` is the sum of the four verdicts on it.

    Args:
        verdicts: As the table `verdicts`, of planes whose counts have one unit.
    """
    used = verdicts.filter(pl.col("verdict") == Verdict.USED)
    single = used.select("role_assignment_id", "state", "plane", "operation").unique()
    single = single.with_columns(folded(single["operation"])).unique()
    counted = verdicts.filter(~pl.col("verdict").is_in([Verdict.USED, Verdict.UNEXPLAINED]))
    counts = {verdict.value: 0 for verdict in Verdict}
    counts |= dict(counted.group_by("verdict").agg(pl.col("operations").sum()).drop_nulls().iter_rows())
    counts[Verdict.USED.value] = single.height
    granted = sum(counts.values())
    counts[Verdict.UNEXPLAINED.value] = count_unexplained(verdicts)
    return {"granted": granted} | counts


def unexplained_operations() -> pl.Expr:
    """Return the number of unexplained operations in the rows of one principal: distinct by plane, operation and scope.

    A row that names no operation stands for `operations` of them.
    """
    is_named = pl.col("operation").is_not_null()
    operation = pl.struct("plane", folded(pl.col("operation")), place_of(pl.col("scope")))
    return operation.filter(is_named).n_unique().cast(pl.Int64) + pl.col("operations").filter(~is_named).sum()


def count_unexplained(verdicts: pl.DataFrame) -> int:
    """Return the number of unexplained operations of all principals."""
    rows = verdicts.filter(pl.col("verdict") == Verdict.UNEXPLAINED)
    return int(rows.group_by("principal_id").agg(number=unexplained_operations())["number"].sum())


def count_unexplained_by_plane(verdicts: pl.DataFrame) -> dict[str, int]:
    """Return the number of unexplained operations of Azure roles, then of each plane beyond them that has some."""
    beyond = sorted(set(verdicts["plane"].drop_nulls()) - set(RBAC_PLANES))
    parts = {AZURE_ROLES: list(RBAC_PLANES), **{plane: [plane] for plane in beyond}}
    counts = {name: count_unexplained(verdicts.filter(pl.col("plane").is_in(of))) for name, of in parts.items()}
    return {name: number for name, number in counts.items() if number}
