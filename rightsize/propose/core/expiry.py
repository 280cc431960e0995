"""Compare the end times of time-bound assignments: a replacement ends exactly when the replaced assignment ends.

An end is a text in UTC to the second (`2026-12-31T00:00:00Z`), or None for an assignment without an end. Such texts
sort like times.
"""

from __future__ import annotations

import polars as pl

EVER = "9999-12-31T23:59:59Z"
"""Represents "no end" when ends are sorted."""

AT_ONCE = ""
"""Represents the end of an activation: it is over within hours, so it does not limit access that lasts longer."""


def end_text(column: str) -> pl.Expr:
    """Return a time column as an end, rounded down to the second; null stays null."""
    return pl.col(column).dt.to_string("%Y-%m-%dT%H:%M:%SZ")


def describe_end(end: str | None) -> str:
    """Return the clause about an end for a reason; empty if there is no end."""
    return f"; it ends like today's assignment, on {end}" if end else ""


def last_of(end: str | None) -> str:
    """Return an end in a form that sorts; None becomes `EVER`."""
    return EVER if end is None else end


def lasts_as_long(one: str | None, other: str | None) -> bool:
    """Return whether access with the first end lasts at least as long as access with the other end."""
    return last_of(one) >= last_of(other)
