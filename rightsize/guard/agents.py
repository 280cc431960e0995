"""Find whom the containment of an agent or of a blueprint concerns, and write the requests about inherited access.

An agent is contained with its user account, and a blueprint with all its agents and their user accounts. Sources:
Microsoft Learn, "Agent identity deletion" (disable versus delete); Graph v1.0 resource types agentIdentity,
agentIdentityBlueprintPrincipal and agentUser.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

import polars as pl

from rightsize.analyze.graph.agents import INHERITED, OWN, agent_identities, effective_permissions
from rightsize.analyze.graph.tables import GRANT_TABLES, GraphTables, held_permissions
from rightsize.analyze.text import folded
from rightsize.guard.requests import Option, TableOf, permission_options

AGENT, BLUEPRINT = "agent", "blueprint"


@dataclass(frozen=True, slots=True)
class AgentGroup:
    """Who is contained together with a principal of Microsoft Entra Agent ID.

    Attributes:
        kind: `agent`, `blueprint`, or empty for every other principal.
        members: Whom the containment concerns, the named principal first: its agents, and their user accounts.
        siblings: Other agents of the same blueprint, which keep working.
        holder: The principal of the agent's blueprint, empty where no listing has it.
        identities: The agent identities among the members.
    """

    kind: str
    members: tuple[str, ...]
    siblings: tuple[str, ...] = ()
    holder: str = ""
    identities: frozenset[str] = frozenset()


def read_agent_group(principal: str, table_of: TableOf) -> AgentGroup:
    """Return whom the containment of a principal concerns.

    Args:
        principal: Its folded id.
        table_of: A function that returns a table of the store by name, for example `Store.table`.
    """
    people = table_of("principals")

    def users_of(agents: Collection[str]) -> tuple[str, ...]:
        found = people.filter(folded(pl.col("parent_id")).is_in(list(agents)) & pl.col("deleted_on").is_null())
        return tuple(folded(found["principal_id"]).sort())

    agents = agent_identities(_tables(table_of)).filter(~pl.col("deleted"))
    own = agents.filter(pl.col("agent_id") == principal)
    if not own.is_empty():
        row = own.row(0, named=True)
        of_blueprint = agents.filter(pl.col("blueprint_app_id") == row["blueprint_app_id"])
        beside = tuple(of_blueprint.filter(pl.col("agent_id") != principal)["agent_id"])
        members = (principal, *users_of([principal]))
        return AgentGroup(AGENT, members, beside, row["holder_id"] or "", frozenset({principal}))
    made = tuple(agents.filter(pl.col("holder_id") == principal)["agent_id"])
    typed = people.filter(folded(pl.col("principal_id")) == principal)["object_type"].drop_nulls()
    if made or "agentIdentityBlueprintPrincipal" in typed:
        return AgentGroup(BLUEPRINT, (principal, *made, *users_of(made)), identities=frozenset(made))
    return AgentGroup("", (principal,))


def _tables(table_of: TableOf) -> GraphTables:
    return GraphTables.of(**{name: table_of(name) for name in ("principals", *GRANT_TABLES)})


def inherited_options(group: AgentGroup, table_of: TableOf) -> Iterator[Option]:
    """Yield the requests that take an agent's inherited permissions from the principal of its blueprint.

    Each takes them from the other agents of the blueprint too, and says so.
    """
    if group.kind != AGENT or not group.holder:
        return
    tables = _tables(table_of)
    found = effective_permissions(held_permissions(tables), tables).filter(
        (pl.col("agent_id") == group.members[0]) & (pl.col("origin") != OWN)
    )
    inherited, sure = set(found["grant_id"]), set(found.filter(pl.col("origin") == INHERITED)["grant_id"])
    number = len(group.siblings)
    others = f"from {number} other agents of the blueprint too" if number else "from no other agent"
    for grant, option in permission_options(group.holder, table_of):
        if grant in inherited:
            how = "which it inherits" if grant in sure else "which it may inherit"
            text = f"{option.text} from the principal of the blueprint, {how}; this takes them {others}"
            yield replace(option, name=option.name.replace("remove_", "remove_inherited_"), text=text)
