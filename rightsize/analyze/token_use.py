"""Sum up the calls made with the tokens of a principal's sign-ins, from every log that names the token."""

from __future__ import annotations

from typing import Any

import polars as pl

from rightsize.analyze.window import Window


def sum_tokens(calls: pl.DataFrame, window: Window) -> list[dict[str, Any]]:
    """Return one row per plane, log, kind of sign-in and resource: the number of tokens, and the calls made with them.

    Args:
        calls: Rows of the table `token_calls` of one principal.
        window: The days of interest; calls before or after them are left out.

    Returns:
        `plane`, `source`, `sign_in_kind` (None: no sign-in log shows these tokens), `resource_id`, `tokens`,
        `sessions`, `calls`, `denied`, `moved` (tokens that were used from several addresses), `first_seen`,
        `last_seen`.
    """
    return (
        calls.filter(
            pl.col("first_seen").dt.date() <= window.last_day, pl.col("last_seen").dt.date() >= window.first_day
        )
        .group_by("plane", "source", "sign_in_kind", "resource_id")
        .agg(
            pl.col("token_id").n_unique().cast(pl.Int64).alias("tokens"),
            pl.col("session_id").drop_nulls().n_unique().cast(pl.Int64).alias("sessions"),
            pl.col("calls").sum(),
            pl.col("denied").sum(),
            pl.col("token_id").filter(pl.col("addresses") > 1).n_unique().cast(pl.Int64).alias("moved"),
            pl.col("first_seen").min(),
            pl.col("last_seen").max(),
        )
        .sort("plane", "source", "sign_in_kind", "resource_id", nulls_last=True)
        .to_dicts()
    )
