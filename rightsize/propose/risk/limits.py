"""Limits of the mean of a count, for small samples."""

from __future__ import annotations

import polars as pl

NORMAL = 1.6449
"""The upper 95 % point of the normal distribution."""


def upper_limit(count: pl.Expr) -> pl.Expr:
    """Return the upper 95 % limit of the mean of a Poisson count (Byar's approximation): 3 for the count 0."""
    more = count + 1
    return more * (1 - 1 / (9 * more) + NORMAL / (3 * more.sqrt())).pow(3)
