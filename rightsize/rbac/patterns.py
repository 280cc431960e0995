"""One string of a role: text in which every `*` stands for any characters, none included.

A pattern is a language. Two facts make most questions about them a single match:

* **The star as a fresh letter.** The text of a pattern, read as an operation, holds the letter `*`, which no other
  pattern asks for: between its stars, a pattern has no star. So `other` matches `pattern.text` exactly when `other`
  contains the whole of `pattern`, and a union of patterns contains it exactly when one of them does alone.
* **Two patterns with a star each overlap** exactly when one's beginning begins the other's and one's end ends the
  other's: the stars take in the rest.

Azure allows one `*` a string, writes it as a whole segment, and lets it span several (Azure docs, "Azure custom
roles"). More of them are understood here, never written. Text compares folded (`rbac.text`).

Nothing says whether `X/*/y` also matches `X/y`. Azure's own built-in roles rest on it: Managed Identity Operator has
`userAssignedIdentities/*/assign/action`, and the operation is `userAssignedIdentities/assign/action`. A `Pattern` is
the strict language; `loosened` has the strings that the generous one adds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from rightsize.rbac.text import fold

STAR = "*"
_BETWEEN = re.compile(r"(?=/\*/)")
_MOST_LOOSENED = 8
"""Stars of one string whose forms are listed one by one: 255 forms. Azure accepts one star."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A string of a role.

    Attributes:
        text: Folded, runs of stars made one: the identity of the language.
        spelt: The same in the role's spelling.
        pieces: `text` split at its stars; one piece is a literal.
    """

    text: str
    spelt: str
    pieces: tuple[str, ...]

    @property
    def is_literal(self) -> bool:
        """Whether it has no star."""
        return len(self.pieces) == 1

    @property
    def is_simple(self) -> bool:
        """Whether it has at most one star, as everything that Azure accepts."""
        return len(self.pieces) <= 2

    def matches(self, text: str) -> bool:
        """Return whether a folded operation is in the language. For a pattern's text: whether all of it is."""
        pieces = self.pieces
        if len(pieces) == 1:
            return text == pieces[0]
        first, last = pieces[0], pieces[-1]
        if not (text.startswith(first) and text.endswith(last)):
            return False
        position, end = len(first), len(text) - len(last)
        # The leftmost place of each middle piece leaves the most room for the next, so no other has to be tried.
        for piece in pieces[1:-1]:
            position = text.find(piece, position, end)
            if position < 0:
                return False
            position += len(piece)
        return position <= end

    def overlaps(self, other: Pattern) -> bool:
        """Return whether some operation is in both languages."""
        if len(self.pieces) == 1:
            return other.matches(self.text)
        if len(other.pieces) == 1:
            return self.matches(other.text)
        return _one_begins_other(self.pieces[0], other.pieces[0]) and _one_ends_other(self.pieces[-1], other.pieces[-1])


@lru_cache(maxsize=65_536)
def parse_pattern(text: str) -> Pattern:
    """Return the pattern that a string of a role means."""
    spelt = re.sub(r"\*{2,}", STAR, text.strip(" "))
    folded = fold(spelt)
    return Pattern(folded, spelt, tuple(folded.split(STAR)))


@lru_cache(maxsize=65_536)
def loosened(pattern: Pattern) -> tuple[Pattern, ...]:
    """Return the patterns that `pattern` matches beside its own language where `/*/` may stand for `/`.

    Each `/*/` of the string may stand for `/` by itself. Of a string with more than eight, one pattern is returned
    that matches all the forms and more: its beginning up to the first `/*/`, and its end from the last.
    """
    spelt = pattern.spelt
    places = [place.start() for place in _BETWEEN.finditer(spelt)]
    if not places:
        return ()
    if len(places) > _MOST_LOOSENED:
        return (parse_pattern(f"{spelt[: places[0] + 1]}{STAR}{spelt[places[-1] + 3 :]}"),)
    found = {pattern.text: pattern}
    waiting = [pattern.spelt]
    for text in waiting:
        for place in _BETWEEN.finditer(text):
            form = parse_pattern(text[: place.start()] + text[place.start() + 2 :])
            if form.text not in found:
                found[form.text] = form
                waiting.append(form.spelt)
    return tuple(found.values())[1:]


def intersection(left: Pattern, right: Pattern) -> list[Pattern]:
    """Return patterns whose union is what both match; both must be simple.

    Beside `ab*bc`, the languages `ab*` and `*bc` share `abc`: the longer beginning and the longer end overlap in it.
    """
    if left.is_literal:
        return [left] if right.matches(left.text) else []
    if right.is_literal:
        return [right] if left.matches(right.text) else []
    if not left.overlaps(right):
        return []
    spelt = [*zip(left.spelt.split(STAR), right.spelt.split(STAR), strict=True)]
    head, tail = (max(pair, key=len) for pair in spelt)
    folded_head, folded_tail = (max(pair, key=len) for pair in zip(left.pieces, right.pieces, strict=True))
    shorter = (
        parse_pattern(head + tail[width:])
        for width in range(min(len(head), len(tail)), 0, -1)
        if folded_head[-width:] == folded_tail[:width]
    )
    return [
        parse_pattern(f"{head}{STAR}{tail}"),
        *(literal for literal in shorter if left.matches(literal.text) and right.matches(literal.text)),
    ]


def _one_begins_other(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def _one_ends_other(one: str, other: str) -> bool:
    return one.endswith(other) or other.endswith(one)
