"""Parse code of Terraform and Bicep into lossless trees: each part has its place, and no byte of the file is lost.

What is made of these trees (`code_hcl`, `code_bicep`) keeps the places, so that code can be changed where it stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

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
