"""Sum up what was done during each activation, and how many hours a month permanent access is in use.

A call belongs to the activation whose assignment the log names. Where the log names none, it belongs to the activation
of the same principal that was running at the time and whose role grants the call at that scope. Activating counts as
use of the eligible assignment, not of every permission in its role.
"""

from __future__ import annotations

import math

import polars as pl

from rightsize.analyze.inputs import Inputs, schema_of
from rightsize.analyze.tenant import Tenant, granted_by_patterns
from rightsize.analyze.usage import use_by_day
from rightsize.analyze.window import Window
from rightsize.model.nouns import Plane

ACTIVATIONS_SCHEMA = schema_of("activations")
NAMED = 20
"""The most operations that are named for an activation."""
QUANTILE = 0.95
"""The share of days whose work fits into the length of an activation."""


def use_of_activations(activations: pl.DataFrame, inputs: Inputs, window: Window, tenant: Tenant) -> pl.DataFrame:
    """Return the table `activations` for those of Azure roles.

    Args:
        activations: As `activations.History` has them.
        inputs: The tables.
        window: The days whose use is summed up.
        tenant: The tenant.
    """
    if activations.is_empty():
        return pl.DataFrame(schema=ACTIVATIONS_SCHEMA)
    concerned = pl.col("evidence").is_in(activations["id"].implode()) | pl.col("principal_id").is_in(
        activations["principal_id"].implode()
    )
    used = (
        use_by_day(inputs, window)
        .filter((pl.col("use") > 0) & concerned)
        .select("principal_id", "name", "operation", "plane", "place", "evidence", "first_seen", "last_seen", "use")
        .collect()
    )
    named = used.join(activations.select("activation_id", evidence="id").drop_nulls(), on="evidence")
    silent = used.filter(pl.col("evidence").is_null()).join(
        activations.select("activation_id", "principal_id", "role", "start_on", "end_on", held_at="place"),
        on="principal_id",
    )
    during = silent.filter(
        (pl.col("first_seen") >= pl.col("start_on"))
        & (pl.col("last_seen") <= pl.col("end_on")).fill_null(False)
        & ((pl.col("held_at") == "/") | (pl.col("place") + "/").str.starts_with(pl.col("held_at") + "/"))
    )
    grants = granted_by_patterns(tenant.patterns, during.select("name", "plane").unique())
    during = during.join(grants, on=["role", "name", "plane"], how="semi")
    uses = pl.concat([frame.select("activation_id", "operation", "use", name="operation") for frame in (named, during)])
    return activation_table(activations, uses, "control")


def activation_table(activations: pl.DataFrame, uses: pl.DataFrame, plane: Plane) -> pl.DataFrame:
    """Return the table `activations` of a plane.

    Args:
        activations: One row per activation, as `History` has them.
        uses: `activation_id, name, operation, use`: its operations, and how often; one name is one operation.
        plane: The plane.
    """
    done = uses.group_by("activation_id").agg(
        operations=pl.col("name").n_unique().cast(pl.Int64),
        events=pl.col("use").sum().cast(pl.Int64),
        done=pl.col("operation").unique().sort().head(NAMED),
    )
    table = activations.join(done, on="activation_id", how="left").select(
        "activation_id",
        "principal_id",
        "start_on",
        "end_on",
        "justified",
        "approved",
        "seen_in",
        plane=pl.lit(plane),
        role_definition_id="role",
        scope="place",
        role_assignment_id="id",
        eligibility_id="eligibility",
        hours=hours("start_on", "end_on"),
        operations=pl.col("operations").fill_null(0),
        events=pl.col("events").fill_null(0),
        done=pl.col("done").fill_null([]),
    )
    return table.select(pl.col(name).cast(type_) for name, type_ in ACTIVATIONS_SCHEMA.items())


def hours(start: str, end: str) -> pl.Expr:
    """Return how many hours lie between two columns of times."""
    return (pl.col(end) - pl.col(start)).dt.total_seconds() / 3600


def standing_hours(days: pl.DataFrame, window: Window, by: str) -> pl.DataFrame:
    """Return how seldom something is used: `(by, days, hours_a_month, hours_needed)`.

    A day's work lasts from its first to its last call, and at least half an hour. `hours_needed` is how long an
    activation has to last for 95 of 100 such days, in half hours.

    Args:
        days: Use by day: `by`, `day`, `first_seen`, `last_seen`.
        window: The days.
        by: The column that names what is used.
    """
    spans = days.group_by(by, "day").agg(pl.col("first_seen").min(), pl.col("last_seen").max())
    lasted = pl.max_horizontal(hours("first_seen", "last_seen"), 0.5)
    months = window.days / 30
    return (
        spans.with_columns(lasted=lasted)
        .group_by(by)
        .agg(
            days=pl.len().cast(pl.Int64),
            hours_a_month=pl.col("lasted").sum() / months,
            hours_needed=(pl.col("lasted").quantile(QUANTILE, "higher") * 2).ceil() / 2,
        )
        .sort(by)
    )


def duration(needed: float) -> str:
    """Return hours as ISO 8601 writes them, which is how policies state the length of an activation."""
    minutes = math.ceil(needed * 60)
    whole, rest = divmod(minutes, 60)
    return "PT" + (f"{whole}H" if whole else "") + (f"{rest}M" if rest or not whole else "")
