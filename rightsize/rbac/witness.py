"""Find an example of what given patterns match and others do not grant: a shortest one, or one that reads like Azure.

The algebra finds a pattern whose fresh instances are all witnesses: a `*` in it may be any character that no pattern
names. Words of Azure are tried in its place first, and each try is checked. A character that no pattern names always
gives a witness.

The search for a shortest string: each pattern is an automaton of positions, where position *i* means that the first *i*
literal characters are matched, and a star before character *i* lets the position stay on any character. All automata
lie side by side in the bits of one integer, so one step of all of them is two operations:

    next = (state & advance[character]) << 1  |  state & loop

Sets of positions are built when the search meets them (the determinised product, lazily), breadth first, so the first
string found is a shortest one. Characters that no pattern names behave alike; one symbol stands for all of them: `*`,
which no literal text contains.

The number of states can grow exponentially with the number of patterns with several stars: the problem itself is that
hard. Patterns that Azure accepts never need this search (see `rbac.algebra`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from rightsize.model.nouns import GrantPlane
from rightsize.model.text import STAR, Pattern, fold
from rightsize.rbac.permissions import Stakes, granted_by_all

_WHOLE: dict[GrantPlane, tuple[str, ...]] = {
    "control": (
        "Microsoft.Compute/virtualMachines/write",
        "Microsoft.Storage/storageAccounts/listKeys/action",
        "Microsoft.Resources/deployments/read",
    ),
    "data": (
        "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read",
        "Microsoft.KeyVault/vaults/secrets/getSecret/action",
    ),
}
_FIRST = ("Microsoft.Compute/virtualMachines", "Microsoft.Resources/deployments", "Microsoft.Network/virtualNetworks")
_VERBS = ("write", "read", "delete", "start/action")
_FRESH = "xzqjkvwy0123456789_-"


def name_instance(
    pattern: Pattern, plane: GrantPlane, is_witness: Callable[[str], bool], named_by: Callable[[], Iterable[Pattern]]
) -> str:
    """Return an instance of a pattern that is a witness.

    Args:
        pattern: The pattern that the algebra found.
        plane: Its plane.
        is_witness: A test whether a folded operation is a witness.
        named_by: Returns all patterns of both sides; called only if no word fits.
    """
    if pattern.is_literal:
        return pattern.spelt
    parts = pattern.spelt.split(STAR)
    for word_set in _word_sets(parts, plane):
        text = _fill(parts, word_set)
        if is_witness(fold(text)):
            return text
    used = {character for other in named_by() for character in other.text}
    candidates = chain(_FRESH, map(chr, range(0xA1, 0x110000)))
    fresh: str = next(character for character in candidates if character not in used)
    return fresh.join(parts)


def _word_sets(parts: list[str], plane: GrantPlane) -> Iterator[list[str]]:
    choices = [_words(parts[index], parts[index + 1], plane, index == 0) for index in range(len(parts) - 1)]
    for turn in range(max(map(len, choices))):
        yield [words[min(turn, len(words) - 1)] for words in choices]


def _words(before: str, after: str, plane: GrantPlane, is_first: bool) -> tuple[str, ...]:
    if is_first and not before:
        return _FIRST if after else _WHOLE[plane]
    if not after and before.endswith("/"):
        return _VERBS if before.count("/") > 1 else tuple(f"resources/{verb}" for verb in _VERBS)
    return ("resources",)


def _fill(parts: list[str], words: list[str]) -> str:
    return parts[0] + "".join(word + part for word, part in zip(words, parts[1:], strict=True))


@dataclass(frozen=True, slots=True)
class Guard:
    """A block that must not grant the string.

    Attributes:
        allowed: The patterns that it grants.
        nots: The patterns that it excludes.
        loose: Further patterns that it grants, each if the string that it belongs to is generous.
        loose_nots: Further patterns that it excludes, likewise.
    """

    allowed: tuple[Pattern, ...]
    nots: tuple[Pattern, ...] = ()
    loose: tuple[tuple[str, Pattern], ...] = ()
    loose_nots: tuple[tuple[str, Pattern], ...] = ()


def shortest_string(
    required: Sequence[Pattern],
    guards: Sequence[Guard],
    generous: str | None = None,
    strict: frozenset[str] = frozenset(),
) -> str | None:
    """Return a shortest string that all of `required` match and, for some combination, no guard grants, or None.

    A combination says of each string of the guards whether it is generous (see `rbac.permissions`). A `*` in the result
    stands for one character that no pattern names.

    Args:
        required: The patterns that match it.
        guards: The blocks that do not grant it.
        generous: A string that is generous in all combinations; None for none.
        strict: The strings that are strict in all combinations.
    """
    return _Search(required, guards, generous, strict).run()


class _Search:
    def __init__(
        self, required: Sequence[Pattern], guards: Sequence[Guard], generous: str | None, strict: frozenset[str]
    ) -> None:
        self._generous = generous
        self._strict = strict
        self._advance: dict[str, int] = {}
        self._loop = 0
        self._start = 0
        self._width = 0
        self._required = [self._add([pattern]) for pattern in required]
        self._guards = [
            _Bits(
                self._add(guard.allowed),
                self._add(guard.nots),
                [(source, self._add([form])[1]) for source, form in guard.loose],
                [(source, self._add([form])) for source, form in guard.loose_nots],
            )
            for guard in guards
        ]

    def _add(self, patterns: Sequence[Pattern]) -> tuple[int, int]:
        """Add automata beside the others, and return the bits of all their positions and of the accepting ones."""
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
        if not all(state & accepting for _, accepting in self._required):
            return False
        found = [one for guard in self._guards if (one := guard.stakes(state)) is not None]
        return not granted_by_all(found, self._generous, self._strict)

    def _is_hopeless(self, state: int) -> bool:
        """Return whether no string from here on is a result: a required pattern cannot match, or a guard grants all."""
        if not all(state & positions for positions, _ in self._required):
            return True
        return any(state & guard.allowed[1] & self._loop and not state & guard.excluding for guard in self._guards)


class _Bits:
    """The automata of a guard: bits of all positions, and of the accepting ones."""

    def __init__(
        self,
        allowed: tuple[int, int],
        nots: tuple[int, int],
        loose: Sequence[tuple[str, int]],
        loose_nots: Sequence[tuple[str, tuple[int, int]]],
    ) -> None:
        self.allowed = allowed
        self._nots = nots[1]
        self._loose = loose
        self._loose_nots = [(source, accepting) for source, (_, accepting) in loose_nots]
        self.excluding = nots[0]
        for _, (positions, _) in loose_nots:
            self.excluding |= positions

    def stakes(self, state: int) -> Stakes | None:
        """Return what the grant of the string hangs on that leads to a state, or None if it is not granted."""
        by = frozenset(source for source, accepting in self._loose if state & accepting)
        is_certain = bool(state & self.allowed[1])
        if state & self._nots or not (is_certain or by):
            return None
        return Stakes(is_certain, by, frozenset(source for source, accepting in self._loose_nots if state & accepting))


def _spell(state: int, came_from: dict[int, tuple[int, str] | None]) -> str:
    characters = []
    step = came_from[state]
    while step is not None:
        state, character = step
        characters.append(character)
        step = came_from[state]
    return "".join(reversed(characters))
