"""Define the nouns of a patch: what an assignment grants, what a plan wants instead, and the edits that make it."""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import unified_diff
from itertools import pairwise
from typing import Any

from rightsize.iac.expressions import Node
from rightsize.iac.hcl_syntax import Block, read_hcl
from rightsize.iac.terraform import variables_of
from rightsize.model.errors import InputError
from rightsize.model.text import GUID_FORM, fold

_ROLES_PATH = "/providers/microsoft.authorization/roledefinitions/"


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """The access that an assignment grants; all fields but the condition are folded."""

    scope: str
    role: str
    principal_id: str
    condition: str = ""
    state: str = "active"
    end_on: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An assignment that the plan makes.

    Attributes:
        grant: What it grants.
        scope: Its scope as Azure spells it.
        role_name: The display name of its role.
        role_path: The id of its role in Resource Manager.
        is_new: Whether the plan makes the role.
        word: A name of the role for code, in letters, digits and `_`.
        label: A name of the assignment for code: that of the role, with the place where one change makes several of it.
    """

    grant: Grant
    scope: str
    role_name: str
    role_path: str
    is_new: bool
    word: str
    label: str


@dataclass(frozen=True, slots=True)
class Change:
    """The change that the plan makes to one assignment of today.

    Attributes:
        proposal: The id of the proposal.
        old: The folded GUID of the assignment.
        today: What it grants.
        wanted: What comes in its place; nothing where it is only removed.
        said: The change in words.
        vault: For an access policy, the folded key vault, whose model changes once the new access is there; `old` is
            the grant of the policy.
    """

    proposal: str
    old: str
    today: Grant
    wanted: tuple[Wanted, ...]
    said: str
    vault: str = ""


@dataclass(frozen=True, slots=True)
class Roles:
    """The roles of the tenant and of the plan.

    Attributes:
        names: The GUID of a role by its folded display name; a name of two roles is not among them.
    """

    names: Mapping[str, str]

    def role_of(self, value: object, *, by_name: bool = True, by_id: bool = True) -> str | None:
        """Return the GUID of a role that code names by its id in Resource Manager or by its display name."""
        if not isinstance(value, str) or not value:
            return None
        if "/" in value and _ROLES_PATH in fold(value):
            last = fold(value.split("|")[0].rsplit("/", 1)[-1])
            return last if by_id and GUID_FORM.fullmatch(last) else None
        return self.names.get(fold(value)) if by_name else None


@dataclass(frozen=True, slots=True, order=True)
class Edit:
    """A text that takes the place of some bytes of a file; an insertion where it begins and ends at one byte."""

    path: str
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Offer:
    """Edits of today's files that carry out changes.

    Attributes:
        changes: The changes.
        add: What leads to the code of the first phase, which has the new access beside the old.
        both: What leads to the code of the second, which has the new alone.
        is_last: Whether nothing else could be tried, so that the whole proof is the first trial.
        block: The file and the label of the block whose assignments change.
    """

    changes: tuple[Change, ...]
    add: tuple[Edit, ...] = ()
    both: tuple[Edit, ...] = ()
    is_last: bool = False
    block: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class Refused:
    """A change that no edit is offered for: the place in the code where it would be made, and why it is not."""

    change: Change
    why: str
    path: str = ""
    line: int = 0


def new_roles(changes: Iterable[Change]) -> dict[str, Wanted]:
    """Return for each new role that changes give, by its GUID, an assignment of it."""
    return {one.grant.role: one for change in changes for one in change.wanted if one.is_new}


def overlap(edits: Iterable[Edit]) -> bool:
    """Return whether two edits touch the same bytes; two that only delete may do so."""
    ordered = sorted(set(edits), key=lambda one: (one.path, one.start, one.end))
    return any(
        one.path == other.path and other.start < one.end and bool(one.text or other.text)
        for one, other in pairwise(ordered)
    )


@dataclass(slots=True)
class Code:
    """The files of a repository by their path, each parsed once.

    Attributes:
        files: The content of each file.
        kept: What readers keep of a file, by its path; it goes where the file is edited.
    """

    files: Mapping[str, bytes]
    kept: dict[str, Any] = field(default_factory=dict)
    _parsed: dict[str, Block] = field(default_factory=dict)
    _folders: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        folders: dict[str, list[str]] = defaultdict(list)
        for path in sorted(self.files):
            folders[path.rpartition("/")[0]].append(path)
        self._folders = dict(folders)

    def names(self, folder: str) -> list[str]:
        """Return the paths of the files of a folder, sorted."""
        return self._folders.get(folder, [])

    def parsed(self, path: str) -> Block:
        """Return the content of a file of Terraform.

        Raises:
            InputError: It is none.
        """
        if path not in self._parsed:
            try:
                self._parsed[path] = read_hcl.__wrapped__(plain(self.files[path]).decode(), path)
            except (InputError, UnicodeDecodeError) as error:
                raise InputError(f"`{path}`: {error}") from None
        return self._parsed[path]

    def variables(self, path: str) -> Mapping[str, Any]:
        """Return the values of a file of variables; raise InputError where it is none."""
        if path.endswith(".json"):
            return variables_of(path, self.files[path])
        return self.parsed(path).attributes

    def edited(self, edits: Iterable[Edit]) -> Code:
        """Return the code with edits made; files without any keep their trees."""
        by_path: dict[str, list[Edit]] = defaultdict(list)
        for one in dict.fromkeys(edits):
            by_path[one.path].append(one)
        files = {**self.files, **{path: _edited(self.files.get(path, b""), own) for path, own in by_path.items()}}
        made = Code(files)
        made._parsed = {path: block for path, block in self._parsed.items() if path not in by_path}
        made.kept = {path: one for path, one in self.kept.items() if path not in by_path}
        return made

    def line(self, path: str, place: int) -> int:
        """Return the number of the line at a byte."""
        return self.files[path].count(b"\n", 0, place) + 1


def plain(code: bytes) -> bytes:
    """Return code of the same length without a mark of the byte order."""
    return code.replace(BOM_UTF8, b"   ", 1) if code.startswith(BOM_UTF8) else code


def _edited(code: bytes, edits: Iterable[Edit]) -> bytes:
    parts, place = [], 0
    for one in sorted(edits, key=lambda one: (one.start, one.end)):
        text = one.text.replace("\r\n", "\n").replace("\n", "\r\n") if b"\r\n" in code else one.text
        parts += [code[place : one.start], text.encode()]
        place = max(place, one.end)
    return b"".join([*parts, code[place:]])


Quote = Callable[[str], str]
"""Returns a text as code has it between quotes, so that no sign of it ends the text or starts an expression."""


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
