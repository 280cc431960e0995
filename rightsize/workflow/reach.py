"""Reach: measured with an analysis and with a plan, kept as answers, shown as a ranking or as ways from one subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from rightsize.analyze.closure import Step
from rightsize.analyze.escalation import Holdings, escalations_of
from rightsize.analyze.facts import Facts, read_facts, without_grants
from rightsize.analyze.indirect import EVERYBODY
from rightsize.analyze.inputs import Inputs
from rightsize.analyze.reach import (
    LETTERS,
    View,
    described,
    granted_holdings,
    measure_reach,
    read_holdings,
    subjects_of,
    view_from,
    view_of,
    ways_from,
)
from rightsize.analyze.tenant import Tenant, read_tenant
from rightsize.analyze.text import place_of
from rightsize.analyze.verdicts import Analysis
from rightsize.model.errors import EvidenceError, UsageError
from rightsize.model.plan import Plan
from rightsize.propose.after import assigned_after, planned_grants, tables_after
from rightsize.store.concern import find_principal, table_without_use
from rightsize.store.connection import Store, open_store
from rightsize.workflow.layers import read_names

_ANSWERS = ("reach", "reach_layers")
_KINDS = {"p": "identity", "r": "resource", "s": "secrets", "a": "access", "x": "directory", "o": "outsider"}
_FIRST = {"a": 0, "x": 0, "p": 1, "s": 2, "r": 3}


def keep_reach(store: Store, inputs: Inputs, analysis: Analysis, plan: Plan | None = None) -> None:
    """Measure what is granted, was used, and is left by a plan; without one, what the last plan leaves stays."""
    facts = read_facts(inputs, store.table)
    tenant = analysis.tenant
    holdings = read_holdings(analysis)
    held = {"granted": (facts, holdings["granted"]), "used": (without_grants(facts), holdings["used"])}
    if plan is not None:
        grants = pl.concat([holdings["granted"].grants, planned_grants(plan, inputs, tenant)])
        later = read_facts(inputs, tables_after(plan, store.table))
        held["proposed"] = (later, Holdings(assigned_after(plan, tenant), grants))
    answers = dict(zip(_ANSWERS, measure_reach(analysis, inputs, held), strict=True))
    for name, frame in answers.items():
        earlier = store.table(name).filter(pl.col("basis") == "proposed")
        store.write_answer(name, frame if plan is not None else pl.concat([frame, earlier]))
    view = view_of(facts, tenant, inputs, holdings["granted"], with_eligible=True)
    store.write_answer("escalations", escalations_of(view.graph, facts, tenant, holdings["granted"]))


def show_reach(db: Path) -> list[dict[str, Any]]:
    """Return every subject, what falls with it most first, with what the last plan leaves beside it.

    Raises:
        EvidenceError: Nothing was analysed yet.
    """
    with open_store(db, read_only=True) as store:
        table = store.table("reach")
        names, _ = read_names(store)
    if table.is_empty():
        raise EvidenceError("no reach was measured yet", hint="`rightsize analyze` measures it")
    return rank_reach(table, names)


def rank_reach(table: pl.DataFrame, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the rows of the table `reach` as granted, with what is used and proposed beside them, by what falls."""
    key = ["subject", "kind", "state"]
    proposed = table.filter(pl.col("basis") == "proposed").select(
        *key, cells_proposed="cells", identities_proposed="identities"
    )
    used = table.filter(pl.col("basis") == "used").group_by("subject", "kind").agg(cells_used=pl.col("cells").max())
    rows = (
        table.filter(pl.col("basis") == "granted")
        .drop("basis")
        .join(proposed, on=key, how="left")
        .join(used, on=["subject", "kind"], how="left")
        .with_columns(pl.col("cells_proposed", "cells_used", "identities_proposed").fill_null(0))
        .sort(
            "takes_tenant",
            "tenant_steps",
            "cells",
            "own_cells",
            "identities",
            "secrets",
            *key,
            descending=[True, False] + [True] * 4 + [False] * 3,
            nulls_last=True,
        )
    )
    return [row | {"name": _named(f"{LETTERS[row['kind']]}:{row['subject']}", names)} for row in rows.to_dicts()]


@dataclass(frozen=True, slots=True)
class ReachResult:
    """What falls with one subject.

    Attributes:
        subject: Its id, `kind` what it is, `name` what people call it.
        counts: As the table `reach`, as granted.
        ways: What can be had, each with the steps of the shortest way to it.
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
    """Return what falls with a principal or a resource, and how, as things are granted now.

    Args:
        db: The store.
        subject: An id, UPN or name of a principal, the id or unique name of a resource that has an identity, or the
            subject of an outside issuer that is trusted, alone or behind the issuer.
        eligible: Count what could be activated as standing.

    Raises:
        UsageError: Nothing or several are called so.
    """
    with open_store(db, read_only=True) as store:
        inputs = Inputs.read(partial(table_without_use, store))
        facts = read_facts(inputs, store.table)
        node = _outside_node(facts, subject) or _resource_node(facts, subject)
        node = node or f"p:{find_principal(store, inputs, subject)}"
        names, places = read_names(store)
    return reach_of_node(node, facts, inputs, read_tenant(inputs), names | places, eligible=eligible)


def reach_of_node(
    node: str, facts: Facts, inputs: Inputs, tenant: Tenant, names: Mapping[str, str], *, eligible: bool = False
) -> ReachResult:
    """Return what falls with a node of the graph, as granted."""
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
    """Return what falls with each of some nodes of the graph, as granted; the graph is built once."""
    view = view_from(nodes, facts, tenant, inputs, granted_holdings(tenant), with_eligible=eligible)
    own = {subject: direct for subject, _, _, direct in subjects_of(view, facts, tenant, [node[2:] for node in nodes])}
    return [_reach_of(node, view, own, names) for node in nodes]


def _reach_of(node: str, view: View, own: Mapping[str, int], names: Mapping[str, str]) -> ReachResult:
    number = view.graph.numbers.get(node)
    reached = view.reached[number] if number is not None else 0
    counts = described(view.frame, reached & ~_own_bit(view, number), own.get(node[2:], 0))
    ways = ways_from(view, node, _ends(view, number, reached))
    told = [
        {
            "target": end[2:],
            "kind": _KINDS[end[0]],
            "name": _named(end, names),
            "certain": all(step.certain for step in steps),
            "steps": [_step(step, names) for step in steps],
        }
        for end, steps in sorted(ways.items(), key=lambda item: (_rank(item[0]), len(item[1]), item[0]))
    ]
    kind = next(kind for kind, letter in LETTERS.items() if letter == node[0])
    return ReachResult(node[2:], kind, _named(node, names), counts, told)


def _rank(node: str) -> int:
    """Return where a thing stands among others: the tenant first, then any access, identities, secrets, resources."""
    return -1 if node in ("x:tenant", "a:/") else _FIRST[node[0]]


def _own_bit(view: View, number: int | None) -> int:
    return 1 << view.frame.things[number] if number is not None and number in view.frame.things else 0


def _ends(view: View, number: int | None, reached: int) -> list[str]:
    """Return the nodes that can be had, and the scopes and parts of the directory that the graph names."""
    if number is None:
        return []
    crowd = {end for part in ("x:users", "x:all_users") if part in view.graph.numbers
             for end in view.graph.out[view.graph.numbers[part]]}  # fmt: skip
    found = [
        view.graph.names[node]
        for node, bit in view.frame.things.items()
        if reached >> bit & 1 and node not in crowd and node != number
    ]
    return found + [name for name in view.graph.numbers if name[:2] in ("a:", "x:")]


def _step(step: Step, names: Mapping[str, str]) -> dict[str, Any]:
    why = step.why
    for word in why.replace(",", " ").split():
        if word in names or word.startswith("/subscriptions/"):
            why = why.replace(word, names.get(word) or _last(word))
    return {
        "from": _named(step.start, names),
        "to": _named(step.end, names),
        "why": why,
        "certain": step.certain,
    }


def _named(node: str, names: Mapping[str, str]) -> str:
    letter, _, rest = node.partition(":")
    if letter == "x":
        part, _, unit = rest.partition("|")
        return part.replace("_", " ") + (f" of {names.get(unit, unit)}" if unit else "")
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


def _outside_node(facts: Facts, subject: str) -> str | None:
    """Return the node of an outside subject that is named with its issuer, or that only one issuer has."""
    known = facts.trusted["outsider"].unique().sort()
    found = [one for one in known if subject in (one, one.partition(" ")[2])]
    if len(found) > 1:
        raise UsageError(f"`{subject}` is trusted of {len(found)} issuers", hint="give one of " + ", ".join(found))
    return f"o:{found[0]}" if found else None


def _resource_node(facts: Facts, subject: str) -> str | None:
    """Return the node of a resource that an id or a unique last name means, None where nothing is called so."""
    place = place_of(pl.Series([subject])).item()
    scopes = facts.attached["scope"].unique().sort()
    found = [scope for scope in scopes if scope == place or (not place.startswith("/") and scope.endswith(f"/{place}"))]
    if len(found) > 1:
        raise UsageError(f"`{subject}` names {len(found)} resources", hint="give one of the ids " + ", ".join(found))
    return f"r:{found[0]}" if found else None
