"""What a condition says of an operation before any request is seen: it holds, it cannot hold, or it depends.

The language is that of Azure role assignment conditions (Azure docs, "Azure role assignment condition format and
syntax"): `AND`/`&&`, `OR`/`||`, `NOT`/`!`, parentheses, and atoms. The usual condition restricts some actions only:

    ((!(ActionMatches{'A'})) OR (@Request[…] ForAnyOfAnyValues:GuidEquals{…}))

Of the atoms, `ActionMatches` is decided by the operation; all others (attributes of principal, request, resource and
environment, `SubOperationMatches`) depend on the request. With these three values the connectives follow Kleene's
logic, so for any operation but `A` the condition above holds: it does not target it. What cannot be read depends.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from rightsize.rbac.patterns import Pattern, parse_pattern
from rightsize.rbac.text import fold

Truth = bool | None
"""True: it holds. False: it cannot hold. None: it depends on the request."""

_Expression = Callable[[str], Truth]

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


class _UnreadableError(Exception):
    """The text is not a condition that this module understands."""


def truth_of(condition: str | None, operation: str) -> Truth:
    """Return what a condition says of a folded operation; no condition always holds."""
    text = (condition or "").strip()
    return _read(text)(operation) if text else True


@lru_cache(maxsize=4_096)
def _read(text: str) -> _Expression:
    try:
        return _Reader(text).read()
    except _UnreadableError:
        return _depends


def _depends(_operation: str) -> Truth:
    return None


class _Reader:
    """Reads by recursive descent: `or` binds weakest, `not` strongest."""

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
        if len(atom) > 1 or atom[0] is None:
            return _depends
        patterns: list[Pattern] = atom[0]  # type: ignore[assignment]  # strings ended the run above
        return lambda operation: any(pattern.matches(operation) for pattern in patterns)

    def _take(self, connective: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at] == connective:
            self._at += 1
            return True
        return False


def _tokens(text: str) -> list[str | list[Pattern] | None]:
    """Return connectives as strings, action tests as their patterns, anything else as None."""
    found: list[str | list[Pattern] | None] = []
    position = 0
    if "\\" in text:  # how quotes are escaped is not documented: better not to tell where a text ends
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
            found.append(_CONNECTIVES.get(plain))
    return found


def _join(terms: list[_Expression], *, decisive: bool) -> _Expression:
    """Return the `or` of terms, which one true term decides, or the `and`, which one false term does."""
    if len(terms) == 1:
        return terms[0]

    def joined(operation: str) -> Truth:
        truths = {term(operation) for term in terms}
        if decisive in truths:
            return decisive
        return None if None in truths else not decisive

    return joined


def _negate(expression: _Expression) -> _Expression:
    def negated(operation: str) -> Truth:
        truth = expression(operation)
        return None if truth is None else not truth

    return negated


def targets(condition: str | None, operation: str) -> bool:
    """Return whether a condition matters for an operation: it does not simply hold."""
    return truth_of(condition, fold(operation)) is not True
