"""Define the tables that an analysis reads: one frame each, with the columns and types that `model` declares.

Replace display names in the Activity Log by operations, where the catalogue leaves no choice.

Some exports of the Activity Log have only the name that a portal shows, in English or another language ("Start Virtual
Machine", "Virtuellen Computer starten").

Compute on columns: fold ids and operations, and say which scopes contain a scope and what lies below it.

The columnar twin of `rbac.scopes`; a place is a folded scope.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields, replace
from functools import cache, wraps
from typing import TypeVar
from weakref import ref

import polars as pl

from rightsize.analyze.shared_texts import with_shared_texts
from rightsize.model.machine import give_back
from rightsize.model.progress import through
from rightsize.model.tables import Column, ColumnType, table
from rightsize.model.text import OPERATION_FORM, Folded
from rightsize.rules.operations import Text, folded, only_reads

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


def is_unnamed(operation: pl.Expr) -> pl.Expr:
    """Return whether a text of the control plane is a display name and no operation."""
    return ~operation.str.contains(OPERATION_FORM)


def with_known_names(usage_days: pl.DataFrame, operations: pl.DataFrame) -> pl.DataFrame:
    """Return `usage_days` with the operation in place of its display name, where the catalogue leaves no choice.

    Args:
        usage_days: The table.
        operations: The table; `display_name` is the text that the provider gives.
    """
    control = usage_days.filter(pl.col("plane") == "control")
    texts = control.select(pl.col("operation").unique()).filter(is_unnamed(pl.col("operation")))
    if texts.is_empty():
        return usage_days
    acts = control.join(texts, on="operation", how="semi").select("operation", "scope").unique()
    found = operations_meant(acts, operations).with_columns(plane=pl.lit("control"))
    named = usage_days.join(found, on=["operation", "scope", "plane"], how="left", maintain_order="left")
    return named.with_columns(operation=pl.coalesce("meant", "operation")).drop("meant")


def operations_meant(acts: pl.DataFrame, operations: pl.DataFrame) -> pl.DataFrame:
    """Return `(operation, scope, meant)`: the one operation that each display name stands for; others are left out.

    It is the one change of the type that was acted on with this name. Where no change of the type has the name, it is
    the one of the provider, if the catalogue names every change of the provider: the resource of an entry may be the
    parent of what was changed. Azure logs no reads.

    Args:
        acts: `(operation, scope)`, without repeats, with a display name in place of the operation.
        operations: The table; `display_name` is the text that the provider gives.
    """
    place = place_of(pl.col("scope"))
    shown = acts.with_columns(shown=folded(pl.col("operation").str.strip_chars()), kind=type_of(place))
    shown = shown.with_columns(provider=provider_of(pl.col("kind")))
    changes = (
        operations.filter(~pl.col("is_data_action").fill_null(False))
        .select(
            meant="operation", name=folded(pl.col("operation")), shown=folded(pl.col("display_name").str.strip_chars())
        )
        .filter(~only_reads(pl.col("name")))
        .with_columns(kind=type_acted_on(pl.col("name")), provider=provider_of(pl.col("name")))
    )
    named = changes.drop_nulls("shown")
    whole = changes.group_by("provider").agg(unnamed=pl.col("shown").null_count()).filter(pl.col("unnamed") == 0)
    of_type = shown.join(_single(named, "kind"), on=["shown", "kind"])
    others = shown.join(named, on=["shown", "kind"], how="anti").join(whole, on="provider", how="semi")
    of_provider = others.join(_single(named, "provider"), on=["shown", "provider"])
    return pl.concat([found.select("operation", "scope", "meant") for found in (of_type, of_provider)])


def _single(named: pl.DataFrame, within: str) -> pl.DataFrame:
    """Return `(shown, <within>, meant)` of the display names that one operation has there."""
    single = named.group_by("shown", within).agg(pl.col("meant").min(), names=pl.col("name").n_unique())
    return single.filter(pl.col("names") == 1).drop("names")


def provider_of(name: pl.Expr) -> pl.Expr:
    """Return the provider of a folded operation or resource type."""
    return name.str.extract("^([^/]*)")


def type_of(place: pl.Expr) -> pl.Expr:
    """Return the folded resource type of a folded scope, nested types included; empty for the root."""
    last = place.str.extract(r"^.*/providers/(.+)$").str.split("/")
    nested = pl.concat_str(last.list.first(), last.list.gather_every(2, 1).list.join("/"), separator="/")
    return (
        pl.when(last.is_not_null())
        .then(nested)
        .when(place.str.contains("/resourcegroups/", literal=True))
        .then(pl.lit("microsoft.resources/subscriptions/resourcegroups"))
        .when(place.str.starts_with("/subscriptions/"))
        .then(pl.lit("microsoft.resources/subscriptions"))
        .otherwise(pl.lit(""))
    )


def type_acted_on(name: pl.Expr) -> pl.Expr:
    """Return the folded type of a folded operation: the text before its verb, and before the name of an action."""
    return name.str.replace(r"/[^/]+/action$", "").str.replace(r"/(write|delete|read)$", "")


Tables = TypeVar("Tables")
Found = TypeVar("Found")

_POLARS_TYPES: dict[ColumnType, pl.DataType] = {
    ColumnType.TEXT: pl.String(),
    ColumnType.TEXTS: pl.List(pl.String()),
    ColumnType.BOOL: pl.Boolean(),
    ColumnType.INT: pl.Int64(),
    ColumnType.REAL: pl.Float64(),
    ColumnType.TIME: pl.Datetime("us"),
    ColumnType.DAY: pl.Date(),
}


def schema_of(name: str) -> dict[str, pl.DataType]:
    """Return the polars schema of a table of the store as `Store.table` reads it, columns in declared order."""
    return schema_of_columns(table(name).read)


def schema_of_columns(columns: Iterable[Column]) -> dict[str, pl.DataType]:
    """Return the polars schema of declared columns."""
    return {column.name: _POLARS_TYPES[column.type] for column in columns}


@cache
def empty(name: str) -> pl.DataFrame:
    """Return a table of the store without rows."""
    return pl.DataFrame(schema=schema_of(name))


RBAC_PLANES = ("control", "data")
TENANT_LOGS = ("graph_activity_log", "entra_audit_log")
"""Logs of the tenant itself, which show no operation that Azure RBAC allows."""


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """The tables of the store that an analysis of Azure RBAC reads, each under its own name."""

    principals: pl.DataFrame
    principal_aliases: pl.DataFrame
    group_members: pl.DataFrame
    group_closure: pl.DataFrame
    group_schedule_instances: pl.DataFrame
    listings: pl.DataFrame
    scopes: pl.DataFrame
    scope_tags: pl.DataFrame
    role_definitions: pl.DataFrame
    role_permissions: pl.DataFrame
    role_assignments: pl.DataFrame
    deny_assignments: pl.DataFrame
    role_management_policies: pl.DataFrame
    policy_assignments: pl.DataFrame
    policy_definitions: pl.DataFrame
    role_assignment_requests: pl.DataFrame
    schedule_requests: pl.DataFrame
    pim_records: pl.DataFrame
    operations: pl.DataFrame
    role_operations: pl.DataFrame
    usage_days: pl.DataFrame
    sign_ins: pl.DataFrame
    resources: pl.DataFrame
    resource_references: pl.DataFrame
    inventories: pl.DataFrame
    provider_registrations: pl.DataFrame
    diagnostic_settings: pl.DataFrame
    request_access: pl.DataFrame
    declared_needs: pl.DataFrame
    coverage: pl.DataFrame

    @classmethod
    def read(cls, table_of: Callable[[str], pl.DataFrame]) -> Inputs:
        """Read every table through `table_of`, for example `Store.table`; usage and coverage only of Azure RBAC.

        Operations stand in `usage_days` in place of their display names, where the catalogue knows these.
        """
        frames = {field.name: table_of(field.name) for field in through(fields(cls), "reading the store", "tables")}
        frames["usage_days"] = _of_rbac(frames["usage_days"])
        give_back()
        frames["coverage"] = frames["coverage"].filter(~pl.col("source").is_in(TENANT_LOGS))
        return cls(**_with_known_names(frames))

    def with_use(self, usage_days: pl.DataFrame) -> Inputs:
        """Return the tables with another `usage_days`, given as a store has it."""
        return replace(self, usage_days=with_known_names(_of_rbac(usage_days), self.operations))

    @classmethod
    def of(cls, **frames: pl.DataFrame) -> Inputs:
        """Build from the given frames; a table that is not given is empty, a column that is missing is null."""
        found = {field.name: _complete(field.name, frames.pop(field.name, None)) for field in fields(cls)}
        return cls(**_with_known_names(found))


def _of_rbac(usage_days: pl.DataFrame) -> pl.DataFrame:
    return with_shared_texts(usage_days.filter(pl.col("plane").is_in(RBAC_PLANES)))


def _with_known_names(frames: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Return the tables with operations in place of their display names, where the catalogue knows these."""
    return frames | {"usage_days": with_known_names(frames["usage_days"], frames["operations"])}


def once(*names: str) -> Callable[[Callable[[Tables], Found]], Callable[[Tables], Found]]:
    """Return a decorator that caches a step by its tables, of these names or all, as long as the tables exist.

    Inputs that share the named tables share the result.
    """

    def decorated(step: Callable[[Tables], Found]) -> Callable[[Tables], Found]:
        kept: list[tuple[list[ref[pl.DataFrame]], Found]] = []

        def forget(_: object) -> None:
            kept[:] = [entry for entry in kept if all(one() is not None for one in entry[0])]

        @wraps(step)
        def taken(inputs: Tables) -> Found:
            tables = [getattr(inputs, name) for name in names or (field.name for field in fields(Inputs))]
            for known, found in kept:
                if all(one() is frame for one, frame in zip(known, tables, strict=True)):
                    return found
            found = step(inputs)
            kept.append(([ref(frame, forget) for frame in tables], found))
            return found

        return taken

    return decorated


def _complete(name: str, frame: pl.DataFrame | None) -> pl.DataFrame:
    if frame is None:
        return empty(name)
    schema = schema_of(name)
    if list(frame.schema.items()) == list(schema.items()):
        return frame
    return frame.select(
        (pl.col(column) if column in frame.columns else pl.lit(None)).cast(type_).alias(column)
        for column, type_ in schema.items()
    )
