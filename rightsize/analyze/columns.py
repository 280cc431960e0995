"""Compute on columns: fold ids and operations, and say which scopes contain a scope and what lies below it.

The columnar twin of `rbac.scopes`; a place is a folded scope.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from rightsize.rbac.text import Folded
from rightsize.rules.operations import Text, folded

__all__ = ["GROUP", "folded", "place_of"]

GROUP = r"^(/subscriptions/[^/]+(?:/resourcegroups/[^/]+)?)"
"""The resource group of a folded scope, or its subscription."""


def place_of(scope: Text) -> Text:
    """Return scopes in the form that compares: folded, without doubled or trailing slashes; the root is `/`."""
    single = folded(scope)
    if isinstance(single, pl.Series):
        if single.is_empty():
            return single
        column = pl.col(single.name).str
        untidy = column.contains("//", literal=True) | (column.ends_with("/") & (column.len_bytes() > 1))
        # Nearly all scopes are tidy, and checking is quicker than replacing.
        if not single.to_frame().select_seq(untidy.any()).item():
            return single
    return single.str.replace_all(r"/{2,}", "/").str.replace(r"^(.+)/$", "${1}")


ROOT = Folded("/")
_MANAGEMENT_GROUP = "/providers/microsoft.management/managementgroups/"
_SUBSCRIPTION = "/subscriptions/"

LEVELS = ("resource", "resource_group", "subscription", "management_group", "root")
# How much further an assignment reaches at each level; a convention of the creep formula (docs/verdicts.md).
REACH = {level: 4**index for index, level in enumerate(LEVELS)}


@dataclass(frozen=True, slots=True)
class ScopeTree:
    """The known tree of management groups and subscriptions.

    Attributes:
        chain: `(node, ancestor)`: every management group strictly above a management group or subscription, and the
            root above each.
        subscriptions: `(place, listed, placed)`: `placed` where a management group above it is known.
        groups: `(place, listed)` of management groups.
    """

    chain: pl.DataFrame
    subscriptions: pl.DataFrame
    groups: pl.DataFrame
    _above: dict[str, frozenset[Folded]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def ancestors_of(self, node: str) -> frozenset[Folded]:
        """Return the management groups strictly above a management group or subscription, and the root."""
        if not self._above:
            for name, ancestors in self.chain.group_by("node").agg("ancestor").iter_rows():
                self._above[name] = frozenset(ancestors)
        return self._above.get(node, frozenset())

    def below(self, place: str) -> tuple[list[Folded], list[Folded]]:
        """Return the management groups at or below a management group or the root, and the subscriptions there.

        A subscription whose place in the tree is not known may be below any management group, so it counts.
        """
        nodes = set(self.chain.filter(pl.col("ancestor") == place)["node"]) | {place}
        groups = self.groups.filter(pl.col("place").is_in(nodes))["place"].to_list()
        subscriptions = self.subscriptions.filter(pl.col("place").is_in(nodes) | ~pl.col("placed"))
        return groups, subscriptions["place"].to_list()

    def is_listed(self, place: str) -> bool:
        """Return whether a listing shows the content of a management group, or of the root."""
        if place == ROOT:
            return bool(self.groups["listed"].any()) or bool(self.subscriptions["listed"].any())
        return bool(self.groups.filter(pl.col("place") == place)["listed"].any())


def read_tree(scopes: pl.DataFrame, places: pl.Series, refused: pl.Series | None = None) -> ScopeTree:
    """Build the tree from the table `scopes`, and from `places`, the folded scopes that anything names.

    Subscriptions that only `refused` names, the folded scopes of refused calls, are left out: they may be of another
    tenant. What a listing shows or anything else names is not.
    """
    known = scopes.select(
        place=place_of(scopes["scope"]),
        parent=place_of(scopes["parent_scope"]),
        listed=pl.col("listed").fill_null(False),
    )
    named = pl.DataFrame({"place": places.unique()}).select(place=node_of("place"), parent=None, listed=False)
    if refused is not None:
        doubtful = pl.DataFrame({"place": refused.unique()}).select(place=node_of("place")).unique()
        foreign = doubtful.join(named, on="place", how="anti")
        known = pl.concat(
            [known.filter("listed"), known.filter(~pl.col("listed")).join(foreign, on="place", how="anti")]
        )
    nodes = (
        pl.concat([known, named.cast({"parent": pl.String})])
        .filter(is_node("place"))
        .group_by("place")
        # The root as parent is only implied by the text of a scope; a parent from a listing takes its place.
        .agg(pl.col("parent").filter(pl.col("parent") != ROOT).min(), pl.col("listed").any())
        .sort("place")
    )
    parents = dict(nodes.select("place", "parent").iter_rows())
    rows = [(node, ancestor) for node in parents for ancestor in _above(node, parents)]
    chain = pl.DataFrame(rows, schema={"node": pl.String, "ancestor": pl.String}, orient="row")
    placed = chain.filter(pl.col("ancestor") != ROOT)["node"].unique()
    is_group = pl.col("place").str.starts_with(_MANAGEMENT_GROUP)
    return ScopeTree(
        chain=chain,
        subscriptions=nodes.filter(~is_group).select("place", "listed", placed=pl.col("place").is_in(placed.to_list())),
        groups=nodes.filter(is_group).select("place", "listed"),
    )


def is_node(column: str) -> pl.Expr:
    """Return whether a place is a management group or a subscription itself."""
    slashes = pl.col(column).str.count_matches("/", literal=True)
    return (pl.col(column).str.starts_with(_SUBSCRIPTION) & (slashes == 2)) | (
        pl.col(column).str.starts_with(_MANAGEMENT_GROUP) & (slashes == 4)
    )


def node_of(column: str) -> pl.Expr:
    """Return the subscription or management group that a place lies in, null for the root and tenant resources."""
    parts = pl.col(column).str.split("/")
    return (
        pl.when(pl.col(column).str.starts_with(_SUBSCRIPTION))
        .then(parts.list.head(3).list.join("/"))
        .when(pl.col(column).str.starts_with(_MANAGEMENT_GROUP))
        .then(parts.list.head(5).list.join("/"))
    )


def level_of(column: str) -> pl.Expr:
    """Return the level of a place; tenant resources count as resources."""
    slashes = pl.col(column).str.count_matches("/", literal=True)
    is_group = pl.col(column).str.contains("^/subscriptions/[^/]+/resourcegroups/[^/]+$")
    return (
        pl.when(pl.col(column) == ROOT)
        .then(pl.lit("root"))
        .when(is_node(column) & (slashes == 4))
        .then(pl.lit("management_group"))
        .when(is_node(column))
        .then(pl.lit("subscription"))
        .when(is_group)
        .then(pl.lit("resource_group"))
        .otherwise(pl.lit("resource"))
    )


def containing(places: pl.Series, assigned: pl.Series, tree: ScopeTree) -> pl.DataFrame:
    """Return `(place, assigned)` for each distinct place and each assigned place that equals it or lies above it."""
    distinct = assigned.drop_nulls().unique()
    if places.is_empty() or distinct.is_empty():
        return pl.DataFrame(schema={"place": pl.String, "assigned": pl.String})
    known = pl.DataFrame({"assigned": distinct})
    here = pl.DataFrame({"place": places.unique()}).with_columns(parts=pl.col("place").str.split("/"))
    found = [
        here.filter(pl.col("parts").list.len() > size)
        .select("place", assigned=pl.col("parts").list.head(size + 1).list.join("/"))
        .join(known, on="assigned", how="semi")
        for size in distinct.str.count_matches("/", literal=True).unique().sort()
    ]
    if not (distinct == ROOT).any() and not distinct.is_in(tree.chain["ancestor"].unique().implode()).any():
        return pl.concat(found).unique()
    upwards = (
        here.select("place", node=node_of("place"))
        .join(tree.chain, on="node")
        .select("place", assigned=pl.col("ancestor"))
        .join(known, on="assigned", how="semi")
    )
    root = here.select("place", assigned=pl.lit(ROOT)).join(known, on="assigned", how="semi")
    return pl.concat([*found, upwards, root]).unique()


def _above(node: str, parents: dict[str, str | None]) -> list[str]:
    chain: list[str] = []
    parent = parents.get(node)
    while parent and parent != ROOT and parent not in chain:
        chain.append(parent)
        parent = parents.get(parent)
    return [*chain, ROOT]
