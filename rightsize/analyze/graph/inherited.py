"""Group the Graph permissions that each agent inherits by the grants of its blueprint's principal that give them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from rightsize.analyze.graph.agents import OWN
from rightsize.analyze.graph.tables import GRAPH_APP_ID


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
