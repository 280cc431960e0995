"""Group changes that the same workers use, by average linkage over pairs that occur together more often than by chance.

Two changes are linked if

- at least two workers use both,
- at least a quarter of the use of the rarer one is with the other, and
- that is at least twice what chance gives, or most of the use of the more frequent one.

A worker weighs 1/(number of its changes), so that one who does everything joins nothing. Groups are joined while the
mean link between them is a quarter or more. A job of which each worker does a third still shows as several groups: one
that changes a single service joins another that changes it, too, if most of its users use that one as well. All sums
are of integers, and ties are broken by name, so that the answer does not depend on any order.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set

import polars as pl

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


def group_changes(changes_of: Mapping[str, Set[str]]) -> list[Group]:
    """Return the groups of changes, each sorted, in the order of their first names; a change alone is a group, too.

    Args:
        changes_of: By worker, the names of the changes that it used.
    """
    names = sorted(set().union(*changes_of.values()))
    number_of = {name: number for number, name in enumerate(names)}
    links = _links({worker: sorted(number_of[name] for name in used) for worker, used in changes_of.items()})
    groups = [tuple(names[number] for number in group) for group in _average_linkage(len(names), links)]
    return _joined_by_service(groups, changes_of)


def _joined_by_service(groups: Iterable[Group], changes_of: Mapping[str, Set[str]]) -> list[Group]:
    """Return the groups, each that changes one service joined with the one there that most of its users have as well.

    Those are at least two and half of its users, and use at least a quarter of the other's changes. The smallest groups
    are joined first.
    """
    found = sorted(groups, key=lambda group: (len(group), group))
    workers: dict[str, set[str]] = defaultdict(set)
    for worker, used in changes_of.items():
        for name in used if len(used) <= _MANY else ():
            workers[name].add(worker)
    users = [set().union(*(workers[name] for name in group)) for group in found]
    services = [{"/".join(name.split("/")[:2]) for name in group} for group in found]
    group_of = {name: number for number, group in enumerate(found) for name in group}
    for number, changed in enumerate(services):
        having: Counter[int] = Counter()
        for worker in users[number] if len(changed) == 1 else ():
            for other, own in Counter(group_of[name] for name in changes_of[worker]).items():
                if other > number and changed <= services[other] and PART * own >= len(found[other]):
                    having[other] += 1
        both, other = max(((times, -other) for other, times in having.items()), default=(0, 0))
        if both >= SUPPORT and 2 * both >= len(users[number]):
            group_of |= dict.fromkeys(found[number], -other)
            found[-other] += found[number]
            users[-other] |= users[number]
            found[number] = ()
    return sorted(tuple(sorted(group)) for group in found if group)


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
