"""Parse, match and write the expressions by which a flexible federated credential matches the claims of a token.

An expression compares claims by `eq` or `matches`, joined by `and`; in `matches`, `?` stands for one character and `*`
for any number. Comparison is case-sensitive.
Source: Microsoft Learn, "Flexible federated identity credentials (preview)".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

MAX_EXPRESSION = 128
"""The most characters of an expression, by measurements in FACTS and public repositories; Graph refuses longer ones."""

_WORD = "sub"
_ONE = re.compile(r"\s*claims\['(?P<claim>[A-Za-z0-9_]+)'\] (?P<operator>eq|matches) '(?P<text>[^']*)'\s*")


@dataclass(frozen=True, slots=True)
class Comparison:
    """One comparison: the claim, `eq` or `matches`, and the text."""

    claim: str
    operator: str
    text: str

    @property
    def is_exact(self) -> bool:
        """Return whether only one value of the claim fits."""
        return self.operator == "eq" or not set("*?") & set(self.text)

    def fits(self, value: str) -> bool:
        """Return whether a value of the claim fits."""
        return value == self.text if self.operator == "eq" else fits_wildcards(self.text, value)

    def __str__(self) -> str:
        """Return it as it stands in an expression."""
        return f"claims['{self.claim}'] {self.operator} '{self.text}'"


def parse_expression(text: str) -> tuple[Comparison, ...] | None:
    """Return the comparisons that all have to fit; None for an expression that is not understood."""
    found: list[Comparison] = []
    place = 0
    while True:
        one = _ONE.match(text, place)
        if one is None:
            return None
        found.append(Comparison(one["claim"], one["operator"], one["text"]))
        place = one.end()
        if place == len(text):
            return tuple(found)
        if not text.startswith("and ", place):
            return None
        place += len("and")


def subject_of(comparisons: tuple[Comparison, ...]) -> Comparison | None:
    """Return the comparison of the subject; None where an expression does not compare it."""
    return next((one for one in comparisons if one.claim == _WORD), None)


def admits(comparisons: tuple[Comparison, ...], claims: Mapping[str, str | None]) -> bool | None:
    """Return whether a token with these claims fits; None where a compared claim is not known."""
    answers = [None if (value := claims.get(one.claim)) is None else one.fits(value) for one in comparisons]
    if False in answers:
        return False
    return None if None in answers else True


def narrowed(comparisons: tuple[Comparison, ...], subject: str) -> str | None:
    """Return the expression that also asks for exactly this subject; None where none can be written.

    The text of a comparison cannot have a single quote, and an expression has a most length.
    """
    others = [one for one in comparisons if one.claim != _WORD]
    text = " and ".join(str(one) for one in (Comparison(_WORD, "eq", subject), *others))
    return None if "'" in subject or len(text) > MAX_EXPRESSION else text


def fits_wildcards(pattern: str, value: str) -> bool:
    """Return whether a value fits a pattern, in time of the product of their lengths."""
    at, star, resume, place = 0, -1, 0, 0
    while place < len(value):
        if at < len(pattern) and pattern[at] == "*":
            star, resume, at = at, place, at + 1
        elif at < len(pattern) and pattern[at] in ("?", value[place]):
            at, place = at + 1, place + 1
        elif star >= 0:
            resume += 1
            at, place = star + 1, resume
        else:
            return False
    return all(letter == "*" for letter in pattern[at:])
