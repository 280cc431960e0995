"""Build the frames that every plane has (verdicts, counts, scores, refusals, findings) for Graph permissions.

One finding is its own: agents with permissions that Microsoft blocks for agents.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import polars as pl

from rightsize.analyze.agents import OWN, UNCERTAIN, inheritance
from rightsize.analyze.graph_tables import GRAPH_APP_ID, GraphTables
from rightsize.analyze.inputs import folded, schema_of
from rightsize.analyze.planes import ASSIGNMENTS_SCHEMA, DENIED_SCHEMA, PRINCIPALS_SCHEMA, counts_and_scores, declared
from rightsize.analyze.reasons import Unexplained, Unused, Verdict
from rightsize.analyze.verdicts.judge import VERDICTS_SCHEMA
from rightsize.planes.graph.cases import CaseKey, GraphCase
from rightsize.rules.graph import blocked_for_agents

_FULL = 2_500_000
"""About the privilege of a tenant's most powerful applications. With it a permission that leads to every other one
scores high, one that reads all users low."""
_ESCALATES = 5


def verdict_rows(
    rows: pl.DataFrame, cases: Mapping[CaseKey, GraphCase], first_party: Collection[str], covered: int
) -> pl.DataFrame:
    """Return the rows of the table `verdicts`: one a permission of a grant, and one a request that nothing explains.

    Requests of Microsoft's applications without a grant are one counted row for each application. `covered` is the
    number of days of the window that the log covers.
    """
    granted = rows.with_columns(
        role_assignment_id="grant_id",
        principal_id="client_id",
        operation="permission",
        operations=pl.lit(1),
        covered_days=pl.when(pl.col("reason") == Unused.COVERED_IN_PART.value).then(covered),
    )
    alone = []
    counted: dict[tuple[str, str], list[str]] = {}
    for case in cases.values():
        for operation, reason in case.unexplained.items():
            seen = case.requests[operation]
            if seen.earlier:
                continue
            if case.key[0] in first_party:
                counted.setdefault((case.key[0], Unexplained.FIRST_PARTY.value), []).append(operation)
                continue
            alone.append(
                _unexplained(case.key[0], reason)
                | {"operation": operation, "operations": 1, "events": seen.events, "days": seen.days}
                | {"first_seen": seen.first_seen, "last_seen": seen.last_seen}
            )
    alone += [
        _unexplained(client, reason) | {"operations": len(set(operations))}
        for (client, reason), operations in sorted(counted.items())
    ]
    summed = pl.concat(
        [
            declared(granted, VERDICTS_SCHEMA, state="active", scope="/", plane="graph"),
            pl.DataFrame(alone, schema=VERDICTS_SCHEMA),
        ]
    )
    key = ["role_assignment_id", "state", "principal_id", "plane", "scope", "verdict", "reason", "operation"]
    return (
        summed.group_by(key)
        .agg(
            pl.col("operations").max(),
            pl.col("set_id").first(),
            pl.col("events").sum().replace(0, None),
            pl.col("days").max(),
            pl.col("first_seen").min(),
            pl.col("last_seen").max(),
            pl.col("covered_days").min(),
        )
        .sort(key, nulls_last=True)
        .select(*VERDICTS_SCHEMA)
    )


def _unexplained(client: str, reason: str) -> dict[str, object]:
    empty = dict.fromkeys(VERDICTS_SCHEMA)
    return empty | {
        "principal_id": client,
        "plane": "graph",
        "scope": "/",
        "verdict": Verdict.UNEXPLAINED.value,
        "reason": reason,
    }


def principal_rows(rows: pl.DataFrame) -> pl.DataFrame:
    """Return counts and scores of each application; a permission of two grants counts once, as used if one is."""
    order = {word.value: place for place, word in enumerate(Verdict)}
    rank = pl.col("verdict").replace_strict(order, return_dtype=pl.Int64)
    distinct = rows.sort(rank, "grant_id").unique(
        ["client_id", "access", "api_app_id", "permission"], keep="first", maintain_order=True
    )
    table = distinct.group_by(principal_id="client_id").agg(**counts_and_scores(pl.col("privilege"), _FULL))
    return declared(table, PRINCIPALS_SCHEMA, plane="graph").sort("principal_id")


def assignment_rows(rows: pl.DataFrame) -> pl.DataFrame:
    """Return one row per grant; its name is its permission, or for several delegated permissions their number."""
    several = pl.when(pl.len() > 1).then(pl.format("{} delegated permissions", pl.len()))
    named = several.otherwise(pl.col("permission").min() + pl.when(pl.col("access").min() == "delegated").then(
        pl.lit(" (delegated)")).otherwise(pl.lit("")))  # fmt: skip
    table = rows.group_by(role_assignment_id="grant_id", principal_id="client_id").agg(
        **counts_and_scores(pl.col("privilege"), _FULL),
        role_name=named.first(),
        role_definition_id=pl.when(pl.len() == 1).then(pl.col("permission_id").min()).first(),
        created_on=pl.col("created_on").min(),
    )
    return declared(table, ASSIGNMENTS_SCHEMA, state="active", scope="/", plane="graph").sort("role_assignment_id")


def denied_rows(requests: pl.DataFrame) -> pl.DataFrame:
    """Return the refused requests of each application."""
    refused = requests.filter(pl.col("denied") > 0).group_by("operation", principal_id="client_id")
    table = refused.agg(pl.col("denied").sum(), used=(pl.col("events") > 0).any())
    return declared(table, DENIED_SCHEMA, plane="graph", scope="/").sort("principal_id", "operation")


def finding_rows(rows: pl.DataFrame, first_party: Collection[str]) -> pl.DataFrame:
    """Return findings: applications that hold a permission which leads to every other one."""
    found = rows.filter((pl.col("level") == _ESCALATES) & ~pl.col("client_id").is_in(list(first_party)))
    unused = pl.col("verdict") == Verdict.UNUSED.value
    told = found.select(
        subject="grant_id",
        principal_id="client_id",
        severity=pl.when(unused).then(pl.lit("high")).otherwise(pl.lit("medium")),
        reason=pl.format("holds {}, which can give it every other permission; it is {}", "permission", "verdict"),
    ).unique("subject", keep="first", maintain_order=True)
    return declared(told, schema_of("findings"), control="graph_escalation").sort("control", "subject")


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
    told = found.with_columns(principal_id="subject", reason=pl.format("{}: Microsoft blocks this for agents", "text"))
    return declared(told, schema_of("findings"), control="agent_blocked_permission", severity="high")
