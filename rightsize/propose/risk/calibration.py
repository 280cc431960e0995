"""Compare predicted break probabilities with observed breaks: a table by bin, and the Brier score."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

_EDGES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_TAIL = 0.025
_HALVINGS = 40


@dataclass(frozen=True, slots=True)
class Prediction:
    """The predicted break probability of one proposal, and its outcome in the test days.

    Attributes:
        bound: The upper bound of the probability that it breaks something.
        expected: The probability with the peers' mean instead of its upper limit.
        broke: Whether a call of the test days was denied because of this proposal.
        basis: The basis of the estimate, as in `Estimate.basis`.
    """

    bound: float
    expected: float
    broke: bool
    basis: str


def reliability(predictions: Sequence[Prediction]) -> list[dict[str, Any]]:
    """Return one row for each bin of the bound that has at least one proposal.

    Each row has `from`, `to` (included), `count`, `predicted` and `expected` (means), `broke`, `observed` (the share
    that broke), `low` and `high` (its exact 95 % interval), and `holds`: whether `low` is at most `predicted`.
    """
    rows = []
    for low, high in itertools.pairwise(_EDGES):
        # The lowest bin includes its lower edge.
        members = [one for one in predictions if low < one.bound <= high or one.bound == low == 0]
        if members:
            rows.append({"from": low, "to": high} | summarise(members))
    return rows


def by_basis(predictions: Sequence[Prediction]) -> list[dict[str, Any]]:
    """Return one row of the numbers of `summarise` for each basis of an estimate."""
    names = sorted({one.basis for one in predictions})
    return [{"basis": name} | summarise([one for one in predictions if one.basis == name]) for name in names]


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
    """Return the mean squared errors of three predictions: `bound`, `expected` and `base_rate`.

    `base_rate` predicts for every proposal the share that broke in the end, which is unknown before. Where few break, a
    lower error is hard to reach. All three are None without predictions.
    """
    if not predictions:
        return {"bound": None, "expected": None, "base_rate": None}
    count = len(predictions)
    rate = sum(one.broke for one in predictions) / count
    return {
        "bound": round(sum((one.bound - one.broke) ** 2 for one in predictions) / count, 4),
        "expected": round(sum((one.expected - one.broke) ** 2 for one in predictions) / count, 4),
        "base_rate": round(rate * (1 - rate), 4),
    }


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
