"""Shorten a role's list of operations with patterns that grant nothing more on today's catalogue.

A pattern replaces operations that are all needed. It is allowed under three conditions. It matches no other operation
of the catalogue on its plane, by any reading of `/*/` (`rbac.permissions`). Today's grant contains all of it, for all
strings, so that today's grant would also include what Azure adds tomorrow. No not-pattern of the role overlaps with it.
It names its resource provider, and has one `*`, which is a whole segment, as in everything that Azure itself writes
(Microsoft Learn, "Azure custom roles").

The number of strings is the smallest possible with such patterns. Among choices with equally few strings, one with the
fewest patterns is taken. Each pattern is then narrowed to the operations that it has to match, so that it leaves open
no more than necessary.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, product

from rightsize.model.errors import InternalError
from rightsize.model.nouns import PermissionBlock
from rightsize.propose.core.bitsets import OperationIndex
from rightsize.propose.core.role_catalog import Blocks, RoleContent
from rightsize.propose.optimize.ilp import Rows, solve
from rightsize.rbac.algebra import contains, grants, intersects
from rightsize.rbac.patterns import loosened, parse_pattern
from rightsize.rbac.permissions import Reading
from rightsize.rbac.text import fold

STAR = "*"
_MOST_TRIED = 100
_ENDS = ("/action", "/write", "/delete", "/read", "")

Stands = Mapping[str, frozenset[int]]
"""For each pattern the bits of the needed operations that it matches."""


@dataclass(frozen=True, slots=True)
class Opening:
    """The future operations that a pattern would match.

    Attributes:
        language: A description of the operations that it matches.
        example: An operation that it matches and that the catalogue does not have.
    """

    language: str
    example: str


def describe_opening(pattern: str, plane: str, taken_out: Sequence[str], index: OperationIndex) -> Opening:
    """Return the operations that a pattern, without its role's not-patterns, would grant once Azure adds them.

    There are always such operations: a pattern matches infinitely many names.
    """
    head, _, tail = pattern.strip().partition(STAR)
    ending = f" {'and' if head else 'that'} ends in `{tail}`" if tail else ""
    block = one_block(plane, [pattern], taken_out)
    for end, number in product((tail,) if tail else _ENDS, range(1, _MOST_TRIED)):
        name = f"{head or 'New.Provider/'}added{number if number > 1 else ''}{end}"
        if index.bit(plane, fold(name)) is None and grants([block], name, plane) == "yes":
            below = f"that begins with `{head}`" if head else "of any resource provider"
            return Opening(f"every operation {below}{ending}", name)
    raise InternalError(f"no operation can be named that the pattern `{pattern}` leaves open")


@dataclass(slots=True)
class Compactor:
    """A writer of patterns in place of explicit operations; create one for each catalogue."""

    index: OperationIndex
    _names: dict[str, _Names] = field(default_factory=dict)

    def compact(self, content: RoleContent, ceilings: Sequence[Blocks]) -> RoleContent:
        """Return the content of a role with as few strings as patterns allow.

        Args:
            content: The content of the role.
            ceilings: Today's grants at the scopes where the role is assigned; a pattern stays inside each of them.
        """
        granted = self.index.granted_by([content.block], Reading.LEAST)
        actions = self._shortened("control", content.actions, content.not_actions, granted, ceilings)
        data = self._shortened("data", content.data_actions, content.not_data_actions, granted, ceilings)
        return RoleContent(actions, content.not_actions, data, content.not_data_actions)

    def _shortened(
        self, plane: str, texts: Sequence[str], taken_out: Sequence[str], granted: int, ceilings: Sequence[Blocks]
    ) -> tuple[str, ...]:
        named = [(text, None if STAR in text else self.index.bit(plane, fold(text))) for text in texts]
        explicit = {bit: text for text, bit in named if bit is not None}
        if len(explicit) < 2 or not ceilings:
            return tuple(texts)
        if plane not in self._names:
            self._names[plane] = _Names.of(plane, self.index)
        size = len(self.index.names) // 8 + 1
        validator = PatternValidator(
            plane,
            self._names[plane],
            granted.to_bytes(size, "little"),
            tuple(taken_out),
            tuple(dict.fromkeys(ceilings)),
        )
        stands = _candidates(explicit, validator)
        chosen = _draw_in(fewest_strings(stands), stands, explicit, validator.names)
        covered = set[int]().union(*chosen.values())
        left = (text for text, bit in named if bit not in covered)
        return tuple(sorted({*left, *chosen}))


@dataclass(frozen=True, slots=True)
class _Names:
    """The folded operations of a plane, forwards and backwards, each with its bit."""

    forwards: Sequence[tuple[str, int]]
    backwards: Sequence[tuple[str, int]]

    @classmethod
    def of(cls, plane: str, index: OperationIndex) -> _Names:
        """Return the sorted names of a plane."""
        names = [(name, bit) for (own, name), bit in index.bits.items() if own == plane]
        return cls(sorted(names), sorted((name[::-1], bit) for name, bit in names))

    def named(self, name: str) -> Iterator[int]:
        """Yield the bit of a folded operation if the plane has it."""
        for at in _range(self.forwards, name):
            if self.forwards[at][0] == name:
                yield self.forwards[at][1]

    def matching(self, head: str, tail: str) -> Iterator[int]:
        """Yield the bits of the operations that start with `head` and end with `tail`, without overlap."""
        heads = _range(self.forwards, head)
        tails = _range(self.backwards, tail[::-1])
        least = len(head) + len(tail)
        if len(heads) <= len(tails):
            found = (self.forwards[at] for at in heads)
            yield from (bit for name, bit in found if len(name) >= least and name.endswith(tail))
        else:
            back = (self.backwards[at] for at in tails)
            yield from (bit for name, bit in back if len(name) >= least and name[::-1].startswith(head))


def _range(names: Sequence[tuple[str, int]], head: str) -> range:
    first = bisect_left(names, (head, -1))
    # No name continues with a character after the last one of Unicode.
    return range(first, bisect_left(names, (head + chr(0x10FFFF), -1)) if head else len(names))


@dataclass(slots=True)
class PatternValidator:
    """A judge of the patterns that may be written for one role on one plane.

    INVARIANT: if a pattern is permitted, every narrower pattern is permitted too.
    """

    plane: str
    names: _Names
    granted: bytes
    taken_out: tuple[str, ...]
    ceilings: tuple[Blocks, ...]
    _verdicts: dict[str, bool] = field(default_factory=dict)

    def permits(self, head: str, tail: str) -> bool:
        """Return whether the pattern with this folded head and tail may be written."""
        text = f"{head}{STAR}{tail}"
        if text not in self._verdicts:
            self._verdicts[text] = self._adds_nothing(head, tail) and self._stays_inside(text)
        return self._verdicts[text]

    def _adds_nothing(self, head: str, tail: str) -> bool:
        looser = (form.text for form in loosened(parse_pattern(f"{head}{STAR}{tail}")))
        maybe = (bit for text in looser for bit in self.names.named(text))
        return all(self.granted[bit >> 3] >> (bit & 7) & 1 for bit in chain(self.names.matching(head, tail), maybe))

    def _stays_inside(self, text: str) -> bool:
        block = one_block(self.plane, [text])
        if self.taken_out and intersects([one_block(self.plane, self.taken_out)], [block]):
            return False
        return all(contains(ceiling, [block]) is None for ceiling in self.ceilings)


def _candidates(explicit: Mapping[int, str], validator: PatternValidator) -> Stands:
    """Return the broadest permitted patterns, each with the bits of the needed operations that it matches."""
    found: set[tuple[str, str]] = set()
    for text in explicit.values():
        segments = fold(text).split("/")
        end = len(segments)
        # Try a longer head only with a shorter tail: otherwise a broader pattern already covers it.
        for beginning in range(1, len(segments)):
            head = "/".join(segments[:beginning]) + "/"
            next_end = min(end - 1, len(segments) - 1 - beginning)
            if next_end < 0:
                break
            if validator.permits(head, _tail(segments, next_end)):
                end = next_end
                while end > 0 and validator.permits(head, _tail(segments, end - 1)):
                    end -= 1
                found.add((head, _tail(segments, end)))
    return {
        f"{head}{STAR}{tail}": frozenset(bit for bit in validator.names.matching(head, tail) if bit in explicit)
        for head, tail in sorted(found)
    }


def _tail(segments: Sequence[str], end: int) -> str:
    return "".join(f"/{segment}" for segment in segments[len(segments) - end :]) if end else ""


def fewest_strings(stands: Stands) -> list[str]:
    """Return the patterns that give the fewest strings, and among such choices the fewest patterns, sorted.

    An operation without a pattern is a string of its own. So a pattern pays off if it matches two operations that no
    other chosen pattern matches.
    """
    left = {pattern: set(bits) for pattern, bits in sorted(stands.items())}
    chosen: list[str] = []
    while True:
        left = _undominated({pattern: bits for pattern, bits in left.items() if len(bits) > 1})
        number: dict[int, int] = defaultdict(int)
        for bits in left.values():
            for bit in bits:
                number[bit] += 1
        forced = [pattern for pattern, bits in left.items() if sum(number[bit] == 1 for bit in bits) > 1]
        if not forced:
            break
        for pattern in forced:
            taken = left.pop(pattern)
            chosen.append(pattern)
            left = {other: bits - taken for other, bits in left.items()}
    return sorted([*chosen, *_solved(left)])


def _undominated(stands: Mapping[str, set[int]]) -> dict[str, set[int]]:
    """Return the patterns without those whose operations another pattern matches as well."""
    by_bit: dict[int, list[str]] = defaultdict(list)
    for pattern, bits in stands.items():
        for bit in bits:
            by_bit[bit].append(pattern)
    kept: dict[str, set[int]] = {}
    for pattern, bits in stands.items():
        rarest = min(bits, key=lambda bit: (len(by_bit[bit]), bit))
        others = (other for other in by_bit[rarest] if other != pattern)
        if not any(bits < stands[other] or (bits == stands[other] and other < pattern) for other in others):
            kept[pattern] = bits
    return kept


def _solved(stands: Mapping[str, set[int]]) -> list[str]:
    """Return the patterns that a 0/1 program chooses: fewest strings, fewest patterns, then the most segments."""
    if not stands:
        return []
    patterns = sorted(stands, key=lambda pattern: (-pattern.count("/"), pattern))
    bits = sorted(set().union(*stands.values()))
    # One unit of an earlier goal outweighs the largest possible sum of the later goals.
    one_pattern = len(patterns) ** 2 + 1
    one_string = len(patterns) * (one_pattern + len(patterns)) + 1
    rows = Rows()
    for number, bit in enumerate(bits):
        naming = (at for at, pattern in enumerate(patterns) if bit in stands[pattern])
        rows.add_sum((*naming, len(patterns) + number), 1.0, math.inf)
    costs = [float(one_string + one_pattern + rank) for rank in range(len(patterns))]
    outcome = solve(rows.program([*costs, *[float(one_string)] * len(bits)]))
    values = outcome.values or ()
    return [pattern for pattern, value in zip(patterns, values, strict=False) if value > 0]


def _draw_in(
    chosen: Iterable[str], stands: Stands, explicit: Mapping[int, str], names: _Names
) -> dict[str, frozenset[int]]:
    """Return each pattern narrowed to the operations that it has to match, in the catalogue's spelling.

    Operations that several patterns match stay with the pattern that matches the most.
    """
    drawn: dict[str, frozenset[int]] = {}
    covered: set[int] = set()
    waiting = sorted(chosen, key=lambda pattern: (len(stands[pattern]), pattern))
    for at, pattern in enumerate(waiting):
        later = set[int]().union(*(stands[other] for other in waiting[at + 1 :]))
        own = sorted(stands[pattern] - covered - later)
        if len(own) < 2:
            continue  # a string of its own is as short, and leaves nothing open
        narrow = _narrowest(pattern, [explicit[bit].split("/") for bit in own])
        head, _, tail = fold(narrow).partition(STAR)
        drawn[narrow] = frozenset(bit for bit in names.matching(head, tail) if bit in explicit)
        covered |= drawn[narrow]
    return drawn


def _narrowest(pattern: str, texts: Sequence[Sequence[str]]) -> str:
    """Return the narrowest pattern inside another pattern that matches the given operations (lists of segments)."""
    shortest = min(len(text) for text in texts)
    # INVARIANT: neither its head nor its tail is shorter than that of the other pattern, which is known to be allowed.
    least_end = len(pattern.partition(STAR)[2].split("/")) - 1
    head = _common(texts, shortest - 1 - least_end)
    tail = _common([text[::-1] for text in texts], shortest - 1 - head)
    first = texts[0]
    return "/".join([*first[:head], STAR, *first[len(first) - tail :]])


def _common(texts: Sequence[Sequence[str]], most: int) -> int:
    number = 0
    while number < most and len({fold(text[number]) for text in texts}) == 1:
        number += 1
    return number


def one_block(plane: str, texts: Iterable[str], taken_out: Iterable[str] = ()) -> PermissionBlock:
    """Return a permission block of one plane."""
    allowed, nots = tuple(texts), tuple(taken_out)
    if plane == "control":
        return PermissionBlock(actions=allowed, not_actions=nots)
    return PermissionBlock(data_actions=allowed, not_data_actions=nots)
