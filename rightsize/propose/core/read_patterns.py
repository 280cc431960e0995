"""Compute the read-only part of a role's action patterns, as patterns that Azure accepts.

No log shows reads of Azure Resource Manager, so they stay as they were granted: `*` becomes `*/read`,
`Microsoft.Compute/*` becomes `Microsoft.Compute/*/read`. Only `actions` are treated so; each data action is judged by
itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from rightsize.model.nouns import PermissionBlock
from rightsize.propose.core.bitsets import FoldedKey
from rightsize.rbac.algebra import contains, intersects
from rightsize.rbac.text import Folded, fold

READ = "/read"


@dataclass(frozen=True, slots=True, order=True)
class PatternPart:
    """Patterns of one permission block with its not-patterns, sorted; kept as they were granted."""

    patterns: tuple[str, ...]
    not_patterns: tuple[str, ...] = ()
    plane: str = "control"

    @property
    def text(self) -> str:
        """The pattern of a part that has one, as `strings_of` yields it."""
        (found,) = self.patterns
        return found

    @property
    def key(self) -> FoldedKey:
        """(plane, folded pattern) of a part that has one."""
        return self.plane, fold(self.text)

    @property
    def folded(self) -> tuple[Folded, ...]:
        """The folded patterns, one for each pattern."""
        return tuple(map(fold, self.patterns))

    @property
    def block(self) -> PermissionBlock:
        """The part as a permission block."""
        if self.plane == "data":
            return PermissionBlock(data_actions=self.patterns, not_data_actions=self.not_patterns)
        return PermissionBlock(actions=self.patterns, not_actions=self.not_patterns)


def by_plane(block: PermissionBlock) -> Iterator[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """Yield (plane, strings, not-strings) of both planes of a block."""
    yield "control", block.actions, block.not_actions
    yield "data", block.data_actions, block.not_data_actions


def strings_of(block: PermissionBlock) -> Iterator[PatternPart]:
    """Yield the actions of a block, then its dataActions, each with the not-strings beside it."""
    for plane, texts, taken_out in by_plane(block):
        for text in texts:
            yield PatternPart((text,), taken_out, plane)


def strings_in(blocks: Iterable[PermissionBlock]) -> frozenset[FoldedKey]:
    """Return (plane, folded string) of every string and not-string in permission blocks."""
    planes = [one for block in blocks for one in by_plane(block)]
    return frozenset((plane, fold(text)) for plane, texts, nots in planes for text in (*texts, *nots))


def is_read(pattern: str) -> bool:
    """Return whether an operation or pattern allows only reads."""
    return fold(pattern).endswith(READ)


def in_order(texts: Iterable[str]) -> tuple[str, ...]:
    """Return distinct strings of a role, sorted without regard to case."""
    return tuple(sorted(set(texts), key=lambda text: (fold(text), text)))


@lru_cache(maxsize=4_096)
def reading_parts(blocks: tuple[PermissionBlock, ...], *, within: str | None = None) -> tuple[PatternPart, ...]:
    """Return the read-only part of permission blocks, one part for each distinct set of not-patterns.

    Args:
        blocks: The permission blocks of the role; those with a condition are left out.
        within: A resource provider: only its reads are returned. None returns all.
    """
    merged: dict[tuple[str, ...], set[str]] = {}
    for block in blocks:
        if block.condition is not None:
            continue
        patterns = {reading for pattern in block.actions if (reading := reading_pattern(pattern)) is not None}
        if within is not None:
            patterns = {narrow for pattern in patterns if (narrow := _of_provider(pattern, within)) is not None}
        if not patterns:
            continue
        taken_out = met((text.strip() for text in block.not_actions), patterns)
        merged.setdefault(taken_out, set()).update(patterns)
    return tuple(sorted(PatternPart(without_redundant(patterns), taken_out) for taken_out, patterns in merged.items()))


def reading_pattern(pattern: str) -> str | None:
    """Return the read-only part of a pattern with exactly one `*`, or None if it has no such part.

    `a/b/*` becomes `a/b/*/read`, which does not match `a/b/read`. Explicit operations cover the reads that one `*`
    cannot express, reads without a `*`, and all reads of a pattern with several `*`: such patterns are read, but never
    written.
    """
    text = pattern.strip()
    if text.count("*") != 1:
        return None
    if is_read(text):
        return text
    head, star, tail = text.partition("*")
    return f"{head}*{READ}" if star and READ.endswith(fold(tail)) else None


def without_redundant(patterns: Iterable[str]) -> tuple[str, ...]:
    """Return the patterns that no other pattern contains, sorted by their folded text."""
    spelled: dict[str, str] = {}
    for text in sorted(patterns):
        spelled.setdefault(fold(text), text)
    wild = [text for text in spelled if "*" in text]
    kept = [text for text in spelled if not any(other != text and _pattern_contains(other, text) for other in wild)]
    return tuple(spelled[text] for text in sorted(kept))


def _pattern_contains(big: str, small: str) -> bool:
    return contains([PermissionBlock(actions=(big,))], [PermissionBlock(actions=(small,))]) is None


def met(not_patterns: Iterable[str], patterns: Iterable[str]) -> tuple[str, ...]:
    """Return the not-patterns that take something out of the patterns, sorted."""
    wanted = tuple(patterns)
    return in_order(text for text in not_patterns if _meets(text, wanted))


def _meets(not_pattern: str, patterns: Iterable[str]) -> bool:
    return intersects([PermissionBlock(actions=(not_pattern,))], [PermissionBlock(actions=tuple(patterns))])


def _of_provider(pattern: str, provider: str) -> str | None:
    lead = fold(provider) + "/"
    folded = fold(pattern)
    if folded.startswith(lead):
        return pattern
    head, star, _ = folded.partition("*")
    if star and lead.startswith(head):
        narrowed = f"{provider}/*{READ}"
        return narrowed if _pattern_contains(folded, narrowed) else None
    return None
