"""Build the reach of a few nodes from the part of the graph around them, without the graph of the whole tenant.

Where what the nodes reach depends on the whole directory, the whole graph is built instead.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import polars as pl

from rightsize.analyze.escalation import Holdings, assignable, build_graph, with_assignable
from rightsize.analyze.facts import Facts
from rightsize.analyze.indirect import acting_clients
from rightsize.analyze.inputs import Inputs
from rightsize.analyze.reach import View, closed
from rightsize.analyze.tenant import Tenant

_AROUND = "phr"
"""Letters of the nodes around which facts, members and holdings are taken."""


def view_from(
    nodes: Iterable[str], facts: Facts, tenant: Tenant, inputs: Inputs, holdings: Holdings, *, with_eligible: bool
) -> View:
    """Return the view as far as some nodes reach; their reach in it is the same as in the whole view."""
    starts = list(nodes)
    holdings = with_assignable(holdings, tenant, inputs)
    users = facts.principals.filter(pl.col("principal_type") == "User")["principal_id"]
    clients = {f"h:{client}" for client in acting_clients(facts)}
    known = _with_next(frozenset(starts), facts, tenant)
    while True:
        part, near, held = _around(known, facts, tenant, holdings)
        graph = build_graph(part, near, inputs, held, with_eligible=with_eligible)
        found = known | graph.reachable(starts)
        # Everything may follow from the directory, and only the whole directory tells which principals are its users.
        # The access of an application as its users depends on the access of these users.
        if any(name.startswith("x:") for name in found) or clients & found or _any_of(users, found - set(starts)):
            graph = build_graph(facts, tenant, inputs, holdings, with_eligible=with_eligible)
            return closed(graph, facts, tenant, holdings, starts)
        grown = _with_next(found, facts, tenant)
        # Only identities, holders and machines need facts around them to make their edges.
        if all(name in known for name in grown if name[0] in _AROUND):
            return closed(graph, part, near, held, starts)
        known = grown


def _any_of(users: pl.Series, nodes: Iterable[str]) -> bool:
    """Return whether any of the nodes is one of the users."""
    return bool(users.is_in([name[2:] for name in nodes if name[0] == "p"]).any())


def _with_next(nodes: frozenset[str], facts: Facts, tenant: Tenant) -> frozenset[str]:
    """Add the identities of machines and the holders of principals, so that the graph is built less often."""
    machines = pl.Series([name[2:] for name in nodes if name[0] == "r"], dtype=pl.String)
    attached = facts.attached.filter(pl.col("scope").is_in(machines.implode()))["principal_id"]
    people = pl.concat([pl.Series([name[2:] for name in nodes if name[0] == "p"], dtype=pl.String), attached])
    holders = tenant.membership.filter(pl.col("principal_id").is_in(people.implode()))["holder"]
    return nodes | {f"p:{one}" for one in attached} | {f"h:{one}" for one in holders}


def _around(nodes: frozenset[str], facts: Facts, tenant: Tenant, holdings: Holdings) -> tuple[Facts, Tenant, Holdings]:
    """Return the facts, members and holdings from which the edges out of some nodes are made."""
    named = {
        letter: pl.Series([name[2:] for name in nodes if name[0] == letter], dtype=pl.String) for letter in _AROUND
    }
    is_held = pl.col("holder").is_in(named["h"].implode())
    own = pl.col("principal_id").is_in(named["h"].implode())
    part = replace(
        facts,
        attached=facts.attached.filter(pl.col("scope").is_in(named["r"].implode())),
        owned=facts.owned.filter(pl.col("owner_id").is_in(named["h"].implode())),
        permissions=facts.permissions.filter(own),
        roles=facts.roles.filter(own),
        scoped=facts.scoped.filter(own),
        governed=facts.governed.filter(own),
        delegated=facts.delegated.clear(),
        principals=facts.principals.clear(),
    )
    members = tenant.membership.filter(pl.col("principal_id").is_in(named["p"].implode()))
    assigned = holdings.assigned.filter(is_held)
    roles = {*assigned["role"], *assignable(holdings.assigned, tenant)}
    grants = holdings.grants.filter(pl.col("role").is_in(roles))
    return part, replace(tenant, membership=members), Holdings(assigned, grants)
