"""Write what existed as rows: one a subscription and type, and one a type that roles grant."""

from __future__ import annotations

import polars as pl

from rightsize.analyze.existence import Existence
from rightsize.analyze.inputs import schema_of
from rightsize.analyze.reasons import Unused
from rightsize.analyze.resources import kind_of, resource_of
from rightsize.analyze.tenant import Tenant
from rightsize.analyze.text import folded, place_of
from rightsize.rules.inventory import extends_others, inventory_types, type_named


def existence_rows(existence: Existence, tenant: Tenant) -> pl.DataFrame:
    """Return the table `resource_existence`."""
    rows = states_of(existence).join(_spelling(tenant), on="kind", how="left")
    is_absent = pl.when(pl.col("state") == "absent")
    by_provider = pl.col("reason") == Unused.PROVIDER_NOT_REGISTERED.value
    return rows.select(
        scope="node",
        resource_type=pl.coalesce("spelt", "kind"),
        state="state",
        reason="reason",
        first_day="first_day",
        last_day="last_day",
        reader_id=is_absent.then(pl.when(by_provider).then("of_provider").otherwise("reader_id")),
        read_on=is_absent.then(pl.when(by_provider).then("provider_read").otherwise("read_on")),
    ).select(*schema_of("resource_existence"))


def type_rows(tenant: Tenant, resources: pl.DataFrame, registrations: pl.DataFrame) -> pl.DataFrame:
    """Return the table `resource_types`.

    Args:
        tenant: The tenant, for the operations that its roles grant.
        resources: The table of that name.
        registrations: The table `provider_registrations`.
    """
    granted = tenant.operations.join(tenant.grants.select("name").unique(), on="name", how="semi")
    parts = pl.col("operation").str.split("/")
    typed = granted.filter(parts.list.len() > 2).select(
        resource_type=parts.list.head(2).list.join("/"), kind=type_named(pl.col("name"))
    )
    places = pl.DataFrame({"place": place_of(resources["scope"])}).with_columns(resource=resource_of("place"))
    counts = places.select("resource").drop_nulls().unique().group_by(kind=kind_of("resource")).agg(number=pl.len())
    states = registrations.group_by(namespace=folded(pl.col("namespace"))).agg(
        registered=(folded(pl.col("state")) == "registered").sum().cast(pl.Int64)
    )
    return (
        typed.group_by("kind")
        .agg(pl.col("resource_type").min())
        .with_columns(namespace=pl.col("kind").str.split("/").list.first())
        .join(counts, on="kind", how="left")
        .join(states, on="namespace", how="left")
        .select(
            "resource_type",
            "registered",
            provider=pl.col("resource_type").str.split("/").list.first(),
            resources=pl.col("number").fill_null(0).cast(pl.Int64),
            decidable=pl.col("kind").is_in(list(inventory_types())),
        )
        .select(*schema_of("resource_types"))
        .sort("resource_type")
    )


def _spelling(tenant: Tenant) -> pl.DataFrame:
    """Return `(kind, spelt)`: types as the rules spell them, else as the catalogue does."""
    rules = pl.DataFrame(list(inventory_types().items()), schema={"kind": pl.String, "spelt": pl.String}, orient="row")
    named = tenant.operations.select(kind=type_named(pl.col("name")), spelt=type_named(pl.col("operation")))
    others = named.drop_nulls().group_by("kind").agg(pl.col("spelt").min())
    return pl.concat([rules, others.join(rules, on="kind", how="anti")])


def states_of(existence: Existence) -> pl.DataFrame:
    """Return one row a subscription and type, with the folded type as `kind`."""
    kinds = pl.DataFrame({"kind": sorted(inventory_types())})
    found = existence.present.group_by("node", "kind").agg(
        pl.col("listed", "sure").any(), pl.col("first_day").min(), pl.col("last_day").max()
    )
    named = found["kind"].unique().sort()
    extra = pl.DataFrame({"kind": named.filter(extends_others(named))})
    found = found.join(extra, on="kind", how="anti")
    nodes = existence.problems
    rows = pl.concat([nodes.select("node").join(kinds, how="cross"), found.select("node", "kind")]).unique()
    hidden = existence.changes.group_by("node").agg(change=pl.col("change").min())
    unregistered = existence.unregistered.select(
        "node", "namespace", of_provider=pl.col("reader_id"), provider_read=pl.col("read_on")
    )
    read = existence.subscriptions.group_by("node").agg(
        reader_id=pl.col("reader_id").first(), read_on=pl.col("read_on").min()
    )
    return (
        rows.join(found, on=["node", "kind"], how="left")
        .join(nodes, on="node", how="left")
        .join(hidden, on="node", how="left")
        .join(read, on="node", how="left")
        .with_columns(namespace=pl.col("kind").str.split("/").list.first())
        .join(unregistered, on=["node", "namespace"], how="left")
        .with_columns(_state())
        .sort("node", "kind")
    )


def _state() -> list[pl.Expr]:
    """Return `state` and `reason` of a subscription and type."""
    decidable = pl.col("kind").is_in(list(inventory_types()))
    proved = pl.col("problem").is_null() & pl.col("change").is_null() & decidable
    cases = [
        (pl.col("listed").fill_null(False), "exists", pl.lit("listed")),
        (pl.col("sure").fill_null(False), "existed", pl.lit("in_log")),
        (pl.col("sure").is_not_null(), "unknown", pl.lit("named_only")),
        (proved, "absent", pl.lit(Unused.NO_SUCH_RESOURCE.value)),
        (pl.col("of_provider").is_not_null() & decidable, "absent", pl.lit(Unused.PROVIDER_NOT_REGISTERED.value)),
    ]
    unknown = pl.coalesce(pl.when(~decidable).then(pl.lit("not_decidable")), "problem", "change")
    states = [pl.when(condition).then(pl.lit(word)) for condition, word, _ in cases]
    reasons = [pl.when(condition).then(why) for condition, _, why in cases]
    return [pl.coalesce(*states, pl.lit("unknown")).alias("state"), pl.coalesce(*reasons, unknown).alias("reason")]
