"""Search cliques of a graph: greedy covers, independent sets, the heaviest clique, maximal cliques, and reductions.

A set of vertices is an integer with one bit for each member. `adjacent` has the neighbours of each vertex without the
vertex itself. Searches for heavy cliques stop at a number of steps; a deadline of the caller is a second limit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rightsize.mining.bitsets import bits_of, mask_of

_Indexed = Sequence[int] | Mapping[int, int]

SAMPLE = 100
"""The number of candidates that are compared before one is chosen."""
PIVOTS = 20


def hang_together(links: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Return the groups of keys that links join, by others too; links to what is no key join nothing."""
    parent = {key: key for key in links}

    def root(key: str) -> str:
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    groups: dict[str, list[str]] = {}
    for key, others in links.items():
        for other in others:
            if other in parent:
                parent[root(key)] = root(other)
    for key in sorted(links):
        groups.setdefault(root(key), []).append(key)
    return sorted(groups.values())


def greedy_cover(adjacent: Sequence[int], vertices: int, turn: int, deadline: float = math.inf) -> list[int] | None:
    """Return a cover of the vertices by maximal cliques, from the open vertex with the fewest open neighbours.

    None is returned where it is not complete by the deadline, a time of `time.monotonic`.
    """
    left = vertices
    cover = []
    while left:
        if time.monotonic() > deadline:
            return None
        seed = min(bits_of(left), key=lambda v: ((adjacent[v] & left).bit_count() * (4 + _spread(v, turn)), v))
        clique = 1 << seed
        candidates = adjacent[seed] & vertices
        while candidates:
            preferred = candidates & left or candidates
            pick = max(bits_of(preferred), key=lambda v: ((adjacent[v] & candidates & left).bit_count(), -v))
            clique |= 1 << pick
            candidates &= adjacent[pick]
        left &= ~clique
        cover.append(clique)
    return cover


def independent_set(adjacent: Sequence[int], vertices: int, turn: int, deadline: float = math.inf) -> int:
    """Return vertices, no two of them adjacent, found greedily: each needs a clique of its own.

    At least one is returned; after the deadline, a time of `time.monotonic`, no more are added.
    """
    left = vertices
    chosen = 0
    while left and not (chosen and time.monotonic() > deadline):
        pick = min(bits_of(left), key=lambda v: ((adjacent[v] & left).bit_count() * (4 + _spread(v, turn)), v))
        left &= ~(adjacent[pick] | 1 << pick)
        chosen |= 1 << pick
    return chosen


def _spread(vertex: int, turn: int) -> int:
    """Return a small deterministic pseudo-random number: 0 in the first turn, so that only later turns vary."""
    return 0 if turn == 0 else (vertex * 2654435761 + turn * 40503) % 4294967296 % (turn % 4 + 2)


def widen(adjacent: Sequence[int], clique: int, vertices: int, wanted: int) -> int:
    """Return a maximal clique that contains a clique, extended greedily by as many `wanted` vertices as possible."""
    candidates = vertices
    for vertex in bits_of(clique):
        candidates &= adjacent[vertex]
    while candidates:
        # A vertex that excludes no other candidate is free. Of the others, the one that leaves most is taken first.
        best, best_count = -1, (-1, -1)
        free = 0
        for vertex in spread_sample(candidates & wanted or candidates, SAMPLE):
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


def spread_sample(vertices: int, size: int) -> list[int]:
    """Return up to `size` of the vertices, spread over all of them."""
    members = list(bits_of(vertices))
    return members[:: 1 + max(len(members) - 1, 0) // size]


def _lowest_first(adjacent: Sequence[int], candidates: int) -> int:
    clique = 0
    while candidates:
        bit = candidates & -candidates
        clique |= bit
        candidates &= adjacent[bit.bit_length() - 1]
    return clique


def without_spare(cover: Sequence[int], vertices: int) -> list[int]:
    """Return the cover without the cliques whose vertices the others cover; the smallest are dropped first."""
    ordered = sorted(cover, key=lambda clique: ((clique & vertices).bit_count(), clique))
    later = [0]
    for clique in reversed(ordered):
        later.append(later[-1] | clique)
    kept = []
    covered = 0
    for clique, others in zip(ordered, reversed(later[:-1]), strict=True):
        if clique & vertices & ~(covered | others):
            kept.append(clique)
            covered |= clique
    return kept


def maximal_cliques(
    adjacent: Sequence[int],
    vertices: int,
    weights: Mapping[int, int] | None = None,
    least: int = 0,
    deadline: float = math.inf,
) -> Iterator[int]:
    """Yield every maximal clique of at least the weight `least` once, without recursion; none after the deadline.

    The algorithm is Bron and Kerbosch with a pivot of many neighbours; branches that cannot reach the weight are cut.
    """
    weights = weights or {}
    apart = {vertex: ~(adjacent[vertex] | 1 << vertex) for vertex in weights}
    weighing = mask_of(weights)
    stack = [(0, vertices, 0)]
    while stack and time.monotonic() < deadline:
        clique, candidates, excluded = stack.pop()
        if not candidates:
            if not excluded:
                yield clique
            continue
        if least > 0:
            missing = least - sum(weights[vertex] for vertex in bits_of(clique & weighing))
            if missing > 0 and not _beyond(candidates & weighing, weights, apart, missing - 1):
                continue
        pivot = max(
            spread_sample(candidates | excluded, PIVOTS), key=lambda v: ((adjacent[v] & candidates).bit_count(), -v)
        )
        for vertex in bits_of(candidates & ~adjacent[pivot]):
            bit = 1 << vertex
            stack.append((clique | bit, candidates & adjacent[vertex], excluded & adjacent[vertex]))
            candidates &= ~bit
            excluded |= bit


@dataclass(slots=True)
class HeavySearch:
    """The result of a search for heavy cliques.

    Attributes:
        most: The weight that no clique exceeds, if the search is complete.
        complete: Whether the search ended before its limits.
        cliques: The cliques that were the heaviest so far when found.
    """

    most: int
    complete: bool = True
    cliques: list[int] = field(default_factory=list)
    nodes: int = 0


def heaviest_clique(
    adjacent: Sequence[int], weights: Sequence[int], floor: int, node_limit: int, deadline: float = math.inf
) -> HeavySearch:
    """Return the cliques heavier than `floor` that are found on the way to the heaviest of all.

    The search is branch and bound. The remaining vertices are packed into independent sets, and a clique has at most
    one vertex of each set. A vertex that is heavier than the lightest of its set is in further sets with the rest of
    its weight. The search branches only on vertices that do not fit into the weight that a better clique still needs.

    Args:
        adjacent: The graph; vertices in falling order of weight make the packing tight.
        weights: Positive whole numbers.
        floor: The weight that a clique must exceed to be of interest.
        node_limit: The number of nodes after which the search stops.
        deadline: The monotonic time at which the search stops at the latest.
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
        # The lowest branch vertex is pushed last, so it is searched next, with all other branch vertices as candidates.
        for vertex in reversed(list(bits_of(branch))):
            stack.append((clique | 1 << vertex, settled & adjacent[vertex], weight + weights[vertex]))
            settled |= 1 << vertex
    return found


def _beyond(candidates: int, weights: _Indexed, apart: _Indexed, budget: int) -> int:
    """Return the candidates to branch on: the others alone form no clique heavier than the budget."""
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
    """The part of a smallest cover that needs no search, and the vertices that remain.

    Attributes:
        left: The vertices that remain to be covered.
        forced: Cliques that are in some smallest cover.
        followers: Pairs of a leader and its removed followers, in the order of removal. Followers may join every clique
            of their leader.
    """

    left: int
    forced: list[int] = field(default_factory=list)
    followers: list[tuple[int, int]] = field(default_factory=list)

    def lift(self, cover: Sequence[int]) -> list[int]:
        """Return the cover of all vertices, from a cover of the remaining ones and the forced cliques.

        A follower may join every clique of its leader with the vertices that were left when it was removed. Only
        vertices that were removed later have joined since, so followers are added in reverse order of removal.
        """
        cliques = [*self.forced, *cover]
        for leader, gone in reversed(self.followers):
            cliques = [clique | gone if clique >> leader & 1 else clique for clique in cliques]
        return cliques


def reduce_vertices(adjacent: Sequence[int], vertices: int, deadline: float = math.inf) -> CliqueReduction:
    """Return the reduction of the graph by two rules, applied until nothing changes or a monotonic time has come.

    A vertex that is adjacent to another one and to all its neighbours follows it, and needs no clique of its own. A
    vertex whose neighbours are all adjacent to each other has only one maximal clique, which is forced. Each rule may
    make the other one applicable again.
    """
    found = CliqueReduction(vertices)
    queue = list(bits_of(vertices))
    while queue:
        again = 0
        for vertex in queue:
            if time.monotonic() > deadline:
                return found
            if not found.left >> vertex & 1:
                continue
            around = adjacent[vertex] & found.left
            shared = around
            for neighbour in bits_of(around):
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
            for lost in bits_of(gone):
                again |= adjacent[lost]
        queue = list(bits_of(again & found.left))
    return found
