"""Permission blocks, read once: patterns parsed, dead ones dropped, planes apart, indexed for quick matching.

A block of a plane grants the language `allowed` minus `nots`. What can be left out without changing that language is
left out, and blocks that subtract the same under the same condition are one. Patterns stand literals first, then by
text, so that answers do not depend on the order in a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from rightsize.model.nouns import PermissionBlock
from rightsize.rbac.patterns import Pattern, parse_pattern

GrantPlane = Literal["control", "data"]
PLANES: tuple[GrantPlane, ...] = ("control", "data")


class PatternSet:
    """A union of patterns, with an index over its literals."""

    __slots__ = ("_heads", "literals", "patterns", "wild")

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        by_text = {pattern.text: pattern for pattern in sorted(patterns, key=lambda found: (found.text, found.spelt))}
        wild = [pattern for pattern in by_text.values() if not pattern.is_literal]
        self.wild = tuple(p for p in wild if not any(other is not p and other.matches(p.text) for other in wild))
        literals = [p for p in by_text.values() if p.is_literal and not any(o.matches(p.text) for o in self.wild)]
        self.literals = frozenset(pattern.text for pattern in literals)
        self.patterns = (*literals, *self.wild)
        self._heads = tuple({pattern.pieces[0] for pattern in self.wild})

    def matches(self, text: str) -> bool:
        """Return whether some pattern matches; for a pattern's text: whether some pattern contains all of it."""
        if text in self.literals:
            return True
        if not text.startswith(self._heads):
            return False
        for pattern in self.wild:  # noqa: SIM110  any() with a generator doubles the time of the innermost loop
            if pattern.matches(text):
                return True
        return False


@dataclass(frozen=True, slots=True)
class PlaneBlock:
    """What one block grants on one plane, under its condition."""

    condition: str | None
    allowed: PatternSet
    nots: PatternSet

    def grants(self, text: str) -> bool:
        """Return whether a folded operation is granted; for a pattern's text: whether a fresh instance of it is."""
        return self.allowed.matches(text) and not self.nots.matches(text)


@dataclass(frozen=True, slots=True)
class Permissions:
    """The blocks of a role, or of several together, read for deciding.

    `spelt_out` has, for each plane, the folded strings without a star, granted or excluded: what the role says of the
    plane of an operation.
    """

    control: tuple[PlaneBlock, ...]
    data: tuple[PlaneBlock, ...]
    spelt_out: dict[GrantPlane, frozenset[str]] = field(compare=False)
    _usable: dict[tuple[str, str | None], tuple[PlaneBlock, ...]] = field(default_factory=dict, compare=False)

    def on(self, plane: str) -> tuple[PlaneBlock, ...]:
        """Return the blocks of a plane; planes other than control and data have none."""
        return self.control if plane == "control" else self.data if plane == "data" else ()

    def usable(self, plane: str, condition: str | None) -> tuple[PlaneBlock, ...]:
        """Return the blocks that grant without a condition, or under that very one."""
        key = (plane, condition)
        if key not in self._usable:
            self._usable[key] = tuple(block for block in self.on(plane) if block.condition in (None, condition))
        return self._usable[key]


def read_permissions(blocks: Sequence[PermissionBlock] | Permissions) -> Permissions:
    """Return blocks read for deciding; what was read lately is remembered."""
    return blocks if isinstance(blocks, Permissions) else _read(tuple(blocks))


@lru_cache(maxsize=4_096)
def _read(blocks: tuple[PermissionBlock, ...]) -> Permissions:
    control = [(block.condition, block.actions, block.not_actions) for block in blocks]
    data = [(block.condition, block.data_actions, block.not_data_actions) for block in blocks]
    return Permissions(
        _plane_blocks(control), _plane_blocks(data), {"control": _spelt_out(control), "data": _spelt_out(data)}
    )


def _spelt_out(blocks: Iterable[tuple[str | None, Sequence[str], Sequence[str]]]) -> frozenset[str]:
    texts = (text for _, allowed, nots in blocks for text in (*allowed, *nots))
    return frozenset(pattern.text for pattern in map(parse_pattern, texts) if pattern.is_literal)


def _plane_blocks(
    blocks: Iterable[tuple[str | None, Sequence[str], Sequence[str]]],
) -> tuple[PlaneBlock, ...]:
    merged: dict[tuple[str | None, tuple[str, ...]], tuple[list[Pattern], PatternSet]] = {}
    for condition_text, allowed_texts, not_texts in blocks:
        condition = (condition_text or "").strip() or None
        nots = PatternSet(map(parse_pattern, not_texts))
        live = [pattern for pattern in map(parse_pattern, allowed_texts) if not nots.matches(pattern.text)]
        cutting = PatternSet(pattern for pattern in nots.patterns if any(map(pattern.overlaps, live)))
        if live:
            key = (condition, tuple(pattern.text for pattern in cutting.patterns))
            merged.setdefault(key, ([], cutting))[0].extend(live)
    return tuple(
        PlaneBlock(condition, PatternSet(live), nots)
        for (condition, _), (live, nots) in sorted(merged.items(), key=lambda item: (item[0][0] or "", item[0][1]))
    )
