"""Read the facts that escalation needs besides role assignments: identities, owners, groups, consent and trust."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import polars as pl

from rightsize.analyze.agents import OWN, agent_identities, effective_permissions
from rightsize.analyze.graph_tables import GRANT_TABLES, GRAPH_APP_ID, GraphTables, held_permissions
from rightsize.analyze.inputs import Inputs, folded, place_of
from rightsize.analyze.principals import principal_ids
from rightsize.rules.attacks import escalation_rules
from rightsize.rules.vaults import POLICIES, VAULT

TableOf = Callable[[str], pl.DataFrame]


def read_governed(instances: pl.DataFrame) -> pl.DataFrame:
    """Return `(principal_id, group_id, access, state)` of groups under Privileged Identity Management."""
    return instances.select(
        folded(pl.col("principal_id")),
        folded(pl.col("group_id")),
        "access",
        state=pl.when(pl.col("state") == "active").then(pl.lit("active")).otherwise(pl.lit("eligible")),
    ).unique().drop_nulls().sort("principal_id", "group_id", "access", "state")  # fmt: skip


def read_units(table_of: TableOf) -> pl.DataFrame:
    """Return `(unit, member_id, restricted)` of administrative units, whose groups do not bring in their members."""
    kinds = table_of("administrative_units").select(unit=folded(pl.col("unit_id")), restricted="is_restricted")
    members = table_of("administrative_unit_members").select(
        folded(pl.col("member_id")), unit=folded(pl.col("unit_id"))
    )
    found = members.unique().join(kinds, on="unit", how="left").with_columns(pl.col("restricted").fill_null(False))
    return found.select("unit", "member_id", "restricted").sort("unit", "member_id")


AGENT, AGENT_USER, BLUEPRINT = "AgentIdentity", "AgentUser", "Blueprint"
"""Kinds of principals of Microsoft Entra Agent ID, as facts name them."""


def read_agents(people: pl.DataFrame, identities: pl.DataFrame) -> pl.DataFrame:
    """Return `(holder_id, agent_id, kind)`: who gets tokens as an agent identity or as its user account.

    A blueprint's principal acts as the agent identities of the blueprint, and an agent identity as its user account.
    Source: Microsoft Learn, "Agent identities in Microsoft Entra Agent ID": an agent identity has no credential.

    Args:
        people: The table `principals`, with folded ids.
        identities: As `agent_identities` returns them.
    """
    by_app = people.filter(pl.col("principal_type") == "ServicePrincipal").drop_nulls("app_id")
    acting = by_app.select(app_id=folded(pl.col("app_id")), holder_id="principal_id").unique("app_id", keep="none")
    made = identities.select("agent_id", app_id="blueprint_app_id").drop_nulls("app_id")
    paired = people.select(agent_id="principal_id", holder_id=folded(pl.col("parent_id"))).drop_nulls("holder_id")
    found = pl.concat([
        made.join(acting, on="app_id").select("holder_id", "agent_id", kind=pl.lit(AGENT)),
        paired.select("holder_id", "agent_id", kind=pl.lit(AGENT_USER)),
    ])  # fmt: skip
    return found.filter(pl.col("holder_id") != pl.col("agent_id")).unique().sort("holder_id", "agent_id")


def kind_of(agents: pl.DataFrame) -> pl.Expr:
    """Return the type of a principal; agents and blueprints, which others cannot sign in as, have kinds of their own.

    An agent whose blueprint's principal is not loaded stays what it is, so that no way to it is lost.
    """
    kinds = dict(agents.select("agent_id", "kind").iter_rows())
    is_blueprint = pl.col("object_type") == "agentIdentityBlueprintPrincipal"
    acting = agents.filter(pl.col("kind") == AGENT)["holder_id"].unique()
    return (
        pl.when(is_blueprint.fill_null(False) | pl.col("principal_id").is_in(acting.implode())).then(pl.lit(BLUEPRINT))
        .otherwise(pl.coalesce(
            pl.col("principal_id").replace_strict(kinds, default=None, return_dtype=pl.String), "principal_type"))
    )  # fmt: skip


def outsider_of(issuer: pl.Expr, subject: pl.Expr) -> pl.Expr:
    """Return the name of an outside subject: the issuer of its token, then the subject."""
    return issuer.str.strip_chars_end("/") + " " + subject.fill_null("an expression that the export does not show")


def read_trusted(table_of: TableOf, people: pl.DataFrame, identities: pl.DataFrame) -> pl.DataFrame:
    """Return `(outsider, issuer, subject, principal_id, kind)`; kind Application or UserAssignedIdentity.

    `subject` is the principal that the subject is, null where it is none of this directory.
    """
    held = table_of("federated_credentials")
    apps = people.filter(pl.col("principal_type") == "ServicePrincipal").drop_nulls("app_id")
    acting = apps.select(app_id=folded(pl.col("app_id")), acting="principal_id").unique("app_id", keep="none")
    own = identities.select(object_id="scope", itself="principal_id").unique("object_id", keep="none")
    found = (
        held.with_columns(folded(pl.col("app_id")), place_of(pl.col("object_id")))
        .join(acting, on="app_id", how="left")
        .join(own, on="object_id", how="left")
    )
    return found.select(
        outsider_of(pl.col("issuer"), pl.col("subject")).alias("outsider"),
        issuer=folded(pl.col("issuer").str.strip_chars_end("/")),
        subject=pl.when(folded(pl.col("subject")).is_in(people["principal_id"].implode())).then(
            folded(pl.col("subject"))),
        principal_id=pl.coalesce("acting", "itself"),
        kind=pl.when(pl.col("acting").is_not_null()).then(pl.lit("Application")).otherwise(
            pl.lit("UserAssignedIdentity")),
    ).drop_nulls("principal_id").unique().sort("outsider", "principal_id")  # fmt: skip


def read_issuers(resources: pl.DataFrame) -> pl.DataFrame:
    """Return `(scope, issuer)` of clusters that issue tokens for their service accounts."""
    url = pl.col("settings").str.json_path_match("$['oidcIssuerProfile/issuerURL']").str.strip_chars_end("/")
    return resources.select(place_of(pl.col("scope")), issuer=folded(url)).drop_nulls().sort("scope")


def read_delegated(held: pl.DataFrame) -> pl.DataFrame:
    """Return `(client_id, user_id, api, permission)`; a grant without a user holds for every user who signs in.

    Args:
        held: As `graph_tables.held_permissions` returns it.
    """
    given = held.filter(pl.col("access") == "delegated").select(
        "client_id", "user_id", api=folded(pl.col("api_app_id")), permission=folded(pl.col("permission"))
    )
    return given.drop_nulls(["api", "permission"]).unique().sort(given.columns, nulls_last=True)


@dataclass(frozen=True, slots=True)
class Facts:
    """Attached identities, owned objects and access held beyond Azure roles, all ids and scopes folded.

    Attributes:
        resources: `(scope, type, settings)` of every resource that anything names.
        targets: `(scope, gains, kind, end)`: what rules let somebody gain at a resource, and the node of it.
        attached: `(scope, principal_id)` of managed identities and the resources that have them.
        identities: `(scope, principal_id)` of user-assigned identities, which are resources themselves.
        owned: `(owner_id, owned_id, kind)`; kind Group, ServicePrincipal or AgentIdentity.
        agents: `(holder_id, agent_id, kind)`: the principal of a blueprint and its agent identities, and an agent
            identity and its user account; kind AgentIdentity or AgentUser.
        permissions: `(principal_id, permission)` of application permissions of Microsoft Graph; agents have those
            that they inherit or may inherit, too.
        roles: `(principal_id, permission, state)`: actions of directory roles over the whole directory, and role ids.
        scoped: `(principal_id, permission, state, scope)`: the same of roles over a part of the directory.
        units: `(unit, member_id, restricted)` of administrative units.
        governed: `(principal_id, group_id, access, state)` of groups under Privileged Identity Management.
        delegated: `(client_id, user_id, api, permission)` of consents by users or administrators.
        trusted: `(outsider, issuer, subject, principal_id, kind)`: who is let in by an outside issuer; `subject` is the
            principal that it is, where it is one.
        issuers: `(scope, issuer)` of clusters that are such an issuer.
        principals: `(principal_id, type, privileged)`: the type may be Blueprint, AgentIdentity or AgentUser;
            privileged are holders of a role over the directory or over a restricted unit, and groups that may hold one.
        policies: `(principal_id, scope, permission, rule, gains, certain, what)`: the data actions that access policies
            give in vaults that they decide; `rule` is null for those that give no secrets.
    """

    resources: pl.DataFrame
    targets: pl.DataFrame
    attached: pl.DataFrame
    identities: pl.DataFrame
    owned: pl.DataFrame
    agents: pl.DataFrame
    permissions: pl.DataFrame
    roles: pl.DataFrame
    scoped: pl.DataFrame
    units: pl.DataFrame
    governed: pl.DataFrame
    delegated: pl.DataFrame
    trusted: pl.DataFrame
    issuers: pl.DataFrame
    principals: pl.DataFrame
    policies: pl.DataFrame


def without_grants(facts: Facts) -> Facts:
    """Return the facts without ownership and directory access, for views of use: calls show no use of these."""
    names = ("owned", "permissions", "roles", "scoped", "governed", "delegated", "policies")
    return replace(facts, **{name: getattr(facts, name).clear() for name in names})


def read_facts(inputs: Inputs, table_of: Callable[[str], pl.DataFrame]) -> Facts:
    """Read attached identities, owned objects and access held beyond Azure roles.

    Args:
        inputs: The tables of the analysis.
        table_of: Returns the other tables of the store, for example `Store.table`.
    """
    people = inputs.principals.with_columns(principal_id=principal_ids(inputs))
    listed, attached = table_of("resources"), table_of("resource_identities")
    others = people.select("principal_id", "alternative_names").explode("alternative_names").drop_nulls()
    named = others.select("principal_id", scope=place_of(others["alternative_names"]))
    named = named.filter(pl.col("scope").str.starts_with("/"))
    is_identity = pl.col("scope").str.contains(_IDENTITY_TYPE, literal=True)
    own = attached.filter(pl.col("kind") == "self").select("scope", "principal_id")
    identities = pl.concat([named.filter(is_identity).select("scope", "principal_id"), own]).drop_nulls().unique()
    given = attached.filter(pl.col("kind") == "user").join(
        identities.select(identity_scope="scope", found="principal_id"), on="identity_scope", how="left"
    )
    links = pl.concat([
        named.filter(~is_identity).select("scope", "principal_id"),
        attached.filter(pl.col("kind") == "system").select("scope", "principal_id"),
        given.select("scope", principal_id=pl.coalesce("principal_id", "found")),
    ]).drop_nulls().unique().sort("scope", "principal_id")  # fmt: skip
    below = inputs.scopes.filter(pl.col("kind") == "resource")
    typed = pl.concat([
        below.select("resource_type", scope=place_of(below["scope"])), listed.select("resource_type", "scope"),
    ])  # fmt: skip
    known = typed.select("scope", type=folded(typed["resource_type"])).drop_nulls()
    settings = listed.select("scope", "settings")
    others = pl.concat([links.select("scope"), identities.select("scope")]).select("scope", type=_type_of("scope"))
    graph = GraphTables.of(principals=inputs.principals, **{name: table_of(name) for name in GRANT_TABLES})
    consented = _with_inherited(held_permissions(graph), graph)
    held = _directory_roles(table_of)
    roles = held.filter(pl.col("scope") == "/").drop("scope")
    units = read_units(table_of)
    restricted = "/administrativeunits/" + units.filter("restricted")["unit"].unique()
    strong = held.filter((pl.col("scope") == "/") | pl.col("scope").is_in(restricted.implode()))["principal_id"]
    agents = read_agents(people, agent_identities(graph))
    resources = pl.concat([known, others]).unique("scope", keep="first", maintain_order=True)
    resources = resources.join(settings, on="scope", how="left").sort("scope")
    return Facts(
        resources=resources,
        targets=_targets(resources, identities),
        attached=links,
        identities=identities.sort("scope", "principal_id"),
        owned=_owned(table_of("object_owners"), people, agents),
        agents=agents,
        permissions=_permissions(consented),
        roles=roles,
        scoped=held.filter(pl.col("scope") != "/"),
        units=units,
        governed=read_governed(inputs.group_schedule_instances),
        delegated=read_delegated(consented),
        trusted=read_trusted(table_of, people, identities),
        issuers=read_issuers(listed),
        principals=people.filter(pl.col("deleted_on").is_null()).select(
            "principal_id", principal_type=kind_of(agents),
            privileged=pl.col("principal_id").is_in(strong.unique().implode())
            | pl.col("is_role_assignable").fill_null(False),
        ).sort("principal_id"),
        policies=_policies(table_of),
    )  # fmt: skip


def _policies(table_of: TableOf) -> pl.DataFrame:
    """Return what the access policies of vaults give; one with an application is not certain for its principal."""
    deciding = table_of("vaults").filter(pl.col("model") == POLICIES).select("scope")
    held = table_of("vault_policies").filter(~pl.col("is_foreign")).join(deciding, on="scope", how="semi")
    rules = escalation_rules("data").filter(pl.col("target") == VAULT)
    rows = held.drop_nulls("operation").select(
        "scope", "principal_id", "app_id", permission=folded(pl.col("operation"))
    )
    given = rows.join(rules.select("permission", "rule", "gains", "certain", "what"), on="permission", how="left")
    return given.select(
        "principal_id", "scope", "permission", "rule", "gains",
        certain=pl.col("certain").fill_null(True) & (pl.col("app_id") == ""),
        what=pl.col("what") + " by an access policy",
    ).sort("principal_id", "scope", "permission", "certain", descending=[False, False, False, True]).unique(
        ["principal_id", "scope", "permission"], keep="first", maintain_order=True
    )  # fmt: skip


def _with_inherited(held: pl.DataFrame, graph: GraphTables) -> pl.DataFrame:
    """Return held permissions and those that agent identities inherit, or may inherit, from their blueprint."""
    inherited = effective_permissions(held, graph).filter(pl.col("origin") != OWN)
    return pl.concat([held, inherited.rename({"agent_id": "client_id"}).select(held.columns)])


_IDENTITY_TYPE = "/providers/microsoft.managedidentity/userassignedidentities/"


def _type_of(column: str) -> pl.Expr:
    """Return the type in a resource id: the provider after the last `/providers/`, and every other segment after it."""
    tail = pl.col(column).str.split("/providers/").list.last().str.split("/")
    steps = tail.list.slice(1).list.gather_every(2)
    return tail.list.first() + "/" + steps.list.join("/")


_LINKED = ("resource", "identity", "secrets")


def _targets(resources: pl.DataFrame, identities: pl.DataFrame) -> pl.DataFrame:
    """Return `(scope, gains, kind, end)` of resources at which a rule gives access that no setting closes."""
    kinds = pl.concat(
        escalation_rules(plane).select("gains", "kind", "target", "unless") for plane in ("control", "data")
    )
    kinds = kinds.filter(pl.col("gains").is_in(_LINKED)).unique()
    there = resources.rename({"type": "target"}).join(kinds, on="target").filter(~_is_closed(kinds["unless"]))
    letter = pl.col("gains").replace_strict({"resource": "r", "secrets": "s"}, default="p")
    return (
        there.join(identities, on="scope", how="left")
        .filter((pl.col("gains") != "identity") | pl.col("principal_id").is_not_null())
        .select(
            "scope", "gains", "kind",
            end=letter + ":" + pl.when(pl.col("gains") == "identity").then("principal_id").otherwise("scope"),
        )
    )  # fmt: skip


def _is_closed(ways: pl.Series) -> pl.Expr:
    """Return whether a setting of the resource closes the way of its rule; `ways` are all settings that rules name."""
    found = []
    for way in sorted({way for way in ways if way}):
        name, _, value = way.partition("=")
        has = pl.col("settings").str.json_path_match(f"$.{name.removesuffix('!')}").fill_null("") == value
        # A setting that is absent from known settings is not the value, either.
        closed = ~has & pl.col("settings").is_not_null() if name.endswith("!") else has
        found.append((pl.col("unless") == way) & closed)
    return pl.any_horizontal(found).fill_null(False)


def _owned(owners: pl.DataFrame, people: pl.DataFrame, agents: pl.DataFrame) -> pl.DataFrame:
    """Return `(owner_id, owned_id, kind)`; an application stands as the service principal that acts for it."""
    is_agent = pl.col("principal_id").is_in(agents.filter(pl.col("kind") == AGENT)["agent_id"].implode())
    kinds = people.select(
        owned_id="principal_id", kind=pl.when(is_agent).then(pl.lit(AGENT)).otherwise("principal_type")
    )
    by_app = people.filter(pl.col("principal_type") == "ServicePrincipal").drop_nulls("app_id")
    apps = by_app.select(app_id=folded(pl.col("app_id")), acting="principal_id").unique("app_id", keep="none")
    found = owners.join(apps, on="app_id", how="left").select(
        "owner_id", owned_id=pl.coalesce("acting", "object_id")
    ).unique().join(kinds, on="owned_id")  # fmt: skip
    known = found.filter(pl.col("kind").is_in(["Group", "ServicePrincipal", AGENT]))
    return known.select("owner_id", "owned_id", "kind").sort("owner_id", "owned_id")


def _directory_roles(table_of: Callable[[str], pl.DataFrame]) -> pl.DataFrame:
    """Return `(principal_id, permission, state, scope)` of directory roles; the scope / is the whole directory."""
    held = table_of("directory_role_assignments").select(
        principal_id=folded(pl.col("principal_id")), role=folded(pl.col("directory_role_id")),
        state=pl.when(pl.col("state") == "active").then(pl.lit("active")).otherwise(pl.lit("eligible")),
        scope=folded(pl.col("scope").fill_null("/")),
    )  # fmt: skip
    roles = table_of("directory_roles").select(role=folded(pl.col("directory_role_id")), permission="actions")
    allowed = held.join(roles, on="role").explode("permission").drop_nulls("permission")
    both = pl.concat([
        allowed.select("principal_id", folded(pl.col("permission")), "state", "scope"),
        held.select("principal_id", "role", "state", "scope").rename({"role": "permission"}),
    ])  # fmt: skip
    return both.unique().drop_nulls().sort("principal_id", "permission", "state", "scope")


def _permissions(held: pl.DataFrame) -> pl.DataFrame:
    """Return `(principal_id, permission)` of application permissions of Microsoft Graph.

    Permissions whose names are not loaded are left out.
    """
    of_graph = held.filter(
        (pl.col("access") == "application") & (pl.col("api_app_id") == GRAPH_APP_ID).fill_null(False)
    )
    found = of_graph.select(principal_id="client_id", permission=folded(pl.col("permission")))
    return found.drop_nulls().unique().sort("principal_id", "permission")
