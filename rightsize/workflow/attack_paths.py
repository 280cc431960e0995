"""Compute what an attacker gains from one principal or resource, with the steps to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from rightsize.analyze.closure import Step
from rightsize.analyze.facts import Facts, read_facts
from rightsize.analyze.indirect import EVERYBODY
from rightsize.analyze.inputs import Inputs
from rightsize.analyze.reach import LETTERS, View, described, granted_holdings, own_of, reached_of, ways_from
from rightsize.analyze.reach_near import view_from
from rightsize.analyze.small_steps import in_small_steps
from rightsize.analyze.tenant import Tenant, read_tenant
from rightsize.analyze.text import place_of
from rightsize.model.errors import UsageError
from rightsize.store.concern import find_principal, table_without_use
from rightsize.store.connection import Store, open_store
from rightsize.workflow.names import read_names

KINDS = {
    "p": "identity",
    "r": "resource",
    "s": "secrets",
    "a": "access",
    "x": "directory",
    "o": "outsider",
    "d": "consent",
}
"""The type of a node, by its letter."""

_FIRST = {"a": 0, "x": 0, "p": 1, "s": 2, "r": 3}


@dataclass(frozen=True, slots=True)
class ReachResult:
    """The reach of one subject: all that an attacker gains from it.

    Attributes:
        subject: Its id; `kind` is its type, `name` its display name.
        counts: As in the table `reach`, as granted.
        ways: Each thing that can be gained, with the steps of the shortest way to it.
    """

    subject: str
    kind: str
    name: str
    counts: dict[str, Any]
    ways: list[dict[str, Any]]

    def document(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"subject": self.subject, "kind": self.kind, "name": self.name} | self.counts | {"ways": self.ways}


def reach_from(db: Path, subject: str, *, eligible: bool = False) -> ReachResult:
    """Return what an attacker gains from a principal or a resource, and how, by what is granted now.

    Args:
        db: The store.
        subject: An id, UPN or name of a principal, the id or unique name of a resource that has an identity, or the
            subject of an outside issuer that is trusted, alone or behind the issuer.
        eligible: Count eligible assignments as permanent ones.

    Raises:
        UsageError: The name fits nothing, or several subjects.
    """
    with open_store(db, read_only=True) as store:
        return in_small_steps(partial(_reach_in_store, store, subject, eligible=eligible))


def _reach_in_store(store: Store, subject: str, *, eligible: bool) -> ReachResult:
    inputs = Inputs.read(partial(table_without_use, store))
    facts = read_facts(inputs, store.table)
    node = node_of(store, facts, inputs, subject)
    names, places = read_names(store, inputs)
    return reach_of_node(node, facts, inputs, read_tenant(inputs), names | places, eligible=eligible)


def reach_of_node(
    node: str, facts: Facts, inputs: Inputs, tenant: Tenant, names: Mapping[str, str], *, eligible: bool = False
) -> ReachResult:
    """Return what an attacker gains from a node of the graph, as granted."""
    (found,) = reach_of_nodes([node], facts, inputs, tenant, names, eligible=eligible)
    return found


def reach_of_nodes(
    nodes: Sequence[str],
    facts: Facts,
    inputs: Inputs,
    tenant: Tenant,
    names: Mapping[str, str],
    *,
    eligible: bool = False,
) -> list[ReachResult]:
    """Return what an attacker gains from each of some nodes of the graph, as granted; the graph is built once."""
    view = view_from(nodes, facts, tenant, inputs, granted_holdings(tenant), with_eligible=eligible)
    return [reach_in(view, node, names) for node in nodes]


def reach_in(view: View, node: str, names: Mapping[str, str]) -> ReachResult:
    """Return what an attacker gains from a node of a closed graph."""
    counts = described(view.frame, reached_of(view, node), own_of(view, node))
    ways = ways_from(view, node, ends_of(view, node))
    said: dict[Step, dict[str, Any]] = {}
    rows = [
        {
            "target": end[2:],
            "kind": KINDS[end[0]],
            "name": named(end, names),
            "certain": all(step.certain for step in steps),
            "steps": [said.get(step) or said.setdefault(step, step_of(step, names)) for step in steps],
        }
        for end, steps in sorted(ways.items(), key=lambda item: (rank_of(item[0]), len(item[1]), item[0]))
    ]
    kind = next(kind for kind, letter in LETTERS.items() if letter == node[0])
    return ReachResult(node[2:], kind, named(node, names), counts, rows)


def rank_of(node: str) -> int:
    """Return the rank of a node: the tenant first, then any access, identities, secrets, resources."""
    return -1 if node in ("x:tenant", "a:/") else _FIRST.get(node[0], 1)


def ends_of(view: View, node: str) -> list[str]:
    """Return the nodes that can be gained, and the scopes and parts of the directory that the graph names."""
    number = view.graph.numbers.get(node)
    if number is None:
        return []
    crowd = {end for part in ("x:users", "x:all_users") if part in view.graph.numbers
             for end in view.graph.out[view.graph.numbers[part]]}  # fmt: skip
    found = [
        view.graph.names[thing]
        for thing, bit in view.frame.things.items()
        if view.reached[number] >> bit & 1 and thing not in crowd and thing != number
    ]
    return found + [name for name in view.graph.numbers if name[:2] in ("a:", "x:")]


def step_of(step: Step, names: Mapping[str, str]) -> dict[str, Any]:
    """Return a step as a row for people, with names in place of ids."""
    why = step.why
    for word in why.replace(",", " ").split():
        if word in names or word.startswith("/subscriptions/"):
            why = why.replace(word, names.get(word) or _last(word))
    return {
        "from": named(step.start, names),
        "to": named(step.end, names),
        "why": why,
        "certain": step.certain,
    }


def named(node: str, names: Mapping[str, str]) -> str:
    """Return the display name of a node."""
    letter, _, rest = node.partition(":")
    if letter == "x":
        part, _, unit = rest.partition("|")
        part = "members of restricted units" if part == "restricted" else part.replace("_", " ")
        return part + (f" of {names.get(unit, unit)}" if unit else "")
    if letter == "a":
        return f"any role at {names.get(rest, rest)}"
    if letter == "o":
        issuer, _, subject = rest.partition(" ")
        return f"{subject} ({issuer.removeprefix('https://').partition('/')[0]})"
    if letter == "d":
        return "any user, in Azure" if node == EVERYBODY else f"{names.get(rest, rest)}, in Azure"
    return names.get(rest) or _last(rest)


def _last(scope: str) -> str:
    parts = scope.split("/")
    return f"{parts[-1]} ({parts[-2]})" if len(parts) > 2 else scope


def node_of(store: Store, facts: Facts, inputs: Inputs, subject: str) -> str:
    """Return the node that a name means: an outside subject, a resource with an identity, else a principal.

    Raises:
        UsageError: Nothing or several are called so.
    """
    found = _outside_node(facts, subject) or _resource_node(facts, subject)
    return found or f"p:{find_principal(store, inputs, subject)}"


def _outside_node(facts: Facts, subject: str) -> str | None:
    """Return the node of an outside subject that is named with its issuer, or that only one issuer has."""
    known = facts.trusted["outsider"].unique().sort()
    found = [one for one in known if subject in (one, one.partition(" ")[2])]
    if len(found) > 1:
        raise UsageError(f"`{subject}` is trusted of {len(found)} issuers", hint="give one of " + ", ".join(found))
    return f"o:{found[0]}" if found else None


def _resource_node(facts: Facts, subject: str) -> str | None:
    """Return the node of a resource by its id or unique last name, None where none fits."""
    place = place_of(pl.Series([subject])).item()
    scopes = facts.attached["scope"].unique().sort()
    found = [scope for scope in scopes if scope == place or (not place.startswith("/") and scope.endswith(f"/{place}"))]
    if len(found) > 1:
        raise UsageError(f"`{subject}` names {len(found)} resources", hint="give one of the ids " + ", ".join(found))
    return f"r:{found[0]}" if found else None
