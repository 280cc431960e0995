"""Find agents of Microsoft Entra Agent ID with permissions of Microsoft Graph that Microsoft blocks for agents."""

from __future__ import annotations

import polars as pl

from rightsize.analyze.graph.agents import OWN, UNCERTAIN, inheritance
from rightsize.analyze.graph.tables import GRAPH_APP_ID, GraphTables
from rightsize.analyze.inputs import schema_of
from rightsize.analyze.text import folded
from rightsize.rules.graph import blocked_for_agents

_SAID = {OWN: "holds", "inherited": "inherits", UNCERTAIN: "may inherit", "listed": "lets its agents inherit"}


def find_blocked_permissions(
    held: pl.DataFrame, effective: pl.DataFrame, agents: pl.DataFrame, tables: GraphTables
) -> pl.DataFrame:
    """Return the findings about blocked permissions, one for each agent identity or principal of a blueprint.

    A grant from before the block, or by a way that does not check it, stays in force.

    Args:
        held: As `held_permissions` returns it.
        effective: As `effective_permissions` returns it.
        agents: As `agent_identities` returns them.
        tables: The tables.
    """
    holders = agents.drop_nulls("holder_id").select("holder_id", "blueprint_app_id").unique()
    of_agents = effective.select("access", "api_app_id", "permission", subject="agent_id", how="origin")
    of_blueprint = held.join(holders, left_on="client_id", right_on="holder_id").select(
        "access", "api_app_id", "permission", subject="client_id", how=pl.lit(OWN)
    )
    listed = (
        inheritance(tables)
        .filter(pl.col("mode") == "enumerated")
        .explode("listed")
        .drop_nulls("listed")
        .join(holders, on="blueprint_app_id")
        .select("access", "api_app_id", permission="listed", subject="holder_id", how=pl.lit("listed"))
    )
    rules = pl.DataFrame(
        sorted(blocked_for_agents()), schema={"access": pl.String, "name": pl.String, "word": pl.String}, orient="row"
    )
    found = (
        pl.concat([part.select("subject", "access", "api_app_id", "permission", "how") for part in
                   (of_agents, of_blueprint, listed)])
        .filter(pl.col("api_app_id") == GRAPH_APP_ID)
        .with_columns(name=folded(pl.col("permission")))
        .join(rules, on=["access", "name"])
        .select("subject", text=pl.format(
            "{} {} ({})", pl.col("how").replace_strict(_SAID, return_dtype=pl.String), "word", "access"))
        .unique()
        .sort("subject", "text")
        .group_by("subject", maintain_order=True)
        .agg(pl.col("text").str.join(", "))
    )  # fmt: skip
    return found.select(
        control=pl.lit("agent_blocked_permission"), subject="subject", principal_id="subject", severity=pl.lit("high"),
        reason=pl.format("{}: Microsoft blocks this for agents", "text"),
    ).select(pl.col(name).cast(kind) for name, kind in schema_of("findings").items())  # fmt: skip
