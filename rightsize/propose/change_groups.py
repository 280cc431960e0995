"""Group changes that the same workers use, by average linkage over pairs that occur together more often than by chance.

Two changes are linked if

- at least two workers use both,
- at least a quarter of the use of the rarer one is with the other, and
- that is at least twice what chance gives, or most of the use of the more frequent one.

A worker weighs 1/(number of its changes), so that one who does everything joins nothing. Groups are joined while the
mean link between them is a quarter or more.

A job of which each worker does a third still shows as several groups. Two of one top-level type, or of one resource
provider, are joined if half of the users of the smaller one use the other, too: one worker on a type, two in a
provider. Of five who restart machines and six who build them two may do both, and the groups stay apart. Deployments
and tags are of no provider here: work of every kind is done with them.

All sums are of whole numbers, and ties are broken by name, so that the answer does not depend on any order.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from fractions import Fraction
from itertools import combinations

import polars as pl

from rightsize.mining.bitsets import union

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
_AT_ONCE = 100
"""The changes whose pairs with others are added up at a time."""

PART = 4
"""A holder has a job if it used at least one in this number of its changes."""

Group = tuple[str, ...]

_ANYWHERE = "microsoft.resources"
"""The provider of deployments and tags, which says nothing of the place of work beside a change of another one."""
_JOINED_BY = {2: 1, 1: SUPPORT}
"""The fewest workers that have to use both of two groups, by the number of parts of a name that is common to all their
changes: the provider, or the top-level type in it.
"""


def group_changes(changes_of: Mapping[str, Set[str]]) -> list[Group]:
    """Return the groups of changes, each sorted, in the order of their first names; a change alone is a group, too.

    Args:
        changes_of: By worker, the names of the changes that it used.
    """
    names = sorted(set().union(*changes_of.values()))
    number_of = {name: number for number, name in enumerate(names)}
    links = _links({worker: sorted(number_of[name] for name in used) for worker, used in changes_of.items()})
    groups = [tuple(names[number] for number in group) for group in _average_linkage(len(names), links)]
    for parts, support in _JOINED_BY.items():
        groups = _joined(groups, changes_of, parts, support)
    return groups


def places_of(group: Iterable[str], parts: int = 1) -> set[str]:
    """Return the first parts of the names of changes: the resource providers, or also the top-level types in these."""
    found = {tuple(name.split("/")[:parts]) for name in group}
    return {"/".join(one) for one in found if one[0] != _ANYWHERE} or {_ANYWHERE}


def _joined(groups: Iterable[Group], changes_of: Mapping[str, Set[str]], parts: int, support: int) -> list[Group]:
    """Return the groups, those joined of which half of the users of the smaller one, and so many, use both."""
    users: dict[str, int] = defaultdict(int)
    for number, used in enumerate(used for _, used in sorted(changes_of.items()) if len(used) <= _MANY):
        for name in used:
            users[name] |= 1 << number
    alike: dict[str, dict[Group, int]] = defaultdict(dict)
    found: list[Group] = []
    for group in groups:
        places = places_of(group, parts)
        if len(places) == 1:
            alike[places.pop()][group] = union(users[name] for name in group)
        else:
            found.append(group)
    for having in alike.values():
        found += _joined_there(having, support)
    return sorted(found)


def _joined_there(users: dict[Group, int], support: int) -> Iterable[Group]:
    """Return the groups of one type or provider, those joined that share users; the pair with the most comes first.

    Args:
        users: The users of each group, as a set of bits.
        support: The fewest that have to use both.
    """

    def step(one: Group, other: Group) -> Iterator[tuple[Fraction, Group, Group]]:
        both = (users[one] & users[other]).bit_count()
        smaller = min(users[one].bit_count(), users[other].bit_count())
        if both >= support and 2 * both >= smaller:
            first, second = sorted((one, other))
            yield -Fraction(both, smaller), first, second

    heap = [found for pair in combinations(sorted(users), 2) for found in step(*pair)]
    heapq.heapify(heap)
    while heap:
        _, one, other = heapq.heappop(heap)
        if one in users and other in users:
            whole = tuple(sorted(one + other))
            users[whole] = users.pop(one) | users.pop(other)
            for beside in [group for group in users if group != whole]:
                for found in step(whole, beside):
                    heapq.heappush(heap, found)
    return users


def _links(changes_of: Mapping[str, Sequence[int]]) -> dict[tuple[int, int], int]:
    """Return the share, of a thousand, of the rarer change's use that is with the other, for each linked pair."""
    used = pl.DataFrame({"one": list(changes_of.values())}, schema={"one": pl.List(pl.Int64)}).with_row_index("worker")
    number = pl.col("one").list.len().cast(pl.Int64)
    used = used.filter(number > 0).with_columns(weight=_ONE // number, number=number)
    alone = used.explode("one").group_by("one").agg(alone=pl.col("weight").sum())
    rows = used.filter(pl.col("number") <= _MANY).select("worker", "weight", "one").explode("one")
    # Tens of thousands of workers have tens of millions of pairs: only those that are linked stay of each part.
    parts = list(alone.sort("one").iter_slices(_AT_ONCE)) or [alone]
    both = pl.concat([_pairs_of(rows, part) for part in parts]).join(alone, on="one")
    both = both.join(alone.rename({"one": "other", "alone": "others"}), on="other").select(
        "one",
        "other",
        "weight",
        rarer=pl.min_horizontal("alone", "others"),
        more=pl.max_horizontal("alone", "others"),
    )
    both = both.with_columns(share=1000 * pl.col("weight") // pl.col("rarer")).filter(pl.col("share") >= LINK)
    whole = int(used["weight"].sum())
    # These products are beyond 64 bits.
    return {
        (one, other): share
        for one, other, weight, rarer, more, share in both.sort("one", "other").iter_rows()
        if weight * whole >= _CHANCE * rarer * more or 1000 * weight >= _MOSTLY * more
    }


def _pairs_of(rows: pl.DataFrame, those: pl.DataFrame) -> pl.DataFrame:
    """Return `(one, other, weight)` for each pair of changes that enough workers use, where one is among `those`."""
    first = rows.join(those.select("one"), on="one", how="semi")
    pairs = first.join(rows.select("worker", other="one"), on="worker").filter(pl.col("one") < pl.col("other"))
    both = pairs.group_by("one", "other").agg(pl.col("weight").sum(), support=pl.len())
    return both.filter(pl.col("support") >= SUPPORT).drop("support")


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
