"""Read the statements of a Bicep file, and their expressions, out of its lossless tree.

Source: learn.microsoft.com, "Bicep file structure and syntax".
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from rightsize.iac.expressions import Nesting, Node
from rightsize.iac.syntax_trees import (
    Loop,
    Statement,
    cut_statements,
    first_error,
    parse_bicep,
    parts_of,
    pieces,
    refusal,
    text_of,
)

if TYPE_CHECKING:
    from tree_sitter import Node as Tree

_COMMENT = re.compile(rb"/\*.*?\*/", re.DOTALL)
# A name after its keyword; the grammar takes the type of a variable for it.
_DECLARED = re.compile(rb"(?:\s|/\*.*?\*/|//[^\n]*)*([A-Za-z_]\w*)", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:([\\'$nrt])|u\{([0-9A-Fa-f]{1,6})\})")
_LETTERS = {"n": "\n", "r": "\r", "t": "\t"}
_PRECEDENCE: tuple[tuple[str, ...], ...] = (
    ("??",),
    ("||",),
    ("&&",),
    ("==", "!=", "=~", "!~"),
    ("<=", ">=", "<", ">"),
    ("+", "-"),
    ("*", "/", "%"),
)
# Kinds of nodes whose parts are read in their order, and put together by precedence.
_COMPOSED = frozenset(
    [
        "binary_expression",
        "unary_expression",
        "ternary_expression",
        "member_expression",
        "subscript_expression",
        "resource_expression",
        "call_expression",
        "lambda_expression",
    ]
)


class _UnreadError(Exception):
    """The grammar does not know a part of an expression."""


@lru_cache(maxsize=64)
def read_bicep(text: str) -> tuple[Statement, ...]:
    """Return the parameters, variables, resources and modules of a file.

    An expression that cannot be read has the kind `unread`; a resource or a module that cannot has a `refusal`.

    Raises:
        InputError: A bracket or a text does not end, or a part that cannot be read may have a resource or a module.
    """
    code = text.encode()
    masked, starts = cut_statements(code)
    found: list[Statement] = []
    for start, end in zip(starts, [*starts[1:], len(code)], strict=True):
        root = parse_bicep(masked[start:end])
        made = list(filter(None, map(_Reader(code, start).statement, parts_of(root))))
        found.extend(made)
        error = first_error(root)
        is_seen = any(one.keyword in ("resource", "module") for one in made)
        if error is not None and not is_seen and _MAKES.search(code, start, end):
            raise refusal(error, code, start)
    return tuple(found)


class _Reader:
    """Reads the statements of a part of a file that begins at a place."""

    def __init__(self, code: bytes, start: int) -> None:
        self.code = code
        self.start = start
        self.nesting = Nesting()

    def statement(self, tree: Tree) -> Statement | None:
        """Return a declaration, or None for another statement."""
        keyword = tree.type.removesuffix("_declaration").removesuffix("_statement")
        keyword = {"parameter": "param", "variable": "var"}.get(keyword, keyword)
        parts = parts_of(tree)
        if keyword in ("resource", "module") and parts:
            return self._made(keyword, tree)
        if keyword not in ("param", "var") or not parts:
            return None
        name = _DECLARED.match(self.code, self.start + parts[0].end_byte)
        if name is None:
            return None
        after = next((index + 1 for index, part in enumerate(parts) if part.type == "="), len(parts))
        values = parts[after:]
        value = self.expression(values[0]) if len(values) == 1 else self._whole("unread", tree) if values else None
        return Statement(keyword, name[1].decode(), value, *self._span(tree))

    def _made(self, keyword: str, tree: Tree) -> Statement:
        parts = parts_of(tree)
        kinds = [part.type for part in parts]
        if "string" not in kinds or "identifier" not in kinds:
            raise refusal(tree, self.code, self.start)
        name, kind = text_of(parts[kinds.index("identifier")]), self.expression(parts[kinds.index("string")])
        found = Statement(keyword, name, None, *self._span(tree), kind=kind, is_existing="existing" in kinds)
        error = first_error(tree)
        if error is not None or "=" not in kinds[:-1]:
            return replace(found, refusal=refusal(error or tree, self.code, self.start))
        body = parts[kinds.index("=") + 1]
        loop = condition = None
        if body.type == "for_statement":
            names, over, body = self._loop(body)
            loop = Loop(names, self.expression(over))
        if body.type == "if_statement":
            condition, body = self._condition(body)
        inner = tuple(self._children(body)) if body.type == "object" else ()
        return replace(found, value=self.expression(body), loop=loop, condition=condition, children=inner)

    def _children(self, tree: Tree) -> Iterator[Statement]:
        """Yield the resources that stand in the body of another one."""
        for part in items_of(tree):
            inner = parts_of(part)
            if inner and inner[0].type == "resource_declaration":
                child = self.statement(inner[0])
                if child is not None:
                    yield child

    def expression(self, tree: Tree) -> Node:
        """Return the tree of an expression; one that is not understood has the kind `unread`."""
        with self.nesting.deeper():
            try:
                return _Operators(self, list(_tokens(tree))).whole()
            except _UnreadError:
                return self.node("unread", *self._span(tree))

    def atom(self, tree: Tree) -> Node:
        """Return the tree of an expression that has no operator outside of brackets."""
        read: Callable[[_Reader, Tree], Node] | None = self._READERS.get(tree.type)
        if read is None or tree.is_missing or any(child.is_error or child.is_missing for child in tree.children):
            raise _UnreadError
        return read(self, tree)

    def node(self, kind: str, start: int, end: int, *parts: Any) -> Node:
        """Return a part of an expression that stands at a place."""
        return Node(kind, parts, self.code[start:end].decode("utf-8", "replace"), start, end)

    def _span(self, tree: Tree) -> tuple[int, int]:
        return self.start + tree.start_byte, self.start + tree.end_byte

    def _whole(self, kind: str, tree: Tree, *parts: Any) -> Node:
        return self.node(kind, *self._span(tree), *parts)

    def is_dot(self, place: int) -> bool:
        """Return whether a sign of this part of the file stands for a dot of `...`."""
        return self.code.startswith(b".", self.start + place)

    def has_line_break(self, start: int, end: int) -> bool:
        """Return whether a line ends between two places of this part of the file, outside of comments within a line."""
        return b"\n" in _COMMENT.sub(b"", self.code[self.start + start : self.start + end])

    def _is_spread(self, tree: Tree) -> bool:
        return self.code.startswith(b"...", self.start + tree.start_byte)

    def _number(self, tree: Tree) -> Node:
        start, end = self._span(tree)
        start += self.is_dot(tree.start_byte)  # the grammar takes the sign that stands for a dot for that of the number
        digits = self.code[start:end].decode()
        return self.node("value", start, end, int(digits) if len(digits) < 20 else float(digits))

    def _name(self, tree: Tree) -> Node:
        return self._whole("name", tree, text_of(tree))

    def _string(self, tree: Tree) -> Node:
        quote = len(text_of(tree.children[0]))
        start, end = tree.start_byte + self.start + quote, tree.end_byte + self.start - quote
        if quote == 3:
            plain = self.code[start:end].decode("utf-8", "replace")
            return self._whole("value", tree, re.sub(r"^\r?\n", "", plain))
        parts: list[Node] = []
        code = self.code[self.start :]
        inner = pieces(tree, code, start=start - self.start, end=end - self.start, is_inner=_is_interpolation)
        for piece in inner:
            if isinstance(piece, bytes):
                plain = piece.decode("utf-8", "replace")
                parts.append(Node("value", (_ESCAPE.sub(_unescaped, plain),), plain))
            else:
                parts.append(self.expression(parts_of(piece)[1]))
        if not parts or (len(parts) == 1 and parts[0].kind == "value" and not parts[0].start):
            return self._whole("value", tree, parts[0].parts[0] if parts else "")
        return self._whole("template", tree, tuple(parts))

    def _list(self, tree: Tree) -> Node:
        inner = [token for part in parts_of(tree)[1:-1] for token in _tokens(part)]
        return self._whole("list", tree, tuple(_Operators(self, inner).items()))

    def _object(self, tree: Tree) -> Node:
        pairs: list[tuple[Node | None, Node]] = []
        for part in items_of(tree):
            inner = parts_of(part)
            if part.type == "object_property" and inner[0].type == "resource_declaration":
                continue  # a child of this resource
            if part.type != "object_property" or len(inner) != 3:
                raise _UnreadError
            value = self.expression(inner[2])
            if self._is_spread(part):
                pairs.append((None, value))
            elif inner[0].type == "string":
                pairs.append((self.expression(inner[0]), value))
            else:
                pairs.append((self._whole("value", inner[0], text_of(inner[0])), value))
        return self._whole("object", tree, tuple(pairs))

    def _brackets(self, tree: Tree) -> Node:
        return self._whole("same", tree, self.expression(parts_of(tree)[1]))

    def _loop(self, tree: Tree) -> tuple[tuple[str, ...], Tree, Tree]:
        """Return the names of a loop, what it goes over, and its body."""
        parts = parts_of(tree)
        kinds = [part.type for part in parts]
        names = re.findall(r"\w+", text_of(parts[kinds.index("for") + 1]))
        body = tree.child_by_field_name("body")
        if body is None or "in" not in kinds:
            raise _UnreadError
        return tuple(names), parts[kinds.index("in") + 1], body

    def _condition(self, tree: Tree) -> tuple[Node, Tree]:
        parts = parts_of(tree)
        return self.expression(parts[1]), parts[-1]

    def _for(self, tree: Tree) -> Node:
        names, over, body = self._loop(tree)
        condition = None
        if body.type == "if_statement":
            condition, body = self._condition(body)
        return self._whole("for", tree, names, self.expression(over), None, self.expression(body), condition, False)

    _READERS = {  # noqa: RUF012  functions, which nothing changes
        "number": _number,
        "identifier": _name,
        "boolean": lambda self, tree: self._whole("value", tree, text_of(tree) == "true"),
        "null": lambda self, tree: self._whole("value", tree, None),
        "string": _string,
        "array": _list,
        "object": _object,
        "parenthesized_expression": _brackets,
        "arguments": _brackets,  # on a line of its own it calls nothing
        "for_statement": _for,
    }


class _Operators:
    """Puts the parts between operators together, by the precedence and the line breaks of Bicep.

    The grammar has every part, but takes `a == b.c` for a member of `a == b`, and in a list a call for two items.
    """

    def __init__(self, reader: _Reader, parts: list[_Part]) -> None:
        self.reader = reader
        self.parts = parts
        self.place = 0

    def whole(self) -> Node:
        """Return the expression that all parts make."""
        self._take_spread()  # what is spread is told by the object around it
        found = self._expression()
        if self.place < len(self.parts):
            raise _UnreadError
        return found

    def items(self) -> Iterator[tuple[bool, Node]]:
        """Yield the items of a list, which a comma or a line break ends, and whether each is spread."""
        while self.place < len(self.parts):
            yield self._take_spread(), self._expression()
            if not self._take(",") and self.place < len(self.parts) and not self._begins_line():
                raise _UnreadError

    def _take_spread(self) -> bool:
        start = self.place
        while self._type() == "-" and self.reader.is_dot(self.parts[self.place].start):
            self.place += 1
        return self.place > start

    def _expression(self) -> Node:
        with self.reader.nesting.deeper():
            start = self._at()
            if self._type(1) == "=>":
                names = re.findall(r"\w+", text_of(self.parts[self.place].tree))
                self.place += 2
                return self._since(start, "lambda", tuple(names), self._expression())
            found = self._binary(0)
            if not self._take("?"):
                return found
            chosen = self._expression()
            if not self._take(":"):
                raise _UnreadError
            return self._since(start, "if", found, chosen, self._expression())

    def _binary(self, least: int) -> Node:
        start = self._at()
        left = self._unary()
        while True:
            operator = self._type()
            levels = (level for level in range(least, len(_PRECEDENCE)) if operator in _PRECEDENCE[level])
            level = next(levels, None)
            # A line that begins with a minus is an item of its own.
            if level is None or (operator == "-" and self._begins_line()):
                return left
            self.place += 1
            left = self._since(start, "binary", operator, left, self._binary(level + 1))

    def _unary(self) -> Node:
        start = self._at()
        if self._type() in ("!", "-"):
            operator = self._type()
            self.place += 1
            with self.reader.nesting.deeper():
                return self._since(start, "unary", operator, self._unary())
        found = self.reader.atom(self.parts[self.place].tree)
        self.place += 1
        while self._type() in _SUFFIXES and (self._type() == "member_expression" or not self._begins_line()):
            suffix, tree = _SUFFIXES[self._type()], self.parts[self.place].tree
            self.place += 1
            found = suffix(self, start, found, tree)
        return found

    def _member(self, start: int, base: Node, tree: Tree) -> Node:
        name, is_safe = text_of(tree.children[-1]), any(part.type == ".?" for part in tree.children)
        return self._since(start, "member", base, name, is_safe)

    def _index(self, start: int, base: Node, tree: Tree) -> Node:
        if any(part.is_error or part.is_missing for part in tree.children):
            raise _UnreadError
        if tree.type == "array":
            items = self.reader.atom(tree).parts[0]
            if len(items) != 1:
                raise _UnreadError
            return self._since(start, "index", base, items[0][1], False)
        index = self.reader.expression(parts_of(tree)[-2])
        return self._since(start, "index", base, index, any(part.type == "?" for part in tree.children))

    def _call(self, start: int, function: Node, tree: Tree) -> Node:
        name = function.text
        if function.kind == "member" and function.parts[0].text in ("az", "sys", "core"):
            name = function.parts[1]
        arguments = tuple(map(self.reader.expression, items_of(tree)))
        return self._since(start, "call", name, arguments, False)

    def _nested(self, start: int, _: Node, __: Tree) -> Node:
        return self._since(start, "unread")  # a resource within another has no value before its deployment

    def _at(self) -> int:
        if self.place >= len(self.parts):
            raise _UnreadError
        return self.reader.start + self.parts[self.place].start

    def _type(self, ahead: int = 0) -> str:
        return self.parts[self.place + ahead].tree.type if self.place + ahead < len(self.parts) else ""

    def _begins_line(self) -> bool:
        """Return whether a line break stands before the present part."""
        return self.reader.has_line_break(self.parts[self.place - 1].end, self.parts[self.place].start)

    def _take(self, sign: str) -> bool:
        is_there = self._type() == sign
        self.place += is_there
        return is_there

    def _since(self, start: int, kind: str, *parts: Any) -> Node:
        """Return a part of an expression that began at a place and ends with the part before the present one."""
        return self.reader.node(kind, start, self.reader.start + self.parts[self.place - 1].end, *parts)


_SUFFIXES = {
    "member_expression": _Operators._member,
    "subscript_expression": _Operators._index,
    "array": _Operators._index,
    "arguments": _Operators._call,
    "parenthesized_expression": _Operators._call,
    "resource_expression": _Operators._nested,
}


@dataclass(frozen=True, slots=True)
class _Part:
    """A part or a sign of an expression: a node, and where it stands without the part that it is taken from."""

    tree: Tree
    start: int
    end: int


def _tokens(tree: Tree) -> Iterator[_Part]:
    """Yield the parts and signs of an expression in their order.

    A member, an index or a nested resource is the node that has it, after the parts that it is taken from.
    """
    waiting = [(tree, tree.start_byte)]
    while waiting:
        one, start = waiting.pop()
        if one.type not in _COMPOSED or start > one.start_byte:
            yield _Part(one, start, one.end_byte)
            continue
        inner = parts_of(one)
        if one.type in ("member_expression", "subscript_expression", "resource_expression"):
            waiting.append((one, inner[1].start_byte))
            inner = inner[:1]
        waiting.extend((part, part.start_byte) for part in reversed(inner))


def items_of(tree: Tree) -> list[Tree]:
    """Return what stands between the brackets of a list, an object or arguments."""
    return [part for part in parts_of(tree)[1:-1] if part.type != ","]


_MAKES = re.compile(rb"\b(?:resource|module)\s+(?:\w+[^\n']*)?'")


def _is_interpolation(tree: Tree) -> bool:
    return tree.type == "interpolation"


def _unescaped(found: re.Match[str]) -> str:
    if found[1]:
        return _LETTERS.get(found[1], found[1])
    code = int(found[2], 16)
    return chr(code) if code <= sys.maxunicode else found[0]
