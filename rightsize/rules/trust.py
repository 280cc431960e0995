"""Say which outside workload a federated credential trusts and how wide that is, and match its claim expressions.

The rows of `trust_subjects.csv` are tried in order; each has a pattern of the issuer and of the subject, and a source.

An expression of a flexible credential compares claims by `eq` or `matches`, joined by `and`; in `matches`, `?` stands
for one character and `*` for any number. Comparison is case-sensitive.
Source: Microsoft Learn, "Flexible federated identity credentials (preview)".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from rightsize.rules.tables import rows_of

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


EXACT = "exact"
"""The breadth of a subject that is one workload."""

_HIDDEN = "a flexible expression that the export does not show"


@dataclass(frozen=True, slots=True)
class TrustedSubject:
    """What a credential trusts.

    Attributes:
        platform: The service that issues the tokens, as `GitHub Actions`; `other` where it is not known.
        means: What the subject is, in plain words.
        breadth: `exact`, or what the subject takes in: `pull_request`, `branches`, `repository`, `organisation` and
            others; `unknown` where the rules do not say.
        risk: low, medium or high.
        why: Why it is a risk; empty where it is none.
    """

    platform: str
    means: str
    breadth: str
    risk: str
    why: str


@cache
def recognise_subject(issuer: str, subject: str | None, *, is_expression: bool) -> TrustedSubject:
    """Return what an issuer and a subject are; for an expression the pattern of its subject counts.

    Args:
        issuer: The issuer.
        subject: The subject or the whole expression; None where the export does not show it.
        is_expression: Whether it is an expression.
    """
    if subject is None:
        return TrustedSubject(_platform_of(issuer), _HIDDEN, "unknown", "medium", "nobody can review what is not shown")
    text, is_wide = subject, False
    if is_expression:
        comparisons = parse_expression(subject)
        compared = subject_of(comparisons) if comparisons else None
        if comparisons and compared is None:
            said = " and ".join(f"{one.claim} {one.text}" for one in comparisons)
            return TrustedSubject(
                _platform_of(issuer), f"any run with {said}", "unknown", "medium", "the subject is not compared"
            )
        text = compared.text if compared else subject
        is_wide = compared is None or not compared.is_exact
    for row in rows_of("trust_subjects"):
        if (row["form"] == "expression") != is_wide or not re.fullmatch(row["issuer"], issuer.rstrip("/")):
            continue
        found = re.fullmatch(row["subject"], text, re.DOTALL)
        if found:
            # The values are not read as placeholders again.
            parts = re.split(r"\{(\w+)\}", row["means"])
            means = "".join((found[part] or "") if place % 2 else part for place, part in enumerate(parts))
            return TrustedSubject(row["platform"], means, row["breadth"], row["risk"], row["why"])
    return TrustedSubject("other", "a subject that no rule knows", "unknown", "medium", "no rule knows it")


def _platform_of(issuer: str) -> str:
    """Return the platform whose rows name the issuer's host, else `other`."""
    named = (row for row in rows_of("trust_subjects") if re.match("https://[a-z]", row["issuer"]))
    return next((row["platform"] for row in named if re.fullmatch(row["issuer"], issuer.rstrip("/"))), "other")
