"""Compute the history before each active day from rows of usage that are in no store."""

from __future__ import annotations

import duckdb
import polars as pl

from rightsize.analyze.behaviour.first_days import LEAST_DAYS
from rightsize.store.habits import active_days, logged_days

_CALLS = "SELECT *, succeeded + failed + started + denied AS calls FROM usage_rows WHERE principal_id IS NOT NULL"


def counted(days: pl.DataFrame, places: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Return `active` and `logged` of the inputs of behaviour, of all rows of `days` and `places` that there are."""
    with duckdb.connect() as con:
        con.register("usage_rows", days)
        con.register("place_rows", places)
        return {
            "active": con.sql(active_days(f"SELECT * FROM ({_CALLS}) WHERE calls > 0", LEAST_DAYS)).pl(),
            "logged": con.sql(logged_days("SELECT * FROM place_rows WHERE principal_id IS NOT NULL")).pl(),
        }
