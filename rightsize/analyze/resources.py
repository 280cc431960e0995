"""List the resources whose data planes can be logged, and read from their settings who can access their data."""

from __future__ import annotations

import json
import re

import polars as pl

from rightsize.analyze.inputs import Inputs, once
from rightsize.analyze.text import folded, place_of
from rightsize.rbac.text import fold
from rightsize.rules.tables import rows_of

RESOURCE = r"^(/subscriptions/[^/]+/resourcegroups/[^/]+/providers/[^/]+/[^/]+/[^/]+)"
_KIND = r"^/subscriptions/[^/]+/resourcegroups/[^/]+/providers/([^/]+/[^/]+)/"

AZURE_ROLES = "azure_roles"
KEYS = "keys"
ANONYMOUS = "anonymous"
REPOSITORY_ROLES = "repository_roles"


def resource_of(place: str) -> pl.Expr:
    """Return the top-level resource that a folded place is or lies in, null above resources."""
    return pl.col(place).str.extract(RESOURCE)


def kind_of(resource: str) -> pl.Expr:
    """Return the folded type of a folded top-level resource."""
    return pl.col(resource).str.extract(_KIND)


def kind_at(place: str) -> str | None:
    """Return the folded type of the top-level resource that a folded place is or lies in, None above resources."""
    found = re.match(_KIND, place)
    return found[1] if found else None


def logged_kinds() -> list[str]:
    """Return the folded types of resource that `resource_logs` has rules for."""
    return sorted({fold(row["resource_type"]) for row in rows_of("resource_logs")})


def known_resources(inputs: Inputs, *scopes: pl.Series) -> pl.DataFrame:
    """Return `(resource, kind, created)` of the resources that a listing, an assignment or one of the scopes names.

    `created` is the day on which it was made, null where that is not known. Only types whose data planes can be logged
    are in it: a resource that no listing shows, since it is gone or was not seen, counts like any other.
    """
    listed = inputs.resources.select(
        resource=place_of(inputs.resources["scope"]), created=pl.col("created_on").dt.date()
    )
    places = [place_of(named.drop_nulls().unique()) for named in (inputs.role_assignments["scope"], *scopes)]
    named = pl.DataFrame({"place": pl.concat(places).unique()}).select(
        resource=resource_of("place"), created=pl.lit(None, dtype=pl.Date)
    )
    return (
        pl.concat([listed, named])
        .drop_nulls("resource")
        .group_by("resource")
        .agg(pl.col("created").max())
        .with_columns(kind=kind_of("resource"))
        .filter(pl.col("kind").is_in(logged_kinds()))
        .sort("resource")
    )


def listed_kinds(inputs: Inputs, whole: pl.Series) -> pl.DataFrame:
    """Return `(node, kind)`: the types of which listings show every resource of a subscription.

    A page of Resource Manager without a next link shows all resources of the types in it.

    Args:
        inputs: The tables.
        whole: The subscriptions of which listings with a known reader show everything, as `Existence.whole` has them.
    """
    rows = inputs.listings.filter((pl.col("listing") == "resources") & pl.col("complete").fill_null(False))
    parts = folded(rows["of"]).str.split(" ")
    paged = pl.DataFrame({"node": parts.list.get(0, null_on_oob=True), "kind": parts.list.get(1, null_on_oob=True)})
    vouched = pl.DataFrame({"node": whole}).join(pl.DataFrame({"kind": logged_kinds()}), how="cross")
    return pl.concat([paged, vouched]).unique().sort("node", "kind", nulls_last=True)


@once("resources")
def setting_facts(inputs: Inputs) -> pl.DataFrame:
    """Return `(resource, kind, fact, answer)`: what the settings of a resource decide about access to its data.

    A fact is missing where no listing with properties was loaded, or no rule knows the meaning of the value. Then
    nobody can tell. Source of the meanings: `rules/resource_settings.csv`.
    """
    rules: dict[str, list[dict[str, str]]] = {}
    for row in rows_of("resource_settings"):
        rules.setdefault(fold(row["resource_type"]), []).append(row)
    kinds = folded(inputs.resources["resource_type"])
    concerned = inputs.resources.with_columns(kind=kinds).filter(pl.col("kind").is_in(list(rules)))
    found: list[tuple[str, str | None, str, str]] = []
    # Many resources have the same settings.
    for kind, settings in concerned.select("kind", "settings").unique().iter_rows():
        known = None if settings is None else json.loads(settings)
        for rule in rules[kind]:
            is_said = not rule["property"] or (
                known is not None and fold(str(known.get(rule["property"], ""))) == fold(rule["value"])
            )
            if is_said:
                found.append((kind, settings, rule["fact"], rule["answer"]))
    schema = {"kind": pl.String, "settings": pl.String, "fact": pl.String, "answer": pl.String}
    said = concerned.join(pl.DataFrame(found, schema=schema, orient="row"), on=["kind", "settings"], nulls_equal=True)
    facts = said.select("kind", "fact", "answer", resource=folded(said["scope"]))
    return facts.select("resource", "kind", "fact", "answer").unique().sort("resource", "fact", "answer")


def with_answer(facts: pl.DataFrame, fact: str, answer: str) -> pl.Series:
    """Return the resources for which a fact has this answer."""
    return facts.filter((pl.col("fact") == fact) & (pl.col("answer") == answer))["resource"]
