"""Parse the expressions of ARM templates: calls of functions, their members, and texts as `'it''s'`.

Source: learn.microsoft.com, "Syntax and expressions in ARM templates".
"""

from __future__ import annotations

import re
from typing import Any

from rightsize.model.errors import InputError
from rightsize.model.expression_tree import Nesting, Node

_SPACE = re.compile(r"\s*")
_STRING = re.compile(r"'((?:[^']|'')*)'")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORDS = {"true": True, "false": False, "null": None}


def parse_arm(text: str) -> Node:
    """Return the tree of an expression, which stands between the outermost brackets of a string.

    Raises:
        InputError: The text is not one expression.
    """
    parser = _Parser(text)
    found = parser.expression()
    if parser.at() < len(text):
        raise parser.error()
    return found


class _Parser:
    """Reads expressions from a place of a text on."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0
        self.nesting = Nesting()

    def error(self) -> InputError:
        near = self.text[self.at() : self.place + 40].split("\n")[0]
        return InputError(f"cannot read an expression {f'before `{near}`' if near else 'at its end'}")

    def at(self) -> int:
        """Skip spaces, and return the place after them."""
        found = _SPACE.match(self.text, self.place)
        self.place = found.end() if found else self.place
        return self.place

    def expression(self) -> Node:
        with self.nesting.deeper():
            start = self.at()
            found = self._primary(start)
            while sign := self._take(".", "[", "("):
                if sign == ".":
                    found = self._node("member", start, found, self._match(_NAME)[0], False)
                elif sign == "[":
                    index = self.expression()
                    self._need("]")
                    found = self._node("index", start, found, index, False)
                else:
                    arguments = self._arguments()
                    found = self._node("call", start, found.text, arguments, False)
            return found

    def _primary(self, start: int) -> Node:
        if self.text.startswith("'", start):
            return self._node("value", start, self._match(_STRING)[1].replace("''", "'"))
        if self.text[start : start + 1].isdigit() or self.text.startswith("-", start):
            digits = self._match(_NUMBER)[0]
            return self._node("value", start, int(digits) if re.fullmatch(r"-?\d{1,19}", digits) else float(digits))
        name = self._match(_NAME)[0]
        if name.lower() in _WORDS and not self.text.startswith("(", self.at()):
            return self._node("value", start, _WORDS[name.lower()])
        return self._node("name", start, name)

    def _arguments(self) -> tuple[Node, ...]:
        found: list[Node] = []
        while not self._take(")"):
            found.append(self.expression())
            if not self._take(","):
                self._need(")")
                break
        return tuple(found)

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str]:
        found = pattern.match(self.text, self.at())
        if found is None:
            raise self.error()
        self.place = found.end()
        return found

    def _take(self, *tokens: str) -> str | None:
        place = self.at()
        found = next((token for token in tokens if self.text.startswith(token, place)), None)
        self.place += len(found or "")
        return found

    def _need(self, token: str) -> None:
        if not self._take(token):
            raise self.error()

    def _node(self, kind: str, start: int, *parts: Any) -> Node:
        return Node(kind, parts, self.text[start : self.place].strip(), start, self.place)
