r"""Parse the expressions of ARM templates, Bicep and Terraform into one tree; `expression_values` evaluates it.

The three languages share names, members, calls, operators, lists and objects. They differ in their strings, and in
where a line break ends an item:

| language | string | interpolation | items of lists and objects |
|---|---|---|---|
| ARM template | `'it''s'` | none | none: only calls and members |
| Bicep | `'it\'s'`, `'''verbatim'''` | `${x}` | by line or comma |
| Terraform | `"it's"`, heredocs | `${x}` | by comma, in objects also by line |

Sources: learn.microsoft.com, "Syntax and expressions in ARM templates" and "Data types in Bicep";
developer.hashicorp.com, "Expressions" of the Terraform language.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rightsize.model.errors import InputError
from rightsize.model.expression_tokens import DEEPEST, NUMBER, Language, Node, Scanner

_ARM_STRING = re.compile(r"'((?:[^']|'')*)'")
_LAMBDA = re.compile(r"(?:\(\s*((?:\w+\s*(?:,\s*\w+\s*)*)?)\)|([A-Za-z_]\w*))\s*=>")
_HEREDOC = re.compile(r"<<(-?)([A-Za-z_]\w*)\r?\n(.*?)(?:^|\n)[ \t]*\2(?!\w)", re.DOTALL)
_ESCAPES = {
    Language.BICEP: re.compile(r"\\(?:([\\'$nrt])|u\{([0-9A-Fa-f]{1,6})\})"),
    Language.TERRAFORM: re.compile(r"\\(?:([\\\"nrt])|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8}))"),
}
_LETTERS = {"n": "\n", "r": "\r", "t": "\t"}
_OPERATORS: tuple[tuple[str, ...], ...] = (
    ("??",),
    ("||",),
    ("&&",),
    ("==", "!=", "=~", "!~"),
    ("<=", ">=", "<", ">"),
    ("+", "-"),
    ("*", "/", "%"),
)
_WORDS = {"true": True, "false": False, "null": None}


def parse_expression(text: str, language: Language) -> Node:
    """Return the tree of an expression.

    Raises:
        InputError: The text is not one expression of this language.
    """
    parser = Parser(text, language)
    found = parser.expression()
    parser.space()
    if parser.place < len(text):
        raise parser.error()
    return found


def parse_template(text: str) -> Node:
    """Return the tree of a text of Terraform's JSON: plain, with `${…}` in it, or one expression alone."""
    return Parser(text, Language.TERRAFORM).template(None)


class Parser(Scanner):
    """Reads expressions from a place of a text on."""

    def expression(self) -> Node:
        """Take an expression.

        Raises:
            InputError: There is none.
        """
        with self._deeper():
            self.space()
            start = self.place
            return self._lambda() or self._conditional(start)

    @contextmanager
    def _deeper(self) -> Iterator[None]:
        """Count one more expression around the next one; raise InputError where they are too many."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise InputError("an expression is nested deeper than any template needs")
        yield
        self.depth -= 1

    @contextmanager
    def _lines(self, *, are_spaces: bool) -> Iterator[None]:
        """Say whether line breaks count as spaces until the end of a bracket."""
        around, self.lines_are_spaces = self.lines_are_spaces, are_spaces
        yield
        self.lines_are_spaces = around

    def _node(self, kind: str, start: int, *parts: Any) -> Node:
        return Node(kind, parts, self.text[start : self.place].strip())

    def _lambda(self) -> Node | None:
        start = self.place
        found = _LAMBDA.match(self.text, start) if self.language is Language.BICEP else None
        if found is None:
            return None
        self.place = found.end()
        names = [found[2]] if found[2] else re.findall(r"\w+", found[1])
        return self._node("lambda", start, tuple(names), self.expression())

    def _conditional(self, start: int) -> Node:
        found = self._binary(0)
        if self.language is not Language.ARM and self._takes_question():
            chosen = self.expression()
            self.need(":")
            return self._node("if", start, found, chosen, self.expression())
        return found

    def _takes_question(self) -> bool:
        start = self.place
        if self.take("?") and not self.text.startswith(("?", "."), self.place):
            return True
        self.place = start
        return False

    def _binary(self, least: int) -> Node:
        """Take operands and operators of at least a precedence."""
        start = self.place
        left = self._unary()
        while self.language is not Language.ARM:
            level, operator = self._operator(least)
            if operator is None:
                break
            self.space()
            left = self._node("binary", start, operator, left, self._binary(level + 1))
        return left

    def _operator(self, least: int) -> tuple[int, str | None]:
        for level in range(least, len(_OPERATORS)):
            for operator in _OPERATORS[level]:
                # A line that begins with a minus is an item of its own.
                taken = self.take(operator, lines=self.lines_are_spaces or operator != "-")
                if taken and not (operator in ("<", ">") and self.text.startswith("<", self.place)):
                    return level, taken
        return 0, None

    def _unary(self) -> Node:
        start = self.place
        if self.language is not Language.ARM or self.text.startswith("-", start):
            operator = self.take("!", "-")
            if operator:
                with self._deeper():
                    self.space()
                    return self._node("unary", start, operator, self._unary())
        return self._members(self._primary(), start)

    def _members(self, found: Node, start: int) -> Node:
        """Take the members, indexes and arguments that follow a part on its line."""
        while True:
            taken = self.take(".?", "[?", "...", "[*]", ".*", ".", "[", "(", "!", lines=self.lines_are_spaces)
            if taken is None:
                return found
            if taken in ("...", "!"):
                # The former belongs to arguments and lists; the latter only says to Bicep that there is a value.
                if (
                    taken == "..."
                    or self.text.startswith(("=", "~"), self.place)
                    or self.language is not Language.BICEP
                ):
                    self.place -= len(taken)
                    return found
            elif taken in ("[*]", ".*"):
                item = Node("item", (), "item")
                end = self.place
                rest = self._members(item, end)
                return self._node("splat", start, found, rest)
            elif taken == "(":
                found = self._call(found, start)
            elif taken in ("[", "[?"):
                index = self._inside("]")
                found = self._node("index", start, found, index, taken == "[?")
            else:
                number = NUMBER.match(self.text, self.place) if taken == "." else None
                member = number[0] if number else self.name()
                if member is None:
                    raise self.error()
                self.place = number.end() if number else self.place
                found = self._node("member", start, found, member, taken == ".?")

    def _call(self, function: Node, start: int) -> Node:
        if function.kind == "member" and function.parts[0].text in ("az", "sys", "core"):
            name = str(function.parts[1])
        else:
            name = function.text
        arguments: list[Node] = []
        spread = False
        with self._lines(are_spaces=True):
            while not self.take(")"):
                arguments.append(self.expression())
                spread = bool(self.language is Language.TERRAFORM and self.take("..."))
                if not self.take(","):
                    self.need(")")
                    break
        return self._node("call", start, name, tuple(arguments), spread)

    def _inside(self, end: str) -> Node:
        with self._lines(are_spaces=True):
            found = self.expression()
            self.need(end)
        return found

    def _primary(self) -> Node:
        start = self.place
        text = self.text
        number = NUMBER.match(text, start)
        if number:
            self.place = number.end()
            digits = number[0]
            value = int(digits) if digits.isdigit() and len(digits) < 20 else float(digits)
            return self._node("value", start, value)
        quote = '"' if self.language is Language.TERRAFORM else "'"
        if text.startswith(quote, start):
            return self.string()
        if text.startswith("<<", start) and self.language is Language.TERRAFORM:
            return self._heredoc(start)
        if text.startswith("(", start):
            self.place += 1
            found = self._inside(")")
            return self._node("same", start, found)
        if text.startswith("[", start):
            return self._list(start)
        if text.startswith("{", start):
            return self._object(start)
        name = self.name()
        if name is None:
            raise self.error()
        if name.lower() in _WORDS and (self.language is not Language.ARM or not text.startswith("(", self.place)):
            return self._node("value", start, _WORDS[name.lower()])
        return self._node("name", start, name)

    def string(self) -> Node:
        """Take a string in quotes.

        Raises:
            InputError: It does not end.
        """
        start = self.place
        if not self.text.startswith('"' if self.language is Language.TERRAFORM else "'", start):
            raise self.error()
        if self.language is Language.ARM:
            found = _ARM_STRING.match(self.text, start)
            if found is None:
                raise self.error()
            self.place = found.end()
            return self._node("value", start, found[1].replace("''", "'"))
        if self.text.startswith("'''", start):
            end = self.text.find("'''", start + 3)
            while self.text.startswith("'", end + 3):  # further quotes belong to the text
                end += 1
            if end < 0:
                raise self.error()
            self.place = end + 3
            return self._node("value", start, re.sub(r"^\r?\n", "", self.text[start + 3 : end]))
        self.place += 1
        return self.template(self.text[start], start)

    def _heredoc(self, start: int) -> Node:
        found = _HEREDOC.match(self.text, start)
        if found is None:
            raise self.error()
        lines = (found[3] + "\n").split("\n") if found[3] else [""]
        if found[1]:
            indents = [len(line) - len(line.lstrip(" \t")) for line in lines if line.strip()]
            lines = [line[min(indents, default=0) :] for line in lines]
        self.place = found.end()
        return Parser("\n".join(lines), self.language).template(None)

    def template(self, end: str | None, start: int | None = None) -> Node:  # noqa: PLR0912  a branch a kind of text
        """Take a text up to an ending quote, or the whole rest, where escapes with a backslash are none."""
        first = self.place if start is None else start
        parts: list[Node] = []
        plain = ""
        bicep = self.language is Language.BICEP
        escapes = _ESCAPES[self.language] if end else None
        while end is None or not self.text.startswith(end, self.place):
            if self.place >= len(self.text):
                if end is None:
                    break
                raise self.error()
            escaped = escapes.match(self.text, self.place) if escapes else None
            if escaped:
                plain += _unescaped(escaped)
                self.place = escaped.end()
            elif not bicep and self.text.startswith(("$${", "%%{"), self.place):
                plain += self.text[self.place + 1 : self.place + 3]
                self.place += 3
            elif self.text.startswith("${", self.place):
                if plain:
                    parts.append(Node("value", (plain,), plain))
                    plain = ""
                self.place += 2
                if not bicep and self.text.startswith("~", self.place):
                    raise self.error()  # it strips spaces around, which no action has
                parts.append(self._inside("}"))
            elif not bicep and self.text.startswith("%{", self.place):
                raise InputError(
                    f"a template has a directive, which is not read: `{self.text[self.place : self.place + 40]}`"
                )
            elif self.text[self.place] == "\n" and bicep:
                raise self.error()
            else:
                plain += self.text[self.place]
                self.place += 1
        self.place += len(end or "")
        if not parts:
            return self._node("value", first, plain)
        if plain:
            parts.append(Node("value", (plain,), plain))
        if len(parts) == 1 and not bicep:
            return parts[0]
        return self._node("template", first, tuple(parts))

    def _list(self, start: int) -> Node:
        self.place += 1
        loop = self._loop_begins()
        with self._lines(are_spaces=False):
            if loop:
                return self._for(start, "]")
            items = []
            while not self.take("]"):
                spread = self.language is Language.BICEP and self.take("...")
                items.append((bool(spread), self.expression()))
                self._end_of_item("]")
        return self._node("list", start, tuple(items))

    def _object(self, start: int) -> Node:
        self.place += 1
        if self.language is Language.TERRAFORM and self._loop_begins():
            with self._lines(are_spaces=True):
                return self._for(start, "}")
        pairs: list[tuple[Node | None, Node]] = []
        with self._lines(are_spaces=False):
            while not self.take("}"):
                if self.language is Language.BICEP and self.take("..."):
                    pairs.append((None, self.expression()))
                else:
                    key = self._key()
                    self.need(":") if self.language is not Language.TERRAFORM else self.need("=", ":")
                    pairs.append((key, self.expression()))
                self._end_of_item("}")
        return self._node("object", start, tuple(pairs))

    def _key(self) -> Node:
        start = self.place
        name = self.name()
        after = self.place
        if name is not None and self.take(":", "="):
            self.place = after
            return Node("value", (name,), name)
        self.place = start
        self.space()
        return self._members(self._primary(), self.place)

    def _end_of_item(self, end: str) -> None:
        """Check that an item ends here: by a comma, a line break or the end of the list."""
        if self.take(","):
            return
        start = self.place
        self.space()
        if "\n" not in self.text[start : self.place] and not self.text.startswith(end, self.place):
            raise self.error()

    def _loop_begins(self) -> bool:
        start = self.place
        if self.word("for") and not self.take(":", "="):
            return True
        self.place = start
        return False

    def _for(self, start: int, end: str) -> Node:
        """Take a loop after its `for`: names, the list, and what is made of each item, perhaps under a condition."""
        names: list[str] = []
        bracket = self.take("(")
        while True:
            name = self.name()
            if name is None:
                raise self.error()
            names.append(name)
            if not self.take(","):
                break
        if bracket:
            self.need(")")
        if not self.word("in") or len(names) > 2:
            raise self.error()
        over = self.expression()
        self.need(":")
        key = condition = None
        if self.language is Language.BICEP and self.word("if"):
            self.space()
            condition = self.expression()
        made = self.expression()
        if self.take("=>"):
            key, made = made, self.expression()
        is_grouped = bool(key and self.take("..."))
        if self.language is Language.TERRAFORM and self.word("if"):
            condition = self.expression()
        self.take(",")
        self.need(end)
        return self._node("for", start, tuple(names), over, key, made, condition, is_grouped)


def _unescaped(found: re.Match[str]) -> str:
    if found[1]:
        return _LETTERS.get(found[1], found[1])
    code = int(next(digits for digits in found.groups()[1:] if digits), 16)
    return chr(code) if code <= sys.maxunicode else found[0]
