"""Lay out the graph of reach as tables from which one node's reach and the ways to it are read.

| table | columns |
|---|---|
| `subjects` | `node`: the resources with an identity and the trusted outside subjects, by which a person may ask |
| `reach` | `node`, `eligible`, the columns of `COUNTS` |
| `edges` | `start`, `end`, `why`, `certain`, `eligible` |
| `crowd` | `node`, `eligible`: what is reached only because it is a user of the directory |

Rows with `eligible` hold where eligible assignments count as permanent ones. In `edges` and `crowd` they stand only for
what differs then: no edge goes away.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from rightsize.analyze.facts import Facts
from rightsize.analyze.inputs import Inputs, schema_of
from rightsize.analyze.reach import View, crowd_of, described, granted_holdings, own_of, reached_of, view_of
from rightsize.analyze.tenant import Tenant
from rightsize.model.explained import COUNTS

_EDGES = {"start": pl.String, "end": pl.String, "why": pl.String, "certain": pl.Boolean}


def reach_tables(facts: Facts, tenant: Tenant, inputs: Inputs) -> Iterator[tuple[str, pl.DataFrame, tuple[str, ...]]]:
    """Yield the tables of what is granted today: name, rows, and the columns to sort them by."""
    named = pl.concat(["r:" + facts.attached["scope"], "o:" + facts.trusted["outsider"]])
    yield "subjects", pl.DataFrame({"node": named.unique()}), ("node",)
    held = granted_holdings(tenant)
    today = _rows(view_of(facts, tenant, inputs, held, with_eligible=False))
    then = _rows(view_of(facts, tenant, inputs, held, with_eligible=True))
    for name, order in (("reach", ("node",)), ("edges", ("start", "end")), ("crowd", ("node",))):
        changed = then[name]
        if name != "reach":
            changed = changed.join(today[name], on=changed.columns, how="anti", nulls_equal=True)
        marked = [today[name].with_columns(eligible=False), changed.with_columns(eligible=True)]
        yield name, pl.concat(marked), (*order, "eligible")


def _rows(view: View) -> dict[str, pl.DataFrame]:
    """Return the rows of one view by table."""
    graph = view.graph
    edges = (
        (graph.names[start], graph.names[end], why, certain)
        for start, ends in enumerate(graph.out)
        for end, (why, certain) in ends.items()
    )
    described_once: dict[tuple[int, int], dict[str, object]] = {}
    counts = []
    for name in graph.names:
        if name[0] in "pro":
            bits = reached_of(view, name), own_of(view, name)
            if bits not in described_once:
                described_once[bits] = described(view.frame, *bits)
            counts.append({"node": name} | described_once[bits])
    types = schema_of("reach")
    return {
        "edges": pl.DataFrame(edges, schema=_EDGES, orient="row"),
        "reach": pl.DataFrame(counts, schema={"node": pl.String} | {name: types[name] for name in COUNTS}),
        "crowd": pl.DataFrame({"node": [graph.names[node] for node in crowd_of(graph)]}, schema={"node": pl.String}),
    }
