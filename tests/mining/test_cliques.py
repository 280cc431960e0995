"""Cliques: listing, weights, cover and excluded cliques agree with an exhaustive search."""

from __future__ import annotations

import itertools
import time

from hypothesis import example, given
from hypothesis import strategies as st

from rightsize.mining.bitsets import bits_of
from rightsize.mining.clique_cover import fewest_cliques
from rightsize.mining.cliques import (
    greedy_cover,
    heaviest_clique,
    independent_set,
    maximal_cliques,
    reduce_vertices,
    widen,
    without_spare,
)
from rightsize.mining.lp_bound import fractional_cover
from tests.examples import MANY, SOME


def _graph(size: int, edges: int) -> list[int]:
    """The graph whose pairs are the bits of a number."""
    adjacent = [0] * size
    for place, (one, other) in enumerate(itertools.combinations(range(size), 2)):
        if edges >> place & 1:
            adjacent[one] |= 1 << other
            adjacent[other] |= 1 << one
    return adjacent


GRAPHS = st.integers(1, 8).flatmap(
    lambda size: st.integers(0, 2 ** (size * (size - 1) // 2) - 1).map(lambda edges: _graph(size, edges))
)
FIVE_RING = [0b10010, 0b00101, 0b01010, 0b10100, 0b01001]


def _is_clique(adjacent: list[int], members: int) -> bool:
    return all(not members & ~(adjacent[vertex] | 1 << vertex) for vertex in bits_of(members))


def _cliques(adjacent: list[int]) -> list[int]:
    return [members for members in range(1, 1 << len(adjacent)) if _is_clique(adjacent, members)]


def _maximal(adjacent: list[int]) -> set[int]:
    found = _cliques(adjacent)
    return {one for one in found if not any(one != other and not one & ~other for other in found)}


def _fewest(adjacent: list[int]) -> int:
    everything, maximal = (1 << len(adjacent)) - 1, sorted(_maximal(adjacent))
    for count in range(1, len(adjacent) + 1):
        for chosen in itertools.combinations(maximal, count):
            if _union(chosen) == everything:
                return count
    raise AssertionError("each vertex alone is a clique")


def _union(sets) -> int:
    whole = 0
    for one in sets:
        whole |= one
    return whole


@MANY
@given(GRAPHS)
def test_every_maximal_clique_is_listed_once(adjacent: list[int]) -> None:
    found = list(maximal_cliques(adjacent, (1 << len(adjacent)) - 1))
    assert len(found) == len(set(found))
    assert set(found) == _maximal(adjacent)


@MANY
@given(GRAPHS, st.data())
def test_a_least_weight_leaves_out_only_lighter_cliques(adjacent: list[int], data: st.DataObject) -> None:
    weights = {vertex: data.draw(st.integers(1, 5)) for vertex in range(len(adjacent))}
    least = data.draw(st.integers(1, 20))
    heavy = {one for one in _maximal(adjacent) if sum(weights[v] for v in bits_of(one)) >= least}
    assert heavy <= set(maximal_cliques(adjacent, (1 << len(adjacent)) - 1, weights, least)) <= _maximal(adjacent)


@MANY
@given(GRAPHS, st.data())
def test_the_heaviest_clique_is_found_and_proved(adjacent: list[int], data: st.DataObject) -> None:
    weights = [data.draw(st.integers(1, 9)) for _ in adjacent]
    search = heaviest_clique(adjacent, weights, 0, 10_000)
    heaviest = max(sum(weights[v] for v in bits_of(one)) for one in _cliques(adjacent))
    assert search.complete
    assert search.most == heaviest == sum(weights[v] for v in bits_of(search.cliques[-1]))


def test_a_search_that_gives_up_says_so() -> None:
    """Three apart from each other in each of three groups: one node does not decide it."""
    adjacent = [sum(1 << other for other in range(9) if other // 3 != vertex // 3) for vertex in range(9)]
    assert not heaviest_clique(adjacent, [5, 4, 3, 5, 4, 3, 5, 4, 3], 0, 0).complete


@MANY
@given(GRAPHS, st.integers(0, 5))
def test_greedy_covers_are_covers_and_independent_sets_are_independent(adjacent: list[int], turn: int) -> None:
    everything = (1 << len(adjacent)) - 1
    cover = greedy_cover(adjacent, everything, turn)
    assert _union(cover) == everything
    assert all(_is_clique(adjacent, one) for one in cover)
    apart = independent_set(adjacent, everything, turn)
    assert not any(adjacent[vertex] & apart for vertex in bits_of(apart))
    assert apart.bit_count() <= _fewest(adjacent) <= len(cover)


@MANY
@given(GRAPHS, st.data())
def test_a_widened_clique_is_maximal_and_holds_what_it_held(adjacent: list[int], data: st.DataObject) -> None:
    clique = data.draw(st.sampled_from(_cliques(adjacent)))
    wanted = data.draw(st.integers(0, (1 << len(adjacent)) - 1))
    wider = widen(adjacent, clique, (1 << len(adjacent)) - 1, wanted)
    assert not clique & ~wider
    assert wider in _maximal(adjacent)


@MANY
@given(GRAPHS)
@example([62, 61, 27, 7, 7, 3])  # The leader of one vertex is itself the follower of another.
def test_reduced_and_lifted_again_a_cover_is_one_of_the_whole(adjacent: list[int]) -> None:
    """Whatever smallest cover is found of what is left, it comes back as a smallest cover of everything."""
    everything = (1 << len(adjacent)) - 1
    reduction = reduce_vertices(adjacent, everything)
    rest: list[int] = []
    if reduction.left:
        singles = [1 << vertex for vertex in bits_of(reduction.left)]
        rest = fewest_cliques(adjacent, reduction.left, [singles], None, 5.0).cliques
    whole = reduction.lift(rest)
    assert _union(whole) == everything
    assert all(_is_clique(adjacent, one) for one in whole)
    assert len(whole) == _fewest(adjacent)


def test_what_others_cover_is_spare() -> None:
    assert without_spare([0b0110, 0b0011, 0b1100], 0b1111) == [0b0011, 0b1100]


@SOME
@given(GRAPHS, st.booleans())
def test_the_fewest_cliques_are_found_and_proved(adjacent: list[int], is_listed: bool) -> None:
    """With all maximal cliques listed or not, the bound meets the cover on small graphs."""
    everything = (1 << len(adjacent)) - 1
    listed = sorted(_maximal(adjacent)) if is_listed else None
    cover = fewest_cliques(adjacent, everything, [[1 << v for v in range(len(adjacent))]], listed, 5.0)
    assert _union(cover.cliques) == everything
    assert all(_is_clique(adjacent, one) for one in cover.cliques)
    assert len(cover.cliques) == cover.bound == _fewest(adjacent)


def test_fractions_prove_what_independent_vertices_cannot() -> None:
    """Of a ring of five only two are apart, but halves of its edges add up to two and a half: three are needed."""
    everything = 0b11111
    assert max(independent_set(FIVE_RING, everything, turn).bit_count() for turn in range(8)) == 2
    singles = [1 << vertex for vertex in range(5)]
    found = fractional_cover(FIVE_RING, everything, 0b00101, [singles], None, time.monotonic() + 600)
    assert found.bound == 3
    assert len(found.cover) == 3


@SOME
@given(GRAPHS)
def test_weights_of_vertices_prove_their_bound(adjacent: list[int]) -> None:
    """No clique is heavier than said, so that the bound is one whatever the linear program did."""
    everything = (1 << len(adjacent)) - 1
    singles = [1 << vertex for vertex in range(len(adjacent))]
    found = fractional_cover(adjacent, everything, everything, [singles], None, time.monotonic() + 600)
    assert all(weight <= found.heaviest for weight in found.weigh(_cliques(adjacent)))
    assert found.bound <= _fewest(adjacent) <= len(found.cover)
