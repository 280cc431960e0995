"""Find the entry of a list or a map that a place of a file is in, and write the edits that copy or delete a part.

An edit changes whole entries and blocks only. A copy stands before what it is a copy of, so that a comment above it is
that of the new one once the old one is deleted. `unified` writes changed files as a diff that `git apply` takes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import unified_diff

from rightsize.iac.expressions import Node
from rightsize.iac.hcl_syntax import Block
from rightsize.iac.patch.grants import Edit


@dataclass(frozen=True, slots=True)
class Element:
    """An entry of a list or a map.

    Attributes:
        start: The byte that it starts at.
        end: The byte after it.
        key: The node of its key; None in a list.
        value: The node of its value; None where it is not needed.
    """

    start: int
    end: int
    key: Node | None
    value: Node | None = None


def enclosing(file: Block, place: int, code: bytes) -> list[Element]:
    """Return the entries around a place of a file of Terraform, the innermost first."""
    for node in _attributes(file):
        if node.start <= place < node.end:
            return elements_in(node, place, code)
    return []


def elements_in(node: Node, place: int, code: bytes) -> list[Element]:
    """Return the entries around a place in an expression, the innermost first."""
    return list(_within(node, place, code))[::-1]


def _attributes(block: Block) -> Iterator[Node]:
    yield from block.attributes.values()
    for inner in block.blocks:
        yield from _attributes(inner)


def _within(node: Node, place: int, code: bytes) -> Iterator[Element]:
    for key, inner in _parts(node):
        start, end = whole(inner, code)
        start = key.start if key is not None else start
        if start <= place < end:
            if node.kind == "list" or key is not None:
                yield Element(start, end, key, inner)
            yield from _within(inner, place, code)


def _parts(node: Node) -> Iterator[tuple[Node | None, Node]]:
    if node.kind == "list":
        yield from ((None, item) for _, item in node.parts[0])
    elif node.kind == "object":
        yield from node.parts[0]
    else:
        waiting = list(node.parts)
        while waiting:
            part = waiting.pop()
            if isinstance(part, Node):
                yield None, part
            elif isinstance(part, tuple):
                waiting += part


def whole(node: Node, code: bytes) -> tuple[int, int]:
    """Return where an expression stands; one that is a text by itself stands in quotes and a `${`."""
    if code[node.start - 3 : node.start] == b'"${' and code[node.end : node.end + 2] == b'}"':
        return node.start - 3, node.end + 2
    return node.start, node.end


def write_beside(path: str, code: bytes, element: Element, texts: Sequence[str], *, comma: bool) -> tuple[Edit, Edit]:
    """Return the edit that writes entries before another one, and the one that writes them in its place.

    Args:
        path: The file.
        code: Its content.
        element: The other entry; the new ones stand on lines of their own where it does.
        texts: The new entries.
        comma: Whether a comma separates entries on lines of their own.
    """
    line = code.rfind(b"\n", 0, element.start) + 1
    indent = code[line : element.start]
    is_inline = bool(indent.strip()) or not line
    between = ", " if is_inline else f"{',' if comma else ''}\n{indent.decode()}"
    add = Edit(path, element.start, element.start, "".join(f"{text}{between}" for text in texts))
    return add, Edit(path, element.start, element.end, between.join(texts))


def has_comma(code: bytes, element: Element) -> bool:
    """Return whether a comma follows an entry."""
    return code[element.end :].lstrip(b" \t").startswith(b",")


_BEFORE = re.compile(rb"(?:,[ \t]*)?\Z")
_AFTER = re.compile(rb"[ \t]*,?[ \t]*(?:(?:#|//)[^\n]*)?\r?(?:\n|\Z)")


def delete_element(path: str, code: bytes, element: Element) -> Edit:
    """Return the edit that deletes an entry with its comma; its lines and the comment above where it stands alone."""
    line = code.rfind(b"\n", 0, element.start) + 1
    after = _AFTER.match(code, element.end)
    if not code[line : element.start].strip() and after:
        return Edit(path, comment_above(code, line), after.end(), "")
    if comma := re.compile(rb"[ \t]*,[ \t]*").match(code, element.end):
        return Edit(path, element.start, comma.end(), "")
    before = _BEFORE.search(code[: element.start].rstrip(b" \t"))
    start = before.start() if before is not None and before[0] else element.start
    return Edit(path, start, element.end, "")


def delete_block(path: str, code: bytes, start: int, end: int) -> Edit:
    """Return the edit that deletes a block with the comment above it and one empty line beside it."""
    first = comment_above(code, code.rfind(b"\n", 0, start) + 1)
    after = re.compile(rb"[ \t]*(?:(?:#|//)[^\n]*)?\r?\n?(?:[ \t]*\r?\n)?").match(code, end)
    last = after.end() if after else end
    if last >= len(code) and code[:first].strip():
        first = len(code[:first].rstrip(b"\r\n")) + 1
    return Edit(path, first, last, "")


def comment_above(code: bytes, line: int) -> int:
    """Return where the comment begins that ends right above a line; the line itself where there is none."""
    place = line
    while place:
        before = code.rfind(b"\n", 0, place - 1) + 1
        text = code[before:place].strip()
        if not text.startswith((b"#", b"//")):
            break
        place = before
    return place


def end_of_line(code: bytes, place: int) -> int:
    """Return where what comes next on a new line is written: behind the spaces and the comment that follow a place."""
    found = re.compile(rb"[ \t]*(?:(?:#|//)[^\r\n]*)?").match(code, place)
    return found.end() if found is not None and found[0].strip() else place


_PLAIN = frozenset(range(0x20, 0x7F)) - set(b'"\\')
_END = "\\ No newline at end of file\n"


def unified(before: Mapping[str, bytes], after: Mapping[str, bytes], folder: str = "") -> str:
    """Return the changes between files by their path; a file that only the second has is made.

    Git reads paths from the root of the repository, in whose folder the files are.
    """
    paths = sorted(path for path in after if before.get(path) != after[path])
    return "".join(part for path in paths for part in _of_file(folder + path, before.get(path), after[path]))


def _of_file(path: str, before: bytes | None, after: bytes) -> Iterator[str]:
    old, new = _name(f"a/{path}"), _name(f"b/{path}")
    yield f"diff --git {old} {new}\n"
    if before is None:
        yield "new file mode 100644\n"
    lines = unified_diff(
        _lines(before or b""),
        _lines(after),
        "/dev/null" if before is None else old,
        new,
    )
    for line in lines:
        yield line if line.endswith("\n") else f"{line}\n{_END}"


def _lines(content: bytes) -> list[str]:
    # No other character than a line feed ends a line for git.
    parts = content.decode("utf-8", "surrogateescape").split("\n")
    return [f"{part}\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def _name(path: str) -> str:
    """Return a path as git writes it: in quotes, with codes of bytes, where it has signs beyond plain ASCII."""
    code = path.encode("utf-8", "surrogateescape")
    if all(byte in _PLAIN for byte in code):
        # A space in a name ends at a tab in the lines of the files.
        return path
    return '"' + "".join(chr(byte) if byte in _PLAIN else f"\\{byte:03o}" for byte in code) + '"'
