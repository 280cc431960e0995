"""Reduce the number of shared new roles by local search, for parts that are too large to solve exactly.

Each turn removes a few roles that serve the same needs, serves the affected needs again greedily with few roles, and
drops roles that have become superfluous. The result is kept if it has no more roles than before. The order of attempts
is fixed, so the same needs always give the same roles.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rightsize.propose.optimize.rows import NeedRow, RoleContents, smallest_cover

TURNS = 400
CHECKS = 400_000
"""Maximum number of checks whether a need is served: a limit that is the same on every machine."""


def search_fewer(rows: Sequence[NeedRow], contents: Sequence[int], start: Iterable[int]) -> list[int]:
    """Return contents that serve all rows, at most as many as at the start.

    Args:
        rows: The needs.
        contents: The possible contents of a role, including what each row is allowed and the contents of `start`.
        start: Contents that serve all rows.
    """
    index = RoleContents(contents)
    search = _SharingSearch(rows, contents, [tuple(sorted(index.inside(row))) for row in rows])
    number_of = {content: number for number, content in enumerate(contents)}
    search.begin({number_of[content] for content in start})
    for turn in range(TURNS):
        if search.checks > CHECKS or not search.chosen:
            break
        search.turn(turn)
    return sorted(contents[number] for number in search.chosen)


@dataclass(slots=True)
class _SharingSearch:
    rows: Sequence[NeedRow]
    contents: Sequence[int]
    options: Sequence[tuple[int, ...]]
    """For each row, the contents that it may take."""
    chosen: set[int] = field(default_factory=set)
    taken: dict[int, tuple[int, ...]] = field(default_factory=dict)
    """For each row, the contents that serve it now."""
    checks: int = 0

    def begin(self, chosen: set[int]) -> None:
        self.chosen = chosen
        for number in range(len(self.rows)):
            self.taken[number] = self._serve(number) or ()
        self._drop_spare()

    def turn(self, turn: int) -> None:
        before = set(self.chosen), dict(self.taken)
        self.chosen -= self._related(turn)
        open_rows = []
        for number, own in self.taken.items():
            if not self.chosen.issuperset(own):
                again = self._serve(number)
                if again is None:
                    open_rows.append(number)
                else:
                    self.taken[number] = again
        while open_rows:
            served = self._serving(open_rows)
            best = min(served, key=lambda one: (-len(served[one]), (one * 2654435761 + turn) % 4093, one))
            self.chosen.add(best)
            self.taken.update(served[best])
            open_rows = [number for number in open_rows if number not in served[best]]
        self._drop_spare()
        if len(self.chosen) > len(before[0]):
            self.chosen, self.taken = before

    def _related(self, turn: int) -> set[int]:
        """Return one chosen content and those that serve most of the same rows."""
        ordered = sorted(self.chosen)
        first = ordered[turn * 7919 % len(ordered)]
        near: Counter[int] = Counter()
        for own in self.taken.values():
            if first in own:
                near.update(own)
        mine = self.contents[first]
        rest = sorted(
            (one for one in ordered if one != first),
            key=lambda one: (-near[one], (self.contents[one] ^ mine).bit_count(), one),
        )
        return {first, *rest[: 1 + turn % 5]}

    def _serve(self, number: int, without: int = -1) -> tuple[int, ...] | None:
        """Return the chosen contents that serve a row, or None if they cannot."""
        self.checks += 1
        row = self.rows[number]
        own = [one for one in self.options[number] if one in self.chosen and one != without]
        columns = [*row.columns, *(self.contents[one] for one in own)]
        cover = smallest_cover(row.must, columns, [0] * len(columns), row.most)
        if cover is None:
            return None
        first = len(row.columns)
        return tuple(own[one - first] for one in cover if one >= first)

    def _serving(self, open_rows: Sequence[int]) -> Mapping[int, dict[int, tuple[int, ...]]]:
        """Return for each content the rows that it would serve, each with its complete set of contents."""
        found: dict[int, dict[int, tuple[int, ...]]] = defaultdict(dict)
        for number in open_rows:
            row = self.rows[number]
            own = [one for one in self.options[number] if one in self.chosen]
            columns = [*row.columns, *(self.contents[one] for one in own)]
            first, costs = len(row.columns), [0] * len(columns)
            for one in self.options[number]:
                self.checks += 1
                cover = smallest_cover(row.must & ~self.contents[one], columns, costs, row.most - 1)
                if cover is not None:
                    found[one][number] = (one, *(own[other - first] for other in cover if other >= first))
        return found

    def _drop_spare(self) -> None:
        """Drop contents that no row needs, starting with those that the fewest rows take."""
        takers: dict[int, set[int]] = {one: set() for one in self.chosen}
        for number, own in self.taken.items():
            for one in own:
                takers[one].add(number)
        for one in sorted(self.chosen, key=lambda one: (len(takers[one]), one)):
            again: dict[int, tuple[int, ...]] = {}
            for number in sorted(takers[one]):
                cover = self._serve(number, without=one)
                if cover is None:
                    break
                again[number] = cover
            else:
                self.chosen.discard(one)
                for number, cover in again.items():
                    for other in self.taken[number]:
                        takers[other].discard(number)
                    self.taken[number] = cover
                    for other in cover:
                        takers[other].add(number)
