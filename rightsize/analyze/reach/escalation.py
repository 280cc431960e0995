"""Build the graph of whose access each principal can gain, from assignments, attached identities and ownership.

Nodes are texts with a letter in front: `p:` a principal, `h:` the access that a principal or group holds, `g:` a role
at a scope, `t:` the targets of one kind below a scope, `r:` a resource on which code can run, `s:` the secrets of a
resource, `a:` any access at a scope, `x:` a part of the directory, `d:` what a user may do in Azure, `o:` a subject of
an outside issuer. Whatever many principals hold in the same way is one node, so the graph grows with the number of
things and not with the number of their holders.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import polars as pl

from rightsize.analyze.inputs import ROOT, Inputs, ScopeTree, containing, folded, once, schema_of
from rightsize.analyze.reach.closure import ReachGraph
from rightsize.analyze.reach.facts import AGENT, Facts
from rightsize.analyze.reach.indirect import link_delegated, link_directory, link_governed, link_trusted, ways_beyond
from rightsize.analyze.tenant import Tenant
from rightsize.model.tables import table
from rightsize.model.text import GUID_FORM
from rightsize.rbac.conditions import targets
from rightsize.rules.attacks import escalation_rules

ASSIGN = "microsoft.authorization/roleassignments/write"
_ROLES = re.compile(r"RoleDefinitionId\]\s*ForAnyOfAnyValues:GuidEquals\s*\{([^}]*)\}", re.IGNORECASE)
_OWNED = {
    "Group": ("h", "owns it, and can make itself a member"),
    "ServicePrincipal": ("p", "owns it, and can add a credential"),
    AGENT: ("p", "owns the agent identity"),
}


@dataclass(frozen=True, slots=True)
class Holdings:
    """The access that is held in one view of the tenant.

    Attributes:
        assigned: As `layers.ASSIGNED_SCHEMA`.
        grants: `(role, name, plane, conditional)` of its roles.
    """

    assigned: pl.DataFrame
    grants: pl.DataFrame


def build_graph(facts: Facts, tenant: Tenant, inputs: Inputs, holdings: Holdings, *, with_eligible: bool) -> ReachGraph:
    """Return the graph of one view of the tenant."""
    graph = ReachGraph()
    _link_identities(graph, facts)
    if not (
        facts.principals.is_empty()
        and facts.permissions.is_empty()
        and facts.roles.is_empty()
        and facts.scoped.is_empty()
    ):
        link_directory(graph, facts, with_eligible=with_eligible)
    link_governed(graph, facts, with_eligible=with_eligible)
    link_trusted(graph, facts)
    gives = facts.policies.drop_nulls("rule").select("principal_id", "scope", "what", "certain")
    for holder, scope, what, certain in gives.iter_rows():
        graph.link(f"h:{holder}", f"s:{scope}", what, certain=certain)
    assigned = holdings.assigned if with_eligible else holdings.assigned.filter(pl.col("state") == "active")
    _link_roles(graph, facts, tenant, inputs, Holdings(assigned, holdings.grants))
    link_delegated(graph, facts, tenant, with_eligible=with_eligible)
    _link_members(graph, facts, tenant)
    return graph


def grant_node(role: str, place: str, condition: str | None) -> str:
    """Return the node of a role at a scope."""
    return f"g:{role}|{place}|{condition or ''}"


def rules_of_roles(grants: pl.DataFrame) -> pl.DataFrame:
    """Return the rules that roles fulfil: `role, rule, plane, kind, gains, certain, what, conditional, permission`.

    Of several permissions that give the same to the same target, the surest is named.
    """
    return (
        grants.join(_rules_of_azure(), left_on=["name", "plane"], right_on=["permission", "plane"])
        .sort("role", "kind", "gains", "conditional", "certain", "order", descending=[False] * 4 + [True, False])
        .unique(["role", "kind", "gains"], keep="first", maintain_order=True)
        .select("role", "rule", "plane", "kind", "gains", "certain", "what", "conditional", permission="name")
    )


@cache
def _rules_of_azure() -> pl.DataFrame:
    return pl.concat(
        escalation_rules(plane).with_columns(plane=pl.lit(plane)) for plane in ("control", "data")
    ).with_row_index("order")


def _link_members(graph: ReachGraph, facts: Facts, tenant: Tenant) -> None:
    """Link principals to the access of those who have any: most users and groups of a tenant hold nothing in it."""
    holding = [pl.Series([name[2:] for name in graph.numbers if name.startswith("h:")], dtype=pl.String)]
    holding += [one["principal_id"] for one in (facts.permissions, facts.roles, facts.scoped, facts.policies)]
    members = tenant.membership.filter(pl.col("holder").is_in(pl.concat(holding).unique().implode()))
    for principal, holder in members.iter_rows():
        graph.link(f"p:{principal}", f"h:{holder}", "" if principal == holder else f"is a member of {holder}")


def _link_identities(graph: ReachGraph, facts: Facts) -> None:
    for scope, principal in facts.attached.iter_rows():
        graph.link(f"r:{scope}", f"p:{principal}", "its managed identity")
    for owner, owned, kind in facts.owned.iter_rows():
        node, what = _OWNED[kind]
        graph.link(f"h:{owner}", f"{node}:{owned}", what, certain=kind != AGENT)
    whats = {row["permission"]: row["what"] for row in escalation_rules("agent").to_dicts()}
    for holder, agent, kind in facts.agents.iter_rows():
        graph.link(f"p:{holder}", f"p:{agent}", whats[kind.lower()])


def _link_roles(graph: ReachGraph, facts: Facts, tenant: Tenant, inputs: Inputs, holdings: Holdings) -> None:
    names = dict(inputs.role_definitions.select(folded(pl.col("role_definition_id")), "role_name").iter_rows())
    held = holdings.assigned.select("holder", "place", "role", "condition").unique()
    held = held.sort("holder", "place", "role", "condition", nulls_last=True)
    for holder, place, role, condition in held.iter_rows():
        graph.link(f"h:{holder}", grant_node(role, place, condition), f"has {names.get(role) or role} at {place}")
    within = _conditions_within(tenant)
    by_role: dict[str, list[dict[str, Any]]] = {}
    for row in rules_of_roles(holdings.grants).iter_rows(named=True):
        by_role.setdefault(row["role"], []).append(row)
    waiting = list(held.select("role", "place", "condition").unique(maintain_order=True).iter_rows())
    seen = set(waiting)
    while waiting:
        role, place, condition = waiting.pop()
        start = grant_node(role, place, condition)
        for rule in by_role.get(role, ()):
            hedge = condition if targets(condition, rule["permission"]) else None
            if hedge is None and rule["conditional"]:
                hedge = within.get(role, "")
            roles = _roles_of(hedge) if rule["permission"] == ASSIGN else ()
            for other in roles:
                graph.link(start, grant_node(other, place, None), f"assigns itself {names.get(other) or other}")
                if (other, place, None) not in seen:
                    seen.add((other, place, None))
                    waiting.append((other, place, None))
            if not roles:
                end = f"a:{place}" if rule["gains"] == "access" else f"t:{rule['gains']}|{rule['kind']}|{place}"
                graph.link(start, end, rule["what"], certain=rule["certain"] and hedge is None)
    _link_targets(graph, facts, tenant.tree)


def _conditions_within(tenant: Tenant) -> dict[str, str]:
    """Return the condition inside each role definition that has one; of several blocks the first counts."""
    hedged = tenant.patterns.filter(pl.col("condition").is_not_null())
    if hedged.is_empty():
        return {}
    hedged = hedged.sort("role", "block")
    return dict(hedged.select("role", "condition").unique("role", keep="first", maintain_order=True).iter_rows())


def _roles_of(condition: str | None) -> tuple[str, ...]:
    """Return the roles to which a condition limits the assigning of roles; none where it does not say so plainly.

    Source: Microsoft Learn, "Delegate Azure role assignment management to others with conditions".
    """
    found = _ROLES.findall(condition or "")
    if not found or "guidnotequals" in (condition or "").lower():
        return ()
    return tuple(sorted({role for text in found for role in GUID_FORM.findall(text.lower())}))


def with_assignable(holdings: Holdings, tenant: Tenant, inputs: Inputs) -> Holdings:
    """Add the grants of roles that nobody holds, but that conditions let somebody assign."""
    wanted = assignable(holdings.assigned, tenant) - set(holdings.grants["role"].unique())
    if not wanted:
        return holdings
    listed = inputs.role_operations.filter(folded(pl.col("role_definition_id")).is_in(list(wanted)))
    extra = listed.select(
        role=folded(listed["role_definition_id"]),
        name=folded(listed["operation"]),
        plane="plane",
        conditional=pl.col("conditional").fill_null(False),
    )
    return Holdings(holdings.assigned, pl.concat([holdings.grants, extra.select(holdings.grants.columns)]))


def assignable(assigned: pl.DataFrame, tenant: Tenant) -> set[str]:
    """Return the roles that conditions let somebody assign."""
    conditions = {*assigned["condition"].drop_nulls(), *_conditions_within(tenant).values()}
    return {role for condition in conditions for role in _roles_of(condition)}


def _link_targets(graph: ReachGraph, facts: Facts, tree: ScopeTree) -> None:
    """Link the targets below a scope to the nodes that stand for them there, and to any access at the scope."""
    nodes = [name.split("|") for name in graph.numbers if name.startswith("t:")]
    places = {name[2] for name in nodes} | {name[2:] for name in graph.numbers if name.startswith("a:")}
    if places:
        _link_below(graph, facts, pl.Series("assigned", sorted(places), dtype=pl.String), tree)
    _link_code(graph, facts)


def _link_below(graph: ReachGraph, facts: Facts, places: pl.Series, tree: ScopeTree) -> None:
    below = containing(facts.targets["scope"], places, tree)
    key = ("assigned", "gains", "kind")
    ends = below.rename({"place": "scope"}).join(facts.targets, on="scope")
    spread = ends.group_by(key).agg(pl.col("end").sort()).sort(key)
    for place, gains, kind, found in spread.iter_rows():
        node = f"t:{gains}|{kind}|{place}"
        if f"a:{place}" in graph.numbers:
            graph.link(f"a:{place}", node, "with any role there")
        if node in graph.numbers:
            for end in found:
                graph.link(node, end, "")


def _link_code(graph: ReachGraph, facts: Facts) -> None:
    """Link the secrets of a resource to the code that may lie in it, within one resource group."""
    for store, code, what, certain in _code_beside(facts):
        # Secrets that no node reaches lead nowhere.
        if store in graph.numbers:
            graph.link(store, code, what, certain=certain)


@once("resources")
def _code_beside(facts: Facts) -> list[tuple[str, str, str, bool]]:
    """Return pairs of a secrets node and the code that may lie in it, with a text and whether that is certain."""
    group = pl.col("scope").str.split("/").list.head(5).list.join("/")
    found = []
    for rule in escalation_rules("resource").iter_rows(named=True):
        stores = facts.resources.filter(pl.col("type") == rule["permission"]).select(group=group, store="scope")
        code = facts.resources.filter(pl.col("type") == rule["target"]).select(group=group, code="scope")
        pairs = stores.join(code, on="group").select("store", "code").sort("store", "code")
        found += [(f"s:{store}", f"r:{scope}", rule["what"], rule["certain"]) for store, scope in pairs.iter_rows()]
    return found


def escalations_of(graph: ReachGraph, facts: Facts, tenant: Tenant, holdings: Holdings) -> pl.DataFrame:
    """Return the rows of the table `escalations`: the direct ways of a view, without what follows from them.

    Args:
        graph: The graph of the view, with eligible assignments.
        facts: The facts beside role assignments.
        tenant: Who is a member of which group.
        holdings: The access that is held.
    """
    bundles = [
        (*name[2:].split("|"), len(graph.out[number])) for name, number in graph.numbers.items() if name[:2] == "t:"
    ]
    names = {"gains": pl.String, "kind": pl.String, "scope": pl.String, "targets": pl.Int64}
    sizes = pl.DataFrame(bundles, schema=names, orient="row")
    held = holdings.assigned.select("role", "state", "condition", principal_id="holder", scope="place").unique()
    by_role = (
        held.join(rules_of_roles(holdings.grants), on="role")
        .join(sizes, on=["gains", "kind", "scope"], how="left")
        .with_columns(certain=pl.col("certain") & ~pl.col("conditional") & pl.col("condition").is_null())
        .filter((pl.col("gains") == "access") | (pl.col("targets") > 0))
    )
    beyond = ways_beyond(facts, tenant).with_columns(scope=pl.coalesce("scope", pl.lit(ROOT)))
    found = pl.concat([by_role.select(_columns()), beyond.select(_columns())])
    keys = [column.name for column in table("escalations").columns if column.key]
    return found.sort(*keys, "certain", descending=[False] * len(keys) + [True]).unique(
        keys, keep="first", maintain_order=True
    )  # fmt: skip


def _columns() -> list[pl.Expr]:
    return [pl.col(name).cast(type_) for name, type_ in schema_of("escalations").items()]
