"""Build the frames that every plane has (verdicts, counts, scores, refusals, findings) for Graph permissions.

One finding is its own: agents with permissions that Microsoft blocks for agents.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import polars as pl

from rightsize.analyze.agents import OWN, UNCERTAIN, inheritance
from rightsize.analyze.columns import folded
from rightsize.analyze.graph_tables import GRAPH_APP_ID, GraphTables
from rightsize.analyze.inputs import schema_of
from rightsize.analyze.planes import ASSIGNMENTS_SCHEMA, DENIED_SCHEMA, PRINCIPALS_SCHEMA
from rightsize.analyze.reasons import OutOfCoverage, Unexplained, Unused, Verdict
from rightsize.analyze.verdicts.judge import VERDICTS_SCHEMA
from rightsize.planes.graph.cases import CaseKey, GraphCase
from rightsize.rules.graph import blocked_for_agents

# About the privilege of a tenant's most powerful applications, and how fast the scores rise towards it. With these
# numbers a permission that leads to every other one scores high, one that reads all users low.
_FULL = 2_500_000
_RISE = 0.3
_ESCALATES = 5


def verdict_rows(
    rows: pl.DataFrame, cases: Mapping[CaseKey, GraphCase], first_party: Collection[str], covered: int
) -> pl.DataFrame:
    """Return the rows of the table `verdicts`: one a permission of a grant, and one a request that nothing explains.

    Requests of Microsoft's applications without a grant are one counted row for each application. `covered` is the
    number of days of the window that the log covers.
    """
    granted = rows.select(
        role_assignment_id="grant_id",
        state=pl.lit("active"),
        principal_id="client_id",
        plane=pl.lit("graph"),
        scope=pl.lit("/"),
        verdict="verdict",
        reason="reason",
        operation="permission",
        operations=pl.lit(1),
        set_id=pl.lit(None, dtype=pl.String),
        events="events",
        days="days",
        first_seen="first_seen",
        last_seen="last_seen",
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
    frames = [granted, pl.DataFrame(alone, schema=VERDICTS_SCHEMA)]
    summed = pl.concat(
        [frame.select(pl.col(name).cast(kind) for name, kind in VERDICTS_SCHEMA.items()) for frame in frames]
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


def _counts() -> dict[str, pl.Expr]:
    words = ("used", "unused", "unobservable", "out_of_coverage")
    counts = {word: (pl.col("verdict") == word).sum().cast(pl.Int64) for word in words}
    mass = pl.col("privilege").sum().cast(pl.Float64)
    was_used = (pl.col("verdict") == Verdict.USED.value) | (pl.col("reason") == OutOfCoverage.USED_BEFORE_WINDOW.value)
    used = pl.col("privilege").filter(was_used).sum().cast(pl.Float64)
    excess = mass - used
    share = (excess / mass).fill_nan(0.0)
    return {
        "granted": pl.len().cast(pl.Int64),
        **counts,
        "creep": (100 * share * (excess / _FULL).pow(_RISE).clip(0.0, 1.0)).round(1),
        "risk": (100 * (mass / _FULL).pow(_RISE).clip(0.0, 1.0)).round(1),
    }


def principal_rows(rows: pl.DataFrame) -> pl.DataFrame:
    """Return counts and scores of each application; a permission of two grants counts once, as used if one is."""
    order = {word.value: place for place, word in enumerate(Verdict)}
    rank = pl.col("verdict").replace_strict(order, return_dtype=pl.Int64)
    distinct = rows.sort(rank, "grant_id").unique(
        ["client_id", "access", "api_app_id", "permission"], keep="first", maintain_order=True
    )
    table = distinct.group_by("client_id").agg(**_counts()).with_columns(plane=pl.lit("graph"))
    return table.rename({"client_id": "principal_id"}).select(*PRINCIPALS_SCHEMA).sort("principal_id")


def assignment_rows(rows: pl.DataFrame) -> pl.DataFrame:
    """Return one row per grant; its name is its permission, or for several delegated permissions their number."""
    several = pl.when(pl.len() > 1).then(pl.format("{} delegated permissions", pl.len()))
    named = several.otherwise(pl.col("permission").min() + pl.when(pl.col("access").min() == "delegated").then(
        pl.lit(" (delegated)")).otherwise(pl.lit("")))  # fmt: skip
    return (
        rows.group_by("grant_id", "client_id")
        .agg(
            **_counts(),
            role_name=named.first(),
            role_definition_id=pl.when(pl.len() == 1).then(pl.col("permission_id").min()).first(),
            created_on=pl.col("created_on").min(),
        )
        .with_columns(
            state=pl.lit("active"), scope=pl.lit("/"), plane=pl.lit("graph"), end_on=pl.lit(None, pl.Datetime("us"))
        )
        .rename({"grant_id": "role_assignment_id", "client_id": "principal_id"})
        .select(pl.col(name).cast(kind) for name, kind in ASSIGNMENTS_SCHEMA.items())
        .sort("role_assignment_id")
    )


def denied_rows(requests: pl.DataFrame) -> pl.DataFrame:
    """Return the refused requests of each application."""
    return (
        requests.filter(pl.col("denied") > 0)
        .group_by("client_id", "operation")
        .agg(pl.col("denied").sum().cast(pl.Int64), used=(pl.col("events") > 0).any())
        .with_columns(plane=pl.lit("graph"), scope=pl.lit("/"))
        .rename({"client_id": "principal_id"})
        .select(*DENIED_SCHEMA)
        .sort("principal_id", "operation")
    )


def finding_rows(rows: pl.DataFrame, first_party: Collection[str]) -> pl.DataFrame:
    """Return findings: applications that hold a permission which leads to every other one."""
    found = rows.filter((pl.col("level") == _ESCALATES) & ~pl.col("client_id").is_in(list(first_party)))
    unused = pl.col("verdict") == Verdict.UNUSED.value
    return (
        found.select(
            control=pl.lit("graph_escalation"),
            subject="grant_id",
            principal_id="client_id",
            severity=pl.when(unused).then(pl.lit("high")).otherwise(pl.lit("medium")),
            reason=pl.format("holds {}, which can give it every other permission; it is {}", "permission", "verdict"),
        )
        .unique(["control", "subject"], keep="first", maintain_order=True)
        .select(pl.col(name).cast(kind) for name, kind in schema_of("findings").items())
        .sort("control", "subject")
    )


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
