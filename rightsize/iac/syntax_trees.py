"""Parse code of Terraform and Bicep into lossless trees: each part has its place, and no byte of the file is lost.

What `hcl_syntax` and `bicep_syntax` make of them keeps the places, so that code can be changed where it stands.

A Bicep file is cut into its statements first, and each is parsed alone: one that the grammar does not know, such as an
extension, hides no other. Two signs are masked by others of the same length, so that all places stay: `...`, and the
`!` that only says that there is a value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from rightsize.iac.expressions import Node
from rightsize.model.errors import InputError

if TYPE_CHECKING:
    from tree_sitter import Node as Tree
    from tree_sitter import Parser


_DOUBLED = re.compile(rb"([$%])\1\{")


def parse_hcl(code: bytes) -> Tree:
    """Return the tree of a file of Terraform; parts that the grammar does not know are marked as errors.

    A doubled sign, as in `$${`, is masked for the grammar, which takes `$$${` for the begin of an expression.
    """
    return _parser("hcl").parse(_DOUBLED.sub(rb"\1\1(", _without_nul(code))).root_node


def parse_bicep(code: bytes) -> Tree:
    """Return the tree of one or more statements of Bicep; parts that the grammar does not know are marked as errors."""
    return _parser("bicep").parse(_without_nul(code)).root_node


def _without_nul(code: bytes) -> bytes:
    """Return code of the same length in which no byte ends the text for a grammar."""
    return code.replace(b"\0", b"\1")


@lru_cache
def _parser(name: str) -> Parser:
    import tree_sitter  # noqa: PLC0415  few commands read code

    if name == "hcl":
        from tree_sitter_hcl import language  # noqa: PLC0415
    else:
        from tree_sitter_bicep import language  # noqa: PLC0415
    return tree_sitter.Parser(tree_sitter.Language(language()))


def parts_of(tree: Tree) -> list[Tree]:
    """Return the children of a node without comments."""
    return [child for child in tree.children if child.type not in ("comment", "diagnostic_comment")]


def text_of(tree: Tree) -> str:
    """Return the text of a node as it was parsed."""
    return (tree.text or b"").decode("utf-8", "replace")


def first_error(tree: Tree) -> Tree | None:
    """Return the first part that is not understood, or None."""
    while tree.has_error:
        if tree.is_error or tree.is_missing:
            return tree
        tree = next(child for child in tree.children if child.has_error or child.is_missing)
    return None


def refusal(tree: Tree, code: bytes, start: int = 0) -> InputError:
    """Return the error that a part is not understood.

    Args:
        tree: The part.
        code: The bytes of the whole file.
        start: Where the tree begins in the file.
    """
    place = start + tree.start_byte
    line = code.count(b"\n", 0, place) + 1
    near = code[place : place + 40].split(b"\n")[0].decode("utf-8", "replace").strip()
    return InputError(f"cannot read line {line} {f'at `{near}`' if near else 'at its end'}")


def pieces(
    tree: Tree, code: bytes, *, start: int, end: int, is_inner: Callable[[Tree], bool]
) -> Iterator[bytes | Tree]:
    """Yield the plain text and the interpolations of a text in their order; spaces are kept wherever they stand."""
    place = start
    for child in tree.children:
        if is_inner(child) and start <= child.start_byte < end:
            if child.start_byte > place:
                yield code[place : child.start_byte]
            yield child
            place = child.end_byte
    if end > place:
        yield code[place:end]


_TOKEN = re.compile(
    rb"(?P<comment>//[^\n]*|/\*.*?(?:\*/|\Z)|\#(?:disable|restore)-[^\n]*)|(?P<verbatim>'''.*?(?:'''+|\Z))|(?P<quote>')"
    rb"|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<spread>\.\.\.)|(?P<sure>(?<=[\w)\]])!(?![=~]))|(?P<line>\n)",
    re.DOTALL,
)
_ENDS = re.compile(rb"\A(?:'''.*'''|/\*.*\*/|[^'/]|//).*\Z", re.DOTALL)
_IN_TEXT = re.compile(rb"\\.|(?P<inner>\$\{)|(?P<end>'|\n)", re.DOTALL)
_BEGINS = re.compile(
    rb"[ \t\r]*(?:@|(?:assert|extension|func|import|metadata|module|output|param|provider|resource|targetScope|test"
    rb"|type|using|var)\b)"
)
_BRACKETS = {b"(": b")", b"[": b"]", b"{": b"}"}
# What stands for `...`: to the grammar it is a member of an object, or three signs before an item of a list.
_SPREADS = {b"{": b"_: ", b"[": b"---"}


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop around a resource or a module: its names, and what it goes over."""

    names: tuple[str, ...]
    over: Node


@dataclass(frozen=True, slots=True)
class Statement:
    """A declaration of a Bicep file.

    Attributes:
        keyword: `param`, `var`, `resource` or `module`.
        name: The name that it declares.
        value: Its value; None for a parameter without a default.
        start: The byte of the file that it starts at.
        end: The byte after it.
        kind: The text after the name of a resource or a module: its type, or its file.
        is_existing: Whether it refers to a resource that is there.
        loop: The loop around it.
        condition: The condition before it.
        refusal: What to raise where its value is needed, since it cannot be read.
        children: The resources that stand in its body.
    """

    keyword: str
    name: str
    value: Node | None
    start: int
    end: int
    kind: Node | None = None
    is_existing: bool = False
    loop: Loop | None = None
    condition: Node | None = None
    refusal: InputError | None = None
    children: tuple[Statement, ...] = ()


def cut_statements(code: bytes) -> tuple[bytes, list[int]]:
    """Return the code as the grammar reads it, and where its statements begin."""
    masked = bytearray(code)
    starts = [0]
    open_brackets: list[tuple[bytes, int]] = []
    place = 0
    while found := _TOKEN.search(code, place):
        sign, place = found.lastgroup, found.end()
        if sign == "quote" or (sign == "close" and open_brackets and open_brackets[-1][0] == b"${"):
            if sign == "close":
                open_brackets.pop()
            place = _pass_text(code, place, open_brackets, found.start())
        elif sign == "open":
            open_brackets.append((found[0], found.start()))
        elif sign == "close":
            if not open_brackets or _BRACKETS[open_brackets.pop()[0]] != found[0]:
                raise _unclosed(code, found.start())
        elif sign == "spread":
            inside = open_brackets[-1][0] if open_brackets else b""
            masked[found.start() : place] = _SPREADS.get(inside, b"...")
        elif sign == "sure":
            masked[found.start() : place] = b" "
        elif sign in ("verbatim", "comment") and not _ENDS.search(found[0]):
            raise _unclosed(code, found.start())
        elif sign == "line" and not open_brackets and _BEGINS.match(code, place):
            starts.append(place)
    if open_brackets:
        raise _unclosed(code, open_brackets[-1][1])
    return bytes(masked), starts


def _pass_text(code: bytes, place: int, open_brackets: list[tuple[bytes, int]], start: int) -> int:
    """Return the place after a text in quotes, or after the `${` of an expression in it, which is open then."""
    while found := _IN_TEXT.search(code, place):
        place = found.end()
        if found["inner"]:
            open_brackets.append((b"${", found.start()))
            return place
        if found["end"] == b"'":
            return place
        if found["end"]:
            break
    raise _unclosed(code, start)


def _unclosed(code: bytes, place: int) -> InputError:
    line = code.count(b"\n", 0, place) + 1
    return InputError(f"`{code[place : place + 1].decode('ascii', 'replace')}` in line {line} has no other side")
