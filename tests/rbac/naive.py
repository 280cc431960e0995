"""Oracles that anyone can read: permissions by regular expressions, and by textbook automata.

They share no code with `rightsize.rbac`, and are slow on purpose. A `/*/` is read strictly, or generously: then it may
stand for `/`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rightsize.model.nouns import PermissionBlock

Meaning = Callable[[str], bool]
"""For a string: whether its `/*/` may stand for `/`, the same wherever it stands."""

OTHER = "\N{SNOWMAN}"
"""A letter that no pattern of a test names: it stands for all the letters that there are."""


def matches(pattern: str, text: str, *, generous: bool = False) -> bool:
    """Return whether a wildcard pattern matches, by `re`."""
    expression = ".*".join(re.escape(piece) for piece in pattern.strip(" ").lower().split("*"))
    if generous:
        expression = re.sub(r"(?<=/)(?:\.\*)+/", "(?:.*/)?", expression)
    return re.fullmatch(expression, text.lower(), re.DOTALL) is not None


def grants(blocks: Sequence[PermissionBlock], text: str, plane: str, *, most: bool = True) -> bool:
    """Return whether some block grants, its condition held to be true: by some meaning of the strings, or by all."""
    answers = (any(grants_by(block, text, plane, meaning) for block in blocks) for meaning in meanings(blocks, text))
    return any(answers) if most else all(answers)


def grants_by(block: PermissionBlock, text: str, plane: str, meaning: Meaning) -> bool:
    """Return whether a block grants by one meaning of all strings, its condition held to be true."""
    allowed, nots = strings(block, plane)
    return any(matches(p, text, generous=meaning(p)) for p in allowed) and not any(
        matches(p, text, generous=meaning(p)) for p in nots
    )


def strings(block: PermissionBlock, plane: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what a block allows and excludes on a plane."""
    if plane == "control":
        return block.actions, block.not_actions
    return block.data_actions, block.not_data_actions


def usable(big: Iterable[PermissionBlock], condition: str | None) -> list[PermissionBlock]:
    """Return the blocks of the big side that count against a small block with that condition."""
    return [block for block in big if block.condition is None or block.condition == condition]


def all_strings(alphabet: str, longest: int) -> Iterator[str]:
    """Yield every string over an alphabet, the empty one first."""
    for length in range(longest + 1):
        for letters in itertools.product(alphabet, repeat=length):
            yield "".join(letters)


@dataclass(frozen=True)
class Dfa:
    """A complete deterministic automaton over a fixed alphabet; state 0 is where it starts."""

    steps: tuple[dict[str, int], ...]
    accepting: frozenset[int]

    def complement(self) -> Dfa:
        return Dfa(self.steps, frozenset(range(len(self.steps))) - self.accepting)

    def meet(self, other: Dfa) -> Dfa:
        """Return the product that accepts what both accept."""
        numbers = {(0, 0): 0}
        waiting, steps = [(0, 0)], list[dict[str, int]]()
        for one, two in waiting:
            row = {}
            for letter, following in self.steps[one].items():
                pair = (following, other.steps[two][letter])
                if pair not in numbers:
                    numbers[pair] = len(numbers)
                    waiting.append(pair)
                row[letter] = numbers[pair]
            steps.append(row)
        accepting = (n for (one, two), n in numbers.items() if one in self.accepting and two in other.accepting)
        return Dfa(tuple(steps), frozenset(accepting))

    def join(self, other: Dfa) -> Dfa:
        return self.complement().meet(other.complement()).complement()

    def is_empty(self) -> bool:
        """Return whether it accepts nothing; every state of these automata can be reached."""
        return not self.accepting


def dfa_of(pattern: str, alphabet: str) -> Dfa:
    """Return the automaton of a pattern by the subset construction."""
    text = pattern.strip(" ").lower()

    def closure(positions: frozenset[int]) -> frozenset[int]:
        found = set(positions)
        for position in sorted(positions):
            while position < len(text) and text[position] == "*":
                position += 1  # noqa: PLW2901  a star may stand for nothing
                found.add(position)
        return frozenset(found)

    start = closure(frozenset([0]))
    numbers, waiting, steps = {start: 0}, [start], list[dict[str, int]]()
    for subset in waiting:
        row = {}
        for letter in alphabet:
            moved = {p if text[p] == "*" else p + 1 for p in subset if p < len(text) and text[p] in ("*", letter)}
            following = closure(frozenset(moved))
            if following not in numbers:
                numbers[following] = len(numbers)
                waiting.append(following)
            row[letter] = numbers[following]
        steps.append(row)
    return Dfa(tuple(steps), frozenset(n for subset, n in numbers.items() if len(text) in subset))


def nothing(alphabet: str) -> Dfa:
    """Return the automaton of the empty language."""
    return Dfa((dict.fromkeys(alphabet, 0),), frozenset())


def looser(pattern: str) -> set[str]:
    """Return the strings that come of leaving out the `*/` of some `/*/`, all of them kept included."""
    text = _named(pattern)
    stars = [at + 1 for at in range(len(text)) if text[at : at + 3] == "/*/"]
    chosen = itertools.chain.from_iterable(itertools.combinations(stars, n) for n in range(len(stars) + 1))
    return {
        "".join(letter for at, letter in enumerate(text) if at not in gone and at - 1 not in gone) for gone in chosen
    }


def language(blocks: Sequence[PermissionBlock], plane: str, alphabet: str, meaning: Meaning) -> Dfa:
    """Return the automaton of what blocks grant."""
    whole = nothing(alphabet)
    for block in blocks:
        granted, excluded = (_union(texts, alphabet, meaning) for texts in strings(block, plane))
        whole = whole.join(granted.meet(excluded.complement()))
    return whole


def _union(texts: Iterable[str], alphabet: str, meaning: Meaning) -> Dfa:
    found = nothing(alphabet)
    for text in texts:
        for form in looser(text) if meaning(text) else [text]:
            found = found.join(dfa_of(form, alphabet))
    return found


def contains(big: Sequence[PermissionBlock], small: Sequence[PermissionBlock], alphabet: str) -> bool:
    """Return whether big grants all that small does, whatever each string means, by automata."""
    return all(
        language([block], plane, alphabet, meaning)
        .meet(language(usable(big, block.condition), plane, alphabet, meaning).complement())
        .is_empty()
        for meaning in meanings((*big, *small))
        for plane in ("control", "data")
        for block in small
    )


def meanings(blocks: Iterable[PermissionBlock], operation: str | None = None) -> list[Meaning]:
    """Return every way in which the strings of blocks can be meant; a string means the same wherever it stands.

    With an operation, only the strings count that match it by one of their meanings.
    """
    open_ones = sorted(
        {
            _named(text)
            for block in blocks
            for plane in ("control", "data")
            for texts in strings(block, plane)
            for text in texts
            if len(looser(text)) > 1
            and (operation is None or matches(text, operation, generous=True) > matches(text, operation))
        }
    )
    choices = itertools.product((False, True), repeat=len(open_ones))
    return [_meaning(dict(zip(open_ones, choice, strict=True))) for choice in choices]


def _meaning(meant: Mapping[str, bool]) -> Meaning:
    return lambda text: meant.get(_named(text), False)


def _named(text: str) -> str:
    return re.sub(r"\*+", "*", text.strip(" ").lower())
