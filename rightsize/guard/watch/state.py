"""List the grants, agents, conclusions and signals of a tenant at the end of a day, to compare with the day before.

A row has a stable name and a value: a row with a new name, or with another value, is a change. This module keeps
nothing between runs; `changes` compares.

The rows are compared with those of the day before: a new agent, a new blueprint, a wider inheritance.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import polars as pl

from rightsize.analyze.agents import AGENT_TABLES, agent_identities, inheritance
from rightsize.analyze.graph_tables import GraphTables
from rightsize.analyze.inputs import Inputs, folded
from rightsize.analyze.reach.escalation import build_graph, escalations_of, with_assignable
from rightsize.analyze.reach.facts import read_facts
from rightsize.analyze.reach.layers import granted_defeats, harmful, today, violations_in
from rightsize.analyze.reach.measure import granted_holdings
from rightsize.analyze.reasons import Verdict
from rightsize.guard.watch.grant_deduplication import consent

if TYPE_CHECKING:
    from rightsize.analyze.planes import PlaneAnalysis
    from rightsize.analyze.verdicts.judge import Analysis


AGENT, BLUEPRINT, INHERITANCE = AGENT_KINDS = ("agent", "blueprint", "inheritance")
_LIST = "enumerated: "
_WHAT = {"application": "application permissions", "delegated": "delegated permissions"}


def agent_rows(table_of: Callable[[str], pl.DataFrame]) -> list[pl.DataFrame]:
    """Return the rows as columns of `STANDING`; `what` is a sentence.

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


STANDING: Mapping[str, pl.DataType] = {
    "kind": pl.String(),
    "name": pl.String(),
    "value": pl.String(),
    "severity": pl.String(),
    "time": pl.Datetime("us"),
    "principal_id": pl.String(),
    "actor_id": pl.String(),
    "scope": pl.String(),
    "role": pl.String(),
    "what": pl.String(),
}
"""`role` is the id of a role, or the text of a delegated grant (`grant_deduplication.consent`); `what` is the subject
of the row, in words or as names separated by commas."""

LISTED = ("role_assignment", "directory_role_assignment", "app_role_assignment", "permission_grant")
"""Kinds of rows that come from listings: a new one is a grant."""
UNUSED = "unused"
CONCLUDED = (UNUSED, "escalation", "violation", "drift", "signal", *AGENT_KINDS)
"""Kinds of rows that the analysis concludes, and that can end."""

_HEAVY = ("tenant", "access", "all_groups", "all_users", "applications")
_APART = "|"


def standing_of(
    inputs: Inputs,
    analysis: Analysis,
    planes: Sequence[PlaneAnalysis],
    table_of: Callable[[str], pl.DataFrame],
    drifts: pl.DataFrame,
) -> pl.DataFrame:
    """Return all rows of the snapshot, as `STANDING`.

    Args:
        inputs: The tables of the analysis.
        analysis: Its verdicts.
        planes: The analyses of the planes beyond Azure RBAC.
        table_of: Returns the other tables of the store, for example `Store.table`.
        drifts: Differences from an applied plan, as `STANDING`.
    """
    parts = (
        listed_grants(inputs, table_of),
        unused_assignments(analysis),
        *(unused_grants(plane) for plane in planes),
        escalations(inputs, analysis, table_of),
        violations(analysis),
        signals(table_of("signals"), table_of("signal_entities")),
        drifts,
        *agent_rows(table_of),
    )
    return pl.concat([_shaped(part) for part in parts])


def listed_grants(inputs: Inputs, table_of: Callable[[str], pl.DataFrame]) -> pl.DataFrame:
    """Return the assignments and grants that listings show; activations come and go, and are left out."""
    strong = privileged_roles(inputs.role_operations)
    assigned = inputs.role_assignments.filter(pl.col("state") != "activated")
    ours = assigned.select(
        kind=pl.lit(LISTED[0]), name=_joined(folded(pl.col("role_assignment_id")), pl.col("state")),
        severity=pl.when(folded(pl.col("role_definition_id")).is_in(strong.implode())).then(pl.lit("high"))
        .otherwise(pl.lit("medium")),
        time="created_on", principal_id=folded(pl.col("principal_id")), actor_id=folded(pl.col("created_by")),
        scope="scope", role=folded(pl.col("role_definition_id")), what=pl.col("state"),
    )  # fmt: skip
    directory = table_of("directory_role_assignments").filter(pl.col("state") != "activated").select(
        kind=pl.lit(LISTED[1]), name=_joined(folded(pl.col("role_assignment_id")), pl.col("state")),
        severity=pl.lit("high"), time="created_on", principal_id=folded(pl.col("principal_id")), scope="scope",
        role=folded(pl.col("directory_role_id")), what=pl.col("state"),
    )  # fmt: skip
    permissions = table_of("app_role_assignments").select(
        kind=pl.lit(LISTED[2]), name=pl.col("app_role_assignment_id"), severity=pl.lit("medium"), time="created_on",
        principal_id=folded(pl.col("principal_id")), role=folded(pl.col("app_role_id")), what=pl.col("resource_name"),
    )  # fmt: skip
    delegated = table_of("permission_grants").select(
        kind=pl.lit(LISTED[3]), name=pl.col("permission_grant_id"),
        severity=pl.when(pl.col("consent_type") == "AllPrincipals").then(pl.lit("medium")).otherwise(pl.lit("low")),
        principal_id=folded(pl.col("client_id")), role=consent(pl.col("consent_type"), pl.col("permissions")),
        what=pl.col("permissions").list.join(", "),
    )  # fmt: skip
    # The permissions of a delegated grant may grow; all other grants get a new id when they change.
    valued = [part.with_columns(value=pl.lit("")) for part in (ours, directory, permissions)]
    return pl.concat([_shaped(part) for part in (*valued, delegated.with_columns(value="what"))])


def privileged_roles(role_operations: pl.DataFrame) -> pl.Series:
    """Return the ids, folded, of the roles that can assign roles."""
    from_rows = role_operations.filter(folded(pl.col("operation")) == "microsoft.authorization/roleassignments/write")
    return folded(from_rows["role_definition_id"].unique())


def unused_assignments(analysis: Analysis) -> pl.DataFrame:
    """Return assignments from before the window whose use a log would have shown, and none shows.

    An assignment that is used on one plane may be unused on the other; then its row names only that plane.
    """
    assignments = analysis.tenant.assignments.filter(~pl.col("twin"))
    return _unused(assignments, analysis.verdicts, analysis.window.start)


def unused_grants(plane: PlaneAnalysis) -> pl.DataFrame:
    """Return the same for a plane beyond Azure RBAC: permissions of applications, directory roles."""
    assignments = plane.assignments.with_columns(role=folded(pl.col("role_definition_id")))
    return _unused(assignments, plane.verdicts, plane.window.start)


def _unused(assignments: pl.DataFrame, verdicts: pl.DataFrame, start: dt.datetime) -> pl.DataFrame:
    key = ["role_assignment_id", "state"]
    used, idle = (pl.col("verdict") == word.value for word in (Verdict.USED, Verdict.UNUSED))
    by_plane = verdicts.group_by(*key, "plane").agg(used=used.any(), operations=pl.col("operations").filter(idle).sum())
    silent = by_plane.filter(~pl.col("used") & (pl.col("operations") > 0))
    counted = silent.group_by(key).agg(pl.col("operations").sum(), plane=pl.col("plane").sort().str.join(", "))
    in_use = by_plane.filter("used").select(key).unique()
    part = counted.join(in_use, on=key).select(*key, partly=True)
    old = assignments.filter((pl.col("state") != "activated") & (pl.col("created_on") < start).fill_null(True)).unique(
        key, keep="first", maintain_order=True
    )
    partly = pl.col("partly").fill_null(False)
    name = _joined(folded(pl.col("role_assignment_id")), pl.col("state"))
    return (
        old.drop("plane", strict=False)
        .join(counted, on=key)
        .join(part, on=key, how="left")
        .select(
            kind=pl.lit(UNUSED), name=pl.when(partly).then(_joined(name, pl.col("plane"))).otherwise(name),
            value=pl.when(partly).then("plane").otherwise(pl.lit("")), severity=pl.lit("low"),
            principal_id="principal_id", scope="scope", role="role", what=pl.col("operations").cast(pl.String),
        )
    )  # fmt: skip


def escalations(inputs: Inputs, analysis: Analysis, table_of: Callable[[str], pl.DataFrame]) -> pl.DataFrame:
    """Return the ways in which a principal can gain more access, one row per (principal, rule, scope, state)."""
    facts = read_facts(inputs, table_of)
    tenant = analysis.tenant
    granted = granted_holdings(tenant)
    graph = build_graph(facts, tenant, inputs, with_assignable(granted, tenant, inputs), with_eligible=True)
    found = escalations_of(graph, facts, tenant, granted)
    heavy = pl.col("gains").is_in(_HEAVY).any() & pl.col("certain").any()
    asleep = pl.col("state") == "eligible"
    grouped = found.group_by("principal_id", "rule", "scope", "state").agg(
        heavy.alias("heavy"), what=pl.col("what").sort().first()
    )
    return grouped.select(
        kind=pl.lit(CONCLUDED[1]), name=_joined(*map(pl.col, ("principal_id", "rule", "scope", "state"))),
        value=pl.lit(""), principal_id="principal_id", scope="scope",
        severity=pl.when(pl.col("heavy") & ~asleep).then(pl.lit("high")).when(asleep).then(pl.lit("low"))
        .otherwise(pl.lit("medium")),
        what=pl.when(asleep).then(pl.format("{}, once activated", "what")).otherwise("what"),
    )  # fmt: skip


def violations(analysis: Analysis) -> pl.DataFrame:
    """Return the principals that can defeat two or more layers of one subscription, as granted."""
    tenant = analysis.tenant
    harm = harmful(tenant.operations)
    found = violations_in(granted_defeats(today(tenant.assignments), tenant.grants, harm, tenant, "granted"), harm)
    layers = pl.col("layers").list.join(", ")
    return found.select(
        kind=pl.lit(CONCLUDED[2]), name=_joined(*map(pl.col, ("principal_id", "scope", "state"))), value=layers,
        severity=pl.when(pl.col("state") == "eligible").then(pl.lit("low"))
        .when(pl.col("layers").list.contains("identity_control") | (pl.col("layer_count") > 3)).then(pl.lit("high"))
        .otherwise(pl.lit("medium")),
        principal_id="principal_id", scope="scope", what=layers,
    )  # fmt: skip


def signals(raised: pl.DataFrame, entities: pl.DataFrame) -> pl.DataFrame:
    """Return the alerts, incidents and risks that nobody dismissed, with the principal and the scope that they name.

    `what` is the product and the title.
    """
    people = entities.filter(pl.col("entity_kind") == "principal").sort("signal_id", "value")
    named = people.group_by("signal_id").agg(pl.col("principal_id").drop_nulls().first())
    places = entities.filter(pl.col("entity_kind") == "resource").sort("signal_id", "value")
    scopes = places.group_by("signal_id").agg(pl.col("scope").drop_nulls().first())
    weights = {"high": "high", "medium": "medium"}
    return (
        raised.filter(~pl.col("dismissed").fill_null(False))
        .join(named, on="signal_id", how="left")
        .join(scopes, on="signal_id", how="left")
        .select(
            kind=pl.lit(CONCLUDED[4]), name="signal_id", value=pl.lit(""),
            severity=pl.col("severity").replace_strict(weights, default="low"),
            time=pl.coalesce("created_on", "first_time"), principal_id=folded(pl.col("principal_id")), scope="scope",
            what=pl.format("{}: {}", pl.coalesce("product", "source"), pl.col("name").fill_null("")),
        )
    )  # fmt: skip


def _joined(*parts: pl.Expr) -> pl.Expr:
    return pl.concat_str([part.fill_null("") for part in parts], separator=_APART)


def _shaped(part: pl.DataFrame) -> pl.DataFrame:
    return part.select(
        (pl.col(name) if name in part.columns else pl.lit(None)).cast(type_).alias(name)
        for name, type_ in STANDING.items()
    ).unique(["kind", "name"], keep="first", maintain_order=True)
