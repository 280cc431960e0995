"""When assignments end: what takes the place of one that ends by itself ends with it, no later and no sooner.

An end is a text in UTC to the second (`2026-12-31T00:00:00Z`), or None for what has none; such texts order as times do.
"""

from __future__ import annotations

import polars as pl

EVER = "9999-12-31T23:59:59Z"
"""Stands for no end where ends are ordered."""

AT_ONCE = ""
"""Stands for the end of an activation, which is over within hours and no measure for anything that lasts."""


def end_text(column: str) -> pl.Expr:
    """Return a time as an end, to the second below; null for none."""
    return pl.col(column).dt.to_string("%Y-%m-%dT%H:%M:%SZ")


def said_of_end(end: str | None) -> str:
    """Return the clause that a reason has of an end; none without one."""
    return f"; it ends when today's does, on {end}" if end else ""


def last_of(end: str | None) -> str:
    """Return an end as it orders."""
    return EVER if end is None else end


def lasts_as_long(one: str | None, other: str | None) -> bool:
    """Return whether something that has the first end is there as long as something that has the other."""
    return last_of(one) >= last_of(other)
