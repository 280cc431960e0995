"""Compute the chance that a change breaks something, from what the last days brought, and compare it with breaks.

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

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from rightsize.propose.risk.incidence import CELL, EARLY
from rightsize.rules.prices import measured_proposals

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


_EDGES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_TAIL = 0.025
_HALVINGS = 40


@dataclass(frozen=True, slots=True)
class Prediction:
    """The predicted break probability of one proposal, and its outcome in the test days.

    Attributes:
        bound: The upper bound of the probability that it breaks something.
        expected: The probability.
        broke: Whether a call of the test days was denied because of this proposal.
        basis: The basis of the estimate, as in `Estimate.basis`.
        new_weeks: The weeks that brought something of their own, as in `Estimate.new_weeks`.
    """

    bound: float
    expected: float
    broke: bool
    basis: str
    new_weeks: int = 0


def reliability(predictions: Sequence[Prediction]) -> list[dict[str, Any]]:
    """Return one row for each range of the expected probability that has at least one proposal.

    Each row has `from`, `to` (included), `count`, `expected` and `predicted` (the means of the probability and of its
    bound), `broke`, `observed` (the share that broke), `low` and `high` (its exact 95 % interval), and `holds`: whether
    `low` is at most `predicted`.
    """
    return [
        {"from": low, "to": high} | summarise([predictions[number] for number in members])
        for low, high, members in _ranges([one.expected for one in predictions])
    ]


def _ranges(said: Sequence[float]) -> Iterator[tuple[float, float, list[int]]]:
    """Yield each range with a probability, and the positions of those in it; the lowest includes its lower edge."""
    for low, high in itertools.pairwise(_EDGES):
        members = [number for number, one in enumerate(said) if low < one <= high or one == low == 0]
        if members:
            yield low, high, members


def by_basis(predictions: Sequence[Prediction]) -> list[dict[str, Any]]:
    """Return one row of the numbers of `summarise` for each basis of an estimate."""
    names = sorted({one.basis for one in predictions})
    return [{"basis": name} | summarise([one for one in predictions if one.basis == name]) for name in names]


def by_weeks(predictions: Sequence[Prediction]) -> list[dict[str, Any]]:
    """Return one row of the numbers of `summarise` for each basis and number of `new_weeks`; 3 means 3 and more.

    `measured_breaks.csv` has these counts of generated tenants.
    """
    cells: dict[tuple[str, int], list[Prediction]] = {}
    for one in predictions:
        cells.setdefault((one.basis, min(one.new_weeks, MOST_WEEKS)), []).append(one)
    return [{"basis": basis, "new_weeks": weeks} | summarise(found) for (basis, weeks), found in sorted(cells.items())]


def summarise(members: Sequence[Prediction]) -> dict[str, Any]:
    """Return the numbers of one row of `reliability` for at least one prediction."""
    count, broke = len(members), sum(one.broke for one in members)
    low, high = exact_interval(broke, count)
    predicted = sum(one.bound for one in members) / count
    return {
        "count": count,
        "predicted": round(predicted, 4),
        "expected": round(sum(one.expected for one in members) / count, 4),
        "broke": broke,
        "observed": round(broke / count, 4),
        "low": round(low, 4),
        "high": round(high, 4),
        "holds": low <= predicted,
    }


def brier(predictions: Sequence[Prediction]) -> dict[str, float | None]:
    """Return the mean squared errors of three predictions: of `bound`, `expected` and the base rate.

    The base rate predicts for every proposal the share that broke in the end, which is unknown before. Where few break,
    a lower error is hard to reach. All three are None without predictions.
    """
    if not predictions:
        return {"brier": None, "brier_expected": None, "brier_base_rate": None}
    count = len(predictions)
    rate = sum(one.broke for one in predictions) / count
    return {
        "brier": round(sum((one.bound - one.broke) ** 2 for one in predictions) / count, 4),
        "brier_expected": round(sum((one.expected - one.broke) ** 2 for one in predictions) / count, 4),
        "brier_base_rate": round(rate * (1 - rate), 4),
    }


def scores(predictions: Sequence[Prediction]) -> dict[str, float | None]:
    """Return all scores as a document has them; all are None without predictions.

    The errors of `brier`; `calibration_error` and `area` are of the expected probability, `calibration_error_bound` and
    `area_bound` of the bound.
    """
    broke = [one.broke for one in predictions]
    expected, bound = [one.expected for one in predictions], [one.bound for one in predictions]
    return {
        **brier(predictions),
        "calibration_error": calibration_error(expected, broke),
        "calibration_error_bound": calibration_error(bound, broke),
        "area": area_under_curve(expected, broke),
        "area_bound": area_under_curve(bound, broke),
    }


def calibration_error(said: Sequence[float], broke: Sequence[bool]) -> float | None:
    """Return the mean difference between the probability and the share that broke, over the ranges of the table.

    A range weighs as many as it has proposals.
    """
    if not said:
        return None
    off = (abs(sum(said[i] - broke[i] for i in members)) for _, _, members in _ranges(said))
    return round(math.fsum(off) / len(said), 4)


def area_under_curve(said: Sequence[float], broke: Sequence[bool]) -> float | None:
    """Return how often a proposal that broke had a higher probability than one that did not; a tie counts half.

    It is the area under the ROC curve: 0.5 for a guess, 1 where all that broke stand before all others. None where all
    broke, or none.
    """
    broken = sum(broke)
    if broken in (0, len(broke)):
        return None
    below = wins = 0
    for _, tied in itertools.groupby(sorted(zip(said, broke, strict=True)), key=lambda one: one[0]):
        outcomes = [one for _, one in tied]
        hit = sum(outcomes)
        # Twice the number of pairs that are in order, so that a tie counts one.
        wins += hit * (2 * below + len(outcomes) - hit)
        below += len(outcomes) - hit
    return round(wins / (2 * broken * (len(broke) - broken)), 4)


def exact_interval(hits: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Clopper and Pearson 1934); it is 0 to 1 where `count` is 0.

    Wilson's interval is narrower, and its lower limit is too high for rare events in a small group: one break of eight
    would refute a probability of 2 %, although that happens in one of seven such groups.
    """
    low = 0.0 if hits == 0 else _solve(lambda share: _at_least(hits, count, share) < _TAIL)
    high = 1.0 if hits == count else _solve(lambda share: _at_least(hits + 1, count, share) < 1 - _TAIL)
    return low, high


def _solve(is_below: Callable[[float], bool]) -> float:
    """Return the share up to which the condition holds, found by bisection."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if is_below(middle) else (low, middle)
    return low


def _at_least(hits: int, count: int, share: float) -> float:
    """Return the probability of `hits` or more among `count` trials with the probability `share` each."""
    log_share, log_rest = math.log(share), math.log1p(-share)
    whole = math.lgamma(count + 1)
    fewer = (
        whole - math.lgamma(k + 1) - math.lgamma(count - k + 1) + k * log_share + (count - k) * log_rest
        for k in range(hits)
    )
    return 1 - math.fsum(math.exp(term) for term in fewer)
