"""Compute the narrowest scope at which each used operation has to be granted, and the reason why it is not narrower.

The narrowest scope is the resource group, with two exceptions: today's assignment is narrower, or at most three
resources that existed through the whole window cover the use in the group. Resources come and go in their group, and
whoever creates one needs the group anyway. Creating and deleting groups needs the subscription. So does all use in a
group that comes and goes, since its successor may have another name. Use at a management group or the tenant stays
there. Use inside a resource counts at the resource; deployments and extension resources count at their target.
"""

from __future__ import annotations

import polars as pl

from rightsize.analyze.columns import folded, place_of
from rightsize.propose.core.resource_lifetimes import (
    GROUP_WRITES,
    Lifetimes,
    is_own_delete,
    is_own_write,
    resource_group_of,
    resources_of,
)
from rightsize.rbac.text import Folded

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
