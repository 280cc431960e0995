"""Compute the reach of each principal and machine: everything that it can gain through any number of steps.

A reach is a set: (subscription, layer) and (subscription, plane) pairs, and the identities, resources and secrets that
can be gained. The rules of layers say what a node has by itself; the graph of `escalation`, closed by `closure`, says
what follows. A reach is an upper bound: a step that a rule calls possible counts as if it were certain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

import polars as pl

from rightsize.analyze.inputs import Inputs, node_of, place_of, schema_of
from rightsize.analyze.reach.bits import (
    CROWDS,
    NAMED,
    Frame,
    bits_of_roles,
    counted,
    frame_of,
    layers_of_sets,
    own_bits,
)
from rightsize.analyze.reach.closure import ReachGraph, Step, set_of, visible_ways
from rightsize.analyze.reach.escalation import Holdings, build_graph, rules_of_roles, with_assignable
from rightsize.analyze.reach.facts import Facts
from rightsize.analyze.reach.layers import ASSIGNED_SCHEMA, identities, subscriptions_of, today
from rightsize.analyze.reasons import Verdict
from rightsize.analyze.tenant import Tenant
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.model.access_answers import COUNTS, LETTERS

_ROWS_AT_ONCE = 10_000
"""Nodes whose reach becomes rows of a frame at a time."""
_WHOLE = ("x:tenant", "a:/")


@dataclass(frozen=True, slots=True)
class View:
    """One view of the tenant.

    Attributes:
        graph: The graph.
        frame: The layout of its sets.
        own: Returns the bits that a node has by itself.
    """

    graph: ReachGraph
    frame: Frame
    own: Callable[[int], int]


@dataclass(frozen=True, slots=True)
class Measured:
    """What each principal, resource and outside subject of a view reaches.

    Attributes:
        counts: `node`, the columns of `COUNTS`, and `tenant_steps`, as in the table `reach`.
        further: `(node, scope, layer)`: the layers that it can defeat in a subscription through further steps only.
    """

    counts: pl.DataFrame
    further: pl.DataFrame


def read_holdings(analysis: Analysis) -> dict[str, Holdings]:
    """Return the access that is granted, and the access that was used."""
    return {"granted": granted_holdings(analysis.tenant), "used": used_holdings(analysis)}


def used_holdings(analysis: Analysis) -> Holdings:
    """Return the access that was used, each use as a role of its own.

    Operations that allow no further step differ only by layers and planes: those that give the same in a subscription
    are one role there.
    """
    used = analysis.verdicts.filter(pl.col("verdict") == Verdict.USED.value)
    spelling = analysis.tenant.operations.select("operation", "plane", "name").unique(["operation", "plane"])
    acts = used.select("operation", "plane").unique().join(spelling, on=["operation", "plane"])
    acts = acts.with_columns(role=pl.lit("used ") + pl.col("plane") + " " + pl.col("name"))
    grants = acts.select("role", "name", "plane", conditional=False).unique()
    steps = set(rules_of_roles(grants)["role"])
    given = bits_of_roles(grants, analysis.tenant)
    first: dict[tuple[int, int] | None, str] = {}
    alike = {
        role: role if role in steps else first.setdefault(given.get(role), role)
        for role in grants["role"].unique().sort()
    }
    scopes = pl.DataFrame({"scope": used["scope"].unique()})
    scopes = scopes.with_columns(place=place_of(scopes["scope"]))
    in_subscription = pl.col("place").str.starts_with("/subscriptions/")
    around = pl.when(in_subscription & ~pl.col("role").is_in(list(steps))).then("node").otherwise("place")
    held = (
        used.select("scope", "operation", "plane", holder="principal_id")
        .join(acts, on=["operation", "plane"])
        .join(scopes.with_columns(node=node_of("place")), on="scope")
        .select("holder", place=around, role=pl.col("role").replace(alike))
        .unique()
    )
    assigned = held.with_columns(state=pl.lit("active"), condition=pl.lit(None, dtype=pl.String))
    return Holdings(assigned.select(list(ASSIGNED_SCHEMA)), grants.filter(pl.col("role").is_in(alike.values())))


def granted_holdings(tenant: Tenant) -> Holdings:
    """Return the access that is granted today."""
    return Holdings(today(tenant.assignments), tenant.grants.select("role", "name", "plane", "conditional"))


def view_of(facts: Facts, tenant: Tenant, inputs: Inputs, holdings: Holdings, *, with_eligible: bool) -> View:
    """Build the graph of one view."""
    holdings = with_assignable(holdings, tenant, inputs)
    graph = build_graph(facts, tenant, inputs, holdings, with_eligible=with_eligible)
    places = _places(graph) | set(facts.policies["scope"])
    where = subscriptions_of(pl.Series(sorted(places), dtype=pl.String), tenant.tree)
    frame = frame_of(graph, where)
    return View(graph, frame, own_bits(graph, frame, where, holdings.grants, tenant, facts))


def states_of(facts: Facts, holdings: Holdings) -> tuple[str, ...]:
    """Return the states to measure: what is active, and what is there after all activations if anything is eligible."""
    held = (holdings.assigned, facts.roles, facts.scoped, facts.governed)
    return ("active", "eligible") if any("eligible" in one["state"] for one in held) else ("active",)


def measure(view: View) -> Measured:
    """Measure what everything in a view reaches."""
    graph, frame = view.graph, view.frame
    steps = graph.distances(_WHOLE, _is_step)
    letters, below = frozenset(LETTERS.values()), (1 << frame.first) - 1
    found = [_measured([], [], {}, frame)]
    # Equal sets of layers are written once. In blocks, neither sets nor rows of Python objects get many.
    counts: list[tuple[object, ...]] = []
    numbers: list[int] = []
    sets: dict[int, int] = {}
    for node, reached in graph.close(view.own, frame.things):
        name = graph.names[node]
        if name[0] in letters:
            own = own_of(view, name)
            counts.append((name, *counted(frame, reached, own), steps[node]))
            numbers.append(sets.setdefault(reached & ~own & below, len(sets)))
            if len(counts) == _ROWS_AT_ONCE:
                found.append(_measured(counts, numbers, sets, frame))
                counts, numbers, sets = [], [], {}
    found.append(_measured(counts, numbers, sets, frame))
    return Measured(pl.concat(one.counts for one in found), pl.concat(one.further for one in found))


def _measured(counts: list[tuple[object, ...]], numbers: list[int], sets: Mapping[int, int], frame: Frame) -> Measured:
    """Return the measure of some nodes: their names, counts and steps, and numbers of their sets of further layers."""
    types = schema_of("reach")
    columns: dict[str, Any] = {"node": pl.String()} | {name: types[name] for name in (*COUNTS, "tenant_steps")}
    rows = pl.DataFrame(counts, schema=columns | dict.fromkeys(NAMED, pl.Int64()), orient="row").with_columns(
        pl.lit(pl.Series(names)).gather(name).alias(name) for name, names in NAMED.items()
    )
    keyed = rows.select("node", set=pl.Series(numbers, dtype=pl.Int64))
    return Measured(rows, keyed.join(layers_of_sets(sets, frame), on="set").select("node", "scope", "layer"))


def measure_reach(
    analysis: Analysis, inputs: Inputs, held: Iterable[tuple[str, Facts, Holdings]]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows of the tables `reach` and `reach_layers`.

    Args:
        analysis: The verdicts.
        inputs: The tables.
        held: The bases, each once, with its facts and holdings.
    """
    found = []
    for basis, facts, holdings in held:
        # A view is forgotten before the next is made: the graph of a large tenant takes hundreds of megabytes.
        states = {
            state: measure(view_of(facts, analysis.tenant, inputs, holdings, with_eligible=state == "eligible"))
            for state in states_of(facts, holdings)
        }
        found.append(rows_of_reach(basis, states, facts, analysis.tenant))
    return joined_rows(found)


def joined_rows(found: Iterable[tuple[pl.DataFrame, pl.DataFrame]]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows of several bases together, sorted."""
    rows, layers = (pl.concat(frames) for frames in zip(*found, strict=True))
    return rows.sort("basis", "state", "kind", "subject"), layers.sort(layers.columns)


def rows_of_reach(
    basis: str, states: Mapping[str, Measured], facts: Facts, tenant: Tenant
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows of one basis, unsorted. What eligible assignments do not change has no row of its own.

    Args:
        basis: What is held.
        states: What is reached by what is active, and after all activations where something is eligible.
        facts: The facts of this basis.
        tenant: Who acts.
    """
    acting = [
        identities(tenant).select(kind=pl.lit("principal"), subject="principal_id"),
        facts.attached.select(kind=pl.lit("resource"), subject="scope"),
        facts.trusted.select(kind=pl.lit("outsider"), subject="outsider"),
    ]
    letter = pl.col("kind").replace_strict(LETTERS, return_dtype=pl.String)
    subjects = pl.concat(acting).unique().with_columns(node=letter + ":" + pl.col("subject"))
    rows, layers = [], []
    known: pl.DataFrame | None = None
    for state, measured in states.items():
        is_any = pl.any_horizontal(pl.col("cells", "identities", "secrets", "resources") > 0)
        # Lists are no keys of a join.
        marked = measured.counts.filter(is_any).with_columns(pl.col("layers", "planes").list.join(",").name.suffix("_"))
        keys = [name for name in marked.columns if name not in ("layers", "planes")]
        told = marked if known is None else marked.join(known, on=keys, how="anti", nulls_equal=True)
        known = marked
        named = subjects.with_columns(basis=pl.lit(basis), state=pl.lit(state))
        rows.append(told.join(named, on="node").select(list(schema_of("reach"))))
        further = measured.further.join(told, on="node", how="semi").join(named, on="node")
        layers.append(further.select(list(schema_of("reach_layers"))))
    return pl.concat(rows), pl.concat(layers)


def _is_step(start: str, end: str) -> bool:
    """Return whether an edge is an act, and not only access that a principal has or a group that it belongs to."""
    return end[0] not in "gt" and not (start[0] == "p" and end[0] in "ho")


def reached_of(view: View, node: str) -> int:
    """Return the reach of a node, without itself."""
    number = view.graph.numbers.get(node)
    if number is None:
        return 0
    found = view.graph.after([node])
    bits = view.frame.things
    whole = set_of([bits[one] for one in found if one in bits and one != number])
    return reduce(or_, map(view.own, found), whole)


def own_of(view: View, node: str) -> int:
    """Return the reach of a principal without a further step; a resource or an outsider has none."""
    number = view.graph.numbers.get(node)
    ends = view.graph.out[number] if number is not None and node[0] == "p" else {}
    found = 0
    for end in ends:
        if view.graph.names[end][0] == "h":
            found |= _direct(view, end)
    return found


def ways_from(view: View, start: str, ends: Iterable[str]) -> dict[str, list[Step]]:
    """Return the shortest way from a node to each of the ends, without the nodes that only bundle."""
    return visible_ways(view.graph, start, ends)


def _places(graph: ReachGraph) -> set[str]:
    """Return the scopes of roles, of any access, and of resources in a graph."""
    found = {name.split("|")[1] for name in graph.numbers if name.startswith("g:")}
    return found | {name[2:] for name in graph.numbers if name.startswith(("a:", "r:", "s:"))}


def crowd_of(graph: ReachGraph) -> set[int]:
    """Return the nodes that anybody who reaches all users of the directory reaches."""
    return {end for part in CROWDS if part in graph.numbers for end in graph.out[graph.numbers[part]]}


def _direct(view: View, node: int) -> int:
    """Return the bits of the access of a principal or group, without any further step."""
    found = view.own(node)
    for end in view.graph.out[node]:
        if view.graph.names[end][0] == "g":
            found |= view.own(end)
    return found
