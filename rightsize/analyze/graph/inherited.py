"""Say what agents inherit of the Graph permissions of their blueprint's principal, case by case."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from rightsize.analyze.graph.agents import OWN
from rightsize.analyze.graph.tables import GRAPH_APP_ID


@dataclass(frozen=True, slots=True)
class Inherited:
    """What agents may inherit of one case of the principal of their blueprint.

    Attributes:
        key: The case of the principal: it, the access, and the user of a grant of one user, else empty.
        permissions: Those that agents inherit, or may inherit where that is not known.
        takes_new: Whether agents inherit whatever the principal is granted later.
    """

    key: tuple[str, str, str]
    permissions: frozenset[str]
    takes_new: bool


Inheritances = Mapping[tuple[str, str], tuple[Inherited, ...]]
"""By agent and access what it inherits: of the tenant-wide case of the principal first, then of those of users."""


def inherited_access(
    held: pl.DataFrame, effective: pl.DataFrame, agents: pl.DataFrame
) -> dict[tuple[str, str], tuple[Inherited, ...]]:
    """Return what each agent inherits of Microsoft Graph, empty where its blueprint lets it inherit nothing.

    Args:
        held: As `held_permissions` returns them.
        effective: As `effective_permissions` returns them.
        agents: As `agent_identities` returns them.
    """
    one = ["agent_id", "access", "holder_id", "user_id"]
    theirs = (
        held.filter(pl.col("api_app_id") == GRAPH_APP_ID)
        .select(pl.col("user_id").fill_null(""), "access", holder_id="client_id")
        .unique()
        .join(agents.select("agent_id", "holder_id"), on="holder_id")
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
