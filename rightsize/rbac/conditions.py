"""Evaluate a role assignment condition for an operation without a request: it holds, cannot hold, or depends on it.

The language is that of Azure role assignment conditions (Azure docs, "Azure role assignment condition format and
syntax"): `AND`/`&&`, `OR`/`||`, `NOT`/`!`, parentheses, and atoms. The usual condition restricts some actions only:

    ((!(ActionMatches{'A'})) OR (@Request[…] ForAnyOfAnyValues:GuidEquals{…}))

The operation decides the atom `ActionMatches`. All other atoms (attributes of principal, request, resource and
environment, `SubOperationMatches`) depend on the request. With these three values the connectives follow Kleene's
logic. So the condition above holds for any operation except `A`: it does not target it. A condition that cannot be
parsed depends on the request.

A pattern with `/*/` is read in two ways here, too (see `rbac.permissions`). `MOST` reads towards *holds*: generously
where a test has to match, strictly below a `NOT`, where it must not match. `LEAST` reads the opposite way.

Where the attributes of a request are known, an equality of one of them with a text, a GUID or any of a set of these
(`ForAnyOfAnyValues:`) is decided as well. An attribute that the request does not name still depends on the request.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from rightsize.model.nouns import PermissionBlock
from rightsize.model.text import Pattern, fold, loosened, parse_pattern
from rightsize.rbac.algebra import intersects
from rightsize.rbac.permissions import PatternSet, Reading

Truth = bool | None
"""True: it holds. False: it cannot hold. None: it depends on the request."""

Attributes = Mapping[str, str]
"""The known values of a request by folded attribute with its source: `@request[microsoft.authorization/…:…]`."""

_Expression = Callable[[str, Attributes, bool], Truth]
"""A function of the operation, the known attributes, and whether `/*/` may stand for `/` where a test has to match."""

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<sign>&&|\|\||[()!])
    | (?P<action>ActionMatches\s*\{\s*(?P<patterns>'[^']*'(?:\s*,\s*'[^']*')*)\s*\})
    | (?P<set>\{(?:'[^']*'|[^'{}])*\})
    | (?P<attribute>\[[^\[\]]*\])
    | (?P<text>'[^']*')
    | (?P<word>[^\s&|()!{}\[\]']+)
    )""",
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_CONNECTIVES = {"&&": "and", "||": "or", "!": "not", "and": "and", "or": "or", "not": "not", "(": "(", ")": ")"}
_DEEPEST = 64
_NOTHING: Attributes = {}
_NO_OPERATION = "\0"
"""A text that is no operation: a test that it passes may pass for any operation."""
_EQUALITIES: Mapping[str, Callable[[str], str]] = {
    "guidequals": fold,
    "stringequalsignorecase": fold,
    "stringequals": lambda text: text,
}
"""The functions that normalise both sides of an equality, by operator."""
_ANY_OF = "foranyofanyvalues:"


class _UnreadableError(Exception):
    """The error for a text that is not a condition which this module can parse."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a comparison in its own spelling: a word, an attribute, a text or a set."""

    text: str


def truth_of(
    condition: str | None, operation: str, attributes: Attributes = _NOTHING, *, reading: Reading = Reading.MOST
) -> Truth:
    """Return whether a condition holds for a folded operation; without a condition it is True.

    Args:
        condition: The condition.
        operation: The folded operation.
        attributes: The known attributes of the request.
        reading: The reading of `/*/`.
    """
    text = (condition or "").strip()
    return _read(text)(operation, attributes, reading is Reading.MOST) if text else True


@lru_cache(maxsize=4_096)
def _read(text: str) -> _Expression:
    try:
        return _Reader(text).read()
    except _UnreadableError:
        return _depends


def _depends(_operation: str, _attributes: Attributes, _generous: bool) -> Truth:
    return None


class _Reader:
    """A parser by recursive descent: `or` binds weakest, `not` strongest."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._at = 0
        self._depth = 0

    def read(self) -> _Expression:
        expression = self._either()
        if self._at < len(self._tokens):
            raise _UnreadableError
        return expression

    def _either(self) -> _Expression:
        terms = [self._both()]
        while self._take("or"):
            terms.append(self._both())
        return _join(terms, decisive=True)

    def _both(self) -> _Expression:
        terms = [self._one()]
        while self._take("and"):
            terms.append(self._one())
        return _join(terms, decisive=False)

    def _one(self) -> _Expression:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _UnreadableError
        if self._take("not"):
            expression = _negate(self._one())
        elif self._take("("):
            expression = self._either()
            if not self._take(")"):
                raise _UnreadableError
        else:
            expression = self._atom()
        self._depth -= 1
        return expression

    def _atom(self) -> _Expression:
        """Read an action test, or a comparison: a run of words, attributes, texts and sets."""
        begin = self._at
        while self._at < len(self._tokens) and not isinstance(self._tokens[self._at], str):
            self._at += 1
        atom = self._tokens[begin : self._at]
        if not atom:
            raise _UnreadableError
        parts = [part.text for part in atom if isinstance(part, _Part)]
        if len(parts) == len(atom):
            return _comparison(parts)
        if len(atom) > 1:
            return _depends
        patterns: list[Pattern] = atom[0]  # type: ignore[assignment]  # neither a connective nor a part
        return _action_test(patterns)

    def _take(self, connective: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at] == connective:
            self._at += 1
            return True
        return False


def _action_test(patterns: list[Pattern]) -> _Expression:
    strict = PatternSet(patterns)
    generous = PatternSet([*patterns, *(form for pattern in patterns for form in loosened(pattern))])
    return lambda operation, _, is_generous: (generous if is_generous else strict).matches(operation)


def _comparison(parts: list[str]) -> _Expression:
    """Read `@Source[attribute] operator value`; any other comparison than an equality depends on the request."""
    if len(parts) != 4 or not (parts[0].startswith("@") and parts[1].startswith("[")):
        return _depends
    operator = parts[2].lower()
    reading = _EQUALITIES.get(operator.removeprefix(_ANY_OF))
    if reading is None:
        return _depends
    attribute = fold(parts[0] + parts[1])
    values = frozenset(reading(value) for value in _values(parts[3]))

    def compared(_operation: str, attributes: Attributes, _generous: bool) -> Truth:
        value = attributes.get(attribute)
        return None if value is None else reading(value) in values

    return compared


def _values(text: str) -> list[str]:
    """Return the values of a set, or a single one, without quotes."""
    if not text.startswith("{"):
        return [text.strip("'")]
    return [
        quoted or bare.strip() for quoted, bare in re.findall(r"'([^']*)'|([^,'{}]+)", text) if quoted or bare.strip()
    ]


def _tokens(text: str) -> list[str | list[Pattern] | _Part]:
    """Return connectives as strings, action tests as lists of patterns, and all other tokens as `_Part`."""
    found: list[str | list[Pattern] | _Part] = []
    position = 0
    if "\\" in text:  # the escaping of quotes is not documented, so the end of a text would be a guess
        raise _UnreadableError
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _UnreadableError
        position = match.end()
        plain = (match["sign"] or match["word"] or "").lower()
        if match["action"]:
            found.append([parse_pattern(quoted) for quoted in re.findall(r"'([^']*)'", match["patterns"])])
        else:
            found.append(_CONNECTIVES.get(plain) or _Part(match[0].strip()))
    return found


def _join(terms: list[_Expression], *, decisive: bool) -> _Expression:
    """Return the `or` of terms if `decisive` is True, which one true term decides, else their `and`."""
    if len(terms) == 1:
        return terms[0]

    def joined(operation: str, attributes: Attributes, generous: bool) -> Truth:
        truths = {term(operation, attributes, generous) for term in terms}
        if decisive in truths:
            return decisive
        return None if None in truths else not decisive

    return joined


def _negate(expression: _Expression) -> _Expression:
    def negated(operation: str, attributes: Attributes, generous: bool) -> Truth:
        truth = expression(operation, attributes, not generous)
        return None if truth is None else not truth

    return negated


@lru_cache(maxsize=4_096)
def restricted(condition: str | None) -> tuple[str, ...] | None:
    """Return the patterns of the only operations that a condition may restrict; None if it may restrict any.

    An operation decides a condition by its action tests alone. So a condition that holds where every test is false
    holds for all operations that no pattern of a test matches.
    """
    if truth_of(condition, _NO_OPERATION, reading=Reading.LEAST) is not True:
        return None
    tests = (token for token in _tokens((condition or "").strip()) if isinstance(token, list))
    patterns = {pattern for test in tests for pattern in test}
    if any(pattern.matches(_NO_OPERATION) for pattern in patterns):
        return None
    return tuple(sorted(pattern.text for pattern in patterns))


def may_restrict(condition: str | None, blocks: Sequence[PermissionBlock]) -> bool:
    """Return whether a condition may restrict any operation that blocks grant, by any reading."""
    patterns = restricted(condition)
    return patterns is None or intersects(blocks, [PermissionBlock(actions=patterns, data_actions=patterns)])


def unrestricted(blocks: Sequence[PermissionBlock], condition: str | None) -> tuple[PermissionBlock, ...]:
    """Return the part of a role that a condition of its assignment never restricts, for all strings."""
    patterns = restricted(condition)
    if patterns is None:
        return ()
    return tuple(
        replace(
            block,
            not_actions=(*block.not_actions, *patterns),
            not_data_actions=(*block.not_data_actions, *patterns),
        )
        for block in blocks
    )


def targets(condition: str | None, operation: str) -> bool:
    """Return whether a condition may restrict an operation: by some reading it does not always hold."""
    return truth_of(condition, fold(operation), reading=Reading.LEAST) is not True
