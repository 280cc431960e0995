"""List the agents of Microsoft Entra Agent ID, their blueprints, and what blueprints let agents inherit, as state rows.

`state_snapshot` compares the rows with those of the day before: a new agent, a new blueprint, a wider inheritance.
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from rightsize.analyze.graph.agents import AGENT_TABLES, agent_identities, inheritance
from rightsize.analyze.graph.tables import GraphTables
from rightsize.analyze.text import folded

AGENT, BLUEPRINT, INHERITANCE = AGENT_KINDS = ("agent", "blueprint", "inheritance")
_LIST = "enumerated: "
_WHAT = {"application": "application permissions", "delegated": "delegated permissions"}


def agent_rows(table_of: Callable[[str], pl.DataFrame]) -> list[pl.DataFrame]:
    """Return the rows as columns of `state_snapshot.STANDING`; `what` is a sentence.

    The value of an inheritance is its mode, and for a list the permissions after it.
    """
    read = (*AGENT_TABLES, "inheritable_permissions", "listings")
    tables = GraphTables.of(**{name: table_of(name) for name in read})
    agents = agent_identities(tables).filter(~pl.col("deleted"))
    names = _blueprint_names(tables)
    apis = tables.principals.drop_nulls("app_id").select(
        api_app_id=folded(pl.col("app_id")), api=pl.coalesce("display_name", "app_id")
    ).unique("api_app_id", keep="first", maintain_order=True)  # fmt: skip
    named = agents.join(names.select("blueprint_app_id", blueprint="name"), on="blueprint_app_id", how="left")
    listed = pl.col("listed").list.join(", ")
    rules = (
        inheritance(tables)
        .join(names.select("blueprint_app_id", "name", "principal_id"), on="blueprint_app_id", how="left")
        .join(apis, on="api_app_id", how="left")
        .with_columns(api=pl.coalesce("api", "api_app_id"), name=pl.coalesce("name", "blueprint_app_id"))
    )
    said = (
        pl.when(pl.col("mode") == "allAllowed").then(pl.lit("all "))
        .when(pl.col("mode") == "none").then(pl.lit("no "))
        .when(pl.col("mode") == "enumerated").then(pl.format("{} of the ", listed))
        .otherwise(pl.format("({}) ", "mode"))
    )  # fmt: skip
    return [
        named.select(
            kind=pl.lit(AGENT), name="agent_id", value=pl.lit(""), severity=pl.lit("medium"), principal_id="agent_id",
            what=pl.format("{} is a new agent of {}", "name", pl.format("the blueprint {}", "blueprint").fill_null(
                "a blueprint that no listing has")),
        ),
        names.select(
            kind=pl.lit(BLUEPRINT), name="blueprint_app_id", value=pl.lit(""), severity=pl.lit("medium"),
            principal_id="principal_id", what=pl.format("{} is a new blueprint of agents", "name"),
        ),
        rules.select(
            kind=pl.lit(INHERITANCE), name=pl.concat_str("blueprint_app_id", "api_app_id", "access", separator="|"),
            value=pl.when(pl.col("mode") == "enumerated").then(pl.lit(_LIST) + listed).otherwise("mode"),
            severity=pl.when(pl.col("mode") == "none").then(pl.lit("low")).otherwise(pl.lit("high")),
            principal_id="principal_id",
            what=pl.format("the agents of the blueprint {} inherit {}{} of {}", "name", said,
                           pl.col("access").replace_strict(_WHAT, default="permissions"), "api"),
        ),
    ]  # fmt: skip


def _blueprint_names(tables: GraphTables) -> pl.DataFrame:
    """Return `blueprint_app_id, name, principal_id` of blueprints in the tenant; its principal may not be listed."""
    holders = (
        tables.principals.filter(folded(pl.col("object_type")) == "agentidentityblueprintprincipal")
        .filter(pl.col("deleted_on").is_null())
        .select(
            blueprint_app_id=folded(pl.col("app_id")), principal_id=folded(pl.col("principal_id")), name="display_name"
        )
    )
    apps = tables.agent_blueprints.select(
        blueprint_app_id=folded(pl.col("blueprint_app_id")), principal_id=pl.lit(None, dtype=pl.String),
        name="display_name",
    )  # fmt: skip
    return (
        pl.concat([holders, apps])
        .drop_nulls("blueprint_app_id")
        .unique("blueprint_app_id", keep="first", maintain_order=True)
        .with_columns(name=pl.coalesce("name", "blueprint_app_id"))
        .sort("blueprint_app_id")
    )


def is_narrower(before: str, now: str) -> bool:
    """Return whether an inheritance lets agents inherit less than before, from the values of its rows."""
    if now == "none":
        return before != "none"
    if not now.startswith(_LIST):
        return False
    listed = set(now.removeprefix(_LIST).split(", "))
    return before == "allAllowed" or (before.startswith(_LIST) and listed < set(before.removeprefix(_LIST).split(", ")))
