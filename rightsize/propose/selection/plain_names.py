"""Make harmless, unique names of display names, which anybody may have chosen, and file names of such names.

An allow list decides what stays: letters, digits and a few separators. `render.escape` still escapes each name in
every output; a name in a role definition reaches portals and scripts that this program does not write.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from rightsize.rbac.text import Folded

LONGEST = 64
"""The most characters of a role's name: Azure accepts 512, its portal shows about as many as this in a column."""

DASH = "\u2013"
"""The dash between the purpose of a role and its place."""
_INNER = frozenset("-_")
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
_MOST_MARKS = 2
_SELECTORS = (range(0x180B, 0x1810), range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))


def plain_name(text: str, longest: int = LONGEST, also: str = "") -> str:
    """Return the letters, digits, spaces, hyphens and underscores of a display name, cut at a word.

    Everything else becomes a space: control and invisible characters, directions, quotes, slashes, `$`, `=`.

    Args:
        text: The display name.
        longest: The most characters of the result.
        also: Further characters that stay between letters and digits.
    """
    kept, marks = [], 0
    # No name is read beyond what a long one has: normalising a megabyte takes its time.
    for character in unicodedata.normalize("NFC", text[: 8 * longest]):
        category = unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Mc") else 0
        hidden = character in _INVISIBLE or any(ord(character) in block for block in _SELECTORS)
        if hidden or marks > _MOST_MARKS:
            continue
        known = category[0] == "L" or category in ("Nd", "Mn", "Mc")
        kept.append(character if known or character in _INNER or character in also else " ")
    words = (word.strip("".join(_INNER) + also) for word in "".join(kept).split())
    return fitted(" ".join(word for word in words if word), longest)


def fitted(text: str, longest: int) -> str:
    """Return a text cut to a length, at the end of a word where that leaves more than half of it."""
    if len(text) <= longest:
        return text
    cut = text[: max(0, longest)]
    at_word = cut.rpartition(" ")[0] if text[longest : longest + 1] != " " else cut
    return (at_word if len(at_word) > longest // 2 else cut).rstrip(f" -_{DASH}")


def comparable(name: str) -> str:
    """Return the form in which two names of roles are the same name to Azure, or to a reader."""
    return unicodedata.normalize("NFKC", name).casefold().strip()


def unique_names(
    wanted: Mapping[Folded, Sequence[str]], taken: Iterable[str], earlier: Mapping[Folded, str] | None = None
) -> dict[Folded, str]:
    """Return a name for each role that no other role has; roles are told apart by their next wishes, then by a number.

    Args:
        wanted: By id of a role, the names that it may have, the best first.
        taken: The names of the roles that the tenant has.
        earlier: By id, the name that a role had in an earlier plan; it keeps the name, made harmless, where that is
            free.
    """
    used = {comparable(name) for name in taken}
    found: dict[Folded, str] = {}
    for id_ in sorted(set(wanted) & set(earlier or {})):
        name = _plain_role_name((earlier or {})[id_])
        if name and comparable(name) not in used:
            found[id_] = name
            used.add(comparable(name))
    for wish in range(max(map(len, wanted.values()), default=0)):
        claims: dict[str, list[Folded]] = defaultdict(list)
        for id_ in sorted(set(wanted) - set(found)):
            if wish < len(wanted[id_]):
                claims[comparable(wanted[id_][wish])].append(id_)
        for name, ids in claims.items():
            if len(ids) == 1 and name not in used:
                found[ids[0]] = wanted[ids[0]][wish]
                used.add(name)
    numbers: dict[str, int] = {}
    for id_ in sorted(set(wanted) - set(found)):
        found[id_] = _numbered(wanted[id_][0], used, numbers)
        used.add(comparable(found[id_]))
    return found


def _plain_role_name(name: str) -> str:
    """Return the name of a role, as a file gives it, with what `plain_name` lets through on both sides of its dash."""
    parts = (plain_name(part) for part in name[: 8 * LONGEST].split(f" {DASH} "))
    return fitted(f" {DASH} ".join(part for part in parts if part), LONGEST)


def _numbered(name: str, used: set[str], numbers: dict[str, int]) -> str:
    """Return a name with the lowest number that is free, or without one; `numbers` has the last one of each name."""
    number, chosen = numbers.get(name, 1), name
    while comparable(chosen) in used:
        number += 1
        chosen = f"{fitted(name, LONGEST - len(str(number)) - 1)} {number}"
    numbers[name] = number
    return chosen


def file_names(names: Mapping[Folded, str]) -> dict[Folded, str]:
    """Return a file name for each role by its name: lower-case ASCII letters, digits and hyphens, each only once."""
    wishes = {}
    for id_, name in names.items():
        ascii_ = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
        wishes[id_] = re.sub(r"[^a-z0-9]+", "-", ascii_.lower()).strip("-") or "role"
    found: dict[Folded, str] = {}
    used: set[str] = set()
    for id_ in sorted(wishes):
        number, chosen = 1, wishes[id_]
        while chosen in used:
            number += 1
            chosen = f"{wishes[id_]}-{number}"
        used.add(chosen)
        found[id_] = chosen
    return found
