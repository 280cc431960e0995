"""The general decision over all strings: a search through the automata of many patterns at once.

Each pattern is an automaton of positions: position *i* says that the first *i* literal characters are matched, a
star before character *i* lets the position stay on any character. All automata lie side by side in the bits of one
integer, so one step of all of them is two operations:

    next = (state & advance[character]) << 1  |  state & loop

Sets of positions are made as they are met (the determinised product, lazily), breadth first, so the first string found
is a shortest one. Characters that no pattern names behave alike; one symbol stands for all of them: `*`, which no
literal text holds.

The number of states can grow exponentially with the number of patterns that have several stars: the problem is that
hard. What Azure accepts never comes here (see `rbac.algebra`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from rightsize.rbac.patterns import STAR, Pattern


@dataclass(frozen=True, slots=True)
class Guard:
    """What a string must not be granted by: some of `allowed`, and none of `nots`."""

    allowed: tuple[Pattern, ...]
    nots: tuple[Pattern, ...] = ()


def shortest_string(required: Sequence[Pattern], guards: Sequence[Guard]) -> str | None:
    """Return a shortest string that all of `required` match and no guard grants, or None where there is none.

    A `*` in it stands for one character that no pattern names.
    """
    return _Search(required, guards).run()


class _Search:
    def __init__(self, required: Sequence[Pattern], guards: Sequence[Guard]) -> None:
        self._advance: dict[str, int] = {}
        self._loop = 0
        self._start = 0
        self._width = 0
        self._required = [self._add([pattern]) for pattern in required]
        self._guards = [(self._add(guard.allowed), self._add(guard.nots)) for guard in guards]

    def _add(self, patterns: Sequence[Pattern]) -> tuple[int, int]:
        """Lay automata side by side and return the bits of all their positions and of their accepting ones."""
        begin, accepting = self._width, 0
        for pattern in patterns:
            position = self._width
            self._start |= 1 << position
            for index, piece in enumerate(pattern.pieces):
                if index:
                    self._loop |= 1 << position
                for character in piece:
                    self._advance[character] = self._advance.get(character, 0) | 1 << position
                    position += 1
            accepting |= 1 << position
            self._width = position + 1
        return (1 << self._width) - (1 << begin), accepting

    def run(self) -> str | None:
        alphabet = sorted(self._advance.items())
        came_from: dict[int, tuple[int, str] | None] = {self._start: None}
        waiting = deque([self._start])
        while waiting:
            state = waiting.popleft()
            if self._is_hopeless(state):
                continue
            if self._is_found(state):
                return _spell(state, came_from)
            stay = state & self._loop
            steps = [(((state & bits) << 1) | stay, character) for character, bits in alphabet if state & bits]
            for following, character in (*steps, (stay, STAR)):
                if following not in came_from:
                    came_from[following] = (state, character)
                    waiting.append(following)
        return None

    def _is_found(self, state: int) -> bool:
        return all(state & accepting for _, accepting in self._required) and not any(
            state & allowed and not state & nots for (_, allowed), (_, nots) in self._guards
        )

    def _is_hopeless(self, state: int) -> bool:
        """Return whether no string that goes on from here can be found: one fails, or a guard grants, for good."""
        if not all(state & positions for positions, _ in self._required):
            return True
        return any(
            state & allowed & self._loop and not state & positions for (_, allowed), (positions, _) in self._guards
        )


def _spell(state: int, came_from: dict[int, tuple[int, str] | None]) -> str:
    characters = []
    step = came_from[state]
    while step is not None:
        state, character = step
        characters.append(character)
        step = came_from[state]
    return "".join(reversed(characters))
