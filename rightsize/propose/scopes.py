"""Where a used operation has to be granted: the narrowest scope that respects the scope floor.

The floor is the resource group, unless today's grant is narrower: resources come and go under their group, and who
creates one needs the group anyway. Creating and deleting groups needs the subscription, and so does all that is done
in a group that was made or deleted inside the window, since its successor may have another name. What is done at a
management group or the tenant stays there. Deployments and extension resources count at what they target.
"""

from __future__ import annotations

import polars as pl

from rightsize.analyze.text import folded, place_of
from rightsize.analyze.window import Window

GROUP_WRITES = (
    "microsoft.resources/subscriptions/resourcegroups/write",
    "microsoft.resources/subscriptions/resourcegroups/delete",
)
"""Creating and deleting a resource group, folded."""

_GROUP = r"^(/subscriptions/[^/]+/resourcegroups/[^/]+)"
_SUBSCRIPTION = r"^(/subscriptions/[^/]+)"
_MANAGEMENT_GROUP = r"^(/providers/microsoft\.management/managementgroups/[^/]+)"


def resource_group_of(scope: pl.Expr) -> pl.Expr:
    """Return the folded resource group that a scope is or lies in, null above resource groups."""
    return place_of(scope).str.extract(_GROUP)


def anchor_of(scope: pl.Expr) -> pl.Expr:
    """Return the folded subscription or management group of a scope; `/` for everything else."""
    text = place_of(scope)
    return pl.coalesce(text.str.extract(_SUBSCRIPTION), text.str.extract(_MANAGEMENT_GROUP), pl.lit("/"))


def is_below(child: pl.Expr, parent: pl.Expr) -> pl.Expr:
    """Return whether a folded scope is another, or lies below it by its text: no management group counts here."""
    return (child == parent) | child.str.starts_with(parent + "/")


def changed_resource_groups(usage_days: pl.DataFrame, window: Window) -> pl.DataFrame:
    """Return the folded `resource_group`s that somebody created or deleted in the window.

    A write to a group in which something was done before is an update of its tags, and no creation.
    """
    uses = usage_days.lazy().select(
        "day",
        "first_seen",
        resource_group=resource_group_of(pl.col("scope")),
        operation=folded(pl.col("operation")),
        done=pl.col("succeeded") + pl.col("started") > 0,
    )
    uses = uses.filter(pl.col("resource_group").is_not_null())
    begun = uses.group_by("resource_group").agg(begun=pl.col("first_seen").min())
    return (
        uses.filter(pl.col("operation").is_in(GROUP_WRITES) & pl.col("done") & window.holds("day"))
        .group_by("resource_group", "operation")
        .agg(first_seen=pl.col("first_seen").min())
        .join(begun, on="resource_group")
        .filter((pl.col("operation") == GROUP_WRITES[1]) | (pl.col("first_seen") <= pl.col("begun")))
        .select("resource_group")
        .unique()
        .sort("resource_group")
        .collect()
    )


def place(uses: pl.DataFrame, changed: pl.DataFrame) -> pl.DataFrame:
    """Add `target`, the folded scope where each use has to be granted.

    Args:
        uses: Columns `operation`, `scope` (where it was used) and `assigned_at` (today's scope, at or above it).
        changed: As `changed_resource_groups` returns it.
    """
    group = resource_group_of(pl.col("scope"))
    moving = group.is_in(changed["resource_group"].implode()) | folded(pl.col("operation")).is_in(GROUP_WRITES)
    floor = pl.when(moving.fill_null(False)).then(None).otherwise(group)
    floored = uses.with_columns(
        _floor=pl.coalesce(floor, anchor_of(pl.col("scope"))), _today=place_of(pl.col("assigned_at"))
    )
    narrower = is_below(pl.col("_today"), pl.col("_floor"))
    return floored.with_columns(target=pl.when(narrower).then("_today").otherwise("_floor")).drop("_floor", "_today")
