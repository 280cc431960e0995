"""Compute what AI agents (Entra Agent ID) may do: own permissions, and those inherited through their blueprint.

An agent has its own permissions, and those permissions of the principal that the blueprint lets its agents inherit.
The blueprint decides that for each API and kind of access. No portal or API of Microsoft shows inherited permissions;
only the token of a call does. Where it is not known whether a permission is inherited, the row says so, and the
permission is neither granted nor denied.
Source: Microsoft Learn, Entra Agent ID, "Inheritable permissions and required resource access".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from rightsize.analyze.graph_tables import GRAPH_APP_ID, GraphTables
from rightsize.analyze.inputs import folded

OWN, INHERITED, UNCERTAIN = "own", "inherited", "uncertain"
"""The words of `origin`: granted to the agent itself; inherited from the principal of its blueprint; held by that
principal, and not known to be inherited."""

NOT_LISTED = "not_listed"
"""The mode where no export says whether agents of the blueprint inherit permissions of an API."""

CONFLICTING = "conflicting"
"""The mode where exports disagree."""

AGENT_TABLES = ("principals", "agent_blueprints", "agent_sightings")
"""The tables that say which agent identities exist."""

_GRANTS = ("allAllowed", "enumerated")
_INSTANCE = "agenticappinstance"
_LISTING = "inheritablePermissions"

EFFECTIVE_COLUMNS = (
    "agent_id", "access", "user_id", "api_app_id", "resource_name", "permission", "permission_id", "origin", "mode",
    "grant_id", "holder_id", "blueprint_app_id", "created_on",
)  # fmt: skip


def agent_identities(tables: GraphTables) -> pl.DataFrame:
    """Return `agent_id, name, blueprint_app_id, holder_id, enabled, deleted, listed`, one row per agent identity.

    Agents are those of listings and those that only sign-ins name, such as one made after the listing. `holder_id` is
    the principal of the agent's blueprint in this tenant, null where no listing has it; `blueprint_app_id` is null
    where neither a listing nor a sign-in says the blueprint.
    """
    people = tables.principals
    is_agent = folded(pl.col("object_type")) == "agentidentity"
    holders = (
        people.filter(pl.col("app_id").is_not_null() & ~is_agent.fill_null(value=False))
        .select(
            blueprint_app_id=folded(pl.col("app_id")),
            holder_id=folded(pl.col("principal_id")),
            is_typed=_is_blueprint(),
            gone=pl.col("deleted_on").is_not_null(),
        )
        # A deleted principal of the same application holds nothing.
        .sort("gone", pl.col("is_typed").not_(), "holder_id")
        .unique("blueprint_app_id", keep="first", maintain_order=True)
        .drop("is_typed", "gone")
    )
    sighted = _sighted_agents(tables)
    known = people.select(
        "principal_type", "object_type", agent_id=folded(pl.col("principal_id")),
        name=pl.coalesce("display_name", "principal_id"), said=folded(pl.col("blueprint_app_id")),
        enabled=pl.col("account_enabled"), deleted=pl.col("deleted_on").is_not_null(),
        listed=pl.col("listed").fill_null(value=True),
    )  # fmt: skip
    return (
        known.join(sighted, on="agent_id", how="full", coalesce=True)
        .filter(is_agent | (pl.col("said").is_not_null() & (pl.col("principal_type") != "User")) | pl.col("sighted"))
        .select(
            "agent_id", pl.coalesce("name", "agent_id"), "enabled",
            pl.coalesce("said", "blueprint_app_id").alias("blueprint_app_id"),
            pl.col("deleted").fill_null(value=False), pl.col("listed").fill_null(value=False),
        )
        .join(holders, on="blueprint_app_id", how="left")
        .select("agent_id", "name", "blueprint_app_id", "holder_id", "enabled", "deleted", "listed")
        .sort("agent_id")
    )  # fmt: skip


def blueprint_holders(tables: GraphTables) -> pl.Series:
    """Return the ids of the principals of all blueprints in this tenant."""
    typed = tables.principals.filter(_is_blueprint())["principal_id"]
    return pl.concat([folded(typed), agent_identities(tables)["holder_id"].drop_nulls()]).unique().sort()


def _is_blueprint() -> pl.Expr:
    return (folded(pl.col("object_type")) == "agentidentityblueprintprincipal").fill_null(value=False)


def _sighted_agents(tables: GraphTables) -> pl.DataFrame:
    """Return `agent_id, blueprint_app_id, sighted`, one row per agent identity that a sign-in names.

    An agent that sign-ins know by an application id has the id of its listed principal. Of several blueprints that
    sign-ins say, the last one counts. A blueprint that signs in itself is no agent.
    """
    people = tables.principals
    ids = people.select(app_id=folded(pl.col("app_id")), known=folded(pl.col("principal_id"))).drop_nulls()
    said = pl.col("blueprint_app_id").replace("", None)
    seen = tables.agent_sightings.filter(folded(pl.col("agent_type")) == _INSTANCE).select(
        "last_seen", app_id=folded(pl.col("app_id")), blueprint_app_id=folded(said)
    )  # fmt: skip
    blueprints = pl.concat([
        folded(people.filter(_is_blueprint())["app_id"]), folded(tables.agent_blueprints["blueprint_app_id"]),
        seen["blueprint_app_id"],
    ]).drop_nulls()  # fmt: skip
    return (
        seen.filter(pl.col("app_id").is_not_null() & ~pl.col("app_id").is_in(blueprints.implode()))
        .join(ids.unique("app_id", keep="first", maintain_order=True), on="app_id", how="left")
        .select("blueprint_app_id", "last_seen", agent_id=pl.coalesce("known", "app_id"))
        .sort("last_seen", "blueprint_app_id", nulls_last=False)
        .group_by("agent_id", maintain_order=True)
        .agg(pl.col("blueprint_app_id").drop_nulls().last())
        .with_columns(sighted=pl.lit(value=True))
    )


def inheritance(tables: GraphTables) -> pl.DataFrame:
    """Return `blueprint_app_id, api_app_id, access, mode, listed`, one row per API that a blueprint lists.

    `mode` is allAllowed, enumerated or none, `conflicting` where exports disagree, or the word that the export has;
    `listed` are the folded names or ids of an enumerated list.
    """
    ids = _blueprint_ids(tables)
    return (
        tables.inheritable_permissions.select(
            blueprint_id=folded(pl.col("blueprint_id")),
            api_app_id=folded(pl.col("resource_app_id")),
            access="access",
            mode="mode",
            listed=pl.col("permissions").list.eval(folded(pl.element())),
        )
        .join(ids, on="blueprint_id", how="left")
        .with_columns(blueprint_app_id=pl.coalesce("blueprint_app_id", "blueprint_id"))
        .group_by("blueprint_app_id", "api_app_id", "access")
        .agg(
            mode=pl.when(pl.col("mode").n_unique() > 1).then(pl.lit(CONFLICTING)).otherwise(pl.col("mode").first()),
            listed=pl.col("listed").explode().drop_nulls().unique().sort(),
        )
        .sort("blueprint_app_id", "api_app_id", "access")
    )


def _blueprint_ids(tables: GraphTables) -> pl.DataFrame:
    """Return `blueprint_id, blueprint_app_id` of the object ids of blueprints."""
    return tables.agent_blueprints.select(
        blueprint_id=folded(pl.col("object_id")), blueprint_app_id=folded(pl.col("blueprint_app_id"))
    ).drop_nulls()


def listed_blueprints(tables: GraphTables) -> pl.Series:
    """Return the application ids of the blueprints whose inheritable permissions an export lists completely."""
    whole = tables.listings.filter(
        (pl.col("listing") == _LISTING) & pl.col("complete") & (pl.col("rejected").fill_null(0) == 0)
    ).select(blueprint_id=folded(pl.col("of")))
    return (
        whole.join(_blueprint_ids(tables), on="blueprint_id", how="left")
        .select(pl.coalesce("blueprint_app_id", "blueprint_id"))
        .to_series()
        .unique()
        .sort()
    )


def effective_permissions(held: pl.DataFrame, tables: GraphTables) -> pl.DataFrame:
    """Return EFFECTIVE_COLUMNS, one row per agent, access, user of a grant of one user, permission and grant.

    Args:
        held: As `held_permissions` returns it.
        tables: The tables of the store.

    `origin` is `own`, `inherited` or `uncertain`. `mode` is null for own permissions, else the mode of the blueprint
    for that API: allAllowed or enumerated where the permission is inherited; where that is uncertain `not_listed`,
    `conflicting`, `unsaid` or a word that no document has. `holder_id` holds the grant: the agent, or the principal of
    its blueprint. `permission` is the id where its name is not known.
    """
    agents = agent_identities(tables).select("agent_id", "blueprint_app_id", "holder_id")
    own = held.join(agents.drop("holder_id"), left_on="client_id", right_on="agent_id", how="inner").with_columns(
        agent_id="client_id", holder_id="client_id", origin=pl.lit(OWN), mode=pl.lit(None, dtype=pl.String)
    )
    from_blueprint = (
        held.join(agents.drop_nulls("holder_id"), left_on="client_id", right_on="holder_id", how="inner")
        .with_columns(holder_id="client_id")
        .join(inheritance(tables), on=["blueprint_app_id", "api_app_id", "access"], how="left")
        .with_columns(whole=pl.col("blueprint_app_id").is_in(listed_blueprints(tables).implode()))
        .filter(pl.col("mode").is_not_null() | ~(pl.col("whole") & pl.col("api_app_id").is_not_null()))
        .with_columns(mode=pl.col("mode").fill_null(NOT_LISTED))
        .filter(pl.col("mode") != "none")
        .with_columns(
            in_list=pl.col("listed").list.contains(folded(pl.col("permission")))
            | pl.col("listed").list.contains(folded(pl.col("permission_id"))).fill_null(value=False)
        )
        .filter((pl.col("mode") != "enumerated") | pl.col("in_list"))
        .with_columns(
            origin=pl.when(pl.col("mode").is_in(_GRANTS)).then(pl.lit(INHERITED)).otherwise(pl.lit(UNCERTAIN))
        )
    )
    return (
        pl.concat([frame.select(EFFECTIVE_COLUMNS) for frame in (own, from_blueprint)])
        .unique()
        .sort("agent_id", "access", "user_id", "api_app_id", "permission", "origin", "grant_id", nulls_last=True)
    )


@dataclass(frozen=True, slots=True)
class Inherited:
    """The Graph permissions that an agent inherits from one case of its blueprint's principal.

    Attributes:
        key: The case: the principal, the access, and the user of a grant of one user, else empty.
        permissions: The permissions that the agent inherits, or may inherit where that is not known.
        takes_new: Whether the agent also inherits what the principal is granted later.
    """

    key: tuple[str, str, str]
    permissions: frozenset[str]
    takes_new: bool


Inheritances = Mapping[tuple[str, str], tuple[Inherited, ...]]
"""By agent and access the inherited permissions: from the tenant-wide case first, then from the cases of users."""


def inherited_access(
    held: pl.DataFrame, effective: pl.DataFrame, agents: pl.DataFrame, holders: pl.Series
) -> dict[tuple[str, str], tuple[Inherited, ...]]:
    """Return the Graph permissions that each agent inherits, by agent and access.

    Each case of the principal has an entry; its permissions are empty where the agent inherits none of them. An agent
    of an unknown blueprint has such an entry for the cases of each blueprint's principal.

    Args:
        held: As `held_permissions` returns them.
        effective: As `effective_permissions` returns them.
        agents: As `agent_identities` returns them.
        holders: As `blueprint_holders` returns them.
    """
    one = ["agent_id", "access", "holder_id", "user_id"]
    known = agents.select("agent_id", "holder_id").drop_nulls("holder_id")
    strangers = agents.filter(pl.col("blueprint_app_id").is_null()).select("agent_id")
    anyhow = strangers.join(holders.to_frame("holder_id"), how="cross")
    theirs = (
        held.filter(pl.col("api_app_id") == GRAPH_APP_ID)
        .select(pl.col("user_id").fill_null(""), "access", holder_id="client_id")
        .unique()
        .join(pl.concat([known, anyhow]), on="holder_id")
    )
    inherited = (
        effective.filter((pl.col("api_app_id") == GRAPH_APP_ID) & (pl.col("origin") != OWN))
        .with_columns(pl.col("user_id").fill_null(""))
        .group_by(one)
        .agg(pl.col("permission").unique(), takes_new=(pl.col("mode") == "allAllowed").all())
    )
    found: dict[tuple[str, str], list[Inherited]] = defaultdict(list)
    rows = theirs.join(inherited, on=one, how="left").sort(one).select(*one, "permission", "takes_new")
    for agent, access, holder, user, permissions, takes_new in rows.iter_rows():
        found[agent, access].append(Inherited((holder, access, user), frozenset(permissions or ()), bool(takes_new)))
    return {key: tuple(several) for key, several in found.items()}
