"""Replace display names in the Activity Log by operations, where the catalogue leaves no choice.

Some exports of the Activity Log have only the name that a portal shows, in English or another language ("Start Virtual
Machine", "Virtuellen Computer starten").
"""

from __future__ import annotations

import polars as pl

from rightsize.analyze.text import folded, place_of
from rightsize.rbac.text import OPERATION_FORM

READ = "/read"


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
        .filter(~pl.col("name").str.ends_with(READ))
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
