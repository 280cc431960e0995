"""Compute which layers of defence each principal can defeat in each subscription, and where it can defeat several.

Defence in depth holds while its layers fail one by one. A principal that can switch off two layers turns them into one.
The rules (`rules/layers.csv`) say what an operation does to a layer; this module computes who may perform it where.
Deny assignments are left out, because a principal that can remove one is not stopped by it. Leaving them out may
overstate what an attacker can do.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import polars as pl

from rightsize.analyze.inputs import ScopeTree, node_of, schema_of
from rightsize.analyze.reasons import Verdict
from rightsize.analyze.tenant import Tenant
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.model.nouns import LAYERS
from rightsize.rules.operations import EFFECTS, LAYER_BITS, layers_in, layers_of

ASSIGNED_SCHEMA = {
    "holder": pl.String(),
    "place": pl.String(),
    "role": pl.String(),
    "state": pl.String(),
    "condition": pl.String(),
}
"""The columns of an assignment in this module, with folded holder, scope and role; `state` is active or eligible."""
_KEY = ("principal_id", "scope", "basis", "state")
_STANDING = {"active": "active", "eligible": "eligible", "activated": "eligible"}


@dataclass(frozen=True, slots=True)
class LayerAnswer:
    """The layers that principals can defeat.

    Attributes:
        defeats: As the table `layer_defeats`.
        violations: As the table `layer_violations`.
    """

    defeats: pl.DataFrame
    violations: pl.DataFrame


def today(assignments: pl.DataFrame) -> pl.DataFrame:
    """Return today's assignments of a tenant as `ASSIGNED_SCHEMA`; an activation counts as its eligibility."""
    return assignments.filter(~pl.col("twin")).select(
        holder="principal_id",
        place="place",
        role="role",
        state=pl.col("state").replace_strict(_STANDING, default="active"),
        condition="condition",
    )


def measure_layers(
    analysis: Analysis, proposed: pl.DataFrame | None = None, planned: pl.DataFrame | None = None
) -> LayerAnswer:
    """Return the layers that each principal can defeat as granted, as used, and under a plan.

    Args:
        analysis: The verdicts.
        proposed: The assignments under a plan, as `ASSIGNED_SCHEMA`.
        planned: `(role, name, plane, conditional)`: the grants of the roles that the plan introduces.
    """
    tenant = analysis.tenant
    harm = harmful(tenant.operations)
    parts = [granted_defeats(today(tenant.assignments), tenant.grants, harm, tenant, "granted"), _used(analysis, harm)]
    if proposed is not None:
        grants = tenant.grants if planned is None else pl.concat([tenant.grants, planned.select(tenant.grants.columns)])
        parts.append(granted_defeats(proposed, grants, harm, tenant, "proposed"))
    found = pl.concat(parts)
    return LayerAnswer(_defeats(found, harm), violations_in(found, harm))


def harmful(operations: pl.DataFrame) -> pl.DataFrame:
    """Return `(name, plane, operation, mask, rank, layers)`: the operations that defeat anything, the worst first."""
    spelt = operations.select("name", "plane", "operation").unique(["name", "plane"], keep="first", maintain_order=True)
    worst = {effect: rank for rank, effect in enumerate(EFFECTS)}
    found = layers_of(spelt.select("name", "plane"))
    return (
        found.group_by("name", "plane")
        .agg(
            mask=pl.col("layer").replace_strict(LAYER_BITS, return_dtype=pl.Int64).sum(),
            effect=pl.col("effect").replace_strict(worst, return_dtype=pl.Int64).min(),
            rule=pl.col("rule").min(),
        )
        .join(spelt, on=["name", "plane"])
        .sort("effect", "rule", "operation", "plane")
        .with_row_index("rank")
        .select("name", "plane", "operation", "mask", "rank")
    )


def granted_defeats(
    assigned: pl.DataFrame, grants: pl.DataFrame, harm: pl.DataFrame, tenant: Tenant, basis: str
) -> pl.DataFrame:
    """Return `(principal_id, scope, basis, state, mask, rank, operations, whole, conditional)`.

    One row per set of layers that some operation defeats alone; `rank` is the worst such operation, `operations` their
    number, `whole` whether it holds for the whole of the subscription.
    """
    roles = (
        grants.join(harm, on=["name", "plane"])
        .group_by("role", "mask", "conditional")
        .agg(pl.col("rank").min(), operations=pl.len().cast(pl.Int64))
        .rename({"conditional": "in_role"})
    )
    places = subscriptions_of(assigned["place"], tenant.tree)
    held = (
        assigned.unique()
        .join(roles, on="role")
        .join(places, on="place")
        .with_columns(conditional=pl.col("condition").is_not_null() | pl.col("in_role"))
        .group_by("holder", "scope", "state", "mask", "conditional")
        .agg(pl.col("rank").min(), pl.col("operations").max(), pl.col("whole").any())
    )
    return (
        held.join(identities(tenant), on="holder")
        .group_by("principal_id", "scope", "state", "mask", "conditional")
        .agg(pl.col("rank").min(), pl.col("operations").max(), pl.col("whole").any())
        .select(*_part(basis))
    )


def identities(tenant: Tenant) -> pl.DataFrame:
    """Return `(principal_id, holder)` of acting principals; a group stands for itself only without known members."""
    with_members = tenant.membership.filter(pl.col("principal_id") != pl.col("holder"))["holder"].unique()
    return tenant.membership.filter(~pl.col("principal_id").is_in(with_members.implode()))


def _used(analysis: Analysis, harm: pl.DataFrame) -> pl.DataFrame:
    """Return the columns of `granted_defeats` for the operations that each principal used."""
    places = analysis.verdicts.filter(pl.col("verdict") == Verdict.USED.value)
    used = places.join(harm.select("operation", "plane", "mask", "rank"), on=["operation", "plane"])
    at = used.select(
        "principal_id", "mask", "rank", "operation",
        place=pl.col("scope").str.to_lowercase(),
        state=pl.col("state").replace_strict(_STANDING, default="active"),
    )  # fmt: skip
    return (
        at.with_columns(scope=pl.coalesce(node_of("place"), "place"))
        .group_by("principal_id", "scope", "state", "mask")
        .agg(pl.col("rank").min(), pl.col("operation").n_unique().cast(pl.Int64).alias("operations"))
        .with_columns(whole=pl.lit(False), conditional=pl.lit(False))
        .select(*_part("used"))
    )


def _part(basis: str) -> list[pl.Expr | str]:
    return [
        "principal_id", "scope", pl.lit(basis).alias("basis"), "state",
        "mask", "rank", "operations", "whole", "conditional",
    ]  # fmt: skip


def subscriptions_of(places: pl.Series, tree: ScopeTree) -> pl.DataFrame:
    """Return `(place, scope, whole)`: the subscriptions that a place lies in or contains.

    A management group or the root of which no subscription is known stands for itself.
    """
    named = pl.DataFrame({"place": places.unique()}).with_columns(node=node_of("place"))
    low = named.filter(pl.col("place").str.starts_with("/subscriptions/"))
    rows = []
    for place in named.join(low, on="place", how="anti")["place"].sort():
        _, below = tree.below(place)
        rows += [(place, scope, True) for scope in below or [place]]
    high = pl.DataFrame(rows, schema={"place": pl.String, "scope": pl.String, "whole": pl.Boolean}, orient="row")
    return pl.concat([low.select("place", scope="node", whole=pl.col("place") == pl.col("node")), high])


def _defeats(found: pl.DataFrame, harm: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of the table `layer_defeats`: one a layer, with the worst operation that defeats it."""
    spelt = harm.select("rank", "name", "plane", "operation")
    bits = pl.DataFrame(
        {"layer": list(LAYER_BITS), "bit": list(LAYER_BITS.values())}, schema_overrides={"bit": pl.Int64}
    )
    each = found.join(bits, how="cross").filter((pl.col("mask") & pl.col("bit")) != 0)
    best = (
        # Access without a condition comes first, where there is any.
        each.sort(*_KEY, "layer", "conditional", "rank")
        .group_by(*_KEY, "layer", maintain_order=True)
        .agg(
            pl.col("rank").first(),
            pl.col("operations").sum(),
            pl.col("whole").filter(pl.col("conditional") == pl.col("conditional").first()).any(),
            pl.col("conditional").first(),
        )
        .join(spelt, on="rank")
    )
    effects = layers_of(spelt.select("name", "plane")).select("name", "plane", "layer", "effect", "control")
    defeats = best.join(effects, on=["name", "plane", "layer"])
    return defeats.select(*_cast("layer_defeats")).sort(*_KEY, "layer")


def violations_in(found: pl.DataFrame, harm: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of the table `layer_violations`: two or more layers of one subscription, one identity.

    Access that only a condition allows does not count here; eligible access counts together with active access beside
    it.
    """
    firm = _with_standing(found.filter(~pl.col("conditional")))
    sets = (
        firm.sort(*_KEY, "mask")
        .group_by(*_KEY, maintain_order=True)
        .agg(
            masks=pl.col("mask").cast(pl.String).unique(maintain_order=True).str.join(" "),
            broad=pl.col("mask").filter("whole").cast(pl.String).unique(maintain_order=True).str.join(" "),
        )
    )
    covers = _covers(pl.concat([sets["masks"], sets["broad"]]))
    broad = covers.select(broad="masks", at_large="number")
    several = (
        sets.join(covers, on="masks").filter(pl.col("number") > 1).join(broad, on="broad", how="left", nulls_equal=True)
    )
    fewest = (
        several.select(*_KEY, mask="cover")
        .explode("mask")
        .join(firm.select(*_KEY, "mask", "rank").sort("rank").unique([*_KEY, "mask"], keep="first"), on=[*_KEY, "mask"])
        .join(harm.select("rank", "operation"), on="rank")
        .sort("rank")
        .group_by(*_KEY, maintain_order=True)
        .agg(fewest="operation")
    )
    own = [name for name in _KEY if name != "scope"]
    ranked = (
        several.join(fewest, on=list(_KEY))
        .with_columns(
            whole=(pl.col("at_large") > 1).fill_null(False),
            reach=pl.col("number").sum().over(own),
            subscriptions=pl.len().over(own),
        )
        .rename({"number": "layer_count"})
    )
    return ranked.select(*_cast("layer_violations")).sort(
        "basis",
        "state",
        "reach",
        "layer_count",
        "principal_id",
        "scope",
        descending=[False, False, True, True, False, False],
    )


def _with_standing(found: pl.DataFrame) -> pl.DataFrame:
    """Repeat active access as eligible where eligible access stands beside it: an activation adds to it."""
    places = found.filter(pl.col("state") == "eligible").select("principal_id", "scope", "basis").unique()
    beside = found.filter(pl.col("state") == "active").join(places, on=["principal_id", "scope", "basis"], how="semi")
    return pl.concat([found, beside.with_columns(state=pl.lit("eligible"))])


def _covers(texts: pl.Series) -> pl.DataFrame:
    """Return `(masks, number, layers, cover)` of each text of sets: their layers, and the fewest that have all."""
    rows = []
    for text in texts.drop_nulls().unique().sort():
        masks = [int(mask) for mask in text.split()]
        whole = 0
        for mask in masks:
            whole |= mask
        rows.append((text, whole.bit_count(), list(layers_in(whole)), _fewest(tuple(masks), whole)))
    schema: dict[str, Any] = {
        "masks": pl.String,
        "number": pl.Int64,
        "layers": pl.List(pl.String),
        "cover": pl.List(pl.Int64),
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def _fewest(masks: tuple[int, ...], whole: int) -> list[int]:
    """Return the fewest sets whose union is `whole`; there are six layers, so all choices can be looked at."""
    useful = [mask for mask in masks if not any(mask != other and mask & other == mask for other in masks)]
    for size in range(1, len(LAYERS) + 1):
        for chosen in combinations(useful, size):
            union = 0
            for mask in chosen:
                union |= mask
            if union == whole:
                return list(chosen)
    return []


def _cast(table: str) -> list[pl.Expr]:
    return [pl.col(name).cast(type_) for name, type_ in schema_of(table).items()]
