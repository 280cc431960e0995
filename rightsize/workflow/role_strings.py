"""Say what each string of a role matches in a catalogue, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from rightsize.model.nouns import Folded, PermissionBlock
from rightsize.rbac.expand import Catalogue, Planes
from rightsize.rbac.patterns import loosened, parse_pattern
from rightsize.rbac.permissions import PLANES
from rightsize.rbac.text import fold

_LISTS = (
    ("actions", "control"),
    ("not_actions", "control"),
    ("data_actions", "data"),
    ("not_data_actions", "data"),
)


def describe_strings(
    blocks: Sequence[PermissionBlock], operations: Sequence[tuple[str, Planes]], used: Collection[tuple[str, Folded]]
) -> list[dict[str, Any]]:
    """Return `{string, list, operations, used, problem}` for each string of permission blocks, in their order.

    Args:
        blocks: The blocks.
        operations: The catalogue: each name with its known planes, empty if they are unknown.
        used: The (plane, folded operation) of the use that counts in `used`.
    """
    index = Catalogue([name for name, _ in operations])
    rows = []
    for field, plane in _LISTS:
        for text in dict.fromkeys(text for block in blocks for text in getattr(block, field)):
            pattern = parse_pattern(text)
            found = set[int]().union(*(index.matching(one) for one in (pattern, *loosened(pattern))))
            names = [operations[at][0] for at in found if plane in (operations[at][1] or PLANES)]
            rows.append(
                {
                    "string": text,
                    "list": field,
                    "operations": len(names),
                    "used": sum((plane, fold(name)) in used for name in names),
                    "problem": _problem(text, len(names) if operations else None, grants=not field.startswith("not_")),
                }
            )
    return rows


def _problem(text: str, operations: int | None, *, grants: bool) -> str | None:
    """Return what is wrong with a string; `operations` is None where no catalogue is loaded."""
    pattern = parse_pattern(text)
    if not pattern.is_simple:
        return "several_stars: Azure accepts one `*` in a string"
    if operations == 0:
        return "matches_nothing: no operation of the catalogue matches it on this plane"
    if grants and not pattern.is_literal and not pattern.text.endswith("/read"):
        return "wildcard: it also grants what Azure adds later"
    return None
