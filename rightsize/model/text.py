"""Fold text for comparison, and match and compare the strings of roles, in which `*` stands for any characters or none.

Ids, operations, patterns and scopes are compared by `fold`: Azure compares them without regard to case. Only ASCII
letters are folded: Azure keeps Unicode pairs such as the Kelvin sign and `k` apart, and a fold that joined them would
treat two permissions as one. The SQL equivalent is `translate(trim(x), 'ABC…Z', 'abc…z')`.

A pattern is a language: the set of operations that it matches. Two facts make most questions a single match:

* **The star as a fresh letter.** The text of a pattern, read as an operation, contains the letter `*`, which no other
  pattern names: between its stars, a pattern has no star. So `other` matches `pattern.text` exactly if `other`
  contains the whole of `pattern`, and a union of patterns contains it exactly if one of them does alone.
* **Two patterns with a star each overlap** exactly if the start of one begins with the start of the other, and the end
  of one ends with the end of the other: the stars match the rest.

Azure allows one `*` in a string, writes it as a whole segment, and lets it span several (Azure docs, "Azure custom
roles"). Strings with more stars are understood here, and never written.

No source says whether `X/*/y` also matches `X/y`. Azure's own built-in roles need that: Managed Identity Operator has
`userAssignedIdentities/*/assign/action`, and the operation is `userAssignedIdentities/assign/action`. A `Pattern` is
the strict language; `loosened` returns the strings that the generous language adds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NewType

Folded = NewType("Folded", str)
"""A folded id, scope, operation or pattern, as `fold` returns it.

Rows are folded where they enter a stage. From there on mypy tells a folded text, as the key of a mapping or as an
argument, from one that has the spelling of its source.
"""

_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}

GUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
"""The form of a folded GUID; the expression means the same in DuckDB."""
GUID_FORM = re.compile(GUID)

OPERATION_FORM = r"^[^/\s]+[.][^/\s]+/\S+$"
"""The form of an operation: a provider, which has a dot in its name, a slash, and the rest, without spaces.

A display name of the Activity Log does not have it. The expression means the same in DuckDB and in polars.
"""

READ = "/read"
"""The end of each operation that only reads, and of patterns that match such operations alone."""

OLD_PLAN = "the loaded data has changed since the plan was made"
"""What is said of steps whose plan is of other content than the store has."""


def fold(text: str) -> Folded:
    """Return `text` without surrounding spaces and with A to Z in lower case; every other character stays.

    Two built-in roles have `Microsoft.Network/virtualNetworks/read ` with a space at the end, and it works. Tabs, line
    ends and slashes at an end are kept, since no documentation says that Azure drops them.
    """
    # On pure ASCII, str.lower is the same mapping and much faster.
    return Folded(text.strip(" ").lower() if text.isascii() else text.strip(" ").translate(_ASCII_LOWER))


_fold_again = lru_cache(maxsize=4096)(fold)
_LONG = 100
"""A key with more characters is no name of a field, and is not kept."""


def fold_key(key: str) -> Folded:
    """Return what `fold` does, for the keys of records, which thousands of files share."""
    return _fold_again(key) if len(key) <= _LONG else fold(key)


def is_read(operation: str) -> bool:
    """Return whether an operation of Azure, or a pattern of operations, allows nothing but reads.

    On the data plane a read is access to data, so callers ask for the control plane alone where they mean what shows
    no content.
    """
    return fold(operation).endswith(READ)


_DIRECTORY_READS = ("read", "limitedread", "restrictedread")


def is_directory_read(action: str) -> bool:
    """Return whether an action of a directory role only reads."""
    return fold(action).rsplit("/", 1)[-1] in _DIRECTORY_READS


STAR = "*"
_BETWEEN = re.compile(r"(?=/\*/)")
_MOST_LOOSENED = 8
"""The most `/*/` in a string whose looser forms are listed one by one: 255 forms. Azure accepts one star."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A string of a role.

    Attributes:
        text: The folded string with runs of stars as one star; it identifies the language.
        spelt: The same string in the role's spelling.
        pieces: `text` split at its stars; one piece is a literal.
    """

    text: str
    spelt: str
    pieces: tuple[str, ...]

    @property
    def is_literal(self) -> bool:
        """True if it has no star."""
        return len(self.pieces) == 1

    @property
    def is_simple(self) -> bool:
        """True if it has at most one star, as all strings that Azure accepts."""
        return len(self.pieces) <= 2

    def matches(self, text: str) -> bool:
        """Return whether the pattern matches a folded operation, or all of another pattern, given by its text."""
        pieces = self.pieces
        if len(pieces) == 1:
            return text == pieces[0]
        first, last = pieces[0], pieces[-1]
        if not (text.startswith(first) and text.endswith(last)):
            return False
        position, end = len(first), len(text) - len(last)
        # The leftmost place of each middle piece leaves most room for the next ones, so no other place has to be tried.
        for piece in pieces[1:-1]:
            position = text.find(piece, position, end)
            if position < 0:
                return False
            position += len(piece)
        return position <= end

    def overlaps(self, other: Pattern) -> bool:
        """Return whether both patterns match a common operation."""
        if len(self.pieces) == 1:
            return other.matches(self.text)
        if len(other.pieces) == 1:
            return self.matches(other.text)
        return _one_begins_other(self.pieces[0], other.pieces[0]) and _one_ends_other(self.pieces[-1], other.pieces[-1])


@lru_cache(maxsize=65_536)
def parse_pattern(text: str) -> Pattern:
    """Return the pattern of a string of a role."""
    spelt = re.sub(r"\*{2,}", STAR, text.strip(" "))
    folded = fold(spelt)
    return Pattern(folded, spelt, tuple(folded.split(STAR)))


@lru_cache(maxsize=65_536)
def loosened(pattern: Pattern) -> tuple[Pattern, ...]:
    """Return the patterns that the generous reading, where `/*/` may stand for `/`, adds to a pattern.

    Each `/*/` of the string may stand for `/` independently. For a string with more than eight of them, one pattern is
    returned that matches all the forms and more: the start up to the first `/*/`, a star, and the end from the last.
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
    """Return patterns whose union is the intersection of both patterns; both must be simple.

    The languages `ab*` and `*bc` share `ab*bc`, and also `abc`, in which the longer start and the longer end overlap.
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
