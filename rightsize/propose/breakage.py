"""How likely it is that something removed would have been needed soon: a bound from what the window showed."""

from __future__ import annotations

HORIZON_DAYS = 30


def break_probability(days: int, once: int, twice: int, *, horizon: int = HORIZON_DAYS) -> float:
    """Return an upper estimate of the chance that an operation unseen so far is used within `horizon` days.

    The days of the window are the sampling units, since calls come in bursts. Turing's estimate of new operations
    per further day is (operations seen on exactly one day) / days; Chao and Jost (2012) correct it by
    A = (T-1)·Q1 / ((T-1)·Q1 + 2·Q2). One singleton more than was seen is assumed, so that silence never means 0
    (Laplace), and the chance of at least one new operation is at most the expected number of them.

    It speaks of logged operations only, and of habits: what is done once a year does not show in a window of days.

    Args:
        days: Days of the window.
        once: Operations seen on exactly one day.
        twice: Operations seen on exactly two days.
        horizon: Days ahead.
    """
    if days < 1:
        return 1.0
    singletons = once + 1
    correction = 1.0 if days == 1 else (days - 1) * singletons / ((days - 1) * singletons + 2 * twice)
    daily = min(1.0, singletons / (days + 1) * correction)
    return float(round(1.0 - (1.0 - daily) ** horizon, 4))
