"""Define the statements of a Bicep file, cut it into them, and mask signs that the grammar of its tree does not know.

Each statement is parsed alone: one that the grammar does not know, such as an extension, hides no other. Two signs are
masked by others of the same length, so that all places stay: `...`, and the `!` that only says that there is a value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rightsize.model.errors import InputError
from rightsize.model.expression_tree import Node

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
