"""Find the fewest cliques that cover a graph, with upper and lower bounds that meet or stop at the limits.

The steps are, cheapest first: greedy covers and independent sets; the fractional cover, whose cliques give better
covers; a new cover with fewer cliques for parts of the best one; and an exact set cover, where the cliques that a
smaller cover could hold can be listed.
"""

from __future__ import annotations

import math
import time
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import islice
from operator import or_

from rightsize.mining.bitsets import bits_of
from rightsize.mining.cliques import greedy_cover, independent_set, maximal_cliques, widen, without_spare
from rightsize.mining.lp_bound import Fractional, fractional_cover
from rightsize.mining.programs import Rows, solve

GREEDY_ROUNDS = 24
GREEDY_SIZE = 3_000
"""The largest number of vertices for greedy covers: beyond it the fractional cover gives better ones in less time."""
GREEDY_SHARE = 0.2
"""The share of the time for greedy covers and independent sets."""
ASKED_SETS = 4
PART_ROUNDS = 200
PART_CLIQUES = 4_000
PART_NODES = 100
CLOSING_CLIQUES = 60_000
CLOSING_NODES = 20_000
CHECKS_A_NODE = 10


@dataclass(slots=True)
class CliqueCover:
    """A cover, and a lower bound on the number of cliques of any cover."""

    cliques: list[int]
    bound: int

    def is_settled(self) -> bool:
        """Return whether no smaller cover is possible."""
        return len(self.cliques) <= self.bound


@dataclass(frozen=True, slots=True)
class _Instance:
    """The graph to be covered, and the deadline."""

    adjacent: Sequence[int]
    vertices: int
    listed: Sequence[int] | None
    deadline: float

    def share(self, part: float) -> float:
        """Return the monotonic time after the given share of the remaining time."""
        return part_of_time(part, self.deadline)

    def seconds(self) -> float:
        return max(0.0, self.deadline - time.monotonic())


def part_of_time(share: float, deadline: float) -> float:
    """Return the monotonic time after the given share of the time until the deadline."""
    now = time.monotonic()
    return now + share * (deadline - now)


def fewest_cliques(
    adjacent: Sequence[int],
    vertices: int,
    known: Sequence[list[int]],
    listed: Sequence[int] | None,
    seconds: float,
) -> CliqueCover:
    """Return the smallest cover of the vertices by cliques that is found, with its lower bound.

    Args:
        adjacent: The graph.
        vertices: The vertices to be covered.
        known: Known covers, at least one.
        listed: Every maximal clique of the vertices, if they are listed.
        seconds: The time limit; limits of steps come first except on slow machines.
    """
    given = _Instance(adjacent, vertices, listed, time.monotonic() + seconds)
    size = vertices.bit_count()
    turns = max(4, min(GREEDY_ROUNDS, GREEDY_SIZE * 20 // size))
    greedy_ends = given.share(GREEDY_SHARE)
    apart: list[int] = []
    covers = [*known]
    least = min(map(len, known))
    for turn in range(turns):
        if apart and (time.monotonic() >= greedy_ends or apart[-1].bit_count() == least):
            break
        apart.append(independent_set(adjacent, vertices, turn, greedy_ends))
    for turn in range(turns if size <= GREEDY_SIZE else 0):
        cover = greedy_cover(adjacent, vertices, turn, greedy_ends) if apart[-1].bit_count() < least else None
        if cover is None:
            break
        covers.append(cover)
    best = CliqueCover(min(covers, key=len), max(chosen.bit_count() for chosen in apart))
    if best.is_settled() or not given.seconds():
        return best
    asked = reduce(or_, apart[:ASKED_SETS])
    fractional = fractional_cover(adjacent, vertices, asked, [best.cliques, *known], listed, given.share(0.5))
    best.cliques = fractional.cover
    best.bound = max(best.bound, fractional.bound)
    _improve(given, best)
    _close(given, best, fractional)
    return best


def _improve(given: _Instance, best: CliqueCover) -> None:
    """Improve the cover: repeatedly remove a few cliques, and cover the vertices that only they had with fewer.

    An equal number of new cliques is accepted too, since these may make other cliques needless.
    """
    deadline = given.share(0.3)
    for turn in range(PART_ROUNDS):
        if best.is_settled() or time.monotonic() >= deadline:
            return
        taken = _neighbourhood(given, best.cliques, turn)
        kept = [clique for index, clique in enumerate(best.cliques) if index not in taken]
        left = given.vertices
        for clique in kept:
            left &= ~clique
        found = maximal_cliques(given.adjacent, left, deadline=deadline)
        cliques = list(islice(found, PART_CLIQUES + 1))
        if len(cliques) > PART_CLIQUES or time.monotonic() >= deadline:
            continue
        fewer, _ = _fewest_of(left, cliques, None, max(0.1, deadline - time.monotonic()), PART_NODES)
        if fewer is not None and len(fewer) <= len(taken):
            wider = _widen_all(given, fewer, given.vertices & ~_twice(kept))
            best.cliques = without_spare([*kept, *wider], given.vertices)


def _neighbourhood(given: _Instance, cover: list[int], turn: int) -> set[int]:
    """Return the cliques to remove in a turn: the next one, and those that share most of its neighbours."""
    alone = given.vertices & ~_twice(cover)
    own = [clique & alone for clique in cover]
    first = turn * 7919 % len(cover)
    around = 0
    for vertex in bits_of(own[first]):
        around |= given.adjacent[vertex]

    def nearness(index: int) -> tuple[int, int]:
        disturbed = 3 + (index * 2654435761 + turn * 40503) % 4294967296 % 4
        return (own[index] & around).bit_count() * disturbed, index

    others = sorted((index for index in range(len(cover)) if index != first), key=nearness, reverse=True)
    return {first, *others[: 4 + turn % 4]}


def _twice(cliques: Iterable[int]) -> int:
    """Return the vertices that are in more than one of the cliques."""
    once = twice = 0
    for clique in cliques:
        twice |= once & clique
        once |= clique
    return twice


def _widen_all(given: _Instance, cliques: Iterable[int], wanted: int) -> list[int]:
    """Return the cliques as maximal ones; after the deadline as they are."""
    wider: list[int] = []
    for clique in cliques:
        wider.append(widen(given.adjacent, clique, given.vertices, wanted) if given.seconds() else clique)
        wanted &= ~wider[-1]
    return wider


def _close(given: _Instance, best: CliqueCover, fractional: Fractional) -> None:
    """Improve cover and bound by an exact set cover over every clique that a smaller cover could hold."""
    asked = given.vertices if given.listed is not None else fractional.asked
    while not best.is_settled() and given.seconds():
        cliques = _saving_cliques(given, best, fractional, asked)
        if cliques is None:
            return
        known = [clique & asked for clique in best.cliques]
        solved, bound = _fewest_of(asked, cliques, known, given.seconds(), CLOSING_NODES)
        best.bound = max(best.bound, min(bound, len(best.cliques)))
        if solved is None or len(solved) >= len(best.cliques):
            return
        wider = _widen_all(given, solved, given.vertices)
        left = given.vertices
        for clique in wider:
            left &= ~clique
        if left:
            asked |= independent_set(given.adjacent, left, 0, given.deadline)
        else:
            best.cliques = wider


def _saving_cliques(given: _Instance, best: CliqueCover, fractional: Fractional, asked: int) -> list[int] | None:
    """Return every clique of the asked vertices that a smaller cover could hold, or None where they are too many.

    The cliques of a cover weigh together at least as much as all vertices. So each of k cliques weighs at least the
    total less k - 1 times the heaviest weight.
    """
    least = fractional.total - (len(best.cliques) - 2) * fractional.heaviest
    if given.listed is not None:
        weights = fractional.weigh(given.listed)
        return [clique for clique, weight in zip(given.listed, weights, strict=True) if weight >= least]
    found = maximal_cliques(given.adjacent, asked, fractional.weights, least, given.deadline)
    cliques = list(islice(found, CLOSING_CLIQUES + 1))
    return cliques if len(cliques) <= CLOSING_CLIQUES and given.seconds() else None


def _fewest_of(
    asked: int, cliques: list[int], known: list[int] | None, seconds: float, nodes: int
) -> tuple[list[int] | None, int]:
    """Return the fewest of the cliques that cover the asked vertices, or None, and the bound proved for these cliques.

    The solver starts from the `known` cover if each of its cliques is part of a listed one. If the cliques cannot cover
    the vertices, as when only those of smaller covers are listed, the bound is the size of the known cover.
    """
    row_of = {vertex: row for row, vertex in enumerate(bits_of(asked))}
    holding: list[list[int]] = [[] for _ in row_of]
    for number, clique in enumerate(cliques):
        for vertex in bits_of(clique):
            holding[row_of[vertex]].append(number)
    rows = Rows()
    for those in holding:
        rows.add_sum(those, 1.0, math.inf)
    costs = array("d", [1.0]) * len(cliques)
    start = None
    if known is not None:
        around = {next((i for i, clique in enumerate(cliques) if not wanted & ~clique), -1) for wanted in known}
        start = None if -1 in around else [float(index in around) for index in range(len(cliques))]
    outcome = solve(rows, costs, start=start, nodes=nodes, checks=CHECKS_A_NODE * nodes, seconds=seconds)
    bound = len(known or ()) if outcome.bound == math.inf else int(max(outcome.bound, 0.0))
    if outcome.values is None:
        return None, bound
    return [clique for clique, value in zip(cliques, outcome.values, strict=True) if value], bound
