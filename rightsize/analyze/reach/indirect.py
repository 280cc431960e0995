"""Add the graph edges that come from the directory: its roles, groups under PIM, outside subjects, user consent."""

from __future__ import annotations

import polars as pl

from rightsize.analyze.inputs import ROOT, folded
from rightsize.analyze.reach.closure import ReachGraph
from rightsize.analyze.reach.facts import AGENT_USER, BLUEPRINT, Facts
from rightsize.analyze.tenant import Tenant
from rightsize.rules.attacks import escalation_rules

UNIT = "/administrativeunits/"
EVERYBODY = "d:everybody"
_GLOBAL = "is_global_administrator"
_ELEVATES = "elevates access, and assigns itself any role"
_IMPLIED = {
    "tenant": ("applications", "all_groups", "all_users", "restricted"),
    "all_groups": ("groups",),
    "all_users": ("users",),
    "applications": ("blueprints",),
}
"""Parts of the directory that are in others."""

_IN_UNITS = ("users", "all_users", "groups", "all_groups")
_OF_APPLICATION, _OF_BLUEPRINT = "applications", "blueprints"


def link_directory(graph: ReachGraph, facts: Facts, *, with_eligible: bool) -> None:
    """Link holders to the parts of the directory that they control, and these parts to the principals in them."""
    for holder, node, what, certain in _directory_ways(facts, with_eligible=with_eligible).iter_rows():
        graph.link(f"h:{holder}", node, what, certain=certain)
    graph.link("x:tenant", f"a:{ROOT}", _ELEVATES)
    restricted = set(facts.units.filter("restricted")["member_id"])
    for part, others in _IMPLIED.items():
        for other in others:
            if restricted or other != "restricted":
                graph.link(f"x:{part}", f"x:{other}", "as Global Administrator" if part == "tenant" else "among them")
    for principal, kind, privileged in facts.principals.iter_rows():
        for part in ("restricted",) if principal in restricted else _parts_of(kind, privileged)[:1]:
            _link_part(graph, f"x:{part}", principal, kind)
    units = facts.units.join(facts.principals, left_on="member_id", right_on="principal_id")
    for unit, member, _, kind, privileged in units.iter_rows():
        for part in _parts_of(kind, privileged):
            node = f"x:{part}|{UNIT}{unit}"
            if node in graph.numbers:
                _link_part(graph, node, member, kind)


def _parts_of(kind: str, privileged: bool) -> tuple[str, ...]:
    """Return the parts of the directory that contain a principal, the narrowest first.

    Nobody signs in as an agent identity or its user account but through the blueprint, so they are in none.
    """
    if kind == "ServicePrincipal":
        return (_OF_APPLICATION,)
    if kind == BLUEPRINT:
        return (_OF_BLUEPRINT, _OF_APPLICATION)
    if kind not in ("Group", "User"):
        return ()
    word = "groups" if kind == "Group" else "users"
    return (f"all_{word}",) if privileged else (word, f"all_{word}")


def _link_part(graph: ReachGraph, node: str, principal: str, kind: str) -> None:
    if kind == "Group":
        graph.link(node, f"h:{principal}", "makes itself a member")
    elif kind == "User":
        graph.link(node, f"p:{principal}", "resets the sign-in")
    elif kind in ("ServicePrincipal", BLUEPRINT):
        graph.link(node, f"p:{principal}", "adds a credential")


def _directory_ways(facts: Facts, *, with_eligible: bool) -> pl.DataFrame:
    """Return `(holder, node, what, certain)` of application permissions and directory roles."""
    permitted = _ruled("graph", facts.permissions.with_columns(state=pl.lit("active"), scope=pl.lit(ROOT)))
    held = pl.concat([permitted, _role_ways(facts, with_eligible=with_eligible)])
    return held.select(holder="principal_id", node=_node(), what="what", certain="certain")


def _ruled(plane: str, held: pl.DataFrame) -> pl.DataFrame:
    """Join held access, `(principal_id, permission, state, scope)`, to the rules of a plane, in a fixed order."""
    columns = ("principal_id", "permission", "state", "scope", "rule", "gains", "what", "certain")
    return held.join(escalation_rules(plane), on="permission").select(columns).sort(columns)


def _role_ways(facts: Facts, *, with_eligible: bool) -> pl.DataFrame:
    """Return the ways of directory roles, over the whole directory and over parts of it."""
    ways = pl.concat([_ruled("directory", facts.roles.with_columns(scope=pl.lit(ROOT))), _of_parts(facts)])
    return ways if with_eligible else ways.filter(pl.col("state") == "active")


def _of_parts(facts: Facts) -> pl.DataFrame:
    """Return the ways of roles over an administrative unit or over one application.

    Source: Microsoft Learn, "Administrative units in Microsoft Entra ID": a role over a unit reaches its users and
    groups, those without a directory role only, and not the members of its groups.
    """
    in_unit = pl.col("scope").str.starts_with(UNIT)
    fits = (
        pl.when(in_unit)
        .then(pl.col("gains").is_in(_IN_UNITS))
        .otherwise(pl.col("gains").is_in([_OF_APPLICATION, _OF_BLUEPRINT]))
    )
    return _ruled("directory", facts.scoped).filter(fits)


def _node() -> pl.Expr:
    """Return the node that a row of `_ruled` gives access to."""
    part = "x:" + pl.col("gains")
    unit = pl.col("scope").str.starts_with(UNIT)
    one = pl.col("scope").str.strip_chars_start("/")
    return (
        pl.when(pl.col("scope") == ROOT).then(part)
        .when(unit).then(part + "|" + pl.col("scope"))
        .otherwise("p:" + one)
    )  # fmt: skip


def link_governed(graph: ReachGraph, facts: Facts, *, with_eligible: bool) -> None:
    """Link members and owners of groups under Privileged Identity Management to the group; eligible ones by option."""
    rules = {row["permission"]: row for row in escalation_rules("group").to_dicts()}
    for principal, group, access, state in facts.governed.iter_rows():
        if access in rules and (with_eligible or state == "active"):
            graph.link(f"h:{principal}", f"h:{group}", f"{rules[access]['what']} {group}")


def link_trusted(graph: ReachGraph, facts: Facts) -> None:
    """Link outside subjects to the principals that they act as, and the tenant's clusters and identities to them.

    Source: Microsoft Learn, "Workload identity federation"; "Use a Microsoft Entra Workload ID on AKS": a cluster
    issues the tokens of its service accounts, so a principal that runs pods on it may act as any of them.
    """
    whats = {row["permission"]: row["what"] for row in escalation_rules("federated").to_dicts()}
    for outsider, _, subject, principal, kind in facts.trusted.iter_rows():
        graph.link(f"o:{outsider}", f"p:{principal}", whats[kind.lower()])
        if subject is not None:
            graph.link(f"p:{subject}", f"o:{outsider}", "is the subject that is trusted")
    for scope, outsider in facts.trusted.join(facts.issuers, on="issuer").select("scope", "outsider").iter_rows():
        graph.link(f"r:{scope}", f"o:{outsider}", "runs a pod as the service account")


def link_delegated(graph: ReachGraph, facts: Facts, tenant: Tenant, *, with_eligible: bool) -> None:
    """Link applications to the access that they have as users who consented, or as any user who signs in to them.

    An application has no more there than its user has: an edge needs the permission, and a user who may do it. It is
    never certain, since that user has to sign in to it.
    """
    if facts.delegated.is_empty():
        return
    ways = delegated_ways(facts, tenant, with_eligible=with_eligible)
    for row in ways.iter_rows(named=True):
        who = f"as {row['user']}" if row["is_one"] else "as any user who signs in to it"
        if row["gains"] != "azure" and not row["is_one"]:
            who = f"as {row['user']} or another user who signs in to it"
        graph.link(f"h:{row['client_id']}", row["node"], f"{row['what']} {who}", certain=False)
    nodes = set(ways.filter(pl.col("gains") == "azure")["node"])
    users = _users(facts, tenant)
    held = users.with_columns(node="d:" + pl.col("user")).filter(pl.col("node").is_in(list(nodes)))
    if EVERYBODY in nodes:
        everybody = users.unique("holder", keep="first", maintain_order=True).with_columns(node=pl.lit(EVERYBODY))
        held = pl.concat([held, everybody])
    _link_azure(graph, facts, held, with_eligible=with_eligible)


def _link_azure(graph: ReachGraph, facts: Facts, held: pl.DataFrame, *, with_eligible: bool) -> None:
    """Link nodes to the roles of `held`, `(user, holder, node)`; a Global Administrator may elevate access too."""
    roles = _role_ways(facts, with_eligible=with_eligible)
    elevating = set(roles.filter((pl.col("rule") == _GLOBAL) & (pl.col("scope") == ROOT))["principal_id"])
    for user, holder, node in held.iter_rows():
        who = f"as {user} " if node == EVERYBODY else ""
        number = graph.numbers.get(f"h:{holder}")
        ends = dict(graph.out[number]) if number is not None else {}
        for end, (why, certain) in ends.items():
            if graph.names[end].startswith("g:"):
                graph.link(node, graph.names[end], who + why, certain=certain)
        if holder in elevating:
            graph.link(node, f"a:{ROOT}", who + _ELEVATES)


def _users(facts: Facts, tenant: Tenant) -> pl.DataFrame:
    """Return `(user, holder)`: users, and the principals and groups through which each holds access."""
    users = facts.principals.filter(pl.col("principal_type").is_in(["User", AGENT_USER])).select("principal_id")
    held = tenant.membership.join(users, on="principal_id").select("holder", user="principal_id")
    alone = users.select(holder="principal_id", user="principal_id")
    return pl.concat([held, alone]).unique().select("user", "holder").sort("user", "holder")


def _able(facts: Facts, tenant: Tenant, *, with_eligible: bool) -> pl.DataFrame:
    """Return `(gains, node, able)`: users who may act on a part of the directory, by a role or as owners."""
    held = _role_ways(facts, with_eligible=with_eligible).select("gains", holder="principal_id", node=_node())
    whole = held.filter(pl.col("node") == "x:" + pl.col("gains"))
    pairs = [(part, other) for part, others in _IMPLIED.items() for other in others if other != "restricted"]
    implied = pl.DataFrame(pairs, schema={"gains": pl.String, "other": pl.String}, orient="row")
    for _ in _IMPLIED:
        more = whole.join(implied, on="gains").select("holder", gains="other", node="x:" + pl.col("other"))
        whole = pl.concat([whole, more.select(whole.columns)]).unique()
    is_group = pl.col("kind") == "Group"
    owned = facts.owned.select(
        gains=pl.when(is_group).then(pl.lit("groups")).otherwise(pl.lit(_OF_APPLICATION)),
        holder="owner_id",
        node=pl.when(is_group).then("h:" + pl.col("owned_id")).otherwise("p:" + pl.col("owned_id")),
    )
    found = pl.concat([held, whole, owned]).unique().join(_users(facts, tenant), on="holder")
    return found.select("gains", "node", able="user").unique().sort("gains", "node", "able")


_WAY = ("client_id", "permission", "rule", "gains", "node", "user", "is_one", "what")


def delegated_ways(facts: Facts, tenant: Tenant, *, with_eligible: bool) -> pl.DataFrame:
    """Return `_WAY`, one row per (client, permission, node): delegated permissions that some user has the rights for.

    `user` is who consented, or where `is_one` is false the first user with the rights.
    """
    rules = escalation_rules("delegated").select("permission", "rule", "gains", "what", api="target")
    held = facts.delegated.join(rules, on=["permission", "api"])
    azure = held.filter(pl.col("gains") == "azure").with_columns(
        node=pl.coalesce("d:" + pl.col("user_id"), pl.lit(EVERYBODY)), able="user_id"
    )
    able = _able(facts, tenant, with_eligible=with_eligible) if held.height > azure.height else None
    parts = [azure]
    if able is not None:
        everything = held.filter(pl.col("gains") == "directory").join(able.drop("gains").unique(), how="cross")
        parts += [everything, held.join(able, on="gains")]
    found = pl.concat(part.select(azure.columns) for part in parts).filter(
        pl.col("user_id").is_null() | (pl.col("user_id") == pl.col("able"))
    )
    return (
        found.with_columns(user="able", is_one=pl.col("user_id").is_not_null())
        .select(_WAY)
        .sort("client_id", "permission", "node", "is_one", "user", "gains",
              descending=[False, False, False, True, False, False], nulls_last=True)
        .unique(["client_id", "permission", "node"], keep="first", maintain_order=True)
    )  # fmt: skip


def ways_beyond(facts: Facts, tenant: Tenant) -> pl.DataFrame:
    """Return access held beyond Azure roles, as rows of `escalations`; `scope` is null for the whole tenant."""
    owned = facts.owned.group_by("owner_id", "kind").agg(targets=pl.len().cast(pl.Int64))
    agents = facts.agents.group_by("holder_id", "kind").agg(targets=pl.len().cast(pl.Int64))
    governed = facts.governed.group_by("principal_id", "access", "state").agg(targets=pl.len().cast(pl.Int64))
    trusted = facts.trusted.group_by("outsider", "kind").agg(targets=pl.len().cast(pl.Int64))
    delegated = delegated_ways(facts, tenant, with_eligible=True)
    active = delegated_ways(facts, tenant, with_eligible=False).select("client_id", "permission", "node")
    key = ["client_id", "permission", "node"]
    delegated = pl.concat([
        delegated.join(active, on=key, how="semi").with_columns(state=pl.lit("active")),
        delegated.join(active, on=key, how="anti").with_columns(state=pl.lit("eligible")),
    ]).unique(
        ["client_id", "permission", "gains", "state"], keep="first", maintain_order=True)  # fmt: skip
    plain = (
        ("graph", facts.permissions.with_columns(state=pl.lit("active"))),
        ("directory", facts.roles),
        ("owner", owned.select(
            principal_id="owner_id", permission=folded(pl.col("kind")), state=pl.lit("active"), targets="targets")),
        ("agent", agents.select(
            principal_id="holder_id", permission=folded(pl.col("kind")), state=pl.lit("active"), targets="targets")),
        ("group", governed.rename({"access": "permission"})),
        ("federated", trusted.select(
            principal_id="outsider", permission=folded(pl.col("kind")), state=pl.lit("active"), targets="targets")),
    )  # fmt: skip
    parts = [rows.join(escalation_rules(plane), on="permission").with_columns(plane=pl.lit(plane))
             for plane, rows in plain]  # fmt: skip
    parts += [
        _of_parts(facts).with_columns(plane=pl.lit("directory")),
        delegated.rename({"client_id": "principal_id"}).with_columns(plane=pl.lit("delegated"), certain=pl.lit(False)),
        facts.policies.drop_nulls("rule").with_columns(
            plane=pl.lit("vault"), state=pl.lit("active"), targets=pl.lit(1)
        ),
    ]
    columns = {"principal_id": pl.String, "rule": pl.String, "plane": pl.String, "permission": pl.String,
               "scope": pl.String, "state": pl.String, "gains": pl.String, "targets": pl.Int64, "certain": pl.Boolean,
               "what": pl.String}  # fmt: skip
    return pl.concat(
        part.select((pl.col(name) if name in part.columns else pl.lit(None)).cast(kind).alias(name)
                    for name, kind in columns.items())
        for part in parts
    )  # fmt: skip
