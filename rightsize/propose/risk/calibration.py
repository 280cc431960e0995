"""Compare predicted break probabilities with observed breaks: a table by range, and scores."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rightsize.propose.risk.break_table import MOST_WEEKS

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
