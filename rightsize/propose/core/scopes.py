"""Compute the narrowest scope at which each used operation has to be granted, and the reason why it is not narrower.

The narrowest scope is the resource group, with two exceptions: today's assignment is narrower, or at most three
resources that existed through the whole window cover the use in the group. Resources come and go in their group, and
whoever creates one needs the group anyway. Creating and deleting groups needs the subscription. So does all use in a
group that comes and goes, since its successor may have another name. Use at a management group or the tenant stays
there. Use inside a resource counts at the resource; deployments and extension resources count at their target.

Which resource groups and resources existed through the whole window follows from daily use.

A scope that comes and goes cannot hold an assignment: its successor may have another name, and Azure deletes an
assignment with its scope. A write to a resource that was used before is an update, not a creation.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from rightsize.analyze.inputs import folded, is_unnamed, place_of
from rightsize.analyze.window import Window
from rightsize.model.text import Folded
from rightsize.rules.operations import first_match
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


MANAGEMENT_GROUP = "/providers/microsoft.management/managementgroups/"
"""The prefix of the folded scope of a management group."""

FEW_RESOURCES = 3
"""Maximum number of resources of one group that may replace the group as scopes."""
FEW_PER_ASSIGNMENT = 10
"""Maximum number of resources that may replace the groups of one assignment: each needs its own assignment."""

USED_HERE = "used_here"
WIDER = {
    USED_HERE: "it was used at exactly this scope",
    "inside_resource": "the use of a child or an extension of a resource counts at the resource",
    "targets_group": "deployments and extension resources count at the resource group that they target",
    "creates_resources": "creating or deleting resources is granted at their resource group",
    "resource_comes_and_goes": "a used resource was created, moved or deleted, or may have been",
    "existence_unproved": "the log does not cover the window, so it is not known which resources existed throughout",
    "many_resources": f"it was used on more than {FEW_RESOURCES} resources of a resource group, or the assignment on "
    f"more than {FEW_PER_ASSIGNMENT} resources in all",
    "group_needed_anyway": "another need there already has the resource group as its scope",
    "eligible_floor": "eligible access is not given at single resources",
    "granted_here": "today's assignment is at this scope, and no proposal reaches beyond it",
    "creates_groups": "creating or deleting resource groups is granted at their subscription",
    "group_comes_and_goes": "the resource group was created or deleted, and the next one may have another name",
    "subscription_use": "it was used at the subscription, or on a resource outside all resource groups",
    "management_group_use": "it was used at the management group",
    "tenant_use": "it was used at the tenant",
}
"""The reason why a need is at its scope and not at a narrower one, one sentence a word."""

_SUBSCRIPTION = r"^(/subscriptions/[^/]+)"
_MANAGEMENT_GROUP = r"^(/providers/microsoft\.management/managementgroups/[^/]+)"
_KEY = ("role_assignment_id", "state")


def anchor_of(scope: pl.Expr) -> pl.Expr:
    """Return the folded subscription or management group of a scope; `/` for everything else."""
    text = place_of(scope)
    return pl.coalesce(text.str.extract(_SUBSCRIPTION), text.str.extract(_MANAGEMENT_GROUP), pl.lit("/"))


def is_below(child: pl.Expr, parent: pl.Expr) -> pl.Expr:
    """Return whether a folded scope equals another or is below it by its text; ignores the management group tree."""
    return (child == parent) | child.str.starts_with(parent + "/")


def group_at_least(place: Folded, assigned: Folded) -> Folded:
    """Return the scope for an operation that cannot be granted at a single resource: at least the resource group.

    A resource becomes its resource group, and any other place stays as it is. The status of an operation is read there:
    its address does not name the resource (Microsoft Learn: Track asynchronous Azure operations). If today's assignment
    is at or inside a resource of that group, the result is the scope of that assignment, which adds no access.

    Args:
        place: The folded scope where the operation is needed.
        assigned: The folded scope of today's assignment.
    """
    segments = place.split("/")
    if not place.startswith("/subscriptions/") or len(segments) <= 5:
        return place
    group = Folded("/".join(segments[:5]))
    return assigned if assigned.startswith(group + "/") else group


def place(uses: pl.DataFrame, lifetimes: Lifetimes) -> pl.DataFrame:
    """Add `target`, the folded scope at which each use has to be granted, and `wider`, the reason for its width.

    Args:
        uses: Columns `role_assignment_id`, `state`, `operation`, `scope` (where it was used) and `assigned_at` (today's
            scope, at or above it).
        lifetimes: The lifetimes of resources and groups in the window.
    """
    named = uses.with_columns(
        _name=folded(pl.col("operation")),
        _place=place_of(pl.col("scope")),
        _today=place_of(pl.col("assigned_at")),
        _anchor=anchor_of(pl.col("scope")),
    ).with_columns(_group=resource_group_of(pl.col("_place")))
    known = named.join(
        resources_of(named["_place"]).rename({"place": "_place", "resource": "_resource"}), on="_place", how="left"
    )
    judged = _judge(known, lifetimes)
    few = _few_resources(judged)
    floored = judged.join(few, on=[*_KEY, "_group"], how="left", nulls_equal=True).with_columns(_floor=_floor())
    narrower = is_below(pl.col("_today"), pl.col("_floor"))
    placed = floored.with_columns(target=pl.when(narrower).then("_today").otherwise("_floor"))
    return placed.with_columns(wider=_why_wider(narrower)).select(*uses.columns, "target", "wider")


def _judge(known: pl.DataFrame, lifetimes: Lifetimes) -> pl.DataFrame:
    """Add to each use whether it needs the subscription (`_moves`), and what rules out a resource (`_hindrance`)."""
    name, resource, at = pl.col("_name"), pl.col("_resource"), pl.col("_place")
    lasting = resource.is_in(lifetimes.lasting["resource"].implode()).fill_null(False)
    covered = pl.col("_anchor").is_in(lifetimes.covered.implode())
    makes = is_own_delete(name, resource, at) | (is_own_write(name, resource, at) & ~lasting)
    hindrance = (
        pl.when(pl.col("_group").is_null())
        .then(None)
        .when(pl.col("state") == "eligible")
        .then(pl.lit("eligible_floor"))
        .when(at == pl.col("_group"))
        .then(pl.lit(USED_HERE))
        .when(resource.is_null())
        .then(pl.lit("targets_group"))
        .when(~covered)
        .then(pl.lit("existence_unproved"))
        .when(makes)
        .then(pl.lit("creates_resources"))
        .when(~lasting)
        .then(pl.lit("resource_comes_and_goes"))
    )
    changed = pl.col("_group").is_in(lifetimes.changed_groups["resource_group"].implode()).fill_null(False)
    return known.with_columns(
        _makes_group=name.is_in(GROUP_WRITES), _changed=changed, _hindrance=hindrance
    ).with_columns(_moves=pl.col("_makes_group") | pl.col("_changed"))


def _few_resources(judged: pl.DataFrame) -> pl.DataFrame:
    """Return `(role_assignment_id, state, _group, _few, _free)` for the resource groups with use.

    `_free`: no use there has a hindrance. `_few`: few enough resources are used, in the group and in the assignment.
    """
    groups = (
        judged.filter(pl.col("_group").is_not_null() & ~pl.col("_moves"))
        .group_by(*_KEY, "_group")
        .agg(_free=pl.col("_hindrance").is_null().all(), number=pl.col("_resource").n_unique())
    )
    few = pl.col("number") <= FEW_RESOURCES
    in_all = pl.when(few & pl.col("_free")).then("number").otherwise(0).sum().over(_KEY)
    counted = groups.with_columns(_few=few & (in_all <= FEW_PER_ASSIGNMENT))
    return counted.drop("number")


def _floor() -> pl.Expr:
    free = pl.col("_few").fill_null(False) & pl.col("_free").fill_null(False)
    return (
        pl.when(pl.col("_moves") | pl.col("_group").is_null())
        .then("_anchor")
        .when(free)
        .then("_resource")
        .otherwise("_group")
    )


def _why_wider(granted_here: pl.Expr) -> pl.Expr:
    """Return the word of `WIDER` for each use, whose column `target` is the scope of the grant."""
    anchor = pl.col("_anchor")
    at_group = pl.coalesce(
        "_hindrance",
        pl.when(~pl.col("_few").fill_null(False)).then(pl.lit("many_resources")),
        pl.lit("group_needed_anyway"),
    )
    at_anchor = (
        pl.when(pl.col("_makes_group"))
        .then(pl.lit("creates_groups"))
        .when(pl.col("_changed"))
        .then(pl.lit("group_comes_and_goes"))
        .when(anchor == "/")
        .then(pl.lit("tenant_use"))
        .when(anchor.str.starts_with("/providers/"))
        .then(pl.lit("management_group_use"))
        .otherwise(pl.lit("subscription_use"))
    )
    return (
        pl.when(pl.col("target") == pl.col("_place"))
        .then(pl.lit(USED_HERE))
        .when(granted_here & (pl.col("target") != pl.col("_floor")))
        .then(pl.lit("granted_here"))
        .when(pl.col("target") == anchor)
        .then(at_anchor)
        .when(pl.col("target") == pl.col("_group"))
        .then(at_group)
        .otherwise(pl.lit("inside_resource"))
    )


def anchor_of_place(place: Folded) -> Folded:
    """Return the folded subscription or management group of a folded scope; `/` for the root."""
    segments = place.split("/")
    if place.startswith("/subscriptions/"):
        return Folded("/".join(segments[:3]))
    return Folded("/".join(segments[:5]) if place.startswith("/providers/") else "/")
