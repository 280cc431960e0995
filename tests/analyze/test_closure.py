"""The closure of the graph: distances count steps, and edges that only bundle cost nothing."""

from __future__ import annotations

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
