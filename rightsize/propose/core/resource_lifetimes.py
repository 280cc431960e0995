"""Find the resource groups and resources that existed through the whole window, from daily use.

A scope that comes and goes cannot hold an assignment: its successor may have another name, and Azure deletes an
assignment with its scope. A write to a resource that was used before is an update, not a creation.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from rightsize.analyze.columns import folded, place_of
from rightsize.analyze.inputs import is_unnamed
from rightsize.analyze.window import Window
from rightsize.rules.matching import first_match
from rightsize.rules.tables import rows_of

GROUP_WRITES = (
    "microsoft.resources/subscriptions/resourcegroups/write",
    "microsoft.resources/subscriptions/resourcegroups/delete",
)
"""The folded operations that create and delete a resource group."""

_MOVE = "microsoft.resources/subscriptions/resourcegroups/moveresources/action"
_GROUP = r"^(/subscriptions/[^/]+/resourcegroups/[^/]+)"
_RESOURCE = r"^(/subscriptions/[^/]+/resourcegroups/[^/]+/providers/[^/]+/[^/]+/[^/]+)"
_TYPE_OF = r"^/subscriptions/[^/]+/resourcegroups/[^/]+/providers/([^/]+/[^/]+)/"


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """The lifetimes of the scopes where operations were used.

    Attributes:
        changed_groups: `(resource_group)`: folded groups that were, or may have been, created or deleted.
        lasting: `(resource)`: folded top-level resources that existed through the whole window.
        covered: Folded subscriptions whose Activity Log covers the whole window: elsewhere creations and deletions
            are unknown.
    """

    changed_groups: pl.DataFrame
    lasting: pl.DataFrame
    covered: pl.Series


def read_lifetimes(usage_days: pl.DataFrame, window: Window, covered: pl.Series) -> Lifetimes:
    """Return the lifetimes of resource groups and resources in the window.

    Args:
        usage_days: The table, including the days before the window: earlier use proves earlier existence.
        window: The window.
        covered: As in `Lifetimes`.
    """
    done = _done(usage_days)
    subscription = pl.col("resource").str.split("/").list.head(3).list.join("/")
    return Lifetimes(
        changed_groups=_changed_groups(done, window),
        lasting=_lasting_resources(done, window).filter(subscription.is_in(covered.implode())),
        covered=covered,
    )


def resource_group_of(scope: pl.Expr) -> pl.Expr:
    """Return the folded resource group of a scope (itself or the one around it); null above resource groups."""
    return place_of(scope).str.extract(_GROUP)


def resources_of(places: pl.Series) -> pl.DataFrame:
    """Return `(place, resource)`: for each distinct folded place its top-level resource (itself or one above).

    `resource` is null above resources, and for deployments and extension resources: they count at the scope that they
    target, which for those directly below a resource group is the group.
    """
    found = pl.DataFrame({"place": places.unique()}).with_columns(
        resource=pl.col("place").str.extract(_RESOURCE), kind=kind_of(pl.col("place"))
    )
    kinds = found["kind"].drop_nulls().unique()
    extends = kinds.filter(first_match(kinds, [row["pattern"] for row in rows_of("extension_types")]).is_not_null())
    counts = pl.col("resource").is_not_null() & ~pl.col("kind").is_in(extends.implode())
    return found.select("place", resource=pl.when(counts).then("resource"))


def is_own_write(operation: pl.Expr, resource: pl.Expr, place: pl.Expr) -> pl.Expr:
    """Return whether a folded operation at a folded place creates or updates a top-level resource itself."""
    return ((place == resource) & (operation == kind_of(resource) + "/write")).fill_null(False)


def is_own_delete(operation: pl.Expr, resource: pl.Expr, place: pl.Expr) -> pl.Expr:
    """Return whether a folded operation at a folded place deletes a top-level resource itself."""
    return ((place == resource) & (operation == kind_of(resource) + "/delete")).fill_null(False)


def kind_of(resource: pl.Expr) -> pl.Expr:
    """Return the folded type of a folded top-level resource."""
    return resource.str.extract(_TYPE_OF)


def _done(usage_days: pl.DataFrame) -> pl.DataFrame:
    """Return the daily use inside resource groups that succeeded or may have succeeded.

    Columns: `operation` and `place` (folded), `resource_group`, `resource`, `day`, `first_seen`, `unnamed` (the log
    names no operation), and `sure_from`, a time at which the place certainly existed: null if no call is known to have
    succeeded.
    """
    use = usage_days.filter(pl.col("succeeded").fill_null(0) + pl.col("started").fill_null(0) > 0)
    operations = pl.DataFrame({"operation": use["operation"].unique()}).with_columns(
        name=folded(pl.col("operation")), odd=is_unnamed(pl.col("operation"))
    )
    unnamed = (pl.col("odd") & (pl.col("plane") == "control")).fill_null(False)
    scopes = pl.DataFrame({"scope": use["scope"].unique()}).with_columns(place=place_of(pl.col("scope")))
    scopes = scopes.with_columns(resource_group=resource_group_of(pl.col("place"))).drop_nulls("resource_group")
    scopes = scopes.join(resources_of(scopes["place"]), on="place", how="left")
    others = pl.sum_horizontal(pl.col(outcome).fill_null(0) for outcome in ("started", "failed", "denied"))
    # The first call of a day may have failed. On a day with calls that did not succeed, use the last call instead.
    sure_from = pl.when(pl.col("succeeded").fill_null(0) > 0).then(
        pl.when(others > 0).then("last_seen").otherwise("first_seen")
    )
    return (
        use.select("operation", "scope", "plane", "day", "first_seen", sure_from=sure_from)
        .join(operations, on="operation")
        .join(scopes, on="scope")
        .select(
            "day", "place", "resource_group", "resource", "first_seen", "sure_from", operation="name", unnamed=unnamed
        )
    )


def _changed_groups(done: pl.DataFrame, window: Window) -> pl.DataFrame:
    """Return the folded groups that were, or may have been, created in the window or ever deleted."""
    begun = done.group_by("resource_group").agg(begun=pl.col("sure_from").min())
    made = (
        done.filter((pl.col("operation") == GROUP_WRITES[0]) & window.holds("day"))
        .group_by("resource_group")
        .agg(pl.col("first_seen").min())
        .join(begun, on="resource_group")
        .filter((pl.col("first_seen") <= pl.col("begun")).fill_null(True))
    )
    perhaps = pl.col("unnamed") & (pl.col("place") == pl.col("resource_group"))
    deleted = done.filter((pl.col("operation") == GROUP_WRITES[1]) | perhaps)
    return pl.concat([made.select("resource_group"), deleted.select("resource_group")]).unique().sort("resource_group")


def _lasting_resources(done: pl.DataFrame, window: Window) -> pl.DataFrame:
    """Return the folded resources that existed before the first write to them, and were neither deleted nor moved."""
    inside = done.drop_nulls("resource")
    operation, resource, place = pl.col("operation"), pl.col("resource"), pl.col("place")
    moved = done.filter(operation == _MOVE)["resource_group"].unique()
    seen = inside.group_by("resource", "resource_group").agg(
        sure_from=pl.col("sure_from").min(),
        written=pl.col("first_seen").filter(is_own_write(operation, resource, place)).min(),
        deleted=(is_own_delete(operation, resource, place) | (pl.col("unnamed") & (place == resource))).any(),
    )
    # A log that covers the window and has no write to a resource proves that nobody created it in the window.
    made_before = (
        pl.col("written").is_null()
        | (pl.col("written") < window.start)
        | (pl.col("sure_from") < pl.col("written")).fill_null(False)
    )
    lasts = made_before & ~pl.col("deleted") & ~pl.col("resource_group").is_in(moved.implode())
    return seen.filter(lasts).select("resource").sort("resource")
