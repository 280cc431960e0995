"""Compute the chance that an assignment's change breaks something, from a table of what the last days brought.

The table is made by walking forward within the window. The days before the last `tested_days` say what kind of
evidence an assignment had then; the last days say whether they brought a novelty (`came`). Each cell of the table has
two integer counts: *n* assignments, and *k* of them for which something came. The cells are nested:

- `basis` of the evidence: `used`, `unused`, `silent` or `seasonal`;
- `operations`: that basis, and the same power of two of novelties (0; 1; 2 or 3; 4 to 7; ...);
- `weeks`: the same, and as many weeks that brought something of their own (0, 1, 2, or 3 and more);
- `type`: the same, and the same type of holder;
- `role`: the same, and the same role.

An assignment is looked up by its evidence of the whole window. Each assignment counts once, in the narrowest cell
that has both: n'(basis) = n(basis) - n(operations), and so on; n'(role) = n(role); k' likewise. From the widest cell
to the narrowest the chance within the tested days is, in shares from 0 to 1,

    p(measured) = k / n    of proposals on generated tenants with that basis and `weeks`, in `measured_breaks.csv`
    p(basis) = (k' + 32 p(measured)) / (n' + 32)
    p(cell)  = (k' + 8 p(wider cell)) / (n' + 8)    for `operations`, `weeks`, `type`, `role`

So a cell borrows eight assignments from the wider ones, and its own count decides where it has many (empirical Bayes;
Efron and Morris 1975). `expected` is p(role). `bound` says what follows if all of a basis are riskier than they seem.
With *k* and *n* of `basis`, and *m*, the share of all proposals of that basis in `measured_breaks.csv`, it is

    bound = p(role) limit(k) / n / q,  q = (k + 8 m) / (n + 8)

at least p(role), at most 1, and 1 where *n* is 0. *limit* is the upper 95 % limit of the mean of a count (Byar), so the
bound rests on the tenant's own counts: where it has few assignments of a basis, the bound is near 1.

For a horizon of other length both are taken to a power: 1 - (1 - p) ** (horizon / tested days), both in days.
"""

from __future__ import annotations

import polars as pl

from rightsize.propose.risk.incidence import CELL, EARLY
from rightsize.rules.measured import measured_proposals

MEASURED = "measured"
LEVELS = ("basis", "operations", "weeks", "type", "role")
_COLUMNS = (("basis",), ("size",), ("weeks",), ("holder_type",), ("role",))
"""The column that each level adds to the one before."""
_BORROWED_FIRST = 32
_BORROWED = 8
MOST_WEEKS = 3
_NORMAL = 1.6449
"""The upper 95 % point of the normal distribution."""
_SIZES = tuple(2**power for power in range(24))


def chances(rows: pl.DataFrame, horizon: int, tested: int) -> pl.DataFrame:
    """Return the rows of `read_incidence` with their chances and the counts behind them.

    Args:
        rows: As `read_incidence` returns them.
        horizon: Days ahead.
        tested: The number of last days in which `came` is counted.

    Returns:
        The rows with `expected` and `bound`, and `n_LEVEL` and `k_LEVEL` of each level.
    """
    tests = _cells(rows.filter("is_tested"), EARLY).with_columns(rows.filter("is_tested")["came"])
    rows = rows.with_row_index("row")
    found = _cells(rows, "").with_columns(rows["row"]).join(_measured(), on=["basis", "weeks"], how="left")
    within: list[str] = []
    for level, columns in zip(LEVELS, _COLUMNS, strict=True):
        within += columns
        n, k = f"n_{level}", f"k_{level}"
        counts = tests.group_by(within).agg(pl.len().cast(pl.Int64).alias(n), pl.col("came").sum().alias(k))
        found = found.join(counts, on=within, how="left", nulls_equal=True).with_columns(pl.col(n, k).fill_null(0))
    ahead = horizon / tested
    found = found.with_columns(
        expected=_within(_share(), ahead), bound=_within(pl.max_horizontal(_share(), _limit()), ahead)
    )
    numbers = [f"{of}_{level}" for level in (MEASURED, *LEVELS) for of in "nk"]
    found = found.select("row", "expected", "bound", *numbers)
    return rows.join(found, on="row", how="left", maintain_order="left").drop("row")


def _share() -> pl.Expr:
    """Return the share p of the narrowest cell; each assignment counts once."""
    share, borrowed = pl.col("k_measured") / pl.col("n_measured"), _BORROWED_FIRST
    for level, narrower in zip(LEVELS, (*LEVELS[1:], None), strict=True):
        n, k = pl.col(f"n_{level}"), pl.col(f"k_{level}")
        if narrower is not None:
            n, k = n - pl.col(f"n_{narrower}"), k - pl.col(f"k_{narrower}")
        share, borrowed = (k + borrowed * share) / (n + borrowed), _BORROWED
    return share


def _limit() -> pl.Expr:
    """Return the share of the narrowest cell, if the share of its basis is at its upper limit."""
    n, k = pl.col("n_basis"), pl.col("k_basis")
    like_all = (k + _BORROWED * pl.col("m")) / (n + _BORROWED)
    return pl.when(n > 0).then(_share() * upper_limit(k) / n / like_all).otherwise(1.0)


def _measured() -> pl.DataFrame:
    """Return `basis`, `weeks`, `n_measured` proposals on generated tenants, and the `k_measured` that broke.

    `m` beside them is the share that broke of all of the same basis.
    """
    rows = [
        (one.what, weeks, one.broke, one.of)
        for one in measured_proposals()
        for weeks in ([one.new_weeks] if one.new_weeks is not None else range(MOST_WEEKS + 1))
    ]
    schema = {"basis": pl.String(), **dict.fromkeys(("weeks", "k_measured", "n_measured"), pl.Int64())}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    return frame.with_columns(m=pl.col("k_measured").sum().over("basis") / pl.col("n_measured").sum().over("basis"))


def _cells(rows: pl.DataFrame, of: str) -> pl.DataFrame:
    """Return the columns that name the cell of each row; `of` is the beginning of the names of its evidence."""
    basis, operations, weeks = (pl.col(f"{of}{name}") for name in CELL)
    return rows.select(
        "holder_type",
        "role",
        basis=basis,
        size=pl.sum_horizontal(operations >= size for size in _SIZES),
        weeks=pl.min_horizontal(weeks, MOST_WEEKS),
    )


def _within(share: pl.Expr, ahead: float) -> pl.Expr:
    """Return the chance within so many times the tested days."""
    return (1 - (1 - share.clip(upper_bound=1.0)).pow(ahead)).round(4)


def upper_limit(count: pl.Expr) -> pl.Expr:
    """Return the upper 95 % limit of the mean of a Poisson count (Byar's approximation): 3 for the count 0."""
    more = count + 1
    return more * (1 - 1 / (9 * more) + _NORMAL / (3 * more.sqrt())).pow(3)
