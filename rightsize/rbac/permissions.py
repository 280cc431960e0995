"""Prepare permission blocks for matching: parse their patterns, drop useless ones, separate planes, index literals.

A block of a plane grants the language `allowed` minus `nots`. Patterns that do not change this language are left out,
and blocks with the same not-patterns and the same condition are merged. Patterns are sorted, literals first, then by
text, so that answers do not depend on the order in a file.

It is not known whether `X/*/y` matches `X/y` (see `rbac.patterns`), so blocks are read in two ways. *Most* is the most
that Azure can mean: actions generous, not-actions strict. *Least* is the least: actions strict, not-actions generous.
The true meaning lies between the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property, lru_cache
from typing import Literal

from rightsize.model.nouns import PermissionBlock
from rightsize.rbac.patterns import Pattern, loosened, parse_pattern

GrantPlane = Literal["control", "data"]
PLANES: tuple[GrantPlane, ...] = ("control", "data")


class Reading(Enum):
    """The two readings of `/*/`: it may stand for `/`, or it may not."""

    MOST = "most"
    """In actions it may, in not-actions it may not: the most that may be granted."""
    LEAST = "least"
    """In actions it may not, in not-actions it may: the least, which is granted for certain."""


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
        """Return whether any pattern matches a folded operation, or all of another pattern, given by its text."""
        if text in self.literals:
            return True
        if not text.startswith(self._heads):
            return False
        for pattern in self.wild:  # noqa: SIM110  any() with a generator doubles the time of the innermost loop
            if pattern.matches(text):
                return True
        return False

    def with_forms(self, forms: Iterable[Loose]) -> PatternSet:
        """Return the union with the given looser forms; the same object if there are none."""
        added = [one.form for one in forms]
        return PatternSet((*self.patterns, *added)) if added else self


@dataclass(frozen=True, slots=True, order=True)
class Loose:
    """A looser form of a string, which it matches only if its `/*/` may stand for `/`, with the folded string."""

    source: str
    text: str
    form: Pattern = field(compare=False)


@dataclass(frozen=True, slots=True)
class PlaneBlock:
    """The language that one block grants on one plane, under its condition, by one reading."""

    condition: str | None
    allowed: PatternSet
    nots: PatternSet

    def grants(self, text: str) -> bool:
        """Return whether the block grants a folded operation, or a fresh instance of a pattern, given by its text."""
        return self.allowed.matches(text) and not self.nots.matches(text)


@dataclass(frozen=True)
class ReadBlock:
    """The patterns of one block on one plane, under its condition, for both readings.

    Attributes:
        condition: The condition inside the definition.
        allowed: The patterns that it grants if every `/*/` is strict.
        nots: The patterns that it excludes if every `/*/` is strict.
        loose: The forms that the generous reading adds to `allowed`, without those that `nots` exclude in any case.
        loose_nots: The forms that the generous reading adds to `nots`.
    """

    condition: str | None
    allowed: PatternSet
    nots: PatternSet
    loose: tuple[Loose, ...] = ()
    loose_nots: tuple[Loose, ...] = ()

    @cached_property
    def strict(self) -> PlaneBlock:
        """The block with every `/*/` strict."""
        return PlaneBlock(self.condition, self.allowed, self.nots)

    @cached_property
    def most(self) -> PlaneBlock:
        """The block by the reading `MOST`."""
        return PlaneBlock(self.condition, self.allowed.with_forms(self.loose), self.nots)

    @cached_property
    def least(self) -> PlaneBlock:
        """The block by the reading `LEAST`."""
        if not (self.loose or self.loose_nots):
            return self.most
        return PlaneBlock(self.condition, self.allowed, self.nots.with_forms(self.loose_nots))

    @cached_property
    def loose_sources(self) -> frozenset[str]:
        """The strings of `loose`."""
        return frozenset(one.source for one in self.loose)

    @cached_property
    def loose_not_sources(self) -> frozenset[str]:
        """The strings of `loose_nots`."""
        return frozenset(one.source for one in self.loose_nots)

    def granting(self, one: Loose | None) -> PlaneBlock:
        """Return the block with strict strings and one looser form of an action added; None adds none."""
        return PlaneBlock(self.condition, self.allowed.with_forms([one]), self.nots) if one else self.strict

    def beside(self, granting: Loose | None, strict_nots: frozenset[str]) -> PlaneBlock:
        """Return the least that the block grants, where another block settles the meaning of some strings.

        Args:
            granting: A looser form of an action that is taken to grant; None for none.
            strict_nots: The not-actions that are taken as strict.
        """
        opened = granting is not None and granting.source in self.loose_sources
        spared = not strict_nots.isdisjoint(self.loose_not_sources)
        if not (opened or spared):
            return self.least
        forms = [one for one in self.loose if one == granting]
        cutting = [one for one in self.loose_nots if one.source not in strict_nots]
        return PlaneBlock(self.condition, self.allowed.with_forms(forms), self.nots.with_forms(cutting))


class Usable:
    """The blocks of a role that count in a comparison with a block of another role, and the least that they grant."""

    __slots__ = ("_doubtful", "_least", "_sources", "blocks")

    def __init__(self, blocks: tuple[ReadBlock, ...]) -> None:
        self.blocks = blocks
        self._least = tuple(block.least for block in blocks)
        self._sources = frozenset[str]().union(*(block.loose_not_sources for block in blocks))
        self._doubtful = PatternSet(one.form for block in blocks for one in (*block.loose, *block.loose_nots))

    def may_grant(self, text: str) -> bool:
        """Return whether any reading grants a folded operation that `beside` does not grant."""
        return self._doubtful.matches(text) and any(block.most.grants(text) for block in self.blocks)

    def beside(self, other: ReadBlock, granting: Loose | None = None) -> tuple[PlaneBlock, ...]:
        """Return the least that the blocks grant where the strings of another block grant the most, for `contains`.

        Args:
            other: The other block; its not-actions are taken as strict.
            granting: A looser form of one of its actions that is taken to grant; None for none.
        """
        if granting is None and (not self._sources or self._sources.isdisjoint(other.loose_not_sources)):
            return self._least
        return tuple(block.beside(granting, other.loose_not_sources) for block in self.blocks)


@dataclass(frozen=True, slots=True)
class Permissions:
    """The prepared blocks of one role, or of several together.

    `spelt_out` has, for each plane, the folded strings without a star, granted or excluded. They show the plane on
    which the role places an operation.
    """

    control: tuple[ReadBlock, ...]
    data: tuple[ReadBlock, ...]
    spelt_out: dict[GrantPlane, frozenset[str]] = field(compare=False)
    _usable: dict[tuple[str, str | None], Usable] = field(default_factory=dict, compare=False)
    _by_reading: dict[tuple[str, Reading], tuple[PlaneBlock, ...]] = field(default_factory=dict, compare=False)

    def of_plane(self, plane: str) -> tuple[ReadBlock, ...]:
        """Return the blocks of a plane; planes other than control and data have none."""
        return self.control if plane == "control" else self.data if plane == "data" else ()

    def on(self, plane: str, reading: Reading = Reading.MOST) -> tuple[PlaneBlock, ...]:
        """Return the blocks of a plane by one reading."""
        key = (plane, reading)
        if key not in self._by_reading:
            is_most = reading is Reading.MOST
            self._by_reading[key] = tuple(one.most if is_most else one.least for one in self.of_plane(plane))
        return self._by_reading[key]

    def usable(self, plane: str, condition: str | None) -> Usable:
        """Return the blocks without a condition or with exactly the given one."""
        key = (plane, condition)
        if key not in self._usable:
            blocks = tuple(block for block in self.of_plane(plane) if block.condition in (None, condition))
            self._usable[key] = Usable(blocks)
        return self._usable[key]

    @property
    def depends_on_reading(self) -> bool:
        """True if the two readings may differ for some operation."""
        return any(block.loose or block.loose_nots for block in (*self.control, *self.data))

    def loose_forms(self, plane: str) -> set[Pattern]:
        """Return the patterns that cover all operations for which the two readings may differ."""
        return {one.form for block in self.of_plane(plane) for one in (*block.loose, *block.loose_nots)}


def answer_of(blocks: Iterable[PlaneBlock], text: str) -> Literal["yes", "no", "conditional"]:
    """Return whether blocks grant a folded operation; `conditional` means that only blocks with a condition do."""
    answer: Literal["no", "conditional"] = "no"
    for block in blocks:
        if (block.condition is None or answer == "no") and block.grants(text):
            if block.condition is None:
                return "yes"
            answer = "conditional"
    return answer


def read_permissions(blocks: Sequence[PermissionBlock] | Permissions) -> Permissions:
    """Return the blocks prepared for matching; recent results are cached."""
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


def _plane_blocks(blocks: Iterable[tuple[str | None, Sequence[str], Sequence[str]]]) -> tuple[ReadBlock, ...]:
    merged: dict[tuple[str | None, tuple[str, ...], tuple[Loose, ...]], _Parts] = {}
    for condition_text, allowed_texts, not_texts in blocks:
        condition = (condition_text or "").strip() or None
        nots = PatternSet(map(parse_pattern, not_texts))
        loose_nots = _loose(not_texts, nots)
        live = [pattern for pattern in map(parse_pattern, allowed_texts) if not nots.matches(pattern.text)]
        loose = [one for one in _loose(allowed_texts, PatternSet(live)) if not nots.matches(one.text)]
        granted = [*live, *(one.form for one in loose)]
        cutting = PatternSet(pattern for pattern in nots.patterns if any(map(pattern.overlaps, granted)))
        loosely = tuple(one for one in loose_nots if any(map(one.form.overlaps, granted)))
        if granted:
            key = (condition, tuple(pattern.text for pattern in cutting.patterns), loosely)
            parts = merged.setdefault(key, _Parts(cutting))
            parts.live.extend(live)
            parts.loose.extend(loose)
    return tuple(
        ReadBlock(condition, PatternSet(parts.live), parts.nots, tuple(sorted(set(parts.loose))), loosely)
        for (condition, _, loosely), parts in sorted(merged.items(), key=lambda item: (item[0][0] or "", *item[0][1:]))
    )


@dataclass(slots=True)
class _Parts:
    nots: PatternSet
    live: list[Pattern] = field(default_factory=list)
    loose: list[Loose] = field(default_factory=list)


def _loose(texts: Iterable[str], strict: PatternSet) -> list[Loose]:
    """Return the looser forms of strings that the strict patterns do not match already, sorted."""
    patterns = {pattern.text: pattern for pattern in map(parse_pattern, texts)}
    forms = (Loose(text, form.text, form) for text, pattern in patterns.items() for form in loosened(pattern))
    return sorted(one for one in forms if not strict.matches(one.text))
