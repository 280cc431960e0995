"""Cliques of the kernel: covers and independent sets found greedily, the heaviest clique, all the maximal ones.

Sets of vertices are integers with one bit a member, `adjacent` holds the neighbours of each vertex without itself.
What searches here counts its steps and stops at a limit of them; seconds are the backstop of a caller that has one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rightsize.propose.optimize.biclique_kernel import bits, bitset

_Indexed = Sequence[int] | Mapping[int, int]

SAMPLE = 100
"""How many candidates are compared before one is taken."""
PIVOTS = 20


def greedy_cover(adjacent: Sequence[int], vertices: int, turn: int) -> list[int]:
    """Cover the vertices by maximal cliques, the open vertex with the fewest open neighbours first."""
    left = vertices
    cover = []
    while left:
        seed = min(bits(left), key=lambda v: ((adjacent[v] & left).bit_count() * (4 + _spread(v, turn)), v))
        clique = 1 << seed
        candidates = adjacent[seed] & vertices
        while candidates:
            preferred = candidates & left or candidates
            pick = max(bits(preferred), key=lambda v: ((adjacent[v] & candidates & left).bit_count(), -v))
            clique |= 1 << pick
            candidates &= adjacent[pick]
        left &= ~clique
        cover.append(clique)
    return cover


def independent_set(adjacent: Sequence[int], vertices: int, turn: int) -> int:
    """Return vertices, no two of them adjacent, found greedily: each needs a clique of its own."""
    left = vertices
    chosen = 0
    while left:
        pick = min(bits(left), key=lambda v: ((adjacent[v] & left).bit_count() * (4 + _spread(v, turn)), v))
        left &= ~(adjacent[pick] | 1 << pick)
        chosen |= 1 << pick
    return chosen


def _spread(vertex: int, turn: int) -> int:
    """A small number that looks random and is not: the first turn is plain greedy, later ones disturb it."""
    return 0 if turn == 0 else (vertex * 2654435761 + turn * 40503) % 4294967296 % (turn % 4 + 2)


def widen(adjacent: Sequence[int], clique: int, vertices: int, wanted: int) -> int:
    """Return a maximal clique around a clique, of as many of the `wanted` vertices as can be had greedily."""
    candidates = vertices
    for vertex in bits(clique):
        candidates &= adjacent[vertex]
    while candidates:
        # Vertices that exclude nobody are free; the others cost, the one that leaves most first.
        best, best_count = -1, (-1, -1)
        free = 0
        for vertex in _sample(candidates & wanted or candidates, SAMPLE):
            left = adjacent[vertex] & candidates
            if left | 1 << vertex == candidates:
                free |= 1 << vertex
                continue
            count = ((left & wanted).bit_count() + (wanted >> vertex & 1), left.bit_count())
            if count > best_count:
                best, best_count = vertex, count
        if best < 0:
            return clique | free | _lowest_first(adjacent, candidates & ~free)
        clique |= free | 1 << best
        candidates &= ~free & adjacent[best]
    return clique


def _sample(vertices: int, size: int) -> list[int]:
    """Up to `size` of the vertices, spread over all of them."""
    members = list(bits(vertices))
    return members[:: 1 + (len(members) - 1) // size]


def _lowest_first(adjacent: Sequence[int], candidates: int) -> int:
    clique = 0
    while candidates:
        bit = candidates & -candidates
        clique |= bit
        candidates &= adjacent[bit.bit_length() - 1]
    return clique


def without_spare(cover: Sequence[int], vertices: int) -> list[int]:
    """Return the cover without the cliques that the others make needless, the smallest dropped first."""
    kept = sorted(cover, key=lambda clique: ((clique & vertices).bit_count(), clique))
    for clique in list(kept):
        once = twice = 0
        for other in kept:
            twice |= once & other
            once |= other
        if not clique & vertices & ~twice:
            kept.remove(clique)
    return kept


def maximal_cliques(
    adjacent: Sequence[int],
    vertices: int,
    weights: Mapping[int, int] | None = None,
    least: int = 0,
    deadline: float = math.inf,
) -> Iterator[int]:
    """Yield every maximal clique of at least a weight once, without recursion; none after a monotonic time.

    Bron and Kerbosch with a pivot of many neighbours; what cannot reach the weight is not entered.
    """
    weights = weights or {}
    apart = {vertex: ~(adjacent[vertex] | 1 << vertex) for vertex in weights}
    weighing = bitset(weights)
    stack = [(0, vertices, 0)]
    while stack and time.monotonic() < deadline:
        clique, candidates, excluded = stack.pop()
        if not candidates:
            if not excluded:
                yield clique
            continue
        if least > 0:
            missing = least - sum(weights[vertex] for vertex in bits(clique & weighing))
            if missing > 0 and not _beyond(candidates & weighing, weights, apart, missing - 1):
                continue
        pivot = max(_sample(candidates | excluded, PIVOTS), key=lambda v: ((adjacent[v] & candidates).bit_count(), -v))
        for vertex in bits(candidates & ~adjacent[pivot]):
            bit = 1 << vertex
            stack.append((clique | bit, candidates & adjacent[vertex], excluded & adjacent[vertex]))
            candidates &= ~bit
            excluded |= bit


@dataclass(slots=True)
class HeavySearch:
    """What a search for heavy cliques found.

    Attributes:
        most: No clique is heavier, if the search ended by itself.
        complete: It did.
        cliques: Those that were the heaviest so far when found.
        nodes: How many nodes it took.
    """

    most: int
    complete: bool = True
    cliques: list[int] = field(default_factory=list)
    nodes: int = 0


def heaviest_clique(
    adjacent: Sequence[int], weights: Sequence[int], floor: int, node_limit: int, deadline: float = math.inf
) -> HeavySearch:
    """Look for a clique heavier than `floor`, and the heaviest of all.

    Branch and bound: the vertices left are packed into independent sets, each of which gives a clique at most its
    heaviest vertex; a vertex whose weight exceeds the least of its set stands in further sets with what is over. Only
    vertices that do not fit into what a better clique still needs are branched on.

    Args:
        adjacent: The graph; vertices in falling order of weight make the packing tight.
        weights: Positive whole numbers.
        floor: The weight that a clique must exceed to be of interest.
        node_limit: After how many nodes the search gives up.
        deadline: The monotonic time at which it does, a backstop.
    """
    found = HeavySearch(most=floor)
    apart = [~(neighbours | 1 << vertex) for vertex, neighbours in enumerate(adjacent)]
    stack = [(0, (1 << len(weights)) - 1, 0)]
    while stack:
        clique, candidates, weight = stack.pop()
        if weight > found.most:
            found.most = weight
            found.cliques.append(clique)
        branch = _beyond(candidates, weights, apart, found.most - weight)
        if not branch:
            continue
        found.nodes += 1
        if found.nodes > node_limit or time.monotonic() > deadline:
            found.complete = False
            return found
        settled = candidates & ~branch
        # The lowest branch vertex, which is last here and so the next to be looked at, has all others beside it.
        for vertex in reversed(list(bits(branch))):
            stack.append((clique | 1 << vertex, settled & adjacent[vertex], weight + weights[vertex]))
            settled |= 1 << vertex
    return found


def _beyond(candidates: int, weights: _Indexed, apart: _Indexed, budget: int) -> int:
    """Return candidates such that those left out make no clique heavier than the budget."""
    over: dict[int, int] = {}
    while candidates:
        members = []
        open_vertices = candidates
        least = 0
        while open_vertices:
            bit = open_vertices & -open_vertices
            vertex = bit.bit_length() - 1
            weight = over.get(vertex) or weights[vertex]
            members.append((vertex, weight, bit))
            if not least or weight < least:
                least = weight
            open_vertices &= apart[vertex]
        if least > budget:
            return candidates
        budget -= least
        for vertex, weight, bit in members:
            if weight == least:
                candidates ^= bit
            else:
                over[vertex] = weight - least
    return 0


@dataclass(slots=True)
class CliqueReduction:
    """What some smallest cover may be taken to hold, and what is left.

    Attributes:
        left: The vertices that are left to be covered.
        forced: Cliques of that cover.
        followers: In the order in which they went, vertices with those that may go wherever they go.
    """

    left: int
    forced: list[int] = field(default_factory=list)
    followers: list[tuple[int, int]] = field(default_factory=list)

    def lift(self, cover: Sequence[int]) -> list[int]:
        """Return the cover of what was left, with the forced cliques, as one of every vertex.

        A follower may join every clique of its leader that was there when it went, and only later ones have joined
        since: so the last to go is the first to come back.
        """
        cliques = [*self.forced, *cover]
        for leader, gone in reversed(self.followers):
            cliques = [clique | gone if clique >> leader & 1 else clique for clique in cliques]
        return cliques


def reduce_vertices(adjacent: Sequence[int], vertices: int, deadline: float = math.inf) -> CliqueReduction:
    """Take away what needs no search, until a monotonic time.

    A vertex with all neighbours of another, and that one itself, among its own needs no cover of its own. A vertex
    whose neighbours are all adjacent has one maximal clique only. Each of the two makes more of the other.
    """
    found = CliqueReduction(vertices)
    queue = list(bits(vertices))
    while queue:
        again = 0
        for vertex in queue:
            if time.monotonic() > deadline:
                return found
            if not found.left >> vertex & 1:
                continue
            around = adjacent[vertex] & found.left
            shared = around
            for neighbour in bits(around):
                shared &= adjacent[neighbour] | 1 << neighbour
                if not shared:
                    break
            if around and not shared:
                continue
            if shared == around:
                gone = around | 1 << vertex
                found.forced.append(gone)
            else:
                gone = shared
                found.followers.append((vertex, gone))
            found.left &= ~gone
            for lost in bits(gone):
                again |= adjacent[lost]
        queue = list(bits(again & found.left))
    return found
