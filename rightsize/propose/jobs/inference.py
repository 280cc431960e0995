"""Group changes that the same workers use: average linkage over pairs that occur together more often than by chance.

A change is any operation but a read of Resource Manager; a worker is whoever called it. Two changes are linked if

- at least two workers use both,
- at least a quarter of the use of the rarer one is with the other, and
- that is at least twice what chance gives, or most of the use of the more frequent one.

A worker weighs 1/(number of its changes), so that one who does everything joins nothing. Groups are joined while the
mean link between them is a quarter or more. All sums are of integers, and ties are broken by name, so that the answer
does not depend on any order.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from itertools import combinations

SUPPORT = 2
"""The fewest workers that have to use both changes of a pair."""
LINK = 250
"""The least share, of a thousand: of the rarer change's use in a pair, and of the mean link between two groups."""
_CHANCE = 2
"""A pair has to occur this many times as often as by chance."""
_MOSTLY = 600
"""A pair with this share, of a thousand, of the more frequent change's use is no chance in a tenant of few jobs."""
_ONE = 1_000_000
"""The weight of a worker who uses one change."""
_MANY = 60
"""A worker with more changes than this is left out: its weight is nothing, and its pairs are thousands."""

Group = tuple[str, ...]


def group_changes(changes_of: Mapping[str, Set[str]]) -> list[Group]:
    """Return the groups of changes, each sorted, in the order of their first names; a change alone is a group, too.

    Args:
        changes_of: By worker, the names of the changes that it used.
    """
    names = sorted(set().union(*changes_of.values()))
    number_of = {name: number for number, name in enumerate(names)}
    links = _links({worker: sorted(number_of[name] for name in used) for worker, used in changes_of.items()})
    return [tuple(names[number] for number in group) for group in _average_linkage(len(names), links)]


def _links(changes_of: Mapping[str, Sequence[int]]) -> dict[tuple[int, int], int]:
    """Return the share, of a thousand, of the rarer change's use that is with the other, for each linked pair."""
    alone: dict[int, int] = defaultdict(int)
    both: dict[tuple[int, int], int] = defaultdict(int)
    support: dict[tuple[int, int], int] = defaultdict(int)
    whole = 0
    for used in changes_of.values():
        if not used:
            continue
        weight = _ONE // len(used)
        whole += weight
        for one in used:
            alone[one] += weight
        for pair in combinations(used, 2) if len(used) <= _MANY else ():
            both[pair] += weight
            support[pair] += 1
    found = {}
    for (first, second), weight in both.items():
        rarer, other = sorted((alone[first], alone[second]))
        is_no_chance = weight * whole >= _CHANCE * rarer * other or 1000 * weight >= _MOSTLY * other
        share = 1000 * weight // rarer
        if support[first, second] >= SUPPORT and share >= LINK and is_no_chance:
            found[first, second] = share
    return found


def _average_linkage(number: int, links: Mapping[tuple[int, int], int]) -> list[tuple[int, ...]]:
    """Return the groups of numbers, joined while the mean link between two is `LINK` or more; the strongest first.

    Of equally strong pairs the one with the lowest numbers is joined first.
    """
    members: dict[int, tuple[int, ...]] = {one: (one,) for one in range(number)}
    near: dict[int, dict[int, int]] = defaultdict(dict)
    for (first, second), share in links.items():
        near[first][second] = near[second][first] = share

    def step(one: int, other: int) -> tuple[int, tuple[int, ...], tuple[int, ...], int, int]:
        """Return a possible step as an entry of the heap: the negative mean link, and both groups."""
        mean = _ONE * near[one][other] // (len(members[one]) * len(members[other]))
        first, second = sorted((one, other), key=members.__getitem__)
        return -mean, members[first], members[second], first, second

    heap = [step(*pair) for pair in links]
    heapq.heapify(heap)
    while heap and -heap[0][0] >= LINK * _ONE:
        _, _, _, one, other = heapq.heappop(heap)
        if one not in members or other not in members:
            continue
        joined, number = number, number + 1
        members[joined] = tuple(sorted(members.pop(one) + members.pop(other)))
        for gone in (one, other):
            for beside, share in near.pop(gone).items():
                if beside not in (one, other):
                    del near[beside][gone]
                    near[joined][beside] = near[beside][joined] = near[joined].get(beside, 0) + share
        for beside in near[joined]:
            heapq.heappush(heap, step(joined, beside))
    return sorted(members.values())
