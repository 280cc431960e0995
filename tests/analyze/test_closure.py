"""The closure of the graph: distances count steps, edges that only bundle cost nothing, and unions are forgotten."""

from __future__ import annotations

import tracemalloc

import pytest

from rightsize.analyze.reach.closure import ReachGraph


def distance(edges: list[tuple[str, str]], free: set[tuple[str, str]], start: str) -> int | None:
    graph = ReachGraph()
    for one, other in edges:
        graph.link(one, other, "why")
    graph.node(start)
    return graph.distances(["end", "nowhere"], lambda one, other: (one, other) not in free)[graph.numbers[start]]


@pytest.mark.parametrize(
    ("edges", "free", "wanted"),
    [
        ([("a", "b"), ("b", "end")], set(), 2),
        ([("a", "b"), ("b", "end")], {("a", "b")}, 1),
        ([("a", "end"), ("a", "b"), ("b", "c"), ("c", "end")], {("a", "b"), ("b", "c"), ("c", "end")}, 0),
        ([("a", "b"), ("b", "a"), ("b", "end"), ("a", "c"), ("c", "end")], {("a", "c")}, 1),
        ([("end", "a")], set(), None),
        ([("b", "end")], set(), None),
    ],
)
def test_the_fewest_steps_to_an_end(
    edges: list[tuple[str, str]], free: set[tuple[str, str]], wanted: int | None
) -> None:
    """Around cycles, by the way with most edges where these are free, and None where no way leads."""
    assert distance(edges, free, "a") == wanted


def test_a_union_is_forgotten_when_nothing_leads_to_it_any_more() -> None:
    """Four hundred nodes reach ten kilobytes of their own each, and few of these unions are in memory at once."""
    graph, size = ReachGraph(), 10_000
    for number in range(400):
        graph.link(f"node {number}", "low", "")
        graph.link(f"node {number}", "high", "")
        graph.link(f"above {number}", f"node {number}", "")
    own = {graph.numbers["low"]: 1, graph.numbers["high"]: 1 << 8 * size}
    tracemalloc.start()
    try:
        reached = [
            one.bit_count()
            for node, one in graph.close(lambda node: own.get(node, 0), {})
            if graph.names[node].startswith("above")
        ]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert reached == [2] * 400
    assert peak < 50 * size


def test_long_sets_are_joined_whatever_is_in_them() -> None:
    """Ten thousand subscriptions: what holds in a few of them and what holds in all, led to by several nodes each."""
    graph, size = ReachGraph(), 80_000
    for start in ("first", "second"):
        for end in ("few", "all"):
            graph.link(start, end, "")
        graph.link(start, "shared", "")
    graph.link("shared", "few", "")
    graph.link("shared", "fewer", "")
    few, fewer, every = 1 << size | 5 << 40_000, 3 << 79_999 | 1, (1 << size) - 1
    own = {graph.numbers["few"]: few, graph.numbers["fewer"]: fewer, graph.numbers["all"]: every}
    closed = {graph.names[node]: reached for node, reached in graph.close(lambda node: own.get(node, 0), {})}
    assert closed["shared"] == few | fewer
    assert closed["first"] == closed["second"] == few | fewer | every
