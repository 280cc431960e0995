"""Read the blocks of a Terraform file, and their expressions, out of its lossless tree; Terraform's JSON as the same.

Source: developer.hashicorp.com, "Syntax" and "JSON Configuration Syntax" of the Terraform language.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from rightsize.iac.expressions import Nesting, Node, Written
from rightsize.iac.syntax_trees import first_error, parse_hcl, parts_of, pieces, refusal, text_of
from rightsize.model.errors import InputError

if TYPE_CHECKING:
    from tree_sitter import Node as Tree

_ESCAPE = re.compile(r"\\(?:([\\\"nrt])|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8}))")
_DOUBLED = re.compile(r"([$%])\1\{")
_LETTERS = {"n": "\n", "r": "\r", "t": "\t"}
# How many labels a block has in Terraform's JSON, where nothing else tells labels from attributes.
_LABELS = {"resource": 2, "data": 2, "module": 1, "output": 1, "provider": 1, "variable": 1, "dynamic": 1}
_BLOCKS_WITHIN = ("dynamic", "content")


@dataclass(frozen=True, slots=True)
class Block:
    """A block of a Terraform file; the file itself is one without a type.

    Attributes:
        kind: Its type, such as `resource`.
        labels: Its labels.
        attributes: Its attributes by name.
        blocks: The blocks in it.
        start: The byte of the file that it starts at; 0 in Terraform's JSON.
        end: The byte after it.
        spans: Where each attribute stands with its name, by name; none in Terraform's JSON.
    """

    kind: str
    labels: tuple[str, ...]
    attributes: Mapping[str, Node]
    blocks: tuple[Block, ...]
    start: int = 0
    end: int = 0
    spans: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def inner(self, kind: str, label: str | None = None) -> list[Block]:
        """Return the blocks of a type in it, or those of them with a first label."""
        found = [block for block in self.blocks if block.kind == kind]
        return found if label is None else [block for block in found if block.labels[:1] == (label,)]


@lru_cache(maxsize=64)
def read_hcl(text: str, path: str = "") -> Block:
    """Return the content of a file.

    Args:
        text: The file.
        path: Where it stands; with it, texts in it know their place.

    Raises:
        InputError: It is no Terraform.
    """
    code = text.encode()
    root = parse_hcl(code)
    error = first_error(root)
    if error is not None:
        raise InputError(f"not valid Terraform: {refusal(error, code).message}")
    bodies = [part for part in parts_of(root) if part.type == "body"]
    return _Reader(code, path).block("", (), bodies[0] if bodies else root)


def read_hcl_json(document: object) -> Block:
    """Return the content of a file of Terraform's JSON.

    Raises:
        InputError: It has no blocks where blocks belong.
    """
    if not isinstance(document, Mapping):
        raise InputError("not valid Terraform: it is not an object")
    blocks = [block for name, value in document.items() for block in _json_blocks(name, value, _LABELS.get(name, 0))]
    return Block("", (), _json_attributes(document), tuple(blocks))


def read_template(text: str) -> Node:
    """Return the tree of a text without quotes: plain, with `${…}` in it, or one expression alone.

    Raises:
        InputError: An expression in it cannot be read.
    """
    if "${" not in text and "%{" not in text:
        return Node("value", (text,), text)
    end = "E" * (max(map(len, re.findall("E+", text)), default=0) + 1)
    head = f"_ = <<{end}\n".encode()
    code = head + text.encode() + f"\n{end}\n".encode()
    root = parse_hcl(code)
    error = first_error(root)
    found = None if error else _first(root, "heredoc_template")
    if found is None:
        raise InputError(f"cannot read the template `{text[:80]}`")
    return _Reader(code).template(found, start=len(head), end=len(code) - len(end) - 2)


def read_expression(text: str) -> Node:
    """Return the tree of an expression that stands as a text, such as a type in Terraform's JSON."""
    return read_hcl(f"_ = {text}\n").attributes["_"]


def _first(tree: Tree, kind: str) -> Tree | None:
    while tree.type != kind:
        inner = parts_of(tree)
        if not inner:
            return None
        tree = inner[-1]
    return tree


class _Reader:
    """Reads blocks and expressions of a file."""

    def __init__(self, code: bytes, path: str = "") -> None:
        self.code = code
        self.path = path
        self.nesting = Nesting()

    def block(self, kind: str, labels: tuple[str, ...], body: Tree | None, around: Tree | None = None) -> Block:
        attributes: dict[str, Node] = {}
        spans: dict[str, tuple[int, int]] = {}
        blocks: list[Block] = []
        with self.nesting.deeper():
            for part in parts_of(body) if body is not None else ():
                inner = parts_of(part)
                if part.type == "attribute":
                    attributes[text_of(inner[0])] = self.expression(inner[2])
                    spans[text_of(inner[0])] = (part.start_byte, part.end_byte)
                elif part.type == "block":
                    named = tuple(
                        text_of(one).strip('"') for one in inner[1:] if one.type in ("identifier", "string_lit")
                    )
                    content = next((one for one in inner if one.type == "body"), None)
                    blocks.append(self.block(text_of(inner[0]), named, content, part))
        tree = around if around is not None else body
        start, end = (tree.start_byte, tree.end_byte) if tree else (0, 0)
        return Block(kind, labels, attributes, tuple(blocks), start, end, spans)

    def expression(self, tree: Tree) -> Node:
        with self.nesting.deeper():
            return self._chain(parts_of(tree))

    def _node(self, kind: str, start: int, end: int, *parts: Any) -> Node:
        return Node(kind, parts, self.code[start:end].decode("utf-8", "replace"), start, end)

    def _whole(self, kind: str, tree: Tree, *parts: Any) -> Node:
        return self._node(kind, tree.start_byte, tree.end_byte, *parts)

    def _written(self, text: str, tree: Tree) -> str:
        return Written.at(text, self.path, tree.start_byte, tree.end_byte)

    def _chain(self, parts: list[Tree]) -> Node:
        """Return an expression and the members, places and splats that follow it."""
        start = parts[0].start_byte
        if parts[0].type == "(":
            found, rest = self._node("same", start, parts[2].end_byte, self.expression(parts[1])), parts[3:]
        else:
            found, rest = self._READERS.get(parts[0].type, _Reader._unread)(self, parts[0]), parts[1:]
        return self._suffixes(found, start, rest)

    def _suffixes(self, found: Node, start: int, rest: list[Tree]) -> Node:
        for tree in rest:
            if tree.type == "get_attr":
                found = self._node("member", start, tree.end_byte, found, text_of(tree.children[-1]), False)
            elif tree.type == "index":
                found = self._node("index", start, tree.end_byte, found, self._place(tree.children[0]), False)
            elif tree.type == "splat":
                inner = parts_of(tree.children[0])[1:]
                # After `.*` a place is one of the whole list, and after `[*]` of each item.
                ends = [index for index, part in enumerate(inner) if part.type == "index"]
                of_item = ends[0] if ends and tree.children[0].type == "attr_splat" else len(inner)
                item = self._suffixes(Node("item", (), "item"), tree.start_byte, inner[:of_item])
                end = inner[of_item - 1].end_byte if of_item else tree.children[0].children[0].end_byte
                found = self._suffixes(self._node("splat", start, end, found, item), start, inner[of_item:])
            else:
                return self._node("unread", start, tree.end_byte)
        return found

    def _place(self, tree: Tree) -> Node:
        if tree.type == "legacy_index":
            return self._whole("value", tree, int(text_of(tree)[1:]))
        return self.expression(parts_of(tree)[1])

    def _unread(self, tree: Tree) -> Node:
        return self._whole("unread", tree)

    def _name(self, tree: Tree) -> Node:
        return self._whole("name", tree, text_of(tree))

    def _literal(self, tree: Tree) -> Node:
        inner = parts_of(tree)[0]
        text = text_of(inner)
        if inner.type == "string_lit":
            plain = self.code[inner.start_byte + 1 : inner.end_byte - 1].decode("utf-8", "replace")
            return self._whole("value", tree, self._written(_unescaped(plain), inner))
        if inner.type == "numeric_lit":
            return self._whole("value", tree, int(text) if text.isdigit() and len(text) < 20 else float(text))
        return self._whole("value", tree, {"true": True, "false": False}.get(text))

    def _text(self, tree: Tree) -> Node:
        inner = parts_of(tree)[0]
        if inner.type == "quoted_template":
            found = self.template(inner, inner.start_byte + 1, inner.end_byte - 1, _unescaped)
            # A text has its quotes; one expression alone keeps its own place.
            is_text = (found.start, found.end) == (inner.start_byte + 1, inner.end_byte - 1)
            if is_text and found.kind == "value":
                return self._whole("value", inner, self._written(found.parts[0], inner))
            return self._whole(found.kind, inner, *found.parts) if is_text else found
        kinds = [part.type for part in parts_of(inner)]
        name = parts_of(inner)[kinds.index("heredoc_identifier")]
        end = parts_of(inner)[-1]
        start = self.code.find(b"\n", name.end_byte) + 1
        last = self.code.rfind(b"\n", start - 1, end.start_byte) + 1
        indent = 0
        if text_of(inner).startswith("<<-"):
            lines = [line for line in self.code[start:last].split(b"\n") if line.strip()]
            indent = min((len(line) - len(line.lstrip(b" \t")) for line in lines), default=0)
        return self.template(inner, start, last, indent=indent)

    def template(
        self,
        tree: Tree,
        start: int,
        end: int,
        unescape: Callable[[str], str] | None = None,
        indent: int = 0,
    ) -> Node:
        """Return the tree of a text between two places; a text that is one expression alone is that expression."""
        parts: list[Node] = []
        begins_line = True
        for piece in pieces(tree, self.code, start=start, end=end, is_inner=_is_inner):
            if not isinstance(piece, bytes):
                inner = parts_of(piece)
                is_plain = [one.type for one in inner[1:-1]] == ["expression"]
                parts.append(self.expression(inner[1]) if is_plain else self._whole("unread", piece))
                begins_line = False
                continue
            plain = piece.decode("utf-8", "replace")
            if indent:
                begins = r"(?:\A|(?<=\n))" if begins_line else r"(?<=\n)"
                plain = re.sub(rf"{begins}[ \t]{{1,{indent}}}", "", plain)
                begins_line = plain.endswith("\n")
            plain = unescape(plain) if unescape else _DOUBLED.sub(r"\1{", plain)
            parts.append(Node("value", (plain,), plain))
        if len(parts) == 1:
            return parts[0] if parts[0].start else self._node("value", start, end, parts[0].parts[0])
        return self._node("template", start, end, tuple(parts)) if parts else self._node("value", start, end, "")

    def _collection(self, tree: Tree) -> Node:
        inner = parts_of(tree)[0]
        if inner.type == "tuple":
            items = [part for part in parts_of(inner) if part.type == "expression"]
            return self._whole("list", tree, tuple((False, self.expression(item)) for item in items))
        pairs = []
        for element in (part for part in parts_of(inner) if part.type == "object_elem"):
            key, _, value = parts_of(element)
            pairs.append((self._key(key), self.expression(value)))
        return self._whole("object", tree, tuple(pairs))

    def _key(self, tree: Tree) -> Node:
        inner = parts_of(tree)
        if [part.type for part in inner] == ["variable_expr"]:
            return self._whole("value", tree, self._written(text_of(tree), tree))
        return self.expression(tree)

    def _call(self, tree: Tree) -> Node:
        name, *inner = parts_of(tree)
        arguments = [part for one in inner if one.type == "function_arguments" for part in parts_of(one)]
        values = [part for part in arguments if part.type == "expression"]
        is_spread = any(part.type == "ellipsis" for part in arguments)
        return self._whole("call", tree, text_of(name), tuple(map(self.expression, values)), is_spread)

    def _for(self, tree: Tree) -> Node:
        inner = parts_of(parts_of(tree)[0])
        intro = next(part for part in inner if part.type == "for_intro")
        names = tuple(text_of(part) for part in parts_of(intro) if part.type == "identifier")
        over = next(part for part in parts_of(intro) if part.type == "expression")
        made = [self.expression(part) for part in inner if part.type == "expression"]
        conditions = [parts_of(part)[1] for part in inner if part.type == "for_cond"]
        condition = self.expression(conditions[0]) if conditions else None
        is_grouped = any(part.type == "ellipsis" for part in inner)
        key = made[0] if len(made) > 1 else None
        return self._whole("for", tree, names, self.expression(over), key, made[-1], condition, is_grouped)

    def _operation(self, tree: Tree) -> Node:
        inner = parts_of(parts_of(tree)[0])
        with self.nesting.deeper():
            if parts_of(tree)[0].type == "unary_operation":
                return self._whole("unary", tree, inner[0].type, self._chain(inner[1:]))
            place = next(index for index, part in enumerate(inner) if index and part.type in _OPERATORS)
            left, right = self._chain(inner[:place]), self._chain(inner[place + 1 :])
            return self._whole("binary", tree, inner[place].type, left, right)

    def _conditional(self, tree: Tree) -> Node:
        with self.nesting.deeper():
            condition, chosen, otherwise = [part for part in parts_of(tree) if part.is_named]
            sides = self.expression(chosen), self.expression(otherwise)
            return self._otherwise(self.expression(condition), *sides, tree.end_byte)

    def _otherwise(self, condition: Node, chosen: Node, otherwise: Node, end: int) -> Node:
        """Return a conditional; the grammar takes `a ? b : c ? d : e` for `(a ? b : c) ? d : e`."""
        if condition.kind == "if":
            first, second, last = condition.parts
            rest = self._otherwise(last, chosen, otherwise, end)
            return self._node("if", condition.start, end, first, second, rest)
        return self._node("if", condition.start, end, condition, chosen, otherwise)

    _READERS = {  # noqa: RUF012  functions, which nothing changes
        "literal_value": _literal,
        "template_expr": _text,
        "collection_value": _collection,
        "variable_expr": _name,
        "function_call": _call,
        "for_expr": _for,
        "operation": _operation,
        "conditional": _conditional,
    }


_OPERATORS = frozenset(["==", "!=", "<", ">", "<=", ">=", "+", "-", "*", "/", "%", "&&", "||"])


def _is_inner(tree: Tree) -> bool:
    return tree.type in ("template_interpolation", "template_directive")


def _unescaped(text: str) -> str:
    def plain(found: re.Match[str]) -> str:
        if found[1]:
            return _LETTERS.get(found[1], found[1])
        code = int(found[2] or found[3], 16)
        return chr(code) if code <= sys.maxunicode else found[0]

    return _DOUBLED.sub(r"\1{", _ESCAPE.sub(plain, text))


def _json_blocks(kind: str, value: object, labels: int, named: tuple[str, ...] = ()) -> list[Block]:
    """Return the blocks that a key of Terraform's JSON has, each with its labels."""
    if isinstance(value, list):
        return [block for one in value for block in _json_blocks(kind, one, labels, named)]
    if not isinstance(value, Mapping):
        if labels or kind == "locals":
            raise InputError(f"not valid Terraform: `{kind}` is not a block")
        return []
    if labels:
        return [
            block for label, one in value.items() for block in _json_blocks(kind, one, labels - 1, (*named, str(label)))
        ]
    inner = []
    for name in _BLOCKS_WITHIN if kind not in ("locals", "variable") else ():
        if name in value:
            inner += _json_blocks(name, value[name], _LABELS.get(name, 0))
    return [Block(kind, named, _json_attributes(value), tuple(inner))]


def _json_attributes(document: Mapping[str, Any]) -> dict[str, Node]:
    return {str(key): _json_node(value) for key, value in document.items()}


def _json_node(value: object) -> Node:
    if isinstance(value, str):
        try:
            return read_template(value)
        except InputError:
            return Node("unread", (), value)
    if isinstance(value, list):
        return Node("list", (tuple((False, _json_node(item)) for item in value),), "[…]")
    if isinstance(value, Mapping):
        pairs = tuple((_json_node(str(key)), _json_node(item)) for key, item in value.items())
        return Node("object", (pairs,), "{…}")
    return Node("value", (value,), str(value))
