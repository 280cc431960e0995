"""Read what is held through groups under PIM, administrative units, consent of users, and trusted outside subjects."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from rightsize.analyze.text import folded, place_of

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
        held: As `graph.tables.held_permissions` returns it.
    """
    given = held.filter(pl.col("access") == "delegated").select(
        "client_id", "user_id", api=folded(pl.col("api_app_id")), permission=folded(pl.col("permission"))
    )
    return given.drop_nulls(["api", "permission"]).unique().sort(given.columns, nulls_last=True)
